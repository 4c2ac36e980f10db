//! Gymnasium, in a Python environment of its own.
//!
//! `gym:ID` is the environment that Gymnasium knows by that id; `gym:ID?is_slippery=false&actions=left,down` gives it
//! options, and names to actions that have none.

use super::run_python;
use crate::error::{Failure, Kind};
use crate::output;
use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use sojourn_tools::{Environment, ProcessWorld};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Speaks for Gymnasium in lines of JSON.
const BRIDGE: &str = include_str!("../../../tools/bridges/gym_bridge.py");
/// Where it is, in the place that packages are installed to.
const BRIDGE_FILE: &str = "gym_bridge.py";

/// What comes after `gym:`, if that is what the name begins with.
pub fn id(name: &str) -> Option<&str> {
    name.strip_prefix("gym:").filter(|id| !id.is_empty())
}

/// Where its packages are: `SOJOURN_GYM`, or `gym` in this user's cache.
///
/// # Errors
/// When the system has no cache directory.
pub fn place() -> Result<PathBuf> {
    super::place("SOJOURN_GYM", "gym")
}

/// Whether it is installed there.
pub fn installed(place: &Path) -> bool {
    python(place).is_file() && place.join(BRIDGE_FILE).is_file()
}

/// The environment of this id, started.
///
/// # Errors
/// When Gymnasium is not installed, or does not know the id.
pub async fn open(id: &str) -> Result<Box<dyn Environment>> {
    let place = place()?;
    if !installed(&place) {
        return Err(Failure::new(Kind::NotFound, "Gymnasium is not installed")
            .hint("`sojourn environments install gym PACKAGE…`, for example with the package minigrid")
            .into());
    }
    // The bridge is this program's, whichever one installed the packages.
    let bridge = place.join(BRIDGE_FILE);
    if std::fs::read_to_string(&bridge).ok().as_deref() != Some(BRIDGE) {
        write(&place)?;
    }
    let command =
        vec![python(&place).display().to_string(), bridge.display().to_string(), settings(id).to_string()];
    let world = ProcessWorld { command, env: Vec::new(), timeout_ms: None };
    let world = world.open(Path::new("")).await.map_err(|error| {
        Failure::new(Kind::Failure, format!("gym:{id} cannot be opened: {error}"))
            .hint("packages with more environments: `sojourn environments install gym PACKAGE…`")
    })?;
    Ok(Box::new(world))
}

/// What the bridge is told.
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

/// Installs Gymnasium and other packages from the package index, in a Python environment of their own.
///
/// # Errors
/// When there is no Python, or a package cannot be had.
pub async fn install(packages: &[String]) -> Result<PathBuf> {
    let place = place()?;
    std::fs::create_dir_all(&place).with_context(|| format!("cannot make `{}`", place.display()))?;
    if !python(&place).is_file() {
        output::note(format!("a Python environment in {}", place.display()));
        // Not every system has the part of Python that brings pip along.
        run_python(Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&place)).await?;
    }
    output::note(format!("installing gymnasium {}", packages.join(" ")));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--python"]).arg(python(&place));
    pip.args(["install", "--disable-pip-version-check", "--quiet", "gymnasium"]).args(packages);
    run_python(&mut pip).await?;
    write(&place)?;
    Ok(place)
}

fn python(place: &Path) -> PathBuf {
    place.join("bin/python")
}

/// Puts the bridge where it is started from; another process may be reading the one that is there.
fn write(place: &Path) -> Result<()> {
    let new = place.join(format!("{BRIDGE_FILE}.{}", std::process::id()));
    std::fs::write(&new, BRIDGE)
        .and_then(|()| std::fs::rename(&new, place.join(BRIDGE_FILE)))
        .with_context(|| format!("cannot write to `{}`", place.display()))
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
