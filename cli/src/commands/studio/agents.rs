//! The agents that may be started from the page.

use crate::agent_file::AgentFile;
use crate::error::Failure;
use crate::home::Home;
use anyhow::Result;
use sojourn_studio::Agent;
use std::path::{Path, PathBuf};

/// Limit on the agent files of the directory that are offered.
const MOST: usize = 100;
/// The largest file that is looked into, in bytes.
const LARGEST: u64 = 1 << 20;

/// The agents that may be started from the page: nothing that a request says is taken for a path.
pub struct Agents {
    home: Home,
    /// Agent files that the person named.
    named: Vec<PathBuf>,
    /// The directory whose agent files are offered.
    directory: Option<PathBuf>,
}

impl Agents {
    pub fn new(home: &Home, named: Vec<PathBuf>, directory: Option<PathBuf>) -> Self {
        Self { home: home.clone(), named, directory }
    }

    /// Looks whether the agent files that the person named can be read.
    ///
    /// # Errors
    /// When one cannot.
    pub fn check(&self) -> Result<()> {
        for path in &self.named {
            AgentFile::read(self.home.environments(), path, &[])?;
        }
        Ok(())
    }

    /// The agents: those that were named, the agent files in the directory, and the environments that are built in.
    pub fn all(&self) -> Vec<Agent> {
        let mut all: Vec<Agent> = Vec::new();
        for path in self.named.iter().cloned().chain(self.in_directory()) {
            let path = std::fs::canonicalize(&path).unwrap_or(path);
            let name = path.display().to_string();
            if all.iter().all(|known| known.name != name) {
                all.extend(self.described(&path, name));
            }
        }
        for provider in self.home.environments().providers() {
            let name = provider.name();
            // The name of some environments needs more: `gym:ID`.
            if provider.provides(name) && !Path::new(name).exists() {
                all.extend(self.described(Path::new(name), name.to_owned()));
            }
        }
        all
    }

    /// The agent of that name.
    ///
    /// # Errors
    /// When it is none of those that may be started.
    pub fn find(&self, name: &str) -> Result<PathBuf> {
        let all = self.all();
        if let Some(found) = all.iter().find(|agent| agent.name == name) {
            return Ok(PathBuf::from(&found.name));
        }
        let names = all.iter().map(|agent| agent.name.as_str());
        Err(Failure::unknown("agent", name, names)
            .hint("`sojourn studio --agent AGENT.TOML` offers one more on the page")
            .into())
    }

    /// TOML files of the directory, in the order of their names.
    fn in_directory(&self) -> Vec<PathBuf> {
        let entries = self.directory.iter().filter_map(|directory| std::fs::read_dir(directory).ok());
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .filter(|path| path.metadata().is_ok_and(|file| file.is_file() && file.len() <= LARGEST))
            .collect();
        files.sort_unstable();
        files.truncate(MOST);
        files
    }

    /// What an agent file says of itself; `None` where it is none.
    fn described(&self, path: &Path, name: String) -> Option<Agent> {
        let agent = AgentFile::read_quietly(self.home.environments(), path, &[]).ok()?;
        let redactor = agent.redactor();
        Some(Agent {
            name,
            environment: agent.environment.name().map(str::to_owned),
            model: agent.model.as_deref().map(|model| redactor.text(model)),
            goals: agent.goals.iter().map(|goal| redactor.text(&goal.text)).collect(),
        })
    }
}
