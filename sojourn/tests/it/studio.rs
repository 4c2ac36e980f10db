//! The studio over HTTP: access, lists, live runs and reports.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod actions;
mod with_browser;

use crate::golden;
use crate::skills;
use crate::support::{command, place};
use serde_json::{Value, json};
use sojourn_skills::{AdmissionRule, Library, LibraryEvent, SkillId, Use};
use sojourn_testkit::{Place, Running, has, until};
use sqlx::{Connection as _, SqliteConnection};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

/// A studio of its own.
struct Studio {
    _process: Running,
    /// `127.0.0.1:PORT`.
    host: String,
    token: String,
}

/// An answer: the status, the head with names in lower case, and the body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Studio {
    /// A studio for the home `place/home`.
    fn start(place: &Path) -> Self {
        let mut command = command(place, &["studio", "--http", "127.0.0.1:0"]);
        command.env_remove("SOJOURN_STUDIO_TOKEN").stderr(Stdio::piped());
        let mut process = Running::start(&mut command);
        let mut line = String::new();
        BufReader::new(process.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let (_, link) = line.trim().split_once("http://").unwrap_or_else(|| panic!("{line}"));
        let (host, token) = link.split_once("/?token=").unwrap();
        Self { _process: process, host: host.to_owned(), token: token.to_owned() }
    }

    /// Sends a request with exactly these headers.
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n")
            .unwrap();
        for (name, value) in headers {
            write!(stream, "{name}: {value}\r\n").unwrap();
        }
        write!(stream, "\r\n{body}").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("Host", &self.host), ("Authorization", &self.bearer())], "")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("Host", self.host.as_str()), ("Authorization", &self.bearer())];
        self.send("POST", path, &headers, &body.to_string())
    }
}

/// A place with the golden run in its home.
fn with_golden_run() -> Place {
    let place = place();
    place.write("home/sojourn.db", golden::log());
    place
}

/// Imports a skill that says this of itself and in its source.
fn import_skill(place: &Place, says: &str) {
    let manifest = json!({
        "format": 1, "name": "get_wood", "description": says, "kind": "skill", "environment": "crafter", "parameters": [],
        "postcondition": {"increased": {"path": "/inventory/wood", "by": {"literal": 1.0}}},
    });
    place.write("in/get-wood/SKILL.md", "---\nname: get-wood\ndescription: for the test\n---\n");
    place.write(
        "in/get-wood/scripts/skill.js",
        format!("function get_wood() {{\n  // {says}\n  noop(1);\n}}\n"),
    );
    place.write("in/get-wood/manifest.json", manifest.to_string());
    place.text(&["skills", "import", "in"]);
}

/// A home with two skills, one of which calls the other; of the called one a second version is in use, and failed twice.
async fn with_two_versions() -> Place {
    let place = tokio::task::spawn_blocking(skills::learned).await.unwrap();
    let mut library = Library::open(&place.path().join("home/library")).await.unwrap();
    let first = library.state().active("collect_wood").unwrap().clone();
    let mut second = (*first.skill).clone();
    second.source.push_str("// and no better\n");
    let manifest = &mut second.manifest;
    manifest.id = SkillId::of(&manifest.name, &second.source, &manifest.parameters, &manifest.engine);
    manifest.version = 2;
    let id = manifest.id.clone();
    let (report, rule) = (first.report.unwrap(), AdmissionRule::default());
    let failed = Use { context: "wood".into(), success: false, died: false, steps: 9, error: None };
    let used = LibraryEvent::Used { id: id.clone(), usage: failed };
    for event in [
        LibraryEvent::Drafted { skill: Box::new(second) },
        LibraryEvent::TrialStarted { id: id.clone() },
        LibraryEvent::Admitted { id, report, rule },
    ] {
        library.apply(&event, 1_790_000_000_000).await.unwrap();
    }
    for source in ["20260101-000000-0007/12", "20260101-000000-0007/30"] {
        library.apply_once(&used, 1_790_000_000_000, source).await.unwrap();
    }
    place
}

