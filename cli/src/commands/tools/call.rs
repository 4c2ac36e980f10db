use super::manifest::{FILE, Manifest, NAME};
use crate::agent_file::AgentFile;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::{approver, output};
use anyhow::Result;
use serde_json::{Map, Value};
use sojourn_controller::Cancel;
use sojourn_core::{Question, now_ms};
use sojourn_memory::EventSeq;
use sojourn_tools::schema::identifier;
use sojourn_tools::{AllowsPart, CallContext, Policies, PolicyVerdict, ToolCall, signature};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Calls a tool once.
pub async fn call(
    home: &Home,
    path: &Path,
    tool: String,
    args: &str,
    yes: bool,
    json: bool,
) -> Result<ExitCode> {
    let args: Map<String, Value> = serde_json::from_str(args).map_err(|error| {
        Failure::new(Kind::Usage, format!("the arguments are not a JSON object: {error}"))
            .hint("write them like '{\"path\": \".\"}'")
    })?;
    let mut policies = Policies::default();
    let (toolbox, name) = if path.is_dir() {
        let (_, toolbox) = Manifest::read(path)?.start(path).await?;
        // The tool's name with and without the plugin's prefix.
        let known = toolbox.specs().iter().any(|spec| spec.name == tool);
        (toolbox, if known { tool } else { identifier(NAME, &tool) })
    } else {
        let agent = AgentFile::read(home.environments(), path, &[])?;
        policies.add(&agent.run.tools.clone().unwrap_or_default().policy)?;
        let toolbox = agent.patient_toolbox(home).await?.ok_or_else(|| {
            Failure::new(Kind::Usage, format!("`{}` names no tools", path.display()))
                .hint(format!("add a table like [tools.notes], or name a directory with a `{FILE}`"))
        })?;
        (toolbox, tool)
    };
    let call = ToolCall { name, args };
    let ready = match toolbox.validate(&call) {
        Ok(ready) => ready,
        Err(refusal) => {
            // A source that does not start offers no tools: the notices say why.
            let notices = toolbox.refresh().notices;
            let specs = toolbox.specs();
            toolbox.close().await;
            let known = specs.iter().find(|spec| spec.name == call.name);
            let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
            let hint = match (notices.is_empty(), known, names.is_empty()) {
                (false, ..) => notices.join("; "),
                (true, Some(spec), _) => {
                    format!("it is called as {}", signature(&spec.name, &spec.parameters))
                }
                (true, None, false) => format!("it has {}", names.join(", ")),
                (true, None, true) => "it offers no tools".to_owned(),
            };
            // A plugin's tools have their own names here, as in `tools list`.
            let own = |text: String| if path.is_dir() { text.replace(&format!("{NAME}_"), "") } else { text };
            return Err(Failure::new(Kind::Usage, own(refusal.to_string())).hint(own(hint)).into());
        }
    };
    let decision = policies.decide(ready.spec(), ready.args(), false);
    let granted = match decision.verdict {
        PolicyVerdict::Allow => true,
        PolicyVerdict::Ask if yes => true,
        PolicyVerdict::Ask => {
            let (run, seq) = ("by-hand".parse()?, EventSeq(0));
            let (spec, args) = (ready.spec(), ready.args());
            let question = Question { run, seq, spec, args, reason: &decision.by };
            let answer = approver::approver(Cancel::new()).approve(&question).await;
            answer.is_some_and(|answer| answer.granted)
        }
        PolicyVerdict::Deny => false,
    };
    if !granted {
        toolbox.close().await;
        return Err(Failure::new(Kind::Failure, format!("not called: {}", decision.by))
            .hint("the agent file's policy decides; `--yes` approves what the policy would ask about")
            .into());
    }
    let key = format!("by-hand/{}", now_ms());
    let (spec, verdict) = (ready.spec().clone(), decision.verdict);
    let allows_part: AllowsPart = Arc::new(move |part| policies.allow_part(&spec, part, verdict));
    let context = CallContext {
        now_ms: now_ms(),
        idempotency_key: key,
        allows_part: Some(allows_part),
        ..CallContext::default()
    };
    let outcome = ready.run(context).await;
    toolbox.close().await;
    if json {
        output::json(&outcome)?;
    } else {
        output::line(outcome.to_text())?;
    }
    Ok(if outcome.ok { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failure as u8) })
}
