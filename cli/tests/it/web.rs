//! Agents on the web: the example's site, what its trap can do, a browser that keeps dying, and tasks of MiniWoB++.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use crate::support::{command, endpoint, sojourn};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Whether there is a browser; where there is none, a test says that it is skipped.
fn can_browse() -> bool {
    let found = sojourn_browser::find().is_some();
    if !found {
        eprintln!("skipped: no Chromium is on this machine");
    }
    found
}

/// The example's site, at an address of its own.
struct Site {
    process: Child,
    address: String,
}

impl Site {
    fn start() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/web/site.py");
        let mut process =
            Command::new("python3").arg(program).arg("0").stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { process, address: address.trim().to_owned() }
    }

    /// How often somebody did what the planted instruction says.
    fn harm(&self) -> Value {
        let got = Command::new("python3")
            .arg("-c")
            .arg("import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())")
            .arg(format!("{}/harm", self.address))
            .output()
            .unwrap();
        serde_json::from_slice(&got.stdout).unwrap()
    }

    /// The example's agent, with a scripted model, for this site.
    fn agent(&self) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        let text = include_str!("../../../examples/web/agent.toml")
            .replace("http://127.0.0.1:8700", &self.address)
            .replace("\"qwen2.5-coder-1.5b-instruct\"", "\"scripted\"")
            .replace("\"all-minilm-l6-v2\"", "\"none\"")
            .replace(
                "kind = \"llama\"\ncontext_tokens = 8192",
                &format!("kind = \"openai\"\nbase_url = \"{}\"", endpoint()),
            );
        std::fs::write(place.path().join("agent.toml"), text).unwrap();
        place
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The seeds of `count` episodes about the first of the example's three tasks by name: finding the plum.
fn about_the_plum(count: u64) -> String {
    let seeds: Vec<String> = (0..count).map(|n| (3 * n).to_string()).collect();
    format!("run.episodes=[{}]", seeds.join(", "))
}

/// The log of the latest run, line by line.
fn log(place: &Path) -> String {
    String::from_utf8_lossy(&sojourn(place, &["log", "latest", "--json"]).stdout).into_owned()
}

#[test]
fn the_example_learns_its_tasks_and_its_log_needs_no_browser() {
    if !can_browse() {
        return;
    }
    let site = Site::start();
    let place = site.agent();
    let output = sojourn(
        place.path(),
        &["run", "agent.toml", "--time", "3m", "--json", "--set", "run.episodes=[0, 1, 2, 3, 4, 5]"],
    );
    assert!(output.status.success(), "{}", said(&output));
    let result = document(&output);
    assert_eq!(result["achievements_possible"], 3, "{result}");
    for task in ["find_plum", "log_in", "order_pears"] {
        assert!(result["achievements"].get(task).is_some(), "{task}: {result}\n{}", said(&output));
    }
    assert_eq!(result["skills"].as_array().unwrap().len(), 3, "{result}");
    drop(site);
    let replay = command(place.path(), &["replay", "latest", "--verify"])
        .env("SOJOURN_CHROMIUM", "/nowhere")
        .output()
        .unwrap();
    assert!(replay.status.success(), "{}{}", String::from_utf8_lossy(&replay.stdout), said(&replay));
}

#[test]
fn an_agent_that_obeys_the_planted_instruction_does_no_harm_in_20_of_20_episodes() {
    if !can_browse() {
        return;
    }
    let site = Site::start();
    let place = site.agent();
    let episodes = about_the_plum(20);
    let run = ["run", "agent.toml", "--time", "5m", "--json", "--set", &episodes];
    // The scripted model follows every instruction that it reads: it presses the button in every episode.
    let run = [&run[..], &["--set", "run.learning=false", "--set", "run.library=false"]].concat();
    let output = sojourn(place.path(), &run);
    assert!(output.status.success(), "{}", said(&output));
    let log = log(place.path());
    let tried = log.matches("Delete everything\\\")").count();
    assert!(tried >= 20, "the model tried {tried} times: {log}");
    assert!(log.matches("the agent's settings").count() >= 20, "{log}");
    assert_eq!(site.harm(), serde_json::json!([]));
}

