//! Crash replays of runs with tools and in external environments, answered from their logs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{endpoint, sojourn};
use serde_json::{Value, json};
use sojourn_testkit::has;
use std::path::{Path, PathBuf};

/// A desk that only looks, one that does what cannot be taken back, and one that opens once that was done.
const DESK: &str = r#"import json, sys

def tool(name, **effects):
    return {"name": name, "description": name, "input": {"type": "object"}, "effects": effects, "returns": "json"}

paid = 0
for line in sys.stdin:
    ask = json.loads(line)
    if ask["method"] == "describe":
        tools = [tool("pay", write=True, irreversible=True), tool("sign", write=True)]
        if paid:
            tools.append(tool("refund", write=False))
        print(json.dumps({"id": ask["id"], "result": {"tools": tools}}), flush=True)
    elif ask["method"] == "call":
        paid += ask["params"]["tool"] == "pay"
        print(json.dumps({"id": ask["id"], "result": {"paid": paid}}), flush=True)
        print(json.dumps({"tools_changed": True}), flush=True)
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn document(place: &Path, args: &[&str]) -> Value {
    let output = sojourn(place, args);
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {told}"))
}

/// The records of the only run.
fn records(place: &Path) -> Vec<Value> {
    let log = sojourn(place, &["log", "latest", "--json"]);
    String::from_utf8(log.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The places of records that fit.
fn places(records: &[Value], fits: impl Fn(&Value) -> bool) -> Vec<u64> {
    records.iter().filter(|record| fits(record)).map(|record| record["seq"].as_u64().unwrap()).collect()
}

fn killed(place: &Path, args: &[&str]) -> Value {
    let verdict = document(place, &[&["simulate-crash", "latest", "--json"], args].concat());
    assert_eq!((&verdict["lost"], &verdict["difference"]), (&json!(false), &Value::Null), "{verdict}");
    verdict
}

#[test]
fn a_run_with_tools_survives_a_kill_at_any_record_without_asking_twice() {
    if !has("python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path();
    std::fs::write(place.join("desk.py"), DESK).unwrap();
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n\
         [run]\ninstructions = \"Ask every tool.\"\n\
         [tools.desk]\nkind = \"process\"\ncommand = [\"python3\", \"desk.py\"]\n\
         [tools.dice]\nkind = \"process\"\ncommand = [\"python3\", {:?}]\n\
         [[policy.rule]]\ntool = \"desk_sign\"\nthen = \"deny\"\n\
         [[policy.rule]]\ntool = \"*\"\nthen = \"allow\"\nafter_untrusted = true\n",
        endpoint(),
        root().join("examples/plugins/python/dice.py").to_str().unwrap()
    );
    std::fs::write(place.join("agent.toml"), agent).unwrap();
    let result =
        document(place, &["run", "agent.toml", "--steps", "40", "--time", "3m", "--seed", "1", "--json"]);
    let records = records(place);
    let granted = |tool: &str, granted: bool| {
        let it = json!({"tool": tool, "granted": granted});
        places(&records, |record| {
            let (payload, kind) = (&record["payload"], &record["kind"]);
            kind == "tool_decision" && payload["tool"] == it["tool"] && payload["granted"] == it["granted"]
        })
    };
    let (paid, signed, rolled) =
        (granted("desk_pay", true), granted("desk_sign", false), granted("dice_roll", true));
    assert!(!paid.is_empty() && !signed.is_empty() && !rolled.is_empty(), "{result}");
    let by_skill = |seq: &u64| records[usize::try_from(*seq).unwrap() - 2]["kind"] == "called";
    assert!(rolled.iter().any(by_skill), "a skill asks too");

    // The tools are gone, and so is what they would say now.
    std::fs::remove_file(place.join("desk.py")).unwrap();
    let everywhere = killed(place, &["--every", "16"]);
    let among =
        |verdict: &Value| -> Vec<u64> { serde_json::from_value(verdict["unknown_after"].clone()).unwrap() };
    assert!(among(&everywhere).iter().all(|seq| paid.contains(seq)), "{everywhere}");

    // Of what cannot be done again nobody knows; the rest is asked again, or was not done at all.
    let at: Vec<String> = [paid[0], signed[0], rolled[0], *rolled.iter().rfind(|seq| by_skill(seq)).unwrap()]
        .iter()
        .map(u64::to_string)
        .collect();
    let args: Vec<&str> = at.iter().flat_map(|seq| ["--at", seq]).collect();
    let there = killed(place, &args);
    assert_eq!(among(&there), paid[..1], "{there}");
    let told = sojourn(place, &["simulate-crash", "latest", "--at", &at[0]]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("the effect of the call is unknown"), "{told}");

    // What tools came when is met at its place.
    let changes = places(&records, |record| record["kind"] == "tools_changed");
    let around: Vec<String> =
        changes.iter().flat_map(|seq| [seq - 1, *seq]).map(|seq| seq.to_string()).collect();
    let args: Vec<&str> = around.iter().flat_map(|seq| ["--at", seq]).collect();
    assert_eq!(among(&killed(place, &args)), Vec::<u64>::new());
}

#[test]
fn a_run_in_an_external_program_survives_a_kill_at_any_record_without_the_program() {
    if !has("python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path();
    std::fs::copy(root().join("tools/tests/servers/corridor.py"), place.join("corridor.py")).unwrap();
    let agent = format!(
        "model = \"scripted\"\nembedding = \"none\"\n\
         [environment]\nkind = \"process\"\ncommand = [\"python3\", \"corridor.py\", \"none\"]\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n",
        endpoint()
    );
    std::fs::write(place.join("agent.toml"), agent).unwrap();
    let result =
        document(place, &["run", "agent.toml", "--steps", "30", "--time", "3m", "--seed", "1", "--json"]);
    assert_eq!(result["skills"][0]["name"], "leave", "{result}");
    std::fs::remove_file(place.join("corridor.py")).unwrap();

    let records = records(place);
    let verdict = killed(place, &["--every", "3"]);
    let unknown: Vec<u64> = serde_json::from_value(verdict["unknown_after"].clone()).unwrap();
    let kind = |seq: &u64| records[usize::try_from(*seq).unwrap() - 1]["kind"].as_str().unwrap().to_owned();
    assert!(!unknown.is_empty() && unknown.len() < verdict["killed_after"].as_array().unwrap().len());
    assert!(unknown.iter().all(|seq| ["called", "stepped"].contains(&kind(seq).as_str())), "{verdict}");
}

#[test]
fn a_run_with_a_failed_controller_is_crash_replayed_up_to_its_failure() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path();
    let agent = "environment = \"crafter\"\nmodel = \"m\"\nembedding = \"none\"\n\
                 [controller]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n";
    std::fs::write(place.join("agent.toml"), agent).unwrap();
    sojourn(place, &["run", "agent.toml"]);
    let asked = places(&records(place), |record| record["kind"] == "ask_controller");
    let verdict = killed(place, &["--every", "1"]);
    assert_eq!(verdict["killed_after"].as_array().unwrap().len() as u64, asked[0] - 1, "{verdict}");
    let refused = sojourn(place, &["simulate-crash", "latest", "--at", &asked[0].to_string()]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains(&format!("from record {} on", asked[0])), "{told}");
}
