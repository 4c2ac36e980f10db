use crate::{AdmissionRule, CaseResult, Demotion, ReflexRule, ReflexTrial, Skill, SkillId, TrialReport, Use};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Lifecycle status of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Written, but never tried.
    Draft,
    /// In trial, for the first time or again.
    Trial,
    /// Verified. The latest admitted version of a name is its active one.
    Admitted,
    /// No longer used; kept for its history.
    Retired,
}

/// A change of the library, as recorded in its event list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LibraryEvent {
    /// A new version of a name, with status draft.
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
        /// The evidence.
        report: TrialReport,
        /// The rule that the report satisfies.
        rule: AdmissionRule,
    },
    /// Trial → admitted, for a reflex.
    ReflexAdmitted {
        /// The version.
        id: SkillId,
        /// The evidence.
        trial: ReflexTrial,
        /// The rule that the trial satisfies.
        rule: ReflexRule,
    },
    /// An admitted version passed all of its cases again with the present versions of its callees.
    Retested {
        /// The version.
        id: SkillId,
        /// One result per case.
        results: Vec<CaseResult>,
        /// The versions that it called.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        prerequisites: Vec<SkillId>,
    },
    /// Admitted → trial.
    Demoted {
        /// The version.
        id: SkillId,
        /// The reason.
        reason: Demotion,
    },
    /// Any other status → retired.
    Retired {
        /// The version.
        id: SkillId,
        /// The reason in a few words.
        reason: String,
    },
    /// Retired → trial.
    Unretired {
        /// The version.
        id: SkillId,
    },
    /// All later admitted versions of the name → trial, so that version `to` becomes active.
    RolledBack {
        /// The name.
        name: String,
        /// The version that becomes active.
        to: u32,
    },
    /// `name` duplicates `into`: its versions retire, and `name` becomes an alias.
    Merged {
        /// The name that becomes an alias.
        name: String,
        /// The name that remains.
        into: String,
        /// Results of the active version of `name` in the cases of `into`. Not needed if the sources are
        /// equal up to names, comments and white space.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<CaseResult>,
        /// The environment whose versions are merged. Absent in older records: the latest in which both names are in use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment: Option<String>,
    },
    /// A reflex is enabled or disabled; its status stays.
    Switched {
        /// The name.
        name: String,
        /// Whether the reflex may act.
        enabled: bool,
    },
    /// A change that a run made to its copy of the library and that is illegal here, because another run
    /// changed the library in the meantime. It has no effect and is kept for inspection.
    SetAside {
        /// The change.
        event: Box<LibraryEvent>,
        /// Why it is illegal here.
        reason: String,
    },
    /// A version was used; only its statistics change.
    Used {
        /// The version.
        id: SkillId,
        /// The result of the use.
        usage: Use,
    },
}

impl LibraryEvent {
    /// The version that the event concerns; `None` if it concerns a name.
    pub fn id(&self) -> Option<&SkillId> {
        match self {
            Self::Drafted { skill } => Some(&skill.manifest.id),
            Self::TrialStarted { id }
            | Self::Admitted { id, .. }
            | Self::ReflexAdmitted { id, .. }
            | Self::Retested { id, .. }
            | Self::Demoted { id, .. }
            | Self::Retired { id, .. }
            | Self::Unretired { id }
            | Self::Used { id, .. } => Some(id),
            Self::SetAside { event, .. } => event.id(),
            Self::RolledBack { .. } | Self::Merged { .. } | Self::Switched { .. } => None,
        }
    }

    /// Name of the event's kind in the log, such as `drafted`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Drafted { .. } => "drafted",
            Self::TrialStarted { .. } => "trial_started",
            Self::Admitted { .. } => "admitted",
            Self::ReflexAdmitted { .. } => "reflex_admitted",
            Self::Retested { .. } => "retested",
            Self::Demoted { .. } => "demoted",
            Self::Retired { .. } => "retired",
            Self::Unretired { .. } => "unretired",
            Self::RolledBack { .. } => "rolled_back",
            Self::Merged { .. } => "merged",
            Self::Switched { .. } => "switched",
            Self::SetAside { .. } => "set_aside",
            Self::Used { .. } => "used",
        }
    }
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
