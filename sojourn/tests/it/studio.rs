//! The studio over HTTP: access, lists and actions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod with_browser;

use crate::golden;
use crate::skills;
use crate::support::{command, place};
use crate::unattended;
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
fn actions_do_what_the_commands_do() {
    let place = with_golden_run();
    let studio = Studio::start(place.path());
    let run = studio.get("/api/runs").json()["runs"][0]["run"].as_str().unwrap().to_owned();

    let fork = studio
        .post(&format!("/api/runs/{run}/fork"), &json!({"at": 60, "settings": ["run.actor.candidates=2"]}));
    let fork = fork.json()["run"].as_str().unwrap().to_owned();
    let listed = place.json(&["runs"]);
    assert_eq!((&listed[0]["run"], &listed[0]["status"]), (&json!(fork), &json!("paused")));
    let verdict = place.run(&["log", "verify", &fork]);
    assert!(verdict.is_ok(), "{verdict}");
    let wrong = studio
        .post(&format!("/api/runs/{run}/fork"), &json!({"at": 60, "settings": ["run.no_such_thing=2"]}));
    assert_eq!(wrong.status, 409, "{}", wrong.body);
    assert_eq!(studio.post(&format!("/api/runs/{run}/fork"), &json!({"at": 0})).status, 409);
    let program = ["environment={kind=\"process\",command=[\"touch\",\"made\"]}"];
    let elsewhere = studio.post(&format!("/api/runs/{run}/fork"), &json!({"at": 60, "settings": program}));
    assert!(elsewhere.status == 409 && !place.path().join("made").exists(), "{}", elsewhere.body);
    let prompt = json!({"at": 60, "prompt": "Drink first.", "title": "thirsty", "steps": 7});
    let thirsty = studio.post(&format!("/api/runs/{run}/fork"), &prompt).json()["run"].clone();
    let forked = studio.get(&format!("/api/runs/{}/records/61", thirsty.as_str().unwrap())).json();
    let changes = &forked["payload"]["changes"];
    assert_eq!(
        (&changes["config"]["instructions"], &changes["budgets"]["steps"], &changes["by"]),
        (&json!("Drink first."), &json!(7), &json!("a person in the studio"))
    );
    let idle = studio.post(&format!("/api/runs/{run}/stop"), &json!({}));
    assert!(idle.status == 409 && idle.body.contains("no process runs"), "{}", idle.body);

    import_skill(&place, "gets wood");
    let skill = studio.get("/api/skills/get_wood").json();
    assert_eq!(
        (&skill["versions"][0]["status"], &skill["history"][0]["event"]),
        (&json!("draft"), &json!("drafted"))
    );
    let retire = |version: u32| {
        studio.post("/api/skills/get_wood/retire", &json!({"version": version, "reason": "it does nothing"}))
    };
    assert_eq!(retire(1).status, 200);
    assert_eq!(retire(7).status, 409);
    let history = place.text(&["skills", "history", "get_wood"]);
    assert!(history.contains("retired: it does nothing"), "{history}");

    let memories = studio.get("/api/memories?q=Learned%20collect_wood").json();
    let id = memories["found"]["memories"][0]["memory"]["id"].as_str().unwrap().to_owned();
    let would = studio.get(&format!("/api/memories/{id}/forget")).json();
    assert!(would["records"].as_u64().unwrap() > 0, "{would}");
    assert_eq!(studio.get(&format!("/api/memories/{id}")).status, 200, "asking forgets nothing");
    let forgotten = studio.post(&format!("/api/memories/{id}/forget"), &json!({})).json();
    assert_eq!((&forgotten["records"], &forgotten["blobs"]), (&would["records"], &would["blobs"]));
    assert_eq!(studio.get(&format!("/api/memories/{id}")).status, 404);
    assert_eq!(studio.post(&format!("/api/memories/{id}/pin"), &json!({"pinned": true})).status, 404);

    let id = memories["found"]["memories"][1]["memory"]["id"].as_str().unwrap().to_owned();
    let of_it = format!("/api/memories/{id}");
    assert_eq!(studio.post(&format!("{of_it}/pin"), &json!({"pinned": true})).status, 200);
    assert_eq!(studio.get(&of_it).json()["memory"]["pinned"], true);
    assert_eq!(studio.post(&format!("{of_it}/edit"), &json!({"text": " "})).status, 409);
    let edited = studio.post(&format!("{of_it}/edit"), &json!({"text": "Trees give wood."})).json();
    assert_eq!((&edited["text"], &edited["pinned"]), (&json!("Trees give wood."), &json!(true)));
    assert_eq!(studio.get(&of_it).json()["replaced_by"][0]["id"], edited["id"]);
    let verdict = place.run(&["log", "verify", &run]);
    assert!(verdict.is_ok(), "{verdict}");
}

