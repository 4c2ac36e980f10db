//! MiniWoB++ as a named environment of agent files. The pages belong to a Python package that is installed separately.

use crate::{NAME, PACKAGE};
use async_trait::async_trait;
use sojourn_tools::{Availability, Environment, EnvironmentProvider, EnvironmentUnavailable, python};
use std::path::{Path, PathBuf};

/// The package with the pages.
const PACKAGES: python::Packages = python::Packages {
    variable: "SOJOURN_MINIWOB",
    name: NAME,
    is_installed,
    missing: "the pages of MiniWoB++ are not installed",
    remedy: "`sojourn environments install miniwob`",
};

/// Provides `miniwob` and its built-in agent file.
#[derive(Debug, Clone, Copy)]
pub struct MiniWobProvider;

#[async_trait]
impl EnvironmentProvider for MiniWobProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn description(&self) -> &'static str {
        "MiniWoB++: small tasks on web pages, in Chromium"
    }

    fn agent_file(&self, _name: &str) -> String {
        include_str!("../agent.toml").to_owned()
    }

    /// Its only name is that of its pages.
    fn name_chooses_code(&self) -> bool {
        false
    }

    fn availability(&self) -> Result<Availability, EnvironmentUnavailable> {
        PACKAGES.availability()
    }

    /// Installs the package without its dependencies, because only its pages are used.
    async fn install(
        &self,
        packages: &[String],
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<PathBuf, EnvironmentUnavailable> {
        if let Some(package) = packages.first() {
            return Err(EnvironmentUnavailable::Invalid {
                reason: format!("miniwob has no further packages: `{package}`"),
                remedy: PACKAGES.remedy.to_owned(),
            });
        }
        let directory = PACKAGES.directory()?;
        progress(format!("installing {PACKAGE} in {}", directory.display()));
        let pip =
            ["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-deps", "--upgrade"];
        let target = ["--target".into(), directory.clone().into_os_string(), PACKAGE.into()];
        std::fs::create_dir_all(&directory).map_err(|error| EnvironmentUnavailable::Failed {
            reason: format!("cannot create `{}`: {error}", directory.display()),
            remedy: format!("set {} to a directory that can be written", PACKAGES.variable),
        })?;
        python::run(pip.map(Into::into).into_iter().chain(target), &directory).await?;
        Ok(directory)
    }

    async fn open(&self, _name: &str) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
        let directory = PACKAGES.installed()?;
        sojourn_browser::require(None)?;
        match crate::open(&pages(&directory)) {
            Ok(world) => Ok(Box::new(world)),
            Err(error) => Err(EnvironmentUnavailable::Failed {
                reason: format!("cannot read the pages in `{}`: {error}", directory.display()),
                remedy: PACKAGES.remedy.to_owned(),
            }),
        }
    }
}

/// The package's folder of pages.
fn pages(directory: &Path) -> PathBuf {
    directory.join("miniwob/html")
}

fn is_installed(directory: &Path) -> bool {
    pages(directory).join("miniwob/click-test.html").is_file()
}
