//! Keeping a peer up: what it offers while it is there, and growing pauses while it is not.

use crate::Tool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The pauses before a peer is tried again grow from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A connection that held this long begins with the first pause again.
const STEADY: Duration = Duration::from_mins(1);

/// What is known of a peer.
pub struct Standing {
    name: String,
    now: Mutex<Now>,
    /// Whether its tools are known, or it was found out that they cannot be.
    known: watch::Sender<Option<bool>>,
    closing: CancellationToken,
    closed: CancellationToken,
}

#[derive(Default)]
struct Now {
    tools: Vec<Arc<dyn Tool>>,
    notices: Vec<String>,
}

impl Standing {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            now: Mutex::default(),
            known: watch::Sender::new(None),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn tools(&self) -> Vec<Arc<dyn Tool>> {
        self.now().tools.clone()
    }

    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut self.now().notices)
    }

    /// Something happened that the agent should know.
    pub fn notice(&self, text: &str) {
        let notice = format!("the tools of `{}`: {text}", self.name);
        self.now().notices.push(notice);
    }

    /// The peer offers these now.
    pub fn offers(&self, tools: Vec<Arc<dyn Tool>>) {
        self.now().tools = tools;
        let _ = self.known.send_replace(Some(true));
    }

    /// Waits until the peer's tools are known, it could not be reached, or the time is over. Says whether they are.
    pub async fn ready(&self, within: Duration) -> bool {
        let mut known = self.known.subscribe();
        let settled = tokio::time::timeout(within, known.wait_for(Option::is_some)).await;
        matches!(settled.map(|known| known.map(|known| *known)), Ok(Ok(Some(true))))
    }

    /// What ends [`keep_up`](Self::keep_up) when it is dropped: whoever forgets to close leaves nothing behind.
    pub fn lease(&self) -> DropGuard {
        self.closing.clone().drop_guard()
    }

    /// Ends [`keep_up`](Self::keep_up), and waits until it has ended.
    pub async fn close(&self) {
        self.closing.cancel();
        self.closed.cancelled().await;
    }

    /// Lives one connection after the other until it is closed. `live` is one from its beginning to its end, and says how
    /// it ended.
    pub async fn keep_up<F: Future<Output = String>>(&self, live: impl Fn() -> F) {
        let mut pause = FIRST_PAUSE;
        while !self.closing.is_cancelled() {
            let begun = tokio::time::Instant::now();
            let ended = tokio::select! {
                ended = live() => ended,
                () = self.closing.cancelled() => break,
            };
            if begun.elapsed() >= STEADY {
                pause = FIRST_PAUSE;
            }
            self.now().tools.clear();
            self.notice(&format!("{ended}; they are gone, it is tried again in {} s", pause.as_secs()));
            self.known.send_if_modified(|known| known.replace(false).is_none());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.closing.cancelled() => break,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.now().tools.clear();
        self.closed.cancel();
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
