//! `sojourn bench miniwob`: how many of the small tasks on pages are done, before practice and after it.

use super::statistics::{mean, standard_error};
use super::subject::{Learning, Subject, Tokens, interrupted};
use crate::agent_file::AgentFile;
use crate::args::Miniwob;
use crate::chronicle::{Chronicle, Episode};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::session::{Shelf, stop_on_ctrl_c};
use crate::{duration, environments, output, table};
use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use indicatif::ProgressBar;
use serde::Serialize;
use sojourn_controller::Cancel;
use sojourn_core::{Budgets, Notice, Observer, RunConfig, seeds};
use sojourn_skills::LibraryState;
use sojourn_tools::{Environment, Residue, TaskSpec};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const ENVIRONMENT: &str = environments::miniwob::NAME;

/// A task whose success is measured.
struct Measured {
    name: String,
    episodes: Residue,
}

/// One measurement of an agent.
#[derive(Debug, Serialize)]
struct Row {
    /// "before practice", "after practice", "as it is".
    what: &'static str,
    /// Mean over the tasks of the share of their episodes that reached the goal, in percent.
    success_percent: f64,
    /// Its standard error over the tasks.
    success_se: f64,
    /// Of each task, in percent.
    per_task: BTreeMap<String, f64>,
    episodes: usize,
    mean_steps: f64,
    tokens: Tokens,
    seconds: f64,
    library_skills: usize,
}

/// A benchmark's result.
#[derive(Debug, Serialize)]
struct Report {
    rows: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    practice: Option<Learning>,
    tasks: usize,
    seeds: u64,
    first_seed: u64,
    max_steps: u64,
    /// The controller's model.
    model: String,
    /// What the agent had to do without.
    without: Vec<&'static str>,
}

/// Does tasks of MiniWoB++ and tells how many of them were done.
pub async fn miniwob(home: &Home, args: Miniwob) -> Result<ExitCode> {
    let world = environments::open(ENVIRONMENT).await?;
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
                print(&report)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The tasks that are asked for: all, or those that a file names, one a line.
fn tasks(asked: &str, documented: &[TaskSpec]) -> Result<Vec<Measured>> {
    let measured =
        |task: &TaskSpec| task.episodes.map(|episodes| Measured { name: task.name.clone(), episodes });
    if asked == "all" {
        return Ok(documented.iter().filter_map(measured).collect());
    }
    let text = std::fs::read_to_string(asked)
        .with_context(|| format!("the list of tasks `{asked}` cannot be read (it is a file, or `all`)"))?;
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

/// The seeds of the episodes, instance by instance: below those that learning draws.
fn episodes(args: &Miniwob, tasks: &[Measured]) -> Result<Vec<u64>> {
    let too_far = || {
        Failure::new(Kind::Usage, "these instances are for learning, not for measuring")
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
                // Whatever learning draws is moved down by less than the number of tasks.
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
    let mut agent = AgentFile::read(args.agent.as_deref().unwrap_or(Path::new(ENVIRONMENT)), &[])?;
    if agent.environment.name() != Some(ENVIRONMENT) {
        return Err(Failure::new(Kind::Usage, format!("the agent does not live in `{ENVIRONMENT}`"))
            .hint("this benchmark is about MiniWoB++ only")
            .into());
    }
    let reflexes = agent.reflex_sources()?;
    agent.model = args.model.clone().or(agent.model);
    agent.run.memory &= !args.no_memory;
    agent.run.library &= !args.no_library;
    agent.run.deliberate &= !args.no_deliberation;
    agent.run.episode_steps = args.max_steps;
    agent.run.budgets = Budgets::default();
    agent.run.tasks = tasks.iter().map(|task| task.name.clone()).collect();
    let (subject, _) = Subject::of(agent, reflexes, cancel, tasks.len()).await?;
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
            task.episodes.near(subject.learning_seed(index))
        };
        let episodes = (0..args.practice_episodes.unwrap_or(0)).map(turn).collect();
        let place = another(world)?;
        let Some((library, learning)) = subject.learn(place, episodes, args.practice_minutes).await? else {
            return Ok(None);
        };
        practice = Some(learning);
        let Some(row) = trial.row("after practice", &library).await? else { return Ok(None) };
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
        model: subject.minds.controller.model().name.clone(),
        without: named.into_iter().filter(|(left_out, _)| *left_out).map(|(_, name)| name).collect(),
    }))
}

/// Another tab of the same browser.
fn another(world: &dyn Environment) -> Result<Box<dyn Environment>> {
    world.practice().context("the environment has no other tabs")
}

/// The episodes that an agent is measured in.
struct Trial<'a> {
    subject: &'a Subject,
    world: &'a dyn Environment,
    tasks: &'a [Measured],
    seeds: &'a [u64],
    tabs: usize,
}

