//! The lifelong loop of a Sojourn agent.
//!
//! [`Core`] is the loop as a pure state machine: [`Event`]s go in, [`Effect`]s come out, and nothing in it reads a
//! clock, a network or random numbers. [`Driver`] carries the effects out (the environment, the controller, the sandbox,
//! memory) and logs intent and result. Because everything from outside enters as a logged event, a run can be
//! replayed, resumed after a crash, and checked record by record.
//!
//! [`log`] declares the kinds of records, `model` the plain data that core, driver and log share. Dependencies point one
//! way: the driver depends on the core, and the core on nothing in the driver.
//!
//! No environment is named here: what an environment documents about itself ([`sojourn_tools::EnvironmentSpec`]) is data
//! to plan with.

#![forbid(unsafe_code)]

mod config;
mod core;
mod driver;
pub mod log;
mod model;

pub use config::{
    ActorConfig, Budgets, CORE_RULES, ConsolidationConfig, DiscoveryConfig, ExplorationConfig, FrameRate,
    Prices, ReflexConfig, RunConfig, Sense, SettingOutOfRange, StuckConfig, TeacherConfig, ToolUse,
};
pub use core::curriculum::{Curriculum, Proposal, Situation, TaskRecord};
pub use core::goals::{GoalMeaning, GoalQuestion};
pub use core::planner::{Planner, Total};
pub use core::{Core, Totals, seeds};
pub use driver::{
    Approval, Approver, AskedGoal, Clock, DriveError, Driver, DriverDeps, ExecutorError, GoalSituation,
    HealingPlan, Journal, JournalError, LongWork, Noted, Notice, Observer, Outcome, Provenance, Question,
    RecordIndex, RecordedRun, RedactedEnvironment, Redactor, ReplayPosition, Requests, RunMemory,
    RunningTime, Silent, SingleRun, StandaloneTrials, SurveyPlan, Texts, TimeSource, Tools, Unattended,
    Unredactable, attachment, call_hash, heal_recording, now_ms, run_once, survey,
};
pub use log::blobs::{inflate, is_forgotten, stored_and_read};
pub use model::*;
