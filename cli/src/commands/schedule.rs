//! `sojourn schedule`: when agents run.

use crate::agent_file::AgentFile;
use crate::args::{self, ScheduleAdd, ScheduleGc};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::{output, table};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sojourn_memory::{
    Arguments, ForWorkers, Job, LogCollection, Missed, NewSchedule, Overlap, Schedule, Store, Timing, Work,
};
use sojourn_service::timing::{self, TimingError};
use sojourn_service::{DaemonLock, now_ms};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::path::Path;

/// Carries out `sojourn schedule`.
///
/// # Errors
/// The schedule is unknown, or a new one cannot be used.
pub async fn schedule(home: &Home, command: args::Schedule) -> Result<()> {
    let store = home.store().await?;
    match command {
        args::Schedule::Add(args) => add(home, &store, &args).await,
        args::Schedule::Gc(args) => gc(home, &store, &args).await,
        args::Schedule::List { json } => list(home, &store, json).await,
        args::Schedule::Pause { schedule, json } => {
            store.pause_schedule(&schedule, true, store.clock_ms().await?).await?;
            changed(&store, &schedule, json, "paused").await
        }
        args::Schedule::Resume { schedule, json } => {
            store.pause_schedule(&schedule, false, store.clock_ms().await?).await?;
            changed(&store, &schedule, json, "resumed").await
        }
        args::Schedule::Remove { schedule, json } => {
            store.remove_schedule(&schedule, store.clock_ms().await?).await?;
            changed(&store, &schedule, json, "removed").await
        }
        args::Schedule::History { schedule, limit, json } => {
            history(&store, schedule.as_deref(), limit, json).await
        }
    }
}

async fn add(home: &Home, store: &Store, args: &ScheduleAdd) -> Result<()> {
    let now_ms = store.clock_ms().await?;
    // Errors of the agent file are reported now, and not when the run is due.
    let agent = AgentFile::read(home.environments(), &args.agent, &args.overrides)?;
    agent.reflex_sources()?;
    let queue = for_workers(home, args)?;
    let given = assignments(&args.overrides);
    let given = given.iter().map(|(key, text)| (key.as_str(), *text));
    let labels = args.labels.iter().map(|label| ("`--labels`", label.as_str()));
    let text = queue.iter().map(|queue| ("the agent file", queue.agent.as_str()));
    agent.keep_secrets_from("the schedule", given.chain(labels).chain(text))?;
    let new = NewSchedule {
        name: args.name.clone().unwrap_or_else(|| name_of(&args.agent)),
        work: Work::Run { agent: place_of(&args.agent)?, arguments: arguments(args), queue },
        timing: timing_of(&args.when, now_ms)?,
        missed: missed_of(args.missed),
        overlap: match args.overlap {
            args::Overlap::Refuse => Overlap::Refuse,
            args::Overlap::Queue => Overlap::Queue,
            args::Overlap::Allow => Overlap::Allow,
        },
        created_ms: now_ms,
    };
    create(home, store, new, args.json).await
}

/// What workers need of the agent; `None` where the daemon of a home starts its runs itself.
fn for_workers(home: &Home, args: &ScheduleAdd) -> Result<Option<ForWorkers>> {
    if home.server().is_none() {
        if args.labels.is_empty() {
            return Ok(None);
        }
        home.needs_server("`--labels`")?;
    }
    let agent = std::fs::read_to_string(&args.agent)
        .with_context(|| format!("cannot read `{}`", args.agent.display()))?;
    Ok(Some(ForWorkers { agent, labels: args.labels.clone() }))
}

/// Adds a schedule that collects logs.
async fn gc(home: &Home, store: &Store, args: &ScheduleGc) -> Result<()> {
    let now_ms = now_ms();
    let older_than_ms = args.older_than.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let new = NewSchedule {
        name: args.name.clone(),
        work: Work::CollectLogs(LogCollection {
            newest: args.keep,
            older_than_ms,
            pause_runs: args.pause_runs,
        }),
        timing: timing_of(&args.when, now_ms)?,
        missed: missed_of(args.missed),
        overlap: Overlap::Refuse,
        created_ms: now_ms,
    };
    create(home, store, new, args.json).await
}

