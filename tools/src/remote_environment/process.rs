//! An environment in a child process: `reset` and `step` as JSON lines. [PROCESS.md](../../PROCESS.md)
//! specifies the protocol.

use super::world_texts::quoted;
use super::{
    ActionOffer, Deed, Peer, PeerObservation, Practice, RemoteEnvironment, RemoteEnvironmentError, picture,
};
use crate::outside::quote;
use crate::process::{ProcessClient, RequestError};
use crate::{EnvironmentError, EnvironmentSpec, Example, Frame, Recipe, TaskSpec, Wording};
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// Allows trials of skills in practice episodes, each in a process of its own; without them no skill is learned. Say false for
    /// a program that acts on something outside of it. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practice: Option<bool>,
    /// Allows random calls in practice episodes before a skill is written. Requires `practice`. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explore: Option<bool>,
    /// Trusts what the world shows like your own words: prompts do not quote it, and it does not taint the run. Only
    /// for a world that shows nothing from elsewhere. Default: false.
    #[serde(default)]
    pub trusted: bool,
}

/// Keys of the objects in a description that a log's readers share, and that accept more keys than these.
const KEYS: [(&str, &[&str]); 3] = [
    ("tasks", &["name", "description", "parameters", "goal", "achievement", "episodes"]),
    ("recipes", &["task", "call", "target", "consumes", "tools", "nearby", "provides", "note"]),
    ("examples", &["task", "source"]),
];

/// The environment's part of it: the fields of [`EnvironmentSpec`] that a program can know.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct World {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    pub about: String,
    pub actions: Vec<ActionOffer>,
    #[serde(default)]
    deterministic: bool,
    #[serde(default)]
    pub controls: String,
    #[serde(default)]
    pub tasks: Vec<TaskSpec>,
    #[serde(default)]
    pub recipes: Vec<Recipe>,
    #[serde(default)]
    pub examples: Vec<Example>,
    #[serde(default)]
    vitals: Vec<JsonPointer>,
    #[serde(default)]
    episode_steps: Option<u32>,
    #[serde(default)]
    pub wording: Wording,
    /// Whether it answers `frame` with a picture.
    #[serde(default)]
    frames: bool,
    /// Whether each observation says which calls are possible.
    #[serde(default)]
    available: bool,
}

impl World {
    /// Reads the `environment` of a response to `describe`.
    fn read(described: &Value) -> Result<Self, String> {
        let world = Self::deserialize(described).map_err(|error| error.to_string())?;
        for (list, known) in KEYS {
            let items = described.get(list).and_then(Value::as_array).into_iter().flatten();
            for (at, item) in items.enumerate() {
                let keys = item.as_object().into_iter().flat_map(serde_json::Map::keys);
                let unknown = keys.map(String::as_str).find(|key| !known.contains(key));
                if let Some(key) = unknown {
                    let known = known.join("`, `");
                    return Err(format!(
                        "`{list}[{at}]` has an unknown field `{key}`, expected one of `{known}`"
                    ));
                }
            }
        }
        Ok(world)
    }
}

impl ProcessEnvironmentSettings {
    /// Starts the program in `directory` and asks for its description.
    ///
    /// # Errors
    /// The program cannot be started, or its description is not valid. The message includes its standard
    /// error.
    pub async fn open(self, directory: &Path) -> Result<RemoteEnvironment, RemoteEnvironmentError> {
        self.start(directory, false).await
    }

    /// As [`open`](Self::open), for a bridge that this program brings along: the tasks, actions and examples are its own.
    pub(crate) async fn open_bridge(
        self,
        directory: &Path,
    ) -> Result<RemoteEnvironment, RemoteEnvironmentError> {
        self.start(directory, true).await
    }

    async fn start(
        self,
        directory: &Path,
        is_own_bridge: bool,
    ) -> Result<RemoteEnvironment, RemoteEnvironmentError> {
        if self.command.is_empty() {
            return Err(RemoteEnvironmentError("the environment needs a `command`".to_owned()));
        }
        let untrusted = !self.trusted;
        let practice = Practice::of(self.practice, self.explore, true)?;
        let mut peer =
            ProcessPeer { settings: self, directory: directory.to_owned(), client: None, frames: false };
        let (client, world) = peer.start().await.map_err(RemoteEnvironmentError)?;
        peer.frames = world.frames;
        let broken = |error: RemoteEnvironmentError| RemoteEnvironmentError(client.explain(&error.0));
        // Only the program says what it is.
        let world = if untrusted { quoted(world, is_own_bridge) } else { world };
        let spec = EnvironmentSpec {
            name: world.name,
            version: world.version,
            deterministic: false,
            about: world.about,
            tools: Vec::new(),
            actions: Vec::new(),
            controls: quote::one_line(&world.controls),
            tasks: world.tasks,
            recipes: world.recipes,
            examples: world.examples,
            vitals: world.vitals,
            question: None,
            exploration: None,
            play: false,
            practice: false,
            episode_steps: world.episode_steps,
            wording: world.wording,
            untrusted,
        };
        peer.client = Some(Arc::clone(&client));
        let offers = (&world.actions[..], world.available);
        RemoteEnvironment::new(spec, practice, offers, world.deterministic, Box::new(peer)).map_err(broken)
    }
}

