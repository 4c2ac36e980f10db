//! A run's first record: everything that it starts from.

use crate::config::RunConfig;
use crate::core::RunOrigin;
use serde::{Deserialize, Serialize};
use sojourn_controller::ModelInfo;
use sojourn_skills::LibraryState;
use sojourn_tools::EnvironmentSpec;

/// Everything that a run starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Version of the payloads in this log.
    pub log_version: u32,
    /// The settings.
    pub config: RunConfig,
    /// The environment as it described itself.
    pub environment: EnvironmentSpec,
    /// The controller's model.
    pub model: ModelInfo,
    /// What was learned before.
    pub library: LibraryState,
    /// Reflexes, the first one first.
    pub reflexes: Vec<ReflexSource>,
    /// What skills written in this run are marked with.
    pub origin: RunOrigin,
}

/// A reflex as JavaScript: a function of the state that returns an action's name or `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReflexSource {
    /// The function's name.
    pub name: String,
    /// Its source.
    pub source: String,
}

/// The version of the payloads that this program writes.
pub const LOG_VERSION: u32 = 1;
