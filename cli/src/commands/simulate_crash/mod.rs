//! `sojourn simulate-crash`: replays a run, kills its process at records, and resumes it.

mod compare;
mod stage;
mod worker;

use crate::args::SimulateCrash;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::session::RunContext;
use crate::{logbook, output};
use anyhow::Result;
use serde_json::json;
use sojourn_core::{Effect, FinishReason, LogRecord, RecordKind, RecordedRun};
use sojourn_memory::{EventSeq, Record, RecordQuery, RunInfo};
use stage::Stage;
use std::process::ExitCode;

/// The signal that nothing can catch.
const SIGKILL: i32 = 9;
/// The tenant of the replay's memories.
const TENANT: &str = "crash-replay";

/// A kill and its expected result.
struct Kill {
    /// The record after which the process dies.
    after: u64,
    /// The index of the record from which on the resumed run must differ: it says that the effect of a call is unknown.
    /// `None` where the resumed run must equal the recorded one.
    divergence: Option<usize>,
}

/// Replays a run in a temporary home, kills its process at records, resumes it, and compares the results.
pub async fn simulate_crash(home: Home, args: SimulateCrash) -> Result<ExitCode> {
    if let Some(scratch) = &args.worker_home {
        return Box::pin(worker::work(&home, &args, scratch)).await;
    }
    let original = RunContext::open(home.clone(), home.store().await?).await?;
    let info = logbook::find_run(&original.store, &args.run).await?;
    let source = original.store.records(&info.id, &RecordQuery::all()).await?;
    let from_outside = [RecordKind::Resumed, RecordKind::Forked, RecordKind::GoalAdded];
    if let Some(record) = source.iter().find(|record| from_outside.iter().any(|kind| kind.is(record))) {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "run `{}` was resumed, forked or given a goal at record {}: it cannot be replayed with crashes",
                info.id, record.seq
            ),
        )
        .hint("choose a run that nobody resumed, forked or gave a goal")
        .into());
    }
    let kills = records_to_kill_after(&original, &info, &source, &args).await?;
    let started = original.started(&info, source.first()).await?;
    if started.environment.deterministic && home.environments().in_process(&info.environment).is_none() {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "the environment `{}` is not built in, and its log does not answer for it: the run cannot be replayed with crashes",
                info.environment
            ),
        )
        .hint("kill the run itself, and resume it")
        .into());
    }
    let recorded = RecordedRun::read(&original.store, &source, &started.environment).await?;
    let kills: Vec<Kill> = kills
        .into_iter()
        .map(|after| Kill { after, divergence: recorded.differs_from(EventSeq(after)) })
        .collect();

    let mut stage = Stage::create(&home, &info.id).await?;
    let verdict = replay(&mut stage, &info, &source, &kills).await;
    stage.remove().await;
    tell(&info, &kills, verdict?, args.json)
}

/// Kills and resumes the run. Returns the first difference.
async fn replay(
    stage: &mut Stage,
    info: &RunInfo,
    source: &[Record],
    kills: &[Kill],
) -> Result<Option<String>> {
    // Every earlier resume left a record.
    let mut resumes = 0;
    for kill in kills {
        let Kill { after, divergence } = kill;
        if let Some(divergence) = divergence {
            // The resumed run differs, so it continues elsewhere.
            let (mut aside, earlier) = stage.aside(resumes).await?;
            let verdict = diverging(&mut aside, info, source, (*after, earlier), *divergence).await;
            aside.remove().await;
            if let Some(difference) = verdict? {
                return Ok(Some(format!("killed after record {after}, {difference}")));
            }
            output::note(format!(
                "killed after record {after}, during a call that must not be repeated: the agent learned that its effect \
                 is unknown"
            ));
        } else {
            killed(stage, after + resumes, *after).await?;
            output::note(format!("killed after record {after}, resumed"));
            resumes += 1;
        }
    }
    stage.process(None, None).await?;
    let crashes = kills.iter().filter(|kill| kill.divergence.is_none()).count();
    compare::whole(stage.store().await?, &info.id, source, crashes).await
}

