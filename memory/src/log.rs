//! The append-only, hash-chained event log: one list of records per run.

mod collect;
mod export;
mod fork;
mod heads;
mod hold;
mod ids;
mod import;
mod lease;
mod lock;
mod reader;
mod record;
mod reordered;
mod rows;
mod run;
mod verify;
mod writer;

/// Reads bytes as a page of records, as a payload and as compressed content.
#[doc(hidden)]
pub fn read_stored(bytes: &[u8]) {
    rows::read(bytes);
    reordered::Reorderer::default().canonical(bytes);
    let _ = reader::text(bytes);
}

pub use collect::{Collected, Garbage, RetentionPolicy};
pub use export::{EXPORT_VERSION, ExportLine, ExportedRecord, ExportedRun, Exporter};
pub use fork::{FORKED, ForkPoint};
pub use heads::Head;
pub(crate) use heads::note_copied as note_copied_head;
pub use ids::{EventSeq, RunId};
pub use import::{ImportError, ImportLimits, Importer, check_export};
pub use lease::Owner;
pub(crate) use lease::fence;
pub use reader::{RecordPages, RecordQuery};
pub use record::Record;
pub use run::{NewRun, RunInfo, RunStatus};
pub use verify::{Fault, FaultKind, VerifyReport};
pub use writer::{Durability, Writer};
