//! What people read: help texts, and what the program says when something is not right.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::support::place;
use serde_json::Value;

#[test]
fn errors_of_agent_files() {
    let place = place();
    for (name, text) in [
        ("unknown_key", "environment = \"crafter\"\nmodle = \"x\"\n"),
        ("unknown_nested_key", "environment = \"crafter\"\n\n[run.actor]\ncandidate = 3\n"),
        ("bad_toml", "environment = \"crafter\"\nmodel = \"x\nreflexes = []\n"),
        ("wrong_type", "environment = \"crafter\"\n[run]\nseed = \"one\"\n"),
        ("no_environment", "model = \"x\"\n"),
        ("unknown_environment", "environment = \"crafty\"\n"),
        ("no_such_reflex", "environment = \"crafter\"\nreflexes = [\"flee.js\"]\n"),
        ("no_base_url", "environment = \"crafter\"\nmodel = \"x\"\n[controller]\nkind = \"openai\"\n"),
    ] {
        place.write("agent.toml", text);
        insta::assert_snapshot!(name, place.complaint(&["run", "agent.toml"]));
    }
    insta::assert_snapshot!("no_such_file", place.complaint(&["run", "missing.toml"]));
    place.write("agent.toml", "environment = \"crafter\"\n");
    insta::assert_snapshot!("bad_override", place.complaint(&["run", "agent.toml", "--set", "run.sed=3"]));
}

#[test]
fn errors_of_unknown_names() {
    let place = place();
    place.write(
        "agent.toml",
        "environment = \"crafter\"\nmodel = \"qwen2.5-coder-1.5b\"\n[run]\nmemory = false\n",
    );
    for (name, args) in [
        ("unknown_model", &["run", "agent.toml"][..]),
        ("model_not_pulled", &["run", "agent.toml", "--set", "model=qwen2.5-coder-1.5b-instruct"]),
        ("unknown_model_path", &["models", "path", "qwen2.5-coder-1.5b"]),
        ("unknown_run", &["log", "20261123-175900-ab3f"]),
        ("unknown_run_replay", &["replay", "20261123-175900-ab3f", "--verify"]),
        ("unknown_skill", &["skills", "show", "collectwood"]),
        ("unknown_tools_environment", &["tools", "list", "--environment", "craft"]),
        ("nothing_to_resume", &["run", "agent.toml", "--resume"]),
    ] {
        insta::assert_snapshot!(name, place.complaint(args));
    }
}

#[test]
fn a_misspelt_word_of_log_is_named() {
    let place = place();
    for (args, meant) in [
        (&["log", "lates"][..], "no run named `lates`; did you mean `latest`?"),
        (&["replay", "latset"], "no run named `latset`; did you mean `latest`?"),
        (
            &["log", "verfy"],
            "there is neither a run nor a command `verfy`; did you mean `sojourn log verify`?",
        ),
        (&["log", "exprot"], "did you mean `sojourn log export`?"),
    ] {
        let told = place.complaint(args);
        assert!(told.starts_with("exit code 3\n") && told.contains(meant), "{args:?}: {told}");
    }
    let no_run = place.complaint(&["log", "20261123-175900-ab3f"]);
    assert!(!no_run.contains("did you mean"), "{no_run}");
}

#[test]
fn errors_of_command_lines() {
    let place = place();
    for (name, args) in [("bad_time", &["run", "agent.toml", "--time", "10 minutes"][..])] {
        insta::assert_snapshot!(name, place.complaint(args));
    }
}

#[test]
fn reading_an_empty_home() {
    let place = place();
    for args in [&["runs", "--json"][..], &["skills", "list", "--json"]] {
        let answer = place.run(args);
        assert_eq!((answer.code, answer.stdout.trim()), (0, "[]"), "{args:?}: {}", answer.stderr);
    }
    let answer = place.run(&["memory", "search", "cows", "--json"]);
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(found["memories"], serde_json::json!([]), "{}", answer.stderr);
}

#[test]
fn every_reading_command_prints_one_json_document() {
    let place = place();
    for args in [
        &["tools", "list", "--json"][..],
        &["models", "list", "--json"],
        &["doctor", "--json"],
        &["memory", "stats", "--json"],
        &["environments", "list", "--json"],
    ] {
        let answer = place.run(args);
        assert_eq!(answer.code, 0, "{args:?}: {}", answer.stderr);
        serde_json::from_str::<Value>(&answer.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"));
    }
}

#[test]
fn the_tools_of_crafter() {
    let shown = place().run(&["tools", "list"]).stdout;
    assert!(shown.lines().next().is_some_and(|head| head.contains("effects")), "{shown}");
    assert!(shown.contains("go_to(kind)"), "{shown}");
}

#[test]
fn completions_for_every_shell() {
    let place = place();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let answer = place.run(&["completions", shell]);
        assert_eq!(answer.code, 0);
        assert!(answer.stdout.contains("SOJOURN_COMPLETE"), "{shell}");
    }
}

#[test]
fn the_shell_is_told_the_names_that_fit() {
    let place = place();
    let completed = |words: &[&str]| {
        let index = (words.len() - 1).to_string();
        let mut asked = vec!["--", "sojourn"];
        asked.extend(&words[1..]);
        let output = crate::support::command(place.path(), &[])
            .env("SOJOURN_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", index)
            .env("_CLAP_IFS", "\n")
            .args(asked)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(completed(&["sojourn", "models", "pull", "all-mini"]), "all-minilm-l6-v2");
    assert_eq!(completed(&["sojourn", "log", "2"]), "", "there are no runs");
    assert!(!place.path().join("home").exists(), "a completion makes no home");

    std::fs::create_dir(place.path().join("home")).unwrap();
    std::fs::write(place.path().join("home/sojourn.db"), crate::golden::log()).unwrap();
    let run = place.json(&["runs"])[0]["run"].as_str().unwrap().to_owned();
    assert_eq!(completed(&["sojourn", "log", "2"]), run);
    assert_eq!(completed(&["sojourn", "fork", "lat"]), "latest");
    assert_eq!(completed(&["sojourn", "log", "latest", "--task", "make_wood_s"]), "make_wood_sword");
}
