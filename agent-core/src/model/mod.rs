//! Plain data that the core, the driver and the log share. Nothing here has behaviour beyond reading itself.

mod lesson;
mod milestone;
mod purpose;
mod report;
mod started;
mod state_change;
mod step;
mod tool_decision;
mod trial;

pub use crate::log::{
    ControlRecord, Effect, Event, ForkChanges, LogRecord, Payload, RecordKind, SkillEvent, TimedControl,
};
pub use lesson::{Edit, LessonKind, NewLesson, Recalled};
pub use milestone::{FinishReason, Milestone};
pub use purpose::Purpose;
pub use report::{ActReport, CallTrace, Failure, Moment, SkillUse, Unlocked};
pub use sojourn_synthesis::{
    Beliefs, DemonstratedCall, Demonstration, DiscoveryPlan, ElementId, ExplorationPlan, UiElement, UiState,
};
pub use sojourn_tools::as_javascript;
pub use started::{LOG_VERSION, ReflexSource, RunOrigin, Started};
pub use state_change::{StateChange, diff};
pub use step::StepRecord;
pub use tool_decision::ToolDecision;
pub use trial::{
    Alike, AlikeTrial, CandidateTrial, ReflexCandidateTrial, ReflexTrialPlan, Scrutiny, SkillRetest,
    TrialPlan,
};
