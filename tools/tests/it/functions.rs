//! Rust functions as tools, and a plugin made of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sojourn_tools::process::serve_on;
use sojourn_tools::{
    CallContext, CallLimits, Content, Effects, FixedSource, Json, ResultKind, Tool, ToolCall, ToolOutcome,
    Toolbox, tool,
};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Letter {
    to: String,
    #[schemars(range(min = 1, max = 3))]
    pages: Option<u8>,
}

/// Sends a letter
/// to somebody.
#[tool(write, network, irreversible, timeout_ms = 500)]
fn send(letter: Letter, context: &CallContext) -> Result<Json<Value>, String> {
    if letter.to == "nobody" {
        return Err("there is nobody of that name".to_owned());
    }
    Ok(Json(json!([letter.to, letter.pages.unwrap_or(1), context.now_ms])))
}

/// Says what there is to see.
#[tool]
fn look() -> Vec<Content> {
    vec![Content::text("a hill"), Content::Image { data: "AAAA".into(), mime: "image/png".into() }]
}

/// Takes its time.
#[tool(idempotent)]
async fn dawdle(context: &CallContext) -> &'static str {
    context.cancel.cancelled().await;
    "interrupted"
}

fn tools() -> Vec<Arc<dyn Tool>> {
    vec![Arc::new(send_tool()), Arc::new(look_tool()), Arc::new(dawdle_tool())]
}

async fn call(name: &str, args: Value) -> Result<ToolOutcome, String> {
    let toolbox = Toolbox::new(vec![Arc::new(FixedSource::new("it", tools()))], CallLimits::default());
    let call = ToolCall { name: name.into(), args: args.as_object().unwrap().clone() };
    let ready = toolbox.validate(&call).map_err(|refusal| refusal.to_string())?;
    Ok(ready.run(CallContext { now_ms: 7, ..CallContext::default() }).await)
}

#[tokio::test]
async fn a_function_provides_its_complete_spec() {
    let spec = send_tool().spec().clone();
    assert_eq!((spec.name.as_str(), spec.description.as_str()), ("send", "Sends a letter to somebody."));
    assert_eq!(spec.effects, Effects { write: true, network: true, irreversible: true, idempotent: false });
    assert_eq!((spec.timeout_ms, spec.returns), (Some(500), Some(ResultKind::Json)));
    assert_eq!(spec.input_schema()["required"], json!(["to"]));
    assert!(look_tool().spec().effects.reads_only() && look_tool().spec().parameters.is_empty());

    let done = call("send", json!({"to": "Ada", "pages": 2})).await.unwrap();
    assert_eq!(done.value, Some(json!(["Ada", 2, 7])));
    let failed = call("send", json!({"to": "nobody"})).await.unwrap();
    assert_eq!((failed.ok, failed.message.as_str()), (false, "there is nobody of that name"));
    for bad in
        [json!({}), json!({"to": 3}), json!({"to": "Ada", "pages": 9}), json!({"to": "Ada", "cc": "Eve"})]
    {
        let refused = call("send", bad.clone()).await;
        assert!(
            refused.clone().is_err_and(|why| why.contains("bad arguments for `send`")),
            "{bad}: {refused:?}"
        );
    }
    assert_eq!(call("look", json!({})).await.unwrap().content.len(), 2);
    assert!(call("look", json!({"at": "it"})).await.is_err());
}

#[tokio::test]
async fn served_tools_run_concurrently_and_bad_lines_are_ignored() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(theirs);
    let served = tokio::spawn(serve_on(tools(), BufReader::new(reader), writer));
    let (reader, mut writer) = tokio::io::split(ours);
    let mut lines = BufReader::new(reader).lines();
    let asked = [
        json!({"id": 1, "method": "describe"}).to_string(),
        "no request".to_owned(),
        "{}".to_owned(),
        json!({"id": 2, "method": "call", "params": {"tool": "dawdle"}}).to_string(),
        json!({"id": 3, "method": "call", "params": {"tool": "send", "args": {"to": "Ada"}, "now_ms": 9}})
            .to_string(),
        json!({"id": 4, "method": "call", "params": {"tool": "sendd"}}).to_string(),
        json!({"id": 5, "method": "fly"}).to_string(),
        json!({"id": 6, "method": "call", "params": {"tool": "send", "args": {}}}).to_string(),
    ];
    writer.write_all((asked.join("\n") + "\n").as_bytes()).await.unwrap();
    let mut answers = std::collections::BTreeMap::new();
    let mut next = async || {
        let line = tokio::time::timeout(sojourn_testkit::PATIENCE, lines.next_line()).await.unwrap();
        serde_json::from_str::<Value>(&line.unwrap().unwrap()).unwrap()
    };
    for _ in 0..5 {
        let answer = next().await;
        answers.insert(answer["id"].as_u64().unwrap(), answer);
    }
    let names: Vec<&str> = answers[&1]["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["dawdle", "look", "send"]);
    assert_eq!(answers[&3]["result"]["value"], json!(["Ada", 1, 9]));
    assert!(answers[&4]["error"].as_str().unwrap().contains("did you mean `send`?"));
    assert_eq!(answers[&5]["error"], "unknown method `fly`");
    assert!(answers[&6]["error"].as_str().unwrap().contains("bad arguments"));

    writer.write_all(b"{\"method\": \"cancel\", \"params\": {\"id\": 2}}\n").await.unwrap();
    assert_eq!(next().await["id"], 2);
    writer.shutdown().await.unwrap();
    served.await.unwrap().unwrap();
}
