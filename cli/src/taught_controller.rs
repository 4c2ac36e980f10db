//! A controller with a teacher: a larger model that writes what the controller gave up on.

use async_trait::async_trait;
use sojourn_controller::{Cancel, Controller, ControllerError, ModelInfo, Reply, Request};
use std::sync::Arc;

/// Sends each request to the model that it is for.
pub struct TaughtController {
    /// The agent's own model.
    pub own: Arc<dyn Controller>,
    /// The larger one.
    pub teacher: Arc<dyn Controller>,
}

#[async_trait]
impl Controller for TaughtController {
    fn model(&self) -> &ModelInfo {
        self.own.model()
    }

    fn sees(&self) -> bool {
        self.own.sees()
    }

    fn teacher(&self) -> Option<&ModelInfo> {
        Some(self.teacher.model())
    }

    async fn complete(&self, request: &Request, cancel: &Cancel) -> Result<Reply, ControllerError> {
        let controller = if request.teacher { &self.teacher } else { &self.own };
        controller.complete(request, cancel).await
    }
}
