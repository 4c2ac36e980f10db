//! What came of the episodes: of each task, and of all of them.

use crate::evaluation::{Spread, Tokens, mean};
use crate::run_stats::Episode;
use crate::{duration, output, table};
use anyhow::Result;
use serde::Serialize;
use sojourn_core::RunConfig;
use sojourn_skills::LibraryState;
use sojourn_tools::{Ending, EnvironmentSpec, TaskSpec};
use std::time::Duration;

/// What a report is made of.
pub struct Measurement<'a> {
    /// The world.
    pub spec: &'a EnvironmentSpec,
    /// The settings of the run.
    pub config: &'a RunConfig,
    /// Its skills.
    pub library: &'a LibraryState,
    /// Its episodes. The last one may not be over: it is left out.
    pub episodes: &'a [Episode],
    /// Name of the controller's model.
    pub model: &'a str,
    /// The tokens of all episodes.
    pub tokens: Tokens,
    /// The time of all episodes.
    pub took: Duration,
    /// Whether a person stopped it.
    pub interrupted: bool,
}

/// The result of `sojourn bench`.
#[derive(Debug, Serialize)]
pub struct Report {
    environment: String,
    /// Seeds asked for, complete or not.
    seeds: Vec<u64>,
    episode_steps: u64,
    /// The controller's model; `None` where it was not asked.
    model: Option<String>,
    deliberates: bool,
    library_skills: usize,
    interrupted: bool,
    tasks: Vec<TaskFigures>,
    /// Share of the tasks on offer in an episode that were reached, in percent.
    reached_percent: Option<Spread>,
    /// The sum of an episode's rewards.
    #[serde(rename = "return")]
    returns: Option<Spread>,
    steps: Option<Spread>,
    deaths: usize,
    tokens: Tokens,
    seconds: f64,
    /// The complete episodes.
    episodes: Vec<EpisodeFigures>,
}

/// What came of a task.
#[derive(Debug, Serialize)]
struct TaskFigures {
    task: String,
    /// The version of its skill; `None` where there is no skill for it.
    skill_version: Option<u32>,
    /// Episodes that had the task.
    episodes: usize,
    /// Episodes in which it was tried.
    tried: usize,
    /// Episodes in which its goal was reached.
    reached: usize,
    reached_percent: f64,
    /// Mean environment steps of a try that reached the goal; `None` where none did.
    mean_steps: Option<f64>,
}

/// What came of an episode.
#[derive(Debug, Serialize)]
struct EpisodeFigures {
    seed: u64,
    steps: u64,
    /// The steps of these that reflexes took.
    reflex_steps: u64,
    #[serde(rename = "return")]
    reward: f64,
    /// The tasks that were reached.
    reached: Vec<String>,
    /// How the world ended it; `None` where it did not.
    ending: Option<Ending>,
}

impl Report {
    /// The figures of the complete episodes.
    pub fn new(measured: &Measurement<'_>) -> Self {
        let Measurement { spec, config, library, .. } = measured;
        let episodes: Vec<&Episode> = measured.episodes.iter().filter(|episode| episode.is_over).collect();
        let asked = |task: &&TaskSpec| config.tasks.is_empty() || config.tasks.contains(&task.name);
        let tasks: Vec<&TaskSpec> = spec.tasks.iter().filter(asked).collect();
        let reached = |episode: &Episode| -> Vec<String> {
            let here = tasks.iter().filter(|task| task.is_in(episode.seed) && episode.reached(&task.name));
            here.map(|task| task.name.clone()).collect()
        };
        let share = |episode: &&&Episode| {
            let on_offer = tasks.iter().filter(|task| task.is_in(episode.seed)).count();
            (on_offer > 0).then(|| percent(reached(episode).len(), on_offer))
        };
        let shares: Vec<f64> = episodes.iter().filter_map(|episode| share(&episode)).collect();
        let each = |figure: fn(&Episode) -> f64| -> Vec<f64> {
            episodes.iter().map(|episode| figure(episode)).collect()
        };
        let asks = measured.tokens.prompt + measured.tokens.generated > 0;
        Self {
            environment: spec.name.clone(),
            seeds: config.episodes.clone(),
            episode_steps: config.episode_steps,
            model: asks.then(|| measured.model.to_owned()),
            deliberates: config.deliberate,
            library_skills: library.all_active().count(),
            interrupted: measured.interrupted,
            tasks: tasks.iter().filter_map(|task| TaskFigures::new(task, &episodes, library)).collect(),
            reached_percent: Spread::of(&shares),
            returns: Spread::of(&each(|episode| episode.reward)),
            steps: Spread::of(&each(|episode| episode.steps as f64)),
            deaths: episodes.iter().filter(|episode| episode.died()).count(),
            tokens: measured.tokens,
            seconds: measured.took.as_secs_f64(),
            episodes: episodes
                .iter()
                .map(|episode| EpisodeFigures {
                    seed: episode.seed,
                    steps: episode.steps,
                    reflex_steps: episode.reflex_steps,
                    reward: episode.reward,
                    reached: reached(episode),
                    ending: episode.ending.clone(),
                })
                .collect(),
        }
    }

