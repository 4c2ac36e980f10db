//! An environment behind an MCP server with one tool for reset and one for step.

use super::{
    ActionOffer, Deed, Peer, PeerObservation, Practice, RemoteEnvironment, RemoteEnvironmentError, picture,
};
use crate::content::plain;
use crate::environment::SUCCEED;
use crate::mcp::{McpSettings, McpSource};
use crate::schema::without_texts;
use crate::{
    CallContext, Condition, Content, Ending, EndingKind, EnvironmentError, EnvironmentSpec, Frame, TaskSpec,
    ToolSource as _, Wording,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sojourn_primitives::JsonPointer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Time limit of the connection, and of a call without `timeout_ms`.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Limit on the observation text for the controller, in characters.
const MAX_TEXT_CHARS: usize = 4000;

/// `[environment]` with `kind = "mcp"`: an MCP server as an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpEnvironmentSettings {
    /// Name of the environment in logs and in the library.
    pub name: String,
    /// Version of its rules.
    #[serde(default)]
    pub version: String,
    /// One or two sentences: what the world is and whom the agent controls.
    #[serde(default)]
    pub about: String,
    /// What the actions do and where the state shows it.
    #[serde(default)]
    pub controls: String,
    /// Program and arguments of a server that is started as a child process.
    #[serde(default)]
    pub command: Vec<String>,
    /// URL of a server that is reached over HTTP.
    #[serde(default)]
    pub url: Option<String>,
    /// Ranges of addresses that are not public and that the name in `url` may resolve to: `10.0.0.0/8`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_ranges: Vec<String>,
    /// Environment variables that the child process sees, besides PATH, HOME, LANG and TMPDIR.
    #[serde(default)]
    pub env: Vec<String>,
    /// Environment variable with the bearer token for `url`.
    #[serde(default)]
    pub token_env: Option<String>,
    /// Name of the server's tool that starts an episode.
    pub reset: String,
    /// Argument of the reset tool that takes the seed, if it has one.
    #[serde(default)]
    pub seed: Option<String>,
    /// Name of the server's tool that carries out one of `actions`.
    #[serde(default)]
    pub step: Option<String>,
    /// Argument of the step tool that takes the action.
    #[serde(default = "action")]
    pub action: String,
    /// Action names, optionally with the argument value for each.
    #[serde(default)]
    pub actions: Actions,
    /// Names of the server's tools that are actions themselves, with the arguments of their schemas; each returns an
    /// observation as `step` does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Name of the server's tool that returns a picture of the world, called without arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// Allows trials of skills in practice episodes. Every connection to a server reaches the same server, so their effects are as
    /// real as any other; without them no skill is learned. Default: true for a server that is started as a child process, false
    /// for a `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practice: Option<bool>,
    /// Allows random calls in practice episodes before a skill is written. Requires `practice`. Default: true for a server that is
    /// started as a child process, false for a `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explore: Option<bool>,
    /// Whether equal seeds and actions give equal states.
    #[serde(default)]
    pub deterministic: bool,
    /// JSON pointers to the observation, reward and end flags in a result.
    #[serde(default)]
    pub results: Pointers,
    /// Tasks of the environment. Default: one task, to end an episode with a positive reward.
    #[serde(default)]
    pub tasks: Vec<TaskSpec>,
    /// The environment's words in prompts. Default: neutral words.
    #[serde(default)]
    pub wording: Wording,
    /// Time limit of a call, in milliseconds. Default one minute.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Trusts what the world shows like your own words: prompts do not quote it, and it does not taint the run. Only
    /// for a world that shows nothing from elsewhere. Default: false.
    #[serde(default)]
    pub trusted: bool,
}

fn action() -> String {
    "action".to_owned()
}

/// The actions of an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Actions {
    /// Names that serve as argument values.
    Names(Vec<String>),
    /// Argument values by name.
    Values(BTreeMap<String, Value>),
}

impl Default for Actions {
    fn default() -> Self {
        Self::Names(Vec::new())
    }
}

/// JSON pointers into a result; the field names follow Gymnasium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pointers {
    /// Location of the observation.
    pub observation: JsonPointer,
    /// Location of the step's reward.
    pub reward: JsonPointer,
    /// Location of the flag for an end by success or failure.
    pub terminated: JsonPointer,
    /// Location of the flag for an end by time limit.
    pub truncated: JsonPointer,
    /// Location of the list of calls that are possible now: names of actions, or objects with `name` and `args`.
    pub available: JsonPointer,
}