fn missed_of(missed: args::Missed) -> Missed {
    match missed {
        args::Missed::Run => Missed::Run,
        args::Missed::Skip => Missed::Skip,
    }
}

/// When a new schedule is due.
fn timing_of(when: &args::When, now_ms: i64) -> Result<Timing> {
    let bad = |error: TimingError| Failure::new(Kind::Usage, error.to_string());
    let zone = when.zone.as_deref();
    let timing = match (when.every, &when.cron, &when.at) {
        (Some(every), ..) => timing::every(every).map_err(bad)?,
        (None, Some(pattern), _) => timing::cron(pattern, zone, now_ms).map_err(bad)?,
        (None, None, Some(at)) => timing::at(at, zone, now_ms).map_err(bad)?,
        (None, None, None) => {
            return Err(Failure::new(Kind::Usage, "say when: `--every`, `--cron` or `--at`").into());
        }
    };
    if let Timing::AtMs(at_ms) = timing
        && at_ms <= now_ms
    {
        let at = timing::show(&timing, at_ms);
        return Err(Failure::new(Kind::Usage, format!("{at} is over"))
            .hint("`--at now` is due at once")
            .into());
    }
    Ok(timing)
}

async fn create(home: &Home, store: &Store, new: NewSchedule, json: bool) -> Result<()> {
    check_name(&new.name)?;
    let schedule = store.add_schedule(new).await?;
    if json {
        return Ok(output::json(&as_json(&schedule, None))?);
    }
    let name = &schedule.settings.name;
    output::line(format!("{name}: {}; next {}", when(&schedule.settings.timing), next(&schedule)))?;
    tell_of_daemon(home);
    Ok(())
}

/// Says so where nothing starts the runs of schedules. A store does not know which schedulers serve it.
fn tell_of_daemon(home: &Home) {
    if home.server().is_none() && DaemonLock::holder(home.path()).is_none() {
        output::note("no daemon serves this home; start it with `sojourn up`");
    }
}

/// The name of a schedule, from that of its agent file; of an `agent.toml`, from its directory.
fn name_of(agent: &Path) -> String {
    let agent = std::path::absolute(agent).unwrap_or_else(|_| agent.to_owned());
    let stem = agent.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if stem != "agent" {
        return stem;
    }
    let directory = agent.parent().and_then(Path::file_name);
    directory.map_or(stem, |name| name.to_string_lossy().into_owned())
}

/// Names are words of a command line and labels of lines.
fn check_name(name: &str) -> Result<()> {
    let is_fine = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.chars().count() <= 64 && name.chars().all(is_fine) && !name.starts_with('-') {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, format!("`{name}` is no name for a schedule"))
        .hint("use 1 to 64 letters, digits and `-`, `_`, `.`: `--name crafter-nightly`")
        .into())
}

/// The agent as the daemon finds it from anywhere.
fn place_of(agent: &Path) -> Result<String> {
    // Where there is no such file, it is the name of an environment.
    let path = std::fs::canonicalize(agent).unwrap_or_else(|_| agent.to_owned());
    path.into_os_string().into_string().map_err(|path| {
        Failure::new(Kind::Usage, format!("the path `{}` is not UTF-8", path.display())).into()
    })
}

