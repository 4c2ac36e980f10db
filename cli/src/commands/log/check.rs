use super::heads;
use crate::error::{Failure, Kind};
use crate::logbook::{self, RunClock};
use crate::{duration, output};
use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sojourn_core::ForkChanges;
use sojourn_memory::{
    EventSeq, Fault, FaultKind, Head, NewRun, Record, RecordQuery, RunId, RunInfo, RunStatus, Store,
    VerifyReport,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// `log verify`: checks one run, or all, and that the records of the heads in `heads` are there.
pub async fn verify(store: &Store, run: Option<&str>, heads: &[PathBuf], json: bool) -> Result<ExitCode> {
    let known = heads::read(heads)?;
    let runs: Vec<RunId> = match run {
        Some(run) => vec![logbook::find_run(store, run).await?.id],
        None => store.runs().await?.into_iter().map(|run| run.id).collect(),
    };
    let mut gone: BTreeSet<RunId> = BTreeSet::new();
    if run.is_none() {
        gone.extend(store.vanished_runs().await?);
        gone.extend(known.iter().map(|head| head.run.clone()).filter(|run| !runs.contains(run)));
    }
    let mut reports = Vec::new();
    let begun = Instant::now();
    for run in &runs {
        reports.push(checked_against(store, run, &known).await?);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let bytes: u64 = reports.iter().map(|report| report.bytes).sum();
    let forgotten: u64 = reports.iter().map(|report| report.forgotten).sum();
    let broken = reports.iter().filter(|report| !report.is_intact()).count();
    let intact = broken == 0 && gone.is_empty();
    if json {
        output::json(&json!({
            "intact": intact,
            "bytes": bytes,
            "forgotten": forgotten,
            "seconds": seconds,
            "runs": reports,
            "gone": gone,
        }))?;
    } else {
        for report in &reports {
            output::line(verdict(report))?;
        }
        for run in &gone {
            output::line(format!("{run}  GONE: a head names it, and the database has no such run"))?;
        }
        let lost = if forgotten == 0 { String::new() } else { format!("; {forgotten} forgotten") };
        output::line(format!(
            "{} of {} runs intact{lost}; {} read in {}",
            runs.len() - broken,
            runs.len() + gone.len(),
            output::bytes(bytes),
            duration::show(Duration::from_secs_f64(seconds)),
        ))?;
    }
    if intact {
        return Ok(ExitCode::SUCCESS);
    }
    if !json && broken > 0 {
        output::note("hint: `sojourn log recover RUN` saves what is intact of a damaged run");
    }
    Ok(ExitCode::from(Kind::Failure as u8))
}

/// Verifies a run behind a progress bar.
pub async fn checked(store: &Store, run: &RunId) -> Result<VerifyReport> {
    checked_against(store, run, &[]).await
}

async fn checked_against(store: &Store, run: &RunId, known: &[Head]) -> Result<VerifyReport> {
    let bar = if output::is_watched() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} records") {
        bar.set_style(style);
    }
    bar.set_message(run.to_string());
    let report = store.verify_against(run, known, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    let report = report.await;
    bar.finish_and_clear();
    Ok(report?)
}

/// The verdict on a run in one line. Forgotten content is always counted, because it cannot be checked.
fn verdict(report: &VerifyReport) -> String {
    let VerifyReport { run, records, blobs, forgotten, known_to, first_fault, .. } = report;
    let forgotten = match forgotten {
        0 => String::new(),
        count => format!("; the content of {count} of them was forgotten and cannot be checked"),
    };
    let end = match known_to {
        Some(_) => "",
        None => "; no head is kept elsewhere, so records missing at the end would not show",
    };
    match first_fault {
        None => format!("{run}  intact: {records} records, {blobs} blobs{forgotten}{end}"),
        Some(Fault { kind: FaultKind::Cut, detail, .. }) => {
            format!("{run}  CUT OFF: {detail}; {records} records before are intact{forgotten}")
        }
        Some(Fault { seq, detail, .. }) => {
            format!(
                "{run}  DAMAGED at record {seq}: {detail}; {records} records before it are intact{forgotten}"
            )
        }
    }
}

/// The result of a recovery.
struct Recovery {
    fault: Fault,
    /// The last record that is intact.
    intact: EventSeq,
    /// Number of records according to the run's row.
    all: u64,
    /// The run with the intact records.
    saved: RunId,
}

/// `log recover`: makes a run from the intact beginning of a damaged one.
pub async fn recover(store: &Store, run: &str, into: Option<&Path>, as_json: bool) -> Result<()> {
    let info = logbook::find_run(store, run).await?;
    let report = checked(store, &info.id).await?;
    let Some(fault) = report.first_fault else {
        let run = &info.id;
        return if as_json {
            Ok(output::json(&json!({"run": run, "intact": true, "records": report.records}))?)
        } else {
            Ok(output::line(format!("run {run} is intact: there is nothing to recover"))?)
        };
    };
    let intact = EventSeq(report.records);
    if intact == EventSeq(0) {
        return Err(Failure::new(
            Kind::Failure,
            format!("nothing of run `{}` can be saved: {}", info.id, fault.detail),
        )
        .into());
    }
    let saved = match into {
        Some(home) => copy(store, &info, intact, home).await?,
        None => fork(store, &info, intact).await?,
    };
    let recovery = Recovery { fault, intact, all: info.last_seq.0.max(intact.0), saved };
    let lost = recovery.lost(store, &info).await;
    if as_json {
        return Ok(output::json(&recovery.as_json(&info, &lost))?);
    }
    let cut = recovery.fault.kind == FaultKind::Cut;
    let Fault { seq, detail, .. } = &recovery.fault;
    output::line(if cut {
        format!("records are missing at the end: {detail}")
    } else {
        format!("record {seq} is damaged: {detail}")
    })?;
    output::line(format!("saved: records 1 to {intact}, as run {}", recovery.saved))?;
    if lost.is_empty() && cut {
        output::line("not saved: the missing records, which are not in this home")?;
    } else if lost.is_empty() {
        output::line("not saved: nothing; only the run's own row was wrong")?;
    } else {
        // `lost` may list fewer.
        let count = recovery.all.saturating_sub(intact.0);
        output::line(format!("not saved: {count} records, which stay in run {} as they are:", info.id))?;
        for line in lost.iter().take(20) {
            output::line(format!("  {line}"))?;
        }
        if count > 20 {
            output::line(format!("  … and {} more", count - 20))?;
        }
    }
    let resume = format!("continue it with `sojourn run AGENT.TOML --resume {}`", recovery.saved);
    Ok(output::line(if into.is_some() { format!("{resume} in that home") } else { resume })?)
}

/// In the same home the intact beginning becomes a fork, so that skills and memories of the damaged part keep their sources.
async fn fork(store: &Store, info: &RunInfo, intact: EventSeq) -> Result<RunId> {
    let now = sojourn_core::now_ms();
    let id = RunId::new(now, now as u16);
    let new = NewRun {
        created_ms: now,
        title: Some(format!("recovered from {}", info.id)),
        ..NewRun::new(id.clone(), &info.environment, &info.model)
    };
    let changes = ForkChanges::new(id.clone());
    let writer = store.fork_run(&info.id, intact, new, serde_json::to_value(&changes)?).await?;
    writer.close(RunStatus::Paused).await?;
    Ok(id)
}

async fn copy(store: &Store, info: &RunInfo, intact: EventSeq, home: &Path) -> Result<RunId> {
    let target = Store::open(home).await.with_context(|| format!("cannot use `{}`", home.display()))?;
    let mut lines = store.export(&info.id, Some(intact)).await?;
    let mut importer = target.import(sojourn_memory::ImportLimits::NONE)?;
    while let Some(line) = lines.next().await? {
        importer.line(&serde_json::to_string(&line)?).await?;
    }
    let id = importer.finish().await?;
    target.close().await;
    Ok(id)
}

impl Recovery {
    /// A line for each record that was not saved, the first ten thousand: a damaged row may claim any number.
    async fn lost(&self, store: &Store, info: &RunInfo) -> Vec<String> {
        const MOST: u64 = 10_000;
        let times = RunClock::of_any(store, info).await;
        let mut lost = Vec::new();
        for seq in self.intact.next().0..=self.all.min(self.intact.0.saturating_add(MOST)) {
            let query = RecordQuery::from(EventSeq(seq)).to(EventSeq(seq));
            let line = match store.records(&info.id, &query).await.map(|mut records| records.pop()) {
                Ok(Some(Record { kind, at_ms, .. })) => {
                    format!("{seq}  {}  {kind}", duration::clock(times.at(seq, at_ms)))
                }
                Ok(None) => format!("{seq}  gone"),
                Err(error) => format!("{seq}  {error}"),
            };
            lost.push(line);
        }
        lost
    }

    fn as_json(&self, info: &RunInfo, lost: &[String]) -> Value {
        json!({
            "run": info.id,
            "intact": false,
            "fault": self.fault,
            "saved_as": self.saved,
            "saved_to": self.intact,
            "not_saved": lost,
        })
    }
}
