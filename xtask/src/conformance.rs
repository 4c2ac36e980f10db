//! What the Model Context Protocol's own conformance suite says of our client, in both generations of the protocol.

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Versions of the suite, and what is asked of each: the first knows the protocols with a handshake, the second the one without.
const SUITES: [(&str, &[&str]); 2] =
    [("0.1.16", &["--suite", "all"]), ("0.2.0-alpha.12", &["--requirements", "2026-07-28"])];
/// The suite crashes on older ones.
const NODE: &str = "node@22";
/// Milliseconds that a scenario may take.
const PATIENCE: &str = "30000";

/// Runs it: all scenarios, or those that are named.
///
/// # Errors
/// When a suite cannot be had, or a scenario fails.
pub fn run(scenarios: &[String]) -> Result<()> {
    let client = client()?;
    let mut failed = Vec::new();
    for (version, all) in SUITES {
        let place = installed(version)?;
        let asked: Vec<Vec<&str>> = if scenarios.is_empty() {
            vec![all.to_vec()]
        } else {
            scenarios.iter().map(|name| vec!["--scenario", name.as_str()]).collect()
        };
        for words in asked {
            let label = format!("{version} {}", words.join(" "));
            let status = Command::new(place.join("node"))
                .arg(place.join("conformance"))
                .args(["client", "--timeout", PATIENCE, "--command"])
                .arg(&client)
                .args(words)
                .env("PATH", with(&place)?)
                .status()
                .context("the suite cannot be started")?;
            if !status.success() {
                failed.push(label);
            }
        }
    }
    if !failed.is_empty() {
        bail!("not all scenarios passed: {}", failed.join(", "));
    }
    Ok(())
}

/// The binaries of a version of the suite, fetched once into the user's cache.
fn installed(version: &str) -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .context("there is no cache directory: set HOME or XDG_CACHE_HOME")?;
    let place = cache.join("sojourn/npm/conformance").join(version);
    let binaries = place.join("node_modules/.bin");
    if binaries.join("conformance").exists() && binaries.join("node").exists() {
        return Ok(binaries);
    }
    std::fs::create_dir_all(&place)?;
    let status = Command::new("npm")
        .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
        .arg(&place)
        .arg(NODE)
        .arg(format!("@modelcontextprotocol/conformance@{version}"))
        .status()
        .context("npm cannot be started: it comes with Node.js")?;
    if !status.success() {
        bail!("npm could not install the suite {version}");
    }
    Ok(binaries)
}

/// The client that the suite looks at, built.
fn client() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--workspace", "--example", "mcp_conformance_client"])
        .current_dir(&root)
        .status()?;
    if !status.success() {
        bail!("the client could not be built");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("debug/examples/mcp_conformance_client").canonicalize()?)
}

/// The search path with `place` before all else.
fn with(place: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(place.to_owned()).chain(std::env::split_paths(&path)))?)
}
