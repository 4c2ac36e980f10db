//! What the crate needs of its surroundings: practice worlds to act in and to run programs in.

use crate::UiStateError;
use async_trait::async_trait;
use serde_json::Value;
use sojourn_sandbox::Program;
use sojourn_tools::ToolCall;

/// A world of its own, in which nothing that happens matters outside.
///
/// The explorer owns the world while it explores, and begins an episode before every use of it.
#[async_trait]
pub trait PracticeWorld: Send {
    /// Why the world can no longer be used. A call or a program that fails is no error.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Begins the episode of `seed` and returns its first state.
    async fn reset(&mut self, seed: u64) -> Result<Value, Self::Error>;

    /// Makes one call to a tool of the environment in the episode under way.
    async fn call(&mut self, call: &ToolCall, max_steps: u32) -> Result<CallResult, Self::Error>;

    /// The calls that the world says are possible now; empty where it does not say.
    async fn available(&mut self) -> Result<Vec<ToolCall>, Self::Error> {
        Ok(Vec::new())
    }

    /// Whether it is time to be content with what was found, as the rest of the time is for its use.
    fn is_late(&self) -> bool {
        false
    }

    /// Begins the episode of `seed` and runs a program in it to its end, by the executor that also runs trials. The program may
    /// call the tools of the environment and the admitted skills in `granted`, and take `max_steps` environment steps.
    async fn run(
        &mut self,
        seed: u64,
        program: &Program,
        granted: &[String],
        max_steps: u32,
    ) -> Result<RunResult, Self::Error>;
}

/// What came of one call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallResult {
    /// The state after the call.
    pub state: Value,
    /// The sum of the rewards of its steps.
    pub reward: f64,
    /// Whether the tool did what it was asked for.
    pub succeeded: bool,
    /// Whether the episode ended.
    pub ended: bool,
    /// Whether it ended because the agent died or lost.
    pub lost: bool,
    /// The environment steps that it took.
    pub steps: u32,
}

/// The states around a run of a program.
#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    /// The first state of the episode.
    pub before: Value,
    /// The state when the program ended or was stopped.
    pub after: Value,
}

/// Why an exploration could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum ExplorationError<E> {
    /// A practice world failed.
    #[error("{0}")]
    World(#[source] E),
    /// A state is not what the environment declares.
    #[error("{0}")]
    State(#[from] UiStateError),
}
