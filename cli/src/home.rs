//! The data directory of runs, memories and skills, and where their tables are.

use crate::error::{Failure, Kind};
use anyhow::Result;
use sojourn_memory::{Owner, Server, Store, Tenant};
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
    /// Where its tables are, if not in the directory.
    server: Option<Server>,
    environments: EnvironmentRegistry,
}

/// Environment variable with the address of the store, as `--store`.
pub const STORE: &str = "SOJOURN_STORE";
/// Environment variable of the processes that carry out runs for another one: its name. Of these, a new one takes over at once what
/// a dead one had.
pub const OWNER: &str = "SOJOURN_OWNER";

impl Home {
    /// The directory `asked` for, or the platform's: `~/.local/share/sojourn` on Linux.
    ///
    /// # Errors
    /// When the platform has none.
    pub fn find(asked: Option<PathBuf>, environments: EnvironmentRegistry) -> Result<Self> {
        let server = None;
        if let Some(path) = asked {
            return Ok(Self { path, server, environments });
        }
        match directories::ProjectDirs::from("", "", "sojourn") {
            Some(dirs) => Ok(Self { path: dirs.data_dir().to_owned(), server, environments }),
            None => Err(Failure::new(Kind::Usage, "this system has no data directory for you")
                .hint("choose one with `--home DIR` or SOJOURN_HOME")
                .into()),
        }
    }

    /// The same directory with the tables at the address `store`, if there is one.
    ///
    /// # Errors
    /// When it is no address of a store.
    pub fn with_store(self, store: Option<&str>) -> Result<Self> {
        let server = store
            .map(str::parse)
            .transpose()
            .map_err(|error: sojourn_memory::BadUrl| Failure::new(Kind::Usage, error.to_string()))?;
        Ok(Self { server, ..self })
    }

    /// Another directory with the same environments. Its tables are in it.
    #[must_use]
    pub fn at(&self, path: &Path) -> Self {
        Self { path: path.to_owned(), server: None, environments: self.environments.clone() }
    }

    /// Another directory with the same environments, and with its tables in `server`.
    #[must_use]
    pub fn at_server(&self, path: &Path, server: &Server) -> Self {
        Self { server: Some(server.clone()), ..self.at(path) }
    }

    /// Where the tables are, if not in the directory.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// Where the tables are, for people: the directory, or the address without its password.
    pub fn place(&self) -> String {
        self.server.as_ref().map_or_else(|| self.path.display().to_string(), ToString::to_string)
    }

    /// The variables that tell another process of this program where the tables are.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.server.iter().map(|server| (STORE, server.url().to_owned()))
    }

    /// Refuses where the tables are in the directory: `what` works with a server only.
    ///
    /// # Errors
    /// Where they are.
    pub fn needs_server(&self, what: &str) -> Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        Err(Failure::new(Kind::Usage, format!("{what} needs a store that several machines can reach"))
            .hint(format!("give `--store postgres://USER@HOST/DATABASE`, or set {STORE}"))
            .into())
    }

    /// Refuses where the tables are in a server: `what` works with a home's own tables only. `instead` says what does.
    ///
    /// # Errors
    /// Where they are.
    pub fn only_local(&self, what: &str, instead: &str) -> Result<()> {
        match &self.server {
            None => Ok(()),
            Some(server) => {
                Err(Failure::new(Kind::Usage, format!("{what} does not work with the store `{server}` yet"))
                    .hint(format!("{instead}; without `--store` and {STORE} the home's own tables are used"))
                    .into())
            }
        }
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
        match &self.server {
            None => Ok(Store::open(&self.path).await?),
            Some(server) => {
                let owner = std::env::var(OWNER).map_or_else(|_| Owner::alone(), |name| Owner::named(&name));
                Ok(Store::connect(&self.path, server, owner).await?)
            }
        }
    }

    /// Opens the skill library for changes.
    pub async fn library(&self) -> Result<Library> {
        match &self.server {
            None => Ok(Library::open(&self.library_path()).await?),
            Some(server) => {
                let files = self.store().await?.derived().await?.join("library");
                Ok(Library::connect(&files, server).await?)
            }
        }
    }

    /// Opens the skill library for reading; `None` where there is none yet.
    pub async fn read_library(&self) -> Result<Option<Library>> {
        if self.server.is_some() {
            return Ok(Some(self.library().await?));
        }
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

    /// The path of the home's own skill library.
    pub fn library_path(&self) -> PathBuf {
        self.path.join("library")
    }
}
