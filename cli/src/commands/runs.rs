use crate::args::Reading;
use crate::home::Home;
use crate::{duration, output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_memory::{RunInfo, RunStatus, Store};
use std::time::Duration;

/// Lists the runs of a home.
pub async fn runs(home: &Home, args: Reading) -> Result<()> {
    let store = home.store().await?;
    let runs = store.runs().await?;
    if args.json {
        let runs: Vec<_> = runs.iter().map(|run| as_json(&store, run)).collect();
        return Ok(output::json(&runs)?);
    }
    if runs.is_empty() {
        output::note(format!(
            "there are no runs in `{}`; start one with `sojourn run AGENT.TOML`",
            home.path().display()
        ));
        return Ok(());
    }
    let mut table =
        table::new(["run", "started (UTC)", "lasted", "status", "environment", "model", "records"]);
    table::numbers(&mut table, [2, 6]);
    for run in &runs {
        table.add_row([
            run.id.to_string(),
            duration::date(run.created_ms),
            duration::show(lasted(run)),
            standing(&store, run).to_owned(),
            run.environment.clone(),
            run.model.clone(),
            run.last_seq.to_string(),
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

fn lasted(run: &RunInfo) -> Duration {
    Duration::from_millis(u64::try_from(run.last_at_ms.saturating_sub(run.created_ms)).unwrap_or(0))
}

fn as_json(store: &Store, run: &RunInfo) -> serde_json::Value {
    json!({
        "run": run.id,
        "started_ms": run.created_ms,
        "seconds": lasted(run).as_secs_f64(),
        "status": standing(store, run),
        "environment": run.environment,
        "model": run.model,
        "title": run.title,
        "records": run.last_seq,
    })
}
