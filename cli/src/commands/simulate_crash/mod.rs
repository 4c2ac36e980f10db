//! `sojourn simulate-crash`: a run lived again, and killed.

mod compare;
mod relive;

use crate::args::SimulateCrash;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::session::Workshop;
use crate::{environments, logbook, output};
use anyhow::{Context as _, Result};
use relive::relive;
use serde_json::json;
use sojourn_core::{Effect, FinishReason, Precedent};
use sojourn_memory::{EventSeq, Record, RecordQuery, RunId, RunInfo};
use std::path::Path;
use std::process::{Command, ExitCode};

/// The signal that nothing can catch.
const SIGKILL: i32 = 9;
/// Whose memories the life that is lived again makes.
const TENANT: &str = "relived";

/// Where the process is killed, and what must come of it.
struct Kill {
    /// The record after which it dies.
    place: u64,
    /// The place, among the loop's own records, of the one from which on the run must go another way: the first that says
    /// what nobody can know. `None` where it must go on as it was.
    parting: Option<usize>,
}

/// Lives a run again in a home that is thrown away, killing its process at records and taking it up again.
pub async fn simulate_crash(home: Home, args: SimulateCrash) -> Result<ExitCode> {
    if let Some(scratch) = &args.relive {
        return relive(&home, &args, scratch).await;
    }
    let original = Workshop::open(home.clone(), home.store().await?).await?;
    let info = logbook::find_run(&original.store, &args.run).await?;
    let source = original.store.records(&info.id, &RecordQuery::all()).await?;
    if let Some(record) = source.iter().find(|record| ["resumed", "forked"].contains(&record.kind.as_str())) {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "run `{}` was resumed or forked at record {}: it cannot be lived again",
                info.id, record.seq
            ),
        )
        .hint("choose a run that went through in one piece")
        .into());
    }
    let places = places(&original, &info, &source, &args).await?;
    let started = original.started(&info, source.first()).await?;
    if started.environment.deterministic && environments::built_in(&info.environment).is_none() {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "`{}` is no part of this program, and its log does not answer for it: a run in it cannot be lived again",
                info.environment
            ),
        )
        .hint("kill the run itself, and resume it")
        .into());
    }
    let precedent = Precedent::read(&original.store, &source, &started.environment).await?;
    let kills: Vec<Kill> =
        places.into_iter().map(|place| Kill { place, parting: precedent.doubt(EventSeq(place)) }).collect();

    let scratch = tempfile::tempdir()?;
    // Every process before left a record that says that it was taken up.
    let mut taken_up = 0;
    let mut verdict = None;
    for kill in &kills {
        let Kill { place, parting } = kill;
        let seq = place + taken_up;
        if let Some(parting) = parting {
            // A life of its own: from there on it is another.
            let aside = tempfile::tempdir()?;
            copy(scratch.path(), aside.path())?;
            killed(&home, &info.id, aside.path(), seq, *place)?;
            process(&home, &info.id, aside.path(), None, Some(*parting))?;
            verdict = compare::parted(aside.path(), &info.id, &source, *parting).await?;
            if let Some(difference) = &mut verdict {
                difference.insert_str(0, &format!("killed after record {place}, "));
                break;
            }
            output::note(format!(
                "killed after record {place}, within a call that may not be made again: the agent was told that nobody \
                 knows what came of it"
            ));
        } else {
            killed(&home, &info.id, scratch.path(), seq, *place)?;
            output::note(format!("killed after record {place}, taken up again"));
            taken_up += 1;
        }
    }
    if verdict.is_none() {
        process(&home, &info.id, scratch.path(), None, None)?;
        let crashes = kills.iter().filter(|kill| kill.parting.is_none()).count();
        verdict = compare::whole(scratch.path(), &info.id, &source, crashes).await?;
    }
    tell(&info, &kills, verdict, args.json)
}

