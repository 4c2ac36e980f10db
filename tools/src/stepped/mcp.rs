//! A world that is an MCP server with one tool that resets and one that steps.

use super::{Peer, Seen, SteppedWorld, WorldError};
use crate::content::plain;
use crate::mcp::{McpSettings, McpSource};
use crate::schema::identifier;
use crate::{
    CallContext, Condition, Ending, EndingKind, EnvironmentError, EnvironmentSpec, TaskSpec, Tool,
    ToolSource as _,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take to be there, and a call where the settings do not say.
const PATIENCE: Duration = Duration::from_mins(1);
/// Characters of an observation that the controller reads.
const TEXT: usize = 4000;

/// A server whose world is lived in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpWorld {
    /// What the world is called in logs and in the library.
    pub name: String,
    /// Of its rules.
    #[serde(default)]
    pub version: String,
    /// What it is and whom the agent controls, in a sentence or two.
    #[serde(default)]
    pub about: String,
    /// What the actions do and where the state shows it.
    #[serde(default)]
    pub controls: String,
    /// The program and its arguments, where it is started here.
    #[serde(default)]
    pub command: Vec<String>,
    /// Its address, where it is reached over HTTP.
    #[serde(default)]
    pub url: Option<String>,
    /// Names of the environment variables that the program may see.
    #[serde(default)]
    pub env: Vec<String>,
    /// The environment variable that holds the bearer token for `url`.
    #[serde(default)]
    pub token_env: Option<String>,
    /// The server's tool that begins an episode.
    pub reset: String,
    /// Its argument that takes the seed, if it has one.
    #[serde(default)]
    pub seed: Option<String>,
    /// The server's tool that carries an action out.
    pub step: String,
    /// Its argument that takes the action.
    #[serde(default = "action")]
    pub action: String,
    /// The actions' names, or the names with what the argument is for each.
    pub actions: Actions,
    /// Whether the same seed and actions give the same states.
    #[serde(default)]
    pub deterministic: bool,
    /// Where results have what is observed, rewards and ends, as JSON pointers.
    #[serde(default)]
    pub results: Pointers,
    /// What can be asked for; without any, that an episode ends with a reward.
    #[serde(default)]
    pub tasks: Vec<TaskSpec>,
    /// Milliseconds that a call may take.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

fn action() -> String {
    "action".to_owned()
}

/// The actions of a world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Actions {
    /// Each is the argument itself.
    Names(Vec<String>),
    /// The argument of each.
    Values(BTreeMap<String, Value>),
}

/// Where a result has what; the words are Gymnasium's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pointers {
    /// What is observed.
    pub observation: String,
    /// The step's reward.
    pub reward: String,
    /// Whether the goal was reached or the agent lost.
    pub terminated: String,
    /// Whether time is up.
    pub truncated: String,
}

impl Default for Pointers {
    fn default() -> Self {
        Self {
            observation: "/observation".to_owned(),
            reward: "/reward".to_owned(),
            terminated: "/terminated".to_owned(),
            truncated: "/truncated".to_owned(),
        }
    }
}

impl McpWorld {
    /// Connects to the server, started in `directory` where it is a program, and looks whether it has both tools.
    ///
    /// # Errors
    /// When it cannot be reached or lacks one of them.
    pub async fn open(self, directory: &Path) -> Result<SteppedWorld, WorldError> {
        let success = TaskSpec {
            name: "succeed".to_owned(),
            description: "end the episode with a reward".to_owned(),
            parameters: Vec::new(),
            goal: Condition::Equals { path: "/success".to_owned(), value: true.into() },
            achievement: true,
            episodes: None,
        };
        let spec = EnvironmentSpec {
            name: self.name.clone(),
            version: self.version.clone(),
            deterministic: false,
            about: self.about.clone(),
            tools: Vec::new(),
            actions: Vec::new(),
            controls: self.controls.clone(),
            tasks: if self.tasks.is_empty() { vec![success] } else { self.tasks.clone() },
            recipes: Vec::new(),
            examples: Vec::new(),
            vitals: Vec::new(),
            question: None,
            exploration: None,
        };
        let names: Vec<String> = match &self.actions {
            Actions::Names(names) => names.clone(),
            Actions::Values(values) => values.keys().cloned().collect(),
        };
        let actions: Vec<(String, String)> = names.into_iter().map(|name| (name, String::new())).collect();
        let repeats = self.deterministic;
        let mut peer = McpPeer {
            settings: Arc::new(self),
            directory: directory.to_owned(),
            source: None,
            tally: Tally::default(),
        };
        peer.start().await.map_err(WorldError)?;
        SteppedWorld::new(spec, &actions, repeats, Box::new(peer))
    }

    /// The argument that stands for an action.
    fn value_of(&self, action: &str) -> Value {
        match &self.actions {
            Actions::Names(_) => action.into(),
            Actions::Values(values) => values.get(action).cloned().unwrap_or(Value::Null),
        }
    }
}

/// The server.
struct McpPeer {
    settings: Arc<McpWorld>,
    directory: PathBuf,
    source: Option<McpSource>,
    tally: Tally,
}

/// What has come of the episode.
#[derive(Default)]
struct Tally {
    steps: u64,
    sum: f64,
}

/// Its name among the tools.
const SOURCE: &str = "world";

