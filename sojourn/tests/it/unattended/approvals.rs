//! Approvals that wait: through restarts, with a time limit, answered by another process.

use super::*;

/// An agent whose model calls a tool that its policy asks about.
pub fn asking(place: &Place, policy: &str) {
    let dice = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/python/dice.py");
    place.write_agent(
        "environment = \"crafter\"",
        &format!(
            "[run]\ninstructions = \"Ask every tool.\"\nlibrary = false\nmemory = false\n\
             [tools.dice]\nkind = \"process\"\ncommand = [\"python3\", {:?}]\n\
             [policy]\n{policy}\n[[policy.rule]]\ntool = \"*\"\nthen = \"ask\"\n",
            dice.to_str().unwrap()
        ),
    );
}

fn pending(place: &Place) -> Vec<Value> {
    place.json(&["approvals", "list"]).as_array().unwrap().clone()
}

/// The decisions of the newest run.
pub fn decisions(place: &Place) -> Vec<Value> {
    let of = place.json_lines(&["log", "latest", "--kind", "tool_decision"]);
    of.iter().map(|record| record["payload"].clone()).collect()
}

#[test]
fn an_approval_waits_through_a_restart_and_is_given_by_another_process() {
    if !has("python3") {
        return;
    }
    let place = place();
    asking(&place, "unanswered = \"wait\"");
    place.text(&["schedule", "add", "agent.toml", "--at", "now", "--steps", "3", "--name", "asker"]);
    let mut daemon = up(&place, &[]);
    until("it asks", || pending(&place).len() == 1);
    let asked = pending(&place)[0].clone();
    assert!(decisions(&place).is_empty(), "nothing is decided while it waits");
    send_signal(daemon.id(), Signal::KILL);
    daemon.wait().unwrap();

    // After the restart the same question is still the only one, and it is shown whole.
    let daemon = up(&place, &[]);
    until("the run is resumed", || live(&place).is_some());
    let id = asked["approval"].as_str().unwrap();
    let shown = place.text(&["approvals", "show", id]);
    assert!(shown.contains("wants to call `dice_roll`") && shown.contains("what led to it:"), "{shown}");
    let wrong = format!("{}-000000", id.split('-').next().unwrap());
    assert!(
        place.run(&["approvals", "allow", &wrong]).stderr.contains("no approval"),
        "an answer names the call"
    );
    assert!(place.text(&["approvals", "allow", id]).contains("allowed the call of `dice_roll`"));
    let again = place.run(&["approvals", "deny", id]);
    assert!(again.code == 1 && again.stderr.contains("was allowed before, by a person"), "{again}");

    until("the run has made the call", || !decisions(&place).is_empty());
    let first = decisions(&place)[0].clone();
    assert_eq!((&first["granted"], &first["approval"]), (&json!(true), &json!(id)));
    assert_eq!(first["shown"], asked["shown"], "what was approved is what was shown");
    // Every further call asks again: an answer counts once.
    until("the run is finished", || {
        for more in pending(&place) {
            place.run(&["approvals", "deny", more["approval"].as_str().unwrap()]);
        }
        states(&place, "asker") == ["finished"]
    });
    stop(daemon);
    let named: Vec<Value> = decisions(&place).iter().map(|decision| decision["approval"].clone()).collect();
    assert_eq!(named.iter().filter(|name| **name == id).count(), 1, "{named:?}");
    let verdict = place.json(&["replay", "latest", "--verify"]);
    assert_eq!(verdict["matched"], true, "{verdict}");
}

#[test]
fn a_run_that_waits_for_long_is_paused_and_one_that_need_not_wait_goes_on() {
    if !has("python3") {
        return;
    }
    let place = place();
    asking(&place, "unanswered = \"wait\"");
    let run = ["run", "agent.toml", "--steps", "3", "--scheduled", "waits", "--release-after", "100ms"];
    let paused = place.run(&run);
    assert!(paused.code == 75 && paused.stderr.contains("paused: a call waits for an approval"), "{paused}");
    assert_eq!(place.json(&["runs"])[0]["status"], "paused");
    let id = pending(&place)[0]["approval"].as_str().unwrap().to_owned();
    let denied = place.text(&["approvals", "deny", &id]);
    assert!(denied.contains("denied the call"), "{denied}");
    let paused = place.run(&run);
    let decided = decisions(&place);
    assert_eq!((&decided[0]["granted"], &decided[0]["approval"]), (&json!(false), &json!(id)), "{paused}");

    // A time-out has a declared answer, and `continue` does not wait.
    asking(&place, "unanswered = \"wait\"\ntimeout_ms = 1\non_timeout = \"allow\"");
    place.run(&["run", "agent.toml", "--steps", "2", "--unattended"]);
    let decided = decisions(&place);
    assert!(decided[0]["by"].as_str().unwrap().starts_with("the time-out, who allowed it"), "{decided:?}");

    asking(&place, "unanswered = \"continue\"");
    let output = place.run(&["run", "agent.toml", "--steps", "2", "--unattended", "--json"]);
    let decided = decisions(&place);
    assert!(decided[0]["by"].as_str().unwrap().contains("go on with other things"), "{output} {decided:?}");
    let id = pending(&place).last().unwrap()["approval"].as_str().unwrap().to_owned();
    // The controller reads the answer.
    place.text(&["approvals", "allow", &id]);
    place.run(&["run", "agent.toml", "--resume", "--steps", "2", "--unattended"]);
    let changes = place.text(&["log", "latest", "--kind", "tools_changed", "--json"]);
    assert!(changes.contains("is allowed now: make it again"), "{changes}");
    assert_eq!(place.json(&["replay", "latest", "--verify"])["matched"], true);
}

/// A policy that is tightened while a question waits holds for its time-out too.
#[test]
fn a_time_out_that_allows_no_more_allows_no_question_that_is_kept() {
    if !has("python3") {
        return;
    }
    let place = place();
    let waits = "unanswered = \"wait\"\ntimeout_ms = 4000\non_timeout = ";
    let run = ["run", "agent.toml", "--steps", "3", "--scheduled", "waits", "--release-after", "100ms"];
    asking(&place, &format!("{waits}\"allow\""));
    let paused = place.run(&run);
    assert_eq!((paused.code, pending(&place).len()), (75, 1), "{paused}");
    asking(&place, &format!("{waits}\"deny\""));
    until("the first call is decided", || {
        place.run(&run);
        !decisions(&place).is_empty()
    });
    let first = decisions(&place)[0].clone();
    assert_eq!(first["granted"], false, "{first}");
    assert!(first["by"].as_str().unwrap().contains("the policy does not allow that any more"), "{first}");
}

/// The policy in the log bounds the time-outs of a run that is resumed under a looser file.
#[test]
fn a_time_out_that_the_log_denies_allows_nothing_under_a_looser_file() {
    if !has("python3") {
        return;
    }
    let place = place();
    let waits = "unanswered = \"wait\"\ntimeout_ms = 4000\non_timeout = ";
    let run = ["run", "agent.toml", "--steps", "3", "--scheduled", "waits", "--release-after", "100ms"];
    asking(&place, &format!("{waits}\"deny\""));
    let paused = place.run(&run);
    assert_eq!((paused.code, pending(&place).len()), (75, 1), "{paused}");
    asking(&place, &format!("{waits}\"allow\""));
    until("the first call is decided", || {
        place.run(&run);
        !decisions(&place).is_empty()
    });
    let decided = decisions(&place);
    assert!(decided.iter().all(|decision| decision["granted"] == false), "{decided:?}");
}
