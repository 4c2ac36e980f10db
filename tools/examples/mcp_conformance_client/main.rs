//! The client that the protocol's own conformance suite looks at: it connects, and calls every tool that it is offered.
//!
//! All of the protocol and of signing in is the product's. What is here chooses the settings that a scenario asks for, which
//! calls are made, and is the person with the browser. The suite appends the address of its server to the command line.

mod signing_in;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sojourn_tools::mcp::{Elicitation, McpSettings, McpSource, SignIn};
use sojourn_tools::{CallContext, CallLimits, ToolCall, ToolSource, ToolSpec, Toolbox};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// How long a connection is given to settle.
const SETTLED: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    // The settings name variables; what the suite gives in another form is put into some for a second process.
    match signing_in::told_by_variables() {
        Ok(Some(code)) => code,
        Ok(None) => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_or(ExitCode::FAILURE, |runtime| runtime.block_on(connect())),
        Err(_) => ExitCode::FAILURE,
    }
}

#[allow(clippy::print_stderr, reason = "the suite shows what it says")]
async fn connect() -> ExitCode {
    let Some(url) = std::env::args().next_back().filter(|word| word.starts_with("http")) else {
        eprintln!("usage: mcp_conformance_client URL");
        return ExitCode::FAILURE;
    };
    let settings = McpSettings {
        url: Some(url),
        elicitation: Elicitation::Accept(Map::new()),
        oauth: Some(signing_in::settings()),
        ..McpSettings::default()
    };
    let sign_in = SignIn { person: Some(Arc::new(signing_in::Browser)), tokens: None };
    let source = match McpSource::open_for("", settings, Path::new("."), sign_in) {
        Ok(source) => Arc::new(source),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let reached = source.ready(PATIENCE).await;
    if !reached {
        eprintln!("{}", source.notices().join("\n"));
    }
    // The stream for what the server says by itself opens meanwhile: a scenario answers on the one that is opened last.
    tokio::time::sleep(SETTLED).await;
    let toolbox = Toolbox::new(vec![Arc::clone(&source) as Arc<dyn ToolSource>], CallLimits::default());
    for call in calls(&toolbox.specs()) {
        match toolbox.validate(&call) {
            Ok(ready) => {
                let outcome = ready.run(CallContext::default()).await;
                eprintln!("{}: {} {}", call.name, outcome.ok, outcome.to_text());
            }
            Err(refusal) => eprintln!("{refusal}"),
        }
    }
    source.close().await;
    if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The calls that the scenario asks for, or else one of each tool.
fn calls(specs: &[ToolSpec]) -> Vec<ToolCall> {
    let context = std::env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let asked: Option<Asked> = serde_json::from_str(&context).ok();
    match asked {
        Some(asked) => {
            asked.calls.into_iter().map(|call| ToolCall { name: call.name, args: call.arguments }).collect()
        }
        None => specs
            .iter()
            .map(|spec| ToolCall { name: spec.name.clone(), args: arguments(spec, specs) })
            .collect(),
    }
}

/// What a scenario says of itself.
#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "toolCalls")]
    calls: Vec<AskedCall>,
}

#[derive(Deserialize)]
struct AskedCall {
    name: String,
    arguments: Map<String, Value>,
}

/// Something for every parameter that has no default; to the tool that wants to see what arrived of another's schema, that.
fn arguments(spec: &ToolSpec, specs: &[ToolSpec]) -> Map<String, Value> {
    if spec.name == "json_schema_echo" {
        let other = specs.iter().find(|other| other.name != spec.name);
        let schema = other.map(ToolSpec::input_schema).unwrap_or_default();
        return Map::from_iter([("schema".to_owned(), schema)]);
    }
    let schemas = spec.input_schema();
    let required = spec.parameters.iter().filter(|parameter| parameter.default.is_none());
    required
        .map(|parameter| {
            let schema = &schemas["properties"][&parameter.name];
            let value = match schema["type"].as_str() {
                _ if schema["enum"].is_array() => schema["enum"][0].clone(),
                Some("number" | "integer") => json!(1),
                Some("boolean") => json!(true),
                Some("array") => json!([]),
                Some("object") => json!({}),
                _ => json!("test"),
            };
            (parameter.name.clone(), value)
        })
        .collect()
}
