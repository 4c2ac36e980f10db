use crate::TrialReport;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sojourn_tools::ToolCall;
use std::fmt;

/// Limit on the regression cases of a version. The oldest are dropped first.
pub const MAX_CASES: usize = 24;

/// A regression case: a world and calls in which a version succeeded. The version and every repair of it must
/// keep passing it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// How to reproduce the case.
    pub setup: Setup,
    /// Environment steps taken when the case was recorded.
    pub steps: u32,
    /// Fingerprint of the behaviour, from [`behaviour`]; `None` if it was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behaviour: Option<String>,
}

/// How to reproduce a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Name of the environment.
    pub environment: String,
    /// Seed of the world.
    pub seed: u64,
    /// Skills that are run first to satisfy the preconditions. `None` if that was not recorded; practice then
    /// decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prelude: Option<Vec<ToolCall>>,
    /// Arguments of the calls, in order. Every call must verify.
    pub calls: Vec<Map<String, Value>>,
    /// Limit on the environment steps of each call; `None` if it was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u32>,
}

/// Content address of a case: the first 64 bits of the SHA-256 of its setup, in hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(String);

/// Result of running a version in a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case.
    pub case: CaseId,
    /// Whether the starting point was reached. Otherwise the result says nothing about the skill.
    pub reached: bool,
    /// Every call satisfied the post-condition and returned by itself, and the agent survived.
    pub passed: bool,
    /// Environment steps taken.
    pub steps: u32,
    /// Exception, stop reason, or why the starting point was not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Fingerprint of the behaviour, from [`behaviour`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behaviour: Option<String>,
}

impl Setup {
    /// The content address; equal setups have equal addresses.
    pub fn id(&self) -> CaseId {
        let canonical = serde_json::json!([
            self.environment,
            self.seed,
            self.prelude,
            self.calls.iter().map(sorted).collect::<Vec<_>>(),
            self.max_steps
        ]);
        CaseId(digest(canonical.to_string().as_bytes()))
    }
}

impl Case {
    /// Content address of the setup.
    pub fn id(&self) -> CaseId {
        self.setup.id()
    }
}

impl CaseId {
    /// The address as 16 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fingerprint of what a skill did in one world: its calls with their success, the environment steps it took,
/// and the final state. Skills with equal fingerprints behaved identically.
pub fn behaviour<'a>(calls: impl IntoIterator<Item = (&'a str, bool)>, steps: u32, after: &Value) -> String {
    let calls: Vec<(&str, bool)> = calls.into_iter().collect();
    digest(serde_json::json!([calls, steps, after]).to_string().as_bytes())
}

/// The cases of a version from its admission report: those that practice recorded, or else one for each world
/// in which it passed.
pub(crate) fn cases_of(report: &TrialReport, environment: &str) -> Vec<Case> {
    if !report.cases.is_empty() {
        return report.cases.clone();
    }
    let passed = report.worlds.iter().filter(|world| world.passed());
    passed
        .map(|world| Case {
            setup: Setup {
                environment: environment.to_owned(),
                seed: world.seed,
                prelude: None,
                calls: vec![world.args.clone()],
                max_steps: None,
            },
            steps: world.steps,
            behaviour: None,
        })
        .collect()
}

/// Merges two lists without duplicates and keeps the newest [`MAX_CASES`].
pub(crate) fn union(old: &[Case], new: Vec<Case>) -> Vec<Case> {
    let replaced: Vec<CaseId> = new.iter().map(Case::id).collect();
    let mut all: Vec<Case> = old.iter().filter(|case| !replaced.contains(&case.id())).cloned().collect();
    all.extend(new);
    all.split_off(all.len().saturating_sub(MAX_CASES))
}

/// The cases that `results` show neither as passed nor as unreachable.
pub(crate) fn failed<'a>(cases: &'a [Case], results: &[CaseResult]) -> Vec<&'a Case> {
    let holds = |case: &Case| {
        let id = case.id();
        results.iter().any(|result| result.case == id && (result.passed || !result.reached))
    };
    cases.iter().filter(|case| !holds(case)).collect()
}

/// Arguments sorted by name, because the order of keys does not matter.
fn sorted(args: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut sorted: Vec<_> = args.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(b.0));
    sorted
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..8])
}