#[test]
fn only_its_own_page_with_the_token_is_answered() {
    let place = with_golden_run();
    let studio = Studio::start(place.path());
    let host = ("Host", studio.host.as_str());
    let status =
        |method: &str, path: &str, headers: &[(&str, &str)]| studio.send(method, path, headers, "").status;

    assert_eq!(status("GET", "/", &[host]), 401);
    assert_eq!(status("GET", "/app.js", &[host]), 401);
    assert_eq!(status("GET", "/?token=wrong", &[host]), 401);
    assert_eq!(status("GET", "/api/runs", &[host, ("Authorization", "Bearer wrong")]), 401);
    let in_query = format!("/api/runs?token={}", studio.token);
    assert_eq!(status("GET", &in_query, &[host]), 401, "the token is handed over at one place only");

    let handed = studio.send("GET", &format!("/?token={}", studio.token), &[host], "");
    assert_eq!(handed.status, 200);
    let set = handed.header("set-cookie").unwrap();
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains(&studio.token),
        "{set}"
    );
    let policy = handed.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(handed.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(handed.header("x-content-type-options"), Some("nosniff"));
    assert!(!handed.body.contains(&studio.token));

    let cookie = ("Cookie", set.split(';').next().unwrap());
    let own = format!("http://{}", studio.host);
    assert_eq!(status("GET", "/api/runs", &[host, cookie]), 200);
    assert_eq!(status("GET", "/api/runs", &[host, cookie, ("Origin", &own)]), 200);
    for foreign in ["http://evil.example", "null", "http://127.0.0.1:1", "https://localhost"] {
        assert_eq!(status("GET", "/api/runs", &[host, cookie, ("Origin", foreign)]), 403, "{foreign}");
    }
    assert_eq!(status("GET", "/api/runs", &[host, cookie, ("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(status("GET", "/api/runs", &[("Host", "evil.example"), cookie]), 421);
    let rebound = format!("evil.example:{}", studio.host.rsplit_once(':').unwrap().1);
    assert_eq!(status("GET", "/api/runs", &[("Host", &rebound), cookie]), 421);
    // An action needs to say where it comes from; the cookie alone is not enough.
    assert_eq!(status("POST", "/api/runs/latest/stop", &[host, cookie]), 403);
    assert_eq!(
        status("POST", "/api/runs/latest/stop", &[host, cookie, ("Origin", "http://evil.example")]),
        403
    );

    let refused =
        place.command(&["studio", "--http", "0.0.0.0:0"]).env_remove("SOJOURN_STUDIO_TOKEN").output();
    let message = String::from_utf8_lossy(&refused.unwrap().stderr).into_owned();
    assert!(message.contains("can be reached from other machines"), "{message}");
}

#[test]
fn lists_are_paged_and_say_how_many_there_are() {
    let place = with_golden_run();
    let studio = Studio::start(place.path());
    let runs = studio.get("/api/runs?limit=1").json();
    let (run, records) = (runs["runs"][0]["run"].as_str().unwrap().to_owned(), &runs["runs"][0]["records"]);
    assert_eq!(runs["total"], 1);
    let of_run = |path: &str| studio.get(&format!("/api/runs/{run}{path}"));
    // A long log is read meanwhile.
    until("the outline is read", || of_run("").json()["read"] == *records);

    let page = of_run("/records?offset=55&limit=3").json();
    assert_eq!(page["total"], *records);
    let lines: Vec<&str> =
        page["records"].as_array().unwrap().iter().map(|row| row["line"].as_str().unwrap()).collect();
    assert_eq!(lines, ["collect_wood(1) within 60 steps", "go_to(\"tree\")", "move_up"]);
    let beyond = of_run(&format!("/records?offset={}", u64::MAX)).json();
    assert_eq!((&beyond["total"], &beyond["records"]), (records, &json!([])));
    assert_eq!(of_run("/records?limit=100000").json()["records"].as_array().unwrap().len(), 500);
    let failures = of_run("/records?only=failures&limit=2").json();
    assert_eq!((&failures["records"][0]["seq"], &failures["total"]), (&json!(17), &json!(23)));
    assert_eq!(of_run("/next?after=17&only=failures").json()["seq"], failures["records"][1]["seq"]);
    // A candidate that failed in practice is a try, and no failure of the run.
    assert_eq!(of_run("/records?only=tries&limit=1").json()["records"][0]["seq"], 14);
    assert_eq!(of_run("/records?only=failures&kinds=candidates_tried").json()["total"], 0);

    let settings = of_run("/settings?at=60").json();
    let memory =
        settings["settings"].as_array().unwrap().iter().find(|one| one["key"] == "run.memory").unwrap();
    assert_eq!((&memory["value"], &memory["kind"]), (&json!(true), &json!("true or false")));
    assert!(memory["about"].as_str().unwrap().contains("memories"), "{memory}");
    // Until there it had taken these steps; what it may use besides follows from its budgets.
    let used = &settings["used"];
    assert_eq!((&used["steps"], used["time_ms"].as_u64().unwrap() > 0), (&json!(3), true), "{used}");
    assert_eq!(of_run("/settings").json()["used"]["steps"], 160);
    assert_eq!(of_run("/starting").json()["doing"], Value::Null);
    assert_eq!(studio.get("/api/runs/..%2F..%2Fetc/starting").status, 404);
    let before = of_run("/decline?until=66").json();
    assert_eq!((&before["fallen"], &before["remembers"]), (&json!([]), &json!(true)), "{before}");
    assert_eq!(of_run("/next?after=9999&only=achievements&back=1").json()["seq"], 66);
    assert_eq!(of_run("/groups?to_level=0&limit=5").json()["total"], 23);
    assert_eq!(of_run("/buckets?limit=7").json()["buckets"].as_array().unwrap().len(), 7);

    let frames = of_run("/frames?from=66&to=67").json();
    assert!(frames["frames"][0]["view"].as_str().unwrap().contains("achievements (1 of 22)"), "{frames}");
    assert_eq!(frames["frames"][0]["achievement"], true);
    assert_eq!(frames["state"]["inventory"]["wood"], 1);
    let asked = of_run("/records/12").json();
    assert_eq!(asked["exchange"]["asked"], 11);
    assert!(!asked["exchange"]["tokens_by_part"].as_array().unwrap().is_empty());
    let found = of_run("/search?q=facing%20TREE&limit=5").json();
    assert!(!found["records"].as_array().unwrap().is_empty(), "{found}");

    let first = of_run("/series");
    let tag = first.header("etag").unwrap();
    let (host, bearer) = (("Host", studio.host.as_str()), studio.bearer());
    let again = [host, ("Authorization", bearer.as_str()), ("If-None-Match", tag)];
    let again = studio.send("GET", &format!("/api/runs/{run}/series"), &again, "");
    assert_eq!((again.status, again.body.as_str()), (304, ""));

    for (path, status) in [
        ("/api/runs/nothing", 404),
        ("/api/nothing", 404),
        ("/api/skills/nothing", 404),
        ("/api/memories/nothing", 400),
    ] {
        assert_eq!(studio.get(path).status, status, "{path}");
    }
    for (path, status) in [("/records?only=thoughts", 400), ("/search?q=", 400), ("/records/99999", 404)] {
        let answer = of_run(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(serde_json::from_str::<Value>(&answer.body).unwrap()["error"].is_string());
    }
}

#[tokio::test]
async fn a_damaged_log_shows_what_is_intact() {
    let place = with_golden_run();
    let url = format!("sqlite://{}", place.path().join("home/sojourn.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE records SET payload = '{' WHERE seq IN (14, 60)")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let studio = Studio::start(place.path());
    let of_run = |path: &str| studio.get(&format!("/api/runs/2026{path}")).json();
    until("the outline is read", || of_run("")["read"] == of_run("")["run"]["records"]);
    let one = of_run("");
    assert_eq!((&one["damaged"], &one["damage"][1]["seq"]), (&json!(2), &json!(60)));
    let page = of_run("/records?offset=58&limit=3");
    let kinds: Vec<&str> =
        page["records"].as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["stepped", "damaged", "stepped"]);
    assert!(of_run("/records/60")["unreadable"].as_str().unwrap().contains("not JSON"));
    assert_eq!(of_run("/frames?from=59&to=61")["frames"].as_array().unwrap().len(), 2);
}

#[test]
fn a_live_run_is_followed_and_stopped() {
    let place = place();
    place.write_agent("environment = \"crafter\"", "[run]\nepisode_steps = 60\n");
    let mut command = place.command(&["run", "agent.toml", "--seed", "1", "--time", "30m"]);
    let mut run = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    until("the run has records", || {
        place.path().join("home/sojourn.db").exists()
            && place.run(&["runs", "--json"]).json()[0]["records"].as_u64().unwrap_or(0) > 10
    });
    let studio = Studio::start(place.path());
    let listed = studio.get("/api/runs").json()["runs"][0].clone();
    let id = listed["run"].as_str().unwrap();
    assert_eq!(listed["live"], true);
    // The stream tells of records as they come.
    let mut stream = TcpStream::connect(&studio.host).unwrap();
    let (host, bearer) = (&studio.host, studio.bearer());
    write!(stream, "GET /api/runs/{id}/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: {bearer}\r\n\r\n")
        .unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let grown: Vec<u64> = events.take(2).map(|event| event["records"].as_u64().unwrap()).collect();
    assert!(grown[0] < grown[1], "{grown:?}");
    assert_eq!(studio.post(&format!("/api/runs/{id}/stop"), &json!({})).status, 200);
    run.wait().unwrap();
    assert_eq!(place.json(&["runs"])[0]["status"], "paused");
}

#[test]
fn a_fork_is_compared_without_its_marker_and_made_again_without_its_parents_records() {
    let place = with_golden_run();
    let parent = place.json(&["runs"])[0]["run"].as_str().unwrap().to_owned();
    let fork = place.text(&["fork", &parent, "--at", "60", "--no-run"]).trim().to_owned();
    let told = place.text(&["diff", &parent, &fork]);
    assert!(
        told.contains("the first record that differs is 61:") && told.contains("+ the run has ended"),
        "{told}"
    );
    assert!(!told.contains("forked"), "{told}");
    let rebuilt = place.json(&["replay", &fork, "--rebuild"]);
    assert_eq!((&rebuilt["equal"], &rebuilt["copied_until"]), (&json!(true), &json!(60)), "{rebuilt}");
    let told = place.text(&["replay", &fork, "--rebuild"]);
    assert!(told.starts_with("records 1 to 60 are another run's"), "{told}");
}

#[test]
fn a_report_is_one_file_that_asks_for_nothing() {
    let place = with_golden_run();
    place.write("run.part", "a file of the user's");
    let held = place.json(&["report", "latest", "--out", "run.html"]);
    let records = &place.json(&["runs"])[0]["records"];
    assert_eq!((&held["records"], &held["of"]), (records, records));
    let html = std::fs::read_to_string(place.path().join("run.html")).unwrap();
    assert!(html.len() < 3 << 20, "{} bytes", html.len());
    assert!(html.contains("default-src 'none'; script-src 'sha256-"));
    for outside in ["src=\"", "href=\"http", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(std::fs::read_to_string(place.path().join("run.part")).unwrap(), "a file of the user's");
    assert_eq!(
        std::fs::read_dir(place.path())
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".tmp") })
            .count(),
        0
    );
}
