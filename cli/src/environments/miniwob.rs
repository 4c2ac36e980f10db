//! MiniWoB++: the pages of a Python package, installed beside.

use crate::error::{Failure, Kind};
use crate::output;
use anyhow::Result;
use sojourn_tools::Environment;
use std::path::{Path, PathBuf};
use tokio::process::Command;

pub use sojourn_miniwob::NAME;

/// Where the package is: `SOJOURN_MINIWOB`, or `miniwob` in this user's cache.
///
/// # Errors
/// When the system has no cache directory.
pub fn place() -> Result<PathBuf> {
    super::place("SOJOURN_MINIWOB", NAME)
}

/// The folder of its pages.
pub fn pages(place: &Path) -> PathBuf {
    place.join("miniwob/html")
}

/// Whether it is installed there.
pub fn installed(place: &Path) -> bool {
    pages(place).join("miniwob/click-test.html").is_file()
}

/// The environment; no browser is started yet.
///
/// # Errors
/// When the package is not installed.
pub fn open() -> Result<Box<dyn Environment>> {
    let place = place()?;
    if !installed(&place) {
        return Err(Failure::new(Kind::NotFound, "the pages of MiniWoB++ are not installed")
            .hint("`sojourn environments install miniwob`")
            .into());
    }
    super::browser(None)?;
    Ok(Box::new(sojourn_miniwob::open(&pages(&place))?))
}

/// Installs the package from the package index, without what it depends on: only its pages are used.
///
/// # Errors
/// When there is no Python, or the package cannot be had.
pub async fn install() -> Result<PathBuf> {
    let place = place()?;
    output::note(format!("installing {} in {}", sojourn_miniwob::PACKAGE, place.display()));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-deps", "--upgrade"]);
    pip.arg("--target").arg(&place).arg(sojourn_miniwob::PACKAGE);
    super::run_python(&mut pip).await?;
    Ok(place)
}
