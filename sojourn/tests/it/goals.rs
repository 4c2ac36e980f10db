//! Goals in words, and discovery in a world that documents nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{command, endpoint, sojourn};
use rustix::process::Signal;
use serde_json::Value;
use sojourn_testkit::{Running, send_signal, until};
use std::path::Path;
use std::process::{Output, Stdio};

/// An agent in the example's text adventure, whose model is a script; `more` comes before the tables of its file.
fn cellar(more: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worlds/cellar.py");
    let text = format!(
        "model = \"scripted\"\nembedding = \"none\"\n{more}\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n\
         [environment]\nkind = \"process\"\ncommand = [\"python3\", {:?}]\n\
         [run.actor]\nrounds = 0\n",
        endpoint(),
        world.to_str().unwrap()
    );
    std::fs::write(place.path().join("agent.toml"), text).unwrap();
    place
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|each| each["name"].as_str().unwrap()).collect()
}

#[test]
fn what_can_be_done_in_a_world_that_says_nothing_is_found_out() {
    let place = cellar("");
    let show = sojourn(place.path(), &["world", "show", "agent.toml", "--json"]);
    let seen = document(&show);
    assert_eq!(seen["documented"], false);
    let found = names(&seen["discovered"]);
    for task in ["get_lamp_into_carrying", "get_spoon_into_carrying", "get_rake_into_carrying"] {
        assert!(found.contains(&task), "{found:?}");
    }
    // Where the agent is, is no task.
    assert!(found.iter().all(|task| !task.contains("room")), "{found:?}");
    let room = seen["survey"]["fields"].as_array().unwrap().iter().find(|field| field["path"] == "/room");
    assert_eq!(room.unwrap()["values"].as_array().unwrap().len(), 4, "{seen}");

    // A world that says what can be done in it keeps its own tasks.
    let show = sojourn(place.path(), &["world", "show", "crafter", "--set", "discover.episodes=2"]);
    let told = String::from_utf8_lossy(&show.stdout).into_owned();
    assert!(told.contains("collect_wood") && !told.contains("found out"), "{told}{}", said(&show));
}

