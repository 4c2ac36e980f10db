//! Runs as people read them: records in words and in order, grouped, and in step with the world.
//!
//! The command and the studio share this crate, so both say the same of a run. It decodes nothing itself: records are read by
//! [`LogRecord::read`].
//!
//! - [`Reading`] reads the records of a run one by one; [`Reading::next_intact`] also says which records are damaged.
//! - [`Teller`] puts records into words with the names and vitals that the records before them told.
//! - [`Outline`] is a whole run in a few bytes a record: its groups, its marks, its growth.
//! - [`Film`] and [`Camera`] show the world, the task and the decision at each record.
//! - [`RunClock`] is a run's own time, and [`Decline`] the numbers of the state that fell before a death.
//! - [`Exchange`] is a request to the controller with its answer and the memories recalled for it.
//! - [`skills`] and [`memories`] say where skills and memories came from.

#![forbid(unsafe_code)]

mod came;
mod clock;
mod decline;
mod exchange;
mod film;
mod fold;
pub mod memories;
mod names;
mod outline;
mod reading;
mod scope;
mod skill_graph;
mod skill_uses;
pub mod skills;
mod teller;
mod words;

pub use came::{Came, CurvePoint, ran, standing};
pub use clock::RunClock;
pub use decline::{Decline, Fallen};
pub use exchange::{Exchange, PartTokens};
pub use film::{Camera, Film, Frame, Picture};
pub use fold::{folded, size};
pub use outline::{Batch, Bucket, Damage, Filter, Group, GroupKind, Outline, SeriesPoint, flag};
pub use reading::{Entry, Reading, line, summary, whole};
pub use scope::Scope;
pub use skill_graph::{SkillCall, SkillGraph, SkillNode};
pub use skill_uses::{Failing, SkillUse, failing, uses};
pub use sojourn_core::log::ReadError;
pub use sojourn_core::log::summary::{acted_line, milestone_line, purpose_name, reason_line};
pub use teller::{CallOutcome, Teller};
pub use words::counted;
