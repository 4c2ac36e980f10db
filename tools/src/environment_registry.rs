//! The environments that a program knows, and the one place where a new one is added.
//!
//! - **A world with a name** (`environment = "crafter"`): write a crate that implements [`Environment`] and, for its name,
//!   [`EnvironmentProvider`]; then add `.with(YourProvider)` to the registry in `sojourn/src/main.rs`. Nothing else in the
//!   product names it.
//! - **A world that an agent file describes** (`[environment] kind = "web"`): implement [`DescribedEnvironment`] for its
//!   settings, and add a variant to `EnvironmentDescription` in `cli/src/environments.rs`.

use crate::{
    Environment, McpEnvironmentSettings, ProcessEnvironmentSettings, RemoteEnvironmentError, nearest,
};
use async_trait::async_trait;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether an environment can be opened on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// It is part of the program.
    BuiltIn,
    /// Its files are in this directory.
    Installed(PathBuf),
    /// Its files are not in the directory where they would be.
    NotInstalled(PathBuf),
}

/// A JavaScript reflex that comes with an environment: its name and its source.
pub type BuiltInReflex = (&'static str, &'static str);

/// An environment that agent files name.
#[async_trait]
pub trait EnvironmentProvider: Send + Sync {
    /// The name in agent files and in `sojourn environments install`: "crafter".
    fn name(&self) -> &'static str;

    /// One line about the world, for lists.
    fn description(&self) -> &'static str;

    /// How an agent file names it: the name, or a pattern such as "gym:ID".
    fn usage(&self) -> &'static str {
        self.name()
    }

    /// Whether `name`, from an agent file, means this environment.
    fn provides(&self, name: &str) -> bool {
        name == self.name()
    }

    /// The text of the agent file that `sojourn run NAME` uses when there is no file of that name.
    fn agent_file(&self, name: &str) -> String {
        format!("environment = {name:?}\n")
    }

    /// The reflexes of that agent file, in order of priority.
    fn reflexes(&self) -> &'static [BuiltInReflex] {
        &[]
    }

    /// A world that needs neither files nor other programs. A replay steps it again; `None` makes the log answer instead.
    fn in_process(&self) -> Option<Box<dyn Environment>> {
        None
    }

    /// Whether it can be opened.
    ///
    /// # Errors
    /// When the system has no directory for its files.
    fn availability(&self) -> Result<Availability, EnvironmentUnavailable> {
        Ok(Availability::BuiltIn)
    }

    /// Fetches its files, with `packages` besides; `progress` receives one line for each step. Returns their directory.
    ///
    /// # Errors
    /// When there is nothing to install, or the files cannot be fetched.
    async fn install(
        &self,
        packages: &[String],
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<PathBuf, EnvironmentUnavailable> {
        let _ = (packages, progress);
        Err(EnvironmentUnavailable::Failed {
            reason: format!("`{}` is built in: there is nothing to install", self.name()),
            remedy: format!("`sojourn run {}` uses it", self.name()),
        })
    }

    /// The world that `name` means, not reset yet.
    ///
    /// # Errors
    /// When it is not installed or cannot be started.
    async fn open(&self, name: &str) -> Result<Box<dyn Environment>, EnvironmentUnavailable>;
}

/// An environment that an agent file describes by a table with a `kind`.
#[async_trait]
pub trait DescribedEnvironment: Send + Sync {
    /// The environment variable whose value must not get into a log.
    fn secret(&self) -> Option<&str> {
        None
    }

    /// The world, not reset yet. Programs are started in `directory`, the agent file's.
    ///
    /// # Errors
    /// When the description cannot be used, or the program or server cannot be reached.
    async fn open_in(&self, directory: &Path) -> Result<Box<dyn Environment>, EnvironmentUnavailable>;
}

#[async_trait]
impl DescribedEnvironment for ProcessEnvironmentSettings {
    async fn open_in(&self, directory: &Path) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
        Ok(Box::new(self.clone().open(directory).await?))
    }
}

