//! The client that the protocol's own conformance suite looks at: it connects, and calls every tool that it is offered.
//!
//! The suite appends the address of its server to the command line.

use serde_json::{Map, Value, json};
use sojourn_tools::mcp::{Elicitation, McpSettings, McpSource};
use sojourn_tools::{CallContext, CallLimits, ToolCall, ToolSource, ToolSpec, Toolbox};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stderr, reason = "the suite shows what it says")]
async fn main() -> ExitCode {
    let Some(url) = std::env::args().next_back().filter(|word| word.starts_with("http")) else {
        eprintln!("usage: mcp_conformance_client URL");
        return ExitCode::FAILURE;
    };
    let settings = McpSettings {
        url: Some(url),
        elicitation: Elicitation::Accept(Map::new()),
        ..McpSettings::default()
    };
    let source = match McpSource::open("", settings, Path::new(".")) {
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
    let toolbox = Toolbox::new(vec![Arc::clone(&source) as Arc<dyn ToolSource>], CallLimits::default());
    for spec in toolbox.specs() {
        let call = ToolCall { name: spec.name.clone(), args: arguments(&spec) };
        match toolbox.ready(&call) {
            Ok(ready) => {
                let outcome = ready.run(CallContext::default()).await;
                eprintln!("{}: {} {}", spec.name, outcome.ok, outcome.words());
            }
            Err(refusal) => eprintln!("{refusal}"),
        }
    }
    source.close().await;
    if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Something for every parameter that has no default.
fn arguments(spec: &ToolSpec) -> Map<String, Value> {
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
