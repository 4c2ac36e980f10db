//! The worlds in which skills are tried outside of a run: those with a name, and the one that an agent file describes.

use crate::agent_file::AgentFile;
use crate::environments;
use crate::home::Home;
use anyhow::Result;
use sojourn_core::ReflexSource;
use sojourn_tools::{Availability, Environment, EnvironmentRegistry};
use std::path::Path;

/// Opens worlds by the name that a skill's manifest has for its environment.
#[derive(Clone)]
pub struct Worlds {
    registry: EnvironmentRegistry,
    /// An agent file, and the name of its environment.
    own: Option<(Box<AgentFile>, String)>,
}

impl Worlds {
    /// The named environments, and the environment of the agent file `agent`.
    ///
    /// # Errors
    /// When the agent file cannot be read, or its environment cannot be opened.
    pub async fn of(home: &Home, agent: Option<&Path>) -> Result<Self> {
        let registry = home.environments().clone();
        let Some(path) = agent else { return Ok(Self { registry, own: None }) };
        let agent = AgentFile::read(&registry, path, &[])?;
        let name = agent.open_environment(&registry).await?.spec().name.clone();
        Ok(Self { registry, own: Some((Box::new(agent), name)) })
    }

    /// The world `name`, not reset yet.
    ///
    /// # Errors
    /// When no environment has that name, or it cannot be opened.
    pub async fn open(&self, name: &str) -> Result<Box<dyn Environment>> {
        match self.described(name) {
            Some(agent) => agent.open_environment(&self.registry).await,
            None => Ok(self.registry.open(name).await?),
        }
    }

    /// The name of the agent file's environment.
    pub fn own_name(&self) -> Option<&str> {
        self.own.as_ref().map(|(_, name)| name.as_str())
    }

    /// Whether `name` is the agent file's environment, or a named one that is built in or installed.
    pub fn has(&self, name: &str) -> bool {
        let is_here = |availability| !matches!(availability, Availability::NotInstalled(_));
        self.described(name).is_some()
            || self.registry.get(name).is_some_and(|provider| provider.availability().is_ok_and(is_here))
    }

    /// Whether the worlds of `name` are computed by this program, so that what happens in one of them has no effect elsewhere.
    pub fn is_simulated(&self, name: &str) -> bool {
        self.described(name).is_none() && self.registry.in_process(name).is_some()
    }

    /// The reflexes that the agent file names, or those that come with the environment `name`.
    ///
    /// # Errors
    /// When a file of a reflex cannot be read.
    pub fn reflexes(&self, name: &str) -> Result<Vec<ReflexSource>> {
        match self.described(name) {
            Some(agent) => agent.reflex_sources(),
            None => Ok(environments::reflexes(&self.registry, name)),
        }
    }

    fn described(&self, name: &str) -> Option<&AgentFile> {
        self.own.as_ref().filter(|(_, own)| own == name).map(|(agent, _)| &**agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use sojourn_tools::{EnvironmentProvider, EnvironmentUnavailable, SpecOnlyEnvironment};

    /// A world that this program computes.
    struct Toy;

    #[async_trait]
    impl EnvironmentProvider for Toy {
        fn name(&self) -> &'static str {
            "toy"
        }

        fn description(&self) -> &'static str {
            "a toy"
        }

        fn in_process(&self, _name: &str) -> Option<Box<dyn Environment>> {
            let spec = serde_json::json!({
                "name": "toy", "version": "", "deterministic": true, "about": "", "tools": [], "actions": [], "tasks": [],
                "recipes": [], "examples": [], "vitals": [],
            });
            Some(Box::new(SpecOnlyEnvironment::new(serde_json::from_value(spec).ok()?)))
        }

        async fn open(&self, _name: &str) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
            panic!("nobody opens it")
        }
    }

    /// `sojourn mcp` declares a skill read-only where its world is simulated.
    #[test]
    fn a_world_that_an_agent_file_describes_is_not_taken_for_a_simulated_one() {
        let registry = EnvironmentRegistry::new().with(Toy);
        let described = "environment = { kind = \"process\", command = [\"toy\"] }\n";
        let agent = AgentFile::parse(described, "agent.toml", Path::new(""), &[]).unwrap();
        let named = Worlds { registry: registry.clone(), own: None };
        assert!(named.is_simulated("toy") && !named.is_simulated("office"));
        // The program may call its world by any name.
        let own = Worlds { registry, own: Some((Box::new(agent), "toy".to_owned())) };
        assert!(!own.is_simulated("toy"));
    }
}