#[async_trait]
impl DescribedEnvironment for McpEnvironmentSettings {
    fn secret(&self) -> Option<&str> {
        self.token_env.as_deref()
    }

    async fn open_in(&self, directory: &Path) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
        Ok(Box::new(self.clone().open(directory).await?))
    }
}

/// Why an environment cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentUnavailable {
    /// No environment has this name.
    #[error("no environment named `{name}`{}", meant(nearest.as_deref()))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// A known name that looks like it.
        nearest: Option<String>,
        /// How the known environments are named, separated by commas.
        known: String,
    },
    /// Files or programs that it needs are not on this machine.
    #[error("{missing}")]
    NotInstalled {
        /// "the pages of MiniWoB++ are not installed".
        missing: String,
        /// What to do about it.
        remedy: String,
    },
    /// The agent file's description of it cannot be used.
    #[error("{reason}")]
    Invalid {
        /// What is wrong with the description.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// It was found and does not work.
    #[error("{reason}")]
    Failed {
        /// What failed, and why.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
}

impl EnvironmentUnavailable {
    /// What the user can do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unknown { known, .. } => {
                format!("known are {known}; the environment of an agent file is opened by naming the file")
            }
            Self::NotInstalled { remedy, .. }
            | Self::Invalid { remedy, .. }
            | Self::Failed { remedy, .. } => remedy.clone(),
        }
    }
}

impl From<RemoteEnvironmentError> for EnvironmentUnavailable {
    fn from(error: RemoteEnvironmentError) -> Self {
        Self::Failed {
            reason: format!("the environment cannot be used: {error}"),
            remedy: "`environment` of the agent file describes it; `sojourn environments check` tries one"
                .to_owned(),
        }
    }
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// The environments that a program knows by name. A clone shares the providers.
#[derive(Clone, Default)]
pub struct EnvironmentRegistry {
    providers: Vec<Arc<dyn EnvironmentProvider>>,
}

impl EnvironmentRegistry {
    /// A registry without environments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an environment. Where two provide the same name, the first one added is used.
    #[must_use]
    pub fn with(mut self, provider: impl EnvironmentProvider + 'static) -> Self {
        self.providers.push(Arc::new(provider));
        self
    }

    /// All of them, in the order in which they were added.
    pub fn providers(&self) -> impl Iterator<Item = &dyn EnvironmentProvider> {
        self.providers.iter().map(AsRef::as_ref)
    }

    /// The provider of `name`, if there is one.
    pub fn get(&self, name: &str) -> Option<&dyn EnvironmentProvider> {
        self.providers().find(|provider| provider.provides(name))
    }

    /// The provider whose own name is `name`: "gym", where [`get`](Self::get) wants "gym:ID".
    ///
    /// # Errors
    /// When there is none, with the nearest name.
    pub fn named(&self, name: &str) -> Result<&dyn EnvironmentProvider, EnvironmentUnavailable> {
        self.providers().find(|provider| provider.name() == name).ok_or_else(|| self.unknown(name))
    }

    /// The world that `name` means, not reset yet.
    ///
    /// # Errors
    /// When no environment has that name, with the nearest one, or it cannot be opened.
    pub async fn open(&self, name: &str) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
        match self.get(name) {
            Some(provider) => provider.open(name).await,
            None => Err(self.unknown(name)),
        }
    }

    /// A new world of that name, where it is one that a replay can step again.
    pub fn in_process(&self, name: &str) -> Option<Box<dyn Environment>> {
        self.get(name)?.in_process()
    }

    fn unknown(&self, name: &str) -> EnvironmentUnavailable {
        let usages: Vec<&str> = self.providers().map(EnvironmentProvider::usage).collect();
        EnvironmentUnavailable::Unknown {
            name: name.to_owned(),
            nearest: nearest(name, self.providers().map(EnvironmentProvider::name)),
            known: usages.join(", "),
        }
    }
}

impl fmt::Debug for EnvironmentRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.providers().map(EnvironmentProvider::usage)).finish()
    }
}
