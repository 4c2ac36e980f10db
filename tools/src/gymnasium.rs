//! The environments of Gymnasium, a Python package that is installed separately, in its own virtual environment.
//!
//! `gym:ID` is the environment that Gymnasium registers under that id. `gym:ID?is_slippery=false&actions=left,down` sets
//! options, and names the actions.

use crate::{
    Availability, Environment, EnvironmentProvider, EnvironmentUnavailable, ProcessEnvironmentSettings,
    python,
};
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The program that serves a Gymnasium environment as JSON lines (tools/PROCESS.md).
const BRIDGE: &str = include_str!("../bridges/gym_bridge.py");
/// File name of the bridge in the directory of the packages.
const BRIDGE_FILE: &str = "gym_bridge.py";
/// Gymnasium and the packages with its environments.
const PACKAGES: python::Packages = python::Packages {
    variable: "SOJOURN_GYM",
    name: "gym",
    is_installed,
    missing: "Gymnasium is not installed",
    remedy: "`sojourn environments install gym PACKAGE…`, for example with the package minigrid",
};

/// Provides `gym:ID`.
#[derive(Debug, Clone, Copy)]
pub struct Gymnasium;

#[async_trait]
impl EnvironmentProvider for Gymnasium {
    fn name(&self) -> &'static str {
        "gym"
    }

    fn description(&self) -> &'static str {
        "an environment of Gymnasium, by its id"
    }

    fn usage(&self) -> &'static str {
        "gym:ID"
    }

    fn provides(&self, name: &str) -> bool {
        id(name).is_some()
    }

    fn availability(&self) -> Result<Availability, EnvironmentUnavailable> {
        PACKAGES.availability()
    }

    async fn install(
        &self,
        packages: &[String],
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<PathBuf, EnvironmentUnavailable> {
        let directory = PACKAGES.directory()?;
        std::fs::create_dir_all(&directory).map_err(|error| not_written(&directory, &error))?;
        let python = python_in(&directory).into_os_string();
        if !python_in(&directory).is_file() {
            progress(format!("creating a Python environment in {}", directory.display()));
            // Some systems package Python without `ensurepip`.
            let venv = ["-m", "venv", "--without-pip"].map(Into::into);
            python::run(venv.into_iter().chain([directory.clone().into_os_string()]), &directory).await?;
        }
        progress(format!("installing gymnasium {}", packages.join(" ")));
        let pip = ["-m", "pip", "--python"].map(Into::into).into_iter().chain([python]);
        let install = ["install", "--disable-pip-version-check", "--quiet", "gymnasium"].map(Into::into);
        let packages = packages.iter().map(|package| requirement(package).into());
        python::run(pip.chain(install).chain(packages), &directory).await?;
        write_bridge(&directory)?;
        Ok(directory)
    }

    async fn open(&self, name: &str) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
        let directory = PACKAGES.installed()?;
        // Another version of the program may have installed the packages with its own bridge.
        let bridge = directory.join(BRIDGE_FILE);
        if std::fs::read_to_string(&bridge).ok().as_deref() != Some(BRIDGE) {
            write_bridge(&directory)?;
        }
        let settings = settings(id(name).unwrap_or_default()).to_string();
        // Isolated, and not in the working directory: nothing that happens to be there is imported.
        let python = python_in(&directory).display().to_string();
        let command = vec![python, "-I".to_owned(), bridge.display().to_string(), settings];
        let settings = ProcessEnvironmentSettings { command, ..ProcessEnvironmentSettings::default() };
        let environment =
            settings.open_bridge(&directory).await.map_err(|error| EnvironmentUnavailable::Failed {
                reason: format!("{name} cannot be opened: {error}"),
                remedy: "packages with more environments: `sojourn environments install gym PACKAGE…`"
                    .to_owned(),
            })?;
        Ok(Box::new(environment))
    }
}

/// The part after `gym:`.
fn id(name: &str) -> Option<&str> {
    name.strip_prefix("gym:").filter(|id| !id.is_empty())
}

/// A package for pip, which runs in another directory: a relative path becomes absolute.
fn requirement(package: &str) -> String {
    let path = Path::new(package);
    let absolute = path.exists().then(|| std::path::absolute(path)).and_then(Result::ok);
    match absolute {
        Some(absolute) if package.contains('/') => absolute.display().to_string(),
        _ => package.to_owned(),
    }
}

fn is_installed(directory: &Path) -> bool {
    python_in(directory).is_file() && directory.join(BRIDGE_FILE).is_file()
}

fn python_in(directory: &Path) -> PathBuf {
    directory.join("bin/python")
}

/// The argument of the bridge for an id with options.
fn settings(id: &str) -> Value {
    let (id, query) = id.split_once('?').unwrap_or((id, ""));
    let mut make = Map::new();
    let mut actions = Value::Null;
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        if name == "actions" {
            actions = value.split(',').collect::<Vec<_>>().into();
        } else {
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            make.insert(name.to_owned(), value);
        }
    }
    let name = if query.is_empty() { format!("gym:{id}") } else { format!("gym:{id}?{query}") };
    json!({"name": name, "id": id, "make": make, "actions": actions})
}

/// Replaces the bridge atomically, because another process may read it.
fn write_bridge(directory: &Path) -> Result<(), EnvironmentUnavailable> {
    let new = directory.join(format!("{BRIDGE_FILE}.{}", std::process::id()));
    std::fs::write(&new, BRIDGE)
        .and_then(|()| std::fs::rename(&new, directory.join(BRIDGE_FILE)))
        .map_err(|error| not_written(directory, &error))
}

fn not_written(directory: &Path, error: &std::io::Error) -> EnvironmentUnavailable {
    EnvironmentUnavailable::Failed {
        reason: format!("cannot write to `{}`: {error}", directory.display()),
        remedy: format!("set {} to a directory that can be written", PACKAGES.variable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_values_and_actions_are_names() {
        let settings = settings("FrozenLake-v1?is_slippery=false&map_name=8x8&actions=left,down");
        let expected = json!({
            "name": "gym:FrozenLake-v1?is_slippery=false&map_name=8x8&actions=left,down",
            "id": "FrozenLake-v1",
            "make": {"is_slippery": false, "map_name": "8x8"},
            "actions": ["left", "down"],
        });
        assert_eq!(settings, expected);
        assert_eq!(super::settings("CartPole-v1")["make"], json!({}));
        assert_eq!((id("gym:"), id("crafter"), id("gym:a:b")), (None, None, Some("a:b")));
    }
}
