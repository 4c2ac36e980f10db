//! A model that is loaded when it is asked for the first time. A run without deliberation and writing never asks.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sojourn_controller::{Cancel, Controller, ControllerError, ModelInfo, Reply, Request};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Loads a model.
type Load = Box<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Controller>, ControllerError>> + Send + Sync>;

/// A controller that knows its description only, until it is asked.
pub struct LazyController {
    model: ModelInfo,
    load: Load,
    loaded: OnceCell<Arc<dyn Controller>>,
}

impl LazyController {
    /// The controller that `load` makes of the model.
    pub fn new(model: ModelInfo, load: Load) -> Self {
        Self { model, load, loaded: OnceCell::new() }
    }
}

#[async_trait]
impl Controller for LazyController {
    fn model(&self) -> &ModelInfo {
        &self.model
    }

    async fn complete(&self, request: &Request, cancel: &Cancel) -> Result<Reply, ControllerError> {
        self.loaded.get_or_try_init(|| (self.load)()).await?.complete(request, cancel).await
    }
}
