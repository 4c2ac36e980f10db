//! Worlds of one's own that say nothing of themselves: two of them in one home, and some that are broken.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{command, endpoint, sojourn};
use rustix::process::Signal;
use serde_json::{Value, json};
use sojourn_testkit::{Running, send_signal, until};
use std::path::Path;
use std::process::{Output, Stdio};

/// A world whose only way to a reward is to do `action` twice.
fn door(action: &str, other: &str) -> String {
    format!(
        "import json, sys\n\
         for line in sys.stdin:\n\
         \x20   request = json.loads(line)\n\
         \x20   method, params = request['method'], request.get('params') or {{}}\n\
         \x20   if method == 'describe':\n\
         \x20       result = {{'environment': {{'name': '{action}', 'deterministic': True, 'actions': ['{other}', '{action}']}}}}\n\
         \x20   elif method == 'reset':\n\
         \x20       at, result = 0, {{'state': {{'at': 0}}}}\n\
         \x20   elif method == 'step':\n\
         \x20       at += params['action'] == '{action}'\n\
         \x20       result = {{'state': {{'at': at}}, 'reward': float(at == 2), 'ended': 'succeeded' if at == 2 else None}}\n\
         \x20   else:\n\
         \x20       continue\n\
         \x20   print(json.dumps({{'id': request['id'], 'result': result}}), flush=True)\n"
    )
}

/// Writes a world and its agent file, whose model is a script; `more` comes before the tables of the file.
fn write(place: &Path, name: &str, source: &str, more: &str) {
    let controller = format!("[controller]\nkind = \"openai\"\nbase_url = \"{}\"\n", endpoint());
    write_with(
        place,
        name,
        source,
        &format!("model = \"scripted\"\nembedding = \"none\"\n{more}\n{controller}"),
    );
}

/// As [`write`], with all that stands before the table of the environment.
fn write_with(place: &Path, name: &str, source: &str, head: &str) {
    let text = format!(
        "{head}\n\
         [environment]\nkind = \"process\"\ncommand = [\"python3\", \"{name}.py\"]\n\
         [run]\ndeliberate = false\n[run.actor]\nrounds = 0\n"
    );
    std::fs::write(place.join(format!("{name}.py")), source).unwrap();
    std::fs::write(place.join(format!("{name}.toml")), text).unwrap();
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A table without its white space.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shown(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn two_worlds_in_one_home_keep_their_skills_apart() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    write(place, "pull", &door("pull", "push"), "discover = { tasks = 0 }");
    write(place, "lift", &door("lift", "drop"), "discover = { tasks = 0 }");
    for name in ["pull", "lift"] {
        let run = sojourn(place, &["run", &format!("{name}.toml"), "--steps", "6", "--time", "3m", "--json"]);
        let result = document(&run);
        assert!(result["achievements"].get("succeed").is_some(), "{result}{}", said(&run));
        assert_eq!(result["skills"][0]["name"], "succeed", "{result}{}", said(&run));
        assert_eq!(result["skills"][0]["uses"], result["skills"][0]["successes"], "{result}{}", said(&run));
    }
    shown(&sojourn(place, &["replay", "latest", "--rebuild"]));
    let list = shown(&sojourn(place, &["skills", "list"]));
    assert!(list.starts_with("in lift:\n"), "{list}");
    assert!(list.contains("\n\nin pull:\n"), "{list}");

    let show = shown(&sojourn(place, &["skills", "show", "succeed"]));
    assert!(show.contains("learned in lift\n           version 1 is in use in pull\n"), "{show}");
    let graph = document(&sojourn(place, &["skills", "graph", "--json"]));
    let nodes: Vec<(&Value, &Value)> =
        graph["nodes"].as_array().unwrap().iter().map(|node| (&node["id"], &node["environment"])).collect();
    assert_eq!(
        nodes,
        [(&json!("succeed (pull)"), &json!("pull")), (&json!("succeed (lift)"), &json!("lift"))]
    );
    let dot = shown(&sojourn(place, &["skills", "graph"]));
    assert!(
        dot.contains("\"succeed (pull)\" [label=") && dot.contains("\"succeed (lift)\" [label="),
        "{dot}"
    );

    for name in ["pull", "lift"] {
        let agent = format!("{name}.toml");
        let ran = shown(&sojourn(place, &["skills", "run", "succeed", "--agent", &agent]));
        assert!(ran.contains(&format!("{name}()")) && ran.contains("reached its goal in 2 steps"), "{ran}");
        let tested = shown(&sojourn(place, &["skills", "test", "succeed", "--agent", &agent]));
        assert!(tested.contains("0 failed"), "{tested}");
    }
}

#[test]
fn the_same_program_is_learned_once_in_each_of_two_worlds() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let pull = door("pull", "push");
    let rope = pull.replace("'name': 'pull'", "'name': 'rope'");
    assert_ne!(pull, rope);
    write(place, "pull", &pull, "discover = { tasks = 0 }");
    write(place, "rope", &rope, "discover = { tasks = 0 }");
    let run = |name: &str| {
        let run = sojourn(place, &["run", &format!("{name}.toml"), "--steps", "6", "--time", "3m", "--json"]);
        document(&run)["skills"].clone()
    };
    assert_eq!((run("pull")[0]["version"].clone(), run("rope")[0]["version"].clone()), (json!(1), json!(2)));
    let sources =
        |version: &str| shown(&sojourn(place, &["skills", "show", "succeed", "--version", version]));
    let source = |shown: String| shown[shown.find("function succeed").unwrap()..].to_owned();
    assert_eq!(source(sources("1")), source(sources("2")));

    // Neither world learns it again, and what each did with it is its own.
    for name in ["pull", "rope"] {
        assert_eq!(run(name), json!([]), "{name}");
    }
    let versions = document(&sojourn(place, &["skills", "list", "--json"]));
    let of = |name: &str| {
        versions.as_array().unwrap().iter().filter(|row| row["manifest"]["environment"] == name).count()
    };
    assert_eq!((of("pull"), of("rope")), (1, 1), "{versions}");
}

