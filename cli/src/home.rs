//! Where runs, memories and skills are kept.

use crate::error::{Failure, Kind};
use anyhow::Result;
use sojourn_memory::{Store, Tenant};
use sojourn_skills::Library;
use std::path::{Path, PathBuf};

/// Whose memories a home keeps: it belongs to one person.
const TENANT: &str = "local";

/// A data directory: `sojourn.db` with the log and the memories, `library/` with the skills.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Home {
    /// The directory that was asked for, or the platform's: `~/.local/share/sojourn` on Linux.
    ///
    /// # Errors
    /// When the platform has none.
    pub fn find(asked: Option<PathBuf>) -> Result<Self> {
        if let Some(path) = asked {
            return Ok(Self(path));
        }
        directories::ProjectDirs::from("", "", "sojourn")
            .map(|dirs| Self(dirs.data_dir().to_owned()))
            .ok_or_else(|| {
                Failure::new(Kind::Usage, "this system has no data directory for you")
                    .hint("choose one with `--home DIR` or SOJOURN_HOME")
                    .into()
            })
    }

    /// A home in this directory.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Opens the log and the memories.
    pub async fn store(&self) -> Result<Store> {
        Ok(Store::open(&self.0).await?)
    }

    /// Opens the skill library to change it.
    pub async fn library(&self) -> Result<Library> {
        Ok(Library::open(&self.library_path()).await?)
    }

    /// Opens the skill library to look only; `None` where there is none yet.
    pub async fn read_library(&self) -> Result<Option<Library>> {
        match Library::open_read_only(&self.library_path()).await {
            Ok(library) => Ok(Some(library)),
            Err(sojourn_skills::LibraryError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whose memories are kept here.
    pub fn tenant() -> Result<Tenant> {
        Ok(Tenant::new(TENANT)?)
    }

    fn library_path(&self) -> PathBuf {
        self.0.join("library")
    }
}
