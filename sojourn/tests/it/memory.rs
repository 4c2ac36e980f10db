//! What people do with memories, through the program.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use crate::support::place;
use serde_json::Value;
use sojourn_testkit::Place;

/// Exit code and complaint of a command that prints nothing.
fn fails(place: &Place, args: &[&str]) -> (i32, String) {
    let answer = place.run(args);
    assert_eq!(answer.stdout, "", "an error leaves stdout alone");
    (answer.code, answer.stderr)
}

fn counts(change: &Value) -> (u64, u64, u64) {
    let count = |name: &str| change["documents"][0][name].as_u64().unwrap();
    (count("added"), count("kept"), count("removed"))
}

const MANUAL: &str = "# Manual\n\n## Tables\nA table needs wood.\n\n## Cows\nEat cows.\n";

#[test]
fn a_document_is_known_corrected_and_forgotten() {
    let place = place();
    place.write("docs/manual.md", MANUAL.as_bytes());
    place.write("docs/page.html", b"<h1>Water</h1><p>Drink it at lakes.</p>");
    place.write("docs/picture.png", b"\x89PNG");
    let added = place.json(&["knowledge", "add", "docs"]);
    assert_eq!(added["documents"].as_array().unwrap().len(), 2);
    assert_eq!(counts(&place.json(&["knowledge", "add", "docs/manual.md"])), (0, 2, 0));
    place.write("docs/manual.md", MANUAL.replace("Eat cows", "Milk cows").as_bytes());
    assert_eq!(counts(&place.json(&["knowledge", "add", "docs/manual.md"])), (1, 1, 1));
    let listed = place.json(&["knowledge", "list"]);
    assert_eq!((listed[0]["title"].as_str(), listed[0]["passages"].as_u64()), (Some("Manual"), Some(2)));
    let found = place.json(&["knowledge", "search", "which wood for tables?"]);
    let memory = &found["memories"][0]["memory"];
    assert_eq!(memory["text"], "Manual › Tables\nA table needs wood.");
    let id = memory["id"].as_str().unwrap().to_owned();

    let shown = place.run(&["memory", "show", &id[..8]]).stdout;
    assert!(shown.contains("knowledge") && shown.contains("docs/manual.md"), "{shown}");
    assert!(place.json(&["memory", "pin", &id])["pinned"].as_bool().unwrap());
    let new = place.json(&["memory", "edit", &id, "A table needs one piece of oak."]);
    let why = place.json(&["memory", "why", &id]);
    assert_eq!(why["replaced_by"][0]["id"], new["id"]);
    let explained = place.run(&["memory", "search", "oak", "--explain"]).stdout;
    assert!(explained.contains("bm25") && explained.contains("piece of oak"), "{explained}");

    place.run(&["memory", "export", "all.jsonl"]);
    let new = new["id"].as_str().unwrap();
    let (code, stderr) = fails(&place, &["memory", "forget", new]);
    assert!(code == 2 && stderr.contains("--yes"), "{stderr}");
    let forgotten = place.json(&["memory", "forget", new, "--yes"]);
    assert_eq!(forgotten["forgotten"][0]["residue"], serde_json::json!([]));
    let found = place.json(&["memory", "search", "oak"]);
    assert!(found["memories"].as_array().unwrap().iter().all(|hit| hit["memory"]["id"] != *new));
    let imported = place.json(&["memory", "import", "all.jsonl"]);
    assert_eq!((imported["added"].as_u64(), imported["known"].as_u64()), (Some(1), Some(3)));
    place.json(&["memory", "rebuild"]);
    assert_eq!(place.json(&["memory", "stats"])["memories"]["kinds"]["knowledge"], 4);
    assert_eq!(place.json(&["knowledge", "remove", "docs/page.html"])["removed"], 1);
    assert_eq!(place.json(&["memory", "dedupe"])["groups"], serde_json::json!([]));
}

