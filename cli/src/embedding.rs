//! Embedding of memories and questions by the default embedding model.

use crate::models;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use sojourn_controller::models::ModelKind;
use sojourn_core::Texts;
use sojourn_memory::{IndexProgress, IndexStage, Memories, Tenant};

/// The vector of a text and the name of its model; `None` where the model is not on this machine.
///
/// # Errors
/// When the model fails.
pub async fn of_question(text: &str) -> Result<Option<(String, Vec<f32>)>> {
    let Some(embedder) = models::embedder_if_present(&models::open()?).await else { return Ok(None) };
    let vector = embedder.embed(&[text.to_owned()]).await?.pop();
    Ok(vector.map(|vector| (embedder.model().name.clone(), vector)))
}

/// The name of the default embedding model.
pub fn model_name() -> Option<String> {
    models::default_name(&models::open().ok()?, ModelKind::Embedding).ok()
}

/// Embeds the memories that lack a vector, with a progress bar. Returns their number, or `None` where the model is not on
/// this machine.
///
/// # Errors
/// When the model fails; vectors computed until then are kept.
pub async fn embed_missing(memories: &Memories, tenant: &Tenant) -> Result<Option<u64>> {
    let Some(model) = model_name() else { return Ok(None) };
    if memories.coverage(tenant, &model).await?.is_complete() {
        return Ok(Some(0));
    }
    let Some(embedder) = models::embedder_if_present(&models::open()?).await else { return Ok(None) };
    let bar = Bar::new();
    let count = memories.embed_missing(tenant, &Texts(embedder), &|progress| bar.show(progress)).await?;
    bar.finish();
    Ok(Some(count))
}

/// A progress bar for work on memories. It hides itself where stderr is no terminal.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar of unknown length.
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Shows the progress.
    pub fn show(&self, progress: IndexProgress) {
        self.0.set_message(match progress.stage {
            IndexStage::Embedding => "embedding",
            IndexStage::Reading => "reading",
            IndexStage::Building => "building",
        });
        self.0.set_length(progress.of);
        self.0.set_position(progress.done);
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
