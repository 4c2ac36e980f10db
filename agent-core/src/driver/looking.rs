//! Handler of a look at the world, and the bytes of the pictures that a request shows.

use super::executor::ExecutorError;
use super::frames::FrameSettings;
use super::{DriveError, Driver, Step};
use crate::model::{Event, RecordKind};
use sojourn_controller::Request;
use sojourn_tools::schema::identifier;

impl Driver {
    pub(super) async fn look(&mut self) -> Result<Step, DriveError> {
        if let Some(step) = self.recorded(&[RecordKind::Looked]).await? {
            return Ok(step);
        }
        let settings = FrameSettings::of(self.core.config());
        let environment = self.environment.as_mut().ok_or(ExecutorError::Busy)?;
        let picture = self.frames.look(settings, environment.as_mut()).await;
        let eyes = self.core.config().tools.as_ref().and_then(|tools| tools.eyes.as_deref());
        let trusted = eyes.is_some_and(|eyes| self.restrictions.trusts(&identifier(eyes, "look")));
        self.derived(Event::Looked { picture, shown: self.controller.sees(), trusted }).await
    }

    /// Adds the bytes of the pictures that a request shows. Those that are gone are left out, so their text stands for them.
    pub(super) async fn attach_pictures(&self, request: &mut Request) {
        if !self.controller.sees() {
            return;
        }
        let shown: Vec<String> = request.shows().map(|picture| picture.blob.clone()).collect();
        for blob in shown {
            match self.frames.bytes(&blob).await {
                Ok(bytes) => drop(request.pictures.insert(blob, bytes)),
                Err(error) => tracing::warn!(%error, "a picture is not shown to the controller"),
            }
        }
    }
}
