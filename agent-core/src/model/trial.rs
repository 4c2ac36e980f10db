//! Trials in practice worlds: their plans and results.

use super::{Failure, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sojourn_primitives::JsonPointer;
use sojourn_skills::{Case, CaseResult, ReflexTrial, Setup, SkillId, TrialReport, Wasm};
use sojourn_tools::{Parameter, ToolCall};
use std::fmt::Write as _;

/// Candidates for one skill, and how to try them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialPlan {
    /// The task, which is also the skill's name.
    pub task: String,
    /// The skill's parameters.
    pub parameters: Vec<Parameter>,
    /// JavaScript sources.
    pub candidates: Vec<String>,
    /// Admitted skills that candidates may call.
    pub granted: Vec<String>,
    /// Seeds of the practice worlds, in order of preference.
    pub seeds: Vec<u64>,
    /// Number of worlds that are used.
    pub worlds: usize,
    /// Number of worlds in which a candidate must pass. A candidate that cannot reach it any more is not tried further.
    pub needed: usize,
    /// Skills that are run first in each world, to bring about the prerequisites.
    pub prelude: Vec<ToolCall>,
    /// Calls in world `i`, in order: `calls[i % calls.len()]`. Every one must reach the goal.
    pub calls: Vec<Vec<Map<String, Value>>>,
    /// The largest number of environment steps for one call.
    pub max_steps: u32,
    /// What is checked besides the goal.
    pub scrutiny: Scrutiny,
}

impl TrialPlan {
    /// The setup that repeats the trial in a world.
    pub fn setup(&self, environment: &str, seed: u64, calls: &[Map<String, Value>]) -> Setup {
        Setup {
            environment: environment.to_owned(),
            seed,
            prelude: Some(self.prelude.clone()),
            calls: calls.to_vec(),
            max_steps: Some(self.max_steps),
        }
    }
}

/// What is checked besides the goal of the task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scrutiny {
    /// Counters that the task should not change, as JSON pointers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrelated: Vec<JsonPointer>,
    /// Cases of the version that the candidates repair.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regressions: Vec<Case>,
    /// Skills with the same post-condition, of which one may be a duplicate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<Alike>,
}

/// A skill with the same post-condition as a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alike {
    /// Its name.
    pub name: String,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// Results of a candidate in the cases of a skill with the same post-condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlikeTrial {
    /// The other skill's name.
    pub name: String,
    /// One for each of its cases.
    pub results: Vec<CaseResult>,
}

/// Results of an admitted skill in its cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillRetest {
    /// The version.
    pub id: SkillId,
    /// One for each of its cases.
    pub results: Vec<CaseResult>,
}

/// Results of one candidate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CandidateTrial {
    /// The error of the compiler, if it did not compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_error: Option<String>,
    /// The module it compiled to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasm: Option<Wasm>,
    /// The result in each world.
    pub report: TrialReport,
    /// The first failure, for the causal note of the next round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Results in the cases of skills with the same post-condition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<AlikeTrial>,
    /// Whether content from outside may have influenced a trial: tools answered, or a skill that was made of such content ran.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
}

impl CandidateTrial {
    /// Why it failed, on one line or several; `None` if it did not. The error comes first, then the last call that failed.
    pub fn cause(&self) -> Option<String> {
        if let Some(error) = &self.compile_error {
            return Some(format!("does not compile: {error}"));
        }
        let failure = self.failure.as_ref()?;
        let mut cause = match (&failure.error, failure.died) {
            (Some(error), true) => format!("the agent died: {error}"),
            (Some(error), false) => error.to_string(),
            (None, true) => "the agent died".to_owned(),
            (None, false) => "it returned, but the post-condition did not hold".to_owned(),
        };
        if let Some(call) = failure.trace.iter().rfind(|call| !call.ok) {
            let _ = write!(cause, "\n  the last failed call: {}: {}", call.call, call.message);
        }
        Some(cause)
    }
}

/// Candidates for a reflex, and the practice episodes that are run with each candidate and without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReflexTrialPlan {
    /// The reflex's name.
    pub name: String,
    /// Sources.
    pub candidates: Vec<String>,
    /// Seeds of the practice episodes.
    pub seeds: Vec<u64>,
    /// Environment steps after which an episode ends.
    pub steps: u32,
    /// States before a death. A candidate that takes no action in any of them is not tried.
    pub moments: Vec<Moment>,
    /// Skills that candidates may call; without any they are functions of the state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<String>,
    /// Whether an episode goes on where no task is left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live_on: bool,
}

/// Results of one candidate for a reflex.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReflexCandidateTrial {
    /// The error of the compiler, if it did not compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_error: Option<String>,
    /// The module that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasm: Option<Wasm>,
    /// Whether it would have taken another action in one of the moments.
    pub acts: bool,
    /// The episodes with it and without it.
    pub trial: ReflexTrial,
}