/// A child process as a peer.
struct ProcessPeer {
    settings: ProcessEnvironmentSettings,
    directory: PathBuf,
    /// The running process; `None` after a failure.
    client: Option<Arc<ProcessClient>>,
    /// Whether the program gives pictures.
    frames: bool,
}

impl ProcessPeer {
    async fn start(&self) -> Result<(Arc<ProcessClient>, World), String> {
        let ProcessEnvironmentSettings { command, env, .. } = &self.settings;
        let client = ProcessClient::begin(command, env, &self.directory)?;
        let answer = tokio::time::timeout(TIMEOUT, client.request("describe", Value::Null, None))
            .await
            .map_err(|_| client.explain("it did not answer `describe` within a minute"))?
            .map_err(|error| error.to_string())?;
        let described = answer
            .get("environment")
            .filter(|described| !described.is_null())
            .ok_or_else(|| client.explain("its `describe` response has no `environment`"))?;
        let world = World::read(described)
            .map_err(|error| client.explain(&format!("its `describe` response is not valid: {error}")))?;
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
                let shown = answer.get("state").or_else(|| answer.get("text")).is_some();
                let observation = serde_json::from_value(answer).map_err(|error| error.to_string());
                let observation =
                    observation
                        .and_then(|read| {
                            if shown { Ok(read) } else { Err("it has neither `state` nor `text`".into()) }
                        })
                        .map_err(|why| {
                            lost(client.explain(&format!(
                                "its `{method}` response is not a valid observation: {why}"
                            )))
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

    async fn step(&mut self, deed: &Deed) -> Result<PeerObservation, EnvironmentError> {
        let mut params = json!({"action": deed.name});
        if let Some(args) = &deed.args {
            params["args"] = Value::Object(args.clone());
        }
        self.request("step", params).await
    }

    async fn frame(&mut self) -> Option<Frame> {
        let client = self.client.as_ref().filter(|_| self.frames)?;
        let timeout = self.settings.timeout_ms.map_or(TIMEOUT, Duration::from_millis);
        let answer =
            tokio::time::timeout(timeout, client.request("frame", Value::Null, None)).await.ok()?.ok()?;
        picture(answer.get("data")?.as_str()?, answer.get("mime").and_then(Value::as_str))
    }

    fn fork(&self) -> Box<dyn Peer> {
        Box::new(Self {
            settings: self.settings.clone(),
            directory: self.directory.clone(),
            client: None,
            frames: self.frames,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_of_a_description_is_refused_by_its_name() {
        let read = |world: Value| World::read(&world).map(|_| ()).unwrap_err();
        let error = read(json!({"name": "w", "actions": ["a"], "acitons": []}));
        assert!(error.starts_with("unknown field `acitons`, expected one of `name`, `version`"), "{error}");
        let goal = json!({"equals": {"path": "/a", "value": 1}});
        let task = json!({"name": "t", "description": "d", "goal": goal, "reward": 1});
        let error = read(json!({"name": "w", "actions": ["a"], "tasks": [task]}));
        assert!(
            error.starts_with("`tasks[0]` has an unknown field `reward`, expected one of `name`"),
            "{error}"
        );
    }

    #[test]
    fn the_keys_of_a_description_are_those_of_its_types() {
        let parameter = json!({"name": "n", "kind": "text"});
        let task = json!({"name": "t", "description": "d", "parameters": [parameter], "achievement": true,
            "goal": {"equals": {"path": "/a", "value": 1}}, "episodes": {"modulus": 2, "remainder": 1}});
        let item = json!({"item": "wood", "count": 1});
        let recipe = json!({"task": "t", "call": "c()", "target": "tree", "consumes": [item], "tools": ["axe"],
            "nearby": ["table"], "provides": [item], "note": "n"});
        let example = json!({"task": "t", "source": "s"});
        let world = json!({"name": "w", "actions": ["a"], "tasks": [task], "recipes": [recipe], "examples": [example]});
        let read = World::read(&world).unwrap();
        for (list, value) in [
            ("tasks", json!(read.tasks)),
            ("recipes", json!(read.recipes)),
            ("examples", json!(read.examples)),
        ] {
            let (_, known) = KEYS.iter().find(|(name, _)| *name == list).unwrap();
            let mut keys: Vec<&str> = value[0].as_object().unwrap().keys().map(String::as_str).collect();
            let mut known = known.to_vec();
            keys.sort_unstable();
            known.sort_unstable();
            assert_eq!(keys, known);
        }
    }
}
