//! Pictures that labels were taught by: `NAME_teach`, and what `NAME_recognise` compares with where it is given no examples.

use super::{Sight, outcome};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sojourn_tools::media::MAX_MEDIA_OF_A_RESULT;
use sojourn_tools::{CallContext, Media, ToolOutcome};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Longest label, in characters.
const MAX_LABEL: usize = 80;

/// Keeps example pictures of labels, and their features, longer than a run.
#[async_trait]
pub trait ImageMemory: Send + Sync + fmt::Debug {
    /// Keeps a picture as an example of `label`. Keeping it again changes nothing.
    ///
    /// # Errors
    /// Why it cannot be kept, in lower case.
    async fn teach(
        &self,
        label: &str,
        media: &Media,
        bytes: Arc<[u8]>,
        features: &[f32],
    ) -> Result<(), String>;

    /// The features of all examples, by their labels.
    ///
    /// # Errors
    /// Why they cannot be read, in lower case.
    async fn taught(&self) -> Result<BTreeMap<String, Vec<Vec<f32>>>, String>;
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TeachArguments {
    /// What the pictures show: a label of at most 80 characters.
    name: String,
    /// Handles of the pictures.
    media: Vec<String>,
}

impl Sight {
    pub(super) async fn teach(
        self: &Arc<Self>,
        args: &TeachArguments,
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        let label = args.name.trim();
        let length = label.chars().count();
        if length == 0 || length > MAX_LABEL || label.chars().any(char::is_control) {
            return Err(format!("a label has 1 to {MAX_LABEL} characters on one line"));
        }
        if args.media.is_empty() || args.media.len() > MAX_MEDIA_OF_A_RESULT {
            return Err(format!(
                "give 1 to {MAX_MEDIA_OF_A_RESULT} pictures; there are {}",
                args.media.len()
            ));
        }
        let images = self.images()?;
        // All pictures are looked at before one is kept.
        let mut examples = Vec::with_capacity(args.media.len());
        for handle in &args.media {
            let (media, features) = self.features(handle, context).await?;
            let (_, bytes) = context.media(handle).await.map_err(|error| error.to_string())?;
            examples.push((media, bytes, features));
        }
        for (media, bytes, features) in &examples {
            images.teach(label, media, Arc::clone(bytes), features).await?;
        }
        let count = images.taught().await?.get(label).map_or(0, Vec::len);
        let text = match count {
            1 => format!("\"{label}\" has one example now"),
            count => format!("\"{label}\" has {count} examples now"),
        };
        let about = examples.into_iter().map(|(media, ..)| media).collect();
        Ok(outcome("", json!({"label": label, "examples": count}), text, about))
    }

    pub(super) fn images(&self) -> Result<&Arc<dyn ImageMemory>, String> {
        self.eyes.images.as_ref().ok_or_else(|| "nothing keeps examples here".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use crate::ImageMemory;
    use crate::see::tests::{call, eyes_that_remember, png};
    use async_trait::async_trait;
    use serde_json::json;
    use sojourn_tools::{Media, MediaStore as _};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    type Kept = BTreeMap<String, Vec<Vec<f32>>>;

    #[derive(Debug, Default)]
    struct InMemory(Mutex<Kept>);

    #[async_trait]
    impl ImageMemory for InMemory {
        async fn teach(&self, label: &str, _: &Media, _: Arc<[u8]>, features: &[f32]) -> Result<(), String> {
            self.0.lock().unwrap().entry(label.to_owned()).or_default().push(features.to_owned());
            Ok(())
        }

        async fn taught(&self) -> Result<Kept, String> {
            Ok(self.0.lock().unwrap().clone())
        }
    }

    #[tokio::test]
    async fn bad_labels_and_missing_pictures_teach_nothing() {
        let images = Arc::new(InMemory::default());
        let (toolbox, store) = eyes_that_remember(Some(images.clone()));
        let media = store.put(png(true), "image/png", "camera").unwrap().handle();
        for (args, expected) in [
            (json!({"name": " ", "media": [media]}), "1 to 80 characters"),
            (json!({"name": "a\nb", "media": [media]}), "1 to 80 characters"),
            (json!({"name": "x".repeat(81), "media": [media]}), "1 to 80 characters"),
            (json!({"name": "a", "media": []}), "give 1 to 32 pictures"),
            (
                json!({"name": "a", "media": ["media:0123456789abcdef"]}),
                "there is no `media:0123456789abcdef`",
            ),
            (json!({"name": "a", "media": [media]}), "cannot read `/nowhere/else`"),
        ] {
            let message = call(&toolbox, &store, "see_teach", args).await.message;
            assert!(message.contains(expected), "{message}");
        }
        assert_eq!(images.taught().await.unwrap(), Kept::new());
        let unknown = call(&toolbox, &store, "see_recognise", json!({"media": media})).await.message;
        assert!(unknown.contains("nothing was taught"), "{unknown}");
        let (toolbox, _) = eyes_that_remember(None);
        let message =
            call(&toolbox, &store, "see_teach", json!({"name": "a", "media": [media]})).await.message;
        assert!(message.contains("nothing keeps examples here"), "{message}");
    }
}
