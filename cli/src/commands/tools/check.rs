//! Checks a plugin: its schemas, its examples, random valid arguments, invalid input, and its speed.

use super::manifest::{Example, Manifest, NAME};
use crate::error::Kind;
use crate::{output, table};
use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sojourn_controller::Constraint;
use sojourn_tools::schema::identifier;
use sojourn_tools::{CallContext, ToolCall, ToolOutcome, ToolSource, ToolSpec, Toolbox};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The number of random calls of each tool that only reads.
const DRAWS: u64 = 20;
/// The maximum size of random arguments, in bytes.
const DRAWN_BYTES: usize = 2000;
/// The time limit of a call with invalid input.
const PATIENCE: Duration = Duration::from_secs(10);

/// The result of the check.
#[derive(Debug, Default, Serialize)]
struct Report {
    tools: Vec<ToolReport>,
    examples: Vec<ExampleReport>,
    /// Problems of the plugin as a whole.
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ToolReport {
    tool: String,
    /// The number of random calls; 0 for a tool that does more than read.
    calls: usize,
    /// Median and slowest of those calls, in milliseconds.
    median_ms: Option<f64>,
    slowest_ms: Option<f64>,
    problems: Vec<String>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ExampleReport {
    tool: String,
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Checks the plugin in `path`; the exit code is 1 if there is a problem.
pub async fn check(path: &Path, json: bool) -> Result<ExitCode> {
    let manifest = Manifest::read(path)?;
    let (source, toolbox) = manifest.start(path).await?;
    let mut report = Report { problems: toolbox.refresh().notices, ..Report::default() };
    if toolbox.specs().is_empty() {
        report.problems.push("it offers no tools".to_owned());
    }
    for example in &manifest.examples {
        report.examples.push(run_example(&toolbox, example).await);
    }
    if manifest.examples.is_empty() {
        report.problems.push("its tool.toml has no [[example]]: nothing shows that it works".to_owned());
    }
    for spec in toolbox.specs() {
        report.tools.push(try_tool(&source, &toolbox, &spec).await);
    }
    source.close().await;
    let sound = report.problems.is_empty()
        && report.examples.iter().all(|example| example.passed)
        && report.tools.iter().all(|tool| tool.problems.is_empty());
    if json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failure as u8) })
}

async fn call(toolbox: &Toolbox, name: &str, args: Map<String, Value>) -> ToolOutcome {
    match toolbox.validate(&ToolCall { name: name.to_owned(), args }) {
        Ok(ready) => ready.run(CallContext::default()).await,
        Err(refusal) => ToolOutcome::failed(refusal.to_string()),
    }
}

async fn run_example(toolbox: &Toolbox, example: &Example) -> ExampleReport {
    let name = match &example.tool {
        Some(tool) => identifier(NAME, tool),
        None => NAME.to_owned(),
    };
    let outcome = call(toolbox, &name, example.args.clone()).await;
    let got = outcome.value.clone().unwrap_or_else(|| outcome.to_text().into());
    let wrong_schema = example.schema.as_ref().and_then(|schema| match jsonschema::validator_for(schema) {
        Ok(validator) => validator.validate(&got).err().map(|error| error.to_string()),
        Err(error) => Some(format!("`schema` is not a JSON Schema: {error}")),
    });
    let problem = if outcome.ok == example.fails {
        Some(if outcome.ok { "it should have failed".to_owned() } else { outcome.message })
    } else if let Some(expected) = example.result.as_ref().filter(|expected| **expected != got) {
        Some(format!("expected {expected}, got {got}"))
    } else {
        wrong_schema.map(|reason| format!("{got}: {reason}"))
    };
    ExampleReport { tool: example.tool.clone().unwrap_or(name), passed: problem.is_none(), problem }
}

