//! Agents on the web: the example's site, what its trap can do, a browser that keeps dying, and tasks of MiniWoB++.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use crate::support::place;
use serde_json::Value;
use sojourn_testkit::{Place, Running, until};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The example's site, at an address of its own.
struct Site {
    _process: Running,
    address: String,
}

impl Site {
    fn start() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/web/site.py");
        let mut command = sojourn_testkit::command("python3");
        let mut process = Running::start(command.arg(program).arg("0").stdout(Stdio::piped()));
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { _process: process, address: address.trim().to_owned() }
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
    fn agent(&self) -> Place {
        let place = place();
        let text = include_str!("../../../examples/web/agent.toml")
            .replace("http://127.0.0.1:8700", &self.address)
            .replace("\"qwen2.5-coder-1.5b-instruct\"", "\"scripted\"")
            .replace("\"all-minilm-l6-v2\"", "\"none\"")
            .replace(
                "kind = \"llama\"\ncontext_tokens = 8192",
                &format!("kind = \"openai\"\nbase_url = \"{}\"", sojourn_testkit::endpoint()),
            );
        place.write("agent.toml", text);
        place
    }
}

/// The log of the latest run, line by line.
fn log(place: &Place) -> String {
    place.text(&["log", "latest", "--json"])
}

mod with_browser {
    use super::*;

    /// Whether there is a browser; where there is none, a test says that it is skipped.
    fn can_browse() -> bool {
        let found = sojourn_browser::find_chromium().is_some();
        if !found {
            sojourn_testkit::skipped("no Chromium is on this machine");
        }
        found
    }

    /// The seeds of `count` episodes about the first of the example's three tasks by name: finding the plum.
    fn about_the_plum(count: u64) -> String {
        let seeds: Vec<String> = (0..count).map(|n| (3 * n).to_string()).collect();
        format!("run.episodes=[{}]", seeds.join(", "))
    }

    #[test]
    fn programs_of_the_working_directory_are_not_run_for_a_browser() {
        use std::os::unix::fs::PermissionsExt as _;
        if !can_browse() {
            return;
        }
        let site = Site::start();
        let place = site.agent();
        let names =
            ["sh", "unshare", "setpriv", "grep", "sleep", "chromium", "chromium-browser", "google-chrome"];
        for name in names {
            place.write(
                name,
                format!("#!/bin/sh\necho {name} >> ran\nPATH=/usr/bin:/bin exec {name} \"$@\"\n"),
            );
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(place.path().join(name), mode).unwrap();
        }
        let mut check = place.command(&["environments", "check", "agent.toml", "--steps", "1"]);
        // An empty entry is the working directory.
        check.env("PATH", format!(":.:{}", std::env::var("PATH").unwrap()));
        let check = place.answer(&check.output().unwrap());
        assert!(check.is_ok(), "{check}");
        let ran = std::fs::read_to_string(place.path().join("ran")).unwrap_or_default();
        assert_eq!(ran, "", "programs of the working directory ran");
    }

    #[test]
    fn the_example_learns_its_tasks_and_its_log_needs_no_browser() {
        if !can_browse() {
            return;
        }
        let site = Site::start();
        let place = site.agent();
        let answer = place.run(&[
            "run",
            "agent.toml",
            "--time",
            "30m",
            "--json",
            "--set",
            "run.episodes=[0, 1, 2, 3, 4, 5]",
        ]);
        assert!(answer.is_ok(), "{answer}");
        let result = answer.json();
        assert_eq!(result["achievements_possible"], 3, "{result}");
        for task in ["find_plum", "log_in", "order_pears"] {
            assert!(result["achievements"].get(task).is_some(), "{task}: {answer}");
        }
        assert_eq!(result["skills"].as_array().unwrap().len(), 3, "{result}");
        drop(site);
        let mut replay = place.command(&["replay", "latest", "--verify"]);
        let replay = place.answer(&replay.env("SOJOURN_CHROMIUM", "/nowhere").output().unwrap());
        assert!(replay.is_ok(), "{replay}");
    }

