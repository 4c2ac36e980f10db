//! `sojourn see` on files that a reader of pictures has to survive.
#![cfg(feature = "perception")]
#![allow(clippy::unwrap_used, reason = "what helpers of tests may do is what tests may do")]

use crate::support::{place, root};
use serde_json::{Value, json};
use std::path::PathBuf;

fn fixtures() -> PathBuf {
    root().join("tools/perception/tests/fixtures")
}

#[test]
fn each_file_has_a_size_or_a_clear_error_and_is_equal_to_itself() {
    let place = place();
    let folder = fixtures().join("odd");
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        let file = folder.join(name);
        let file = file.to_str().unwrap();
        if let Some(error) = expected["error"].as_str() {
            let complaint = place.complaint(&["see", file]);
            assert!(complaint.contains(&format!("cannot look at `{file}`: ")), "{complaint}");
            assert!(complaint.contains(error), "{complaint}");
        } else {
            let seen = place.json(&["see", file]);
            assert_eq!(json!([seen["width"], seen["height"]]), expected["size"], "{name}");
        }
    }
    let [one, other] = ["turned-6.jpeg", "turned-6.png"].map(|name| folder.join(name).display().to_string());
    assert_eq!(place.json(&["see", &one, "--compare", &other])["boxes"], json!([]));
}

#[test]
fn labels_and_a_sentence_are_compared_with_a_picture() {
    let place = place();
    let [picture, dual, matcher] =
        ["clip/picture.png", "clip", "blip"].map(|name| fixtures().join(name).display().to_string());
    let reference: Value =
        serde_json::from_slice(&std::fs::read(fixtures().join("clip/reference.json")).unwrap()).unwrap();
    let label = |at: usize| reference["texts"][at].as_str().unwrap();
    let labels = format!("{},{}", label(0), label(2));
    let seen = place.json(&["see", &picture, "--labels", &labels, "--dual", &dual]);
    let share = |at: usize| reference["labels"]["picture"][at].as_f64().unwrap();
    let best = if share(0) > share(2) { 0 } else { 2 };
    assert_eq!(seen["label"], label(best));
    let probability = seen["labels"][0]["probability"].as_f64().unwrap();
    assert!((probability - share(best) / (share(0) + share(2))).abs() < 1e-3, "{seen}");
    let fits = place.json(&["see", &picture, "--match", "a red circle", "--matcher", &matcher]);
    assert!((0.0..=1.0).contains(&fits["probability"].as_f64().unwrap()), "{fits}");

    let many = vec!["cat"; 10_000].join(",");
    for (words, part) in [
        (&["--labels", &many, "--dual", &dual], "give 1 to 256 labels; there are 10000"),
        (&["--labels", "", "--dual", &dual], "a text is empty"),
        (&["--labels", "cat", "--dual", "nowhere"], "cannot read `nowhere/config.json`"),
        (&["--match", "", "--matcher", &matcher], "a text is empty"),
        (&["--match", "cat", "--matcher", "nowhere"], "cannot read `nowhere/model.onnx`"),
    ] {
        let complaint = place.complaint(&[&["see", &picture], &words[..]].concat());
        assert!(complaint.contains(part), "{complaint}");
    }
}
