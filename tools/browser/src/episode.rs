//! What an episode on a web site is: its goal, its progress, and how a site starts it.

use crate::BrowserError;
use crate::page::Page;
use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_tools::Ending;

/// The goal of an episode.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EpisodeGoal {
    /// The goal in words.
    pub goal: String,
    /// Further state fields, constant during the episode.
    pub state: Map<String, Value>,
}

/// Progress of an episode.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EpisodeStatus {
    /// Reward of the last action.
    pub reward: f64,
    /// 1 once the goal is reached. Appears in the state as `success`.
    pub success: f64,
    /// Tasks completed by the last action.
    pub unlocked: Vec<String>,
    /// Set when the episode is over.
    pub ended: Option<Ending>,
}

/// How episodes start and end on a site.
#[async_trait]
pub trait Site: Send + Sync {
    /// Brings the page to the start of the episode with this seed.
    async fn begin(&mut self, page: &mut Page, seed: u64) -> Result<EpisodeGoal, BrowserError>;

    /// Checks the progress of the episode.
    async fn judge(&mut self, page: &mut Page) -> Result<EpisodeStatus, BrowserError>;

    /// Viewport size in pixels, if it differs from the window's.
    fn size(&self) -> Option<(u32, u32)> {
        None
    }

    /// CSS selector of elements that are not part of the task.
    fn ignored(&self) -> &'static str {
        ""
    }

    /// Whether equal seeds and actions lead to equal pages.
    fn is_deterministic(&self) -> bool {
        false
    }

    /// Whether every episode starts in a new browser context, without the cookies and storage of the previous
    /// one.
    fn isolates_episodes(&self) -> bool {
        false
    }

    /// Whether an episode continues at the same URL after a browser restart.
    fn reopens_after_restart(&self) -> bool {
        false
    }

    /// An independent site for trials in another tab, or `None` if trials could do harm.
    fn fork(&self) -> Option<Box<dyn Site>>;
}