    #[test]
    fn an_agent_that_obeys_the_planted_instruction_does_no_harm_in_20_of_20_episodes() {
        if !can_browse() {
            return;
        }
        let site = Site::start();
        let place = site.agent();
        // The scripted model follows every instruction that it reads: it presses the button in every episode.
        let episodes = about_the_plum(20);
        let run = ["run", "agent.toml", "--time", "30m", "--json", "--set", &episodes];
        let run = [&run[..], &["--set", "run.learning=false", "--set", "run.library=false"]].concat();
        let answer = place.run(&run);
        assert!(answer.is_ok(), "{answer}");
        let log = log(&place);
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
        let mut command =
            place.command(&["run", "agent.toml", "--time", "30m", "--json", "--set", &episodes]);
        command.env("TMPDIR", &temporary).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut run = command.spawn().unwrap();
        let (mut killed, mut last) = (0, None);
        // Pauses of no pattern, so that it dies in all kinds of moments, each once it shows pages; then it is left in peace.
        // Eight deaths are fewer than the starts that one episode is given: on a slow machine all may fall into one start.
        for pause in [100_u64, 410, 730, 150, 590, 270, 910, 330] {
            let mut browser = None;
            until("another browser shows pages", || {
                browser = browsers(&temporary).into_iter().find(|one| Some(&one.profile) != last.as_ref());
                browser.as_ref().is_some_and(|one| one.shows_pages) || run.try_wait().unwrap().is_some()
            });
            let Some(browser) = browser.filter(|browser| browser.shows_pages) else { break };
            std::thread::sleep(std::time::Duration::from_millis(pause));
            // The run may have ended meanwhile, and its browser with it.
            let kill = Command::new("kill").args(["-9", &browser.process]).stderr(Stdio::null()).status();
            killed += u32::from(kill.unwrap().success());
            last = Some(browser.profile);
        }
        let answer = place.answer(&run.wait_with_output().unwrap());
        assert!(answer.is_ok(), "{answer}");
        assert!(killed >= 3, "it was killed {killed} times only: {answer}");
        let log = log(&place);
        let started = log.matches("\"kind\":\"episode_started\"").count();
        assert_eq!(started, 20, "every episode is in the log");
        for check in [&["log", "verify"][..], &["replay", "latest", "--verify"]] {
            place.text(check);
        }
    }

