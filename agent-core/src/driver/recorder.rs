//! What happens in the episode, in the log.

use super::journal::{Journal, JournalError};
use super::observer::{Notice, Observer};
use super::redact::Redactor;
use super::stage::{Recorder, StageError, StageEvent};
use async_trait::async_trait;
use sojourn_controller::Cancel;
use sojourn_memory::Durability;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Keeps what happens in the episode in the log.
pub(super) struct JournalRecorder {
    pub journal: Arc<Mutex<Journal>>,
    pub observer: Arc<dyn Observer>,
    pub cancel: Cancel,
    pub redactor: Redactor,
    /// Whether what the world is about to do, and did, must be durable at once: because it cannot be done again.
    pub durable: bool,
}

#[async_trait]
impl Recorder for JournalRecorder {
    async fn record(&mut self, event: StageEvent) -> Result<(), StageError> {
        let kind = match &event {
            StageEvent::Called { .. } => "called",
            StageEvent::Stepped(_) => "stepped",
            StageEvent::Returned { .. } => "returned",
        };
        let mut payload = serde_json::to_value(&event).map_err(JournalError::from)?;
        self.redactor.value(&mut payload);
        let mut journal = self.journal.lock().await;
        let noted = journal.note(kind, &payload).await?;
        if self.durable && !noted.replayed {
            journal.commit(Durability::Effect).await?;
        }
        drop(journal);
        self.observer.notice(&Notice::Stage { event: &event, replayed: noted.replayed });
        // Finish the step, then stop.
        if self.cancel.is_cancelled() && matches!(event, StageEvent::Stepped(_)) {
            return Err(StageError::Interrupted);
        }
        Ok(())
    }
}
