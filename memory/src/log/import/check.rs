//! Checks the lines of an export one by one, without a database.

use super::super::EventSeq;
use super::super::export::{EXPORT_VERSION, ExportLine, ExportedRecord, ExportedRun};
use super::super::run::{NewRun, genesis};
use crate::canonical::stored_json;
use crate::memories::TOMBSTONE;
use crate::{BlobId, Hash};
use std::collections::HashSet;

/// Longest accepted line, in bytes.
pub(super) const MAX_LINE_BYTES: usize = 64 << 20;
/// Longest accepted name of an environment, a model or a run, in bytes.
const MAX_NAME_BYTES: usize = 4096;
/// Longest accepted kind of a record, in bytes.
const MAX_KIND_BYTES: usize = 100;
/// The last millisecond of the year 9999. Programs that show dates support no later ones.
const MAX_TIME_MS: i64 = 253_402_300_799_999;

/// The state of an export after some of its lines.
#[derive(Debug, Default)]
pub(super) struct Check {
    run: Option<Checked>,
    blobs: HashSet<BlobId>,
    ended: bool,
}

/// The run of an export, as far as it was read.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub(super) run: ExportedRun,
    pub(super) last: EventSeq,
    pub(super) last_at_ms: i64,
    pub(super) head: Hash,
}

/// A line that was accepted.
#[derive(Debug)]
pub(super) enum Accepted {
    Run,
    /// Whether its content is there; otherwise it was forgotten.
    Blob(bool),
    Record,
    End,
}

impl Check {
    /// Reads the next line.
    ///
    /// # Errors
    /// A description of the line's fault. After an error the check cannot continue.
    pub(super) fn line(&mut self, text: &str) -> Result<Accepted, String> {
        if text.contains('\n') {
            return Err("the line has a line feed".to_owned());
        }
        if text.len() > MAX_LINE_BYTES {
            return Err(format!("the line is longer than {} MiB", MAX_LINE_BYTES >> 20));
        }
        let line: ExportLine = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if self.ended {
            return Err("the line follows the end line".to_owned());
        }
        match (line, self.run.is_some()) {
            (ExportLine::Run(run), false) => self.run(run),
            (ExportLine::Run(_), true) => Err("the export holds a second run".to_owned()),
            (_, false) => Err("the first line must be of the type `run`".to_owned()),
            (ExportLine::Blob { id, text, hex }, true) => {
                let content = blob(id, text, hex)?;
                if !self.blobs.insert(id) {
                    return Err(format!("blob `{id}` stands in the export twice"));
                }
                Ok(Accepted::Blob(content.is_some()))
            }
            (ExportLine::Record(record), true) => self.record(record),
            (ExportLine::End { records, head }, true) => self.end(records, head),
        }
    }

    /// The run, once its first line was read.
    pub(super) fn run_so_far(&self) -> Option<&Checked> {
        self.run.as_ref()
    }

    /// Number of blobs so far.
    pub(super) fn blobs(&self) -> u64 {
        self.blobs.len() as u64
    }

    /// The whole run; `None` before the end line.
    pub(super) fn whole(self) -> Option<Checked> {
        self.run.filter(|_| self.ended)
    }

    fn run(&mut self, run: ExportedRun) -> Result<Accepted, String> {
        if run.sojourn_log != EXPORT_VERSION {
            return Err(format!(
                "export version {} is not supported; this program reads version {EXPORT_VERSION}",
                run.sojourn_log
            ));
        }
        let names = [Some(&run.environment), Some(&run.model), run.title.as_ref()];
        if names.into_iter().flatten().any(|name| name.len() > MAX_NAME_BYTES) {
            return Err(format!("a name is longer than {MAX_NAME_BYTES} bytes"));
        }
        if names.into_iter().flatten().any(|name| name.chars().any(char::is_control)) {
            return Err("a name has control characters".to_owned());
        }
        time(run.created_ms)?;
        if run.parent.as_ref().is_some_and(|(_, seq)| i64::try_from(seq.0).is_err()) {
            return Err("the parent's record number is out of range".to_owned());
        }
        let head = genesis(&run.new_run(), run.parent.as_ref());
        let last_at_ms = run.created_ms;
        self.run = Some(Checked { run, last: EventSeq(0), last_at_ms, head });
        Ok(Accepted::Run)
    }