impl Default for Pointers {
    fn default() -> Self {
        Self {
            observation: JsonPointer::of(["observation"]),
            reward: JsonPointer::of(["reward"]),
            terminated: JsonPointer::of(["terminated"]),
            truncated: JsonPointer::of(["truncated"]),
            available: JsonPointer::of(["available"]),
        }
    }
}

impl McpEnvironmentSettings {
    /// Connects to the server, which is started in `directory` if it is a program, and checks that it has
    /// both tools.
    ///
    /// # Errors
    /// The server cannot be reached, or lacks one of the tools.
    pub async fn open(self, directory: &Path) -> Result<RemoteEnvironment, RemoteEnvironmentError> {
        let success = TaskSpec {
            name: SUCCEED.to_owned(),
            description: "end the episode with a reward".to_owned(),
            parameters: Vec::new(),
            goal: Condition::Equals { path: JsonPointer::of(["success"]), value: true.into() },
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
            play: false,
            practice: false,
            episode_steps: None,
            wording: self.wording.clone(),
            untrusted: !self.trusted,
        };
        let names: Vec<String> = match &self.actions {
            Actions::Names(names) => names.clone(),
            Actions::Values(values) => values.keys().cloned().collect(),
        };
        let names: Vec<ActionOffer> = names.iter().map(|name| name.as_str().into()).collect();
        if !names.is_empty() && self.step.is_none() {
            return Err(RemoteEnvironmentError(
                "`actions` need `step`, the name of the server's tool that carries them out".to_owned(),
            ));
        }
        let deterministic = self.deterministic;
        let practice = Practice::of(self.practice, self.explore, self.url.is_none())?;
        let mut peer = McpPeer {
            settings: Arc::new(self),
            directory: directory.to_owned(),
            source: None,
            tally: Tally::default(),
        };
        peer.start().await.map_err(RemoteEnvironmentError)?;
        let offers: Vec<ActionOffer> = names.into_iter().chain(peer.tool_offers()).collect();
        RemoteEnvironment::new(spec, practice, (&offers, false), deterministic, Box::new(peer))
    }

    /// The argument value for `action`.
    fn value_of(&self, action: &str) -> Value {
        match &self.actions {
            Actions::Names(_) => action.into(),
            Actions::Values(values) => values.get(action).cloned().unwrap_or(Value::Null),
        }
    }
}

/// An MCP server as a peer.
struct McpPeer {
    settings: Arc<McpEnvironmentSettings>,
    directory: PathBuf,
    source: Option<McpSource>,
    tally: Tally,
}

/// Totals of the present episode.
#[derive(Default)]
struct Tally {
    steps: u64,
    sum: f64,
}

/// Source name of the server's tools.
const SOURCE: &str = "world";

impl McpPeer {
    async fn start(&mut self) -> Result<(), String> {
        let settings = McpSettings {
            command: self.settings.command.clone(),
            url: self.settings.url.clone(),
            private_ranges: self.settings.private_ranges.clone(),
            env: self.settings.env.clone(),
            token_env: self.settings.token_env.clone(),
            ..McpSettings::default()
        };
        let source = McpSource::open(SOURCE, settings, &self.directory).map_err(|error| error.to_string())?;
        if !source.ready(TIMEOUT).await {
            let why = source.notices().pop().unwrap_or_else(|| "it did not connect in time".to_owned());
            source.close().await;
            return Err(why);
        }
        let named = std::iter::once(&self.settings.reset)
            .chain(&self.settings.step)
            .chain(&self.settings.tools)
            .chain(&self.settings.frame);
        for name in named {
            if source.tool(name).is_none() {
                let offered: Vec<String> =
                    source.tools().iter().map(|tool| tool.spec().name.clone()).collect();
                source.close().await;
                return Err(format!("its server has no tool `{name}`; it offers: {}", offered.join(", ")));
            }
        }
        self.source = Some(source);
        Ok(())
    }

    /// The server's tools that are actions.
    fn tool_offers(&self) -> Vec<ActionOffer> {
        let tool = |name: &String| self.source.as_ref()?.tool(name);
        let offer = |name: &String| {
            let spec = tool(name)?.spec().clone();
            Some(ActionOffer {
                name: name.clone(),
                description: spec.description.clone(),
                // Endpoints show the schemas of answers to their models.
                input: Some(if self.settings.trusted {
                    spec.input_schema()
                } else {
                    without_texts(spec.input_schema())
                }),
                untrusted: !self.settings.trusted,
            })
        };
        self.settings.tools.iter().filter_map(offer).collect()
    }

