//! Work on data from outside, on threads that a run can do without.
//!
//! A parser that loops would stop every run of the process on a thread of the runtime, and would keep the process from ending
//! on one of the runtime's blocking threads. Here each piece of work has a thread of its own. A caller that gives up leaves
//! it behind; the number of threads is bounded, and the process ends without them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// Limit on the threads at work, those that were given up included.
const MAX_THREADS: usize = 8;
/// Stack of a thread, in bytes. A parser that recurses must bound its depth; see [`html`](super::html).
const STACK_BYTES: usize = 16 << 20;

static SLOTS: Semaphore = Semaphore::const_new(MAX_THREADS);

/// Whether the result of some work is still wanted. Work that takes long asks now and then.
#[derive(Debug, Clone, Default)]
pub struct GiveUp(Arc<AtomicBool>);

impl GiveUp {
    /// Whether the caller has stopped waiting for the result.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Asks the work to stop when its caller is dropped.
struct Caller(GiveUp);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Why data from outside could not be read. `what` names it: "the page".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OffloadError {
    /// The work took longer than its time limit.
    #[error("{what} could not be read within {seconds} s")]
    TimedOut {
        /// The data that was read, as a noun: "the page".
        what: String,
        /// The limit, in seconds.
        seconds: u64,
    },
    /// The reader panicked, or its thread could not be started.
    #[error("{what} could not be read: {reason}")]
    Failed {
        /// The data that was read, as a noun: "the page".
        what: String,
        /// Why the reader failed, in lower case, for the end of the message.
        reason: String,
    },
}

/// Runs `work` on a thread of its own and waits for its result, at most for `within`. If the future is dropped or the time is
/// over, `work` is asked to stop and is not waited for.
///
/// # Errors
/// The time is over, also while all threads are busy; or `work` panicked.
pub async fn offload<T: Send + 'static>(
    what: &str,
    within: Duration,
    work: impl FnOnce(&GiveUp) -> T + Send + 'static,
) -> Result<T, OffloadError> {
    let failed = |reason: String| OffloadError::Failed { what: what.to_owned(), reason };
    let run = async {
        // The semaphore is never closed.
        let slot = SLOTS.acquire().await.map_err(|error| failed(error.to_string()))?;
        let caller = Caller(GiveUp::default());
        let wanted = caller.0.clone();
        let (done, result) = oneshot::channel();
        std::thread::Builder::new()
            .name("outside".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let result = catch_unwind(AssertUnwindSafe(|| work(&wanted)));
                drop(slot);
                // The caller may have given up.
                let _ = done.send(result);
            })
            .map_err(|error| failed(format!("no thread could be started: {error}")))?;
        let result = result.await.map_err(|_| failed("its reader ended".to_owned()))?;
        drop(caller);
        result.map_err(|_| failed("its reader failed on it".to_owned()))
    };
    tokio::time::timeout(within, run)
        .await
        .unwrap_or_else(|_| Err(OffloadError::TimedOut { what: what.to_owned(), seconds: within.as_secs() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_never_ends_is_given_up_and_asked_to_stop() {
        let (tell, told) = std::sync::mpsc::channel();
        let endless = offload("the page", Duration::from_millis(50), move |wanted| {
            while !wanted.is_asked() {
                std::thread::sleep(Duration::from_millis(1));
            }
            tell.send("asked").unwrap();
        });
        assert_eq!(endless.await.unwrap_err().to_string(), "the page could not be read within 0 s");
        assert_eq!(told.recv_timeout(Duration::from_mins(1)).unwrap(), "asked");
    }

    #[tokio::test]
    async fn a_reader_that_panics_fails_its_own_work_only() {
        let error = offload("the page", Duration::from_mins(1), |_| -> u8 { panic!("on purpose") }).await;
        assert!(error.unwrap_err().to_string().contains("its reader failed"));
        assert_eq!(offload("it", Duration::from_mins(1), |_| 7).await, Ok(7));
    }
}
