//! `sojourn ps`: the runs under way.

use crate::args::Reading;
use crate::commands::schedule::job_json;
use crate::home::Home;
use crate::{duration, output, table};
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_memory::Job;
use sojourn_service::live::live_runs;
use sojourn_service::{DaemonLock, now_ms};
use std::time::Duration;

/// Limit on the approvals that are looked at.
const MOST_WAITING: u32 = 1000;

/// Shows the runs whose processes are alive, and what the daemon has still to do.
///
/// # Errors
/// The home cannot be read.
pub async fn ps(home: &Home, args: Reading) -> Result<()> {
    let store = home.store().await?;
    let mut live = live_runs(&store).await?;
    for approval in store.approvals(None, false, MOST_WAITING).await? {
        if let Some(run) = live.iter_mut().find(|live| live.run == approval.asked.run) {
            run.report.task = format!("waits for approval {}", approval.id);
        }
    }
    let daemon = DaemonLock::holder(home.path());
    let mut open: Vec<(Job, String)> = Vec::new();
    for job in store.open_jobs().await? {
        if live.iter().all(|live| live.run != job.run) {
            let name = store.schedule_by_number(job.schedule).await?.settings.name;
            open.push((job, name));
        }
    }
    if args.json {
        let waiting: Vec<Value> = open.iter().map(|(job, name)| job_json(job, Some(name.clone()))).collect();
        return Ok(output::json(&json!({"daemon": daemon, "runs": live, "open": waiting}))?);
    }
    if live.is_empty() && open.is_empty() {
        output::note("no run is under way");
    }
    let now_ms = now_ms();
    if !live.is_empty() {
        let rows = live.iter().map(|live| {
            let report = &live.report;
            let since = u64::try_from(now_ms.saturating_sub(report.since_ms)).unwrap_or(0);
            [
                live.run.to_string(),
                live.process.to_string(),
                report.environment.clone(),
                duration::show(Duration::from_millis(since)),
                report.steps.to_string(),
                format!("{:.1}", report.steps_per_second),
                report.tokens.to_string(),
                format!("{:.1}", report.tokens_per_second),
                live.memory_bytes.map(output::bytes).unwrap_or_default(),
                report.task.clone(),
            ]
        });
        let columns = [
            "run",
            "process",
            "on",
            "since",
            "steps",
            "steps/s",
            "tokens",
            "tokens/s",
            "memory",
            "busy with",
        ];
        table::print_with_texts(columns, &[1, 3, 4, 5, 6, 7, 8], rows.collect())?;
    }
    for (job, name) in &open {
        let why = job.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        output::line(format!("{} [{}] {}{why}", job.run, name, job.state.as_str()))?;
    }
    match daemon {
        Some(process) => output::note(format!("the daemon is process {process}")),
        None => output::note("no daemon serves this home"),
    }
    Ok(())
}