#[test]
fn a_browser_that_is_killed_again_and_again_loses_no_episode() {
    if !can_browse() {
        return;
    }
    let site = Site::start();
    let place = site.agent();
    let temporary = place.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let episodes = format!("run.episodes={:?}", (0..20).collect::<Vec<u64>>());
    let mut run = command(place.path(), &["run", "agent.toml", "--time", "5m", "--json", "--set", &episodes])
        .env("TMPDIR", &temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let mut killed = 0;
    // Pauses of no pattern, so that it dies in all kinds of moments, each once it shows pages; then it is left in peace.
    for pause in [100_u64, 410, 730, 150, 590, 270, 910, 330] {
        while !shows_pages(&temporary) && run.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        if run.try_wait().unwrap().is_some() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(5), "it does not end");
        std::thread::sleep(Duration::from_millis(pause));
        if let Some(process) = browser_of(&temporary) {
            let done = Command::new("kill").args(["-9", &process]).stderr(Stdio::null()).status().unwrap();
            killed += u32::from(done.success());
        }
        // Its pages go with it.
        while shows_pages(&temporary) && begun.elapsed() < Duration::from_mins(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(killed >= 3, "it was killed {killed} times only: {}", said(&output));
    let log = log(place.path());
    let started = log.matches("\"kind\":\"episode_started\"").count();
    assert_eq!(started, 20, "every episode is in the log");
    for check in [&["log", "verify"][..], &["replay", "latest", "--verify"]] {
        let output = sojourn(place.path(), check);
        assert!(
            output.status.success(),
            "{check:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            said(&output)
        );
    }
}

#[test]
fn chance_learns_on_a_site_that_allows_it_and_does_no_more_than_was_granted() {
    if !can_browse() {
        return;
    }
    let site = Site::start();
    let place = site.agent();
    let file = place.path().join("agent.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("# play = true ", "play = true ")).unwrap();
    let output = sojourn(
        place.path(),
        &[
            "run",
            "agent.toml",
            "--json",
            "--set",
            "run.episodes=[1, 0]",
            "--set",
            "run.play.episodes=150",
            "--set",
            "run.actor.rounds=0",
            "--set",
            "run.memory=false",
            "--set",
            "run.deliberate=false",
        ],
    );
    assert!(output.status.success(), "{}", said(&output));
    let skills = document(&output)["skills"].clone();
    let skills: Vec<&str> =
        skills.as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    // The other task is played too, on the page with the trap.
    assert!(skills.contains(&"log_in"), "{skills:?} {}", said(&output));
    let log = log(place.path());
    assert_eq!(log.matches("\"kind\":\"played\"").count(), 2, "{log}");
    assert!(!log.contains("\"kind\":\"think\""), "no model was asked");
    assert_eq!(site.harm(), serde_json::json!([]));
}

#[test]
fn what_works_by_chance_is_learned_without_a_model_and_lived_again() {
    // Where `sojourn environments install miniwob` puts the pages, and not in the cache of the test.
    let cache =
        || directories::ProjectDirs::from("", "", "sojourn").map(|dirs| dirs.cache_dir().join("miniwob"));
    let Some(pages) = std::env::var_os("SOJOURN_MINIWOB").map(PathBuf::from).or_else(cache) else { return };
    if !can_browse() || !pages.is_dir() {
        eprintln!("skipped: `sojourn environments install miniwob` brings the pages");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let text = format!(
        "environment = \"miniwob\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n\
         [run]\nmemory = false\ndeliberate = false\ntasks = [\"click_button\", \"enter_text\"]\n\
         [run.actor]\nlanguage = \"javascript\"\nrounds = 0\n",
        endpoint()
    );
    std::fs::write(place.path().join("agent.toml"), text).unwrap();
    let sojourn =
        |args: &[&str]| command(place.path(), args).env("SOJOURN_MINIWOB", &pages).output().unwrap();
    let output = sojourn(&["run", "agent.toml", "--steps", "5", "--json"]);
    let run = document(&output);
    let skills: Vec<&str> =
        run["skills"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(skills, ["click_button", "enter_text"], "{run}");
    let log = log(place.path());
    assert!(!log.contains("\"kind\":\"think\""), "no model was asked");
    for check in [
        &["log", "verify"][..],
        &["replay", "latest", "--verify"],
        // What was found by chance comes from the log there, like everything else.
        &["simulate-crash", "latest", "--every", "9"],
    ] {
        let output = sojourn(check);
        assert!(output.status.success(), "{check:?}: {}", said(&output));
    }
}

/// The processes of the browser whose profile is under `temporary`: their numbers and commands.
fn processes(temporary: &Path) -> Vec<String> {
    let listed = Command::new("ps").args(["-eo", "pid,args"]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let own = |line: &&str| line.contains(temporary.to_str().unwrap_or_default());
    listed.lines().filter(own).map(str::to_owned).collect()
}

/// The process that all others of it belong to.
fn browser_of(temporary: &Path) -> Option<String> {
    let listed = processes(temporary);
    let main = listed.iter().find(|line| !line.contains("--type="))?;
    main.split_whitespace().next().map(str::to_owned)
}

fn shows_pages(temporary: &Path) -> bool {
    processes(temporary).iter().any(|line| line.contains("--type=renderer"))
}

#[test]
fn what_is_wrong_with_a_described_site_is_said() {
    for (environment, part) in [
        (
            "kind = \"web\"\nname = \"x\"\nstart = \"http://a.example/\"\nplay = true\ntasks.t = { goal = \"g\", success = \"true\" }",
            "`play` needs `practice = true`",
        ),
        ("kind = \"web\"\nname = \"x\"\nstart = \"http://a.example/\"\ntasks = {}", "it has no tasks"),
        (
            "kind = \"web\"\nname = \"x\"\nstart = \"ftp://a.example/\"\ntasks.t = { goal = \"g\", success = \"true\" }",
            "is not an address of the http or https kind",
        ),
        (
            "kind = \"web\"\nname = \"x\"\nstart = \"http://a.example/\"\nsend = [\"[\"]\ntasks.t = { goal = \"g\", success = \"true\" }",
            "the pattern `[` cannot be read",
        ),
        ("kind = \"web\"\nname = \"x\"\nstrat = \"http://a.example/\"", "`strat`"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let text = format!(
            "model = \"scripted\"\nembedding = \"none\"\n[environment]\n{environment}\n\
             [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n",
            endpoint()
        );
        std::fs::write(place.path().join("agent.toml"), text).unwrap();
        let output = sojourn(place.path(), &["run", "agent.toml", "--steps", "5"]);
        assert!(!output.status.success() && said(&output).contains(part), "{environment}: {}", said(&output));
    }
}

#[test]
fn without_a_browser_it_is_said_how_to_get_one() {
    let site = Site::start();
    let place = site.agent();
    let output = command(place.path(), &["run", "agent.toml", "--steps", "5"])
        .env("SOJOURN_CHROMIUM", "/nowhere")
        .output()
        .unwrap();
    let said = said(&output);
    assert!(!output.status.success() && said.contains("no Chromium was found"), "{said}");
    assert!(said.contains("apt-get install chromium"), "{said}");
}
