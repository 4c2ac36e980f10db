//! An agent that is measured: what it is made of, how it learns before, and how it lives.

use crate::agent_file::AgentFile;
use crate::chronicle::Chronicle;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::output;
use crate::progress::Progress;
use crate::session::{Minds, Plan, Session, Shelf, Watch, Workshop};
use anyhow::Result;
use serde::Serialize;
use sojourn_controller::Cancel;
use sojourn_core::{Budgets, Core, FinishReason, Observer, Outcome, ReflexSource, RunConfig, Totals, seeds};
use sojourn_memory::Store;
use sojourn_skills::LibraryState;
use sojourn_tools::Environment;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;

/// Tokens that episodes took.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Tokens {
    /// Read.
    pub prompt: u64,
    /// Written.
    pub generated: u64,
}

/// What was spent on learning before.
#[derive(Debug, Serialize)]
pub struct Learning {
    pub episodes: usize,
    pub steps: u64,
    pub tokens: Tokens,
    pub seconds: f64,
    pub skills: Vec<String>,
}

/// An agent to be measured.
pub struct Subject {
    pub config: RunConfig,
    pub reflexes: Vec<ReflexSource>,
    pub minds: Minds,
    pub workshop: Workshop,
    pub cancel: Cancel,
    /// How many achievements there are, for the progress bar.
    pub achievements: usize,
    /// What it keeps is thrown away with it.
    _scratch: TempDir,
}

impl Subject {
    /// The agent of a file, in a home of its own that is thrown away.
    ///
    /// # Errors
    /// When a model or the sandbox cannot be loaded.
    pub async fn of(
        agent: AgentFile,
        reflexes: Vec<ReflexSource>,
        cancel: Cancel,
        achievements: usize,
    ) -> Result<(Self, Store)> {
        let scratch = tempfile::tempdir()?;
        let home = Home::at(scratch.path());
        let store = home.store().await?;
        let minds = Minds::load(&agent, false).await?;
        let workshop = Workshop::open(home, store.clone()).await?;
        let config = agent.run;
        Ok((Self { config, reflexes, minds, workshop, cancel, achievements, _scratch: scratch }, store))
    }

    /// Learns from nothing, in these episodes or for so many minutes; `None` if it was interrupted.
    ///
    /// # Errors
    /// When the environment, the log or the controller fails.
    pub async fn learn(
        &self,
        environment: Box<dyn Environment>,
        episodes: Vec<u64>,
        minutes: Option<u64>,
    ) -> Result<Option<(LibraryState, Learning)>> {
        let config = RunConfig {
            learning: true,
            episodes,
            budgets: Budgets { time_ms: minutes.map(|minutes| minutes * 60_000), ..Budgets::default() },
            ..self.config.clone()
        };
        let begun = Instant::now();
        let library = Shelf::Open(Box::new(self.workshop.home.library().await?));
        let Some((core, chronicle)) = self.live(environment, config, library, "learning: ").await? else {
            return Ok(None);
        };
        let learning = Learning {
            episodes: chronicle.episodes.len(),
            steps: chronicle.steps,
            tokens: core.totals().into(),
            seconds: begun.elapsed().as_secs_f64(),
            skills: chronicle.skills,
        };
        Ok(Some((core.library().clone(), learning)))
    }

    /// The seed of the `index`th episode of learning.
    pub fn learning_seed(&self, index: u64) -> u64 {
        seeds::world(self.config.seed, "episode", index)
    }

    /// One run to its end; `None` if it was interrupted.
    ///
    /// # Errors
    /// When the environment, the log or the controller fails.
    pub async fn live(
        &self,
        environment: Box<dyn Environment>,
        config: RunConfig,
        library: Shelf,
        label: &str,
    ) -> Result<Option<(Core, Chronicle)>> {
        let progress = Arc::new(Progress::new(self.achievements, label));
        let core = self.run(environment, config, library, progress.clone()).await;
        progress.finish();
        let chronicle = progress.chronicle().clone();
        Ok(core?.map(|core| (core, chronicle)))
    }

    /// One run to its end, watched by `observer`; `None` if it was interrupted.
    ///
    /// # Errors
    /// When the environment, the log or the controller fails.
    pub async fn run(
        &self,
        environment: Box<dyn Environment>,
        config: RunConfig,
        library: Shelf,
        observer: Arc<dyn Observer>,
    ) -> Result<Option<Core>> {
        let plan = Plan {
            config,
            reflexes: self.reflexes.clone(),
            library,
            title: Some("benchmark".to_owned()),
            run: None,
        };
        let watch = Watch::unguarded(observer, self.cancel.clone());
        let session = self.workshop.begin(environment, plan, &self.minds, watch).await?;
        let Session { driver, started_ms, .. } = session;
        let (outcome, core) = driver.run(started_ms).await?;
        match outcome {
            Outcome::Interrupted => Ok(None),
            Outcome::Finished(FinishReason::Controller { error }) => Err(Failure::new(
                Kind::Failure,
                format!("the benchmark is incomplete: the controller failed: {error}"),
            )
            .into()),
            Outcome::Finished(_) | Outcome::Replayed { .. } => Ok(Some(core)),
        }
    }
}

impl From<Totals> for Tokens {
    fn from(totals: Totals) -> Self {
        Self { prompt: totals.prompt_tokens, generated: totals.tokens }
    }
}

/// What a benchmark that was stopped says.
pub fn interrupted() -> ExitCode {
    output::note("interrupted: nothing was measured");
    ExitCode::from(Kind::Interrupted as u8)
}
