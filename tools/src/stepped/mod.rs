//! Worlds that are somewhere else and know two things only: to be reset, and to be stepped by an action with a name.

mod mcp;
mod process;

pub use mcp::McpWorld;
pub use process::ProcessWorld;

use crate::content::plain;
use crate::schema::{RESERVED, identifier};
use crate::{
    Action, Effects, Ending, EndingKind, Environment, EnvironmentError, EnvironmentSpec, Observation,
    Parameter, ParameterKind, Past, Progress, StepOutcome, ToolCall, ToolOutcome, ToolSpec, with_defaults,
};
use async_trait::async_trait;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How often one call may repeat its action.
const TIMES: i64 = 50;

/// Why a declared environment cannot be used as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WorldError(String);

/// Who carries actions out.
#[async_trait]
trait Peer: Send + Sync {
    /// Begins an episode, at the seed where the peer takes one.
    async fn reset(&mut self, seed: u64) -> Result<Seen, EnvironmentError>;

    /// Carries out one of the spec's actions.
    async fn step(&mut self, action: &str) -> Result<Seen, EnvironmentError>;

    /// Another of the same kind, which is started when it is first reset.
    fn another(&self) -> Box<dyn Peer>;
}

/// What a peer tells after a reset or a step.
#[derive(Debug, Clone, Default, Deserialize)]
struct Seen {
    /// What the controller reads; the state in lines where there is none.
    #[serde(default)]
    text: Option<String>,
    /// What skills and conditions read.
    #[serde(default)]
    state: Map<String, Value>,
    #[serde(default)]
    reward: f64,
    /// Achievements of this step.
    #[serde(default)]
    unlocked: Vec<String>,
    /// Why the action had no effect, if it had none.
    #[serde(default)]
    failed: Option<String>,
    /// Set on the last step.
    #[serde(default, deserialize_with = "ending")]
    ended: Option<Ending>,
}

/// A kind and a cause, or a kind alone.
fn ending<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Ending>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Whole(Ending),
        Kind(EndingKind),
    }
    Ok(Option::<Form>::deserialize(deserializer)?.map(|form| match form {
        Form::Whole(ending) => ending,
        Form::Kind(kind) => Ending {
            kind,
            cause: match kind {
                EndingKind::Died => "the episode was lost",
                EndingKind::Succeeded => "the goal was reached",
                EndingKind::TimeUp => "time is up",
                EndingKind::Lost => "the world broke off",
            }
            .to_owned(),
        },
    }))
}

impl Seen {
    fn observation(&self) -> Observation {
        let text = self.text.clone().unwrap_or_else(|| {
            let mut text = String::new();
            for (name, value) in &self.state {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{name}: {}", plain(value));
            }
            text
        });
        Observation { text, state: Value::Object(self.state.clone()) }
    }
}

/// An environment whose steps are somebody else's.
///
/// Each action is a tool of its name that may be repeated: `forward(3)`. Such a world is never stepped a second time in a
/// replay: its log answers for it. After a crash a world that does the same again is brought to where it was.
pub struct SteppedWorld {
    spec: EnvironmentSpec,
    /// The same seed and actions give the same states, as the peer says.
    repeats: bool,
    /// The peer's actions by the name of the tool that does them.
    actions: BTreeMap<String, String>,
    peer: Box<dyn Peer>,
    seen: Option<Seen>,
    call: Option<Call>,
}

/// An action's name as a script can say it: `do` is `do_`.
fn word(action: &str) -> String {
    let mut word = identifier("", action);
    if RESERVED.contains(&word.as_str()) {
        word.push('_');
    }
    word
}

/// A call under way.
enum Call {
    Look,
    Bad(String),
    Act { action: String, left: i64, done: i64, failed: Option<String> },
}

