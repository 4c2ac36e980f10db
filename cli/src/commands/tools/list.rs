use super::manifest::{Manifest, NAME};
use crate::agent_file::AgentFile;
use crate::home::Home;
use crate::{output, table};
use anyhow::Result;
use serde_json::{Map, json};
use sojourn_tools::{ActionRuling, Effects, EnvironmentProvider, Policy, PolicyVerdict, ToolSpec, signature};
use std::path::Path;

/// Lists the tools of an agent, and the decision of its policy on each.
pub async fn list(home: &Home, path: Option<&Path>, environment: Option<&str>, json: bool) -> Result<()> {
    if let Some(directory) = path.filter(|path| path.is_dir()) {
        return list_plugin(directory, json).await;
    }
    let agent = path;
    let agent = agent.map(|path| AgentFile::read(home.environments(), path, &[])).transpose()?;
    let first = home.environments().providers().next().map(EnvironmentProvider::name);
    let world = match &agent {
        Some(agent) => agent.open_environment(home.environments()).await?,
        None => home.environments().open(environment.or(first).unwrap_or_default()).await?,
    };
    let own = world.spec().tools.clone();
    let (mut others, mut notices) = (Vec::new(), Vec::new());
    let settings = agent.as_ref().and_then(|agent| agent.run.tools.clone()).unwrap_or_default();
    let policy = Policy::new(settings.policy)?;
    if let Some(agent) = &agent
        && let Some(toolbox) = agent.patient_toolbox(home).await?
    {
        others = toolbox.specs();
        notices = toolbox.refresh().notices;
        toolbox.close().await;
    }
    if json && agent.is_none() {
        return Ok(output::json(&own)?);
    }
    if json {
        let verdict = |spec: &ToolSpec| policy.decide(spec, &Map::new(), false);
        let others: Vec<_> =
            others.iter().map(|spec| json!({"tool": spec, "policy": verdict(spec)})).collect();
        return Ok(output::json(&json!({"environment": own, "sources": others, "notices": notices}))?);
    }
    // Rules reach the actions of worlds that other programs compute.
    let is_denied = |spec: &ToolSpec| {
        let ruling = policy.ruling_on_action(spec, world.own_name(&spec.name));
        !world.spec().deterministic && spec.name != "observe" && matches!(ruling, ActionRuling::Denied(_))
    };
    let own = own.iter().map(|spec| (spec, if is_denied(spec) { "deny" } else { "environment" }));
    print(&own.collect::<Vec<_>>(), &others, &policy)?;
    for notice in notices {
        output::note(notice);
    }
    Ok(())
}

/// Lists the tools of a plugin by the names that `tools call` takes, and the decision of a policy without rules on each.
async fn list_plugin(directory: &Path, json: bool) -> Result<()> {
    let (source, toolbox) = Manifest::read(directory)?.start(directory).await?;
    let (specs, notices) = (toolbox.specs(), toolbox.refresh().notices);
    source.close().await;
    let policy = Policy::default();
    if json {
        let tools: Vec<_> = specs
            .iter()
            .map(|spec| json!({"tool": spec, "policy": policy.decide(spec, &Map::new(), false)}))
            .collect();
        return Ok(output::json(&json!({"environment": [], "sources": tools, "notices": notices}))?);
    }
    let prefix = format!("{NAME}_");
    let unprefixed = specs.into_iter().map(|spec| ToolSpec {
        name: spec.name.strip_prefix(&prefix).unwrap_or(&spec.name).to_owned(),
        ..spec
    });
    print(&[], &unprefixed.collect::<Vec<_>>(), &policy)?;
    for notice in notices {
        output::note(notice);
    }
    Ok(())
}

/// Prints the tools of an environment and of tool sources.
fn print(own: &[(&ToolSpec, &str)], others: &[ToolSpec], policy: &Policy) -> Result<()> {
    let mut rows = Vec::new();
    let row = |spec: &ToolSpec, verdict: &str| {
        let called = signature(&spec.name, &spec.parameters);
        [called, effects(spec.effects), verdict.to_owned(), spec.description.clone()]
    };
    for (spec, verdict) in own {
        rows.push(row(spec, verdict));
    }
    for spec in others {
        let verdict = match policy.decide(spec, &Map::new(), false).verdict {
            PolicyVerdict::Allow => "allow",
            PolicyVerdict::Ask => "ask",
            PolicyVerdict::Deny => "deny",
        };
        rows.push(row(spec, verdict));
    }
    Ok(table::print_with_texts(["tool", "effects", "policy", "description"], &[], rows)?)
}

fn effects(effects: Effects) -> String {
    let named = [
        (effects.write, "writes"),
        (effects.network, "network"),
        (effects.irreversible, "irreversible"),
        (effects.idempotent, "idempotent"),
    ];
    let names: Vec<&str> = named.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
    if names.is_empty() { "reads".to_owned() } else { names.join(", ") }
}
