//! What may hang: files on a server that is gone, programs on it, name services. It is done on a thread of its own and waited for no
//! longer than a limit, so that it holds up nothing but what needs it. While it still hangs the same is not begun again: however
//! often it is asked for, one thread hangs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// It has not come to an end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: no answer within {} s", .limit.as_secs_f32())]
pub struct Hangs {
    /// What.
    pub what: String,
    /// How long it was waited for.
    pub limit: Duration,
}

/// What hangs, by name, and how many threads do.
static HANGING: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

fn hanging() -> MutexGuard<'static, BTreeMap<String, usize>> {
    HANGING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far one of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waited,
    Late,
    Ended,
}

/// Does it on another thread, and waits for it for so long. What comes later than that is dropped.
///
/// # Errors
/// If it has not ended by then, or if what has this name hangs already.
///
/// # Panics
/// If `work` does.
pub async fn within<T: Send + 'static>(
    what: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Hangs> {
    let hangs = || Hangs { what: what.to_owned(), limit };
    if hanging().contains_key(what) {
        return Err(hangs());
    }
    let progress = Arc::new(Mutex::new(Progress::Waited));
    let (done, is_done) = oneshot::channel();
    let (ours, name) = (Arc::clone(&progress), what.to_owned());
    spawn_blocking(move || {
        // Also if it panics.
        let _ended = Ended { progress: ours, name };
        let _late = done.send(work());
    });
    match timeout(limit, is_done).await {
        Ok(result) => Ok(result.expect("it does not panic")),
        Err(_elapsed) => {
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            if *progress == Progress::Waited {
                *progress = Progress::Late;
                *hanging().entry(what.to_owned()).or_default() += 1;
            }
            Err(hangs())
        }
    }
}

/// Takes note of the end, whatever ends it.
struct Ended {
    progress: Arc<Mutex<Progress>>,
    name: String,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *progress, Progress::Ended) == Progress::Late {
            let mut hanging = hanging();
            if let Some(count) = hanging.get_mut(&self.name) {
                *count -= 1;
                if *count == 0 {
                    hanging.remove(&self.name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn what_ends_in_time_is_handed_over() {
        assert_eq!(within("quick", Duration::from_secs(20), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn what_hangs_holds_up_nobody_and_is_not_begun_twice() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let start = Instant::now();
        let first = within("hanging", Duration::from_millis(50), move || {
            BEGUN.fetch_add(1, Ordering::SeqCst);
            let _released = released.recv();
        });
        assert!(first.await.is_err());
        for _ in 0..100 {
            let again = within("hanging", Duration::from_secs(20), || BEGUN.fetch_add(1, Ordering::SeqCst));
            assert!(again.await.is_err());
        }
        assert_eq!(BEGUN.load(Ordering::SeqCst), 1);
        assert!(start.elapsed() < Duration::from_secs(10), "none of these waited");
        // Another of the same kind is not held up.
        assert_eq!(within("another", Duration::from_secs(20), || 1).await, Ok(1));
        // It comes to an end after all, and then it may be tried again.
        drop(release);
        while within("hanging", Duration::from_secs(20), || 2).await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
