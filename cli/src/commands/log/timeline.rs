use crate::args::{Log, LogOutcome};
use crate::error::Failure;
use crate::logbook::{self, CallOutcome, Reading, RunClock, Scope, Teller};
use crate::{duration, output};
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_core::{LogRecord, RecordKind};
use sojourn_memory::{EventSeq, Record, RecordQuery, RunStatus, Store};
use std::time::Duration;

/// The column at which the text of a line begins.
const TEXT: usize = 39;

/// The interval at which `--follow` looks for new records.
const LOOK: Duration = Duration::from_millis(200);

/// Prints a line for each selected record.
pub async fn timeline(store: &Store, run: &str, args: &Log) -> Result<()> {
    let info = logbook::find_run(store, run).await?;
    if let Some(unknown) = args.kinds.iter().find(|kind| kind.parse::<RecordKind>().is_err()) {
        let kinds = || RecordKind::ALL.iter().map(|kind| kind.as_str());
        return Err(Failure::unknown("kind of record", unknown, kinds())
            .hint(format!("kinds are: {}", kinds().collect::<Vec<_>>().join(", ")))
            .into());
    }
    // Only a reader of all records knows which belong to a task or a skill.
    let selective = args.task.is_some() || args.skill.is_some();
    // What a line says may rest on records before it.
    let telling = !args.json || args.errors || args.outcome.is_some();
    let told = || Teller::TELLING.map(RecordKind::as_str);
    let mut teller = Teller::default();
    let mut query = if selective {
        RecordQuery::all()
    } else {
        if telling && args.from > 1 {
            let before = RecordQuery::all().to(EventSeq(args.from - 1)).kinds(told());
            let mut reading = Reading::new(store, &info, before).await?;
            while let Some((_, read)) = reading.next_of_any_content().await? {
                teller.enter(read.ok().flatten().as_ref());
            }
        }
        let mut kinds = args.kinds.clone();
        if telling && !kinds.is_empty() {
            kinds.extend(told().map(str::to_owned));
        }
        RecordQuery::from(EventSeq(args.from)).kinds(kinds)
    };
    query.to = args.to.map(EventSeq);
    let mut reading = Reading::new(store, &info, query).await?;
    let mut scope = Scope::default();
    let (mut tasks, mut tools) = (Vec::new(), Vec::new());
    let mut shown = 0_u64;
    loop {
        let mut times = RunClock::of_any(store, &store.run(info.id.as_str()).await?).await;
        // Checked before reading, so that records written before the run ended are still shown.
        let last_look = !args.follow || over(store, &info.id).await?;
        while let Some((record, read)) = reading.next_of_any_content().await? {
            // One record that cannot be read does not hide the others.
            let (content, unreadable) = match read {
                Ok(content) => (content, None),
                Err(error) => (None, Some(error)),
            };
            times.enter(record.seq.0, record.at_ms, content.as_ref());
            scope.enter(content.as_ref());
            if let Some(LogRecord::Started(started)) = &content {
                tasks = started.environment.tasks.iter().map(|task| task.name.clone()).collect();
                tools = started.environment.tools.iter().map(|tool| tool.name.clone()).collect();
            }
            teller.enter(content.as_ref());
            let wanted = record.seq.0 >= args.from
                && (args.kinds.is_empty() || args.kinds.contains(&record.kind))
                && args.task.as_deref().is_none_or(|task| scope.in_task(task))
                && args.skill.as_deref().is_none_or(|skill| scope.in_skill(skill))
                && (!args.errors
                    || unreadable.is_some()
                    || content.as_ref().is_some_and(|record| teller.is_error(record)))
                && (!args.deaths || content.as_ref().is_some_and(Teller::is_death))
                && args.outcome.is_none_or(|wanted| {
                    content.as_ref().and_then(|record| teller.outcome(record)) == Some(outcome(wanted))
                });
            if !wanted {
                continue;
            }
            shown += 1;
            if args.json {
                let payload = match unreadable {
                    Some(_) => record.payload.clone(),
                    None => logbook::whole(store, &record).await?,
                };
                output::json_line(&as_json(&record, &payload))?;
            } else {
                let clock = duration::clock(times.at(record.seq.0, record.at_ms));
                let summary = match &unreadable {
                    Some(error) => error.to_string(),
                    None => teller.line(content.as_ref()),
                };
                let line = format!("{:>6}  {clock}  {:<19}  {summary}", record.seq.to_string(), record.kind);
                output::folding_line(&line, TEXT)?;
            }
        }
        if last_look {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    if shown == 0 {
        check_name("task", args.task.as_deref(), tasks.iter().map(String::as_str))?;
        let tools = tools.iter().map(String::as_str);
        check_name("skill", args.skill.as_deref(), scope.skills().chain(tools))?;
    }
    if shown == 0 && !args.json {
        output::note("no record of this run matches");
    }
    Ok(())
}

fn outcome(asked: LogOutcome) -> CallOutcome {
    match asked {
        LogOutcome::Done => CallOutcome::Done,
        LogOutcome::Failed => CallOutcome::Failed,
        LogOutcome::Died => CallOutcome::Died,
    }
}

/// Refuses a name that nothing in the run has.
fn check_name<'a>(
    what: &str,
    asked: Option<&str>,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<()> {
    match asked {
        Some(asked) if known.clone().all(|name| name != asked) => {
            Err(Failure::unknown(what, asked, known).hint("no record of this run has that name").into())
        }
        _ => Ok(()),
    }
}

/// Whether no more records will be written.
async fn over(store: &Store, run: &sojourn_memory::RunId) -> Result<bool> {
    let info = store.run(run.as_str()).await?;
    Ok(info.status != RunStatus::Running || !store.is_live(run).await?)
}

/// A record as one JSON document.
pub fn as_json(record: &Record, payload: &Value) -> Value {
    json!({
        "run": record.run,
        "seq": record.seq,
        "at_ms": record.at_ms,
        "kind": record.kind,
        "payload": payload,
        "prev_hash": record.prev_hash.to_string(),
        "hash": record.hash.to_string(),
    })
}
