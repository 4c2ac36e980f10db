//! Pictures that a reader of files has to survive: too large, cut off, animated, of other colours, turned, or of another kind than
//! their name says. `scripts/odd_media.py` makes them, and Pillow says what they show.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use sojourn_perception::{Describer, Eyes, MAX_FILE_BYTES, Picture, PictureError, ReaderFiles, see};
use sojourn_tools::{
    CallContext, CallLimits, Media, MediaInMemory, MediaStore as _, ToolCall, ToolOutcome, Toolbox,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Largest difference of a channel to Pillow's: decoders of JPEG round differently.
const CLOSE: u8 = 4;

#[derive(Deserialize)]
struct Expected {
    #[serde(default)]
    size: Option<(u32, u32)>,
    /// X, Y, red, green, blue.
    #[serde(default)]
    points: Vec<(u32, u32, u8, u8, u8)>,
    #[serde(default)]
    error: Option<String>,
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Each file: its name, its bytes and what is expected.
fn odd() -> Vec<(String, Vec<u8>, Expected)> {
    let folder = fixtures().join("odd");
    let expected: BTreeMap<String, Expected> =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let files: Vec<_> = expected
        .into_iter()
        .map(|(name, expected)| (name.clone(), std::fs::read(folder.join(name)).unwrap(), expected))
        .collect();
    assert!(files.len() > 50);
    files
}

#[test]
fn each_is_decoded_as_pillow_does_or_a_clear_error() {
    for (name, bytes, expected) in odd() {
        match (Picture::decode(&bytes), expected) {
            (Ok(picture), Expected { size: Some(size), points, .. }) => {
                let (width, height) = (picture.width(), picture.height());
                assert_eq!((width, height), size, "{name}");
                let rgb = picture.into_rgb();
                for (x, y, red, green, blue) in points {
                    let at = (y as usize * width as usize + x as usize) * 3;
                    let off = rgb[at..at + 3]
                        .iter()
                        .zip([red, green, blue])
                        .map(|(one, other)| one.abs_diff(other));
                    assert!(off.max() <= Some(CLOSE), "{name}: {:?} at {x}, {y}", &rgb[at..at + 3]);
                }
            }
            (Err(error), Expected { error: Some(part), .. }) => {
                assert!(error.to_string().contains(&part), "{name}: {error}");
            }
            (found, expected) => panic!("{name}: {found:?} instead of {:?}", expected.size),
        }
    }
}

#[test]
fn every_beginning_of_a_file_is_decoded_or_an_error() {
    for (name, bytes, _) in odd().into_iter().filter(|(_, bytes, _)| bytes.len() < 3000) {
        for end in (0..bytes.len()).step_by(7) {
            // Whether it is an error depends on what was cut off; that nothing panics does not.
            let _ = Picture::decode(&bytes[..end])
                .map_err(|error| assert!(!error.to_string().is_empty(), "{name}"));
        }
    }
}

#[test]
fn a_file_above_the_limit_is_not_looked_into() {
    let mut bytes = std::fs::read(fixtures().join("odd/one-pixel.png")).unwrap();
    bytes.resize(MAX_FILE_BYTES as usize + 1, 0);
    assert_eq!(Picture::decode(&bytes), Err(PictureError::FileTooLarge { bytes: MAX_FILE_BYTES + 1 }));
}

/// Answers every question.
#[derive(Debug)]
struct Sure;

#[async_trait]
impl Describer for Sure {
    async fn ask(&self, _: &Media, _: Arc<[u8]>, _: &str, _: &[String]) -> Result<String, String> {
        Ok("a picture".to_owned())
    }
}

/// Eyes with the small networks of the fixtures. What reads text is missing.
fn eyes() -> Toolbox {
    let nowhere = PathBuf::from("/nowhere/at/all");
    let files = ReaderFiles { detector: nowhere.clone(), recogniser: nowhere.clone(), dictionary: nowhere };
    let eyes = Eyes {
        files,
        encoder: Some(fixtures().join("dinov2/model.onnx")),
        dual: Some(fixtures().join("clip")),
        matcher: Some(fixtures().join("blip")),
        images: None,
        describer: Some(Arc::new(Sure)),
        memory_mib: 1024,
        within: Duration::from_mins(10),
    };
    Toolbox::new(vec![Arc::new(see("see", eyes))], CallLimits::default())
}

async fn call(toolbox: &Toolbox, store: &Arc<MediaInMemory>, name: &str, args: Value) -> ToolOutcome {
    let args = args.as_object().cloned().unwrap();
    let context = CallContext { media: Some(store.clone()), ..CallContext::default() };
    toolbox.validate(&ToolCall { name: name.into(), args }).unwrap().run(context).await
}

#[tokio::test]
async fn every_tool_works_with_each_or_says_what_is_wrong_with_it() {
    let (toolbox, store) = (eyes(), Arc::<MediaInMemory>::default());
    let plain = std::fs::read(fixtures().join("odd/one-pixel.png")).unwrap();
    let plain = store.put(plain, "image/png", "camera").unwrap().handle();
    for (name, bytes, expected) in odd() {
        if bytes.is_empty() {
            assert!(store.put(bytes, "image/png", "camera").is_err(), "{name}");
            continue;
        }
        // The largest ones are decoded above. Scaling one for each network takes seconds.
        if expected.size.is_some_and(|(width, height)| u64::from(width) * u64::from(height) > 1_000_000) {
            continue;
        }
        // What the tool that brought it in claims does not matter.
        let handle = store.put(bytes, "image/png", "camera").unwrap().handle();
        let labels = json!({"yes": [handle], "no": [plain]});
        for (tool, args) in [
            ("see_compare", json!({"a": handle, "b": handle})),
            ("see_similar", json!({"media": handle, "other": plain})),
            ("see_similar", json!({"media": handle, "text": "a red circle"})),
            ("see_classify", json!({"media": handle, "labels": ["a red circle", "a photo of a cat"]})),
            ("see_match", json!({"media": handle, "text": "a red circle"})),
            ("see_recognise", json!({"media": handle, "examples": labels})),
            ("see_describe", json!({"media": handle})),
        ] {
            let outcome = call(&toolbox, &store, tool, args).await;
            let told = format!("{name}, {tool}: {}", outcome.to_text());
            match &expected.error {
                // A file of another kind is no picture, whatever was claimed.
                Some(error) => {
                    assert!(!outcome.ok, "{told}");
                    assert!(
                        outcome.message.contains(error) || outcome.message.contains("is no picture"),
                        "{told}"
                    );
                }
                None => assert!(outcome.ok && outcome.value.is_some(), "{told}"),
            }
        }
        let message = call(&toolbox, &store, "see_read", json!({"media": handle})).await.message;
        let part = expected.error.as_deref().unwrap_or("cannot read `/nowhere/at/all`");
        assert!(message.contains(part) || message.contains("is no picture"), "{name}: {message}");
    }
}
