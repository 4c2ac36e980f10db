use crate::TrialReport;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sojourn_tools::ToolCall;
use std::fmt;

/// At most this many cases are kept of a version; the oldest give way.
pub const MAX_CASES: usize = 24;

/// A world and a call that a version passed in: what it, and every repair of it, must go on passing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// How the case is brought about again.
    pub setup: Setup,
    /// Environment steps that it took when it was recorded.
    pub steps: u32,
    /// What it did, as [`behaviour`] tells it; none in records that are older than cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behaviour: Option<String>,
}

/// How a case is brought about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Name of the environment.
    pub environment: String,
    /// What the world is reset with.
    pub seed: u64,
    /// Skills that are run first, in turn, to bring the preconditions about. None where that was not recorded:
    /// then it is what practice would do today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prelude: Option<Vec<ToolCall>>,
    /// Arguments of the calls that are made in turn; every one must verify.
    pub calls: Vec<Map<String, Value>>,
    /// Environment steps that each call may take; none where that was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u32>,
}

/// A case's address: the first 64 bits of the sha256 of its setup, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(String);

/// What came of running a version in a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case.
    pub case: CaseId,
    /// Whether its starting point was reached. What cannot be started says nothing about the skill.
    pub reached: bool,
    /// The post-condition held after every call, each returned by itself, and the agent lived.
    pub passed: bool,
    /// Environment steps taken.
    pub steps: u32,
    /// What it threw, or why it was stopped, or what kept the case from starting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it did, as [`behaviour`] tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behaviour: Option<String>,
}

impl Setup {
    /// Its address: the same for the same setup.
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
    /// Its setup's address.
    pub fn id(&self) -> CaseId {
        self.setup.id()
    }
}

impl CaseId {
    /// 16 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A fingerprint of what a skill did in one world: the calls it made with whether each succeeded, the
/// environment steps it took, and the state it left. Two skills that agree on it did the same.
pub fn behaviour<'a>(calls: impl IntoIterator<Item = (&'a str, bool)>, steps: u32, after: &Value) -> String {
    let calls: Vec<(&str, bool)> = calls.into_iter().collect();
    digest(serde_json::json!([calls, steps, after]).to_string().as_bytes())
}

/// The cases of a version from the report that earned its admission: those that practice recorded, or, for
/// reports that are older than cases, the worlds in which it passed.
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

/// `old` and `new` without repetitions, the newest [`MAX_CASES`] of them.
pub(crate) fn union(old: &[Case], new: Vec<Case>) -> Vec<Case> {
    let replaced: Vec<CaseId> = new.iter().map(Case::id).collect();
    let mut all: Vec<Case> = old.iter().filter(|case| !replaced.contains(&case.id())).cloned().collect();
    all.extend(new);
    all.split_off(all.len().saturating_sub(MAX_CASES))
}

/// The cases among `cases` that `results` do not show as passed or as impossible to start.
pub(crate) fn failed<'a>(cases: &'a [Case], results: &[CaseResult]) -> Vec<&'a Case> {
    let holds = |case: &Case| {
        let id = case.id();
        results.iter().any(|result| result.case == id && (result.passed || !result.reached))
    };
    cases.iter().filter(|case| !holds(case)).collect()
}

/// Arguments in the order of their names: an order of keys is no difference.
fn sorted(args: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut sorted: Vec<_> = args.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(b.0));
    sorted
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..8])
}
