use crate::{CaseId, ReflexRefused, Refused, SkillId, Status};

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
    /// A reflex is judged by the episodes that it prolongs, any other skill by its worlds.
    #[error("`{name}` is {kind}: it cannot be {event}")]
    WrongKind {
        /// The name.
        name: String,
        /// "a skill" or "a reflex".
        kind: &'static str,
        /// The event's kind.
        event: &'static str,
    },
    /// The trial of a reflex does not satisfy its rule.
    #[error("the reflex `{name}` version {version} has not earned admission: {reason}")]
    NoGain {
        /// The name.
        name: String,
        /// The version.
        version: u32,
        /// What is missing.
        reason: ReflexRefused,
    },
    /// A case that must be passed was not.
    #[error("`{name}` version {version} does not pass case {case}{}", whose(.of))]
    CaseFailed {
        /// The name.
        name: String,
        /// The version.
        version: u32,
        /// The first such case.
        case: CaseId,
        /// The version that it repairs, if the case is that one's.
        of: Option<u32>,
    },
    /// No case could be started, so that nothing was shown.
    #[error("`{name}` version {version} was not run in any of its cases")]
    Untested {
        /// The name.
        name: String,
        /// The version.
        version: u32,
    },
    /// A repair is a repair of another version of its own name.
    #[error(
        "`{name}` version {version} says that it repairs `{repaired}`, which is not a version of `{name}`"
    )]
    NoSuchRepair {
        /// The name.
        name: String,
        /// The version.
        version: u32,
        /// The version that it names.
        repaired: SkillId,
    },
    /// Two skills that cannot be one.
    #[error("`{name}` cannot become an alias of `{into}`: {reason}")]
    Different {
        /// The name that would become an alias.
        name: String,
        /// The name that would stay.
        into: String,
        /// What speaks against it.
        reason: String,
    },
    /// No version of the name is in use.
    #[error("no version of `{name}` is in use")]
    Unused {
        /// The name.
        name: String,
    },
}

impl Illegal {
    /// Whether it can come about although the event was legal in the copy of the library that a run had, because
    /// others changed the library meanwhile. The rest is wrong in any library.
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

fn whose(of: &Option<u32>) -> String {
    of.map(|version| format!(", which version {version} passed")).unwrap_or_default()
}

fn list(reasons: &[Refused]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
