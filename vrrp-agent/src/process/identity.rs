//! Users and groups of scripts. They are looked up by name once, when a configuration is loaded, and never when a script runs:
//! a name service hangs exactly when the network is bad.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User};

use super::{DEFAULT_USER, Identity, ProgramError};
use crate::blocking::{self, Hangs};
use crate::config::ScriptUser;

/// The time that a name service may take for one name.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer of a name service.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Is(Identity),
    NoUser(String),
    NoGroup(String),
    Failed(String),
}

/// The answers for the users that configurations have named.
static KNOWN: Mutex<Option<HashMap<ScriptUser, Answer>>> = Mutex::new(None);

/// The name of the agent's own user, if it has one.
static OWN_NAME: Mutex<Option<String>> = Mutex::new(None);

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn default_user() -> ScriptUser {
    ScriptUser { user: DEFAULT_USER.to_owned(), group: None }
}

/// Asks for these users, for the user that programs without a user run as, and for the agent's own name. A missing answer is
/// logged; the earlier answer still counts then, and a late answer counts from the time at which it comes.
pub async fn look_up(users: impl IntoIterator<Item = ScriptUser>) {
    let mut asked: Vec<ScriptUser> = Vec::new();
    for user in users.into_iter().chain([default_user()]) {
        if !asked.contains(&user) {
            asked.push(user);
        }
    }
    let own = tokio::spawn(blocking::within("the agent's own user", ANSWER_TIMEOUT, || {
        let user = User::from_uid(Uid::effective()).ok().flatten();
        *locked(&OWN_NAME) = user.map(|user| user.name);
    }));
    let asking: Vec<_> =
        asked.into_iter().map(|user| (user.clone(), tokio::spawn(ask_in_time(user)))).collect();
    for (user, answer) in asking {
        if let Ok(Err(hangs)) = answer.await {
            let before = match answer_for(&user) {
                Some(_) => "the earlier answer still counts",
                None => "programs of this user cannot run until it answers",
            };
            tracing::error!("{hangs}: the name service hangs; {before}");
        }
    }
    let _told = own.await;
}

async fn ask_in_time(user: ScriptUser) -> Result<(), Hangs> {
    let what = format!("user {}", described(&user));
    blocking::within(&what, ANSWER_TIMEOUT, move || ask(&user)).await
}

fn described(ScriptUser { user, group }: &ScriptUser) -> String {
    match group {
        Some(group) => format!("{user}, group {group}"),
        None => user.clone(),
    }
}

/// Asks, however long that takes, and stores the answer.
fn ask(user: &ScriptUser) {
    let answer = answer(user);
    locked(&KNOWN).get_or_insert_default().insert(user.clone(), answer);
}

fn answer(ScriptUser { user, group }: &ScriptUser) -> Answer {
    let number = |name: &str| name.parse::<u32>().ok();
    // Numbers need no name service.
    if let (Some(user), Some(group)) = (number(user), group.as_deref().and_then(number)) {
        return Answer::Is((Uid::from_raw(user), Gid::from_raw(group)));
    }
    let found = match (User::from_name(user), number(user)) {
        (Ok(None), Some(number)) => User::from_uid(Uid::from_raw(number)),
        (found, _) => found,
    };
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => return Answer::NoUser(user.clone()),
        Err(error) => return Answer::Failed(format!("user {user}: {error}")),
    };
    let Some(name) = group else { return Answer::Is((found.uid, found.gid)) };
    match (Group::from_name(name), number(name)) {
        (Ok(Some(group)), _) => Answer::Is((found.uid, group.gid)),
        (Ok(None), Some(number)) => Answer::Is((found.uid, Gid::from_raw(number))),
        (Ok(None), None) => Answer::NoGroup(name.clone()),
        (Err(error), _) => Answer::Failed(format!("group {name}: {error}")),
    }
}

fn answer_for(user: &ScriptUser) -> Option<Answer> {
    locked(&KNOWN).as_ref().and_then(|known| known.get(user).cloned())
}

/// Returns the numbers of a user and group on this host, from the stored answer.
///
/// # Errors
/// If there is no such user or group, or if the name service has failed or not answered yet.
pub fn known(user: &ScriptUser) -> Result<Identity, ProgramError> {
    match answer_for(user) {
        Some(Answer::Is(identity)) => Ok(identity),
        Some(Answer::NoUser(user)) => Err(ProgramError::NoUser(user)),
        Some(Answer::NoGroup(group)) => Err(ProgramError::NoGroup(group)),
        Some(Answer::Failed(error)) => Err(std::io::Error::other(error).into()),
        None => Err(ProgramError::Unanswered(described(user))),
    }
}

/// Returns the numbers of the user that a program without a user runs as, should there be such a user.
pub(super) fn known_default() -> Result<Identity, ProgramError> {
    known(&default_user())
}

/// The name of the agent's own user.
#[must_use]
pub fn own_name() -> String {
    locked(&OWN_NAME).clone().unwrap_or_else(|| "root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(user: &str, group: Option<&str>) -> ScriptUser {
        ScriptUser { user: user.to_owned(), group: group.map(str::to_owned) }
    }

    #[tokio::test]
    async fn names_and_numbers() {
        let asked = [
            user("root", None),
            user("0", None),
            user("1234567", Some("7654321")),
            user("root", Some("12345")),
            user("no-such-user", None),
            user("1234567", None),
            user("root", Some("no-such-group")),
        ];
        assert!(matches!(known(&user("root", Some("never asked"))), Err(ProgramError::Unanswered(_))));
        look_up(asked.clone()).await;
        let ids = |uid, gid| (Uid::from_raw(uid), Gid::from_raw(gid));
        assert_eq!(known(&asked[0]).unwrap(), ids(0, 0));
        assert_eq!(known(&asked[1]).unwrap(), ids(0, 0));
        assert_eq!(known(&asked[2]).unwrap(), ids(1_234_567, 7_654_321));
        assert_eq!(known(&asked[3]).unwrap(), ids(0, 12345));
        assert_eq!(known(&asked[4]).unwrap_err().to_string(), "there is no user no-such-user");
        assert_eq!(known(&asked[5]).unwrap_err().to_string(), "there is no user 1234567");
        assert_eq!(known(&asked[6]).unwrap_err().to_string(), "there is no group no-such-group");
    }
}
