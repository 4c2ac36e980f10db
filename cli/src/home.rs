//! The data directory of runs, memories and skills.

use crate::error::{Failure, Kind};
use anyhow::Result;
use sojourn_memory::{Store, Tenant};
use sojourn_skills::Library;
use sojourn_tools::EnvironmentRegistry;
use std::path::{Path, PathBuf};

/// The tenant of a home's memories: a home belongs to one person.
const TENANT: &str = "local";

/// A data directory: `sojourn.db` with the log and the memories, `library/` with the skills; and the environments that the
/// program knows.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
    environments: EnvironmentRegistry,
}

impl Home {
    /// The directory `asked` for, or the platform's: `~/.local/share/sojourn` on Linux.
    ///
    /// # Errors
    /// When the platform has none.
    pub fn find(asked: Option<PathBuf>, environments: EnvironmentRegistry) -> Result<Self> {
        if let Some(path) = asked {
            return Ok(Self { path, environments });
        }
        match directories::ProjectDirs::from("", "", "sojourn") {
            Some(dirs) => Ok(Self { path: dirs.data_dir().to_owned(), environments }),
            None => Err(Failure::new(Kind::Usage, "this system has no data directory for you")
                .hint("choose one with `--home DIR` or SOJOURN_HOME")
                .into()),
        }
    }

    /// Another directory with the same environments.
    #[must_use]
    pub fn at(&self, path: &Path) -> Self {
        Self { path: path.to_owned(), environments: self.environments.clone() }
    }

    /// The environments that the program knows by name.
    pub fn environments(&self) -> &EnvironmentRegistry {
        &self.environments
    }

    /// The path of the data directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the log and the memories.
    pub async fn store(&self) -> Result<Store> {
        Ok(Store::open(&self.path).await?)
    }

    /// Opens the skill library for changes.
    pub async fn library(&self) -> Result<Library> {
        Ok(Library::open(&self.library_path()).await?)
    }

    /// Opens the skill library for reading; `None` where there is none yet.
    pub async fn read_library(&self) -> Result<Option<Library>> {
        match Library::open_read_only(&self.library_path()).await {
            Ok(library) => Ok(Some(library)),
            Err(sojourn_skills::LibraryError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The tenant of the memories.
    pub fn tenant() -> Result<Tenant> {
        Ok(Tenant::new(TENANT)?)
    }

    /// The path of the skill library.
    pub fn library_path(&self) -> PathBuf {
        self.path.join("library")
    }
}