    /// The number of complete episodes.
    pub fn complete(&self) -> usize {
        self.episodes.len()
    }

    /// Prints it for people.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print(&self) -> Result<()> {
        let mut rows = table::new(["task", "skill", "reached", "%", "steps"]);
        table::numbers(&mut rows, [2, 3, 4]);
        for task in &self.tasks {
            rows.add_row([
                task.task.clone(),
                task.skill_version.map_or("none".to_owned(), |version| format!("version {version}")),
                format!("{} of {}", task.reached, task.episodes),
                format!("{:.0}", task.reached_percent),
                task.mean_steps.map(|steps| format!("{steps:.1}")).unwrap_or_default(),
            ]);
        }
        table::print(&rows)?;
        let model = match (&self.model, self.deliberates) {
            (Some(model), _) => format!(", {model}"),
            (None, true) => String::new(),
            (None, false) => ", no model".to_owned(),
        };
        output::line(format!(
            "\n{}: {} in worlds that learning never sees, seeds from {}; {}{model}",
            self.environment,
            output::counted(self.complete(), "episode"),
            self.seeds.first().copied().unwrap_or_default(),
            output::counted(self.library_skills, "skill"),
        ))?;
        let line = |name: &str, spread: Option<Spread>, digits: usize, unit: &str| match spread {
            Some(Spread { mean, standard_error, least, most }) => output::line(format!(
                "  {name:<8} {mean:.digits$} ± {standard_error:.digits$}{unit} ({least:.digits$} to {most:.digits$})"
            )),
            None => Ok(()),
        };
        line("reached", self.reached_percent, 1, " % of an episode's tasks")?;
        line("return", self.returns, 2, " an episode")?;
        line("steps", self.steps, 1, " an episode")?;
        output::line(format!("  deaths   {}", self.deaths))?;
        if self.model.is_some() {
            output::line(format!(
                "  tokens   {} + {} (prompt + generated)",
                self.tokens.prompt, self.tokens.generated
            ))?;
        }
        output::line(format!("  time     {}", duration::show(Duration::from_secs_f64(self.seconds))))?;
        Ok(output::line(
            "± is the standard error of the mean; in brackets the least and the most of an episode",
        )?)
    }
}

impl TaskFigures {
    /// What came of a task; `None` where no episode had it.
    fn new(task: &TaskSpec, episodes: &[&Episode], library: &LibraryState) -> Option<Self> {
        let own: Vec<&&Episode> = episodes.iter().filter(|episode| task.is_in(episode.seed)).collect();
        if own.is_empty() && !episodes.is_empty() {
            return None;
        }
        let tries = || own.iter().filter_map(|episode| episode.tasks.get(&task.name));
        let reached = own.iter().filter(|episode| episode.reached(&task.name)).count();
        let steps: Vec<f64> = tries()
            .filter(|tries| tries.reached > 0)
            .map(|tries| tries.steps as f64 / f64::from(tries.reached))
            .collect();
        Some(Self {
            task: task.name.clone(),
            skill_version: library.active(&task.name).map(|entry| entry.skill.manifest.version),
            episodes: own.len(),
            tried: tries().count(),
            reached,
            reached_percent: percent(reached, own.len()),
            mean_steps: (!steps.is_empty()).then(|| mean(&steps)),
        })
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}
