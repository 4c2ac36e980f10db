//! `sojourn world`: what a world is like, as an agent finds it out.

use crate::agent_file::AgentFile;
use crate::args::World as Command;
use crate::beliefs::{self, Found};
use crate::error::{Failure, Kind};
use crate::goals::{Scout, failing};
use crate::home::Home;
use crate::logbook::find_run;
use crate::{output, table};
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_memory::{RunId, Store};
use sojourn_synthesis::{Change, FieldKind, StateField, Survey};
use sojourn_tools::{EnvironmentSpec, as_javascript};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

/// Values of a field that are shown.
const VALUES: usize = 6;

/// Carries out a command on worlds.
pub async fn world(home: &Home, command: Command) -> Result<ExitCode> {
    let Command::Show { environment, look } = command;
    let path = Path::new(&environment);
    let store = home.store().await?;
    if !path.is_file() && home.environments().get(&environment).is_none() {
        let run = find_run(&store, &environment).await?;
        return beliefs_of(&store, &run.id, look.json).await;
    }
    let agent = if path.is_file() {
        AgentFile::read(home.environments(), path, &look.overrides)?
    } else {
        let text = format!("environment = {}", json!(environment));
        AgentFile::parse(&text, &environment, Path::new(""), &look.overrides)?
    };
    let mut world = agent.open_environment(home.environments()).await?;
    let spec = world.spec().clone();
    let (scout, progress) = Scout::of_command(&agent, look.seed).await?;
    let survey = scout.look_around(world.as_mut()).await?;
    progress.finish();
    let failing = failing(&survey)?;
    let documented: BTreeSet<_> = spec.tasks.iter().flat_map(|task| task.goal.paths()).collect();
    let found = survey.tasks(&documented, agent.discover.tasks);
    let believed = beliefs::of_world(&store, &spec.name).await?.filter(|_| !spec.documents_tasks());
    if look.json {
        output::json(&json!({
            "believed": believed.as_ref().map(believed_json),
            "environment": spec.name, "version": spec.version, "documented": spec.documents_tasks(),
            "survey": survey, "tasks": spec.tasks, "discovered": found,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_fields(&spec, &survey)?;
    print_changes(&survey, survey.discoveries(&documented))?;
    let mut rows = table::new(["task", "is done when", "from"]);
    for task in &spec.tasks {
        rows.add_row([task.name.clone(), task.goal.to_string(), "the world".to_owned()]);
    }
    for task in found.iter().filter(|_| !spec.documents_tasks()) {
        rows.add_row([task.name.clone(), task.goal.to_string(), "found out".to_owned()]);
    }
    output::line("")?;
    table::print(&rows)?;
    if let Some(found) = believed {
        output::line(format!("\nwhat run {} believes, after {}:\n", found.run, counted_calls(&found)))?;
        print_beliefs(&found)?;
    }
    if let Some(failing) = failing {
        output::note(format!("note: {failing}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what a run believes of its world.
async fn beliefs_of(store: &Store, run: &RunId, as_json: bool) -> Result<ExitCode> {
    let Some(found) = beliefs::of_run(store, run).await? else {
        return Err(Failure::new(Kind::Failure, format!("run `{run}` has no stage of discovery"))
            .hint("a run with `[run.discovery]` in its agent file has some, in a world that documents no tasks; for what is seen before a run, name the world or the agent file")
            .into());
    };
    if as_json {
        output::json(&believed_json(&found))?;
    } else {
        output::line(format!("{}:\n", counted_calls(&found)))?;
        print_beliefs(&found)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn believed_json(found: &Found) -> Value {
    json!({"run": found.run, "beliefs": found.beliefs, "tasks": found.tasks, "recipes": found.recipes})
}

fn counted_calls(found: &Found) -> String {
    let (calls, episodes) = (found.beliefs.calls, found.beliefs.episodes);
    format!("{} in {}", output::counted(calls, "call"), output::counted(episodes, "episode"))
}

fn print_beliefs(found: &Found) -> Result<()> {
    let mut rows = table::new(["call", "brings about", "needs", "uses up", "worked", "failed", "confidence"]);
    table::numbers(&mut rows, [4, 5, 6]);
    for rule in &found.beliefs.rules {
        let needs: Vec<String> = rule.needs.iter().map(ToString::to_string).collect();
        let uses: Vec<String> = rule.uses.iter().map(|used| format!("{} {}", used.by, used.path)).collect();
        rows.add_row([
            as_javascript(&rule.call),
            rule.effect.condition().to_string(),
            needs.join(" and "),
            uses.join(", "),
            rule.evidence.worked.to_string(),
            rule.evidence.failed.to_string(),
            if rule.closed { "closed".to_owned() } else { format!("{:.2}", rule.confidence()) },
        ]);
    }
    table::print(&rows)?;
    let mut rows = table::new(["task", "is done when", "recipe"]);
    for (task, recipe) in found.tasks.iter().zip(&found.recipes) {
        let held = recipe.consumes.iter().map(|one| format!("{} {}", one.count, one.item));
        let held = held.chain(recipe.tools.iter().cloned()).collect::<Vec<_>>().join(", ");
        let mut parts = vec![recipe.call.clone()];
        parts.extend(recipe.target.iter().map(|target| format!("at {target}")));
        parts.extend((!held.is_empty()).then(|| format!("with {held}")));
        parts.extend((!recipe.nearby.is_empty()).then(|| format!("near {}", recipe.nearby.join(", "))));
        rows.add_row([task.name.clone(), task.goal.to_string(), parts.join(" ")]);
    }
    output::line("")?;
    Ok(table::print(&rows)?)
}

fn print_fields(spec: &EnvironmentSpec, survey: &Survey) -> Result<()> {
    if survey.calls == 0 {
        output::note(format!("calls are not made at random in `{}`: this is one first state", spec.name));
    } else {
        output::line(format!(
            "{}: {} in {}\n",
            format!("{} {}", spec.name, spec.version).trim_end(),
            output::counted(survey.calls, "call"),
            output::counted(survey.episodes, "episode")
        ))?;
    }
    let mut rows = table::new(["field", "values"]);
    for StateField { path, kind } in &survey.fields {
        rows.add_row([path.to_string(), values(kind)]);
    }
    Ok(table::print(&rows)?)
}

fn values(kind: &FieldKind) -> String {
    let list = |values: Vec<String>, more: bool| {
        let rest = if more || values.len() > VALUES { ", …" } else { "" };
        format!("{}{rest}", values.iter().take(VALUES).cloned().collect::<Vec<_>>().join(", "))
    };
    match kind {
        FieldKind::Number { min, max } if min >= max => min.to_string(),
        FieldKind::Number { min, max } => format!("{min} to {max}"),
        FieldKind::Value { values, more } if values.is_empty() && *more => "texts".to_owned(),
        FieldKind::Value { values, more } => list(values.iter().map(Value::to_string).collect(), *more),
        FieldKind::List { members, more } => {
            format!(
                "a list: {}",
                list(members.iter().map(|member| json!(member).to_string()).collect(), *more)
            )
        }
    }
}

fn print_changes<'a>(survey: &Survey, changes: impl Iterator<Item = &'a Change>) -> Result<()> {
    let mut rows = table::new(["what can be brought about", "episodes", "times", "after"]);
    table::numbers(&mut rows, [1, 2]);
    let mut any = false;
    for change in changes {
        any = true;
        let after: Vec<String> =
            change.calls.iter().map(|(call, times)| format!("{call} {times}x")).collect();
        rows.add_row([
            change.effect.condition().to_string(),
            format!("{} of {}", change.episodes, survey.episodes),
            change.times.to_string(),
            after.join(", "),
        ]);
    }
    if any {
        output::line("")?;
        table::print(&rows)?;
    }
    Ok(())
}
