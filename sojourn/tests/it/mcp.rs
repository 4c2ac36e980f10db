//! What an agent has learned, as another host finds it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::support::{endpoint, sojourn};
use serde_json::{Value, json};
use sojourn_tools::mcp::{McpSettings, McpSource};
use sojourn_tools::{CallContext, CallLimits, ToolCall, ToolOutcome, ToolSource as _, Toolbox};
use std::sync::Arc;
use std::time::Duration;

async fn call(toolbox: &Toolbox, name: &str, args: Value) -> ToolOutcome {
    let Value::Object(args) = args else { panic!("not an object") };
    match toolbox.validate(&ToolCall { name: name.into(), args }) {
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
    // One state, and what changed in it.
    let state = &value["result"]["state"];
    assert!(state.is_object() && value["result"].get("before").is_none(), "{value}");
    let bad = call(&toolbox, "sj_collect_wood", json!({"n": 100})).await;
    assert!(!bad.ok, "{bad:?}");

    let found = call(&toolbox, "sj_memory_search", json!({"query": "collect wood"})).await.value.unwrap();
    assert!(found["memories"].to_string().contains("collect_wood"), "{found}");
    let listed = call(&toolbox, "sj_list_resources", json!({})).await.to_text();
    assert!(listed.contains(&format!("sojourn://runs/{id}")), "{listed}");
    let page =
        call(&toolbox, "sj_read_resource", json!({"uri": format!("sojourn://runs/{id}")})).await.to_text();
    assert!(page.starts_with("1 started ") && page.contains("[more: "), "{page}");
    // The number of a record is the client's, up to the largest one.
    for after in ["18446744073709551615", "9223372036854775807"] {
        let uri = format!("sojourn://runs/{id}?after={after}");
        let beyond = call(&toolbox, "sj_read_resource", json!({"uri": uri})).await;
        assert!(beyond.ok, "{after}: {beyond:?}");
    }
    let missing = call(&toolbox, "sj_read_resource", json!({"uri": "sojourn://runs/nothing"})).await;
    assert!(!missing.ok && missing.message.contains("nothing"), "{missing:?}");
    source.close().await;
}

/// One request by hand; its status.
fn status(address: &str, headers: &[&str]) -> u16 {
    use std::io::{Read as _, Write as _};
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "hand", "version": "1"}},
    })
    .to_string();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         connection: close\r\ncontent-length: {}\r\n{}\r\n\r\n{body}",
        body.len(),
        headers.join("\r\n")
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).unwrap();
    String::from_utf8_lossy(&reply)[9..12].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_only_holders_of_the_token_are_served() {
    use std::io::BufRead as _;
    let dir = tempfile::tempdir().unwrap();
    let token = "the token of this test";
    let mut server = crate::support::command(dir.path(), &["mcp", "--http", "127.0.0.1:0"])
        .env("SOJOURN_MCP_TOKEN", token)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    std::io::BufReader::new(server.stderr.take().unwrap()).read_line(&mut told).unwrap();
    let url = told.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    let address = url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    let (host, bearer) = (format!("host: {address}"), format!("authorization: Bearer {token}"));

    assert_eq!(status(&address, &[&host, &bearer]), 200);
    assert_eq!(status(&address, &[&host]), 401);
    for wrong in [
        "authorization: Bearer the token",
        "authorization: Basic abc",
        "authorization: ",
        "authorization: Bearer",
    ] {
        assert_eq!(status(&address, &[&host, wrong]), 401, "{wrong}");
    }
    // A page whose name was made to point here, and a page of any other site.
    assert_eq!(status(&address, &["host: evil.example.org", &bearer]), 403);
    assert_eq!(status(&address, &[&host, &bearer, "origin: http://evil.example.org"]), 403);
    // A page of the same machine, but not of this server.
    assert_eq!(status(&address, &[&host, &bearer, "origin: http://localhost:1"]), 403);

    // Our own client, told the token by a variable as an agent is.
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [tools.sj]\nkind = \"mcp\"\nurl = {url:?}\ntoken_env = \"THEIR_TOKEN\"\n"
    );
    std::fs::write(dir.path().join("agent.toml"), agent).unwrap();
    let listed = |token: &str| {
        let mut list = crate::support::command(dir.path(), &["tools", "list", "agent.toml", "--json"]);
        String::from_utf8(list.env("THEIR_TOKEN", token).output().unwrap().stdout).unwrap()
    };
    assert!(listed(token).contains("sj_memory_search"));
    assert!(!listed("another token of this test").contains("sj_memory_search"));
    assert!(std::process::Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn an_address_that_others_can_reach_needs_a_chosen_token() {
    let dir = tempfile::tempdir().unwrap();
    let output = sojourn(dir.path(), &["mcp", "--http", "0.0.0.0:0"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("can be reached from other machines"), "{told}");
    let output = crate::support::command(dir.path(), &["mcp", "--http"])
        .env("SOJOURN_MCP_TOKEN", "short")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("is too short"), "{told}");
}

#[test]
fn bad_lines_and_a_byte_order_mark_do_not_end_a_session() {
    use std::io::{BufRead as _, Write as _};
    let dir = tempfile::tempdir().unwrap();
    let mut server = crate::support::command(dir.path(), &["mcp"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = server.stdin.take().unwrap();
    let mut output = std::io::BufReader::new(server.stdout.take().unwrap());
    let begin = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "hand", "version": "1"}},
    });
    let mut answered = |id: u64| {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["id"], id, "{line}");
    };
    write!(input, "\u{feff}{begin}\r\n").unwrap();
    answered(1);
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    write!(input, "{ready}\n\nnpm notice\n{{\"jsonrpc\": \"2.0\", \"id\": 9, \"method\":\n{ping}\n").unwrap();
    answered(2);
    drop(input);
    assert!(server.wait().unwrap().success());
}
