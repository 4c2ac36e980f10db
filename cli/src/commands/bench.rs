//! `sojourn bench`: how well an agent does with what it has learned, in episodes that learning never sees.

mod report;

use crate::agent_file::AgentFile;
use crate::args::Bench;
use crate::error::{Failure, Kind};
use crate::evaluation::{Subject, controller_failed, fresh_seeds};
use crate::goals::{self, Prepared, Scout};
use crate::home::Home;
use crate::progress::Progress;
use crate::session::{LibraryHandle, drop_soon, stop_on_ctrl_c};
use crate::{approver, logbook, output};
use anyhow::Result;
use report::{Measurement, Report};
use sojourn_controller::Cancel;
use sojourn_core::{Budgets, FinishReason, FrameRate, Outcome, Tools};
use sojourn_skills::LibraryState;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Lives through fresh episodes with the skills of the home, and prints what came of them.
pub async fn bench(home: &Home, args: &Bench) -> Result<ExitCode> {
    let seeds = fresh_seeds(args.first_seed, args.episodes)?;
    let mut agent = AgentFile::read(home.environments(), &args.agent, &args.overrides)?;
    only_measured(&mut agent, args);
    let reflexes = agent.reflex_sources()?;
    agent.environment.check_reachable().await?;
    let environment = agent.open_environment(home.environments()).await?;
    agent.check_actions(environment.as_ref())?;
    let name = environment.spec().name.clone();
    let library = match home.read_library().await? {
        Some(library) if agent.run.library => library.state().of_environment(&name),
        _ => LibraryState::default(),
    };
    let has_skill = library.all_active().any(|entry| !entry.is_reflex());
    if !has_skill && !agent.run.deliberate && agent.run.library {
        let why = format!("no skill was learned in `{name}` yet, and without deliberation nothing else acts");
        return Err(Failure::new(Kind::NotFound, why)
            .hint(format!(
                "`sojourn run {}` learns some; `sojourn skills list` shows where skills were learned",
                args.agent.display()
            ))
            .into());
    }
    remember_goals(&mut agent, &library);
    if agent.goals.iter().all(|goal| goal.condition.is_some()) {
        // What can be done is known from the library: nothing is looked for.
        agent.discover.episodes = 0;
    }
    let cancel = Cancel::new();
    stop_on_ctrl_c(cancel.clone());
    let (mut subject, _) = Subject::of(home, agent.clone(), reflexes, cancel.clone(), 0).await?;
    let progress = Progress::new(0, "");
    let scout = Scout {
        agent: &agent,
        sandbox: subject.context.sandbox.clone(),
        observer: progress.clone(),
        cancel: cancel.clone(),
        seed: agent.run.seed,
    };
    let controller = subject.models.controller.as_ref();
    // What runs in the home found out about the world.
    let store = home.store().await?;
    let Prepared { environment, notes, only } =
        goals::prepare(&scout, environment, &library, &store, controller).await?;
    let redactor = agent.redactor();
    for note in notes {
        progress.say(&redactor.text(&note));
    }
    let mut config = subject.config.clone();
    if config.tasks.is_empty() {
        config.tasks = only;
    }
    AgentFile::check_task_names(&config.tasks, environment.spec())?;
    if let Some(toolbox) = agent.toolbox(None).await? {
        let approver = approver::approver(cancel.clone());
        subject.models.tools = Some(Tools { toolbox: Arc::new(toolbox), approver });
    }
    progress.of(environment.spec().tasks.iter().filter(|task| task.achievement).count());
    config.episodes.clone_from(&seeds);
    let spec = environment.spec().clone();
    let begun = Instant::now();
    let handle = LibraryHandle::InMemory(library.clone());
    let ran = Box::pin(subject.drive(environment, config.clone(), handle, progress.clone())).await;
    progress.finish();
    if let Some(tools) = &subject.models.tools {
        tools.toolbox.close().await;
    }
    let episodes = progress.stats().episodes.clone();
    let report = Report::new(&Measurement {
        spec: &spec,
        config: &config,
        library: &library,
        episodes: &episodes,
        model: &subject.models.controller.model().name,
        tokens: ran.as_ref().map(|(_, core)| core.totals().into()).unwrap_or_default(),
        took: begun.elapsed(),
        interrupted: matches!(ran, Ok((Outcome::Interrupted, _))),
    });
    if args.json {
        output::json(&report)?;
    } else {
        report.print()?;
    }
    let so_far = || format!("{} of {} episodes were measured", report.complete(), seeds.len());
    match ran?.0 {
        Outcome::Interrupted => {
            output::note(format!("interrupted: {}", so_far()));
            drop_soon(subject).await;
            Ok(ExitCode::from(Kind::Interrupted as u8))
        }
        Outcome::Finished(FinishReason::Controller { error }) => Err(controller_failed(&error).into()),
        Outcome::Finished(reason) if report.complete() < seeds.len() => {
            let why = logbook::reason_line(&reason);
            Err(Failure::new(Kind::Failure, format!("{}: {why}", so_far())).into())
        }
        Outcome::Finished(_) | Outcome::Replayed { .. } => Ok(ExitCode::SUCCESS),
    }
}

/// Turns off what is no part of a measurement: learning, budgets, pictures, and memories where no request quotes them.
fn only_measured(agent: &mut AgentFile, args: &Bench) {
    let run = &mut agent.run;
    run.deliberate &= !args.no_deliberation;
    run.learning = false;
    run.memory &= run.deliberate || !run.library;
    run.budgets = Budgets::default();
    run.frames = FrameRate::Off;
    run.stuck = None;
    run.episode_steps = args.steps.unwrap_or(run.episode_steps);
}

/// Gives goals in words the conditions that earlier runs learned them by, so that the same thing is measured and no model is
/// asked what they mean.
fn remember_goals(agent: &mut AgentFile, library: &LibraryState) {
    for goal in agent.goals.iter_mut().filter(|goal| goal.condition.is_none()) {
        let learned = library.active(&goal.task_name());
        goal.condition = learned.and_then(|entry| entry.skill.manifest.postcondition.clone());
    }
}
