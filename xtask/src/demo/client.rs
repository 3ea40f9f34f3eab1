//! The client: asks for the page every few milliseconds, and records which host answered at which time.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};
use vrrp_tests::lab::Host;

const BETWEEN: Duration = Duration::from_millis(10);
/// An answer on this segment takes less than a millisecond.
const TIMEOUT: Duration = Duration::from_millis(50);

/// One question: when it was asked, and the page, if there was an answer.
#[derive(Clone, Debug)]
struct Answer {
    asked: Instant,
    page: Option<String>,
}

#[derive(Debug)]
struct Memory {
    mark: Instant,
    last: Option<String>,
    /// The last success before the mark, and then the answers since the mark.
    answers: Vec<Answer>,
}

/// The client's observations since the mark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The longest time from the last answer before a failure to the first one after it.
    pub(super) gap: Option<Duration>,
    /// The time from the mark to the last change of the host that answers.
    pub(super) switched: Option<Duration>,
}

/// A client on a host of its own.
pub(super) struct Client {
    memory: Arc<Mutex<Memory>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _host: Host,
}

impl Client {
    pub(super) fn start(host: Host, vip: &str) -> Result<Self> {
        let server: SocketAddr = format!("{vip}:80").parse()?;
        let namespace = File::open(format!("/run/netns/{}", host.namespace()))?;
        let memory = Arc::new(Mutex::new(Memory { mark: Instant::now(), last: None, answers: Vec::new() }));
        let ended = Arc::new(AtomicBool::new(false));
        let (remember, end) = (Arc::clone(&memory), Arc::clone(&ended));
        let thread = std::thread::Builder::new().name("client".to_owned()).spawn(move || {
            // This thread alone is in the client's namespace from here on.
            if let Err(error) = setns(&namespace, CloneFlags::CLONE_NEWNET) {
                eprintln!("the client cannot enter its network namespace: {error}");
                return;
            }
            while !end.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let page = ask(server);
                let mut memory = remember.lock().unwrap_or_else(PoisonError::into_inner);
                memory.last.clone_from(&page);
                memory.answers.push(Answer { asked, page });
                drop(memory);
                std::thread::sleep(BETWEEN.saturating_sub(asked.elapsed()));
            }
        });
        Ok(Self { memory, ended, thread: Some(thread.context("cannot start the client")?), _host: host })
    }

    /// The last answer.
    pub(super) fn page(&self) -> Option<String> {
        self.lock().last.clone()
    }

    /// Forgets the earlier answers but for the last success; [`Self::since_mark`] counts from here.
    pub(super) fn mark(&self) {
        let mut memory = self.lock();
        memory.mark = Instant::now();
        let last_success = memory.answers.iter().rfind(|answer| answer.page.is_some()).cloned();
        memory.answers = last_success.into_iter().collect();
    }

    pub(super) fn since_mark(&self) -> Seen {
        let memory = self.lock();
        let (mut gap, mut switched) = (None, None);
        let mut failed = false;
        let mut before: Option<&Answer> = None;
        for answer in &memory.answers {
            if answer.page.is_none() {
                failed = true;
                continue;
            }
            if let Some(before) = before {
                if failed {
                    gap = gap.max(Some(answer.asked - before.asked));
                }
                if before.page != answer.page {
                    switched = Some(answer.asked.saturating_duration_since(memory.mark));
                }
            }
            failed = false;
            before = Some(answer);
        }
        Seen { gap, switched }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Opens a new connection and sends one request; `None` if anything goes wrong.
fn ask(server: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    response.split_once("\r\n\r\n").map(|(_, page)| page.to_owned())
}
