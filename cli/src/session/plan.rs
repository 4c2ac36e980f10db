//! What the caller of a run decides: its settings and library, its models, and who watches it.

use crate::agent_file::AgentFile;
use crate::models::{self, Loading};
use crate::vectors::Vectors;
use anyhow::Result;
use sojourn_controller::{Cancel, Controller, Embedder};
use sojourn_core::{Observer, Redactor, ReflexSource, Requests, RunConfig, Tools};
use sojourn_memory::RunId;
use sojourn_skills::{Library, LibraryState};
use std::sync::Arc;

/// The parts of a new run that its caller decides.
pub struct Plan {
    /// The settings, as the log's first record keeps them.
    pub config: RunConfig,
    /// Reflexes in order of priority, before those of the library.
    pub reflexes: Vec<ReflexSource>,
    /// The skills that the run starts with, and where it adds new ones.
    pub library: LibraryHandle,
    /// A name for people; lists show it beside the id.
    pub title: Option<String>,
    /// The run's id; a new one is drawn without it. A supervisor chooses the id before its worker starts.
    pub run: Option<RunId>,
}

/// The skill library of a run.
pub enum LibraryHandle {
    /// A library on disk, to which the run adds the skills that it learns.
    OnDisk(Box<Library>),
    /// A copy in memory. The run's changes to it are in the run's log only.
    InMemory(LibraryState),
}

/// Who watches a run and who may stop it.
#[derive(Clone)]
pub struct Watch {
    /// Receives every notice of the driver, also those of the replayed part.
    pub observer: Arc<dyn Observer>,
    /// Stops the run after the step under way.
    pub cancel: Cancel,
    /// Replaces secrets in everything that enters the log.
    pub redactor: Redactor,
    /// Who starts or resumes the run, for its log; `None` for a person at a terminal.
    pub by: Option<String>,
    /// Requests of people to the run under way; `None` where there can be none.
    pub requests: Option<Arc<dyn Requests>>,
}

impl Watch {
    /// A watch for runs without secrets.
    pub fn unguarded(observer: Arc<dyn Observer>, cancel: Cancel) -> Self {
        Self { observer, cancel, redactor: Redactor::default(), by: None, requests: None }
    }
}

/// The models that a run uses.
#[derive(Clone)]
pub struct Models {
    /// The language model that chooses tasks and writes skills.
    pub controller: Arc<dyn Controller>,
    /// Embeds memories; without it they are recalled by their words alone.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// The index of the memories' vectors.
    pub vectors: Vectors,
    /// Tools besides the environment's.
    pub tools: Option<Tools>,
}

impl Models {
    /// Loads the models that an agent file asks for; the controller's only when it is asked, where the file's run does not
    /// ask as a matter of course.
    ///
    /// # Errors
    /// When a model is not on this machine or cannot be loaded.
    pub async fn load(agent: &AgentFile, pull: bool) -> Result<Self> {
        Self::open(agent, pull, Loading::Now).await
    }

    /// As [`load`](Self::load), for what may go on for long before it asks the controller, or never ask it: its file is looked
    /// at now and loaded when it is asked.
    ///
    /// # Errors
    /// When a model is not on this machine, or is no model.
    pub async fn load_when_asked(agent: &AgentFile, pull: bool) -> Result<Self> {
        Self::open(agent, pull, Loading::WhenAsked).await
    }

    async fn open(agent: &AgentFile, pull: bool, loading: Loading) -> Result<Self> {
        let models = models::open()?;
        // The small model first: if it is missing, the error comes before the large one is loaded.
        let embedder = if agent.run.memory { models::embedder(agent, &models, pull).await? } else { None };
        let vectors = agent.memory.vectors.clone();
        let loading = if agent.run.asks_the_controller() { loading } else { Loading::IfAsked };
        Ok(Self {
            controller: models::controller(agent, &models, pull, loading).await?,
            embedder,
            vectors,
            tools: None,
        })
    }
}
