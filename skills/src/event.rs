use crate::{AdmissionRule, Demotion, Refused, Skill, SkillId, TrialReport, Use};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Written, never tried.
    Draft,
    /// Being tried, for the first time or again.
    Trial,
    /// Earned its place. The latest admitted version of a name is its active one.
    Admitted,
    /// Out of use, kept for its history.
    Retired,
}

/// A change of the library: what its log records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LibraryEvent {
    /// A new version of a name: a draft.
    Drafted {
        /// Manifest and code.
        skill: Box<Skill>,
    },
    /// Draft → trial.
    TrialStarted {
        /// The version.
        id: SkillId,
    },
    /// Trial → admitted.
    Admitted {
        /// The version.
        id: SkillId,
        /// What earned it.
        report: TrialReport,
        /// What it was judged by.
        rule: AdmissionRule,
    },
    /// Admitted → trial.
    Demoted {
        /// The version.
        id: SkillId,
        /// Why.
        reason: Demotion,
    },
    /// Any other status → retired.
    Retired {
        /// The version.
        id: SkillId,
        /// Why, in a few words.
        reason: String,
    },
    /// Retired → trial.
    Unretired {
        /// The version.
        id: SkillId,
    },
    /// All admitted versions after this admitted one → trial, which makes it the active one.
    RolledBack {
        /// The name.
        name: String,
        /// The version that becomes active.
        to: u32,
    },
    /// A version was used; only its statistics change.
    Used {
        /// The version.
        id: SkillId,
        /// What came of it.
        usage: Use,
    },
}

impl LibraryEvent {
    /// The event's kind as it is written in the log: `drafted`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Drafted { .. } => "drafted",
            Self::TrialStarted { .. } => "trial_started",
            Self::Admitted { .. } => "admitted",
            Self::Demoted { .. } => "demoted",
            Self::Retired { .. } => "retired",
            Self::Unretired { .. } => "unretired",
            Self::RolledBack { .. } => "rolled_back",
            Self::Used { .. } => "used",
        }
    }
}

/// Why an event cannot be applied to a state.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Illegal {
    /// The library has no version with this id.
    #[error("no skill version with id `{id}`")]
    UnknownId {
        /// The id.
        id: SkillId,
    },
    /// The library has no such version of the name.
    #[error("no version {version} of a skill named `{name}`")]
    UnknownVersion {
        /// The name.
        name: String,
        /// The version.
        version: u32,
    },
    /// The version stands elsewhere.
    #[error("`{name}` version {version} is {status}: it cannot be {event}")]
    WrongStatus {
        /// The name.
        name: String,
        /// The version.
        version: u32,
        /// Where it stands.
        status: Status,
        /// The event's kind.
        event: &'static str,
    },
    /// The report does not satisfy its rule.
    #[error("`{name}` version {version} has not earned admission: {}", list(.reasons))]
    NotEarned {
        /// The name.
        name: String,
        /// The version.
        version: u32,
        /// What is missing.
        reasons: Vec<Refused>,
    },
    /// The trial did not run with the active versions of the skills that it calls.
    #[error("`{name}` was not tried with the active version of `{callee}`, which it calls")]
    UntriedChain {
        /// The name.
        name: String,
        /// The skill that it calls.
        callee: String,
    },
    /// It would come to call itself.
    #[error("`{name}` would come to call itself through `{callee}`")]
    Cycle {
        /// The name.
        name: String,
        /// The skill through which it would.
        callee: String,
    },
    /// The same content is already there.
    #[error("`{name}` version {version} has the same content")]
    Duplicate {
        /// The name.
        name: String,
        /// The version that is there.
        version: u32,
    },
    /// Versions are numbered without gaps.
    #[error("the next version of `{name}` is {expected}, not {version}")]
    WrongVersion {
        /// The name.
        name: String,
        /// The version given.
        version: u32,
        /// The version it must be.
        expected: u32,
    },
    /// Not a JavaScript identifier.
    #[error("`{name}` cannot be a skill's name: use letters, digits and `_`, not starting with a digit")]
    BadName {
        /// The name.
        name: String,
    },
    /// Id or module hash are not those of the content.
    #[error("the content of `{name}` version {version} does not match its hash")]
    WrongHash {
        /// The name.
        name: String,
        /// The version.
        version: u32,
    },
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Draft => "draft",
            Self::Trial => "trial",
            Self::Admitted => "admitted",
            Self::Retired => "retired",
        })
    }
}

fn list(reasons: &[Refused]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
