use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use nix::unistd::User;

use super::*;

/// A directory that is removed with the test, and that script security accepts: /tmp is sticky and root's.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vrrp-process-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn script(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        set_mode(&path, 0o755);
        path.display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn program(words: &[&str]) -> Program {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    Program { command, user: None }
}

fn as_user(words: &[&str], user: &str) -> Program {
    Program { user: Some(named(user)), ..program(words) }
}

fn named(user: &str) -> ScriptUser {
    ScriptUser { user: user.to_owned(), group: None }
}

async fn run(program: &Program, limit: Duration) -> (End, String) {
    identity::look_up([]).await;
    let mut running =
        start(program, &["more".to_owned()], ScriptSecurity::Off, Lifetime::OfCaller).await.unwrap();
    let end = running.within(limit).await.unwrap();
    (end, running.last_lines())
}

const LONG: Duration = Duration::from_secs(20);

fn has_failed(end: End) -> bool {
    matches!(end, End::Exited(status) if status.code() == Some(3))
}

#[tokio::test]
async fn arguments_arrive_without_a_shell() {
    let (end, said) = run(&program(&["printf", "[%s]", "a b", "$(reboot)"]), LONG).await;
    assert!(matches!(end, End::Exited(status) if status.success()));
    assert_eq!(said, "[a b][$(reboot)][more]");
}

#[tokio::test]
async fn both_outputs_are_kept_in_order() {
    let directory = Directory::new("order");
    let script = directory.script("s", "echo one; echo two >&2; echo three; exit 3");
    let (end, said) = run(&program(&[&script]), LONG).await;
    assert!(has_failed(end));
    assert_eq!(said, "one\ntwo\nthree");
}

#[tokio::test]
async fn of_much_output_the_last_lines_are_kept() {
    let directory = Directory::new("much");
    let script = directory.script("s", "seq 1 200000; exit 3");
    let (end, said) = run(&program(&[&script]), LONG).await;
    assert!(has_failed(end));
    assert!(said.ends_with("\n199999\n200000") && said.len() <= KEPT, "{said}");
    assert!(said.lines().all(|line| line.len() == 6), "whole lines only: {said}");
}

#[tokio::test]
async fn what_it_started_does_not_hold_it_up() {
    let directory = Directory::new("service");
    let script = directory.script("s", "sleep 5 & echo started; exit 3");
    let start = Instant::now();
    let (end, said) = run(&program(&[&script]), LONG).await;
    assert!(has_failed(end) && said == "started", "{said}");
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_hanging_group_is_killed_whole() {
    let directory = Directory::new("hang");
    let pid = directory.0.join("pid");
    let script =
        directory.script("s", &format!("trap '' TERM; sleep 60 & echo $! > {}; wait; wait", pid.display()));
    let start = Instant::now();
    let (end, _) = run(&program(&[&script]), Duration::from_millis(500)).await;
    assert_eq!(end, End::Killed);
    assert!(start.elapsed() < Duration::from_secs(10));
    let child = std::fs::read_to_string(pid).unwrap();
    let status = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
    // A zombie that has not been reaped yet counts as dead.
    let is_dead = || status().map_or(true, |stat| stat.contains(") Z "));
    while !is_dead() {
        assert!(start.elapsed() < Duration::from_secs(20), "its child goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_program_that_is_not_waited_for_is_killed_unless_it_has_a_lifetime_of_its_own() {
    let directory = Directory::new("tie");
    for (lifetime, goes_on) in [(Lifetime::OfCaller, false), (Lifetime::OfItsOwn, true)] {
        let flag = directory.0.join(format!("{lifetime:?}"));
        let script = directory.script("s", &format!("sleep 1; touch {}", flag.display()));
        identity::look_up([]).await;
        drop(start(&program(&[&script]), &[], ScriptSecurity::Off, lifetime).await.unwrap());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(flag.exists(), goes_on, "{lifetime:?}");
    }
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let directory = Directory::new("cannot");
    let script = directory.script("s", "true");
    set_mode(Path::new(&script), 0o644);
    identity::look_up(["root", "no-such-user"].map(named)).await;
    let error = |program| examine(&program, ScriptSecurity::Off).unwrap_err().to_string();
    assert!(error(program(&[&script])).ends_with("not executable"));
    assert!(error(program(&["/bin"])).ends_with("not a file"));
    assert!(error(program(&["/nowhere/s"])).contains("No such file"));
    assert!(error(program(&["no-such-program-here"])).contains("not found in PATH"));
    assert_eq!(error(as_user(&["true"], "no-such-user")), "there is no user no-such-user");
}

/// Expectations as observed of keepalived 2.2.7, case by case. Needs root, since the owner of a file decides.
#[tokio::test]
async fn only_what_root_alone_can_change_runs_as_root() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    identity::look_up(["root", "nobody"].map(named)).await;
    let directory = Directory::new("secure");
    let inner = directory.0.join("inner");
    std::fs::create_dir_all(&inner).unwrap();
    let script = directory.script("inner/s", "true");
    let link = directory.0.join("link");
    std::os::unix::fs::symlink(&script, &link).unwrap();
    let examined = |user: &str, path: &str| examine(&as_user(&[path], user), ScriptSecurity::On).is_ok();
    let nobody = User::from_name("nobody").unwrap().expect("there is a nobody");
    let own = |path: &Path, user: Option<u32>, group: Option<u32>, mode: u32| {
        std::os::unix::fs::chown(path, user, group).unwrap();
        set_mode(path, mode);
    };
    let others = Some(nobody.uid.as_raw());
    let other_group = Some(nobody.gid.as_raw());
    let root = Some(0);
    for (user, group, mode, runs) in [
        (root, root, 0o755, true),
        (others, root, 0o755, false),
        (root, root, 0o775, true),
        (root, other_group, 0o775, false),
        (root, other_group, 0o755, true),
        (root, root, 0o777, false),
        (root, root, 0o1777, true),
    ] {
        own(&inner, user, group, mode);
        assert_eq!(examined("root", &script), runs, "{user:?}:{group:?} {mode:o}");
        assert_eq!(examined("root", link.to_str().unwrap()), runs, "by a link");
        assert!(examined("nobody", &script), "as nobody it can do no harm");
    }
    own(&inner, root, root, 0o755);
    for (user, group, mode, runs) in [
        (others, root, 0o755, false),
        (root, root, 0o777, false),
        (root, other_group, 0o775, false),
        (root, root, 0o775, true),
    ] {
        own(Path::new(&script), user, group, mode);
        assert_eq!(examined("root", &script), runs, "{user:?}:{group:?} {mode:o}");
    }
    // With script security a program does not run as root for want of a user's name.
    if User::from_name(DEFAULT_USER).unwrap().is_none() {
        let error = examine(&program(&[&script]), ScriptSecurity::On).unwrap_err();
        assert!(matches!(error, ProgramError::NobodyNamed), "{error}");
        assert!(examine(&program(&[&script]), ScriptSecurity::Off).is_ok());
    }
}
