use crate::args::{SkillRun, Target};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::worlds::Worlds;
use crate::{output, session};
use anyhow::Result;
use serde_json::{Map, Value, json};
use sojourn_core::{SingleRun, as_javascript, diff, run_once};
use sojourn_skills::LibraryState;
use sojourn_tools::{Parameter, ToolCall, with_defaults};
use std::process::ExitCode;

/// Runs one skill in a fresh world, and prints its calls and the result.
pub async fn run(home: &Home, library: &LibraryState, args: SkillRun) -> Result<ExitCode> {
    let target = Target { name: args.name.clone(), version: None };
    super::find(library, &target)?;
    check_active(library, &args.name)?;
    let worlds = Worlds::of(home, args.agent.as_deref()).await?;
    let wanted = args.environment.as_deref().or(worlds.own_name());
    let entry = super::in_use(library, &args.name, wanted)?;
    if let Some(wanted) = wanted.filter(|wanted| *wanted != entry.environment()) {
        output::note(format!("`{}` was learned in `{}`, not in `{wanted}`", args.name, entry.environment()));
    }
    let (library, manifest) = (&library.of_environment(entry.environment()), &entry.skill.manifest);
    let call = ToolCall { name: manifest.name.clone(), args: arguments(&manifest.parameters, &args.args)? };
    let environment = worlds.open(wanted.unwrap_or(&manifest.environment)).await?;

    let sandbox = session::sandbox().await?;
    let outcome = run_once(&sandbox, library, environment, args.seed, &call, args.steps).await?;
    if args.json {
        output::json(&json!({"call": call, "seed": args.seed, "result": outcome}))?;
    } else {
        print(&call, &outcome)?;
    }
    Ok(if outcome.verified { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failure as u8) })
}

fn check_active(state: &LibraryState, name: &str) -> Result<()> {
    if state.active(name).is_some() {
        return Ok(());
    }
    Err(Failure::new(Kind::NotFound, format!("no version of `{name}` is active"))
        .hint(format!("`sojourn skills show {name}` shows its status"))
        .into())
}

/// Reads the arguments, and checks their names.
fn arguments(parameters: &[Parameter], text: &str) -> Result<Map<String, Value>> {
    let bad = |reason: String| Failure::new(Kind::Usage, format!("--args: {reason}"));
    let args: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| bad(format!("not a JSON object: {error}")).hint("write it like '{\"n\": 3}'"))?;
    if let Some(unknown) = args.keys().find(|key| parameters.iter().all(|parameter| parameter.name != **key))
    {
        let names = parameters.iter().map(|parameter| parameter.name.as_str());
        return Err(Failure::unknown("parameter", unknown, names)
            .hint("`sojourn skills list` shows the parameters")
            .into());
    }
    let args = with_defaults(parameters, args);
    match parameters.iter().find(|parameter| !args.contains_key(&parameter.name)) {
        Some(missing) => Err(bad(format!("`{}` is missing", missing.name)).into()),
        None => Ok(args),
    }
}

fn print(call: &ToolCall, outcome: &SingleRun) -> Result<()> {
    output::line(as_javascript(call))?;
    for made in &outcome.trace {
        output::line(format!("  {:<32} {}", made.call, made.message))?;
    }
    let verdict = if outcome.verified { "reached its goal" } else { "did not reach its goal" };
    output::line(format!("{verdict} in {} steps", outcome.steps))?;
    if let Some(error) = &outcome.error {
        output::line(format!("stopped by: {error}"))?;
    }
    for unlocked in &outcome.unlocked {
        output::line(format!("unlocked {} at step {}", unlocked.task, unlocked.step))?;
    }
    if let Some(ending) = &outcome.ended {
        output::line(format!("the episode is over: {}", ending.cause))?;
    }
    if let Some(change) = diff(&outcome.before, &outcome.after) {
        output::line(format!("changed {change}"))?;
    }
    Ok(())
}