impl Trial<'_> {
    /// Lives every episode once with what `library` holds; `None` if it was interrupted.
    async fn row(&self, what: &'static str, library: &LibraryState) -> Result<Option<Row>> {
        let begun = Instant::now();
        let bar = output::is_watched().then(|| ProgressBar::new(self.seeds.len() as u64));
        let tabs = self.tabs.clamp(1, self.seeds.len().max(1));
        // Every tab gets the same share of every task.
        let shares = (0..tabs).map(|tab| self.seeds.iter().skip(tab).step_by(tabs).copied().collect());
        let lives = shares.map(|share| self.share(share, library, bar.clone()));
        let lives = try_join_all(lives).await;
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        let mut episodes: Vec<Episode> = Vec::new();
        let mut tokens = Tokens::default();
        for life in lives? {
            let Some((chronicle, used)) = life else { return Ok(None) };
            episodes.extend(chronicle.episodes);
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

    /// The episodes of one tab.
    async fn share(
        &self,
        seeds: Vec<u64>,
        library: &LibraryState,
        bar: Option<ProgressBar>,
    ) -> Result<Option<(Chronicle, Tokens)>> {
        let config = RunConfig { learning: false, episodes: seeds, ..self.subject.config.clone() };
        let counter = Arc::new(Counter { chronicle: Mutex::default(), bar });
        let place = another(self.world)?;
        let run = self.subject.run(place, config, Shelf::Lent(library.clone()), counter.clone());
        let Some(core) = Box::pin(run).await? else { return Ok(None) };
        let chronicle = counter.chronicle.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Some((chronicle, core.totals().into())))
    }
}

/// Counts episodes.
struct Counter {
    chronicle: Mutex<Chronicle>,
    bar: Option<ProgressBar>,
}

impl Observer for Counter {
    fn notice(&self, notice: &Notice<'_>) {
        self.chronicle.lock().unwrap_or_else(PoisonError::into_inner).note(notice);
        if let (Some(bar), Notice::Episode { .. }) = (&self.bar, notice) {
            bar.inc(1);
        }
    }
}

/// Of each task, the share of its episodes that did it, in percent.
fn rates(episodes: &[Episode], tasks: &[Measured]) -> BTreeMap<String, f64> {
    let rate = |task: &Measured| {
        let own: Vec<f64> = episodes
            .iter()
            .filter(|episode| task.episodes.has(episode.seed))
            .map(|episode| {
                let done = episode.unlocked.iter().any(|(name, _)| *name == task.name);
                if done { 100.0 } else { 0.0 }
            })
            .collect();
        (task.name.clone(), mean(&own))
    };
    tasks.iter().map(rate).collect()
}

/// What others have published (125 tasks, 5 instances, 10 steps), quoted for comparison and never measured here.
const PUBLISHED: [(&str, &str); 7] = [
    ("Claude-3.5-Sonnet", "69.8"),
    ("Llama-3.1-405B", "64.6"),
    ("GPT-4o", "63.8"),
    ("Llama-3.1-70B", "57.6"),
    ("GPT-4o-mini", "55"),
    ("Llama-3.1-8B, trained on 30 of the tasks", "67.2"),
    ("Llama-3.1-8B", "29.5"),
];

fn print(report: &Report) -> Result<()> {
    let mut per_task = table::new(["task %"].into_iter().chain(report.rows.iter().map(|row| row.what)));
    table::numbers(&mut per_task, 1..=report.rows.len());
    if let Some(first) = report.rows.first() {
        for name in first.per_task.keys() {
            let mut cells = vec![name.clone()];
            let rate = |row: &Row| format!("{:.0}", row.per_task.get(name).copied().unwrap_or_default());
            cells.extend(report.rows.iter().map(rate));
            per_task.add_row(cells);
        }
    }
    table::print(&per_task)?;
    let without = if report.without.is_empty() {
        String::new()
    } else {
        format!(", without {}", report.without.join(", "))
    };
    output::line(format!(
        "\nmeasured here: {}{without}; {} tasks, {} instances of each from {} on, at most {} steps",
        report.model, report.tasks, report.seeds, report.first_seed, report.max_steps
    ))?;
    let time = |seconds: f64| duration::show(Duration::from_secs_f64(seconds));
    for row in &report.rows {
        output::line(format!(
            "  {:<16} {:.1} ± {:.1} % (mean over tasks and standard error), {} skills; {:.1} steps, {} + {} tokens (read + \
             generated), {}",
            row.what,
            row.success_percent,
            row.success_se,
            row.library_skills,
            row.mean_steps,
            row.tokens.prompt,
            row.tokens.generated,
            time(row.seconds)
        ))?;
    }
    if let Some(practice) = &report.practice {
        output::line(format!(
            "  practice: {} skills in {} ({} steps in {} episodes, {} + {} tokens)",
            practice.skills.len(),
            time(practice.seconds),
            practice.steps,
            practice.episodes,
            practice.tokens.prompt,
            practice.tokens.generated
        ))?;
    }
    output::line(
        "\nPublished by others, quoted for comparison; nothing below was measured here. 125 tasks, 5 instances of each, at \
         most 10 steps, one model call a step (arXiv 2412.05467).",
    )?;
    let mut table = table::new(["agent", "success %"]);
    table::numbers(&mut table, [1]);
    for (name, success) in PUBLISHED {
        table.add_row([name, success]);
    }
    Ok(table::print(&table)?)
}