/// Kills the run within a call that must not be repeated, and resumes it until it has learned of that.
async fn diverging(
    aside: &mut Stage,
    info: &RunInfo,
    source: &[Record],
    (after, resumes): (u64, u64),
    divergence: usize,
) -> Result<Option<String>> {
    killed(aside, after + resumes, after).await?;
    aside.process(None, Some(divergence)).await?;
    compare::diverging(&aside.store().await?, &info.id, source, divergence).await
}

/// The records after which the process is killed, sorted.
async fn records_to_kill_after(
    context: &RunContext,
    info: &RunInfo,
    source: &[Record],
    args: &SimulateCrash,
) -> Result<Vec<u64>> {
    let last = info.last_seq.0;
    if let Some(beyond) = args.at.iter().find(|seq| **seq == 0 || **seq > last) {
        return Err(Failure::new(
            Kind::NotFound,
            format!("run `{}` has no record {beyond}: its records are 1 to {last}", info.id),
        )
        .into());
    }
    let given_up = given_up(context, source).await?;
    let resumable = |seq: &u64| given_up.is_none_or(|from| *seq < from);
    if let (Some(seq), Some(from)) = (args.at.iter().find(|seq| !resumable(seq)), given_up) {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "run `{}` ended because its controller failed from record {from} on: resumed after record {seq} it counts \
                 the failures from 0 and does not end",
                info.id
            ),
        )
        .hint(format!("choose records before {from}"))
        .into());
    }
    let mut seqs = args.at.clone();
    if let Some(every) = args.every {
        let step = usize::try_from(every).unwrap_or(usize::MAX);
        seqs.extend((every..=last).step_by(step).take_while(resumable));
    }
    seqs.sort_unstable();
    seqs.dedup();
    Ok(seqs)
}

/// The request with the first of the failures that ended the run; `None` where it ended otherwise.
async fn given_up(context: &RunContext, source: &[Record]) -> Result<Option<u64>> {
    let Some(finish) = source.last().filter(|record| RecordKind::Finish.is(record)) else { return Ok(None) };
    let Some(LogRecord::Effect(effect)) = LogRecord::read(&context.store, finish).await? else {
        return Ok(None);
    };
    if !matches!(*effect, Effect::Finish { reason: FinishReason::Controller { .. } }) {
        return Ok(None);
    }
    let answered = source.iter().rfind(|record| RecordKind::ControllerAnswered.is(record));
    let answered = answered.map_or(EventSeq(0), |record| record.seq);
    let mut failures =
        source.iter().filter(|record| RecordKind::ControllerFailed.is(record) && record.seq > answered);
    let first = failures.next().map(|record| record.seq);
    let asked =
        source.iter().rfind(|record| RecordKind::AskController.is(record) && Some(record.seq) < first);
    Ok(asked.map(|record| record.seq.0))
}

/// Runs a worker until it is killed after its record `seq`, which is `after` in the recorded run.
async fn killed(stage: &mut Stage, seq: u64, after: u64) -> Result<()> {
    if stage.process(Some(seq), None).await? == Some(SIGKILL) {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Failure,
        format!("the process that should be killed after record {after} ended by itself before"),
    )
    .into())
}

fn tell(info: &RunInfo, kills: &[Kill], verdict: Option<String>, as_json: bool) -> Result<ExitCode> {
    let records = info.last_seq.0;
    let killed: Vec<u64> = kills.iter().map(|kill| kill.after).collect();
    let unknown: Vec<u64> =
        kills.iter().filter(|kill| kill.divergence.is_some()).map(|kill| kill.after).collect();
    if as_json {
        output::json(&json!({
            "run": info.id, "records": records, "killed_after": killed, "unknown_after": unknown,
            "lost": verdict.is_some(), "difference": verdict,
        }))?;
    }
    match verdict {
        None => {
            if !as_json {
                output::line(format!(
                    "killed {} times, resumed each time: all {records} records are as they were",
                    killed.len() - unknown.len()
                ))?;
                if !unknown.is_empty() {
                    output::line(format!(
                        "killed {} times more, each during a call that must not be repeated: all records before it are as \
                         they were, and then the agent learned that the effect of the call is unknown",
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
            format!("the resumed run differs from the recorded one: {difference}"),
        )
        .into()),
    }
}
