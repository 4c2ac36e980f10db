//! Worlds of one's own that say nothing of themselves: two of them in one home, and some that are broken.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{endpoint, sojourn};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

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

/// Writes a world and its agent file; `more` comes before the tables of the file.
fn write(place: &Path, name: &str, source: &str, more: &str) {
    let text = format!(
        "model = \"scripted\"\nembedding = \"none\"\n{more}\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n\
         [environment]\nkind = \"process\"\ncommand = [\"python3\", \"{name}.py\"]\n\
         [run]\ndeliberate = false\n[run.actor]\nrounds = 0\n",
        endpoint()
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
    for name in ["pull", "lift"] {
        let agent = format!("{name}.toml");
        let ran = shown(&sojourn(place, &["skills", "run", "succeed", "--agent", &agent]));
        assert!(ran.contains(&format!("{name}()")) && ran.contains("reached its goal in 2 steps"), "{ran}");
        let tested = shown(&sojourn(place, &["skills", "test", "succeed", "--agent", &agent]));
        assert!(tested.contains("0 failed"), "{tested}");
    }
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
