//! What is tried in practice worlds, and what came of it: plain data, logged as it stands.

use super::{Failure, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sojourn_skills::{Case, CaseResult, ReflexTrial, Setup, SkillId, TrialReport, Wasm};
use sojourn_tools::{Parameter, ToolCall};

/// Candidates for one skill, and how to try them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialPlan {
    /// The task; the skill bears its name.
    pub task: String,
    /// The skill's parameters.
    pub parameters: Vec<Parameter>,
    /// JavaScript sources.
    pub candidates: Vec<String>,
    /// Admitted skills that candidates may call.
    pub granted: Vec<String>,
    /// Seeds of the practice worlds, in order of preference.
    pub seeds: Vec<u64>,
    /// How many of them are used.
    pub worlds: usize,
    /// In how many of those a candidate must pass; one that no longer can is not tried further.
    pub needed: usize,
    /// Skills that are run first in each world, to bring the preconditions about.
    pub prelude: Vec<ToolCall>,
    /// Calls made in turn in world `i`: `calls[i % calls.len()]`. Every one must verify.
    pub calls: Vec<Vec<Map<String, Value>>>,
    /// Environment steps a candidate may take per call.
    pub max_steps: u32,
    /// What is checked besides the goal.
    pub scrutiny: Scrutiny,
}

impl TrialPlan {
    /// How the trial in a world is brought about again.
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

/// What is looked at besides whether a candidate does its task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scrutiny {
    /// Counters that the task has nothing to do with, as JSON pointers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrelated: Vec<String>,
    /// Cases of the version that the candidates repair.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regressions: Vec<Case>,
    /// Skills that promise the same: one of them may do it in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<Alike>,
}

/// A skill that promises what a candidate promises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alike {
    /// Its name.
    pub name: String,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// How a candidate did in the cases of a skill that promises the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlikeTrial {
    /// That skill's name.
    pub name: String,
    /// One for each of its cases.
    pub results: Vec<CaseResult>,
}

/// How an admitted skill did in its cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillRetest {
    /// The version.
    pub id: SkillId,
    /// One for each of its cases.
    pub results: Vec<CaseResult>,
}

/// How one candidate did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateTrial {
    /// Why it did not compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_error: Option<String>,
    /// The module it compiled to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasm: Option<Wasm>,
    /// How it did in each world.
    pub report: TrialReport,
    /// The first world in which it failed, for the causal note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How it did in the cases of skills that promise the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<AlikeTrial>,
}

/// What is tried to find a reflex: each candidate in the same practice episodes, which are also lived without it.
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
    /// A candidate that does nothing in any of these states is not tried.
    pub moments: Vec<Moment>,
}

/// What came of trying one candidate for a reflex.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReflexCandidateTrial {
    /// Why it does not compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_error: Option<String>,
    /// The module that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasm: Option<Wasm>,
    /// Whether it would have acted in one of the moments, and differently.
    pub acts: bool,
    /// The episodes with it and without it.
    pub trial: ReflexTrial,
}
