//! Writes the events of a running skill to the journal.

use super::executor::{ExecutorError, Recorder};
use super::frames::{FrameMoment, FrameSettings, Frames};
use super::journal::{Journal, JournalError};
use super::observer::{Notice, Observer};
use super::redact::Redactor;
use super::restrictions::Restrictions;
use super::time_limit::{LAST_STEP, TimeLimit};
use crate::model::{Payload as _, RecordKind, SkillEvent};
use async_trait::async_trait;
use sojourn_controller::Cancel;
use sojourn_memory::Durability;
use sojourn_tools::Environment;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Records the events of the run's own episodes.
pub(super) struct JournalRecorder {
    pub journal: Arc<Mutex<Journal>>,
    pub observer: Arc<dyn Observer>,
    pub cancel: Cancel,
    pub redactor: Redactor,
    /// A process that resumes the run within a skill may bring a stricter policy.
    pub restrictions: Restrictions,
    /// Whether every event must be durable at once, because the environment cannot repeat it.
    pub durable: bool,
    /// When a skill is cut off.
    pub limit: TimeLimit,
    /// Pictures of the world.
    pub frames: Arc<Frames>,
    /// How often they are taken.
    pub frame_settings: FrameSettings,
}

#[async_trait]
impl Recorder for JournalRecorder {
    async fn record(&mut self, event: SkillEvent) -> Result<(), ExecutorError> {
        let event = self.redactor.any(event).map_err(ExecutorError::Secret)?;
        let payload = event.to_payload().map_err(JournalError::from)?;
        let mut journal = self.journal.lock().await;
        let noted = journal.note_payload(event.kind(), &payload).await?;
        let controls = journal.read_controls().await?;
        self.restrictions.heed(controls).map_err(|error| ExecutorError::Tools(error.to_string()))?;
        if self.durable && !noted.replayed {
            journal.commit(Durability::Effect).await?;
        }
        let is_step = matches!(event, SkillEvent::Stepped(_));
        let cut_off = is_step && noted.replayed && journal.peek(RecordKind::OutOfTime).await?.is_some();
        drop(journal);
        self.observer.notice(&Notice::Skill { event: &event, noted });
        // An interruption waits for the end of the step.
        if is_step && self.cancel.is_cancelled() {
            return Err(ExecutorError::Interrupted);
        }
        if cut_off || (is_step && !noted.replayed && self.limit.is_over()) {
            return Err(ExecutorError::OutOfTime);
        }
        Ok(())
    }

    async fn before_step(&mut self) -> Result<(), ExecutorError> {
        let journal = self.journal.lock().await;
        // The step was given up.
        if journal.replaying() && journal.peek(RecordKind::OutOfTime).await?.is_some() {
            return Err(ExecutorError::OutOfTime);
        }
        Ok(())
    }

    async fn given_up(&mut self) -> ExecutorError {
        let interrupted = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(LAST_STEP).await;
        };
        tokio::select! {
            () = interrupted => ExecutorError::Interrupted,
            () = self.limit.over() => ExecutorError::OutOfTime,
        }
    }

    async fn frame(&mut self, environment: &mut dyn Environment, ended: bool) -> Result<(), ExecutorError> {
        let moment = if ended { FrameMoment::End } else { FrameMoment::Step };
        Ok(self.frames.take(self.frame_settings, environment, moment).await?)
    }
}
