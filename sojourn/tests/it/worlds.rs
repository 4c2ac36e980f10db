//! Environments that are somebody else's: lived in, learned in, cut off, and replayed where they are not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{command, endpoint, sojourn};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// An agent whose model is a script, in this environment.
fn agent(environment: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let text = format!(
        "{environment}\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n",
        endpoint()
    );
    // Tables come last.
    let (keys, table): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("model") || line.starts_with("embedding"));
    std::fs::write(place.path().join("agent.toml"), [keys, table].concat().join("\n")).unwrap();
    place
}

/// The corridor of the tools' tests.
fn corridor(fault: &str) -> tempfile::TempDir {
    let program = root().join("tools/tests/servers/corridor.py");
    agent(&format!(
        "[environment]\nkind = \"process\"\ncommand = [\"python3\", {:?}, {fault:?}]",
        program.to_str().unwrap()
    ))
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_largest_seed_ends_no_random_walk() {
    let place = corridor("none");
    let seed = u64::MAX.to_string();
    let check = ["environments", "check", "agent.toml", "--steps", "400", "--seed", &seed, "--json"];
    let checked = sojourn(place.path(), &check);
    assert!(document(&checked)["episodes"].as_u64().unwrap() > 2, "{}", said(&checked));
}

#[test]
fn a_skill_is_learned_in_a_program_and_the_log_replays_without_it() {
    let place = corridor("none");
    let check = sojourn(place.path(), &["environments", "check", "agent.toml", "--steps", "20"]);
    assert!(said(&check).contains("taking 20 random steps, twice"), "{}", said(&check));

    let run = ["run", "agent.toml", "--steps", "600", "--time", "3m", "--seed", "1", "--json"];
    let output = sojourn(place.path(), &run);
    assert!(output.status.success(), "{}", said(&output));
    let result = document(&output);
    // It has learned the only task, and does not live it until its steps are used up.
    let outcome = result["outcome"].as_str().unwrap();
    assert_eq!(outcome, "the agent can do every task, and the last 5 episodes brought nothing new");
    assert!(said(&output).contains("--set run.uneventful_episodes=0"), "{}", said(&output));
    assert_eq!(result["achievements_possible"], 1, "{result}");
    assert!(result["achievements"].get("leave").is_some(), "{result}");
    assert_eq!(result["skills"][0]["name"], "leave", "{result}");

    // The skill's world has no name here: the agent file describes it.
    let with = ["skills", "run", "leave", "--agent", "agent.toml", "--json"];
    assert_eq!(document(&sojourn(place.path(), &with))["result"]["verified"], true);
    assert!(!sojourn(place.path(), &["skills", "run", "leave", "--json"]).status.success());
    let tested = sojourn(place.path(), &["skills", "test", "--all", "--agent", "agent.toml", "--json"]);
    assert_eq!(document(&tested)[0]["name"], "leave", "{}", said(&tested));

    let misspelt = sojourn(place.path(), &["log", "latest", "--skill", "leaves"]);
    let expected = "error: no skill named `leaves`; did you mean `leave`?";
    assert!(said(&misspelt).contains(expected), "{}", said(&misspelt));

    // Whatever becomes of the program, the log goes on telling what it was.
    std::fs::remove_file(place.path().join("agent.toml")).unwrap();
    let output = sojourn(place.path(), &["replay", "latest", "--verify"]);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), said(&output));
    let output = sojourn(place.path(), &["log", "latest"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("corridor 1 with scripted"));

    // What needs a world says that there is none.
    let output = sojourn(place.path(), &["skills", "test", "leave"]);
    assert!(!output.status.success());
    assert!(said(&output).contains("no environment named `corridor`"), "{}", said(&output));
}

