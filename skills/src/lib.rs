//! The skill library of a Sojourn agent.
//!
//! A [`Skill`] is a JavaScript function, its compiled module and a [`Manifest`] that says what it promises.
//! Versions of a name are immutable; only their [`Status`] changes, and only by a [`LibraryEvent`].
//! [`LibraryState`] is a pure fold of those events, so the event list is the truth and everything else
//! (the folders people read, the `SQLite` index) can be rebuilt from it. [`Library`] is that list on disk.
//!
//! Nothing is admitted unverified: [`LibraryEvent::Admitted`] carries the [`TrialReport`] that earned it, and
//! the fold judges the report again by its [`AdmissionRule`].
//!
//! Libraries exchange skills as Agent Skills folders ([`exchange`]); what comes in is a draft and earns its place here.
//!
//! For writing skills there are [`grammar`] (the JavaScript subset a small model is constrained to) and
//! [`static_check`]; for choosing among them there is [`Index`].

#![forbid(unsafe_code)]

mod case;
mod check;
mod compile;
mod duplicate;
mod event;
pub mod exchange;
mod fold;
pub mod grammar;
mod illegal;
mod library;
mod lineage;
mod manifest;
mod reflex;
mod scan;
mod shortlist;
mod state;
mod store;
mod trial;
mod usage;

pub use case::{Case, CaseId, CaseResult, MAX_CASES, Setup, behaviour};
pub use check::{Problem, static_check};
pub use duplicate::{SAME_CASES, same_behaviour, same_source};
pub use event::{LibraryEvent, Status};
pub use illegal::Illegal;
pub use library::{Applied, Library, LibraryError, Recorded, Row};
pub use manifest::{Callable, Code, Compiled, Draft, Kind, Manifest, Origin, Skill, SkillId, Wasm};
pub use reflex::{Arm, Comparison, PairedEpisode, ReflexFigures, ReflexRefused, ReflexRule, ReflexTrial};
pub use scan::called_names;
pub use shortlist::{ACTIVE_SKILLS, Hit, Index, Query, SHORTLIST, embedding_text};
pub use state::{Entry, History, LibraryState};
pub use trial::{AdmissionRule, Candidate, Refused, TrialReport, Verdict, WorldResult, best_of};
pub use usage::{Demotion, DemotionRule, Usage, Use};
