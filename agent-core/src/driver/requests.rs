//! What people ask of a run from other processes while it goes on: that it pauses, or that it takes up a goal.

use super::{DriveError, Driver};
use crate::model::{ControlRecord, Effect};
use async_trait::async_trait;
use serde_json::Value;
use sojourn_memory::Durability;
use sojourn_tools::{EnvironmentSpec, TaskSpec};

/// What people ask of a run. Nothing of it is asked while recorded records are left: the log has what was asked before.
#[async_trait]
pub trait Requests: Send + Sync {
    /// The next goal that somebody asked for, with what it means in the world. Goals that mean nothing there are settled and left out.
    async fn goal(&self, situation: &GoalSituation<'_>) -> Option<AskedGoal>;

    /// The goal is in the log: it is asked for no more.
    async fn taken_up(&self, goal: &AskedGoal);

    /// Who asked the run to pause; `None` where nobody did but by a signal.
    async fn paused_by(&self) -> Option<String>;
}

/// What a goal that is asked for is read in.
#[derive(Debug)]
pub struct GoalSituation<'a> {
    /// The world, with the tasks that the run has found out.
    pub world: &'a EnvironmentSpec,
    /// The tasks that the run may propose; all when empty.
    pub tasks: &'a [String],
    /// The latest state; null before the first episode.
    pub state: &'a Value,
}

/// A goal that somebody asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct AskedGoal {
    /// The number of the request.
    pub request: i64,
    /// The goal in words.
    pub text: String,
    /// Its task: one of the world's, or one under its own condition.
    pub task: TaskSpec,
    /// Tasks that the run may propose from now on, besides those that it may already.
    pub only: Vec<String>,
    /// Who asked.
    pub by: String,
}

impl Driver {
    /// Lets people ask of the run what [`Requests`] can be asked.
    #[must_use]
    pub fn with_requests(self, requests: Option<std::sync::Arc<dyn Requests>>) -> Self {
        Self { requests, ..self }
    }

    /// Takes up the goals that were asked for since the episode before, if an episode is about to start. Each is a record before it
    /// changes anything.
    pub(super) async fn take_up_goals(&mut self, effects: &[Effect]) -> Result<(), DriveError> {
        let Some(requests) = self.requests.clone() else { return Ok(()) };
        if !effects.iter().any(|effect| matches!(effect, Effect::StartEpisode { .. })) {
            return Ok(());
        }
        loop {
            {
                let journal = self.journal.lock().await;
                if journal.replaying() || !journal.writes() || self.cancel.is_cancelled() {
                    return Ok(());
                }
            }
            let situation = GoalSituation {
                world: self.core.spec(),
                tasks: &self.core.config().tasks,
                state: self.core.state(),
            };
            let Some(asked) = requests.goal(&situation).await else { return Ok(()) };
            let AskedGoal { text, task, only, by, .. } = asked.clone();
            let goal = self.redactor.any(ControlRecord::GoalAdded { goal: text, task, only, by })?;
            {
                let mut journal = self.journal.lock().await;
                journal.append_control(goal).await?;
                journal.commit(Durability::Effect).await?;
            }
            self.apply_controls().await?;
            requests.taken_up(&asked).await;
        }
    }

    /// Notes that the run was paused, and who asked for it.
    pub(super) async fn note_pause(&self) -> Result<(), DriveError> {
        let Some(requests) = &self.requests else { return Ok(()) };
        let by = requests.paused_by().await;
        Ok(self.journal.lock().await.note_pause(by).await?)
    }
}