impl McpPeer {
    async fn start(&mut self) -> Result<(), String> {
        let settings = McpSettings {
            command: self.settings.command.clone(),
            url: self.settings.url.clone(),
            env: self.settings.env.clone(),
            token_env: self.settings.token_env.clone(),
            ..McpSettings::default()
        };
        let source = McpSource::open(SOURCE, settings, &self.directory)
            .map_err(|_| "it needs either `command` or `url`".to_owned())?;
        if !source.ready(PATIENCE).await {
            let why = source.notices().pop().unwrap_or_else(|| "it did not answer in time".to_owned());
            source.close().await;
            return Err(why);
        }
        for name in [&self.settings.reset, &self.settings.step] {
            if tool(&source, name).is_none() {
                let offered: Vec<String> =
                    source.tools().iter().map(|tool| tool.spec().name.clone()).collect();
                source.close().await;
                return Err(format!("its server has no tool `{name}`; it offers: {}", offered.join(", ")));
            }
        }
        self.source = Some(source);
        Ok(())
    }

    async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, String> {
        let tool = self.source.as_ref().and_then(|source| tool(source, name));
        let tool = tool.ok_or_else(|| "the world's server is gone".to_owned())?;
        let patience = self.settings.timeout_ms.map_or(PATIENCE, Duration::from_millis);
        let context = CallContext::default();
        let outcome = tokio::time::timeout(patience, tool.call(&args, &context))
            .await
            .map_err(|_| format!("the world did not answer within {} s", patience.as_secs_f64()))?
            .map_err(|error| error.to_string())?;
        if !outcome.ok {
            return Err(format!("the world says: {}", outcome.words()));
        }
        // Many servers put JSON into a text, and a copy of that text into what is structured.
        let text = outcome.words();
        Ok(match serde_json::from_str(&text) {
            Ok(Value::Object(fields)) => Value::Object(fields),
            _ => outcome.value.clone().unwrap_or(Value::String(text)),
        })
    }

    fn seen(&mut self, result: &Value, stepped: bool) -> Seen {
        let pointers = &self.settings.results;
        let flag = |path: &str| result.pointer(path).and_then(Value::as_bool).unwrap_or(false);
        let reward = result.pointer(&pointers.reward).and_then(Value::as_f64).unwrap_or(0.0);
        let (terminated, truncated) = (flag(&pointers.terminated), flag(&pointers.truncated));
        if stepped {
            self.tally.steps += 1;
            self.tally.sum += reward;
        }
        let observation = result.pointer(&pointers.observation).unwrap_or(result);
        let success = stepped && terminated && reward > 0.0;
        let mut text: String = plain(observation).chars().take(TEXT).collect();
        if text.len() < plain(observation).len() {
            text.push_str(" … (the rest is left out)");
        }
        let state = json!({
            "observation": observation, "reward": reward, "return": self.tally.sum, "steps": self.tally.steps,
            "success": success,
        });
        let kind = match (terminated, truncated) {
            (true, _) if success => Some(EndingKind::Succeeded),
            (true, _) => Some(EndingKind::Died),
            (false, true) => Some(EndingKind::TimeUp),
            (false, false) => None,
        };
        let achieved = self.settings.tasks.is_empty() && success;
        Seen {
            text: Some(text),
            state: state.as_object().cloned().unwrap_or_default(),
            reward,
            unlocked: if achieved { vec!["succeed".to_owned()] } else { Vec::new() },
            failed: None,
            ended: kind
                .map(|kind| Ending { kind, cause: format!("the episode ended with a reward of {reward}") }),
        }
    }
}

/// The server's tool of this name.
fn tool(source: &McpSource, name: &str) -> Option<Arc<dyn Tool>> {
    let name = identifier(SOURCE, name);
    source.tools().into_iter().find(|tool| tool.spec().name == name)
}

#[async_trait]
impl Peer for McpPeer {
    async fn reset(&mut self, seed: u64) -> Result<Seen, EnvironmentError> {
        let failed = |reason: String| EnvironmentError::Failed { reason };
        if self.source.is_none() {
            self.start().await.map_err(failed)?;
        }
        self.tally = Tally::default();
        let settings = Arc::clone(&self.settings);
        // JSON has no whole numbers beyond 2^53 that every peer can read.
        let seed = settings.seed.iter().map(|name| (name.clone(), (seed % (1 << 31)).into())).collect();
        let result = self.call(&settings.reset, seed).await.map_err(failed)?;
        Ok(self.seen(&result, false))
    }

    async fn step(&mut self, action: &str) -> Result<Seen, EnvironmentError> {
        let settings = Arc::clone(&self.settings);
        let args = Map::from_iter([(settings.action.clone(), settings.value_of(action))]);
        match self.call(&settings.step, args).await {
            Ok(result) => Ok(self.seen(&result, true)),
            Err(cause) => {
                // The next episode begins with a server that nothing happened to.
                if let Some(source) = self.source.take() {
                    source.close().await;
                }
                Err(EnvironmentError::Lost { cause })
            }
        }
    }

    fn another(&self) -> Box<dyn Peer> {
        Box::new(Self {
            settings: Arc::clone(&self.settings),
            directory: self.directory.clone(),
            source: None,
            tally: Tally::default(),
        })
    }
}