#[test]
fn a_fork_has_one_clock_on_the_page_in_lists_and_in_the_log() {
    let place = with_golden_run();
    let fork = place.text(&["fork", "latest", "--at", "800", "--no-run"]).trim().to_owned();
    let log = place.text(&["log", &fork, "--from", "799"]);
    let times: Vec<&str> = log.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(times, ["00:00:05"; 3], "{log}");
    let studio = Studio::start(place.path());
    let one = || studio.get(&format!("/api/runs/{fork}")).json();
    until("the outline is read", || one()["read"] == json!(801));
    let (now, summary) = (one(), studio.get(&format!("/api/runs/{fork}/summary")).json());
    let of = |value: &Value| value.as_i64().unwrap();
    let clock = &now["clock"];
    let ran = of(&now["run"]["last_at_ms"]) - of(&clock["begun_ms"]) - of(&clock["stops"][0][1]);
    assert_eq!((&clock["stops"][0][0], of(&now["totals"]["ran_ms"])), (&json!(801), ran), "{now}");
    assert!((4000..6000).contains(&ran), "{ran}");
    let seconds = &place.json(&["runs"])[0]["seconds"];
    assert_eq!(
        (seconds, summary["seconds"].as_f64().map(|it| it * 1000.0)),
        (&summary["seconds"], Some(ran as f64))
    );
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
        used.clone(),
        used,
    ] {
        library.apply(&event, 1_790_000_000_000).await.unwrap();
    }
    place
}

#[tokio::test]
async fn a_skill_is_rolled_back_from_the_page_which_says_since_when_it_fails_and_who_calls_it() {
    let place = with_two_versions().await;
    let studio = Studio::start(place.path());
    let calls = studio.get("/api/skill-calls").json();
    assert_eq!(calls["edges"], json!([{"caller": "place_table", "callee": "collect_wood"}]));
    let listed = studio.get("/api/skills").json();
    let failing = &listed["skills"][0]["failing"];
    assert_eq!((&failing["failures"], &failing["version"]), (&json!(2), &json!(2)), "{listed}");
    let of_it = || studio.get("/api/skills/collect_wood").json();
    assert_eq!(of_it()["uses"][1]["context"], "wood");
    let active = || -> Vec<Value> {
        of_it()["versions"].as_array().unwrap().iter().map(|version| version["active"].clone()).collect()
    };
    assert_eq!(active(), [false, true]);
    let roll_back = |to: u32| studio.post("/api/skills/collect_wood/rollback", &json!({"to": to}));
    assert_eq!(roll_back(9).status, 409);
    assert_eq!(roll_back(1).status, 200);
    assert_eq!(active(), [true, false]);
    let history = place.text(&["skills", "history", "collect_wood"]);
    assert!(history.contains("rolled back to version 1"), "{history}");
}

