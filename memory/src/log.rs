//! The append-only, hash-chained event log: one list of records per run.

mod collect;
mod export;
mod fork;
mod heads;
mod ids;
mod import;
mod lock;
mod reader;
mod record;
mod reordered;
mod rows;
mod run;
mod verify;
mod writer;

pub use collect::{Collected, Garbage, RetentionPolicy};
pub use export::{EXPORT_VERSION, ExportLine, ExportedRecord, ExportedRun, Exporter};
pub use fork::{FORKED, ForkPoint};
pub use heads::Head;
pub use ids::{EventSeq, RunId};
pub use import::{ImportError, Importer, check_export};
pub use reader::{RecordPages, RecordQuery};
pub use record::Record;
pub use run::{NewRun, RunInfo, RunStatus};
pub use verify::{Fault, FaultKind, VerifyReport};
pub use writer::{Durability, Writer};
