//! The append-only, hash-chained record of what happened in each run.

mod fork;
mod ids;
mod lock;
mod reader;
mod record;
mod run;
mod verify;
mod writer;

pub use fork::{FORKED, ForkPoint};
pub use ids::{EventSeq, RunId};
pub use reader::{RecordPages, RecordQuery};
pub use record::Record;
pub use run::{NewRun, RunInfo, RunStatus};
pub use verify::{Fault, FaultKind, VerifyReport};
pub use writer::{Durability, Writer};
