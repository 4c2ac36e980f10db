//! The agent file: the environment that an agent lives in, the models that it uses, its tools, and how it learns.
//!
//! The documentation of each key here is the agent file reference: [`schema`] carries it.

mod apply;
mod controller;
mod goals;
mod overrides;
mod read;
#[cfg(test)]
mod tests;

pub use controller::{ControllerKind, ControllerSettings};
pub use goals::{Discover, Goal};
pub use overrides::assign;

use crate::approver;
use crate::environments::EnvironmentChoice;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::vectors::Vectors;
use crate::{ears, eyes, waiting};
use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use sojourn_core::{RedactedEnvironment, Redactor, ReflexSource, RunConfig};
use sojourn_sandbox::LimitSettings;
use sojourn_service::notify::NotifySettings;
use sojourn_tools::builtin::SeeSettings;
use sojourn_tools::{
    CallLimits, Environment, EnvironmentRegistry, PerceivedEnvironment, PolicedEnvironment, Policies,
    PolicyFile, SourceSettings, Toolbox,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a tool source may take to list its tools before the run starts without it.
const READY: Duration = Duration::from_secs(20);
/// How long it may take where a person only waits for the tools: longer than the handshake of a server.
const PATIENCE: Duration = Duration::from_secs(70);
/// How long it may take where a person signs in first.
const SIGNED_IN: Duration = Duration::from_mins(6);

/// An agent file.
///
/// Paths are relative to the file. `--set KEY=VALUE` overrides any key for one run: `--set run.actor.candidates=8`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentFile {
    /// The world that the agent lives in: the name of an environment (`sojourn environments list` shows them), or a table
    /// with `kind = "process"`, `"mcp"` or `"web"` that describes one.
    ///
    /// Required. Example: `environment = "crafter"`.
    pub environment: EnvironmentChoice,
    /// The controller's model: a name from `sojourn models list`, a `.gguf` file, or the name that the server at
    /// `controller.base_url` knows it by.
    ///
    /// Default: the catalogue's default chat model. Example: `model = "qwen2.5-coder-1.5b-instruct"`.
    pub model: Option<String>,
    /// The model that embeds memories for recall by meaning: a name from `sojourn models list`, a `.gguf` file, or
    /// `"none"`, which leaves recall by words.
    ///
    /// Default: the catalogue's default embedding model. Example: `embedding = "all-minilm-l6-v2"`.
    pub embedding: Option<String>,
    /// What the agent is to achieve, in words; each a text, or a table with `text`, `name` and `condition`. They come before the
    /// tasks of the environment. `sojourn run --goal` replaces them for one run.
    ///
    /// Default: none. Example: `goals = ["open the door"]`.
    #[schemars(with = "Vec<goals::GoalForm>")]
    #[serde(default)]
    pub goals: Vec<Goal>,
    /// How a world is looked at before a run, where it documents no tasks or a goal is only words.
    #[serde(default)]
    pub discover: Discover,
    /// JavaScript files of reflexes, in order of priority. The function in a file takes the state and returns the action
    /// to take before the agent acts, or `null`.
    ///
    /// Default: none. Example: `reflexes = ["reflexes/fight.js"]`.
    #[serde(default)]
    pub reflexes: Vec<PathBuf>,
    /// Environment variables whose values are replaced by their names in the log, in prompts and in errors, also where
    /// they are encoded (base64, hexadecimal, percent signs, JSON, HTML), numbers, or broken over lines. The controller's
    /// `api_key_env`, the secrets and `env` of tool sources and of the environment, and tokens of signing in are always
    /// among them. A value under six bytes is replaced only where it stands as a word of its own; one under four bytes is
    /// not, and a warning says so.
    ///
    /// Default: none. Example: `secrets = ["MY_TOKEN"]`.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Sources of tools besides the environment's own, by a name that becomes the prefix of their tools' names.
    ///
    /// Default: none. Example: `[tools.notes]`, `kind = "files"`, `root = "notes"`.
    #[serde(default)]
    pub tools: BTreeMap<String, SourceSettings>,
    /// Which calls of those tools are allowed, denied, or asked about: a table, or the name of a TOML file that holds one.
    ///
    /// Default: what only reads is allowed, everything else is asked about. Example: `policy = "policy.toml"`.
    #[serde(default)]
    pub policy: Option<PolicyPlace>,
    /// Recipients of messages about unattended runs.
    #[serde(default)]
    pub notify: NotifySettings,
    /// How the controller's model is run.
    #[serde(default)]
    pub controller: ControllerSettings,
    /// How the model of `[run.teacher]` is run: the keys of `[controller]`.
    #[serde(default)]
    pub teacher: ControllerSettings,
    /// Where the vectors of memories are kept.
    #[serde(default)]
    pub memory: MemorySettings,
    /// Limits of a skill's call and, in `[limits.reflex]`, of a reflex's tick. Absent keys keep the values of
    /// `run.actor.limits`: by default `fuel = 400_000_000` and `host_calls = 2000`, the others as listed.
    #[serde(default)]
    pub limits: LimitSettings,
    /// The settings of the run: seeds, budgets, and how skills, reflexes and lessons come about.
    #[serde(default)]
    pub run: RunConfig,
    /// The directory that paths are relative to.
    #[serde(skip)]
    pub directory: PathBuf,
    /// The reflexes of the built-in agent file; `None` where the agent file was read from a file.
    #[serde(skip)]
    pub built_in_reflexes: Option<Vec<ReflexSource>>,
}