#[test]
fn a_killed_run_continues_its_episode_in_a_deterministic_program() {
    let place = corridor("none");
    // There is one task only, and the run is to live it until it is killed.
    let run = ["run", "agent.toml", "--steps", "4000", "--time", "3m", "--unsupervised", "--set"];
    let mut worker = command(place.path(), &[&run[..], &["run.uneventful_episodes=0"]].concat())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let count = || {
        let runs = sojourn(place.path(), &["runs", "--json"]);
        serde_json::from_slice::<Value>(&runs.stdout).ok().and_then(|runs| runs[0]["records"].as_u64())
    };
    while count().unwrap_or(0) < 200 {
        assert!(begun.elapsed() < Duration::from_mins(2), "it wrote nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    worker.kill().unwrap();
    worker.wait().unwrap();

    let output =
        sojourn(place.path(), &["run", "agent.toml", "--resume", "--steps", "50", "--time", "3m", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let output = sojourn(place.path(), &["replay", "latest", "--verify"]);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), said(&output));
    let log = sojourn(place.path(), &["log", "latest", "--json"]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(
        log.contains("\"resumed\"") && log.contains("the goal was reached"),
        "it lived before it was killed"
    );
    assert!(!log.contains("\"lost\""), "no episode was given up");
}

#[test]
fn errors_name_the_defect_of_an_environment() {
    for (fault, part) in [("no-world", "has no `environment`"), ("nameless", "missing field `name`")] {
        let place = corridor(fault);
        let output = sojourn(place.path(), &["run", "agent.toml", "--steps", "5"]);
        assert!(!output.status.success() && said(&output).contains(part), "{}", said(&output));
    }
    for (environment, part) in [
        ("environment = \"craftr\"", "did you mean `crafter`?"),
        ("environment = \"gym:\"", "no environment named `gym:`"),
        ("environment = 3", "an environment's name, or a table that describes one"),
        ("[environment]\nkind = \"proces\"", "did you mean `process`?"),
        ("[environment]\nkind = \"process\"\ncommand = []", "the environment needs a `command`"),
        ("[environment]\nkind = \"process\"\ncomand = []", "`comand`"),
        ("[environment]\nkind = \"mcp\"\nname = \"it\"", "there is no key `reset`"),
    ] {
        let place = agent(environment);
        let output = sojourn(place.path(), &["run", "agent.toml", "--steps", "5"]);
        assert!(!output.status.success() && said(&output).contains(part), "{environment}: {}", said(&output));
    }
}

#[test]
fn without_gymnasium_it_is_said_how_to_get_it() {
    let place = tempfile::tempdir().unwrap();
    let mut check = command(place.path(), &["environments", "check", "gym:CartPole-v1"]);
    let output = check.env("SOJOURN_GYM", "/nowhere").output().unwrap();
    assert!(said(&output).contains("`sojourn environments install gym PACKAGE…`"), "{}", said(&output));
}

#[test]
fn a_check_takes_random_steps_where_every_action_has_arguments() {
    let place = corridor("offers");
    let check = ["environments", "check", "agent.toml", "--steps", "30", "--json"];
    let output = sojourn(place.path(), &check);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(document(&output)["steps"], 30, "{}", said(&output));
}

/// A package that has a source distribution alone, whose build leaves `ran` in its directory.
const SOURCE_PACKAGE: &str = r#"
import io, tarfile
files = {
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n',
    "build.py": 'open("RAN", "w").write("yes")\n',
    "PKG-INFO": "Metadata-Version: 2.1\nName: miniwob\nVersion: 1.1.0\n",
}
with tarfile.open("miniwob-1.1.0.tar.gz", "w:gz") as archive:
    for name, text in files.items():
        entry = tarfile.TarInfo("miniwob-1.1.0/" + name)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
"#;

#[test]
fn miniwob_is_installed_from_its_wheel_and_nothing_of_a_package_is_run() {
    let place = tempfile::tempdir().unwrap();
    let ran = place.path().join("ran");
    let script = SOURCE_PACKAGE.replace("RAN", ran.to_str().unwrap());
    let made = std::process::Command::new("python3").args(["-c", &script]).current_dir(place.path()).status();
    assert!(made.unwrap().success());
    let mut install = command(place.path(), &["environments", "install", "miniwob"]);
    install.env("SOJOURN_MINIWOB", place.path().join("pages"));
    install.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", place.path());
    let output = install.output().unwrap();
    assert!(
        !output.status.success() && said(&output).contains("No matching distribution"),
        "{}",
        said(&output)
    );
    assert!(!ran.exists(), "code of the package was run");
}

mod with_network {
    use super::*;
    use std::process::Command;

    /// The program, with Gymnasium where it is kept from one test to the next.
    fn gym(place: &Path, args: &[&str]) -> Command {
        let mut command = command(place, args);
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"), PathBuf::from);
        command.env("SOJOURN_GYM", cache.join("sojourn/gym-of-tests"));
        command
    }

    /// Installs Gymnasium and its worlds by the product's own command. Without a package index there is nothing to test.
    fn installed(place: &Path) -> bool {
        let output =
            gym(place, &["environments", "install", "gym", "minigrid", "crafter==1.8.3"]).output().unwrap();
        if !output.status.success() {
            sojourn_testkit::skipped(said(&output));
        }
        output.status.success()
    }

    #[test]
    fn rewards_and_observations_that_are_no_numbers_do_not_end_a_gymnasium_world() {
        let place = agent("environment = \"crafter\"");
        if !installed(place.path()) {
            return;
        }
        let directory = gym(place.path(), &[])
            .get_envs()
            .find_map(|(name, value)| (name == "SOJOURN_GYM").then(|| PathBuf::from(value.unwrap())))
            .unwrap();
        let python = directory.join("bin/python");
        let world = root().join("tools/tests/servers/odd_gym.py");
        let bridge = root().join("tools/bridges/gym_bridge.py");
        let environment =
            format!("[environment]\nkind = \"process\"\ncommand = {:?}", [python, world, bridge]);
        let place = agent(&environment);
        // Actions at random: each of the odd rewards is given many times, and some end the episode.
        let check = ["environments", "check", "agent.toml", "--steps", "200", "--json"];
        let output = sojourn(place.path(), &check);
        assert!(output.status.success(), "{}", said(&output));
        let checked = document(&output);
        assert!(checked["reward"].is_f64(), "{checked}");
        assert_eq!(checked["steps"], 200, "{checked}");
        assert!(checked["unlocked"].as_array().unwrap().contains(&"succeed".into()), "{checked}");
        let state = &checked["first"]["state"];
        for (name, value) in [
            // Members of the bridge keep their names; members of the environment with the same names get a prefix.
            ("reward", serde_json::json!(0.0)),
            ("observation_reward", "own".into()),
            ("success", false.into()),
            ("observation_success", true.into()),
            ("steps", 0.into()),
            ("observation_steps", (-1).into()),
            ("1", "a".into()),
            ("observation_1", "b".into()),
            ("half", "x\u{fffd}".into()),
            ("\u{fffd}", "y\u{fffd}".into()),
            ("nan", "nan".into()),
            ("array", serde_json::json!(["inf", 1.0])),
            ("long", "a list of 2000".into()),
        ] {
            assert_eq!(state[name], value, "{name}: {state}");
        }
    }

    #[test]
    fn gymnasium_and_the_python_example_are_worlds() {
        let place = agent("environment = \"gym:MiniGrid-Empty-5x5-v0\"");
        if !installed(place.path()) {
            return;
        }
        let check = |environment: &str| {
            let output =
                gym(place.path(), &["environments", "check", environment, "--json"]).output().unwrap();
            document(&output)
        };
        let grid = check("gym:MiniGrid-Empty-5x5-v0");
        assert_eq!(grid["repeats"], true, "{grid}");
        assert_eq!(grid["tasks"][0]["description"], "get to the green goal square", "{grid}");
        assert_eq!(
            grid["first"]["state"]["near"]["goal"],
            serde_json::json!({"ahead": 2, "right": 2}),
            "{grid}"
        );
        assert_eq!(grid["actions"].as_array().unwrap().len(), 7);
        let lake = check("gym:FrozenLake-v1?is_slippery=false&actions=left,down,right,up");
        assert_eq!(lake["actions"], serde_json::json!(["left", "down", "right", "up"]));
        assert_eq!(lake["first"]["state"]["observation"], 0);
        for (id, part) in [
            ("gym:Pendulum-v1?actions=a,b", "1 arguments (axis_0), but 2 names"),
            ("gym:No-v0", "doesn't exist"),
            ("gym:FrozenLke-v1", "did you mean `gym:FrozenLake-v1`?"),
            ("gym:MiniGrid-Empty-5x5", "did you mean `gym:MiniGrid-Empty-5x5-v0`?"),
            ("gym:minigrid-empty-5x5", "did you mean `gym:MiniGrid-Empty-5x5-v0`?"),
            ("gym:MiniGrid-Empty-5x5-v7", "did you mean `gym:MiniGrid-Empty-5x5-v0`?"),
        ] {
            let output = gym(place.path(), &["environments", "check", id]).output().unwrap();
            assert!(!output.status.success() && said(&output).contains(part), "{}", said(&output));
        }
        let run = ["run", "agent.toml", "--steps", "20", "--time", "2m", "--json"];
        let output = gym(place.path(), &run).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(
            document(&output)["achievements"].get("get_to_the_green_goal_square").is_some(),
            "{}",
            said(&output)
        );
        let output = gym(place.path(), &["replay", "latest", "--verify"])
            .env("SOJOURN_GYM", "/nowhere")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));

        // The example, as its own README says, with the packages that were just installed.
        let python = gym(place.path(), &[])
            .get_envs()
            .find(|(name, _)| *name == "SOJOURN_GYM")
            .unwrap()
            .1
            .unwrap()
            .to_owned();
        let example = root().join("examples/plugins/crafter");
        let text = std::fs::read_to_string(example.join("agent.toml")).unwrap();
        let text = text.replace(
            "\"python3\"",
            &format!("{:?}", Path::new(&python).join("bin/python").to_str().unwrap()),
        );
        let text = text.replace("crafter_env.py", example.join("crafter_env.py").to_str().unwrap());
        std::fs::write(place.path().join("crafter.toml"), text).unwrap();
        let original = check("crafter.toml");
        assert_eq!(original["tasks"].as_array().unwrap().len(), 22, "{original}");
        assert_eq!(original["first"]["state"]["health"], 9, "{original}");
        assert!(
            !original["unlocked"].as_array().unwrap().is_empty(),
            "two hundred steps at random find something: {original}"
        );
    }
}
