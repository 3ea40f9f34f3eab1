//! The subagent's work: it connects to a master agent, again whenever the connection is lost, answers questions and sends
//! traps.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::agentx::{Answer, Arrived, Message, Said};
use super::mib::Table;
use super::oid::{Oid, VarBind};
use super::session::{Lost, REPLY_TIMEOUT, Session};
use super::{Command, Question};
use crate::config::{MasterAgent, Snmp};
use crate::notify::Notification;

/// The pause from one try to reach the master agent to the next: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The age that an answer may have: a manager that walks asks for each object alone.
const AGE: Duration = Duration::from_secs(1);
/// The time that the daemon may be busy, with a reload, say.
const ANSWER: Duration = Duration::from_secs(2);
/// The time between two pings of the master agent. If nothing is heard for three times as long, the session is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// The most objects in the answer to one question.
const OBJECTS_MAX: usize = 1024;

/// RFC 2741 section 7.2.4.1 and RFC 3416 section 3.
const GENERAL_ERROR: u16 = 5;
const NOT_WRITABLE: u16 = 17;
const UNSUPPORTED_CONTEXT: u16 = 262;

/// Speaks to a master agent until the orders end.
pub(super) async fn run(
    settings: &Snmp,
    questions: UnboundedSender<Question>,
    mut orders: Receiver<Command>,
) {
    let mut view = View { questions, seen: None };
    let mut pause = PAUSE_MIN;
    let mut said = String::new();
    loop {
        let began = Instant::now();
        let lost = match &settings.master {
            MasterAgent::Unix(path) => match connect(UnixStream::connect(path)).await {
                Ok(stream) => hold(stream, settings, &mut view, &mut orders).await,
                Err(error) => Err(error),
            },
            MasterAgent::Tcp(host, port) => match connect(TcpStream::connect((host.as_str(), *port))).await {
                Ok(stream) => hold(stream, settings, &mut view, &mut orders).await,
                Err(error) => Err(error),
            },
        };
        let Err(lost) = lost else { return };
        // A reason that repeats itself is logged once.
        let now = lost.to_string();
        if now != said {
            tracing::warn!("SNMP: master agent {}: {now}; the connection is tried again", settings.master);
            said = now;
        }
        if began.elapsed() > PAUSE_MAX {
            pause = PAUSE_MIN;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = over(&mut orders) => return,
        }
        pause = PAUSE_MAX.min(2 * pause);
    }
}

async fn connect<S>(connecting: impl Future<Output = io::Result<S>>) -> Result<S, Lost> {
    Ok(timeout(REPLY_TIMEOUT, connecting).await.map_err(|_elapsed| Lost::Slow)??)
}

/// Waits until the orders end. A trap describes the present: events that happen while no master agent takes them are not told
/// later.
async fn over(orders: &mut Receiver<Command>) {
    loop {
        match orders.recv().await {
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Opens a session and holds it until the orders end.
async fn hold<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    settings: &Snmp,
    view: &mut View,
    orders: &mut Receiver<Command>,
) -> Result<(), Lost> {
    let mut session = Session::open(stream).await?;
    let mut registering = HashMap::new();
    for subtree in settings.mibs.iter().copied().flat_map(Table::subtrees) {
        registering.insert(session.say(&Message::Register(&subtree)).await?, subtree);
    }
    tracing::info!("SNMP: connected to master agent {}", settings.master);
    view.look().await;
    let mut silence = interval(SILENCE);
    silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            arrived = session.hear() => {
                heard = Instant::now();
                answer(&mut session, view, &mut registering, arrived?).await?;
            }
            order = orders.recv() => match order {
                Ok(Command::Tell(notification, at)) => tell(&mut session, view, &notification, at).await?,
                Ok(Command::Look) => view.look().await,
                Err(RecvError::Lagged(lost)) => {
                    tracing::warn!("SNMP: traps come faster than they are taken, so the oldest are lost ({lost} of them)");
                }
                Err(RecvError::Closed) => return session.close().await,
            },
            _ = silence.tick() => {
                if heard.elapsed() > 3 * SILENCE {
                    return Err(Lost::Slow);
                }
                session.say(&Message::Ping).await?;
            }
        }
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S>,
    view: &mut View,
    registering: &mut HashMap<u32, Oid>,
    Arrived { ids, said }: Arrived,
) -> Result<(), Lost> {
    let refusal = |error, index| Answer { error, index, values: Vec::new() };
    let answer = match said {
        Said::Response(error) => {
            let subtree = registering.remove(&ids.packet);
            if let (Some(subtree), 1..) = (subtree, error) {
                tracing::error!(
                    "SNMP: the master agent refuses the registration of {subtree}: error {error}"
                );
            }
            return Ok(());
        }
        Said::Close(reason) => return Err(Lost::Closed(reason)),
        Said::CleanupSet | Said::Other(_) => return Ok(()),
        Said::OtherContext => refusal(UNSUPPORTED_CONTEXT, 0),
        Said::Set => refusal(NOT_WRITABLE, 1),
        Said::Get(_) | Said::GetNext(_) | Said::GetBulk { .. } => {
            match view.since(Instant::now() - AGE).await {
                Some(table) => Answer { values: look(table, &said), ..Answer::default() },
                None => refusal(GENERAL_ERROR, 0),
            }
        }
    };
    session.reply(ids, answer).await
}

fn look(table: &Table, said: &Said) -> Vec<VarBind> {
    match said {
        Said::Get(ranges) => ranges.iter().map(|range| table.get(&range.start)).collect(),
        Said::GetNext(ranges) => ranges.iter().map(|range| table.next(range)).collect(),
        Said::GetBulk { non_repeaters, max_repetitions, ranges } => {
            table.bulk(*non_repeaters, *max_repetitions, ranges, OBJECTS_MAX)
        }
        _ => Vec::new(),
    }
}

async fn tell<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S>,
    view: &mut View,
    notification: &Notification,
    at: Instant,
) -> Result<(), Lost> {
    let known = view.seen.as_ref().filter(|(_, table)| table.knows(notification));
    let known = known.map(|(_, table)| table.traps(notification));
    let traps = match view.since(at).await {
        Some(table) if table.knows(notification) => table.traps(notification),
        // Only the table from before knows what a reload has taken away; and a daemon that stops answers no more.
        Some(_) | None => known.unwrap_or_default(),
    };
    for trap in traps {
        session.say(&Message::Notify(&trap)).await?;
    }
    Ok(())
}

/// The objects as they were when the daemon was last asked.
struct View {
    questions: UnboundedSender<Question>,
    seen: Option<(Instant, Table)>,
}

impl View {
    /// Returns a table that is not older than a moment; `None` if the daemon does not answer.
    async fn since(&mut self, at: Instant) -> Option<&Table> {
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen < at) {
            self.look().await;
        }
        self.seen.as_ref().filter(|(seen, _)| *seen >= at).map(|(_, table)| table)
    }

    /// Asks the daemon for a table. The earlier one stays if the daemon does not answer.
    async fn look(&mut self) {
        let now = Instant::now();
        let (question, answer) = oneshot::channel();
        if self.questions.send(question).is_ok()
            && let Ok(Ok(table)) = timeout(ANSWER, answer).await
        {
            self.seen = Some((now, table));
        }
    }
}