async fn try_tool(source: &Arc<dyn ToolSource>, toolbox: &Toolbox, spec: &ToolSpec) -> ToolReport {
    let (mut problems, mut notes, mut times) = (Vec::new(), Vec::new(), Vec::new());
    if spec.description.is_empty() {
        problems.push("it has no description: a model cannot know its purpose".to_owned());
    }
    let schema = spec.input_schema();
    let expressible = Constraint::check_supported(schema.clone()).await;
    if let Err(reason) = &expressible {
        notes.push(format!("its arguments are checked after generation, not during it: {reason}"));
    }
    // An idempotent tool that writes still writes.
    if spec.effects.changes_nothing() {
        if expressible.is_ok() {
            let constraint = Constraint::JsonSchema(schema);
            for seed in 0..DRAWS {
                let Ok(Some(text)) = constraint.random_answer(seed, DRAWN_BYTES) else { continue };
                let Ok(Value::Object(args)) = serde_json::from_str(&text) else { continue };
                let begun = Instant::now();
                // Arguments that the toolbox refuses say nothing about the tool.
                let failure = match toolbox.validate(&ToolCall { name: spec.name.clone(), args }) {
                    Ok(ready) => ready.try_run(CallContext::default()).await.err(),
                    Err(_) => None,
                };
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
                if let Some(error) = failure {
                    problems.push(format!("with {text}: {error}"));
                    break;
                }
            }
        }
        problems.extend(bad_input(source, spec).await);
    } else {
        notes.push("it does more than read: only its examples were run".to_owned());
    }
    times.sort_by(f64::total_cmp);
    ToolReport {
        tool: spec.name.clone(),
        calls: times.len(),
        median_ms: times.get(times.len() / 2).copied(),
        slowest_ms: times.last().copied(),
        problems,
        notes,
    }
}

/// Makes calls that the runtime would refuse: other hosts may not refuse them, and a plugin should survive them.
async fn bad_input(source: &Arc<dyn ToolSource>, spec: &ToolSpec) -> Vec<String> {
    let first = spec.parameters.first().map_or("x", |parameter| parameter.name.as_str());
    let mut problems = Vec::new();
    for (what, args) in [
        ("no arguments", json!({})),
        ("an argument of another type", json!({first: [[], {}]})),
        ("null", json!({first: null})),
        ("an unknown argument", json!({"no such argument": 1})),
        ("a megabyte", json!({first: "x".repeat(1 << 20)})),
    ] {
        let tools = source.tools();
        let Some(tool) = tools.iter().find(|tool| tool.spec().name == spec.name) else {
            problems.push(format!("it disappeared before the call with {what}"));
            break;
        };
        let Value::Object(args) = args else { continue };
        let answer = tokio::time::timeout(PATIENCE, tool.call(&args, &CallContext::default())).await;
        match answer {
            Err(_) => {
                problems.push(format!("given {what}, it did not answer within {} s", PATIENCE.as_secs()));
            }
            Ok(Err(error)) => {
                problems.push(format!("given {what}: {error}"));
                break;
            }
            Ok(Ok(_)) => {}
        }
    }
    problems
}

fn print(report: &Report) -> Result<()> {
    let mut table = table::new(["tool", "calls", "median ms", "slowest ms", "found"]);
    table::numbers(&mut table, [1, 2, 3]);
    let time = |ms: Option<f64>| ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.2}"));
    for tool in &report.tools {
        let found: Vec<&str> = tool.problems.iter().chain(&tool.notes).map(String::as_str).collect();
        let found = if found.is_empty() { "sound".to_owned() } else { found.join("\n") };
        table.add_row([
            // The tool's own name, as in `tools list`.
            tool.tool.strip_prefix(&format!("{NAME}_")).unwrap_or(&tool.tool).to_owned(),
            tool.calls.to_string(),
            time(tool.median_ms),
            time(tool.slowest_ms),
            found,
        ]);
    }
    table::print(&table)?;
    let passed = report.examples.iter().filter(|example| example.passed).count();
    output::line(format!("{passed} of {} examples passed", report.examples.len()))?;
    for example in &report.examples {
        if let Some(problem) = &example.problem {
            output::line(format!("  {}: {problem}", example.tool))?;
        }
    }
    for problem in &report.problems {
        output::line(format!("problem: {problem}"))?;
    }
    Ok(())
}