#[test]
fn a_goal_of_the_user_is_learned_and_its_run_replays_without_the_world() {
    let goal =
        "[[goals]]\ntext = \"light the lamp\"\ncondition = { equals = { path = \"/lit\", value = true } }";
    let place = cellar(goal);
    let check = sojourn(place.path(), &["goal", "check", "agent.toml", "--json"]);
    let checked = document(&check);
    assert_eq!(checked["goals"][0]["when"], "/lit is true", "{checked}");
    assert_eq!(checked["goals"][0]["task"], "light_the_lamp", "{checked}");

    let run = sojourn(place.path(), &["run", "agent.toml", "--steps", "300", "--time", "3m", "--json"]);
    let result = document(&run);
    assert!(said(&run).contains("the goal `light the lamp` is reached when /lit is true"), "{}", said(&run));
    assert!(result["achievements"].get("light_the_lamp").is_some(), "{result}{}", said(&run));
    assert!(names(&result["skills"]).contains(&"light_the_lamp"), "{result}");
    let shown = sojourn(place.path(), &["world", "show", "latest"]);
    assert!(said(&shown).contains("has no stage of discovery"), "{}", said(&shown));

    std::fs::remove_file(place.path().join("agent.toml")).unwrap();
    let verified = sojourn(place.path(), &["replay", "latest", "--verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
}

#[test]
fn a_goal_that_comes_while_the_run_is_under_way_is_learned_and_replays_exactly() {
    let place = cellar("discover = { tasks = 1 }");
    let place = place.path();
    let run = ["run", "agent.toml", "--time", "5m", "--set", "run.episode_steps=30"];
    let mut run = Running::start(command(place, &run).stdout(Stdio::null()).stderr(Stdio::null()));
    let records = || document(&sojourn(place, &["runs", "--json"]))[0]["records"].as_u64().unwrap_or(0);
    until("the run has records", || place.join("home/sojourn.db").exists() && records() > 10);
    let lit = r#"{"equals": {"path": "/lit", "value": true}}"#;
    let wrong = sojourn(place, &["goal", "add", "latest", "light the lamp", "--condition", "{}"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    let add = sojourn(place, &["goal", "add", "latest", "light the lamp", "--condition", lit]);
    assert!(add.status.success() && said(&add).contains("before its next episode"), "{}", said(&add));
    let goals = || document(&sojourn(place, &["goal", "list", "latest", "--json"]));
    until("the goal is taken up", || goals()[0]["outcome"].is_string());
    assert_eq!(goals()[0]["outcome"], "taken up as `light_the_lamp`: reached when /lit is true");
    let skills = || String::from_utf8_lossy(&sojourn(place, &["skills", "list"]).stdout).into_owned();
    until("its skill is learned", || skills().contains("light_the_lamp"));
    send_signal(run.id(), Signal::INT);
    run.wait().unwrap();

    let log = sojourn(place, &["log", "latest", "--kind", "goal_added"]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains("a person at a terminal adds the goal \"light the lamp\""), "{log}");
    std::fs::remove_file(place.join("agent.toml")).unwrap();
    let verified = sojourn(place, &["replay", "latest", "--verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
}

#[test]
fn a_run_goes_on_with_the_tasks_that_it_began_with() {
    let place = cellar("discover = { tasks = 2 }");
    let run = |more: &[&str]| {
        let with = [&["run", "agent.toml", "--time", "3m", "--json", "--set", "run.learning=false"], more];
        sojourn(place.path(), &with.concat())
    };
    let begun = run(&["--steps", "5"]);
    assert!(said(&begun).contains("found out what can be done: "), "{}", said(&begun));
    let possible = document(&begun)["achievements_possible"].clone();
    assert_eq!(possible, 3, "{}", said(&begun));
    let resumed = run(&["--resume", "--steps", "5", "--set", "discover.tasks=0"]);
    assert_eq!(document(&resumed)["achievements_possible"], possible, "{}", said(&resumed));
    let verified = sojourn(place.path(), &["replay", "latest", "--verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
}

#[test]
fn a_goal_that_nothing_shows_is_refused_before_the_run_with_what_can_be_measured() {
    let place = cellar("");
    for command in [
        &["run", "agent.toml", "--goal", "become rich"][..],
        &["goal", "check", "agent.toml", "--goal", "become rich"],
    ] {
        let refused = sojourn(place.path(), command);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        let all = format!("{}{}", String::from_utf8_lossy(&refused.stdout), said(&refused));
        assert!(all.contains("become rich") && all.contains("shows it"), "{all}");
        assert!(all.contains("what can be measured there: ") && all.contains("/carrying contains"), "{all}");
    }
    let runs = sojourn(place.path(), &["runs", "--json"]);
    assert_eq!(document(&runs), serde_json::json!([]));
}

#[test]
fn errors_say_what_is_wrong_with_a_goal() {
    for (goals, part) in [
        ("goals = [\"\"]", "a goal has no words"),
        ("goals = [3]", "a goal in words, or a table with its `text`, `name` and `condition`"),
        (
            "goals = [{ text = \"go\", name = \"Go there\" }]",
            "`Go there` is no name for a goal; write `go_there`",
        ),
        ("goals = [{ text = \"go\", conditon = 1 }]", "did you mean `condition`?"),
        (
            "goals = [{ text = \"go\", condition = { equals = { path = \"lit\", value = true } } }]",
            "not a JSON pointer",
        ),
    ] {
        let place = cellar(goals);
        let refused = sojourn(place.path(), &["run", "agent.toml", "--steps", "5"]);
        assert!(!refused.status.success() && said(&refused).contains(part), "{goals}: {}", said(&refused));
    }
    let place = cellar("");
    let none = sojourn(place.path(), &["goal", "check", "agent.toml"]);
    assert_eq!(none.status.code(), Some(2), "{}", said(&none));
    assert!(said(&none).contains("has no goals") && said(&none).contains("--goal"), "{}", said(&none));
}
