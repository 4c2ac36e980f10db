//! Pictures and words compared: `NAME_classify` and `NAME_similar` by a dual encoder, `NAME_match` by a fusion encoder.

use super::{CompareArguments, Sight, outcome, picture};
use crate::kept::Kept;
use crate::words::check_labels;
use crate::{DualEncoder, Matcher, Picture, similarity};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sojourn_tools::{CallContext, Media, ToolOutcome};
use std::sync::Arc;

/// Labels that the text of an outcome lists.
const LISTED: usize = 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SimilarArguments {
    /// Handle of the picture.
    media: String,
    /// Handle of another picture.
    #[serde(default)]
    other: Option<String>,
    /// Or a text.
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassifyArguments {
    /// Handle of the picture.
    media: String,
    /// What it may show, in words, such as "a photo of a cat".
    labels: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MatchArguments {
    /// Handle of the picture.
    media: String,
    /// A sentence about it.
    text: String,
}

/// What the networks that compare pictures with words said.
#[derive(Default)]
pub(super) struct Words {
    /// Vectors of pictures.
    seen: Kept<Vec<f32>>,
    matched: Kept<f32>,
}

const NO_FOLDER: &str = "no network that compares pictures with words is set";

impl Sight {
    pub(super) async fn similar(
        self: &Arc<Self>,
        args: &SimilarArguments,
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        let (cosine, about) = match (&args.other, &args.text) {
            (Some(other), None) => {
                let args = CompareArguments { a: args.media.clone(), b: other.clone() };
                let (one, one_features) = self.features(&args.a, context).await?;
                let (other, other_features) = self.features(&args.b, context).await?;
                (similarity(&one_features, &other_features), vec![one, other])
            }
            (None, Some(text)) => {
                let (media, seen) = self.seen(&args.media, context).await?;
                let text = text.clone();
                let compared = self.work(&media, move |sight, _| {
                    sight.dual()?.similarity(&seen, &text).map_err(|error| error.to_string())
                });
                (compared.await?, vec![media])
            }
            _ => return Err("give another picture or a text to compare with, one of them".to_owned()),
        };
        Ok(outcome("", json!(cosine), format!("{cosine:.3}"), about))
    }

    pub(super) async fn classify(
        self: &Arc<Self>,
        args: &ClassifyArguments,
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        check_labels(&args.labels).map_err(|error| error.to_string())?;
        let (media, seen) = self.seen(&args.media, context).await?;
        let labels = args.labels.clone();
        let found = self.work(&media, move |sight, wanted| {
            // Each label takes a while, so a call that is given up ends between two.
            let dual = sight.dual()?;
            if wanted.is_asked() {
                return Err("nobody waits for it".to_owned());
            }
            let found = dual.classify(&seen, &labels).map_err(|error| error.to_string())?;
            let shown = |label: &crate::Labelled| format!("{}: {:.3}", label.label, label.probability);
            let text: Vec<String> = found.iter().take(LISTED).map(shown).collect();
            let all: Vec<Value> = found
                .iter()
                .map(|it| json!({"label": it.label, "probability": it.probability, "similarity": it.similarity}))
                .collect();
            Ok((json!({"label": found.first().map(|it| it.label), "labels": all}), text.join("\n")))
        });
        let (value, text) = found.await?;
        Ok(outcome("", value, text, vec![media]))
    }

    /// `match` is a word of the language.
    pub(super) async fn r#match(
        self: &Arc<Self>,
        args: &MatchArguments,
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        let (media, bytes) = picture(&args.media, context).await?;
        let key = format!("{} {}", media.blob, args.text);
        let probability = if let Some(known) = self.words.matched.get(&key) {
            known
        } else {
            let text = args.text.clone();
            let matching = self.work(&media, move |sight, _| {
                let picture = Picture::decode(&bytes).map_err(|error| error.to_string())?;
                sight.matcher()?.matches(&picture, &text).map_err(|error| error.to_string())
            });
            self.words.matched.put(key, matching.await?)
        };
        Ok(outcome("", json!(*probability), format!("{probability:.3}"), vec![media]))
    }

    /// The vector of a picture in the space that texts share.
    async fn seen(
        self: &Arc<Self>,
        handle: &str,
        context: &CallContext,
    ) -> Result<(Media, Arc<Vec<f32>>), String> {
        let (media, bytes) = picture(handle, context).await?;
        if let Some(known) = self.words.seen.get(&media.blob) {
            return Ok((media, known));
        }
        let looking = self.work(&media, move |sight, _| {
            let picture = Picture::decode(&bytes).map_err(|error| error.to_string())?;
            sight.dual()?.picture(&picture).map_err(|error| error.to_string())
        });
        let seen = self.words.seen.put(media.blob.clone(), looking.await?);
        Ok((media, seen))
    }

    fn dual(&self) -> Result<Arc<DualEncoder>, String> {
        let folder = self.eyes.dual.as_ref().ok_or(NO_FOLDER)?;
        self.networks.get("dual", &[folder], || DualEncoder::open(folder).map_err(|error| error.to_string()))
    }

    fn matcher(&self) -> Result<Arc<Matcher>, String> {
        let folder = self.eyes.matcher.as_ref().ok_or(NO_FOLDER)?;
        self.networks.get("matcher", &[folder], || Matcher::open(folder).map_err(|error| error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use crate::see::tests::{call, eyes_of_words, png};
    use serde_json::json;
    use sojourn_tools::MediaStore as _;

    #[tokio::test]
    async fn pictures_are_compared_with_words_and_bad_words_are_clear_failures() {
        let (toolbox, store) = eyes_of_words();
        let media = store.put(png(true), "image/png", "camera").unwrap().handle();
        let labels = json!(["a red circle", "two blue squares, at night"]);
        let found = call(&toolbox, &store, "see_classify", json!({"media": media, "labels": labels})).await;
        let value = found.value.unwrap();
        let shares: f64 =
            value["labels"].as_array().unwrap().iter().map(|it| it["probability"].as_f64().unwrap()).sum();
        assert!((shares - 1.0).abs() < 1e-5, "{value}");
        assert_eq!(value["label"], value["labels"][0]["label"]);
        let similar = json!({"media": media, "text": value["label"]});
        let similar = call(&toolbox, &store, "see_similar", similar).await.value.unwrap();
        assert_eq!(similar, value["labels"][0]["similarity"]);
        let fits = call(&toolbox, &store, "see_match", json!({"media": media, "text": "a cat"})).await;
        assert!((0.0..=1.0).contains(&fits.value.unwrap().as_f64().unwrap()));
        let many: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
        for (tool, args, expected) in [
            ("see_classify", json!({"media": media, "labels": []}), "1 to 256 labels; there are 0"),
            ("see_classify", json!({"media": media, "labels": many}), "there are 10000"),
            ("see_classify", json!({"media": media, "labels": [""]}), "a text is empty"),
            ("see_similar", json!({"media": media}), "one of them"),
            ("see_similar", json!({"media": media, "text": "x".repeat(1001)}), "the limit is 1000"),
            ("see_match", json!({"media": media, "text": ""}), "a text is empty"),
        ] {
            let message = call(&toolbox, &store, tool, args).await.message;
            assert!(message.contains(expected), "{message}");
        }
    }
}