/// Whether a variable of this name sets up a program and holds no secret.
fn is_setting(name: &str) -> bool {
    const SETTINGS: [&str; 11] =
        ["PATH", "HOME", "LANG", "TMPDIR", "TERM", "TZ", "USER", "SHELL", "PWD", "DISPLAY", "PYTHONPATH"];
    SETTINGS.contains(&name) || name.starts_with("LC_") || name.starts_with("XDG_")
}

/// Whether the value of a program's variable is a word that stands everywhere.
fn is_switch(value: &str) -> bool {
    const SWITCHES: [&str; 18] = [
        "true",
        "false",
        "none",
        "null",
        "yes",
        "no",
        "on",
        "off",
        "auto",
        "always",
        "never",
        "debug",
        "info",
        "warn",
        "warning",
        "error",
        "trace",
        "localhost",
    ];
    let value = value.trim();
    value.len() < 4 || SWITCHES.contains(&value.to_lowercase().as_str())
}

/// A policy, or the file that holds it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PolicyPlace {
    /// A TOML file, relative to the agent file.
    File(PathBuf),
    /// The policy itself.
    Here(PolicyFile),
}

/// The table `[memory]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// The index of the vectors: `"embedded"`, in this process, or a Qdrant server's address (in programs built with the
    /// feature `qdrant`).
    ///
    /// Default: the environment variable `SOJOURN_VECTORS`, else `"embedded"`. Example: `vectors = "qdrant://localhost:6334"`.
    pub vectors: Vectors,
}

/// The JSON Schema of an agent file, with the documentation of every key.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(AgentFile).to_value()
}

impl AgentFile {
    /// The world of this agent, not reset yet, under its policy and without its secrets.
    ///
    /// # Errors
    /// When no environment has that name, or it cannot be reached.
    pub async fn open_environment(&self, registry: &EnvironmentRegistry) -> Result<Box<dyn Environment>> {
        let environment = self.environment.open(registry, &self.directory).await?;
        let mut policies = Policies::default();
        if let Some(tools) = &self.run.tools {
            policies.add(&tools.policy)?;
        }
        let environment = PolicedEnvironment::wrap(environment, Arc::new(policies));
        // A world is looked at before there is a run, too.
        let environment = RedactedEnvironment::wrap(environment, &self.redactor());
        let source = self.run.tools.as_ref().and_then(|tools| self.tools.get(tools.eyes.as_ref()?));
        match source {
            Some(SourceSettings::See(settings)) if self.run.perceive => {
                let reader = eyes::picture_reader(settings)?;
                Ok(Box::new(PerceivedEnvironment::new(environment, reader)))
            }
            _ => Ok(environment),
        }
    }

