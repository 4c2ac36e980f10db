//! Crafter as a named environment of agent files.

use crate::{CrafterEnvironment, REFLEX_FIGHT};
use async_trait::async_trait;
use sojourn_tools::{BuiltInReflex, Environment, EnvironmentProvider, EnvironmentUnavailable};

/// Provides `crafter` and its built-in agent file.
#[derive(Debug, Clone, Copy)]
pub struct CrafterProvider;

#[async_trait]
impl EnvironmentProvider for CrafterProvider {
    fn name(&self) -> &'static str {
        "crafter"
    }

    fn description(&self) -> &'static str {
        "the survival game Crafter, in Rust"
    }

    fn agent_file(&self, _name: &str) -> String {
        include_str!("../agent.toml").to_owned()
    }

    fn reflexes(&self) -> &'static [BuiltInReflex] {
        &[("fight", REFLEX_FIGHT)]
    }

    fn in_process(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(CrafterEnvironment::new()))
    }

    async fn open(&self, _name: &str) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
        Ok(Box::new(CrafterEnvironment::new()))
    }
}
