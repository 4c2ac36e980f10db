//! An environment in a child process: `reset` and `step` as JSON lines. [PROCESS.md](../../PROCESS.md)
//! specifies the protocol.

use super::{Peer, PeerObservation, RemoteEnvironment, RemoteEnvironmentError};
use crate::outside::quote;
use crate::process::{ProcessClient, RequestError};
use crate::{EnvironmentError, EnvironmentSpec, Example, Recipe, TaskSpec, Wording};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sojourn_primitives::JsonPointer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Time limit of the `describe` request, and of a reset or step without `timeout_ms`.
const TIMEOUT: Duration = Duration::from_mins(1);

/// `[environment]` with `kind = "process"`: a program as an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessEnvironmentSettings {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment variables that the program sees, besides PATH, HOME, LANG and TMPDIR.
    #[serde(default)]
    pub env: Vec<String>,
    /// Time limit of a reset or a step, in milliseconds. Default one minute.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Trusts what the world shows like your own words: prompts do not quote it, and it does not taint the run. Only
    /// for a world that shows nothing from elsewhere. Default: false.
    #[serde(default)]
    pub trusted: bool,
}

/// Response to `describe`.
#[derive(Deserialize)]
struct Description {
    environment: Option<World>,
}

/// The environment's part of it: the fields of [`EnvironmentSpec`] that a program can know.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct World {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    about: String,
    actions: Vec<ActionOffer>,
    #[serde(default)]
    deterministic: bool,
    #[serde(default)]
    controls: String,
    #[serde(default)]
    tasks: Vec<TaskSpec>,
    #[serde(default)]
    recipes: Vec<Recipe>,
    #[serde(default)]
    examples: Vec<Example>,
    #[serde(default)]
    vitals: Vec<JsonPointer>,
    #[serde(default)]
    wording: Wording,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum ActionOffer {
    Name(String),
    Described { name: String, description: String },
}

impl ProcessEnvironmentSettings {
    /// Starts the program in `directory` and asks for its description.
    ///
    /// # Errors
    /// The program cannot be started, or its description is not valid. The message includes its standard
    /// error.
    pub async fn open(self, directory: &Path) -> Result<RemoteEnvironment, RemoteEnvironmentError> {
        if self.command.is_empty() {
            return Err(RemoteEnvironmentError("the environment needs a `command`".to_owned()));
        }
        let untrusted = !self.trusted;
        let mut peer = ProcessPeer { settings: self, directory: directory.to_owned(), client: None };
        let (client, world) = peer.start().await.map_err(RemoteEnvironmentError)?;
        let broken = |error: RemoteEnvironmentError| RemoteEnvironmentError(client.explain(&error.0));
        let spec = EnvironmentSpec {
            name: world.name,
            version: world.version,
            deterministic: false,
            // Only the program says what it is.
            about: match world.about {
                about if untrusted && !about.is_empty() => {
                    format!("The world says of itself: {}", quote::inline(&about))
                }
                about => about,
            },
            tools: Vec::new(),
            actions: Vec::new(),
            controls: quote::one_line(&world.controls),
            tasks: world.tasks,
            recipes: world.recipes,
            examples: world.examples,
            vitals: world.vitals,
            question: None,
            exploration: None,
            wording: world.wording,
            untrusted,
        };
        let actions: Vec<(String, String)> = world
            .actions
            .into_iter()
            .map(|offer| match offer {
                ActionOffer::Name(name) => (name, String::new()),
                ActionOffer::Described { name, description } => (name, description),
            })
            .collect();
        peer.client = Some(Arc::clone(&client));
        RemoteEnvironment::new(spec, &actions, world.deterministic, Box::new(peer)).map_err(broken)
    }
}

/// A child process as a peer.
struct ProcessPeer {
    settings: ProcessEnvironmentSettings,
    directory: PathBuf,
    /// The running process; `None` after a failure.
    client: Option<Arc<ProcessClient>>,
}

impl ProcessPeer {
    async fn start(&self) -> Result<(Arc<ProcessClient>, World), String> {
        let ProcessEnvironmentSettings { command, env, .. } = &self.settings;
        let client = ProcessClient::begin(command, env, &self.directory)?;
        let answer = tokio::time::timeout(TIMEOUT, client.request("describe", Value::Null, None))
            .await
            .map_err(|_| client.explain("it did not answer `describe` within a minute"))?
            .map_err(|error| error.to_string())?;
        let description: Description = serde_json::from_value(answer)
            .map_err(|error| client.explain(&format!("its `describe` response is not valid: {error}")))?;
        let world = description
            .environment
            .ok_or_else(|| client.explain("its `describe` response has no `environment`"))?;
        Ok((client, world))
    }

    /// Sends a request. A process that fails is dropped; the next reset starts another.
    async fn request(&mut self, method: &str, params: Value) -> Result<PeerObservation, EnvironmentError> {
        let Some(client) = self.client.take() else { return Err(EnvironmentError::NotRunning) };
        let timeout = self.settings.timeout_ms.map_or(TIMEOUT, Duration::from_millis);
        let lost = |cause: String| EnvironmentError::Lost { cause };
        let answer = tokio::time::timeout(timeout, client.request(method, params, None)).await;
        let answer = answer.map_err(|_| {
            lost(
                client.explain(&format!("the environment did not answer within {} s", timeout.as_secs_f64())),
            )
        })?;
        match answer {
            Ok(answer) => {
                let observation = serde_json::from_value(answer).map_err(|error| {
                    lost(client.explain(&format!("its response is not a valid observation: {error}")))
                })?;
                self.client = Some(client);
                Ok(observation)
            }
            Err(RequestError::Rejected(reason)) => {
                self.client = Some(client);
                Err(lost(format!("the environment reported an error: {reason}")))
            }
            Err(RequestError::Disconnected(reason)) => Err(lost(reason)),
        }
    }
}

#[async_trait]
impl Peer for ProcessPeer {
    async fn reset(&mut self, seed: u64) -> Result<PeerObservation, EnvironmentError> {
        if self.client.is_none() {
            let (client, _) = self.start().await.map_err(|reason| EnvironmentError::Failed { reason })?;
            self.client = Some(client);
        }
        self.request("reset", json!({"seed": seed})).await.map_err(|error| match error {
            // No episode has started, so none is lost.
            EnvironmentError::Lost { cause } => EnvironmentError::Failed { reason: cause },
            other => other,
        })
    }

    async fn step(&mut self, action: &str) -> Result<PeerObservation, EnvironmentError> {
        self.request("step", json!({"action": action})).await
    }

    fn fork(&self) -> Box<dyn Peer> {
        Box::new(Self { settings: self.settings.clone(), directory: self.directory.clone(), client: None })
    }
}
