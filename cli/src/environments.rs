//! The environment of an agent file: the name of a registered one, or the description of a program, a server or a site.
//!
//! [`sojourn_tools::EnvironmentRegistry`] says how to add a world.

use anyhow::Result;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sojourn_browser::WebSettings;
use sojourn_core::ReflexSource;
use sojourn_tools::{
    DescribedEnvironment, Environment, EnvironmentRegistry, EnvironmentSpec, McpEnvironmentSettings,
    ProcessEnvironmentSettings, SpecOnlyEnvironment, WithGoals,
};
use std::fmt;
use std::path::Path;

/// What an agent file says of its environment.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(untagged)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum EnvironmentChoice {
    /// The name of an environment that is built in or installed: "crafter", "gym:MiniGrid-Empty-5x5-v0".
    Named(String),
    /// A table that describes an environment.
    Described(EnvironmentDescription),
}

/// An environment that is a program, a server or a web site.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum EnvironmentDescription {
    /// A program that speaks lines of JSON.
    Process(ProcessEnvironmentSettings),
    /// A server of the Model Context Protocol with one tool that resets and one that steps.
    Mcp(McpEnvironmentSettings),
    /// Pages of the web, in Chromium.
    Web(WebSettings),
}

impl EnvironmentDescription {
    fn settings(&self) -> &dyn DescribedEnvironment {
        match self {
            Self::Process(settings) => settings,
            Self::Mcp(settings) => settings,
            Self::Web(settings) => settings,
        }
    }
}

impl<'de> Deserialize<'de> for EnvironmentChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Either;
        // An untagged enum would say that neither form fits; this reports the error inside the description.
        impl<'de> Visitor<'de> for Either {
            type Value = EnvironmentChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an environment's name, or a table that describes one")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> std::result::Result<EnvironmentChoice, E> {
                Ok(EnvironmentChoice::Named(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                map: A,
            ) -> std::result::Result<EnvironmentChoice, A::Error> {
                EnvironmentDescription::deserialize(MapAccessDeserializer::new(map))
                    .map(EnvironmentChoice::Described)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl EnvironmentChoice {
    /// The name in the agent file; `None` for a described environment, whose name is known once it is opened.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Described(_) => None,
        }
    }

    /// The environment variables whose values must not get into a log.
    pub fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Named(_) => Vec::new(),
            Self::Described(description) => description.settings().secrets(),
        }
    }

    /// Names of the environment variables that its program sees.
    pub fn env(&self) -> &[String] {
        match self {
            Self::Named(_) => &[],
            Self::Described(description) => description.settings().env(),
        }
    }

    /// Checks that what the environment starts with can be reached: the start pages of a site.
    ///
    /// # Errors
    /// When one of them cannot be reached.
    pub async fn check_reachable(&self) -> Result<()> {
        match self {
            Self::Named(_) => Ok(()),
            Self::Described(description) => Ok(description.settings().check_reachable().await?),
        }
    }

    /// The world, not reset yet. Programs are started in `directory`.
    ///
    /// # Errors
    /// When no environment has that name, or it cannot be reached.
    pub async fn open(
        &self,
        registry: &EnvironmentRegistry,
        directory: &Path,
    ) -> Result<Box<dyn Environment>> {
        Ok(match self {
            Self::Named(name) => registry.open(name).await?,
            Self::Described(description) => description.settings().open_in(directory).await?,
        })
    }
}

/// Whether an environment that an imported skill names may be opened: opening it executes no code that the name chooses, or the
/// user gave the name too, as `trusted`.
///
/// # Errors
/// When no environment has that name.
pub fn is_trusted(registry: &EnvironmentRegistry, name: &str, trusted: Option<&str>) -> Result<bool> {
    Ok(!registry.name_chooses_code(name)? || trusted == Some(name))
}

/// The world of a recorded run: stepped again where this program contains it, else answered from the log.
pub fn of_log(registry: &EnvironmentRegistry, spec: &EnvironmentSpec) -> Box<dyn Environment> {
    match registry.in_process(&spec.name) {
        Some(world) => WithGoals::as_recorded(world, spec),
        None => Box::new(SpecOnlyEnvironment::new(spec.clone())),
    }
}

/// The reflexes that come with an environment, in order of priority.
pub fn reflexes(registry: &EnvironmentRegistry, name: &str) -> Vec<ReflexSource> {
    let sources = registry.get(name).map_or(&[][..], |provider| provider.reflexes(name));
    sources
        .iter()
        .map(|&(name, source)| ReflexSource { name: name.to_owned(), source: source.to_owned() })
        .collect()
}
