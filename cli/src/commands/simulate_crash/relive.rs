//! The process that lives a run again and is killed.

use super::TENANT;
use crate::args::SimulateCrash;
use crate::environments;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::session::Workshop;
use anyhow::Result;
use sojourn_controller::{Cancel, RecordedController};
use sojourn_core::{
    Driver, Interjection, Journal, Lived, Outcome, Outside, Precedent, Recollection, Redactor, Silent,
};
use sojourn_memory::{EventSeq, Memories, NewRun, RecordQuery, Tenant};
use sojourn_skills::Library;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// In a process of its own: lives the run with the answers of its log, and dies where it was asked to.
pub async fn relive(home: &Home, args: &SimulateCrash, scratch: &Path) -> Result<ExitCode> {
    let original = Workshop::open(home.clone(), home.store().await?).await?;
    let info = original.store.run(&args.run).await?;
    let source = original.store.records(&info.id, &RecordQuery::all()).await?;
    let started = original.started(&info, source.first()).await?;
    let precedent = Precedent::read(&original.store, &source, &started.environment).await?;

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
    let at = Lived::of(&lived);
    let controller = RecordedController::new(started.model.clone(), precedent.thoughts(at));
    let tenant = Tenant::new(TENANT)?;
    let recollection =
        Recollection::new(Memories::new(store.clone()), tenant, info.environment.clone(), None)
            .answering(precedent.recalled(at));
    let mut journal = Journal::new(store.clone(), lived, Some(writer))
        .with_clock(precedent.clock(args.until))
        .with_practice(precedent.practised());
    let tools = started.config.tools.is_some().then(|| precedent.tools(at, &journal.place()));
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
        environment: if started.environment.deterministic {
            environments::of_log(&started.environment)
        } else {
            precedent.world(at)
        },
        controller: Arc::new(controller),
        sandbox: original.sandbox.clone(),
        journal,
        recollection: started.config.memory.then_some(recollection),
        library,
        tools,
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