    async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, String> {
        let tool = self.source.as_ref().and_then(|source| source.tool(name));
        let tool = tool.ok_or_else(|| "the environment's server is not connected".to_owned())?;
        let timeout = self.settings.timeout_ms.map_or(TIMEOUT, Duration::from_millis);
        let context = CallContext::default();
        let outcome = tokio::time::timeout(timeout, tool.call(&args, &context))
            .await
            .map_err(|_| format!("the environment did not answer within {} s", timeout.as_secs_f64()))?
            .map_err(|error| error.to_string())?;
        if !outcome.ok {
            return Err(format!("the environment reported an error: {}", outcome.to_text()));
        }
        // Many servers return JSON as text and repeat that text as structured content.
        let text = outcome.to_text();
        Ok(match serde_json::from_str(&text) {
            Ok(Value::Object(fields)) => Value::Object(fields),
            _ => outcome.value.clone().unwrap_or(Value::String(text)),
        })
    }

    fn observation(&mut self, result: &Value, stepped: bool) -> PeerObservation {
        let pointers = &self.settings.results;
        let flag = |path: &JsonPointer| path.find(result).and_then(Value::as_bool).unwrap_or(false);
        let reward = pointers.reward.find(result).and_then(Value::as_f64).unwrap_or(0.0);
        let (terminated, truncated) = (flag(&pointers.terminated), flag(&pointers.truncated));
        if stepped {
            self.tally.steps += 1;
            self.tally.sum += reward;
        }
        let observation = pointers.observation.find(result).unwrap_or(result);
        let success = stepped && terminated && reward > 0.0;
        let mut text: String = plain(observation).chars().take(MAX_TEXT_CHARS).collect();
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
        PeerObservation {
            text: Some(text),
            state: state.as_object().cloned().unwrap_or_default(),
            reward,
            unlocked: if achieved { vec![SUCCEED.to_owned()] } else { Vec::new() },
            failed: None,
            missing: Vec::new(),
            ended: kind
                .map(|kind| Ending { kind, cause: format!("the episode ended with a reward of {reward}") }),
            available: pointers.available.find(result).and_then(Value::as_array).cloned(),
        }
    }
}

#[async_trait]
impl Peer for McpPeer {
    async fn reset(&mut self, seed: u64) -> Result<PeerObservation, EnvironmentError> {
        let failed = |reason: String| EnvironmentError::Failed { reason };
        if self.source.is_none() {
            self.start().await.map_err(failed)?;
        }
        self.tally = Tally::default();
        let settings = Arc::clone(&self.settings);
        // Some peers read numbers as 32-bit integers, and JSON numbers beyond 2^53 lose precision.
        let seed = settings.seed.iter().map(|name| (name.clone(), (seed % (1 << 31)).into())).collect();
        let result = self.call(&settings.reset, seed).await.map_err(failed)?;
        Ok(self.observation(&result, false))
    }

    async fn step(&mut self, deed: &Deed) -> Result<PeerObservation, EnvironmentError> {
        let settings = Arc::clone(&self.settings);
        let (tool, args) = match (&deed.args, &settings.step) {
            (Some(args), _) => (&deed.name, args.clone()),
            (None, Some(step)) => {
                (step, Map::from_iter([(settings.action.clone(), settings.value_of(&deed.name))]))
            }
            (None, None) => return Err(EnvironmentError::UnknownAction { name: deed.name.clone() }),
        };
        match self.call(tool, args).await {
            Ok(result) => Ok(self.observation(&result, true)),
            Err(cause) => {
                // The next episode starts with a new connection.
                if let Some(source) = self.source.take() {
                    source.close().await;
                }
                Err(EnvironmentError::Lost { cause })
            }
        }
    }

    async fn frame(&mut self) -> Option<Frame> {
        let tool = self.source.as_ref()?.tool(self.settings.frame.as_ref()?)?;
        let timeout = self.settings.timeout_ms.map_or(TIMEOUT, Duration::from_millis);
        let context = CallContext::default();
        let called = tokio::time::timeout(timeout, tool.call(&Map::new(), &context)).await.ok()?.ok()?;
        called.content.iter().find_map(|part| match part {
            Content::Image { data, mime } => picture(data, Some(mime)),
            _ => None,
        })
    }

    fn fork(&self) -> Box<dyn Peer> {
        Box::new(Self {
            settings: Arc::clone(&self.settings),
            directory: self.directory.clone(),
            source: None,
            tally: Tally::default(),
        })
    }
}
