use crate::args::Reading;
use crate::home::Home;
use crate::logbook::{self, Came};
use crate::{duration, output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_memory::{RunInfo, RunStatus, Store};

/// Lists the runs of a home.
pub async fn runs(home: &Home, args: Reading) -> Result<()> {
    let store = home.store().await?;
    let runs = store.runs().await?;
    if args.json {
        let mut documents = Vec::new();
        for run in &runs {
            documents.push(as_json(&store, run).await?);
        }
        return Ok(output::json(&documents)?);
    }
    if runs.is_empty() {
        output::note(format!(
            "there are no runs in `{}`; start one with `sojourn run AGENT.TOML`",
            home.path().display()
        ));
        return Ok(());
    }
    let mut table =
        table::new(["run (its start, UTC)", "ran", "status", "environment", "model", "what came of it"]);
    table::numbers(&mut table, [1]);
    for run in &runs {
        table.add_row([
            run.id.to_string(),
            duration::show(logbook::ran(&store, run).await?),
            standing(&store, run).to_owned(),
            run.environment.clone(),
            run.model.clone(),
            Came::of(&store, run).await?.words(),
        ]);
    }
    Ok(table::print(&table)?)
}

/// The status of a run. A run that is marked as running but has no writer was cut off.
pub fn standing(store: &Store, run: &RunInfo) -> &'static str {
    match run.status {
        RunStatus::Running if !store.is_live(&run.id).unwrap_or(true) => "cut off",
        status => status.as_str(),
    }
}

async fn as_json(store: &Store, run: &RunInfo) -> Result<serde_json::Value> {
    let came = Came::of(store, run).await?;
    Ok(json!({
        "run": run.id,
        "started_ms": run.created_ms,
        "seconds": logbook::ran(store, run).await?.as_secs_f64(),
        "status": standing(store, run),
        "environment": run.environment,
        "model": run.model,
        "title": run.title,
        "records": run.last_seq,
        "achievements": came.achievements,
        "skills": came.skills,
        "reason": came.reason,
    }))
}
