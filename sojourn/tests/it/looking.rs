//! A controller that looks, from the agent file to what arrives at its server.

#![allow(clippy::unwrap_used, reason = "what helpers of tests may do is what tests may do")]

use crate::support::sojourn;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sojourn_testkit::{answer, has, serve};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The data URLs that a server was sent, one list for each request.
type Sent = Arc<Mutex<Vec<Vec<String>>>>;

/// A server whose model is shown pictures, and takes the first of every choice.
fn model() -> (String, Sent) {
    let sent = Sent::default();
    let kept = Arc::clone(&sent);
    let address = serve(move |request| {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let parts = body["messages"].as_array()?.last()?["content"].as_array().cloned().unwrap_or_default();
        let urls = parts.iter().filter_map(|part| part.pointer("/image_url/url")?.as_str());
        kept.lock().unwrap().push(urls.map(str::to_owned).collect());
        answer(&request.body)
    });
    (address + "/v1", sent)
}

fn told(place: &Path, args: &[&str]) -> String {
    let output = sojourn(place, args);
    let [told, complained] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{args:?}: {told} {complained}");
    told.into_owned()
}

fn document(place: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&told(place, args)).unwrap()
}

#[test]
fn a_model_that_sees_is_sent_the_picture_that_the_log_keeps() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let (base_url, sent) = model();
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{base_url}\"\nvision = true\n\
         [run]\nobserve = [\"text\", \"frame\"]\nlibrary = false\nmemory = false\n"
    );
    std::fs::write(place.join("agent.toml"), agent).unwrap();
    told(place, &["run", "agent.toml", "--steps", "3", "--json"]);
    let first = sent.lock().unwrap()[0].clone();
    assert_eq!(first.len(), 1);
    let data = first[0].strip_prefix("data:image/png;base64,").unwrap();
    let media = document(place, &["log", "media", "latest", "--json"]);
    let handle = media[0]["handle"].as_str().unwrap();
    assert_eq!((&media[0]["width"], &media[0]["source"]), (&288.into(), &"crafter".into()));
    told(place, &["log", "media", "latest", handle, "--out", "first.png"]);
    assert_eq!(STANDARD.decode(data).unwrap(), std::fs::read(place.join("first.png")).unwrap());

    let log = told(place, &["log", "latest"]);
    assert!(log.contains("shown to the controller") && log.contains(" and 1 picture, "), "{log}");
    // The server reports the usage of the whole prompt.
    assert!(log.contains("100 + 20 tokens (pictures among them)"), "{log}");
    // The log holds the handle, never the bytes as text.
    let records = told(place, &["log", "latest", "--json"]);
    assert!(records.contains(media[0]["blob"].as_str().unwrap()) && !records.contains(&data[..60]));
    let asked = sent.lock().unwrap().len();
    assert_eq!(document(place, &["replay", "latest", "--verify", "--json"])["matched"], true);
    assert_eq!(sent.lock().unwrap().len(), asked, "a replay asked the model");
}

#[test]
fn a_large_picture_is_scaled_down_to_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let (base_url, sent) = model();
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{base_url}\"\nvision = true\npicture_side = 96\n\
         [run]\nobserve = [\"frame\"]\nlibrary = false\nmemory = false\n"
    );
    std::fs::write(place.join("agent.toml"), agent).unwrap();
    let run = sojourn(place, &["run", "agent.toml", "--steps", "1", "--json"]);
    if !cfg!(feature = "perception") {
        // Nothing can scale it, so it is not shown.
        assert!(sent.lock().unwrap().iter().all(Vec::is_empty));
        return;
    }
    assert!(run.status.success());
    let url = sent.lock().unwrap()[0][0].clone();
    let png = STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((side(16), side(20)), (96, 96));
}

#[test]
fn a_run_in_a_world_of_signs_survives_a_kill_around_a_look_with_its_pictures() {
    if !has("python3") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worlds/signs.py");
    let (base_url, sent) = model();
    let agent = format!(
        "model = \"scripted\"\nembedding = \"none\"\ndiscover = {{ tasks = 0 }}\n\
         [environment]\nkind = \"process\"\ncommand = [\"python3\", {:?}]\npractice = false\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{base_url}\"\nvision = true\n\
         [run]\nobserve = [\"text\", \"frame\"]\nepisodes = [1, 2, 3]\nlearning = false\nmemory = false\n",
        world.to_str().unwrap()
    );
    std::fs::write(place.join("agent.toml"), agent).unwrap();
    told(place, &["run", "agent.toml", "--json"]);
    let asked = sent.lock().unwrap().len();
    assert!(asked >= 3 && sent.lock().unwrap().iter().all(|urls| urls.len() == 1));
    assert_eq!(document(place, &["replay", "latest", "--verify", "--json"])["matched"], true);
    // Before and after a look, and with its picture in a request under way.
    for kind in ["look", "looked", "ask_controller"] {
        let log = told(place, &["log", "latest", "--kind", kind, "--json"]);
        let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        let seq = last["seq"].to_string();
        let verdict = document(place, &["simulate-crash", "latest", "--at", &seq, "--json"]);
        assert_eq!((&verdict["lost"], &verdict["difference"]), (&false.into(), &Value::Null), "{verdict}");
    }
    assert_eq!(sent.lock().unwrap().len(), asked, "a crash replay asked the model");
}

#[test]
fn an_agent_file_that_would_show_nothing_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    for (run, says) in [
        ("observe = [\"state\"]", "run.observe: the controller would be shown nothing"),
        (
            "observe = [\"frame\"]",
            "run.observe: the controller cannot see, and nothing reads pictures for it",
        ),
        ("perceive = true", "run.perceive: nothing reads pictures"),
    ] {
        let agent = format!("environment = \"crafter\"\n[run]\n{run}\n");
        std::fs::write(place.join("agent.toml"), agent).unwrap();
        let output = sojourn(place, &["run", "agent.toml", "--steps", "1"]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complaint.contains(says), "{complaint}");
    }
}
