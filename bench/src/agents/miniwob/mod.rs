//! `sojourn-bench miniwob`: the share of small tasks on web pages that are done, before practice and after it.

mod report;

use crate::args::Miniwob;
use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use indicatif::ProgressBar;
use report::{Report, Row};
use sojourn_cli::agent_file::AgentFile;
use sojourn_cli::error::{Failure, Kind};
use sojourn_cli::evaluation::{Subject, Tokens, interrupted, mean, standard_error};
use sojourn_cli::home::Home;
use sojourn_cli::output;
use sojourn_cli::run_stats::{Episode, RunStats};
use sojourn_cli::session::{LibraryHandle, stop_on_ctrl_c};
use sojourn_controller::Cancel;
use sojourn_core::{Budgets, Notice, Observer, RunConfig, seeds};
use sojourn_skills::LibraryState;
use sojourn_tools::{Environment, ResidueClass, TaskSpec};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

const ENVIRONMENT: &str = sojourn_miniwob::NAME;

/// A task whose success is measured.
struct Measured {
    name: String,
    episodes: ResidueClass,
}

/// Runs tasks of MiniWoB++ and prints the share that was done.
pub async fn miniwob(home: &Home, args: Miniwob) -> Result<ExitCode> {
    let world = home.environments().open(ENVIRONMENT).await?;
    let tasks = tasks(&args.tasks, &world.spec().tasks)?;
    let seeds = episodes(&args, &tasks)?;
    let cancel = Cancel::new();
    stop_on_ctrl_c(cancel.clone());
    match Box::pin(measure(home, &args, &*world, &tasks, &seeds, cancel)).await? {
        None => Ok(interrupted()),
        Some(report) => {
            if args.json {
                output::json(&report)?;
            } else {
                report.print()?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The tasks to measure: all, or those that a file names, one a line.
fn tasks(asked: &str, documented: &[TaskSpec]) -> Result<Vec<Measured>> {
    let measured =
        |task: &TaskSpec| task.episodes.map(|episodes| Measured { name: task.name.clone(), episodes });
    if asked == "all" {
        return Ok(documented.iter().filter_map(measured).collect());
    }
    let text = std::fs::read_to_string(asked)
        .with_context(|| format!("cannot read the list of tasks `{asked}` (give a file, or `all`)"))?;
    let names = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut chosen = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        let identifier = name.replace('-', "_");
        let known = documented.iter().find(|task| task.name == identifier).and_then(measured);
        let known = known.ok_or_else(|| {
            Failure::unknown("task", name, documented.iter().map(|task| task.name.as_str()))
                .hint(format!("`{asked}` has one task a line, as the package calls it"))
        })?;
        chosen.push(known);
    }
    if chosen.is_empty() {
        return Err(Failure::new(Kind::Usage, format!("`{asked}` names no task")).into());
    }
    Ok(chosen)
}

/// The seeds of the episodes, instance by instance, all below those that learning draws.
fn episodes(args: &Miniwob, tasks: &[Measured]) -> Result<Vec<u64>> {
    let too_far = || {
        Failure::new(Kind::Usage, "these instances are reserved for learning")
            .hint("choose a smaller `--first-seed`")
    };
    let mut seeds = Vec::new();
    for instance in 0..args.seeds {
        for task in tasks {
            let seed = args
                .first_seed
                .checked_add(instance)
                .and_then(|instance| instance.checked_mul(task.episodes.modulus))
                .and_then(|seed| seed.checked_add(task.episodes.remainder))
                // Learning moves a drawn seed down by less than the number of tasks.
                .filter(|seed| *seed < seeds::FIRST_LEARNING_SEED - task.episodes.modulus)
                .ok_or_else(too_far)?;
            seeds.push(seed);
        }
    }
    Ok(seeds)
}

/// Measures an agent; `None` if it was interrupted.
async fn measure(
    home: &Home,
    args: &Miniwob,
    world: &dyn Environment,
    tasks: &[Measured],
    seeds: &[u64],
    cancel: Cancel,
) -> Result<Option<Report>> {
    let mut agent =
        AgentFile::read(home.environments(), args.agent.as_deref().unwrap_or(Path::new(ENVIRONMENT)), &[])?;
    if agent.environment.name() != Some(ENVIRONMENT) {
        return Err(Failure::new(
            Kind::Usage,
            format!("the agent file does not have the environment `{ENVIRONMENT}`"),
        )
        .hint("this benchmark measures MiniWoB++ only")
        .into());
    }
    let reflexes = agent.reflex_sources()?;
    agent.model = args.model.clone().or(agent.model);
    agent.run.memory &= !args.no_memory;
    agent.run.library &= !args.no_library;
    agent.run.deliberate &= !args.no_deliberation;
    agent.run.episode_steps = args.max_steps;
    agent.run.budgets = Budgets::default();
    // Only practice writes, and only then a subject that does not deliberate needs the model.
    agent.run.learning = args.practice_episodes.is_some() || args.practice_minutes.is_some();
    agent.run.tasks = tasks.iter().map(|task| task.name.clone()).collect();
    let (subject, _) = Subject::of(home, agent, reflexes, cancel, tasks.len()).await?;
    let trial = Trial { subject: &subject, world, tasks, seeds, tabs: args.tabs };
    let practises = args.practice_episodes.is_some() || args.practice_minutes.is_some();
    let mut rows = Vec::new();
    let mut practice = None;
    if practises {
        let Some(row) = trial.row("before practice", &LibraryState::default()).await? else {
            return Ok(None);
        };
        rows.push(row);
        let turn = |index: u64| {
            let task = &tasks[usize::try_from(index % tasks.len() as u64).unwrap_or_default()];
            task.episodes.at_or_before(subject.learning_seed(index))
        };
        let episodes = (0..args.practice_episodes.unwrap_or(0)).map(turn).collect();
        let tab = another(world)?;
        let Some((core, learning)) = Box::pin(subject.learn(tab, episodes, args.practice_minutes)).await?
        else {
            return Ok(None);
        };
        practice = Some(learning);
        let Some(row) = trial.row("after practice", core.library()).await? else { return Ok(None) };
        rows.push(row);
    } else {
        let library = match home.read_library().await? {
            Some(library) if !args.no_library => library.state().clone(),
            _ => LibraryState::default(),
        };
        let Some(row) = trial.row("as it is", &library).await? else { return Ok(None) };
        rows.push(row);
    }
    let named =
        [(args.no_library, "library"), (args.no_memory, "memory"), (args.no_deliberation, "deliberation")];
    Ok(Some(Report {
        rows,
        practice,
        tasks: tasks.len(),
        seeds: args.seeds,
        first_seed: args.first_seed,
        max_steps: args.max_steps,
        model: subject.models.controller.model().name.clone(),
        without: named.into_iter().filter(|(left_out, _)| *left_out).map(|(_, name)| name).collect(),
    }))
}

/// Another tab of the same browser.
fn another(world: &dyn Environment) -> Result<Box<dyn Environment>> {
    world.practice().context("the environment has no other tabs")
}

/// The episodes of a measurement.
struct Trial<'a> {
    subject: &'a Subject,
    world: &'a dyn Environment,
    tasks: &'a [Measured],
    seeds: &'a [u64],
    tabs: usize,
}

impl Trial<'_> {
    /// Runs every episode once with the skills of `library`; `None` if it was interrupted.
    async fn row(&self, what: &'static str, library: &LibraryState) -> Result<Option<Row>> {
        let begun = Instant::now();
        let bar = output::is_watched().then(|| ProgressBar::new(self.seeds.len() as u64));
        let tabs = self.tabs.clamp(1, self.seeds.len().max(1));
        // Every tab has the same share of every task.
        let shares = (0..tabs).map(|tab| self.seeds.iter().skip(tab).step_by(tabs).copied().collect());
        let runs = shares.map(|share| self.share(share, library, bar.clone()));
        let runs = try_join_all(runs).await;
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        let mut episodes: Vec<Episode> = Vec::new();
        let mut tokens = Tokens::default();
        for run in runs? {
            let Some((stats, used)) = run else { return Ok(None) };
            episodes.extend(stats.episodes);
            tokens.prompt += used.prompt;
            tokens.generated += used.generated;
        }
        let per_task = rates(&episodes, self.tasks);
        let shares: Vec<f64> = per_task.values().copied().collect();
        let steps: Vec<f64> = episodes.iter().map(|episode| episode.steps as f64).collect();
        Ok(Some(Row {
            what,
            success_percent: mean(&shares),
            success_se: standard_error(&shares),
            per_task,
            episodes: episodes.len(),
            mean_steps: mean(&steps),
            tokens,
            seconds: begun.elapsed().as_secs_f64(),
            library_skills: library.all_active().count(),
        }))
    }

    /// Runs the episodes of one tab.
    async fn share(
        &self,
        seeds: Vec<u64>,
        library: &LibraryState,
        bar: Option<ProgressBar>,
    ) -> Result<Option<(RunStats, Tokens)>> {
        let config = RunConfig { learning: false, episodes: seeds, ..self.subject.config.clone() };
        let counter = Arc::new(Counter { stats: Mutex::default(), bar });
        let tab = another(self.world)?;
        let run = self.subject.run(tab, config, LibraryHandle::InMemory(library.clone()), counter.clone());
        let Some(core) = Box::pin(run).await? else { return Ok(None) };
        let stats = counter.stats.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Some((stats, core.totals().into())))
    }
}

/// Counts episodes.
struct Counter {
    stats: Mutex<RunStats>,
    bar: Option<ProgressBar>,
}

impl Observer for Counter {
    fn notice(&self, notice: &Notice<'_>) {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).note(notice);
        if let (Some(bar), Notice::Episode { .. }) = (&self.bar, notice) {
            bar.inc(1);
        }
    }
}

/// The share of each task's episodes that reached the goal, in percent.
fn rates(episodes: &[Episode], tasks: &[Measured]) -> BTreeMap<String, f64> {
    let rate = |task: &Measured| {
        let own: Vec<f64> = episodes
            .iter()
            .filter(|episode| task.episodes.contains(episode.seed))
            .map(|episode| {
                let done = episode.unlocked.iter().any(|(name, _)| *name == task.name);
                if done { 100.0 } else { 0.0 }
            })
            .collect();
        (task.name.clone(), mean(&own))
    };
    tasks.iter().map(rate).collect()
}