#[test]
fn forgetting_empties_the_cache_of_evaluated_prompts() {
    let place = place();
    place.write("docs/manual.md", MANUAL.as_bytes());
    place.json(&["knowledge", "add", "docs"]);
    let found = place.json(&["memory", "search", "cows"]);
    let id = found["memories"][0]["memory"]["id"].as_str().unwrap();
    let prefix = "prefixes/0123456789abcdef01234567-0.1.0/0123456789abcdef0123456789abcdef";
    let files = ["json", "state"].map(|end| format!("{prefix}.{end}"));
    for file in &files {
        place.write(file, b"the tokens of a prompt");
    }
    let forgotten = place.json(&["memory", "forget", id, "--yes"]);
    assert_eq!(forgotten["prefix_cache"]["files"], 2);
    assert!(files.iter().all(|file| !place.path().join(file).exists()));
}

#[test]
fn impossible_memory_commands_say_why() {
    let place = place();
    place.write("broken.pdf", b"%PDF-1.4 broken");
    place.write("binary.txt", b"a\0b");
    place.write("thing.docx", b"PK");
    place.write("lines.jsonl", b"{\"id\": 3}\n");
    for (args, expected) in [
        (&["memory", "show", "12345678"][..], "no memory `12345678`"),
        (&["memory", "show", "not an id"], "no memory `not an id`"),
        (&["memory", "why", ""], "no memory ``"),
        (&["memory", "import", "lines.jsonl"], "lines.jsonl:1: not an exported memory"),
        (&["memory", "import", "missing.jsonl"], "cannot read `missing.jsonl`"),
        (&["memory", "search", "x", "--run", "nothing"], "no run `nothing`"),
        (&["knowledge", "add", "missing.md"], "no file `missing.md`"),
        (&["knowledge", "add", "thing.docx"], "has no known format"),
        (&["knowledge", "add", "broken.pdf"], "cannot read"),
        (&["knowledge", "add", "binary.txt"], "not a text file"),
        (&["knowledge", "add", "https://example.org/x"], "allow it with `--allow example.org`"),
        (&["knowledge", "add", "https://"], "is not an address"),
        (&["knowledge", "remove", "missing.md"], "no document named"),
    ] {
        let (code, stderr) = fails(&place, args);
        assert!(code > 0 && stderr.contains(expected), "{args:?}: {stderr}");
        assert!(!stderr.contains("RUST_BACKTRACE") && !stderr.contains("panicked"), "{args:?}: {stderr}");
    }
    let listed = place.json(&["knowledge", "list"]);
    assert_eq!(listed, serde_json::json!([]));
}

#[test]
fn any_question_is_answered() {
    let place = place();
    place.write("notes.txt", "木を切る。 \u{202e}نص عربي. Ärger im Straßenbau.".as_bytes());
    place.json(&["knowledge", "add", "notes.txt"]);
    let long = "long ".repeat(20_000);
    // A question that shares no word with anything finds nothing; without a question, everything is listed.
    for (question, expected) in
        [("木", 1), ("عربي", 1), ("straßenbau", 1), ("", 1), ("\" OR * NEAR(", 0), (long.as_str(), 0)]
    {
        let answer = place.run(&["memory", "search", "--json", "--", question]);
        assert!(answer.is_ok(), "{answer}");
        let found = answer.json();
        assert_eq!(found["memories"].as_array().unwrap().len(), expected, "{question:.40}");
    }
}

