//! The worker process of a crash replay: runs the driver on recorded answers, and is killed.

use super::{TENANT, stage};
use crate::args::SimulateCrash;
use crate::environments;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::session::RunContext;
use anyhow::Result;
use sojourn_controller::{Cancel, RecordedController};
use sojourn_core::{
    ControlRecord, Driver, DriverDeps, Journal, Outcome, RecordedRun, Redactor, ReplayPosition, RunMemory,
    Silent,
};
use sojourn_memory::{EventSeq, Memories, NewRun, RecordQuery, Tenant};
use sojourn_skills::Library;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Starts or resumes the run in the home `scratch`, and kills this process after the record `--at`.
pub async fn work(home: &Home, args: &SimulateCrash, scratch: &Path) -> Result<ExitCode> {
    crate::supervisor::follow_supervisor();
    let original = RunContext::open(home.clone(), home.store().await?).await?;
    let info = original.store.run(&args.run).await?;
    let source = original.store.records(&info.id, &RecordQuery::all()).await?;
    let started = original.started(&info, source.first()).await?;
    let recorded = RecordedRun::read(&original.store, &source, &started.environment).await?;

    let scratch = stage::home(home, scratch)?;
    let store = scratch.store().await?;
    let resumed = store.run(info.id.as_str()).await.is_ok();
    let (records, writer) = if resumed {
        let writer = store.resume_run(&info.id).await?;
        (store.records(&info.id, &RecordQuery::all()).await?, writer)
    } else {
        let new = NewRun {
            created_ms: info.created_ms,
            ..NewRun::new(info.id.clone(), &info.environment, &info.model)
        };
        (Vec::new(), store.create_run(new).await?)
    };
    let position = ReplayPosition::after(&records)?;
    let controller = RecordedController::new(started.model.clone(), recorded.answers(position));
    let memory =
        RunMemory::new(Memories::new(store.clone()), Tenant::new(TENANT)?, info.environment.clone(), None)
            .with_recorded(recorded.recalled(position));
    let mut journal = Journal::new(store.clone(), records, Some(writer))
        .with_clock(recorded.clock(args.until))
        .with_trials_of(&recorded);
    let index = journal.record_index();
    let tools = started.config.tools.is_some().then(|| recorded.tools(position, &index));
    if resumed {
        // As every resume does.
        journal = journal.trusting_trials().with_pending_control(ControlRecord::resumed());
    }
    if let Some(seq) = args.at.first().filter(|seq| **seq > 0) {
        journal = journal.crashing(EventSeq(*seq), die);
    }
    // A library that holds older skills cannot be rebuilt from this run alone.
    let fresh = started.library.histories().next().is_none();
    let library = if fresh { Some(scratch.library().await?) } else { None };
    let deps = DriverDeps {
        environment: if started.environment.deterministic {
            environments::of_log(home.environments(), &started.environment)
        } else {
            recorded.world(position, &index)
        },
        controller: Arc::new(controller),
        sandbox: original.sandbox.clone(),
        journal,
        memory: started.config.memory.then_some(memory),
        library,
        tools,
        observer: Arc::new(Silent),
        cancel: Cancel::new(),
        redactor: Redactor::default(),
    };
    let (driver, started_ms) = Driver::new(started, deps).await?;
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

/// Kills this process with SIGKILL, like `kill -9`.
fn die() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}
