//! Who records what happens while a skill runs.

use super::ExecutorError;
use crate::model::SkillEvent;
use async_trait::async_trait;

/// Records what happens while a skill runs, in order.
#[async_trait]
pub trait Recorder: Send {
    /// Records an event before anything else happens.
    ///
    /// # Errors
    /// When it cannot be recorded, or differs from the recorded one. The executor then stops the skill at once.
    async fn record(&mut self, event: SkillEvent) -> Result<(), ExecutorError>;
}

/// Records nothing. Trials use it: only their verdict is logged.
pub struct Unrecorded;

#[async_trait]
impl Recorder for Unrecorded {
    async fn record(&mut self, _event: SkillEvent) -> Result<(), ExecutorError> {
        Ok(())
    }
}
