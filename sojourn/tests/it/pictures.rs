//! The pictures of a run after it: in memory, in training data, and forgotten.

#![allow(clippy::unwrap_used, reason = "what helpers of tests may do is what tests may do")]

use crate::support::{place, root};
use serde_json::Value;
use sojourn_testkit::{Place, answer, serve};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A place with a run in Crafter whose model was shown each moment.
fn looked() -> Place {
    let place = place();
    let base_url = serve(|request| answer(&request.body)) + "/v1";
    place.write(
        "agent.toml",
        format!(
            "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
             [controller]\nkind = \"openai\"\nbase_url = \"{base_url}\"\nvision = true\n\
             [run]\nobserve = [\"text\", \"frame\"]\nframes = \"step\"\n"
        ),
    );
    place.text(&["run", "agent.toml", "--steps", "120"]);
    place
}

#[test]
fn a_run_that_looks_is_remembered_exported_and_forgotten_with_its_pictures() {
    let place = looked();
    assert_eq!(place.json(&["replay", "latest", "--verify"])["matched"], true);
    place.text(&["replay", "latest", "--rebuild"]);

    // Conversations name the pictures that the model was shown, as files.
    place.text(&["log", "export", "latest", "--format", "sft", "--images", "pictures", "--out", "sft.jsonl"]);
    let told = std::fs::read_to_string(place.path().join("sft.jsonl")).unwrap();
    let mut shown = 0;
    for one in told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let parts = one["messages"].as_array().unwrap().iter();
        let parts = parts.flat_map(|message| message["content"].as_array().unwrap());
        let images = one["images"].as_array().unwrap();
        assert_eq!(parts.filter(|part| part["type"] == "image").count(), images.len());
        for image in images {
            let file = std::fs::read(place.path().join(image.as_str().unwrap())).unwrap();
            assert!(file.starts_with(PNG));
            shown += 1;
        }
    }
    assert!(shown > 0, "no conversation shows a picture:\n{told}");

    // Events have the picture of what came of them.
    let found = place.json(&["memory", "search", "", "--kind", "episode", "-k", "100"]);
    let memories = found["memories"].as_array().unwrap().iter().map(|hit| &hit["memory"]);
    let pictured: Vec<&Value> = memories.filter(|memory| memory["attachment"].is_object()).collect();
    assert!(!pictured.is_empty(), "{found}");
    // Of events that read alike only one is found, and the text of the others stays.
    let learned = |memory: &&&Value| memory["text"].as_str().unwrap().starts_with("Learned");
    let one = pictured.iter().find(learned).unwrap();
    let (id, blob) = (one["id"].as_str().unwrap(), &one["attachment"]["blob"]);
    assert!(place.text(&["memory", "show", id]).contains("image/png, 288×288"));
    place.text(&["memory", "show", id, "--out", "one.png"]);
    assert!(std::fs::read(place.path().join("one.png")).unwrap().starts_with(PNG));

    // The bytes of a picture go with the last memory that has it.
    let kept = |place: &sojourn_testkit::Place| {
        let media = place.json(&["log", "media", "latest"]);
        media.as_array().unwrap().iter().any(|media| media["blob"] == *blob && media["kept"] == true)
    };
    assert!(kept(&place));
    let same = pictured.iter().filter(|memory| memory["attachment"]["blob"] == *blob);
    let ids: Vec<&str> = same.map(|memory| memory["id"].as_str().unwrap()).collect();
    let forgotten = place.json(&[&["memory", "forget", "--yes"], &ids[..]].concat());
    let last = forgotten["forgotten"].as_array().unwrap().last().unwrap();
    assert!(last["blobs"].as_u64().unwrap() >= 1 && last["residue"] == serde_json::json!([]), "{forgotten}");
    assert!(!kept(&place));
    place.text(&["log", "verify"]);
}

mod with_network {
    use super::*;
    use serde_json::json;
    use std::process::Command;

    #[test]
    fn a_loader_of_training_data_reads_exported_conversations_with_their_pictures() {
        let place = looked();
        place.text(&[
            "log",
            "export",
            "latest",
            "--format",
            "sft",
            "--images",
            "pictures",
            "--out",
            "sft.jsonl",
        ]);
        let file = place.path().join("sft.jsonl");
        let exported = std::fs::read_to_string(&file).unwrap();
        let conversations: Vec<Value> =
            exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let pictures: usize = conversations.iter().map(|one| one["images"].as_array().unwrap().len()).sum();
        assert!(pictures > 0);
        let script = root().join("scripts/load-sft.sh");
        let load = |file: &std::path::Path| {
            let loaded = Command::new(&script).arg(file).output().unwrap();
            let said = String::from_utf8_lossy(&loaded.stderr).into_owned();
            (loaded.status.code(), said, String::from_utf8_lossy(&loaded.stdout).into_owned())
        };
        let (code, said, told) = load(&file);
        if code == Some(3) {
            sojourn_testkit::skipped(said);
            return;
        }
        assert_eq!(code, Some(0), "{said}");
        let read: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(read[0]["conversations"], conversations.len(), "{read}");
        assert_eq!((&read[0]["pictures"], &read[0]["sizes"]), (&json!(pictures), &json!([[288, 288]])));
        // Not every conversation has every key.
        let columns: std::collections::BTreeSet<&String> =
            conversations.iter().flat_map(|one| one.as_object().unwrap().keys()).collect();
        assert_eq!(read[0]["columns"], json!(columns));

        // The loader looks: without the pictures it fails.
        std::fs::remove_dir_all(place.path().join("pictures")).unwrap();
        assert_eq!(load(&file).0, Some(1));
    }
}
