use crate::{AdmissionRefusal, CaseId, ReflexRefusal, SkillId, Status};

/// Why an event cannot be applied to a state.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IllegalEvent {
    /// No version has this id.
    #[error("no skill version with id `{id}`")]
    UnknownId {
        /// The id.
        id: SkillId,
    },
    /// The name has no such version.
    #[error("no version {version} of a skill named `{name}`")]
    UnknownVersion {
        /// The name.
        name: String,
        /// The version.
        version: u32,
    },
    /// The status of the version does not permit the event.
    #[error("`{name}` version {version} is {status}: it cannot be {event}")]
    WrongStatus {
        /// The name.
        name: String,
        /// The version.
        version: u32,
        /// Its status.
        status: Status,
        /// Kind of the event.
        event: &'static str,
    },
    /// The report does not satisfy the admission rule.
    #[error("`{name}` version {version} does not meet the admission rule: {}", list(.reasons))]
    NotEarned {
        /// The name.
        name: String,
        /// The version.
        version: u32,
        /// The unmet requirements.
        reasons: Vec<AdmissionRefusal>,
    },
    /// The trial did not use the active versions of the skills that it calls.
    #[error("`{name}` was not tried with the active version of `{callee}`, which it calls")]
    UntriedChain {
        /// The name.
        name: String,
        /// The called skill.
        callee: String,
    },
    /// Admission would create a call cycle.
    #[error("`{name}` would call itself through `{callee}`")]
    Cycle {
        /// The name.
        name: String,
        /// The skill through which it would call itself.
        callee: String,
    },
    /// A version with the same content exists.
    #[error("`{name}` version {version} has the same content")]
    Duplicate {
        /// The name.
        name: String,
        /// The existing version.
        version: u32,
    },
    /// Version numbers must be consecutive.
    #[error("the next version of `{name}` is {expected}, not {version}")]
    WrongVersion {
        /// The name.
        name: String,
        /// The given number.
        version: u32,
        /// The required number.
        expected: u32,
    },
    /// The name is not a JavaScript identifier.
    #[error("`{name}` cannot be a skill's name: use letters, digits and `_`, not starting with a digit")]
    BadName {
        /// The name.
        name: String,
    },
    /// The id or the module's hash does not match the content.
    #[error("the content of `{name}` version {version} does not match its hash")]
    WrongHash {
        /// The name.
        name: String,
        /// The version.
        version: u32,
    },
    /// The event is for reflexes and the version is a skill, or the reverse.
    #[error("`{name}` is {kind}: it cannot be {event}")]
    WrongKind {
        /// The name.
        name: String,
        /// "a skill" or "a reflex".
        kind: &'static str,
        /// Kind of the event.
        event: &'static str,
    },
    /// The trial of a reflex does not satisfy its rule.
    #[error("the reflex `{name}` version {version} does not meet the admission rule: {reason}")]
    NoGain {
        /// The name.
        name: String,
        /// The version.
        version: u32,
        /// The unmet requirement.
        reason: ReflexRefusal,
    },
    /// A required case was not passed.
    #[error("`{name}` version {version} does not pass case {case}{}", whose(*.of))]
    CaseFailed {
        /// The name.
        name: String,
        /// The version.
        version: u32,
        /// The first such case.
        case: CaseId,
        /// The repaired version, if the case is inherited from it.
        of: Option<u32>,
    },
    /// No case could be started, so the retest showed nothing.
    #[error("`{name}` version {version} was not run in any of its cases")]
    Untested {
        /// The name.
        name: String,
        /// The version.
        version: u32,
    },
    /// A repair must belong to the same name as the repaired version.
    #[error(
        "`{name}` version {version} says that it repairs `{repaired}`, which is not a version of `{name}`"
    )]
    NoSuchRepair {
        /// The name.
        name: String,
        /// The version.
        version: u32,
        /// The version that it claims to repair.
        repaired: SkillId,
    },
    /// The two skills cannot be merged.
    #[error("`{name}` cannot become an alias of `{into}`: {reason}")]
    Different {
        /// The name that would become an alias.
        name: String,
        /// The name that would remain.
        into: String,
        /// The difference.
        reason: String,
    },
    /// The name has no active version.
    #[error("`{name}` has no active version")]
    Unused {
        /// The name.
        name: String,
    },
}

impl IllegalEvent {
    /// Whether the event can have been legal in a run's copy of the library, because others changed the
    /// library since the copy was made. All other errors are wrong in any library.
    pub fn is_conflict(&self) -> bool {
        !matches!(
            self,
            Self::NotEarned { .. }
                | Self::NoGain { .. }
                | Self::WrongKind { .. }
                | Self::BadName { .. }
                | Self::WrongHash { .. }
        )
    }
}

fn whose(of: Option<u32>) -> String {
    of.map(|version| format!(", which version {version} passed")).unwrap_or_default()
}

fn list(reasons: &[AdmissionRefusal]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
