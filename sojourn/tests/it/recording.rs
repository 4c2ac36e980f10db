//! Skills that are recorded: generalised, admitted by trials, run with other arguments, and repaired when the page has changed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use crate::support::place;
use serde_json::{Value, json};
use sojourn_testkit::{Answer, Place, Running};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const ADA: &str = "lovelace-1815";
const BOB: &str = "builder-1999";

/// The login, at an address of its own.
struct Site {
    _process: Running,
    address: String,
}

impl Site {
    fn start() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/login_site.py");
        let mut command = sojourn_testkit::command("python3");
        let mut process = Running::start(command.arg(program).stdout(Stdio::piped()));
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { _process: process, address: address.trim().to_owned() }
    }

    /// Changes the site.
    fn become_other(&self, variant: &str) {
        let asked = Command::new("python3")
            .args(["-c", "import sys, urllib.request; urllib.request.urlopen(sys.argv[1]).read()"])
            .arg(format!("{}/become/{variant}", self.address))
            .status();
        assert!(asked.unwrap().success());
    }
}

/// What a person does to log in.
const STEPS: &str = "# a login\ntype(\"User name\", \"ada\")\ntype(\"Password\", \"${MEMBER_PASSWORD}\")\n\nclick(\"Log in\")\n";

/// Carries a command out with a password in its environment.
fn with_password(place: &Place, password: &str, args: &[&str]) -> Answer {
    let mut command = place.command(args);
    place.answer(&command.env("MEMBER_PASSWORD", password).output().unwrap())
}

/// Records the login.
fn record(place: &Place, site: &Site, more: &[&str]) -> Answer {
    place.write("steps.txt", STEPS);
    let url = format!("{}/login", site.address);
    let args =
        [&["skills", "record", "log_in", "--url", &url, "--input", "steps.txt", "--json"][..], more].concat();
    with_password(place, ADA, &args)
}

/// Whether some file below a folder has these bytes.
fn is_anywhere(folder: &Path, bytes: &[u8]) -> bool {
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(text) = std::fs::read(&path)
                && text.windows(bytes.len()).any(|window| window == bytes)
            {
                eprintln!("{}", path.display());
                return true;
            }
        }
    }
    false
}