impl SteppedWorld {
    /// The world of a peer. `spec` has the peer's words; its `tools` are made here, from `actions` with what each does.
    fn new(
        mut spec: EnvironmentSpec,
        actions: &[(String, String)],
        repeats: bool,
        peer: Box<dyn Peer>,
    ) -> Result<Self, WorldError> {
        if actions.is_empty() {
            return Err(WorldError("it names no actions".to_owned()));
        }
        let mut by_tool = BTreeMap::new();
        // Skills read the state by it: what the controls say of the state is said here.
        let look = ToolSpec::new("observe", format!("what is seen now. {}", spec.controls).trim().to_owned());
        spec.tools = vec![look];
        spec.actions = Vec::new();
        for (action, description) in actions {
            let name = word(action);
            if name == "observe" || by_tool.insert(name.clone(), action.clone()).is_some() {
                return Err(WorldError(format!("two of its actions would be called `{name}`")));
            }
            let description = if description.is_empty() { action } else { description };
            spec.tools.push(ToolSpec {
                parameters: vec![Parameter {
                    name: "times".to_owned(),
                    kind: ParameterKind::Integer { min: 1, max: TIMES },
                    default: Some(1.into()),
                }],
                effects: Effects { write: true, ..Effects::default() },
                ..ToolSpec::new(name, description.clone())
            });
            spec.actions.push(action.clone());
        }
        // The runtime does not step it a second time, whatever the peer says.
        spec.deterministic = false;
        Ok(Self { spec, repeats, actions: by_tool, peer, seen: None, call: None })
    }

    fn running(&self) -> Result<&Seen, EnvironmentError> {
        self.seen.as_ref().filter(|seen| seen.ended.is_none()).ok_or(EnvironmentError::NotRunning)
    }

    /// What a call asks for.
    fn read(&self, call: &ToolCall) -> Call {
        if call.name == "observe" {
            return Call::Look;
        }
        let Some(action) = self.actions.get(&call.name) else {
            return Call::Bad(format!("there is no `{}` here", call.name));
        };
        let parameters = self.spec.tools.iter().find(|tool| tool.name == call.name).map(|t| &t.parameters);
        let args = with_defaults(parameters.map_or(&[], Vec::as_slice), call.args.clone());
        match args.get("times").and_then(Value::as_i64) {
            Some(left @ 1..=TIMES) if args.len() == 1 => {
                Call::Act { action: action.clone(), left, done: 0, failed: None }
            }
            _ => Call::Bad(format!("`{}` takes a whole number of times, 1 to {TIMES}", call.name)),
        }
    }
}

#[async_trait]
impl Environment for SteppedWorld {
    fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        (self.seen, self.call) = (None, None);
        self.seen = Some(self.peer.reset(seed).await?);
        Ok(())
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        self.seen.as_ref().map(Seen::observation).ok_or(EnvironmentError::NotRunning)
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.running()?;
        self.call = Some(self.read(call));
        Ok(())
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        let outcome = match self.call.as_ref().ok_or(EnvironmentError::NoCall)? {
            Call::Bad(reason) | Call::Act { failed: Some(reason), .. } => ToolOutcome::failed(reason),
            Call::Look => ToolOutcome {
                value: Some(Value::Object(self.running()?.state.clone())),
                ..ToolOutcome::done("looked")
            },
            Call::Act { action, left: 0, done, .. } => ToolOutcome::done(format!("{action} x {done}")),
            Call::Act { action, .. } => return Ok(Progress::Act(Action(action.clone()))),
        };
        self.call = None;
        Ok(Progress::Done(outcome))
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        self.running()?;
        if !self.spec.actions.contains(&action.0) {
            return Err(EnvironmentError::UnknownAction { name: action.0.clone() });
        }
        let stepped = self.peer.step(&action.0).await;
        if stepped.is_err() {
            // Whatever comes of the episode, nobody will see it.
            (self.seen, self.call) = (None, None);
        }
        let seen = self.seen.insert(stepped?);
        if let Some(Call::Act { action: wanted, left, done, failed }) = &mut self.call
            && *wanted == action.0
        {
            (*left, *done) = (*left - 1, *done + 1);
            failed.clone_from(&seen.failed);
        }
        if seen.ended.is_some() {
            self.call = None;
        }
        Ok(StepOutcome {
            state: Value::Object(seen.state.clone()),
            reward: seen.reward,
            unlocked: seen.unlocked.clone(),
            ended: seen.ended.clone(),
        })
    }

    async fn rejoin(&mut self, past: &Past) -> Result<bool, EnvironmentError> {
        if !self.repeats {
            return Ok(false);
        }
        self.reset(past.seed).await?;
        for action in &past.actions {
            if self.running().is_err() {
                return Ok(false);
            }
            self.step(action).await?;
        }
        Ok(self.seen.as_ref().is_some_and(|seen| Some(&seen.state) == past.state.as_object()))
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(Self {
            spec: self.spec.clone(),
            repeats: self.repeats,
            actions: self.actions.clone(),
            peer: self.peer.another(),
            seen: None,
            call: None,
        }))
    }
}
