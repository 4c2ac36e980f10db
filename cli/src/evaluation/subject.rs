//! The agent that is measured: its parts, its learning before the measurement, and its runs.

use crate::agent_file::AgentFile;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::output;
use crate::progress::Progress;
use crate::run_stats::RunStats;
use crate::scratch::Scratch;
use crate::session::{LibraryHandle, Models, Plan, RunContext, Session, Watch};
use anyhow::Result;
use serde::Serialize;
use sojourn_controller::Cancel;
use sojourn_core::{
    Budgets, Core, FinishReason, Observer, Outcome, Redactor, ReflexSource, RunConfig, Totals, seeds,
};
use sojourn_memory::Store;
use sojourn_tools::{Environment, Recipe};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Tokens of episodes.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Tokens {
    /// Tokens of prompts.
    pub prompt: u64,
    /// Generated tokens.
    pub generated: u64,
}

/// The cost and the result of learning before the measurement.
#[derive(Debug, Serialize)]
pub struct Learning {
    /// Episodes that were begun.
    pub episodes: usize,
    /// Environment steps in them.
    pub steps: u64,
    /// The tokens that it took.
    pub tokens: Tokens,
    /// The time that it took.
    pub seconds: f64,
    /// Names of the admitted skills and reflexes, in their order.
    pub skills: Vec<String>,
    /// Recipes that it found out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipes: Vec<Recipe>,
}

/// An agent to measure.
pub struct Subject {
    /// The settings of its runs.
    pub config: RunConfig,
    /// Its reflexes besides those of a library.
    pub reflexes: Vec<ReflexSource>,
    /// Its models and tools.
    pub models: Models,
    /// The temporary home of its runs.
    pub context: RunContext,
    /// Stops it.
    pub cancel: Cancel,
    /// The number of achievements, for the progress display.
    pub achievements: usize,
    /// Replaces the agent file's secrets.
    redactor: Redactor,
    /// The temporary home, removed with this value.
    _scratch: Scratch,
}

impl Subject {
    /// The agent of a file, in a temporary home.
    ///
    /// # Errors
    /// When a model or the sandbox cannot be loaded.
    pub async fn of(
        home: &Home,
        agent: AgentFile,
        reflexes: Vec<ReflexSource>,
        cancel: Cancel,
        achievements: usize,
    ) -> Result<(Self, Store)> {
        let scratch = Scratch::create()?;
        let home = home.at(scratch.path());
        let store = home.store().await?;
        let models = Models::load(&agent, false).await?;
        let context = RunContext::open(home, store.clone()).await?;
        let redactor = agent.redactor();
        let config = agent.run;
        let subject =
            Self { config, reflexes, models, context, cancel, achievements, redactor, _scratch: scratch };
        Ok((subject, store))
    }

    /// Learns from nothing, in these episodes or for this many minutes; `None` if it was interrupted.
    ///
    /// # Errors
    /// When the environment, the log or the controller fails.
    pub async fn learn(
        &self,
        environment: Box<dyn Environment>,
        episodes: Vec<u64>,
        minutes: Option<u64>,
    ) -> Result<Option<(Core, Learning)>> {
        let config = RunConfig {
            learning: true,
            episodes,
            budgets: Budgets { time_ms: minutes.map(|minutes| minutes * 60_000), ..Budgets::default() },
            ..self.config.clone()
        };
        let begun = Instant::now();
        let library = LibraryHandle::OnDisk(Box::new(self.context.home.library().await?));
        let run = self.run_with_progress(environment, config, library, "learning: ");
        let Some((core, stats)) = Box::pin(run).await? else {
            return Ok(None);
        };
        let learning = Learning {
            episodes: stats.episodes.len(),
            steps: stats.steps,
            tokens: core.totals().into(),
            seconds: begun.elapsed().as_secs_f64(),
            skills: stats.skills,
            recipes: core.spec().recipes.iter().filter(|recipe| recipe.evidence.is_some()).cloned().collect(),
        };
        Ok(Some((core, learning)))
    }

    /// The seed of the `index`th episode of learning.
    pub fn learning_seed(&self, index: u64) -> u64 {
        seeds::world(self.config.seed, "episode", index)
    }

    /// Runs to the end and shows the progress; `None` if it was interrupted.
    ///
    /// # Errors
    /// When the environment, the log or the controller fails.
    pub async fn run_with_progress(
        &self,
        environment: Box<dyn Environment>,
        config: RunConfig,
        library: LibraryHandle,
        label: &str,
    ) -> Result<Option<(Core, RunStats)>> {
        let progress = Progress::new(self.achievements, label);
        let core = Box::pin(self.run(environment, config, library, progress.clone())).await;
        progress.finish();
        let stats = progress.stats().clone();
        Ok(core?.map(|core| (core, stats)))
    }

    /// Runs to the end, observed by `observer`; `None` if it was interrupted.
    ///
    /// # Errors
    /// When the environment, the log or the controller fails.
    pub async fn run(
        &self,
        environment: Box<dyn Environment>,
        config: RunConfig,
        library: LibraryHandle,
        observer: Arc<dyn Observer>,
    ) -> Result<Option<Core>> {
        let (outcome, core) = Box::pin(self.drive(environment, config, library, observer)).await?;
        match outcome {
            Outcome::Interrupted => Ok(None),
            Outcome::Finished(FinishReason::Controller { error }) => Err(controller_failed(&error).into()),
            Outcome::Finished(_) | Outcome::Replayed { .. } => Ok(Some(core)),
        }
    }

    /// Runs until it ends or is interrupted, observed by `observer`.
    ///
    /// # Errors
    /// When the environment or the log fails.
    pub async fn drive(
        &self,
        environment: Box<dyn Environment>,
        config: RunConfig,
        library: LibraryHandle,
        observer: Arc<dyn Observer>,
    ) -> Result<(Outcome, Core)> {
        let plan = Plan {
            config,
            reflexes: self.reflexes.clone(),
            library,
            title: Some("benchmark".to_owned()),
            run: None,
        };
        let watch =
            Watch { redactor: self.redactor.clone(), ..Watch::unguarded(observer, self.cancel.clone()) };
        let session = Box::pin(self.context.begin(environment, plan, &self.models, watch)).await?;
        let Session { driver, started_ms, .. } = session;
        Ok(driver.run(started_ms).await?)
    }
}

/// The error of a measurement whose controller failed several times in a row.
pub fn controller_failed(error: &str) -> Failure {
    Failure::new(Kind::Failure, format!("the benchmark is incomplete: the controller failed: {error}"))
}

impl From<Totals> for Tokens {
    fn from(totals: Totals) -> Self {
        Self { prompt: totals.prompt_tokens, generated: totals.tokens }
    }
}

/// Reports an interrupted benchmark.
pub fn interrupted() -> ExitCode {
    output::note("interrupted: nothing was measured");
    ExitCode::from(Kind::Interrupted as u8)
}
