//! The client under test by the protocol's own conformance suite: it connects, and calls every tool on offer.
//!
//! The protocol and the sign-in are the product's. This program only chooses the settings and the calls of a scenario, and acts as
//! the person with the browser. The suite appends the address of its server to the command line.

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
    // The settings name variables. The suite passes some values in another form; a second process gets them as variables.
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
    // The stream for the server's own messages opens meanwhile: a scenario answers on the stream that was opened last.
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

/// The calls that the scenario prescribes, or else one call of each tool.
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

/// The scenario's own settings.
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

/// A value for every parameter without a default. The tool `json_schema_echo` gets the schema of another tool, as it arrived.
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
