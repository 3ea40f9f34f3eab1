//! Work that may hang: files on a server that is gone, programs on such a server, name services. It runs on a thread of its
//! own, and the caller waits for it no longer than a limit, so that it holds up only the part that needs its result. While work
//! of some name hangs, no other work of that name is begun: repeated requests do not add threads that hang.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The work has not ended within its limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: no answer within {} s", .limit.as_secs_f32())]
pub struct Hangs {
    /// The name of the work.
    pub what: String,
    /// The limit: how long the caller has waited.
    pub limit: Duration,
}

/// The names of the work that hangs, each with the number of threads that hang in it.
static HANGING: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

fn hanging() -> MutexGuard<'static, BTreeMap<String, usize>> {
    HANGING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The progress of one piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waited,
    Late,
    Ended,
}

/// Runs `work` on another thread and waits for its end, for `limit` at most. A later result is dropped.
///
/// # Errors
/// If `work` has not ended by then, or if work of this name hangs already.
///
/// # Panics
/// If `work` panics.
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
        // Dropped also if `work` panics.
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

/// Notes the end of the work when it is dropped, in whatever way the work ended.
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
        // Work of another name is not held up.
        assert_eq!(within("another", Duration::from_secs(20), || 1).await, Ok(1));
        // The work ends after all, and then work of its name may be tried again.
        drop(release);
        while within("hanging", Duration::from_secs(20), || 2).await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
