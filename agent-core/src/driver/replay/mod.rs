//! Worlds and runs answered from a log.
//!
//! [`ReplayingEnvironment`] stands in for an environment that is not deterministic while its run is replayed.
//! [`RecordedRun`] stands in for everything outside the driver, to crash a recorded run and resume it.

mod environment_trace;
mod recorded_run;
mod recorded_tools;
mod recorded_world;
mod replaying_environment;
mod uncertain_calls;

pub use recorded_run::{RecordedRun, ReplayPosition};
pub(in crate::driver) use replaying_environment::ReplayingEnvironment;