    /// The reflexes' sources; each is named after its file.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn reflex_sources(&self) -> Result<Vec<ReflexSource>> {
        if let Some(reflexes) = &self.built_in_reflexes {
            return Ok(reflexes.clone());
        }
        let read = |path: &PathBuf| {
            let path = self.directory.join(path);
            let source = std::fs::read_to_string(&path).map_err(|error| {
                read::unreadable(&path, &error)
                    .hint("`reflexes` of the agent file names it; paths are relative to that file")
            })?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok(ReflexSource { name, source })
        };
        self.reflexes.iter().map(read).collect()
    }

    /// Replaces the values of the declared secrets, and of the variables that programs see, wherever something enters the
    /// log. A variable that is not set hides nothing.
    pub fn redactor(&self) -> Redactor {
        let value = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        let programs = self.environment.env().iter().chain(self.tools.values().flat_map(SourceSettings::env));
        let programs = programs.filter(|name| !is_setting(name)).filter_map(|name| value(name));
        let programs = programs.filter(|(_, value)| !is_switch(value));
        let keys = self.model_keys().map(String::as_str);
        let known = |key: &str| {
            let given =
                self.environment.env().iter().chain(self.tools.values().flat_map(SourceSettings::env));
            let mut given = self.secrets.iter().chain(given).map(String::as_str);
            let mut used =
                self.tools.values().flat_map(SourceSettings::secrets).chain(self.environment.secrets());
            given.any(|name| name == key) || used.any(|name| name == key)
        };
        Redactor::new(self.secret_names().filter_map(value).chain(programs))
            .with_unpictured(keys.filter(|key| !known(key)))
    }

    /// Refuses texts that hold a secret, before `keeper`, which is no log, keeps them. The pairs are what it is and the text.
    ///
    /// # Errors
    /// The first that does, by what it is.
    pub fn keep_secrets_from<'a>(
        &self,
        keeper: &str,
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<()> {
        let redactor = self.redactor();
        let Some((what, _)) = texts.into_iter().find(|(_, text)| redactor.text(text) != *text) else {
            return Ok(());
        };
        Err(Failure::new(Kind::Usage, format!("{what} holds a secret, and {keeper} would keep it"))
            .hint("name the variable in the agent file instead")
            .into())
    }

    /// What `redactor` cannot do for the declared secrets, one sentence each.
    pub fn secret_warnings(&self, redactor: &Redactor) -> Vec<String> {
        let declared: BTreeSet<&str> = self.secret_names().collect();
        let uncovered = redactor.uncovered().into_iter().filter(|(name, _)| declared.contains(name));
        uncovered.map(|(name, instead)| format!("the secret `{name}`: {instead}")).collect()
    }

    /// The sources whose tools could change the agent file `file` itself, and with it what later runs may do; one sentence each.
    pub fn write_warnings(&self, file: &Path) -> Vec<String> {
        let Ok(file) = std::fs::canonicalize(file) else { return Vec::new() };
        let warning = |(name, settings): (&String, &SourceSettings)| {
            let SourceSettings::Files(files) = settings else { return None };
            let root = std::fs::canonicalize(self.directory.join(&files.root)).ok()?;
            (files.write && file.starts_with(root)).then(|| {
                format!(
                    "`{name}_write` can change `{}`, which says what the agent may do: give `tools.{name}` a directory without it",
                    file.display()
                )
            })
        };
        self.tools.iter().filter_map(warning).collect()
    }

    /// Names of variables that are declared as secrets.
    fn secret_names(&self) -> impl Iterator<Item = &str> {
        let webhook = self.notify.webhook.as_ref().and_then(|webhook| webhook.secret_env.as_ref());
        let names = self.secrets.iter().chain(self.model_keys()).chain(webhook).map(String::as_str);
        names.chain(self.environment.secrets()).chain(self.tools.values().flat_map(SourceSettings::secrets))
    }

    /// The variables with the keys of the servers that run models.
    fn model_keys(&self) -> impl Iterator<Item = &String> {
        self.controller.api_key_env.iter().chain(&self.teacher.api_key_env)
    }

    /// The agent file of the teacher, as if it were the controller; `None` where there is none.
    pub fn of_teacher(&self) -> Option<Self> {
        let teacher = self.run.teacher.as_ref()?;
        let mut file = self.clone();
        (file.model, file.controller) = (Some(teacher.model.clone()), self.teacher.clone());
        file.run.actor.candidates = teacher.candidates;
        file.run.teacher = None;
        Some(file)
    }

    /// A model's name, or its path from the current directory.
    pub fn resolve_model(&self, name: &str) -> String {
        let path = Path::new(name);
        let is_path = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if is_path && path.is_relative() && !name.contains("://") {
            return self.directory.join(path).to_string_lossy().into_owned();
        }
        name.to_owned()
    }

    /// Settings of eyes whose models have paths from the current directory.
    fn resolve_eyes(&self, settings: &SeeSettings) -> SeeSettings {
        let mut settings = settings.clone();
        for folder in [&mut settings.dual, &mut settings.matcher].into_iter().flatten() {
            *folder = self.directory.join(&*folder).to_string_lossy().into_owned();
        }
        if let Some(describer) = &mut settings.describer {
            describer.model = self.resolve_model(&describer.model);
            describer.mmproj = self.resolve_model(&describer.mmproj);
        }
        settings
    }

    /// Opens the tool sources and waits a limited time for their lists of tools; `None` where the file names no source.
    /// What tools keep longer than a run is kept in `home`; nothing is without one.
    ///
    /// # Errors
    /// When a source cannot be used as it is described. A source that cannot be reached is retried during the run.
    pub async fn toolbox(&self, home: Option<&Home>) -> Result<Option<Toolbox>> {
        self.toolbox_within(READY, home).await
    }

    /// As [`toolbox`](Self::toolbox), for a person who waits for the tools: waits until every source has listed its tools or
    /// failed, and says so on stderr.
    ///
    /// # Errors
    /// As [`toolbox`](Self::toolbox).
    pub async fn patient_toolbox(&self, home: &Home) -> Result<Option<Toolbox>> {
        self.toolbox_within(PATIENCE, Some(home)).await
    }

    async fn toolbox_within(&self, ready: Duration, home: Option<&Home>) -> Result<Option<Toolbox>> {
        if self.tools.is_empty() {
            return Ok(None);
        }
        // Not in the home of the run: a home may be given to others, who must not be signed in with it.
        let tokens =
            directories::ProjectDirs::from("", "", "sojourn").map(|dirs| dirs.data_dir().join("oauth"));
        let (mut sources, mut waits) = (Vec::with_capacity(self.tools.len()), Vec::new());
        for (name, settings) in &self.tools {
            let source = match settings {
                SourceSettings::See(settings) => eyes::source(name, &self.resolve_eyes(settings), home)?,
                SourceSettings::Hear(settings) => ears::source(name, settings)?,
                settings => {
                    let opened = settings.open(name, &self.directory, approver::person(), tokens.clone());
                    opened.map_err(|error| {
                        Failure::new(Kind::Usage, error.to_string())
                            .hint("the documentation of tools shows what each kind of source needs")
                    })?
                }
            };
            let within = if settings.wants_person() && approver::person().is_some() {
                SIGNED_IN.max(ready)
            } else {
                ready
            };
            waits.push(within);
            sources.push(source);
        }
        let ready = sources.iter().zip(waits).map(|(source, within)| async move {
            waiting::for_tools(source.as_ref(), source.name(), within).await;
        });
        futures_util::future::join_all(ready).await;
        Ok(Some(Toolbox::new(sources, CallLimits::default())))
    }
}
