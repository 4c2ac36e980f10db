//! The environments: those that are built in, those of Gymnasium by their ids, and those that an agent file describes.

pub mod gym;
pub mod miniwob;

use crate::error::{Failure, Kind};
use anyhow::Result;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sojourn_browser::WebSettings;
use sojourn_core::ReflexSource;
use sojourn_tools::{Environment, EnvironmentSpec, McpWorld, ProcessWorld, Remembered, WorldError};
use std::fmt;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The names of those that are built in, and of those whose pages are installed.
pub const NAMED: [&str; 2] = ["crafter", miniwob::NAME];

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
    /// Pages of the web.
    Web(WebSettings),
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
            Self::Described(Described::Web(site)) => {
                browser(site.program.as_deref())?;
                let open = site.clone().open().map_err(|error| {
                    Failure::new(Kind::Usage, format!("the environment cannot be used: {error}"))
                        .hint("`environment` of the agent file describes it; examples/web has one")
                })?;
                Ok(Box::new(open))
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
    if name == miniwob::NAME {
        return miniwob::open();
    }
    Err(Failure::unknown("environment", name, NAMED.into_iter())
        .hint(format!(
            "there is {}, and gym:ID; what an agent file describes can only be reached through it",
            NAMED.join(", ")
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

/// Makes sure that there is a browser, before anything else is loaded.
fn browser(program: Option<&Path>) -> Result<()> {
    let there = program.map_or_else(|| sojourn_browser::find().is_some(), Path::is_file);
    if there {
        return Ok(());
    }
    let at = program.map(|program| format!(" at {}", program.display())).unwrap_or_default();
    Err(Failure::new(Kind::NotFound, format!("no Chromium was found{at}"))
        .hint(format!(
            "install it (on Debian and Ubuntu: `apt-get install chromium`), or set {} to where it is",
            sojourn_browser::PROGRAM_VARIABLE
        ))
        .into())
}

/// Where the packages of an environment are: where a variable says, or in this user's cache.
fn place(variable: &str, name: &str) -> Result<PathBuf> {
    if let Some(place) = std::env::var_os(variable) {
        return Ok(place.into());
    }
    let dirs = directories::ProjectDirs::from("", "", "sojourn").ok_or_else(|| {
        Failure::new(Kind::Usage, "this system has no cache directory")
            .hint(format!("set {variable} to the directory that the packages go to"))
    })?;
    Ok(dirs.cache_dir().join(name))
}

/// Runs a command of Python, and tells the last of what it says if it fails.
async fn run_python(command: &mut Command) -> Result<()> {
    let done = command.kill_on_drop(true).output().await.map_err(|error| {
        Failure::new(Kind::Failure, format!("python3 cannot be started: {error}"))
            .hint("install Python 3.10 or later, with pip")
    })?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(Failure::new(Kind::Failure, format!("Python says: {}", last.join("\n")))
        .hint("`python3 -m pip --version` must be 22.3 or later")
        .into())
}