    #[test]
    fn exploration_learns_on_a_site_that_allows_it_within_its_grants() {
        if !can_browse() {
            return;
        }
        let site = Site::start();
        let place = site.agent();
        let text = std::fs::read_to_string(place.path().join("agent.toml")).unwrap();
        place.write("agent.toml", text.replace("# explore = true ", "explore = true "));
        let mut run = vec!["run", "agent.toml", "--time", "30m", "--json"];
        for setting in [
            "run.episodes=[1, 0]",
            // With this seed chance logs in after 46 episodes; with the default one not within these.
            "run.seed=3",
            "run.explore.episodes=60",
            "run.actor.rounds=0",
            "run.memory=false",
            "run.deliberate=false",
        ] {
            run.extend(["--set", setting]);
        }
        let answer = place.run(&run);
        assert!(answer.is_ok(), "{answer}");
        let result = answer.json();
        let skills: Vec<&str> =
            result["skills"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
        // The other task is explored too, on the page with the trap.
        assert!(skills.contains(&"log_in"), "{answer}");
        let log = log(&place);
        assert_eq!(log.matches("\"kind\":\"explored\"").count(), 2, "{log}");
        assert!(!log.contains("\"kind\":\"ask_controller\""), "no model was asked");
        assert_eq!(site.harm(), serde_json::json!([]));
    }

    #[test]
    fn exploration_learns_without_a_model_and_its_run_replays() {
        // Where `sojourn environments install miniwob` puts the pages, and not in the cache of the test.
        let cache =
            || directories::ProjectDirs::from("", "", "sojourn").map(|dirs| dirs.cache_dir().join("miniwob"));
        let Some(pages) = std::env::var_os("SOJOURN_MINIWOB").map(PathBuf::from).or_else(cache) else {
            return;
        };
        if !can_browse() || !pages.is_dir() {
            sojourn_testkit::skipped("`sojourn environments install miniwob` brings the pages");
            return;
        }
        let place = place();
        place.write_agent(
            "environment = \"miniwob\"",
            "[run]\nmemory = false\ndeliberate = false\ntasks = [\"click_button\", \"enter_text\"]\n\
             [run.actor]\nlanguage = \"javascript\"\nrounds = 0\n",
        );
        let sojourn = |args: &[&str]| {
            place.answer(&place.command(args).env("SOJOURN_MINIWOB", &pages).output().unwrap())
        };
        let run = sojourn(&["run", "agent.toml", "--steps", "5", "--json"]).json();
        let skills: Vec<&str> =
            run["skills"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(skills, ["click_button", "enter_text"], "{run}");
        let log = log(&place);
        assert!(!log.contains("\"kind\":\"ask_controller\""), "no model was asked");
        for check in [
            &["log", "verify"][..],
            &["replay", "latest", "--verify"],
            // What was found by chance comes from the log there, like everything else.
            &["simulate-crash", "latest", "--every", "9"],
        ] {
            let answer = sojourn(check);
            assert!(answer.is_ok(), "{check:?}: {answer}");
        }
    }
}

/// A browser that runs.
struct Browser {
    /// The process that all others of it belong to.
    process: String,
    /// The name of its profile, which no other browser has.
    profile: String,
    /// Whether a page has a process in it.
    shows_pages: bool,
}

/// The browsers whose profiles are under `temporary`.
fn browsers(temporary: &Path) -> Vec<Browser> {
    let listed = Command::new("ps").args(["-eo", "pid,args"]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let profiles = temporary.join("sojourn-browser-");
    let of_ours = listed.lines().filter_map(|line| {
        let (_, rest) = line.split_once(profiles.to_str()?)?;
        let profile = rest.split(|character: char| !character.is_alphanumeric()).next()?;
        Some((line.trim(), profile.to_owned()))
    });
    let of_ours: Vec<(&str, String)> = of_ours.collect();
    let mains = of_ours.iter().filter(|(line, _)| !line.contains("--type="));
    let browser = |(line, profile): &(&str, String)| {
        let renders = |(line, of): &(&str, String)| of == profile && line.contains("--type=renderer");
        Browser {
            process: line.split(' ').next().unwrap().to_owned(),
            profile: profile.clone(),
            shows_pages: of_ours.iter().any(renders),
        }
    };
    mains.map(browser).collect()
}

#[test]
fn errors_name_the_defect_of_a_site() {
    for (environment, part) in [
        (
            "kind = \"web\"\nname = \"x\"\nstart = \"http://a.example/\"\nexplore = true\ntasks.t = { goal = \"g\", success = \"true\" }",
            "`explore` needs `practice = true`",
        ),
        ("kind = \"web\"\nname = \"x\"\nstart = \"http://a.example/\"\ntasks = {}", "has no tasks"),
        (
            "kind = \"web\"\nname = \"x\"\nstart = \"ftp://a.example/\"\ntasks.t = { goal = \"g\", success = \"true\" }",
            "is not an http or https URL",
        ),
        (
            "kind = \"web\"\nname = \"x\"\nstart = \"http://a.example/\"\nsend = [\"[\"]\ntasks.t = { goal = \"g\", success = \"true\" }",
            "the pattern `[` is not valid",
        ),
        ("kind = \"web\"\nname = \"x\"\nstrat = \"http://a.example/\"", "`strat`"),
    ] {
        let place = place();
        place.write_agent("", &format!("[environment]\n{environment}\n"));
        let complaint = place.complaint(&["run", "agent.toml", "--steps", "5"]);
        assert!(
            !complaint.starts_with("exit code 0") && complaint.contains(part),
            "{environment}: {complaint}"
        );
    }
}

#[test]
fn without_a_browser_the_error_says_how_to_get_one() {
    let site = Site::start();
    let place = site.agent();
    let mut run = place.command(&["run", "agent.toml", "--steps", "5"]);
    let answer = place.answer(&run.env("SOJOURN_CHROMIUM", "/nowhere").output().unwrap());
    assert!(!answer.is_ok() && answer.stderr.contains("no Chromium was found"), "{answer}");
    assert!(answer.stderr.contains("apt-get install chromium"), "{answer}");
}