    fn record(&mut self, record: ExportedRecord) -> Result<Accepted, String> {
        if let Some(blob) = record.blobs.iter().find(|blob| !self.blobs.contains(blob)) {
            return Err(format!("the record references blob `{blob}`, which no earlier line defines"));
        }
        let Some(run) = &mut self.run else { return Err("the run line is missing".to_owned()) };
        let expected = run.last.next();
        if record.seq != expected {
            return Err(format!("found record {}, expected record {expected}", record.seq));
        }
        time(record.at_ms)?;
        if record.kind.len() > MAX_KIND_BYTES || record.kind.chars().any(char::is_control) {
            return Err(format!(
                "the kind of record {expected} has control characters or more than {MAX_KIND_BYTES} bytes"
            ));
        }
        let (claimed, forgotten) = (record.hash, record.forgotten);
        let mut record = record.chained(&run.run.id, run.head);
        record.hash = record.expected_hash().map_err(|error| error.to_string())?;
        let emptied = stored_json(&record.payload).map_err(|error| error.to_string())? == TOMBSTONE;
        match (forgotten, emptied) {
            // Only the hash of a forgotten record survives, and the next record is chained to it.
            (true, true) => record.hash = claimed,
            (true, false) => {
                return Err(format!("record {expected} is marked as forgotten but has content"));
            }
            // A fork of a run with a forgotten record has a copy of the tombstone, with a hash of its own.
            (false, _) => {}
        }
        if record.hash != claimed {
            return Err(format!("record {expected} does not match its hash"));
        }
        (run.last, run.last_at_ms, run.head) = (record.seq, record.at_ms, record.hash);
        Ok(Accepted::Record)
    }

    fn end(&mut self, records: u64, head: Hash) -> Result<Accepted, String> {
        if self.run.as_ref().map(|run| (run.last.0, run.head)) != Some((records, head)) {
            return Err("the end line does not match the records before it".to_owned());
        }
        self.ended = true;
        Ok(Accepted::End)
    }
}

impl ExportedRun {
    /// The properties that the genesis hash covers, and the title.
    pub(super) fn new_run(&self) -> NewRun {
        NewRun {
            id: self.id.clone(),
            created_ms: self.created_ms,
            environment: self.environment.clone(),
            model: self.model.clone(),
            title: self.title.clone(),
        }
    }
}

/// The content of a blob; `None` if it was forgotten.
fn blob(id: BlobId, text: Option<String>, hex: Option<String>) -> Result<Option<Vec<u8>>, String> {
    let content = match (text, hex) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(digits)) => {
            hex::decode(&digits).map_err(|error| format!("invalid hexadecimal in a blob: {error}"))?
        }
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err("a blob must not have both `text` and `hex`".to_owned()),
    };
    if BlobId::of(&content) != id {
        return Err(format!("the content of blob `{id}` does not match its hash"));
    }
    Ok(Some(content))
}

fn time(at_ms: i64) -> Result<(), String> {
    if (0..=MAX_TIME_MS).contains(&at_ms) {
        return Ok(());
    }
    Err(format!("the time {at_ms} is not within the years 1970 to 9999"))
}

/// Reads an export from memory and returns the number of its records: for programs that only check one.
///
/// # Errors
/// The number of the first bad line, from 1, and its defect; line 0 if the end line is missing.
pub fn check_export(text: &str) -> Result<u64, (u64, String)> {
    let mut check = Check::default();
    for (number, line) in (1..).zip(text.lines()) {
        check.line(line).map_err(|what| (number, what))?;
    }
    check.whole().map(|run| run.last.0).ok_or_else(|| (0, "the end line is missing".to_owned()))
}
