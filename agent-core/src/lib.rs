//! The lifelong loop of a Sojourn agent.
//!
//! [`Core`] is the loop as a pure state machine: [`Event`]s go in, [`Effect`]s come out, and nothing in it reads a
//! clock, a network or chance. [`Driver`] carries the effects out (the environment, the controller, the sandbox,
//! memory) and logs intent and result. Because everything from outside enters as a logged event, a run can be
//! replayed, resumed after a crash, and checked record by record.
//!
//! Nothing here knows a particular environment: what an environment documents about itself
//! ([`sojourn_tools::EnvironmentSpec`]) is data to plan with.

#![forbid(unsafe_code)]

mod config;
mod core;
mod driver;
mod event;
mod practice;
mod purpose;

pub use config::{
    ActorConfig, Budgets, ConsolidationConfig, PlayConfig, Prices, RULES, ReflexConfig, RunConfig, ToolUse,
};
pub use core::curriculum::{Curriculum, Proposal, Situation, TaskRecord};
pub use core::planner::{Planner, Total, held};
pub use core::{Core, RunOrigin, Totals, seeds};
pub use driver::{
    Approval, Approver, Clock, DriveError, Driver, Examiner, Grant, Interjected, Interjection, Journal,
    JournalError, LOG_VERSION, Lived, Noted, Notice, Observer, Outcome, Outside, Place, Precedent,
    Provenance, Recollection, Redactor, ReflexSource, Rehearsal, Silent, StageError, StageEvent, Started,
    StepRecord, Texts, Tools, Unattended, as_javascript, diff, inflate, is_forgotten, merge, now_ms,
    rehearse,
};
pub use event::*;
