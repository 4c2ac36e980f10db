//! Handler of requests to the controller.

use super::observer::Notice;
use super::{DriveError, Driver, Step, spans};
use crate::model::{Event, Purpose, RecordKind};
use sojourn_controller::Request;
use tracing::Instrument as _;

impl Driver {
    pub(super) async fn ask_controller(
        &mut self,
        purpose: Purpose,
        mut request: Request,
    ) -> Result<Step, DriveError> {
        let kinds = [RecordKind::ControllerAnswered, RecordKind::ControllerFailed, RecordKind::OutOfTime];
        if let Some(step) = self.recorded(&kinds).await? {
            return Ok(step);
        }
        if request.teacher && self.controller.teacher().is_none() {
            let error =
                "the run has a teacher, and the agent file has none: add [run.teacher] to it".to_owned();
            return self.derived(Event::ControllerFailed { error }).await;
        }
        // The intent is durable before the model is asked, so that its cost is always accounted for.
        self.commit().await?;
        let limit = self.time_limit().await?;
        if limit.is_over() {
            return self.in_time(Err(DriveError::OutOfTime)).await;
        }
        let round = self.core.round();
        self.observer.notice(&Notice::AskingController { purpose, round });
        let teacher = self.controller.teacher().filter(|_| request.teacher);
        let model = teacher.unwrap_or_else(|| self.controller.model());
        let span = spans::chat(&model.name, purpose, &request);
        request.priority = purpose.priority();
        self.attach_pictures(&mut request).await;
        // A request that is dropped is given up by the controller.
        let answer = tokio::select! {
            answer = self.controller.complete(&request, &self.cancel).instrument(span.clone()) => answer,
            // A local model notices the cancellation only after the batch of tokens that it is reading.
            () = self.cancel.cancelled() => return Err(DriveError::Interrupted),
            () = limit.over() => {
                let step = self.in_time(Err(DriveError::OutOfTime)).await?;
                self.commit().await?;
                return Ok(step);
            }
        };
        spans::answered(&span, &answer, &self.redactor);
        if self.cancel.is_cancelled() {
            return Err(DriveError::Interrupted);
        }
        let event = match answer {
            Ok(reply) => match self.redactor.any(reply) {
                Ok(reply) => Event::ControllerAnswered { reply },
                Err(error) => Event::ControllerFailed { error: error.to_string() },
            },
            Err(error) => Event::ControllerFailed { error: self.redactor.text(&error.to_string()) },
        };
        self.observer.notice(&Notice::ControllerAnswered { purpose, event: &event });
        let step = self.derived(event).await?;
        self.commit().await?;
        Ok(step)
    }
}