#[test]
fn a_recording_says_what_it_needs() {
    let place = place();
    let nothing = place.run(&["skills", "record", "log_in"]);
    assert!(nothing.stderr.contains("--url"), "{nothing}");
    for (name, why) in
        [("log in", "no name of a function"), ("click", "another meaning"), ("while", "another meaning")]
    {
        let bad =
            place.run(&["skills", "record", name, "--url", "http://127.0.0.1:9/", "--input", "none.txt"]);
        assert_eq!(bad.code, 3, "{bad}");
        place.write("empty.txt", "");
        let bad =
            place.run(&["skills", "record", name, "--url", "http://127.0.0.1:9/", "--input", "empty.txt"]);
        assert_eq!(bad.code, 2, "{bad}");
        assert!(bad.stderr.contains(why), "{bad}");
    }
    place.write("secret.txt", "type(\"Password\", \"${NOBODY_SET_THIS}\")");
    let unset =
        place.run(&["skills", "record", "x", "--url", "http://127.0.0.1:9/", "--input", "secret.txt"]);
    assert!(unset.stderr.contains("NOBODY_SET_THIS is not set"), "{unset}");
    let no_url = place.run(&["skills", "record", "x", "--url", "example", "--input", "empty.txt"]);
    assert!(no_url.stderr.contains("no address of a page"), "{no_url}");
    let healed = place.run(&["skills", "heal", "x", "--agent", "none.toml"]);
    assert!(!healed.is_ok(), "{healed}");
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

    #[test]
    fn a_login_is_recorded_replays_for_others_and_is_repaired_when_the_page_has_changed() {
        if !can_browse() {
            return;
        }
        let (site, place) = (Site::start(), place());
        let recorded = record(&place, &site, &["--param", "user=ada", "--yes"]);
        assert!(recorded.is_ok(), "{recorded}");
        let recorded = recorded.json();
        assert_eq!(recorded["admitted"], json!(true), "{recorded}");
        assert_eq!(recorded["secrets"], json!(["MEMBER_PASSWORD"]));
        assert_eq!(
            recorded["parameters"],
            json!([
                {"name": "user", "kind": {"schema": {"type": "string", "examples": ["ada"]}}},
                {"name": "password", "kind": "text", "default": "${MEMBER_PASSWORD}"},
            ])
        );
        assert_eq!(
            recorded["steps"],
            json!([
                "type(textbox \"User name\", user)",
                "type(textbox \"Password\", password)",
                "click(button \"Log in\")"
            ])
        );
        assert_eq!(recorded["success"], "document.body.innerText.includes(\"Welcome,\")");
        let agent = std::fs::read_to_string(place.path().join("log_in.toml")).unwrap();
        assert!(agent.contains(&format!("send = [\"{}/login\"]", site.address)), "{agent}");

        let run = ["skills", "run", "log_in", "--agent", "log_in.toml", "--json", "--args"];
        let with =
            |password: &str, args: &str| with_password(&place, password, &[&run[..], &[args]].concat());
        let bob = with(BOB, r#"{"user": "bob"}"#);
        assert!(bob.is_ok(), "{bob}");
        assert!(bob.json()["result"]["after"].to_string().contains("success"), "{bob}");
        assert!(!bob.stdout.contains(BOB), "{bob}");
        let wrong = with(ADA, r#"{"user": "bob"}"#);
        assert_eq!(wrong.code, 1, "{wrong}");
        let unset = place.run(&[&run[..], &[r#"{"user": "bob"}"#]].concat());
        assert!(
            !unset.is_ok() && unset.stdout.contains("set the environment variable MEMBER_PASSWORD"),
            "{unset}"
        );

        let agent = ["--agent", "log_in.toml"];
        let same =
            with_password(&place, ADA, &[&["skills", "heal", "log_in", "--json"][..], &agent].concat());
        assert!(same.is_ok(), "{same}");
        assert_eq!((&same.json()["healed"], &same.json()["failed"]), (&Value::Null, &json!(0)));

        for (variant, change, version) in [
            ("renamed", "button \"Log in\" is now button \"Sign in\"", 2),
            ("dialog", "click(button \"Accept all\") is new", 3),
        ] {
            site.become_other(variant);
            let broken = with(ADA, r#"{"user": "ada"}"#);
            assert_eq!(broken.code, 1, "{variant}: {broken}");
            let healed =
                with_password(&place, ADA, &[&["skills", "heal", "log_in", "--json"][..], &agent].concat());
            assert!(healed.is_ok(), "{variant}: {healed}");
            let healed = healed.json();
            assert_eq!(healed["healed"], json!(version), "{healed}");
            assert!(healed["changes"].as_array().unwrap().contains(&json!(change)), "{healed}");
            let works = with(BOB, r#"{"user": "bob"}"#);
            assert!(works.is_ok(), "{variant}: {works}");
        }
        let history = place.text(&["skills", "history", "log_in"]);
        assert!(history.contains("Sign in") && history.contains("to repair version 1"), "{history}");

        site.become_other("gone");
        let heal = ["skills", "heal", "log_in", "--episodes", "6", "--json"];
        let lost = with_password(&place, ADA, &[&heal[..], &agent].concat());
        assert_eq!(lost.code, 1, "{lost}");
        assert_eq!(lost.json()["healed"], Value::Null);

        // Neither the home nor the folder has a password, in whatever file, and nothing that is printed.
        for password in [ADA, BOB] {
            assert!(!is_anywhere(place.path(), password.as_bytes()), "{password}");
            let all = [["skills", "show", "log_in"], ["skills", "history", "log_in"]];
            assert!(all.iter().all(|args| !place.json(args).to_string().contains(password)));
        }
    }

    #[test]
    fn without_leave_nothing_is_tried_and_the_recording_is_a_draft() {
        if !can_browse() {
            return;
        }
        let (site, place) = (Site::start(), place());
        let draft = record(
            &place,
            &site,
            &[
                "--until",
                "document.title === 'Members' && !document.forms.length",
                "--goal",
                "Log in as a member.",
            ],
        );
        assert!(draft.is_ok(), "{draft}");
        let draft = draft.json();
        assert_eq!((&draft["admitted"], &draft["trial"]), (&json!(false), &Value::Null));
        assert_eq!(draft["parameters"][0]["name"], "user_name");
        let again = record(&place, &site, &[]);
        assert_eq!(again.code, 2, "{again}");
        assert!(again.stderr.contains("`log_in.toml` is there already"), "{again}");
        let admit = ["skills", "test", "log_in", "--admit", "--agent", "log_in.toml", "--json"];
        let admitted = with_password(&place, ADA, &admit);
        assert!(admitted.is_ok(), "{admitted}");
        assert_eq!(admitted.json()[0]["admitted"], json!(true), "{admitted}");
    }

    #[test]
    fn a_recording_that_does_not_work_again_is_not_admitted() {
        if !can_browse() {
            return;
        }
        let (site, place) = (Site::start(), place());
        let refused = record(&place, &site, &["--until", "document.title === 'Nothing like it'", "--yes"]);
        assert_eq!(refused.code, 1, "{refused}");
        assert_eq!(refused.json()["admitted"], json!(false));
        let listed = place.text(&["skills", "list"]);
        assert!(!listed.contains("log_in"), "{listed}");
    }
}
