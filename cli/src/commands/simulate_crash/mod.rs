use crate::args::SimulateCrash;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::session::Workshop;
use crate::{environments, logbook, output};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sojourn_controller::{Cancel, RecordedController, Recording};
use sojourn_core::{
    Clock, Driver, Effect, Event, Interjection, Journal, Outcome, Outside, Recollection, Redactor, Silent,
};
use sojourn_memory::{EventSeq, Memories, NewRun, Record, RecordQuery, RunId, RunInfo, Tenant};
use sojourn_skills::Library;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// The signal that nothing can catch.
const SIGKILL: i32 = 9;
/// Whose memories the life that is lived again makes.
const TENANT: &str = "relived";

/// Lives a run again in a home that is thrown away, killing its process at records and taking it up again.
pub async fn simulate_crash(home: Home, args: SimulateCrash) -> Result<ExitCode> {
    if let Some(scratch) = &args.relive {
        return relive(&home, &args, scratch).await;
    }
    let store = home.store().await?;
    let info = logbook::find_run(&store, &args.run).await?;
    let source = store.records(&info.id, &RecordQuery::all()).await?;
    if let Some(record) = source.iter().find(|record| Interjection::is_kind(&record.kind)) {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "run `{}` was resumed, forked or given tools at record {}: it cannot be lived again",
                info.id, record.seq
            ),
        )
        .hint("choose a run that went through in one piece")
        .into());
    }
    if environments::built_in(&info.environment).is_none() {
        return Err(Failure::new(
            Kind::Usage,
            format!("`{}` is no part of this program: a run in it cannot be lived again", info.environment),
        )
        .hint("kill the run itself, and resume it")
        .into());
    }
    let last = info.last_seq.0;
    let mut places: Vec<u64> = args.at.clone();
    if let Some(every) = args.every {
        places.extend((every..=last).step_by(usize::try_from(every).unwrap_or(usize::MAX)));
    }
    places.sort_unstable();
    places.dedup();
    if let Some(beyond) = places.iter().find(|place| **place == 0 || **place > last) {
        return Err(Failure::new(
            Kind::NotFound,
            format!("run `{}` has no record {beyond}: its records are 1 to {last}", info.id),
        )
        .into());
    }
    let scratch = tempfile::tempdir()?;
    for (done, place) in places.iter().enumerate() {
        // Every process before left a record that says that it was taken up.
        let seq = place + done as u64;
        let status = process(&home, &info.id, scratch.path(), Some(seq))?;
        if status != Some(SIGKILL) {
            return Err(Failure::new(
                Kind::Failure,
                format!("the process that was to be killed after record {place} ended by itself before"),
            )
            .into());
        }
        output::note(format!("killed after record {place}, taken up again"));
    }
    process(&home, &info.id, scratch.path(), None)?;
    let verdict = compare(scratch.path(), &info.id, &source, places.len()).await?;
    tell(&info, &places, last, verdict, args.json)
}

/// Compares what was lived with what was recorded; the difference, if there is one.
async fn compare(scratch: &Path, run: &RunId, source: &[Record], crashes: usize) -> Result<Option<String>> {
    let store = Home::at(scratch).store().await?;
    let report = store.verify(run, |_, _| ()).await?;
    if let Some(fault) = report.first_fault {
        return Ok(Some(format!("the log's chain is broken at record {}: {}", fault.seq, fault.detail)));
    }
    let lived = store.records(run, &RecordQuery::all()).await?;
    let taken_up = lived.iter().filter(|record| Interjection::is_kind(&record.kind)).count();
    if taken_up != crashes {
        return Ok(Some(format!("it was killed {crashes} times and taken up {taken_up} times")));
    }
    let (between, lived): (Vec<Record>, Vec<Record>) =
        lived.into_iter().partition(|record| Interjection::is_kind(&record.kind));
    let between: Vec<EventSeq> = between.iter().map(|record| record.seq).collect();
    let mut lived = lived.into_iter().map(|record| without(&between, record));
    for record in source {
        let Some(again) = lived.next() else {
            return Ok(Some(format!("record {} and all after it are lost", record.seq)));
        };
        if (&again.kind, &again.payload, again.at_ms) != (&record.kind, &record.payload, record.at_ms) {
            return Ok(Some(format!("record {} (`{}`) is another one", record.seq, record.kind)));
        }
    }
    if lived.next().is_some() {
        return Ok(Some(format!("it went on after its {} records", source.len())));
    }
    // The same text is remembered once; every text is.
    let mut texts = std::collections::BTreeSet::new();
    for record in source.iter().filter(|record| record.kind == "remember") {
        if let logbook::Body::Effect(effect) = logbook::read(&store, record).await?
            && let Effect::Remember { memory } = *effect
        {
            texts.insert(memory.text);
        }
    }
    let stats = Memories::new(store).stats(&Tenant::new(TENANT)?).await?;
    let remembered: u64 = stats.kinds.values().sum();
    if remembered < texts.len() as u64 {
        return Ok(Some(format!("{} texts were to be remembered, {remembered} are", texts.len())));
    }
    Ok(None)
}

/// The record as it would be if those records were not there: lessons cite others by their places.
fn without(between: &[EventSeq], mut record: Record) -> Record {
    let edits = record.payload.get_mut("edits").and_then(Value::as_array_mut);
    for edit in edits.into_iter().flatten() {
        let sources = edit.get_mut("sources").and_then(Value::as_array_mut);
        for source in sources.into_iter().flatten() {
            if let Some(seq) = source.as_u64() {
                *source = json!(seq - between.iter().filter(|place| place.0 < seq).count() as u64);
            }
        }
    }
    record
}

