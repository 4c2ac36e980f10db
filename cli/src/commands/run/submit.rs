//! Leaves a run to a worker of the store.

use super::{budgets_of, command_line};
use crate::agent_file::AgentFile;
use crate::args::Run;
use crate::commands::schedule::assignments;
use crate::home::Home;
use crate::output;
use crate::session::new_run;
use anyhow::{Context as _, Result};
use serde_json::json;
use sojourn_memory::{Arguments, Submission};
use sojourn_service::now_ms;

/// Puts a run into the queue and prints its id. The worker reads the agent file again, so what it names must be there.
///
/// # Errors
/// When the agent file is wrong, or the store is not in a server.
pub async fn submit(home: &Home, args: &Run) -> Result<()> {
    home.needs_server("`--queue`")?;
    let checked = AgentFile::read(home.environments(), &args.agent, &args.overrides)?;
    let unreadable = || format!("cannot read `{}`", args.agent.display());
    let path = std::path::absolute(&args.agent).with_context(unreadable)?;
    let agent = std::fs::read_to_string(&path).with_context(unreadable)?;
    let given = assignments(&args.overrides);
    let given = given.iter().map(|(key, text)| (key.as_str(), *text));
    let goals = args.goals.iter().map(|goal| ("`--goal`", goal.as_str()));
    let otlp = args.otlp.iter().map(|otlp| ("`--otlp`", otlp.as_str()));
    let labels = args.labels.iter().map(|label| ("`--labels`", label.as_str()));
    checked.keep_secrets_from(
        "the queue",
        given.chain(goals).chain(otlp).chain(labels).chain([("the agent file", agent.as_str())]),
    )?;
    let run = match &args.id {
        Some(id) => id.parse()?,
        None => new_run(),
    };
    let submission = Submission {
        run,
        path: path.to_string_lossy().into_owned(),
        agent,
        // Without the command's name and the agent file, which the worker adds.
        arguments: Arguments { always: command_line(args).split_off(2), first: budgets_of(args) },
        labels: args.labels.clone(),
        submitted_ms: now_ms(),
    };
    home.store().await?.submit(&submission).await?;
    if args.json {
        return Ok(output::json(&json!({"run": submission.run, "state": "queued"}))?);
    }
    Ok(output::line(submission.run.as_str())?)
}