#[test]
fn a_world_that_fails_is_told_before_the_run() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let sound = door("pull", "push");
    let end = "'ended': 'succeeded' if at == 2 else None";

    // An ending that is none of the protocol's: only the episodes that come so far are lost.
    let broken = sound.replace(end, "'ended': 'out of time' if at == 2 else None");
    assert_ne!(broken, sound);
    write(place, "ends", &broken, "");
    let show = sojourn(place, &["world", "show", "ends.toml"]);
    let told = said(&show);
    assert!(show.status.success() && told.contains("note: the world failed in "), "{told}");
    let why =
        "`ended` is \"out of time\"; it may be null, \"died\", \"succeeded\" or \"time_up\", or {\"kind\"";
    assert!(told.contains(why), "{told}");
    let check = sojourn(place, &["environments", "check", "ends.toml"]);
    assert!(!check.status.success() && said(&check).contains(why), "{}", said(&check));

    // No call works: there is nothing to run.
    write(place, "bare", &sound.replace("result = {'state': {'at': at}, ", "result = {"), "");
    let run = sojourn(place, &["run", "bare.toml", "--steps", "6", "--time", "1m"]);
    let told = said(&run);
    assert!(!run.status.success(), "{told}");
    assert!(told.contains("the world fails at the first call of every episode: "), "{told}");
    assert!(told.contains("it has neither `state` nor `text`"), "{told}");
    assert!(told.contains("hint: `sojourn environments check"), "{told}");
}

#[test]
fn what_was_learned_in_a_world_is_measured_in_fresh_episodes() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    write(place, "pull", &door("pull", "push"), "discover = { tasks = 0 }");
    // In this one the model deliberates, and is not on this machine.
    write_with(place, "alone", &door("pull", "push"), "");
    let agent = std::fs::read_to_string(place.join("alone.toml")).unwrap();
    std::fs::write(place.join("alone.toml"), agent.replace("deliberate = false", "deliberate = true"))
        .unwrap();
    let bench = |more: &[&str]| {
        let words = ["bench", "alone.toml", "--no-deliberation", "--episodes", "4"];
        sojourn(place, &[&words[..], more].concat())
    };
    let nothing = bench(&[]);
    assert_eq!(nothing.status.code(), Some(3), "{}", said(&nothing));
    assert!(said(&nothing).contains("no skill was learned in `pull` yet"), "{}", said(&nothing));
    assert!(said(&nothing).contains("`sojourn run alone.toml` learns some"), "{}", said(&nothing));

    shown(&sojourn(place, &["run", "pull.toml", "--steps", "6", "--time", "3m"]));
    let library = || document(&sojourn(place, &["skills", "list", "--json"]));
    let more = ["run", "pull.toml", "--resume", "--steps", "2", "--set", "run.deliberate=true"];
    let resumed = sojourn(place, &more);
    let why = "`--set run.deliberate=true` changes nothing in a run that is resumed";
    assert!(resumed.status.success() && said(&resumed).contains(why), "{}", said(&resumed));
    let before = library();
    let measured = bench(&["--first-seed", "7", "--json"]);
    let told = said(&measured);
    assert!(measured.status.success() && told.contains("episode over"), "{told}");
    assert!(!told.contains("model") && !told.contains("looked around"), "{told}");
    let measured = document(&measured);
    assert_eq!(measured["model"], Value::Null, "{measured}");
    let task = &measured["tasks"][0];
    assert_eq!(
        (&task["task"], &task["reached"], &task["episodes"]),
        (&json!("succeed"), &json!(4), &json!(4))
    );
    assert_eq!(task["mean_steps"], 2.0, "{measured}");
    let one = json!({"mean": 1.0, "standard_error": 0.0, "least": 1.0, "most": 1.0});
    assert_eq!(measured["return"], one, "{measured}");
    let seeds: Vec<&Value> = measured["episodes"].as_array().unwrap().iter().map(|it| &it["seed"]).collect();
    assert_eq!(seeds, [7, 8, 9, 10]);
    assert_eq!(measured["episodes"][0]["ending"]["kind"], "succeeded", "{measured}");

    let words = flat(&shown(&bench(&[])));
    assert!(words.contains("succeed version 1 4 of 4 100 2.0"), "{words}");
    assert!(
        words
            .contains("pull: 4 episodes in worlds that learning never sees, seeds from 1; 1 skill, no model"),
        "{words}"
    );
    assert!(words.contains("return 1.00 ± 0.00 an episode (1.00 to 1.00)"), "{words}");
    let learning = bench(&["--first-seed", "999999999"]);
    assert!(
        said(&learning).contains("seeds from 1000000000 on are reserved for learning"),
        "{}",
        said(&learning)
    );

    // A task without a skill is reported, and no model is asked for it either.
    write(
        place,
        "pull",
        &door("pull", "push"),
        "goals = [{ text = \"go far\", condition = { at_least = { path = \"/at\", value = 9 } } }]",
    );
    let words = flat(&shown(&sojourn(place, &["bench", "pull.toml", "--episodes", "2"])));
    assert!(words.contains("go_far none 0 of 2 0 succeed version 1 2 of 2 100 2.0"), "{words}");

    assert_eq!(library(), before, "measuring leaves the library as it is");
    assert_eq!(document(&sojourn(place, &["runs", "--json"])).as_array().map(Vec::len), Some(1));
}