fn tell(
    info: &RunInfo,
    places: &[u64],
    records: u64,
    verdict: Option<String>,
    as_json: bool,
) -> Result<ExitCode> {
    if as_json {
        output::json(&json!({
            "run": info.id, "records": records, "killed_after": places, "lost": verdict.is_some(), "difference": verdict,
        }))?;
    }
    match verdict {
        None => {
            if !as_json {
                output::line(format!(
                    "killed {} times, taken up again each time: all {records} records are as they were",
                    places.len()
                ))?;
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
fn process(home: &Home, run: &RunId, scratch: &Path, crash_at: Option<u64>) -> Result<Option<i32>> {
    use std::os::unix::process::ExitStatusExt as _;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--home").arg(home.path()).args(["simulate-crash", run.as_str(), "--relive"]).arg(scratch);
    // Without a place to be killed at it goes on to the end.
    command.args(["--at", &crash_at.unwrap_or(0).to_string()]);
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

/// In a process of its own: lives the run with the answers of its log, and dies where it was asked to.
async fn relive(home: &Home, args: &SimulateCrash, scratch: &Path) -> Result<ExitCode> {
    let original = Workshop::open(home.clone(), home.store().await?).await?;
    let info = original.store.run(&args.run).await?;
    let source = original.store.records(&info.id, &RecordQuery::all()).await?;
    let started = original.started(&info, source.first()).await?;
    let answers = Answers::of(&original, &source).await?;

    let scratch = Home::at(scratch);
    let store = scratch.store().await?;
    let resumed = store.run(info.id.as_str()).await.is_ok();
    let (lived, writer) = if resumed {
        let writer = store.resume_run(&info.id).await?;
        (store.records(&info.id, &RecordQuery::all()).await?, writer)
    } else {
        let new = NewRun {
            created_ms: info.created_ms,
            ..NewRun::new(info.id.clone(), &info.environment, &info.model)
        };
        (Vec::new(), store.create_run(new).await?)
    };
    let count = |kind: &str| lived.iter().filter(|record| record.kind == kind).count();
    let controller =
        RecordedController::new(started.model.clone(), answers.thoughts.into_iter().skip(count("thought")));
    let tenant = Tenant::new(TENANT)?;
    let recollection =
        Recollection::new(Memories::new(store.clone()), tenant, info.environment.clone(), None)
            .answering(answers.recalled.into_iter().skip(count("recalled")));
    let mut journal = Journal::new(store.clone(), lived, Some(writer))
        .with_clock(Clock::Recorded(source.iter().map(|record| record.at_ms).collect()));
    if resumed {
        // As every resume does.
        journal = journal.trusting_practice().announcing(Interjection::Resumed { budgets: None });
    }
    if let Some(seq) = args.at.first().filter(|seq| **seq > 0) {
        journal = journal.crashing(EventSeq(*seq), die);
    }
    // A library that holds older skills cannot be made again from this run alone.
    let fresh = started.library.histories().next().is_none();
    let library = if fresh { Some(scratch.library().await?) } else { None };
    let outside = Outside {
        environment: environments::of_log(&started.environment),
        controller: Arc::new(controller),
        sandbox: original.sandbox.clone(),
        journal,
        recollection: started.config.memory.then_some(recollection),
        library,
        tools: None,
        observer: Arc::new(Silent),
        cancel: Cancel::new(),
        redactor: Redactor::default(),
    };
    let (driver, started_ms) = Driver::new(started, outside).await?;
    let (outcome, core) = driver.run(started_ms).await?;
    if !matches!(outcome, Outcome::Finished(_)) {
        tracing::info!(?outcome, "the recorded answers are used up");
    }
    if fresh {
        let kept: Library = scratch.library().await?;
        if kept.state() != core.library() {
            return Err(Failure::new(Kind::Failure, "the skill library is not what the log says").into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends this process at once, as `kill -9` does.
fn die() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

/// What came from outside in a recorded run, in order.
struct Answers {
    thoughts: Vec<Recording>,
    recalled: Vec<Vec<sojourn_core::Recalled>>,
}

impl Answers {
    async fn of(workshop: &Workshop, records: &[Record]) -> Result<Self> {
        let mut answers = Self { thoughts: Vec::new(), recalled: Vec::new() };
        let mut request = String::new();
        for record in records {
            match record.kind.as_str() {
                "think" | "thought" | "recalled" => {}
                "thought_failed" => {
                    return Err(Failure::new(
                        Kind::Usage,
                        format!(
                            "the controller failed at record {}: such a run cannot be lived again yet",
                            record.seq
                        ),
                    )
                    .into());
                }
                _ => continue,
            }
            match logbook::read(&workshop.store, record).await? {
                logbook::Body::Effect(effect) => {
                    if let Effect::Think { request: asked, .. } = *effect {
                        request = asked.digest();
                    }
                }
                logbook::Body::Event(event) => match *event {
                    Event::Thought { reply } => {
                        answers.thoughts.push(Recording { request: std::mem::take(&mut request), reply });
                    }
                    Event::Recalled { memories, .. } => answers.recalled.push(memories),
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(answers)
    }
}
