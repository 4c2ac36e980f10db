//! What an agent has learned, as another host finds it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::{Value, json};
use sojourn_tools::mcp::{McpSettings, McpSource};
use sojourn_tools::{CallContext, CallLimits, ToolCall, ToolOutcome, ToolSource as _, Toolbox};
use std::sync::Arc;
use std::time::Duration;
use support::{endpoint, sojourn};

async fn call(toolbox: &Toolbox, name: &str, args: Value) -> ToolOutcome {
    let Value::Object(args) = args else { panic!("not an object") };
    match toolbox.ready(&ToolCall { name: name.into(), args }) {
        Ok(ready) => ready.run(CallContext::default()).await,
        Err(refusal) => ToolOutcome::failed(refusal.to_string()),
    }
}

#[tokio::test]
async fn skills_memories_and_runs_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n",
        endpoint()
    );
    std::fs::write(dir.path().join("agent.toml"), agent).unwrap();
    let run =
        sojourn(dir.path(), &["run", "agent.toml", "--steps", "60", "--time", "3m", "--seed", "1", "--json"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let run: Value = serde_json::from_slice(&run.stdout).unwrap();
    let id = run["run"].as_str().unwrap();

    let home = dir.path().join("home");
    let command = [env!("CARGO_BIN_EXE_sojourn"), "--home", home.to_str().unwrap(), "mcp"];
    let settings = McpSettings { command: command.map(str::to_owned).to_vec(), ..McpSettings::default() };
    let source = Arc::new(McpSource::open("sj", settings, dir.path()).unwrap());
    assert!(source.ready(Duration::from_mins(1)).await, "{:?}", source.notices());
    let toolbox = Toolbox::new(vec![source.clone()], CallLimits::default());

    let done = call(&toolbox, "sj_collect_wood", json!({"n": 1, "seed": 3})).await;
    let value = done.value.unwrap();
    assert_eq!((&value["seed"], &value["result"]["verified"]), (&json!(3), &json!(true)), "{value}");
    let bad = call(&toolbox, "sj_collect_wood", json!({"n": 100})).await;
    assert!(!bad.ok, "{bad:?}");

    let found = call(&toolbox, "sj_memory_search", json!({"query": "collect wood"})).await.value.unwrap();
    assert!(found["memories"].to_string().contains("collect_wood"), "{found}");
    let listed = call(&toolbox, "sj_list_resources", json!({})).await.words();
    assert!(listed.contains(&format!("sojourn://runs/{id}")), "{listed}");
    let page =
        call(&toolbox, "sj_read_resource", json!({"uri": format!("sojourn://runs/{id}")})).await.words();
    assert!(page.starts_with("1 started ") && page.contains("[more: "), "{page}");
    let missing = call(&toolbox, "sj_read_resource", json!({"uri": "sojourn://runs/nothing"})).await;
    assert!(!missing.ok && missing.message.contains("nothing"), "{missing:?}");
    source.close().await;
}
