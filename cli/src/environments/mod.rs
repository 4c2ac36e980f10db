//! The environments: those that are built in, those of Gymnasium by their ids, and those that an agent file describes.

pub mod gym;

use crate::error::{Failure, Kind};
use anyhow::Result;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sojourn_core::ReflexSource;
use sojourn_tools::{Environment, EnvironmentSpec, McpWorld, ProcessWorld, Remembered, WorldError};
use std::fmt;
use std::path::Path;

/// The names of those that are built in.
pub const BUILT_IN: [&str; 1] = ["crafter"];

/// What an agent file names or describes.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum EnvironmentChoice {
    /// One that has a name: "crafter", "gym:MiniGrid-Empty-5x5-v0".
    Named(String),
    /// One that is described here.
    Described(Described),
}

/// An environment that is a program or a server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Described {
    /// A program that speaks lines of JSON.
    Process(ProcessWorld),
    /// A server of the Model Context Protocol with a tool that resets and one that steps.
    Mcp(McpWorld),
}

impl<'de> Deserialize<'de> for EnvironmentChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Either;
        // What is wrong within a description is told, not only that neither form fits.
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
                Described::deserialize(MapAccessDeserializer::new(map)).map(EnvironmentChoice::Described)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl EnvironmentChoice {
    /// Its name, where it has one before it is opened.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Described(_) => None,
        }
    }

    /// The environment variable whose value must not get into a log.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Described(Described::Mcp(world)) => world.token_env.as_deref(),
            _ => None,
        }
    }

    /// The world, not reset yet. Programs are started in `directory`.
    ///
    /// # Errors
    /// When there is none of that name, or it cannot be reached.
    pub async fn open(&self, directory: &Path) -> Result<Box<dyn Environment>> {
        let unusable = |error: WorldError| {
            Failure::new(Kind::Failure, format!("the environment cannot be used: {error}"))
                .hint("`environment` of the agent file describes it; `sojourn environments check` tries one")
        };
        match self {
            Self::Named(name) => open(name).await,
            Self::Described(Described::Process(world)) => {
                Ok(Box::new(world.clone().open(directory).await.map_err(unusable)?))
            }
            Self::Described(Described::Mcp(world)) => {
                Ok(Box::new(world.clone().open(directory).await.map_err(unusable)?))
            }
        }
    }
}

/// A world of that name that has not been reset.
///
/// # Errors
/// When there is none, with the nearest name, or it is Gymnasium's and cannot be started.
pub async fn open(name: &str) -> Result<Box<dyn Environment>> {
    if let Some(environment) = built_in(name) {
        return Ok(environment);
    }
    if let Some(id) = gym::id(name) {
        return gym::open(id).await;
    }
    Err(Failure::unknown("environment", name, BUILT_IN.into_iter())
        .hint(format!(
            "there is {}, and gym:ID; what an agent file describes can only be reached through it",
            BUILT_IN.join(", ")
        ))
        .into())
}

/// A world that is part of this program.
pub fn built_in(name: &str) -> Option<Box<dyn Environment>> {
    match name {
        "crafter" => Some(Box::new(sojourn_crafter::CrafterEnvironment::new())),
        _ => None,
    }
}

/// The world of a log that is only told: the same again where it is built in, else what the log says of it.
pub fn of_log(spec: &EnvironmentSpec) -> Box<dyn Environment> {
    built_in(&spec.name).unwrap_or_else(|| Box::new(Remembered::new(spec.clone())))
}

/// The reflexes that come with an environment, the first one first.
pub fn reflexes(name: &str) -> Vec<ReflexSource> {
    let sources: &[(&str, &str)] = match name {
        "crafter" => &[("fight", sojourn_crafter::REFLEX_FIGHT)],
        _ => &[],
    };
    sources
        .iter()
        .map(|&(name, source)| ReflexSource { name: name.to_owned(), source: source.to_owned() })
        .collect()
}
