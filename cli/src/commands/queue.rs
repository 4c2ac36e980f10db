//! `sojourn queue`: the runs that wait for a worker.

use crate::args::Queue;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::{output, table};
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_memory::{QueuedRun, RunId};
use sojourn_service::now_ms;

/// Lists the queue, or takes a run out of it.
///
/// # Errors
/// When there is no store in a server, or the run is not in its queue.
pub async fn queue(home: &Home, command: Queue) -> Result<()> {
    home.needs_server("the queue")?;
    let store = home.store().await?;
    match command {
        Queue::List { json } => {
            let runs = store.queue().await?;
            if json {
                return Ok(output::json(&runs.iter().map(as_json).collect::<Vec<_>>())?);
            }
            if runs.is_empty() {
                output::note("nothing was submitted; `sojourn run AGENT.TOML --queue` does");
                return Ok(());
            }
            let rows = runs.iter().map(row).collect();
            let heads = ["run", "state", "worker", "needs", "why"];
            Ok(output::line(table::with_texts(heads, &[4], rows, table::terminal_width()))?)
        }
        Queue::Cancel { run, json } => {
            let run: RunId = run.parse()?;
            if !store.cancel_queued(&run, now_ms()).await? {
                return Err(Failure::new(Kind::NotFound, format!("run `{run}` is not open in the queue"))
                    .hint("`sojourn queue list` shows what is")
                    .into());
            }
            if json {
                return Ok(output::json(&json!({"run": run, "state": "cancelled"}))?);
            }
            Ok(output::line(format!("cancelled `{run}`"))?)
        }
    }
}

fn row(run: &QueuedRun) -> [String; 5] {
    [
        run.submission.run.to_string(),
        run.state.as_str().to_owned(),
        run.worker.clone().unwrap_or_default(),
        run.submission.labels.join(","),
        run.why.clone().unwrap_or_default(),
    ]
}

fn as_json(run: &QueuedRun) -> Value {
    json!({
        "run": run.submission.run,
        "agent": run.submission.path,
        "labels": run.submission.labels,
        "state": run.state,
        "worker": run.worker,
        "claims": run.claim,
        "submitted_ms": run.submission.submitted_ms,
        "started_ms": run.started_ms,
        "ended_ms": run.ended_ms,
        "why": run.why,
    })
}
