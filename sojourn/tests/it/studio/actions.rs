//! What the page changes: runs, forks, goals, skills and answers.

use super::*;
use crate::unattended;

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
    unattended::approvals::asking(&place, "unanswered = \"wait\"");
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
    let decided = unattended::approvals::decisions(&place);
    assert_eq!((&decided[0]["granted"], &decided[0]["approval"]), (&json!(true), &json!(id)));
    assert!(decided[0]["by"].as_str().unwrap().starts_with("a person in the studio, who allowed it"));
}
