//! Minecraft as a named environment of agent files. Its packages are installed separately.

use crate::options::{Options, query};
use crate::{node, world_files};
use async_trait::async_trait;
use sojourn_tools::{
    Availability, BuiltInReflex, Environment, EnvironmentProvider, EnvironmentUnavailable,
    ProcessEnvironmentSettings, python,
};
use std::path::{Path, PathBuf};

pub(crate) const NAME: &str = "minecraft";
/// The lock file as it was when all packages had been installed.
const INSTALLED: &str = "installed-lock.json";
/// Data of another edition of the game, three quarters of the packages' size: of its folders only one is read.
const OTHER_EDITION: &str = "node_modules/minecraft-data/minecraft-data/data/bedrock";
const READ: &str = "common";
/// Time limit of a call, in milliseconds. The actions limit themselves in game time, which on a server is real time.
const TIMEOUT_MS: u64 = 15 * 60 * 1000;
/// The packages.
const PACKAGES: python::Packages = python::Packages {
    variable: "SOJOURN_MINECRAFT",
    name: NAME,
    is_installed,
    missing: "the packages of Minecraft are not installed, or belong to another version of this program",
    remedy: "`sojourn environments install minecraft`",
};

/// Provides `minecraft` and its built-in agent file.
#[derive(Debug, Clone, Copy)]
pub struct MinecraftProvider;

#[async_trait]
impl EnvironmentProvider for MinecraftProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn description(&self) -> &'static str {
        "Minecraft's technology tree in a small world, or on your server"
    }

    fn provides(&self, name: &str) -> bool {
        query(name).is_some()
    }

    fn agent_file(&self, name: &str) -> String {
        let own = format!("environment = {NAME:?}");
        include_str!("../agent.toml").replace(&own, &format!("environment = {name:?}"))
    }

    fn reflexes(&self, _name: &str) -> &'static [BuiltInReflex] {
        &[("stay_alive", include_str!("../reflexes/stay_alive.js"))]
    }

    fn availability(&self) -> Result<Availability, EnvironmentUnavailable> {
        PACKAGES.availability()
    }

    async fn install(
        &self,
        packages: &[String],
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<PathBuf, EnvironmentUnavailable> {
        if let Some(package) = packages.first() {
            return Err(EnvironmentUnavailable::Invalid {
                reason: format!("{NAME} has no further packages: `{package}`"),
                remedy: PACKAGES.remedy.to_owned(),
            });
        }
        let directory = PACKAGES.directory()?;
        if is_installed(&directory) && node::find(&directory).await.is_ok() {
            progress("all packages are installed already".to_owned());
            return Ok(directory);
        }
        let written = |error: std::io::Error| not_written(&directory, &error);
        world_files::replace(&directory.join("package.json"), world_files::PACKAGE).map_err(written)?;
        world_files::replace(&directory.join("package-lock.json"), world_files::LOCK).map_err(written)?;
        let with_node = node::system_version(&directory).await.is_none_or(|major| major < node::OLDEST);
        let and_node = if with_node { ", and a Node.js for it," } else { "" };
        progress(format!("installing mineflayer and flying-squid{and_node} in {}", directory.display()));
        node::install_packages(&directory, with_node).await?;
        remove_unused(&directory.join(OTHER_EDITION)).map_err(written)?;
        world_files::replace(&directory.join(INSTALLED), world_files::LOCK).map_err(written)?;
        Ok(directory)
    }

    async fn open(&self, name: &str) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
        let options = Options::parse(query(name).unwrap_or_default())?;
        let directory = PACKAGES.installed()?;
        let node = node::find(&directory).await?;
        let program = world_files::write(&directory).map_err(|error| not_written(&directory, &error))?;
        let elsewhere = options.server.is_some();
        let line = [node, "--max-old-space-size=1024".to_owned(), program.display().to_string()];
        let settings = ProcessEnvironmentSettings {
            command: line.into_iter().chain(options.arguments()).collect(),
            timeout_ms: Some(TIMEOUT_MS),
            // What is done on a server happens to other people.
            practice: elsewhere.then_some(false),
            // The small world shows nothing that it did not make itself.
            trusted: !elsewhere,
            ..ProcessEnvironmentSettings::default()
        };
        let environment =
            settings.open(&directory).await.map_err(|error| EnvironmentUnavailable::Failed {
                reason: format!("{name} cannot be opened: {error}"),
                remedy: format!("{} installs the packages again", PACKAGES.remedy),
            })?;
        Ok(Box::new(environment))
    }
}

fn is_installed(directory: &Path) -> bool {
    std::fs::read_to_string(directory.join(INSTALLED)).is_ok_and(|lock| lock == world_files::LOCK)
}

fn remove_unused(edition: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(edition)? {
        let entry = entry?;
        if entry.file_name() != READ && entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn not_written(directory: &Path, error: &std::io::Error) -> EnvironmentUnavailable {
    EnvironmentUnavailable::Failed {
        reason: format!("cannot write to `{}`: {error}", directory.display()),
        remedy: format!("set {} to a directory that can be written", PACKAGES.variable),
    }
}