#[test]
fn a_run_is_started_paused_and_resumed_from_the_page_and_its_log_says_by_whom() {
    let place = place();
    place.write_agent("environment = \"crafter\"", "[run]\nepisode_steps = 60\n");
    place.write("notes.toml", "title = \"no agent\"\n");
    let studio = Studio::start(place.path());
    let agents = studio.get("/api/agents").json();
    let names: Vec<&str> =
        agents["agents"].as_array().unwrap().iter().map(|agent| agent["name"].as_str().unwrap()).collect();
    assert!(names[0].ends_with("/agent.toml") && names.contains(&"crafter"), "{names:?}");
    assert!(!names.iter().any(|name| name.ends_with("notes.toml")), "{names:?}");

    // What a request says is never a path, and chooses no program.
    for (body, part) in [
        (json!({"agent": "/etc/hostname"}), "no agent named"),
        (json!({"agent": names[0], "settings": ["environment=\"miniwob\""]}), "begin with `run.`"),
        (json!({"agent": names[0], "settings": ["run.no_such_thing=1"]}), "no_such_thing"),
    ] {
        let refused = studio.post("/api/runs", &body);
        assert!(refused.status == 409 && refused.body.contains(part), "{}", refused.body);
    }

    let begun = studio.post("/api/runs", &json!({"agent": names[0], "seed": 1, "steps": 4000}));
    let run = begun.json()["run"].as_str().unwrap().to_owned();
    let of_run = |path: &str| studio.get(&format!("/api/runs/{run}{path}")).json();
    let records = || of_run("")["run"]["records"].as_u64().unwrap();
    until("it goes on", || records() > 10);
    let paused = || {
        assert_eq!(studio.post(&format!("/api/runs/{run}/stop"), &json!({})).status, 200);
        until("it is paused", || of_run("")["run"]["status"] == "paused");
    };
    paused();
    assert_eq!(of_run("/records/1")["payload"]["by"], "a person in the studio");

    let before = records();
    let resume = || studio.post(&format!("/api/runs/{run}/resume"), &json!({"agent": names[0]}));
    assert_eq!(resume().status, 200);
    let twice = resume();
    assert!(twice.status == 409 && twice.body.contains("runs `"), "{}", twice.body);
    until("it goes on again", || records() > before + 5);

    // A goal is taken up before the next episode.
    let ask = |body: Value| studio.post(&format!("/api/runs/{run}/goals"), &body);
    assert_eq!(ask(json!({"goal": " "})).status, 409);
    assert_eq!(ask(json!({"goal": "have wood", "condition": {"equal": 3}})).status, 409);
    assert_eq!(ask(json!({"goal": "collect_drink"})).status, 200);
    let three = json!({"at_least": {"path": "/inventory/wood", "value": {"literal": 3.0}}});
    assert_eq!(ask(json!({"goal": "have three pieces of wood", "condition": three})).status, 200);
    let goals = || of_run("/goals")["goals"].clone();
    until("both goals are taken up", || {
        goals().as_array().unwrap().iter().all(|goal| goal["outcome"].is_string())
    });
    let outcomes: Vec<Value> =
        goals().as_array().unwrap().iter().map(|goal| goal["outcome"].clone()).collect();
    assert!(
        outcomes[0].as_str().unwrap().starts_with("taken up as `have_three_pieces_of_wood`: "),
        "{outcomes:?}"
    );
    assert!(outcomes[1].as_str().unwrap().starts_with("taken up as `collect_drink`: "), "{outcomes:?}");
    let before = records();
    until("it goes on with them", || records() > before + 5);
    paused();

    let lines = |kind: &str| -> Vec<String> {
        let found = of_run(&format!("/records?kinds={kind}"));
        let lines = found["records"].as_array().unwrap().iter();
        lines.map(|row| row["line"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(lines("resumed"), ["resumed by a person in the studio"]);
    assert_eq!(lines("paused"), ["paused by a person in the studio"; 2]);
    let added = lines("goal_added");
    assert!(added[0].starts_with("a person in the studio adds the goal \"collect_drink\""), "{added:?}");
    assert_eq!(added.len(), 2);
    assert_eq!(place.json(&["replay", &run, "--verify"])["matched"], true);
    // A fork knows them too.
    let last = records();
    let wanted = json!({"at": last, "settings": ["run.episode_steps=50"]});
    let fork =
        studio.post(&format!("/api/runs/{run}/fork"), &wanted).json()["run"].as_str().unwrap().to_owned();
    let forked = studio.get(&format!("/api/runs/{fork}/records/{}", last + 1)).json();
    let tasks = &forked["payload"]["changes"]["config"]["tasks"];
    assert_eq!(*tasks, json!(["collect_drink", "have_three_pieces_of_wood"]));
}

#[tokio::test]
async fn a_skill_is_run_in_a_fresh_world_and_watched() {
    let place = with_two_versions().await;
    let studio = Studio::start(place.path());
    let run = |body: Value| studio.post("/api/skills/collect_wood/run", &body);
    let tried = run(json!({"args": {"n": 1}, "seed": 3})).json();
    assert_eq!(
        (&tried["result"]["verified"], &tried["call"]["args"]["n"]),
        (&json!(true), &json!(1)),
        "{tried}"
    );
    let moments = tried["moments"].as_array().unwrap();
    assert_eq!(moments.len() as u64, tried["result"]["steps"].as_u64().unwrap() + 1);
    assert_eq!((&moments[0]["action"], &moments[1]["step"]), (&json!(""), &json!(1)));
    let views = [&moments[0], &moments[moments.len() - 1]].map(|moment| moment["view"].as_str().unwrap());
    assert!(views[0].contains("inventory: nothing") && views[1].contains("1 wood"), "{views:?}");
    // The same as the command says.
    let told = place.json(&["skills", "run", "collect_wood", "--args", r#"{"n": 1}"#, "--seed", "3"]);
    assert_eq!(told["result"], tried["result"]);
    for (body, part) in
        [(json!({"args": {"m": 1}}), "m"), (json!({"agent": "/etc/hostname"}), "no agent named")]
    {
        let refused = run(body);
        assert!(refused.status == 409 && refused.body.contains(part), "{}", refused.body);
    }
    assert_eq!(run(json!({"steps": 0})).json()["result"]["steps"], 0);
    assert_eq!(studio.post("/api/skills/nothing/run", &json!({})).status, 409);
}

#[test]
fn a_call_that_waits_is_shown_whole_and_answered_from_the_page() {
    if !has("python3") {
        return;
    }
    let place = place();
    unattended::asking(&place, "unanswered = \"wait\"");
    let studio = Studio::start(place.path());
    let agent = place.path().canonicalize().unwrap().join("agent.toml");
    let begun = studio.post("/api/runs", &json!({"agent": agent, "steps": 1})).json();
    let run = begun["run"].as_str().unwrap();
    let waiting = || studio.get(&format!("/api/approvals?run={run}")).json()["approvals"].clone();
    until("it asks", || !waiting().as_array().unwrap().is_empty());
    let id = waiting()[0]["approval"].as_str().unwrap().to_owned();
    let shown = studio.get(&format!("/api/approvals/{id}")).json();
    assert_eq!((&shown["tool"], &shown["state"]), (&json!("dice_roll"), &json!("pending")));
    assert!(shown["lines"].to_string().contains("sides"), "{shown}");
    assert!(!shown["led_to_it"].as_array().unwrap().is_empty());

    let answer =
        |id: &str, allow: bool| studio.post(&format!("/api/approvals/{id}"), &json!({"allow": allow}));
    assert_eq!(answer("a1-000000", true).status, 409, "an answer names the call");
    assert_eq!(answer(&id, true).json()["answered_by"], "a person in the studio");
    assert_eq!(answer(&id, false).status, 409, "an answer counts once");
    until("the run has finished", || {
        for more in waiting().as_array().unwrap() {
            answer(more["approval"].as_str().unwrap(), false);
        }
        studio.get(&format!("/api/runs/{run}")).json()["run"]["live"] == false
    });
    let decided = unattended::decisions(&place);
    assert_eq!((&decided[0]["granted"], &decided[0]["approval"]), (&json!(true), &json!(id)));
    assert!(decided[0]["by"].as_str().unwrap().starts_with("a person in the studio, who allowed it"));
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
