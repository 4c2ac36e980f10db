//! A world that is a program: `reset` and `step` in [lines of JSON](../../PROCESS.md).

use super::{Peer, Seen, SteppedWorld, WorldError};
use crate::process::{Conversation, Fault};
use crate::{EnvironmentError, EnvironmentSpec, Example, Recipe, TaskSpec};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a program may take to say what its world is, and to begin an episode or carry an action out where its
/// settings do not say.
const PATIENCE: Duration = Duration::from_mins(1);

/// How a program is started whose world is lived in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessWorld {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Names of the environment variables that it may see, besides PATH, HOME, LANG and TMPDIR.
    #[serde(default)]
    pub env: Vec<String>,
    /// Milliseconds that a reset or a step may take; a minute without a number.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// What a program says that it is.
#[derive(Deserialize)]
struct Description {
    environment: Option<World>,
}

/// Its world: the fields of [`EnvironmentSpec`] that it can know.
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
    vitals: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum ActionOffer {
    Name(String),
    Described { name: String, description: String },
}

impl ProcessWorld {
    /// Starts the program, in `directory`, and asks what its world is.
    ///
    /// # Errors
    /// When it cannot be started or says nothing that can be used, with what it wrote on its standard error.
    pub async fn open(self, directory: &Path) -> Result<SteppedWorld, WorldError> {
        if self.command.is_empty() {
            return Err(WorldError("it needs a `command`".to_owned()));
        }
        let mut peer = ProcessPeer { settings: self, directory: directory.to_owned(), conversation: None };
        let (conversation, world) = peer.start().await.map_err(WorldError)?;
        let broken = |error: WorldError| WorldError(conversation.why(&error.0));
        let spec = EnvironmentSpec {
            name: world.name,
            version: world.version,
            deterministic: false,
            about: world.about,
            tools: Vec::new(),
            actions: Vec::new(),
            controls: world.controls,
            tasks: world.tasks,
            recipes: world.recipes,
            examples: world.examples,
            vitals: world.vitals,
            question: None,
            exploration: None,
        };
        let actions: Vec<(String, String)> = world
            .actions
            .into_iter()
            .map(|offer| match offer {
                ActionOffer::Name(name) => (name, String::new()),
                ActionOffer::Described { name, description } => (name, description),
            })
            .collect();
        peer.conversation = Some(Arc::clone(&conversation));
        SteppedWorld::new(spec, &actions, world.deterministic, Box::new(peer)).map_err(broken)
    }
}

/// The program.
struct ProcessPeer {
    settings: ProcessWorld,
    directory: PathBuf,
    /// The one that is spoken with, until it fails.
    conversation: Option<Arc<Conversation>>,
}

impl ProcessPeer {
    async fn start(&self) -> Result<(Arc<Conversation>, World), String> {
        let ProcessWorld { command, env, .. } = &self.settings;
        let conversation = Conversation::begin(command, env, &self.directory)?;
        let answer = tokio::time::timeout(PATIENCE, conversation.ask("describe", Value::Null, None))
            .await
            .map_err(|_| conversation.why("it did not say within a minute what it is"))?
            .map_err(|fault| fault.to_string())?;
        let description: Description = serde_json::from_value(answer).map_err(|error| {
            conversation.why(&format!("what it says of its world cannot be read: {error}"))
        })?;
        let world = description.environment.ok_or_else(|| {
            conversation.why("it offers no environment: its `describe` has no `environment`")
        })?;
        Ok((conversation, world))
    }

    /// What the program sees after this. One that fails is ended; the next reset starts another.
    async fn ask(&mut self, method: &str, params: Value) -> Result<Seen, EnvironmentError> {
        let Some(conversation) = self.conversation.take() else { return Err(EnvironmentError::NotRunning) };
        let patience = self.settings.timeout_ms.map_or(PATIENCE, Duration::from_millis);
        let lost = |cause: String| EnvironmentError::Lost { cause };
        let answer = tokio::time::timeout(patience, conversation.ask(method, params, None)).await;
        let answer = answer.map_err(|_| {
            lost(conversation.why(&format!("the world did not answer within {} s", patience.as_secs_f64())))
        })?;
        match answer {
            Ok(answer) => {
                let seen = serde_json::from_value(answer).map_err(|error| {
                    lost(conversation.why(&format!("what the world shows cannot be read: {error}")))
                })?;
                self.conversation = Some(conversation);
                Ok(seen)
            }
            Err(Fault::Said(reason)) => {
                self.conversation = Some(conversation);
                Err(lost(format!("the world says: {reason}")))
            }
            Err(Fault::Gone(reason)) => Err(lost(reason)),
        }
    }
}

#[async_trait]
impl Peer for ProcessPeer {
    async fn reset(&mut self, seed: u64) -> Result<Seen, EnvironmentError> {
        if self.conversation.is_none() {
            let (conversation, _) =
                self.start().await.map_err(|reason| EnvironmentError::Failed { reason })?;
            self.conversation = Some(conversation);
        }
        self.ask("reset", json!({"seed": seed})).await.map_err(|error| match error {
            // There is no episode yet that could be lost.
            EnvironmentError::Lost { cause } => EnvironmentError::Failed { reason: cause },
            other => other,
        })
    }

    async fn step(&mut self, action: &str) -> Result<Seen, EnvironmentError> {
        self.ask("step", json!({"action": action})).await
    }

    fn another(&self) -> Box<dyn Peer> {
        Box::new(Self {
            settings: self.settings.clone(),
            directory: self.directory.clone(),
            conversation: None,
        })
    }
}