/// The arguments of the runs.
fn arguments(args: &ScheduleAdd) -> Arguments {
    let mut arguments = Arguments::default();
    if let Some(seed) = args.seed {
        arguments.first.extend(["--seed".to_owned(), seed.to_string()]);
    }
    if let Some(steps) = args.steps {
        arguments.first.extend(["--steps".to_owned(), steps.to_string()]);
    }
    if let Some(time) = args.time {
        arguments.first.extend(["--time".to_owned(), format!("{}ms", time.as_millis())]);
    }
    for assignment in &args.overrides {
        // A resumed run has its budgets in its log.
        let is_budget = assignment.trim_start().starts_with("run.budgets.");
        let list = if is_budget { &mut arguments.first } else { &mut arguments.always };
        list.extend(["--set".to_owned(), assignment.clone()]);
    }
    arguments
}

/// Overrides as people name them, each with its text.
pub fn assignments(overrides: &[String]) -> Vec<(String, &str)> {
    let key = |text: &str| format!("`--set {}`", text.split('=').next().unwrap_or_default());
    overrides.iter().map(|text| (key(text), text.as_str())).collect()
}

async fn changed(store: &Store, name: &str, json: bool, what: &str) -> Result<()> {
    let schedule = store.schedule(name).await?;
    if json {
        let mut document = as_json(&schedule, None);
        document["removed"] = (what == "removed").into();
        return Ok(output::json(&document)?);
    }
    let next = if what == "resumed" { format!("; next {}", next(&schedule)) } else { String::new() };
    Ok(output::line(format!("{what} {name}{next}"))?)
}

async fn list(home: &Home, store: &Store, json: bool) -> Result<()> {
    let schedules = store.schedules().await?;
    let mut rows = Vec::new();
    let mut documents = Vec::new();
    for schedule in &schedules {
        let last = store.jobs(Some(schedule.no), 1).await?.pop();
        documents.push(as_json(schedule, last.as_ref()));
        rows.push([
            schedule.settings.name.clone(),
            when(&schedule.settings.timing),
            next(schedule),
            schedule.settings.missed.as_str().to_owned(),
            schedule.settings.overlap.as_str().to_owned(),
            last.map(|job| format!("{} {}", job.state.as_str(), what(&job, Some(schedule))))
                .unwrap_or_default(),
        ]);
    }
    if json {
        return Ok(output::json(&documents)?);
    }
    if rows.is_empty() {
        output::note("there are no schedules; add one with `sojourn schedule add AGENT.TOML --every 6h`");
        return Ok(());
    }
    let mut table = table::new(["schedule", "when", "next", "missed", "overlap", "last"]);
    for row in rows {
        table.add_row(row);
    }
    table::print(&table)?;
    tell_of_daemon(home);
    Ok(())
}

async fn history(store: &Store, name: Option<&str>, limit: u32, json: bool) -> Result<()> {
    let only = match name {
        Some(name) => Some(store.schedule(name).await?),
        None => None,
    };
    let jobs = store.jobs(only.as_ref().map(|schedule| schedule.no), limit).await?;
    let mut schedules: BTreeMap<i64, Schedule> = BTreeMap::new();
    for job in &jobs {
        if let Entry::Vacant(unknown) = schedules.entry(job.schedule) {
            unknown.insert(store.schedule_by_number(job.schedule).await?);
        }
    }
    let of = |job: &Job| schedules.get(&job.schedule);
    if json {
        let documents: Vec<Value> = jobs.iter().map(|job| job_json(job, of(job))).collect();
        return Ok(output::json(&documents)?);
    }
    if jobs.is_empty() {
        output::note("nothing was due yet");
        return Ok(());
    }
    let rows = jobs.iter().map(|job| {
        let timing = of(job).map(|schedule| &schedule.settings.timing);
        let due = timing.map_or_else(String::new, |timing| timing::show(timing, job.due_ms));
        let missed = if job.missed > 0 { format!("+{}", job.missed) } else { String::new() };
        let name = of(job).map(|schedule| schedule.settings.name.clone()).unwrap_or_default();
        let why = job.why.clone().unwrap_or_default();
        [due, missed, name, job.state.as_str().to_owned(), what(job, of(job)), why]
    });
    let columns = ["due", "missed before", "schedule", "state", "run", "why"];
    Ok(table::print_with_texts(columns, &[1], rows.collect())?)
}

