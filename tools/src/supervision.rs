//! Restarts the connection to a peer with exponential backoff, and publishes the peer's tools while it is
//! connected.

use crate::declared_effects::DeclaredEffects;
use crate::outside::text::cut;
use crate::{Effects, Tool, ToolSource, ToolSpec};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Backoff before a restart: doubles from the first to the longest backoff.
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_mins(1);
/// Limit on the notices that wait to be taken; the oldest are dropped.
const MAX_NOTICES: usize = 200;
/// Limit on the text of one notice, in characters. It may quote a peer's names.
const MAX_NOTICE_CHARS: usize = 4000;
/// A connection that lasted this long resets the backoff.
const STABLE_AFTER: Duration = Duration::from_mins(1);

/// Supervises one peer: holds the tools it offers now, and notices for the agent.
pub struct Supervisor {
    name: String,
    now: Mutex<Now>,
    /// `Some(true)` once the tools are known, `Some(false)` if the first connection failed, `None` before.
    known: watch::Sender<Option<bool>>,
    closing: CancellationToken,
    closed: CancellationToken,
}

#[derive(Default)]
struct Now {
    tools: Vec<Arc<dyn Tool>>,
    /// What the peer has declared since it was opened.
    effects: DeclaredEffects,
    notices: Vec<String>,
}

/// A source of tools whose peer is supervised.
pub trait Supervised: Send + Sync {
    /// The supervisor of its peer.
    fn supervisor(&self) -> &Supervisor;
}

#[async_trait]
impl<S: Supervised> ToolSource for S {
    fn name(&self) -> &str {
        self.supervisor().name()
    }

    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        self.supervisor().tools()
    }

    fn declared_effects(&self, tool: &ToolSpec) -> Effects {
        self.supervisor().now().effects.declare(&tool.name, tool.effects)
    }

    fn notices(&self) -> Vec<String> {
        self.supervisor().take_notices()
    }

    async fn ready(&self, within: Duration) -> bool {
        self.supervisor().ready(within).await
    }

    async fn close(&self) {
        self.supervisor().close().await;
    }
}

impl Supervisor {
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

    /// Records an event that the agent should know about.
    pub fn notice(&self, text: &str) {
        let notice = format!("the tools of `{}`: {}", self.name, cut(text, MAX_NOTICE_CHARS));
        let mut now = self.now();
        if now.notices.len() == MAX_NOTICES {
            now.notices.remove(0);
        }
        now.notices.push(notice);
    }

    /// Publishes the tools that the peer offers now.
    pub fn publish(&self, tools: Vec<Arc<dyn Tool>>) {
        let mut now = self.now();
        for tool in &tools {
            let ToolSpec { name, effects, .. } = tool.spec();
            now.effects.declare(name, *effects);
        }
        now.tools = tools;
        drop(now);
        let _ = self.known.send_replace(Some(true));
    }

    /// Waits until the tools are known, the first connection has failed, or `within` has passed. Returns
    /// whether the tools are known.
    pub async fn ready(&self, within: Duration) -> bool {
        let mut known = self.known.subscribe();
        let settled = tokio::time::timeout(within, known.wait_for(Option::is_some)).await;
        matches!(settled.map(|known| known.map(|known| *known)), Ok(Ok(Some(true))))
    }

    /// A guard that stops [`supervise`](Self::supervise) when dropped, so that a forgotten `close` leaks no
    /// task.
    pub fn lease(&self) -> DropGuard {
        self.closing.clone().drop_guard()
    }

    /// Stops [`supervise`](Self::supervise) and waits until it has stopped.
    pub async fn close(&self) {
        self.closing.cancel();
        self.closed.cancelled().await;
    }

    /// Runs one connection after another until closed. `connect` runs one connection to its end and returns
    /// the reason why it ended.
    pub async fn supervise<F: Future<Output = String>>(&self, connect: impl Fn() -> F) {
        let mut backoff = MIN_BACKOFF;
        while !self.closing.is_cancelled() {
            let begun = tokio::time::Instant::now();
            let ended = tokio::select! {
                ended = connect() => ended,
                () = self.closing.cancelled() => break,
            };
            if begun.elapsed() >= STABLE_AFTER {
                backoff = MIN_BACKOFF;
            }
            self.now().tools.clear();
            self.notice(&format!(
                "{ended}; they are unavailable, the next attempt is in {} s",
                backoff.as_secs()
            ));
            self.known.send_if_modified(|known| known.replace(false).is_none());
            tokio::select! {
                () = tokio::time::sleep(backoff) => {}
                () = self.closing.cancelled() => break,
            }
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
        self.now().tools.clear();
        self.closed.cancel();
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
