//! The encoders of pictures and words against the reference implementation. `scripts/encoder_fixtures.py` makes the fixtures: models with
//! small random weights, and what the reference says of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde::Deserialize;
use sojourn_perception::{DualEncoder, Encoder, Matcher, Picture};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Largest difference to the reference, for pictures of the size that the network takes.
const CLOSE: f32 = 1e-3;
/// The same for pictures that are scaled first: Pillow rounds between its two passes, and `image` does not.
const SCALED: f32 = 2e-2;

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    text_features: Vec<Vec<f32>>,
    #[serde(default)]
    pictures: BTreeMap<String, Vec<f32>>,
    #[serde(default)]
    labels: BTreeMap<String, Vec<f32>>,
    #[serde(default, rename = "match")]
    matches: BTreeMap<String, Vec<f32>>,
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn reference(name: &str) -> Reference {
    serde_json::from_slice(&std::fs::read(folder(name).join("reference.json")).unwrap()).unwrap()
}

fn picture(model: &str, name: &str) -> Picture {
    Picture::decode(&std::fs::read(folder(model).join(format!("{name}.png"))).unwrap()).unwrap()
}

fn difference(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

fn limit(picture: &str) -> f32 {
    if picture == "wide" { SCALED } else { CLOSE }
}

#[test]
fn dual_encoders_agree_with_the_reference() {
    for model in ["clip", "siglip"] {
        let (encoder, reference) = (DualEncoder::open(&folder(model)).unwrap(), reference(model));
        for (text, expected) in reference.texts.iter().zip(&reference.text_features) {
            let off = difference(&encoder.text(text).unwrap(), expected);
            assert!(off <= CLOSE, "{model}, `{text}`: {off}");
        }
        assert_eq!(reference.pictures.len(), 2);
        for (name, expected) in &reference.pictures {
            let off = difference(&encoder.picture(&picture(model, name)).unwrap(), expected);
            assert!(off <= limit(name), "{model}, {name}: {off}");
        }
    }
}

#[test]
fn an_encoder_of_pictures_agrees_with_the_reference() {
    let (encoder, reference) =
        (Encoder::open(&folder("dinov2").join("model.onnx")).unwrap(), reference("dinov2"));
    assert_eq!(reference.pictures.len(), 2);
    for (name, expected) in &reference.pictures {
        let off = difference(&encoder.features(&picture("dinov2", name)).unwrap(), expected);
        assert!(off <= limit(name), "{name}: {off}");
    }
}

#[test]
fn texts_are_read_in_small_letters_where_the_model_was_trained_so() {
    let here = tempfile::tempdir().unwrap();
    for file in ["config.json", "preprocessor_config.json", "text_model.onnx", "vision_model.onnx"] {
        std::fs::copy(folder("siglip").join(file), here.path().join(file)).unwrap();
    }
    // As it is published with SigLIP 2.
    let tokenizer = std::fs::read(folder("siglip").join("tokenizer.json")).unwrap();
    let mut tokenizer: serde_json::Value = serde_json::from_slice(&tokenizer).unwrap();
    let normalizers = tokenizer["normalizer"]["normalizers"].as_array_mut().unwrap();
    normalizers.retain(|normalizer| normalizer["type"] != "Lowercase");
    std::fs::write(here.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let (encoder, reference) = (DualEncoder::open(here.path()).unwrap(), reference("siglip"));
    for (text, expected) in reference.texts.iter().zip(&reference.text_features) {
        let off = difference(&encoder.text(text).unwrap(), expected);
        assert!(off <= CLOSE, "`{text}`: {off}");
    }
}

#[test]
fn labels_get_the_probabilities_of_the_reference() {
    let (encoder, reference) = (DualEncoder::open(&folder("clip")).unwrap(), reference("clip"));
    let seen = encoder.picture(&picture("clip", "picture")).unwrap();
    let found = encoder.classify(&seen, &reference.texts).unwrap();
    let expected = &reference.labels["picture"];
    for label in &found {
        let at = reference.texts.iter().position(|text| text == label.label).unwrap();
        assert!((label.probability - expected[at]).abs() <= CLOSE, "{label:?} and {}", expected[at]);
    }
    assert!(found.is_sorted_by(|one, other| one.probability >= other.probability));
}

#[test]
fn a_fusion_encoder_agrees_with_the_reference() {
    let (matcher, reference) = (Matcher::open(&folder("blip")).unwrap(), reference("blip"));
    assert_eq!(reference.matches.len(), 2);
    for (name, expected) in &reference.matches {
        for (text, expected) in reference.texts.iter().zip(expected) {
            let off = (matcher.matches(&picture("blip", name), text).unwrap() - expected).abs();
            assert!(off <= limit(name), "{name}, `{text}`: {off}");
        }
    }
}

#[test]
fn a_folder_without_a_model_is_named() {
    let here = tempfile::tempdir().unwrap();
    let error = DualEncoder::open(here.path()).err().unwrap().to_string();
    assert!(error.contains("config.json"), "{error}");
    for file in ["config.json", "tokenizer.json", "preprocessor_config.json"] {
        std::fs::copy(folder("clip").join(file), here.path().join(file)).unwrap();
    }
    for file in ["vision_model.onnx", "text_model.onnx", "model.onnx"] {
        std::fs::write(here.path().join(file), "these are no weights").unwrap();
    }
    let error = DualEncoder::open(here.path()).err().unwrap().to_string();
    assert!(error.contains("vision_model.onnx` cannot be used"), "{error}");
    assert!(Matcher::open(here.path()).err().unwrap().to_string().contains("model.onnx` cannot be used"));
}