#[test]
fn a_measurement_that_is_interrupted_prints_what_came_so_far() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    // Every episode leaves a line behind.
    let begins = "at, result = 0, {'state': {'at': 0}}\n        open('begun', 'a').write('x')";
    let source = door("pull", "push").replace("at, result = 0, {'state': {'at': 0}}", begins);
    write(place, "pull", &source, "discover = { tasks = 0 }");
    shown(&sojourn(place, &["run", "pull.toml", "--steps", "6", "--time", "3m"]));
    let begun = || std::fs::read_to_string(place.join("begun")).unwrap_or_default().len();
    std::fs::remove_file(place.join("begun")).unwrap();
    let mut bench = command(place, &["bench", "pull.toml", "--episodes", "100000", "--json"]);
    let file = |name: &str| std::fs::File::create(place.join(name)).unwrap();
    let mut bench = Running::start(bench.stdin(Stdio::null()).stdout(file("out")).stderr(file("err")));
    until("some episodes have begun", || begun() > 4);
    send_signal(bench.id(), Signal::INT);
    let status = bench.wait().unwrap();
    let read = |name: &str| std::fs::read(place.join(name)).unwrap();
    let output = Output { status, stdout: read("out"), stderr: read("err") };
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let measured = document(&output);
    let complete = measured["episodes"].as_array().unwrap().len();
    assert!((4..100_000).contains(&complete) && measured["interrupted"] == true, "{measured}");
    assert_eq!(measured["tasks"][0]["reached"], complete, "{measured}");
    let told = said(&output);
    assert!(told.contains(&format!("interrupted: {complete} of 100000 episodes were measured")), "{told}");
}

/// The smallest file that is taken for a model until it is loaded.
fn model_without_weights() -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut file = [&b"GGUF"[..], &3_u32.to_le_bytes(), &0_u64.to_le_bytes(), &2_u64.to_le_bytes()].concat();
    for (key, value) in [("general.architecture", "llama"), ("tokenizer.chat_template", "{{ messages }}")] {
        file.extend([text(key), 8_u32.to_le_bytes().to_vec(), text(value)].concat());
    }
    file
}

#[test]
fn a_model_that_is_not_asked_is_not_loaded() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let head = "model = \"tiny.gguf\"\nembedding = \"none\"\ndiscover = { tasks = 0 }\n";
    write_with(place, "pull", &door("pull", "push"), head);
    let run = |agent: &str, more: &[&str]| {
        sojourn(place, &[&["run", agent, "--steps", "6", "--time", "3m"], more].concat())
    };
    let runs = || document(&sojourn(place, &["runs", "--json"])).as_array().map(Vec::len);

    // A file that is no model is an error before the run.
    for (bytes, why) in [(&b"GG"[..], "is truncated"), (b"<html>not found", "is not a GGUF model")] {
        std::fs::write(place.join("tiny.gguf"), bytes).unwrap();
        let refused = run("pull.toml", &[]);
        assert!(!refused.status.success() && said(&refused).contains(why), "{}", said(&refused));
        assert!(!said(&refused).contains("looked around"), "{}", said(&refused));
    }
    assert_eq!(runs(), Some(0));

    std::fs::write(place.join("tiny.gguf"), model_without_weights()).unwrap();
    let played = run("pull.toml", &[]);
    let told = said(&played);
    assert!(shown(&played).contains("succeed") && !told.contains("loading the model"), "{told}");
    assert_eq!(runs(), Some(1));

    // Where it is asked, the run says what takes the time.
    write_with(place, "lift", &door("lift", "drop"), head);
    let asked = run("lift.toml", &["--set", "run.explore.episodes=0", "--set", "run.actor.rounds=1"]);
    let told = said(&asked);
    let (before, after) = told.split_once("loading the model `").unwrap_or_else(|| panic!("{told}"));
    assert!(before.contains("run ") && after.contains("the model could not be asked"), "{told}");
}
