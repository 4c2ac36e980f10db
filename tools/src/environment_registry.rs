//! The environments that a program can open, and the place where a new one is added.
//!
//! - **An environment with a name** (`environment = "crafter"`): write a crate that implements [`Environment`], and
//!   [`EnvironmentProvider`] for its name. Then add `.with(YourProvider)` to the registry in `sojourn/src/lib.rs`.
//!   No other code names it.
//! - **An environment that an agent file describes** (`[environment] kind = "web"`): implement [`DescribedEnvironment`] for its
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
    /// The program contains it.
    BuiltIn,
    /// Its files are in this directory.
    Installed(PathBuf),
    /// Its files are missing from this directory.
    NotInstalled(PathBuf),
}

/// A JavaScript reflex of an environment: its name and its source.
pub type BuiltInReflex = (&'static str, &'static str);

/// An environment that agent files select by name.
#[async_trait]
pub trait EnvironmentProvider: Send + Sync {
    /// The name in agent files and in `sojourn environments install`: "crafter".
    fn name(&self) -> &'static str;

    /// One line about the environment, for lists.
    fn description(&self) -> &'static str;

    /// Form of the name in agent files: the name itself, or a pattern such as "gym:ID".
    fn usage(&self) -> &'static str {
        self.name()
    }

    /// Whether `name`, from an agent file, selects this environment.
    fn provides(&self, name: &str) -> bool {
        name == self.name()
    }

    /// The text of the agent file that `sojourn run NAME` uses when there is no file of that name.
    fn agent_file(&self, name: &str) -> String {
        format!("environment = {name:?}\n")
    }

    /// The reflexes of the agent file of `name`, in order of priority.
    fn reflexes(&self, name: &str) -> &'static [BuiltInReflex] {
        let _ = name;
        &[]
    }

    /// A new environment `name` that needs neither files nor other programs. A replay executes it again; with `None` a replay
    /// reads the observations from the log.
    fn in_process(&self, name: &str) -> Option<Box<dyn Environment>> {
        let _ = name;
        None
    }

    /// Whether a name of this environment chooses code that opening it executes, as `gym:MODULE:ENV` does. Such a name is opened
    /// only if the user gave it, not where an imported skill has it. By default true for all that is not
    /// [`in_process`](Self::in_process).
    fn name_chooses_code(&self) -> bool {
        self.in_process(self.name()).is_none()
    }

    /// Whether the environment can be opened on this machine.
    ///
    /// # Errors
    /// The system has no directory for its files.
    fn availability(&self) -> Result<Availability, EnvironmentUnavailable> {
        Ok(Availability::BuiltIn)
    }

    /// Downloads the files of the environment and the additional `packages`, and returns their directory. `progress`
    /// receives one line per step.
    ///
    /// # Errors
    /// There is nothing to install, or the download fails.
    async fn install(
        &self,
        packages: &[String],
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<PathBuf, EnvironmentUnavailable> {
        let _ = (packages, progress);
        Err(EnvironmentUnavailable::Invalid {
            reason: format!("`{}` is built in: there is nothing to install", self.name()),
            remedy: format!("`sojourn run {}` uses it", self.name()),
        })
    }

    /// Opens the environment `name`. The caller resets it.
    ///
    /// # Errors
    /// The environment is not installed or does not start.
    async fn open(&self, name: &str) -> Result<Box<dyn Environment>, EnvironmentUnavailable>;
}

/// An environment that an agent file describes by a table with a `kind`.
#[async_trait]
pub trait DescribedEnvironment: Send + Sync {
    /// Names of the environment variables whose values are redacted in logs.
    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Names of the environment variables that its program sees. Their values are redacted too.
    fn env(&self) -> &[String] {
        &[]
    }

    /// Checks that the servers which an episode starts at can be reached. By default there are none.
    ///
    /// # Errors
    /// One of them cannot be reached.
    async fn check_reachable(&self) -> Result<(), EnvironmentUnavailable> {
        Ok(())
    }

    /// Opens the environment. Programs start in `directory`, the directory of the agent file. The caller resets the
    /// environment.
    ///
    /// # Errors
    /// The description is invalid, or the program or server cannot be reached.
    async fn open_in(&self, directory: &Path) -> Result<Box<dyn Environment>, EnvironmentUnavailable>;
}

#[async_trait]
impl DescribedEnvironment for ProcessEnvironmentSettings {
    fn env(&self) -> &[String] {
        &self.env
    }

    async fn open_in(&self, directory: &Path) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
        Ok(Box::new(self.clone().open(directory).await?))
    }
}

#[async_trait]
impl DescribedEnvironment for McpEnvironmentSettings {
    fn secrets(&self) -> Vec<&str> {
        self.token_env.as_deref().into_iter().collect()
    }

    fn env(&self) -> &[String] {
        &self.env
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
        /// The most similar known name.
        nearest: Option<String>,
        /// Usages of the known environments, separated by commas.
        known: String,
    },
    /// Files or programs that the environment needs are not installed.
    #[error("{missing}")]
    NotInstalled {
        /// "the pages of MiniWoB++ are not installed".
        missing: String,
        /// What the user can do.
        remedy: String,
    },
    /// The description in the agent file, or the request to install, is invalid.
    #[error("{reason}")]
    Invalid {
        /// Which part is invalid and why; it is the whole message.
        reason: String,
        /// What the user can do.
        remedy: String,
    },
    /// The environment is installed and fails.
    #[error("{reason}")]
    Failed {
        /// What failed, and why.
        reason: String,
        /// What the user can do.
        remedy: String,
    },
}

impl EnvironmentUnavailable {
    /// What the user can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unknown { known, .. } => {
                format!(
                    "known are {known}; the environment of an agent file is opened by naming the file, in `skills` and `mcp` with `--agent`"
                )
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

/// The environments that a program can open by name. A clone shares the providers.
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

    /// All providers, in the order of their addition.
    pub fn providers(&self) -> impl Iterator<Item = &dyn EnvironmentProvider> {
        self.providers.iter().map(AsRef::as_ref)
    }

    /// The provider that [`provides`](EnvironmentProvider::provides) `name`.
    pub fn get(&self, name: &str) -> Option<&dyn EnvironmentProvider> {
        self.providers().find(|provider| provider.provides(name))
    }

    /// The provider whose own name is `name`: "gym", where [`get`](Self::get) wants "gym:ID".
    ///
    /// # Errors
    /// No provider has that name; the error has the most similar one.
    pub fn named(&self, name: &str) -> Result<&dyn EnvironmentProvider, EnvironmentUnavailable> {
        self.providers().find(|provider| provider.name() == name).ok_or_else(|| self.unknown(name))
    }

    /// Opens the environment `name`. The caller resets it.
    ///
    /// # Errors
    /// No environment has that name, or the environment cannot be opened.
    pub async fn open(&self, name: &str) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
        match self.get(name) {
            Some(provider) => provider.open(name).await,
            None => Err(self.unknown(name)),
        }
    }

    /// Whether opening `name` executes code that the name chooses: see [`EnvironmentProvider::name_chooses_code`].
    ///
    /// # Errors
    /// No environment has that name.
    pub fn name_chooses_code(&self, name: &str) -> Result<bool, EnvironmentUnavailable> {
        let provider = self.get(name).ok_or_else(|| self.unknown(name))?;
        Ok(provider.name_chooses_code())
    }

    /// A new environment of that name, if a replay can execute it again.
    pub fn in_process(&self, name: &str) -> Option<Box<dyn Environment>> {
        self.get(name)?.in_process(name)
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
