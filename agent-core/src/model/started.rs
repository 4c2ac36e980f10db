//! The first record of a run.

use crate::config::RunConfig;
use serde::{Deserialize, Serialize};
use sojourn_controller::ModelInfo;
use sojourn_memory::RunId;
use sojourn_skills::LibraryState;
use sojourn_tools::EnvironmentSpec;

/// Everything that a run starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Version of the payloads in this log.
    pub log_version: u32,
    /// The settings.
    pub config: RunConfig,
    /// The environment's description.
    pub environment: EnvironmentSpec,
    /// The controller's model.
    pub model: ModelInfo,
    /// The library before the run.
    pub library: LibraryState,
    /// Reflexes, the first one first.
    pub reflexes: Vec<ReflexSource>,
    /// The origin that skills written in this run get.
    pub origin: RunOrigin,
    /// Who started the run, where that was not a person at a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The origin of skills written in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOrigin {
    /// The run.
    pub run: RunId,
    /// The controller's model.
    pub model: String,
    /// sha256 (hex) of the sandbox's engine.
    pub engine: String,
}

/// A reflex as JavaScript: a function of the state that returns an action's name or `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReflexSource {
    /// The function's name.
    pub name: String,
    /// Its source.
    pub source: String,
}

/// The version of the payloads that this program writes and reads.
pub const LOG_VERSION: u32 = 1;
