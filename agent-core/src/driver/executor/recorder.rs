//! Who records what happens while a skill runs.

use super::super::time_limit::WorkWatch;
use super::ExecutorError;
use crate::model::SkillEvent;
use async_trait::async_trait;
use sojourn_tools::Environment;

/// Records what happens while a skill runs, in order.
#[async_trait]
pub trait Recorder: Send {
    /// Records an event before anything else happens.
    ///
    /// # Errors
    /// When it cannot be recorded, or differs from the recorded one. The executor then stops the skill at once.
    async fn record(&mut self, event: SkillEvent) -> Result<(), ExecutorError>;

    /// Looks whether the next step may be taken.
    ///
    /// # Errors
    /// Why not.
    async fn before_step(&mut self) -> Result<(), ExecutorError> {
        Ok(())
    }

    /// Waits until a step that takes long is to be given up, and says why.
    async fn given_up(&mut self) -> ExecutorError {
        std::future::pending().await
    }

    /// Takes a picture of the world after a step, where pictures are kept. `ended` says whether the episode is over.
    ///
    /// # Errors
    /// When it cannot be recorded.
    async fn frame(&mut self, environment: &mut dyn Environment, ended: bool) -> Result<(), ExecutorError> {
        let _ = (environment, ended);
        Ok(())
    }
}

/// Records nothing: of trials only the verdict is logged. Before each event it looks whether the trial may continue.
pub struct Unrecorded(pub(in crate::driver) WorkWatch);

#[async_trait]
impl Recorder for Unrecorded {
    async fn record(&mut self, _event: SkillEvent) -> Result<(), ExecutorError> {
        self.0.check()
    }

    async fn given_up(&mut self) -> ExecutorError {
        self.0.stopped().await
    }
}