#[test]
fn lessons_cite_what_they_rest_on_and_survive_crashes_and_replays() {
    let place = place();
    place.write_agent(
        "environment = \"crafter\"",
        "[run]\nepisodes = [3, 4, 5, 6, 7, 8]\ntasks = [\"collect_wood\", \"collect_drink\"]\n\
         [run.actor]\nrounds = 1\ncandidates = 1\n[run.consolidation]\nimportance = 15.0\n",
    );
    // The second run is decided with what the first one taught.
    place.json(&["run", "agent.toml", "--time", "3m"]);
    let run = place.json(&["run", "agent.toml", "--time", "3m"])["run"].clone();
    let log = place.run(&["log", "latest", "--json"]).stdout;
    let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_kind = |kind: &str| -> Vec<&Value> { records.iter().filter(|r| r["kind"] == kind).collect() };
    let consolidations = of_kind("consolidate");
    let counts = (consolidations.len(), of_kind("credit_memories").len());
    assert!(counts.0 > 1 && counts.1 > 0, "{counts:?} of {} records", records.len());

    // The first lesson names records of what happened; those after it say the same and became part of it.
    let listed = place.json(&["memory", "search", "a", "--kind", "reflection"]);
    let lesson = &listed["memories"][0]["memory"];
    let sources = lesson["sources"].as_array().unwrap();
    let cited: Vec<u64> =
        sources.iter().filter(|s| s["run"] == run).map(|s| s["seq"].as_u64().unwrap()).collect();
    let kind_of = |seq: &u64| records[*seq as usize - 1]["kind"].as_str().unwrap();
    let events = cited.iter().filter(|seq| matches!(kind_of(seq), "acted" | "candidates_tried")).count();
    assert_eq!(events, consolidations.len(), "{lesson}");
    place.run(&["memory", "export", "all.jsonl"]);
    let exported = std::fs::read_to_string(place.path().join("all.jsonl")).unwrap();
    let credited = exported
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .any(|memory| memory["helpful"].as_u64().unwrap() + memory["harmful"].as_u64().unwrap() > 0);
    assert!(credited, "{exported}");
    let why = place.json(&["memory", "why", lesson["id"].as_str().unwrap()]);
    assert!(why["sources"].as_array().is_some_and(|sources| sources.len() > events), "{why}");

    assert_eq!(place.json(&["replay", "latest", "--verify"])["matched"], true);
    assert_eq!(place.json(&["replay", "latest", "--rebuild"])["differences"], serde_json::json!([]));
    let at = |record: &Value, later: u64| (record["seq"].as_u64().unwrap() + later).to_string();
    let killed = place.json(&[
        "simulate-crash",
        run.as_str().unwrap(),
        "--at",
        &at(consolidations[0], 0),
        "--at",
        &at(consolidations[1], 1),
    ]);
    assert_eq!(killed["lost"], false, "{killed}");
}

#[test]
fn a_forgotten_memory_does_not_return_on_resume() {
    let place = place();
    place.write_agent(
        "environment = \"crafter\"",
        "[run]\nepisodes = [3]\ntasks = [\"collect_wood\"]\n[run.actor]\nrounds = 1\ncandidates = 1\n",
    );
    let run = place.json(&["run", "agent.toml", "--time", "3m"])["run"].clone();
    let found = place.json(&["memory", "search", "Learned collect_wood"]);
    let memory = &found["memories"][0]["memory"];
    assert!(memory["text"].as_str().unwrap().starts_with("Learned collect_wood"), "{found}");
    place.json(&["memory", "forget", memory["id"].as_str().unwrap(), "--yes"]);
    place.text(&["run", "agent.toml", "--resume", run.as_str().unwrap(), "--time", "1m"]);
    let found = place.json(&["memory", "search", "Learned collect_wood"]);
    let hits = found["memories"].as_array().unwrap();
    assert!(!hits.is_empty() && hits.iter().all(|hit| hit["memory"]["id"] != memory["id"]), "{found}");
}

#[test]
fn a_document_of_ten_million_characters_is_taken_in() {
    let place = place();
    let line = "A furnace needs stone nearby. Ein Ofen braucht Stein. 炉には石が要る。\n\n";
    place.write("long.txt", line.repeat(10_000_000_usize.div_ceil(line.chars().count())).as_bytes());
    let added = place.json(&["knowledge", "add", "long.txt"]);
    assert!(counts(&added).0 > 1000, "{added}");
    let found = place.json(&["knowledge", "search", "furnace"]);
    assert!(!found["memories"].as_array().unwrap().is_empty());
}

#[test]
fn a_server_of_vectors_is_named_rightly() {
    let place = place();
    place.write("agent.toml", b"environment = \"crafter\"\n[memory]\nvectors = \"postgres://x\"\n");
    let (code, stderr) = fails(&place, &["run", "agent.toml"]);
    assert!(
        code == 2 && stderr.contains("agent.toml:3:11") && stderr.contains("qdrant://localhost:6334"),
        "{stderr}"
    );
}
