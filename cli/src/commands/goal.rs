//! `sojourn goal`: what goals in words mean in a world, and goals for a run under way.

use crate::agent_file::AgentFile;
use crate::args::{Goal as Command, Look};
use crate::error::{Failure, Kind};
use crate::goals::{Scout, Understood, meaningless};
use crate::home::Home;
use crate::session::Models;
use crate::unattended::asked;
use crate::{logbook, output, table};
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_synthesis::Survey;
use sojourn_tools::Condition;
use std::path::Path;
use std::process::ExitCode;

/// Carries out a command on goals.
pub async fn goal(home: &Home, command: Command) -> Result<ExitCode> {
    match command {
        Command::Check { agent, goals, look, pull } => check(home, &agent, &goals, &look, pull).await,
        Command::Add { run, goal, condition } => add(home, &run, &goal, condition.as_deref()).await,
        Command::List { run, json } => list(home, &run, json).await,
    }
}

/// Asks a run for a goal.
async fn add(home: &Home, run: &str, text: &str, condition: Option<&str>) -> Result<ExitCode> {
    let condition: Option<Condition> = condition.map(serde_json::from_str).transpose().map_err(|error| {
        Failure::new(Kind::Usage, format!("--condition: {error}")).hint(
            "write it like '{\"at_least\": {\"path\": \"/inventory/wood\", \"value\": 3}}'; `sojourn goal check` prints one",
        )
    })?;
    let store = home.store().await?;
    let info = logbook::find_run(&store, run).await?;
    asked::ask_for_goal(&store, &info.id, text, condition.as_ref(), "a person at a terminal").await?;
    let when = if store.is_live(&info.id).await? { "before its next episode" } else { "when it is resumed" };
    output::note(format!(
        "run `{}` takes the goal up {when}; `sojourn goal list {}` says what became of it",
        info.id, info.id
    ));
    Ok(ExitCode::SUCCESS)
}

/// Lists the goals that a run was asked for.
async fn list(home: &Home, run: &str, json: bool) -> Result<ExitCode> {
    let store = home.store().await?;
    let info = logbook::find_run(&store, run).await?;
    let goals = asked::goals(&store, &info.id).await?;
    if json {
        output::json(&goals)?;
    } else if goals.is_empty() {
        output::note(format!("nobody gave run `{}` a goal while it was under way", info.id));
    } else {
        let mut rows = table::new(["goal", "by", "what became of it"]);
        for goal in goals {
            rows.add_row([goal.text, goal.by, goal.outcome.unwrap_or_else(|| "waits".to_owned())]);
        }
        table::print(&rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows by which condition the program will see that goals are reached.
async fn check(home: &Home, path: &Path, goals: &[String], look: &Look, pull: bool) -> Result<ExitCode> {
    let mut agent = AgentFile::read(home.environments(), path, &look.overrides)?;
    agent.with_goals(goals);
    if agent.goals.is_empty() {
        return Err(Failure::new(Kind::Usage, format!("`{}` has no goals", path.display()))
            .hint("say one with `--goal \"open the door\"`, or write `goals = [\"open the door\"]` into it")
            .into());
    }
    let mut world = agent.open_environment(home.environments()).await?;
    let spec = world.spec().clone();
    let models = Models::load_when_asked(&agent, pull).await?;
    let (scout, progress) = Scout::of_command(&agent, look.seed).await?;
    let survey = scout.look_around(world.as_mut()).await?;
    let mut understood = Vec::new();
    for goal in &agent.goals {
        understood.push(scout.understand(goal, &spec, &survey, models.controller.as_ref()).await?);
    }
    progress.finish();
    let all = understood.iter().all(|each| each.task.is_some());
    if look.json {
        let goals: Vec<Value> = understood.iter().map(|each| document(each, &survey)).collect();
        output::json(&json!({"environment": spec.name, "episodes": survey.episodes, "goals": goals}))?;
    } else {
        let mut rows = table::new(["goal", "is reached when", "reached by chance"]);
        for Understood { goal, task } in &understood {
            let (when, chance) = match task {
                Some(task) => (task.goal.to_string(), by_chance(&survey, task)),
                None => ("nothing in the state shows it".to_owned(), String::new()),
            };
            rows.add_row([goal.text.clone(), when, chance]);
        }
        table::print(&rows)?;
        for Understood { goal, task } in &understood {
            match task {
                None => output::note(meaningless(goal, &spec, &survey).advice()),
                Some(task) if goal.condition.is_none() && !spec.tasks.contains(task) => {
                    match lines_for_file(&goal.text, &task.goal) {
                        Some(lines) => output::line(lines)?,
                        None => output::note(format!(
                            "`{}` cannot be kept in an agent file, because TOML has no null: leave the goal in words, or give it a \
                             condition on another field, such as `not` around one that holds before",
                            task.goal
                        )),
                    }
                }
                Some(_) => {}
            }
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The goal as an agent file has it; `None` where TOML cannot say its condition.
fn lines_for_file(text: &str, condition: &Condition) -> Option<String> {
    let condition = toml::Value::try_from(condition).ok()?;
    Some(format!(
        "\n# to keep this meaning, or to change it, in the agent file\n[[goals]]\ntext = {}\ncondition = {condition}",
        toml::Value::from(text)
    ))
}

fn document(understood: &Understood, survey: &Survey) -> Value {
    let Understood { goal, task } = understood;
    json!({
        "text": goal.text,
        "task": task.as_ref().map(|task| &task.name),
        "condition": task.as_ref().map(|task| &task.goal),
        "when": task.as_ref().map(|task| task.goal.to_string()),
        "reached_in_episodes": task.as_ref().and_then(|task| survey.change(&task.goal)).map(|change| change.episodes),
    })
}

fn by_chance(survey: &Survey, task: &sojourn_tools::TaskSpec) -> String {
    match survey.change(&task.goal) {
        Some(change) => format!("in {} of {} episodes", change.episodes, survey.episodes),
        None if survey.calls > 0 => "never".to_owned(),
        None => "not tried".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_for_the_agent_file_can_be_read_back() {
        let read = |condition: Value| {
            let condition: Condition = serde_json::from_value(condition).unwrap();
            let lines = lines_for_file("say \"hi\"\nand \u{7} go", &condition)?;
            let text = format!("environment = \"any\"\n{lines}\n");
            let agent = AgentFile::parse(&text, "agent.toml", Path::new(""), &[]).unwrap();
            assert_eq!(agent.goals[0].text, "say \"hi\"\nand \u{7} go");
            assert_eq!(agent.goals[0].condition.as_ref(), Some(&condition));
            Some(())
        };
        let open = json!({"equals": {"path": "/door", "value": {"state": "open", "by": [1, 2.5, true]}}});
        assert!(read(json!({"all": [open, {"not": {"at_least": {"path": "/a~1b", "value": 2}}}]})).is_some());
        assert!(read(json!({"equals": {"path": "/held", "value": null}})).is_none(), "TOML has no null");
        assert!(read(json!({"contains": {"path": "/held", "value": [1, null]}})).is_none());
    }
}
