//! Example pictures of labels, kept as memories of the home: the picture, its features, and the label in words.

use crate::home::Home;
use async_trait::async_trait;
use sojourn_core::now_ms;
use sojourn_memory::{Attachment, Embedding, EventSeq, Memories, MemoryKind, NewMemory, Tenant};
use sojourn_perception::ImageMemory;
use sojourn_tools::Media;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// What stands between the handle and the label in the text of an example.
const SHOWS: &str = " shows: ";
/// Limit on the examples of all labels.
const MAX_EXAMPLES: usize = 10_000;
/// Importance of an example, of 10.
const IMPORTANCE: f32 = 3.0;

/// The examples in a home's memory. It is opened at the first use.
pub struct HomeImages {
    home: Home,
    /// Name of the model whose features are kept; those of others cannot be compared.
    model: String,
    opened: OnceCell<(Memories, Tenant)>,
}

impl fmt::Debug for HomeImages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HomeImages").field("model", &self.model).finish_non_exhaustive()
    }
}

impl HomeImages {
    /// The examples in `home`, by features of `model`.
    pub fn new(home: &Home, model: &str) -> Self {
        Self { home: home.clone(), model: model.to_owned(), opened: OnceCell::new() }
    }

    async fn memories(&self) -> Result<&(Memories, Tenant), String> {
        let open = async || {
            let store = self.home.store().await.map_err(|error| format!("{error:#}"))?;
            let tenant = Home::tenant().map_err(|error| format!("{error:#}"))?;
            Ok::<_, String>((Memories::new(store), tenant))
        };
        self.opened.get_or_try_init(open).await
    }
}

#[async_trait]
impl ImageMemory for HomeImages {
    async fn teach(
        &self,
        label: &str,
        media: &Media,
        bytes: Arc<[u8]>,
        features: &[f32],
    ) -> Result<(), String> {
        let (memories, tenant) = self.memories().await?;
        let text = |error: sojourn_memory::Error| error.to_string();
        let count = memories.pictures(tenant, &self.model, now_ms()).await.map_err(text)?.len();
        if count >= MAX_EXAMPLES {
            return Err(format!(
                "{count} examples are kept, and no more fit; `sojourn memory forget` removes some"
            ));
        }
        let blob = memories.store().put_blob(&bytes).await.map_err(text)?;
        let example = NewMemory {
            importance: IMPORTANCE,
            event_time_ms: now_ms(),
            seq: number(label, media),
            attachment: Some(Attachment { blob, media_type: media.mime.clone() }),
            // The label was given by a model or a skill that has seen the picture, and pictures are from outside.
            untrusted: true,
            ..NewMemory::new(tenant.clone(), MemoryKind::Fact, format!("{}{SHOWS}{label}", media.handle()))
        };
        let vector = Embedding { model: self.model.clone(), vector: features.to_owned() };
        memories.remember(&example, &[vector]).await.map_err(text)?;
        Ok(())
    }

    async fn taught(&self) -> Result<BTreeMap<String, Vec<Vec<f32>>>, String> {
        let (memories, tenant) = self.memories().await?;
        let pictures =
            memories.pictures(tenant, &self.model, now_ms()).await.map_err(|error| error.to_string())?;
        let mut taught: BTreeMap<String, Vec<Vec<f32>>> = BTreeMap::new();
        for (memory, features) in pictures {
            // Other memories have pictures too.
            if let Some((handle, label)) = memory.text.split_once(SHOWS)
                && handle.starts_with("media:")
                && !handle.contains(char::is_whitespace)
            {
                taught.entry(label.to_owned()).or_default().push(features);
            }
        }
        Ok(taught)
    }
}

/// A number for this label and picture: the memory of both is always the same one.
fn number(label: &str, media: &Media) -> EventSeq {
    let digits = sojourn_memory::BlobId::of(format!("{label}\0{}", media.blob).as_bytes()).to_string();
    let number = u64::from_str_radix(&digits[..16], 16).unwrap_or_default();
    EventSeq(number >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_tools::EnvironmentRegistry;
    use sojourn_tools::media::described;

    #[tokio::test]
    async fn examples_outlive_the_process_and_are_kept_once_for_each_label() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::find(Some(folder.path().to_owned()), EnvironmentRegistry::default()).unwrap();
        let images = HomeImages::new(&home, "eyes");
        let bytes: Arc<[u8]> = Arc::from(*b"\x89PNG\r\n\x1a\n, a cat");
        let media = described(&bytes, "image/png", "camera");
        for label in ["cat", "cat", "an animal: small"] {
            images.teach(label, &media, Arc::clone(&bytes), &[3.0, 4.0]).await.unwrap();
        }
        drop(images);
        let again = HomeImages::new(&home, "eyes").taught().await.unwrap();
        assert_eq!(again.keys().collect::<Vec<_>>(), ["an animal: small", "cat"]);
        assert_eq!(again["cat"], [vec![0.6, 0.8]]);
        let other = HomeImages::new(&home, "other eyes").taught().await.unwrap();
        assert!(other.is_empty(), "features of another model cannot be compared");
    }
}