/// The records to be killed after.
async fn places(
    workshop: &Workshop,
    info: &RunInfo,
    source: &[Record],
    args: &SimulateCrash,
) -> Result<Vec<u64>> {
    let last = info.last_seq.0;
    if let Some(beyond) = args.at.iter().find(|place| **place == 0 || **place > last) {
        return Err(Failure::new(
            Kind::NotFound,
            format!("run `{}` has no record {beyond}: its records are 1 to {last}", info.id),
        )
        .into());
    }
    let given_up = given_up(workshop, source).await?;
    let alike = |place: &u64| given_up.is_none_or(|from| *place < from);
    if let (Some(place), Some(from)) = (args.at.iter().find(|place| !alike(place)), given_up) {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "run `{}` ended with its controller's failures from record {from} on: taken up after record {place} it is \
                 as patient with the controller as at first, and does not end",
                info.id
            ),
        )
        .hint(format!("choose records before {from}"))
        .into());
    }
    let mut places = args.at.clone();
    if let Some(every) = args.every {
        let step = usize::try_from(every).unwrap_or(usize::MAX);
        places.extend((every..=last).step_by(step).take_while(alike));
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

/// The request whose failure was the first of those that made the run give its controller up, if it did.
async fn given_up(workshop: &Workshop, source: &[Record]) -> Result<Option<u64>> {
    let Some(finish) = source.last().filter(|record| record.kind == "finish") else { return Ok(None) };
    let logbook::Body::Effect(effect) = logbook::read(&workshop.store, finish).await? else {
        return Ok(None);
    };
    if !matches!(*effect, Effect::Finish { reason: FinishReason::Controller { .. } }) {
        return Ok(None);
    }
    let answered =
        source.iter().rfind(|record| record.kind == "thought").map_or(EventSeq(0), |record| record.seq);
    let mut failures =
        source.iter().filter(|record| record.kind == "thought_failed" && record.seq > answered);
    let first = failures.next().map(|record| record.seq);
    let asked = source.iter().rfind(|record| record.kind == "think" && Some(record.seq) < first);
    Ok(asked.map(|record| record.seq.0))
}

/// Runs a process that lives the run in `scratch`, and is killed after its record `seq`, which is `place` of the run.
fn killed(home: &Home, run: &RunId, scratch: &Path, seq: u64, place: u64) -> Result<()> {
    if process(home, run, scratch, Some(seq), None)? == Some(SIGKILL) {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Failure,
        format!("the process that was to be killed after record {place} ended by itself before"),
    )
    .into())
}

/// Copies a home whose processes are dead.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn tell(info: &RunInfo, kills: &[Kill], verdict: Option<String>, as_json: bool) -> Result<ExitCode> {
    let records = info.last_seq.0;
    let places: Vec<u64> = kills.iter().map(|kill| kill.place).collect();
    let unknown: Vec<u64> =
        kills.iter().filter(|kill| kill.parting.is_some()).map(|kill| kill.place).collect();
    if as_json {
        output::json(&json!({
            "run": info.id, "records": records, "killed_after": places, "unknown_after": unknown,
            "lost": verdict.is_some(), "difference": verdict,
        }))?;
    }
    match verdict {
        None => {
            if !as_json {
                output::line(format!(
                    "killed {} times, taken up again each time: all {records} records are as they were",
                    places.len() - unknown.len()
                ))?;
                if !unknown.is_empty() {
                    output::line(format!(
                        "killed {} times more, each within a call that may not be made again: until there all records \
                         are as they were, and then the agent was told that nobody knows what came of the call",
                        unknown.len()
                    ))?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(difference) if as_json => {
            tracing::error!(difference);
            Ok(ExitCode::from(Kind::Failure as u8))
        }
        Some(difference) => Err(Failure::new(
            Kind::Failure,
            format!("the run did not go on as it was recorded: {difference}"),
        )
        .into()),
    }
}

/// Runs a process that lives the run in `scratch`; the signal that ended it, if one did.
fn process(
    home: &Home,
    run: &RunId,
    scratch: &Path,
    crash_at: Option<u64>,
    until: Option<usize>,
) -> Result<Option<i32>> {
    use std::os::unix::process::ExitStatusExt as _;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--home").arg(home.path()).args(["simulate-crash", run.as_str(), "--relive"]).arg(scratch);
    // Without a place to be killed at it goes on to the end.
    command.args(["--at", &crash_at.unwrap_or(0).to_string()]);
    if let Some(until) = until {
        command.args(["--until", &until.to_string()]);
    }
    let output = command.output().context("cannot start a process")?;
    if output.status.signal().is_none() && !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(
            Kind::Failure,
            format!("the run could not be lived again: {}", reason.trim()),
        )
        .into());
    }
    Ok(output.status.signal())
}
