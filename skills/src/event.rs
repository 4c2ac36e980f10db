use crate::{AdmissionRule, CaseResult, Demotion, ReflexRule, ReflexTrial, Skill, SkillId, TrialReport, Use};
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
    /// Trial → admitted, for a reflex.
    ReflexAdmitted {
        /// The version.
        id: SkillId,
        /// What earned it.
        trial: ReflexTrial,
        /// What it was judged by.
        rule: ReflexRule,
    },
    /// An admitted version passed all its cases again, with the skills that it calls as they are now.
    Retested {
        /// The version.
        id: SkillId,
        /// One for each of its cases.
        results: Vec<CaseResult>,
        /// The versions that it called.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        prerequisites: Vec<SkillId>,
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
    /// `name` does what `into` does: its versions retire, and the name calls `into` from now on.
    Merged {
        /// The name that becomes an alias.
        name: String,
        /// The name that stays.
        into: String,
        /// What the active version of `name` did in the cases of `into`; not needed where the sources are the
        /// same but for their names, comments and blanks.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<CaseResult>,
    },
    /// A reflex is switched on or off; its status stays.
    Switched {
        /// The name.
        name: String,
        /// Whether it may act.
        enabled: bool,
    },
    /// A change that a run made to its own copy of the library and that is not possible here, because another
    /// run changed the library meanwhile. It changes nothing; it is kept so that nothing is lost.
    SetAside {
        /// The change.
        event: Box<LibraryEvent>,
        /// Why it is not possible.
        reason: String,
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
    /// The version that it is about; `None` where it is about a name.
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

    /// The event's kind as it is written in the log: `drafted`.
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
