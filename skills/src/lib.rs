//! The skill library of a Sojourn agent.
//!
//! A [`Skill`] is a JavaScript function, its compiled module and a [`Manifest`] with its interface and
//! conditions. Versions of a name are immutable; only a [`LibraryEvent`] changes their [`Status`].
//! [`LibraryState`] is a pure fold of those events, so the event list is the source of truth, and everything
//! else (the folders for people, the `SQLite` index) can be rebuilt from it. [`Library`] is that list on
//! disk.
//!
//! No skill is admitted unverified: [`LibraryEvent::Admitted`] carries a [`TrialReport`], and the fold checks
//! the report against its [`AdmissionRule`].
//!
//! Libraries exchange skills as Agent Skills folders ([`exchange`]). An imported skill starts as a draft and
//! must be verified here.
//!
//! [`grammar`] constrains a small model that writes a skill, [`static_check`] finds certain mistakes before a
//! trial, and [`Index`] retrieves skills for a task.
//!
//! ```
//! use sojourn_skills::static_check;
//!
//! let problems = static_check("function wait() { while (true) {} }", "wait", &[] as &[&str], &[]).unwrap_err();
//! assert_eq!(problems[0].to_string(), "line 1: this loop never ends");
//! ```

#![forbid(unsafe_code)]

mod case;
mod check;
mod compile;
mod duplicate;
mod environments;
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
pub use check::{Problem, calls_any, static_check};
pub use duplicate::{SAME_CASES, same_behaviour, same_source};
pub use event::{LibraryEvent, Status};
pub use illegal::IllegalEvent;
pub use library::{AppendOutcome, CopiedLibrary, IndexRow, Library, LibraryError, RecordedEvent};
pub use manifest::{Callable, Code, Compiled, Draft, Kind, Manifest, Origin, Skill, SkillId, Wasm};
pub use reflex::{Arm, Comparison, PairedEpisode, ReflexFigures, ReflexRefusal, ReflexRule, ReflexTrial};
pub use scan::called_names;
pub use shortlist::{ACTIVE_SKILLS, Hit, Index, Query, SHORTLIST, embedding_text};
pub use state::{Entry, History, LibraryState};
pub use trial::{
    AdmissionDecision, AdmissionRefusal, AdmissionRule, Candidate, TrialReport, WorldResult, best_of,
};
pub use usage::{Demotion, DemotionRule, Usage, Use};
