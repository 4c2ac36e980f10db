//! The recipients of messages, from an agent file that is read again when a message is delivered.

use crate::agent_file::AgentFile;
use crate::error;
use serde::{Deserialize, Serialize};
use sojourn_service::notify::{Addressees, Channels};
use sojourn_tools::EnvironmentRegistry;
use std::path::Path;

/// An agent file with its overrides, as a message keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentKey {
    /// The file as an absolute path, or the name of an environment.
    pub agent: String,
    /// The overrides of its keys: `KEY=VALUE`.
    #[serde(default, rename = "set", skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
}

impl AgentKey {
    /// The key of an agent file that was named from the current directory.
    pub fn new(agent: &Path, overrides: &[String]) -> Self {
        // Where there is no such file, it is the name of an environment.
        let path = std::fs::canonicalize(agent).unwrap_or_else(|_| agent.to_owned());
        Self { agent: path.to_string_lossy().into_owned(), overrides: overrides.to_vec() }
    }

    /// The key as text.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Reads agent files for their tables `[notify]`.
pub struct AgentChannels(pub EnvironmentRegistry);

impl Channels for AgentChannels {
    fn of(&self, key: &str) -> Result<Addressees, String> {
        let key: AgentKey = serde_json::from_str(key).map_err(|error| error.to_string())?;
        let agent = AgentFile::read_quietly(&self.0, Path::new(&key.agent), &key.overrides)
            .map_err(|error| error::chain(&error))?;
        let directory = std::path::absolute(&agent.directory).map_err(|error| error.to_string())?;
        Ok(Addressees { settings: agent.notify, directory })
    }
}
