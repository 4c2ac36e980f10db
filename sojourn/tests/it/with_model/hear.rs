//! Speech by real networks: how many words are wrong, and a run that listens and replays without them.
#![cfg(feature = "perception")]
#![allow(clippy::unwrap_used, reason = "what helpers of tests may do is what tests may do")]

use crate::support::{command, place};
use serde_json::{Value, json};
use sojourn_testkit::{answer, reply, serve, skipped};
use std::path::Path;
use std::process::Output;

/// Where Debian's `pocketsphinx-testdata` puts five sentences of an audio book, and their words.
const CLIPS: &str = "/usr/share/pocketsphinx/test/data/librivox";

/// With the models of this machine, or with none.
fn sojourn(place: &Path, models: bool, args: &[&str]) -> Output {
    let mut command = command(place, args);
    if models {
        command.env_remove("SOJOURN_MODELS").env_remove("XDG_CACHE_HOME");
    }
    command.output().unwrap()
}

fn text(place: &Path, models: bool, args: &[&str]) -> String {
    let output = sojourn(place, models, args);
    let [told, complained] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{args:?}: {told} {complained}");
    told.into_owned()
}

/// Why this cannot be tested here.
fn lacking(place: &Path) -> Option<&'static str> {
    if !Path::new(CLIPS).exists() {
        return Some("the package pocketsphinx-testdata is not installed");
    }
    let tried = sojourn(place, true, &["models", "path", "whisper-tiny.en"]);
    (!tried.status.success()).then_some("the model whisper-tiny.en was not pulled")
}

fn words(text: &str) -> Vec<String> {
    let plain: String = text
        .to_lowercase()
        .replace("mr.", "mister")
        .chars()
        .map(|c| if c.is_alphanumeric() || c == '\'' { c } else { ' ' })
        .collect();
    plain.split_whitespace().map(str::to_owned).collect()
}

/// Words to insert, leave out or change (Levenshtein).
fn distance(one: &[String], other: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, word) in one.iter().enumerate() {
        let mut before = std::mem::replace(&mut row[0], at + 1);
        for (column, theirs) in other.iter().enumerate() {
            let changed = before + usize::from(word != theirs);
            before = row[column + 1];
            row[column + 1] = changed.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[test]
fn an_audio_book_is_written_down() {
    let place = place();
    if let Some(why) = lacking(place.path()) {
        skipped(why);
        return;
    }
    let (mut wrong, mut count) = (0, 0);
    for line in std::fs::read_to_string(Path::new(CLIPS).join("transcription")).unwrap().lines() {
        let (spoken, clip) = line.strip_prefix("<s> ").unwrap().split_once(" </s> (").unwrap();
        let clip = Path::new(CLIPS).join(format!("{}.wav", clip.trim_end_matches(')')));
        let heard: Value =
            serde_json::from_str(&text(place.path(), true, &["hear", clip.to_str().unwrap(), "--json"]))
                .unwrap();
        let segments = heard["segments"].as_array().unwrap();
        let heard: Vec<String> =
            segments.iter().flat_map(|segment| words(segment["text"].as_str().unwrap())).collect();
        wrong += distance(&words(spoken), &heard);
        count += words(spoken).len();
    }
    assert!(wrong * 10 <= count, "{wrong} of {count} words");
}

/// Opens the sound, then listens to it, then acts.
fn model() -> String {
    serve(|request| {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let question = body["messages"].as_array()?.last()?["content"].as_str()?;
        let handle = question.find("media:").map(|at| &question[at..at + "media:".len() + 16]);
        let call = match handle {
            None => json!({"tool": "tape_read", "args": {"path": "clip.wav"}}),
            Some(handle) if !question.contains("amiable") => {
                json!({"tool": "hear_transcribe", "args": {"media": handle}})
            }
            Some(_) => return answer(&request.body),
        };
        Some(reply(&call.to_string(), body["n"].as_u64().unwrap_or(1)))
    }) + "/v1"
}

#[test]
fn a_run_listens_to_a_sound_and_replays_without_the_model() {
    let place = place();
    if let Some(why) = lacking(place.path()) {
        skipped(why);
        return;
    }
    let tape = place.path().join("tape");
    std::fs::create_dir(&tape).unwrap();
    std::fs::copy(
        Path::new(CLIPS).join("sense_and_sensibility_01_austen_64kb-0930.wav"),
        tape.join("clip.wav"),
    )
    .unwrap();
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n\
         [run]\nlibrary = false\nmemory = false\n\
         [tools.tape]\nkind = \"files\"\nroot = \"tape\"\n[tools.hear]\nkind = \"hear\"\n",
        model()
    );
    std::fs::write(place.path().join("agent.toml"), agent).unwrap();
    let absent = sojourn(place.path(), false, &["run", "agent.toml", "--steps", "1"]);
    let complaint = String::from_utf8_lossy(&absent.stderr);
    assert!(complaint.contains("sojourn models pull whisper-tiny.en"), "{complaint}");

    text(place.path(), true, &["run", "agent.toml", "--steps", "2", "--json"]);
    let log = text(place.path(), false, &["log", "latest", "--kind", "tool_answered", "--json"]);
    let answers: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let segments = &answers[1]["payload"]["outcome"]["value"]["segments"];
    assert!(segments[0]["text"].as_str().unwrap().contains("amiable"), "{segments}");
    let verdict: Value =
        serde_json::from_str(&text(place.path(), false, &["replay", "latest", "--verify", "--json"]))
            .unwrap();
    assert_eq!(verdict["matched"], true, "{verdict}");
}