/// When a schedule is due, in words.
fn when(timing: &Timing) -> String {
    match timing {
        Timing::EveryMs(ms) => {
            let seconds = ms / 1000;
            let parts = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
            let mut left = seconds;
            let mut text = String::from("every ");
            for (unit, name) in parts {
                if left >= unit {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "{}{name}", left / unit);
                    left %= unit;
                }
            }
            text
        }
        Timing::Cron { pattern, zone } => format!("{pattern} ({zone})"),
        Timing::AtMs(_) => "once".to_owned(),
    }
}

fn next_ms(schedule: &Schedule) -> Result<Option<i64>, TimingError> {
    if schedule.paused {
        return Ok(None);
    }
    // A due time that was not recorded yet is due now.
    timing::next(&schedule.settings.timing, schedule.settings.created_ms, schedule.seen_ms)
}

fn next(schedule: &Schedule) -> String {
    match next_ms(schedule) {
        _ if schedule.paused => "paused".to_owned(),
        Ok(Some(at_ms)) => timing::show(&schedule.settings.timing, at_ms),
        Ok(None) => "never".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn as_json(schedule: &Schedule, last: Option<&Job>) -> Value {
    let settings = &schedule.settings;
    let (agent, arguments, collection) = match &settings.work {
        Work::Run { agent, arguments, .. } => {
            (Some(agent), Some(arguments.always.iter().chain(&arguments.first).collect::<Vec<_>>()), None)
        }
        Work::CollectLogs(collection) => (None, None, Some(collection)),
    };
    json!({
        "schedule": settings.name,
        "agent": agent,
        "arguments": arguments,
        "gc": collection,
        "when": settings.timing,
        "missed": settings.missed,
        "overlap": settings.overlap,
        "created_ms": settings.created_ms,
        "paused": schedule.paused,
        "next_due_ms": next_ms(schedule).ok().flatten(),
        "last": last.map(|job| of_schedule(job, Some(schedule))),
    })
}

/// The run of a due time, or what happens there instead.
pub fn what(job: &Job, schedule: Option<&Schedule>) -> String {
    if collects(schedule) { "log gc".to_owned() } else { job.run.to_string() }
}

fn collects(schedule: Option<&Schedule>) -> bool {
    schedule.is_some_and(|schedule| matches!(schedule.settings.work, Work::CollectLogs(_)))
}

/// A due time as JSON, with the name of its schedule.
pub fn job_json(job: &Job, schedule: Option<&Schedule>) -> Value {
    let mut document = of_schedule(job, schedule);
    if let Some(schedule) = schedule {
        document["schedule"] = schedule.settings.name.clone().into();
    }
    document
}

fn of_schedule(job: &Job, schedule: Option<&Schedule>) -> Value {
    json!({
        "due_ms": job.due_ms,
        "missed_before": job.missed,
        "state": job.state,
        "run": (!collects(schedule)).then_some(&job.run),
        "recorded_ms": job.recorded_ms,
        "started_ms": job.started_ms,
        "ended_ms": job.ended_ms,
        "starts": job.starts,
        "why": job.why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_interval_is_shown_as_it_is_written() {
        for (seconds, text) in [(90, "every 1m30s"), (21_600, "every 6h"), (90_061, "every 1d1h1m1s")] {
            assert_eq!(when(&timing::every(Duration::from_secs(seconds)).unwrap()), text);
        }
    }

    #[test]
    fn a_schedule_is_named_after_its_agent() {
        assert_eq!(name_of(Path::new("/a/web/shop.toml")), "shop");
        assert_eq!(name_of(Path::new("/a/crafter/agent.toml")), "crafter");
        assert_eq!(name_of(Path::new("crafter")), "crafter");
        assert!(
            check_name("two words").is_err() && check_name("--x").is_err() && check_name("ä-1.b").is_ok()
        );
    }
}
