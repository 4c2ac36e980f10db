use crate::agent_file::AgentFile;
use crate::{environments, output, table};
use anyhow::Result;
use serde_json::{Map, json};
use sojourn_tools::{Effects, Policy, ToolSpec, Verdict, signature};
use std::path::Path;

/// Shows what an agent can call, and what its policy says of it.
pub async fn list(agent: Option<&Path>, environment: &str, json: bool) -> Result<()> {
    let agent = agent.map(|path| AgentFile::read(path, &[])).transpose()?;
    let world = match &agent {
        Some(agent) => agent.environment.open(&agent.directory).await?,
        None => environments::open(environment).await?,
    };
    let own = world.spec().tools.clone();
    let (mut others, mut notices) = (Vec::new(), Vec::new());
    let mut policy = Policy::default();
    if let Some(agent) = &agent
        && let Some(toolbox) = agent.toolbox().await?
    {
        let settings = agent.run.tools.clone().unwrap_or_default();
        policy = Policy::new(settings.policy)?;
        others = toolbox.specs();
        notices = toolbox.look().notices;
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
    let mut table = table::new(["tool", "effects", "policy", "what it does"]);
    let row = |spec: &ToolSpec, verdict: &str| {
        let called = signature(&spec.name, &spec.parameters);
        [called, effects(spec.effects), verdict.to_owned(), spec.description.clone()]
    };
    for spec in &own {
        table.add_row(row(spec, "its world"));
    }
    for spec in &others {
        let verdict = match policy.decide(spec, &Map::new(), false).verdict {
            Verdict::Allow => "allow",
            Verdict::Ask => "ask",
            Verdict::Deny => "deny",
        };
        table.add_row(row(spec, verdict));
    }
    table::print(&table)?;
    for notice in notices {
        output::note(notice);
    }
    Ok(())
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
