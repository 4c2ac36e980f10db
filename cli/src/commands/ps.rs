//! `sojourn ps`: the runs under way.

use crate::args::Reading;
use crate::commands::schedule::{job_json, what};
use crate::home::Home;
use crate::{duration, output, table};
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_memory::{Job, Schedule, Store};
use sojourn_service::live::{LiveRun, live_runs};
use sojourn_service::{DaemonLock, now_ms};
use std::time::Duration;

/// Limit on the approvals that are looked at.
const MOST_WAITING: u32 = 1000;

/// The columns of a run under way.
pub const COLUMNS: [&str; 10] =
    ["run", "process", "on", "since", "steps", "steps/s", "tokens", "tokens/s", "memory", "busy with"];
/// Those of them that hold numbers.
pub const NUMBERS: [usize; 7] = [1, 3, 4, 5, 6, 7, 8];

/// What a home's processes are busy with.
pub struct Overview {
    /// The runs whose processes are alive.
    pub live: Vec<LiveRun>,
    /// What the daemon has still to do that no process of a run is doing, each with its schedule.
    pub open: Vec<(Job, Schedule)>,
    /// The daemon's process, if one serves the home.
    pub daemon: Option<u32>,
    /// Number of calls that wait for a person, at most [`MOST_WAITING`].
    pub approvals: usize,
}

impl Overview {
    /// Looks at the home now.
    ///
    /// # Errors
    /// The home cannot be read.
    pub async fn of(home: &Home, store: &Store) -> Result<Self> {
        let mut live = live_runs(store).await?;
        let approvals = store.approvals(None, false, MOST_WAITING).await?;
        for approval in &approvals {
            if let Some(run) = live.iter_mut().find(|live| live.run == approval.asked.run) {
                run.report.task = format!("waits for approval {}", approval.id);
            }
        }
        let daemon = DaemonLock::holder(home.path());
        let mut open = Vec::new();
        for job in store.open_jobs().await? {
            if live.iter().all(|live| live.run != job.run) {
                let schedule = store.schedule_by_number(job.schedule).await?;
                open.push((job, schedule));
            }
        }
        Ok(Self { live, open, daemon, approvals: approvals.len() })
    }

    /// The overview as one JSON document.
    pub fn json(&self) -> Value {
        let waiting: Vec<Value> =
            self.open.iter().map(|(job, schedule)| job_json(job, Some(schedule))).collect();
        json!({"daemon": self.daemon, "runs": self.live, "open": waiting})
    }

    /// The rows of [`COLUMNS`].
    pub fn rows(&self) -> Vec<[String; 10]> {
        let now_ms = now_ms();
        let row = |live: &LiveRun| {
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
        };
        self.live.iter().map(row).collect()
    }

    /// A line for each due time that no process is busy with.
    pub fn open_lines(&self) -> Vec<String> {
        let line = |(job, schedule): &(Job, Schedule)| {
            let why = job.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            let (what, name) = (what(job, Some(schedule)), &schedule.settings.name);
            format!("{what} [{name}] {}{why}", job.state.as_str())
        };
        self.open.iter().map(line).collect()
    }
}

/// Shows the runs whose processes are alive, and what the daemon has still to do.
///
/// # Errors
/// The home cannot be read.
pub async fn ps(home: &Home, args: Reading) -> Result<()> {
    let overview = Overview::of(home, &home.store().await?).await?;
    if args.json {
        return Ok(output::json(&overview.json())?);
    }
    print(&overview, home)
}

/// Prints an overview once.
///
/// # Errors
/// Stdout cannot be written.
pub fn print(overview: &Overview, home: &Home) -> Result<()> {
    if overview.live.is_empty() && overview.open.is_empty() {
        output::note("no run is under way");
    }
    if !overview.live.is_empty() {
        table::print_with_texts(COLUMNS, &NUMBERS, overview.rows())?;
    }
    for line in overview.open_lines() {
        output::line(line)?;
    }
    match overview.daemon {
        Some(process) => output::note(format!("the daemon is process {process}")),
        // A store does not know which machines serve it.
        None if home.server().is_some() => {}
        None => output::note("no daemon serves this home"),
    }
    Ok(())
}
