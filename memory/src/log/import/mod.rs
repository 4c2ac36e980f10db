//! Imports an exported run: read whole and checked before the first lock, and then written.
//!
//! Lines that were checked wait in a temporary file of the home, so that an import that waits for its input blocks no writer.
//! Blobs are written in transactions of a few megabytes; run and records follow in one, so that a run is imported whole
//! or not at all.

mod check;

pub use check::check_export;

use super::export::ExportLine;
use super::heads::{Head, HeadFile, noted};
use super::hold::Hold;
use super::reader::damaged;
use super::run::{RunRow, insert};
use super::writer::Queued;
use super::{EventSeq, RunId, RunStatus};
use crate::{BlobId, Error, Hash, Store, blobs};
use check::{Accepted, Check, Checked};
use sojourn_database::{Access, Connection, query};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write as _};

/// Content of the blobs that one transaction writes, in bytes.
const BLOB_BYTES: usize = 8 << 20;

/// Why a run was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line is invalid or out of order.
    #[error("line {line}: {what}")]
    Line {
        /// Line number, from 1.
        line: u64,
        /// The fault, as a clause.
        what: String,
    },
    /// The end line is missing.
    #[error("the export ends after line {line} without its end line")]
    Cut {
        /// Number of the last line that was read.
        line: u64,
    },
    /// The export is larger than this import may be.
    #[error("line {line}: the export has more than {limit}")]
    Large {
        /// Number of the first line that is too many, from 1.
        line: u64,
        /// The limit with its unit: "16 GiB", "2000000 blobs".
        limit: String,
    },
    /// The store rejected the run.
    #[error("{0}")]
    Store(#[from] Error),
}

/// How large an export may be. Somebody else may have written it, and all of it waits on the home's disk until it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportLimits {
    /// Bytes of all lines.
    pub bytes: u64,
    /// Number of lines.
    pub lines: u64,
    /// Number of blobs, whose ids are held in memory: about 50 bytes each.
    pub blobs: u64,
}

impl ImportLimits {
    /// No limits, for exports that this program makes itself.
    pub const NONE: Self = Self { bytes: u64::MAX, lines: u64::MAX, blobs: u64::MAX };
}

impl Default for ImportLimits {
    fn default() -> Self {
        Self { bytes: 16 << 30, lines: 20_000_000, blobs: 2_000_000 }
    }
}

/// Imports one run, line by line. Nothing is written before [`finish`](Self::finish).
#[derive(Debug)]
pub struct Importer {
    store: Store,
    check: Check,
    limits: ImportLimits,
    /// Number of lines read.
    line: u64,
    /// Bytes of the lines read, with their line feeds.
    bytes: u64,
    blobs: Spool,
    records: Spool,
}

impl Store {
    /// Starts an import of an export that is not larger than `limits`.
    ///
    /// # Errors
    /// The home has no place for temporary files.
    pub fn import(&self, limits: ImportLimits) -> Result<Importer, Error> {
        let (blobs, records) = (Spool::new(self)?, Spool::new(self)?);
        let (store, check) = (self.clone(), Check::default());
        Ok(Importer { store, check, limits, line: 0, bytes: 0, blobs, records })
    }
}

impl Importer {
    /// Reads the next line. After an error the importer cannot continue.
    ///
    /// # Errors
    /// [`ImportError::Line`] if the line is invalid, out of order or fails its hash; [`ImportError::Large`] if the export is
    /// larger than the limits allow; [`ImportError::Store`] with [`Error::RunExists`] if the home has the run.
    pub async fn line(&mut self, text: &str) -> Result<(), ImportError> {
        self.line += 1;
        let line = self.line;
        self.bytes = self.bytes.saturating_add(text.len() as u64).saturating_add(1);
        let large = |limit: String| Err(ImportError::Large { line, limit });
        let ImportLimits { bytes, lines, blobs } = self.limits;
        if self.bytes > bytes {
            return large(format_bytes(bytes));
        }
        if line > lines {
            return large(format!("{lines} lines"));
        }
        match self.check.line(text).map_err(|what| ImportError::Line { line, what })? {
            Accepted::Run => {
                let Some(Checked { run, .. }) = self.check.run_so_far() else { return Ok(()) };
                // Said before all of a long export is read.
                if RunRow::find(&mut self.store.pool.acquire().await.map_err(Error::from)?, &run.id)
                    .await?
                    .is_some()
                {
                    return Err(Error::RunExists { run: run.id.clone() }.into());
                }
            }
            Accepted::Blob(false) | Accepted::Record => self.records.keep(text)?,
            Accepted::Blob(true) => self.blobs.keep(text)?,
            Accepted::End => {}
        }
        if self.check.blobs() > blobs {
            return large(format!("{blobs} blobs"));
        }
        Ok(())
    }

    /// Writes the run and returns its id.
    ///
    /// # Errors
    /// [`ImportError::Cut`] if the end line is missing. [`Error::Cut`] and [`Error::Damaged`] if the home has a head of
    /// this run, which vanished from it, and the export does not contain that head.
    pub async fn finish(self) -> Result<RunId, ImportError> {
        let Self { store, check, line, blobs, records, .. } = self;
        let run = check.whole().ok_or(ImportError::Cut { line })?;
        let lock = Hold::lock(&store, &run.run.id).await?;
        let head = Head { run: run.run.id.clone(), seq: run.last, hash: run.head };
        // A head of this run, although the home does not have it: it vanished. Only its own records may come back.
        let known = store.own_home().map_or(Ok(None), |home| noted(home, &head.run))?;
        if let Some(known) = known.as_ref().filter(|known| known.seq > head.seq) {
            return Err(Error::Cut { run: head.run, last: head.seq, known: known.seq }.into());
        }
        let head_file = store.own_home().map(|home| HeadFile::open(home, &head.run)).transpose()?;
        let mut connection = store.connection().await?;
        write_blobs(&mut connection, blobs).await?;
        write_run(&mut connection, &run, known.as_ref(), records).await?;
        connection.close().await.map_err(Error::from)?;
        if let Some(mut head_file) = head_file {
            head_file.note(&head)?;
        }
        drop(lock);
        Ok(run.run.id)
    }
}

/// The number in the largest binary unit that divides it.
fn format_bytes(bytes: u64) -> String {
    let unit = [(30, "GiB"), (20, "MiB"), (10, "KiB")]
        .into_iter()
        .find(|(shift, _)| bytes.trailing_zeros() >= *shift);
    unit.map_or_else(|| format!("{bytes} bytes"), |(shift, unit)| format!("{} {unit}", bytes >> shift))
}

async fn write_blobs(connection: &mut Connection<'_>, spool: Spool) -> Result<(), Error> {
    let mut lines = spool.lines()?;
    let mut more = true;
    while more {
        let mut transaction = connection.begin(Access::Append).await?;
        let mut written = 0;
        while written < BLOB_BYTES {
            let Some(text) = lines.next()? else {
                more = false;
                break;
            };
            let ExportLine::Blob { id, text, hex } = parsed(&text)? else { continue };
            let content = match (text, hex) {
                (Some(text), _) => text.into_bytes(),
                (_, Some(digits)) => hex::decode(&digits).unwrap_or_default(),
                (None, None) => continue,
            };
            blobs::insert(&mut transaction, &id, &content).await?;
            written += content.len().max(1);
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// `known` is a head that the records must lead through.
async fn write_run(
    connection: &mut Connection<'_>,
    run: &Checked,
    known: Option<&Head>,
    spool: Spool,
) -> Result<(), Error> {
    let leads_through = |seq: EventSeq, hash: Hash| match known {
        Some(known) if known.seq == seq && known.hash != hash => {
            let id = &run.run.id;
            Err(damaged(
                id,
                seq,
                format!("its hash is not the one in `heads/{id}`, of the run that vanished"),
            ))
        }
        _ => Ok(()),
    };
    let mut transaction = connection.begin(Access::Append).await?;
    let (no, mut head) = insert(&mut transaction, &run.run.new_run(), run.run.parent.as_ref()).await?;
    leads_through(EventSeq(0), head)?;
    let mut last = EventSeq(0);
    let mut lines = spool.lines()?;
    while let Some(text) = lines.next()? {
        match parsed(&text)? {
            ExportLine::Blob { id, .. } => forget_blob(&mut transaction, id).await?,
            ExportLine::Record(exported) => {
                if exported.forgotten {
                    query("INSERT INTO forgotten_records VALUES (?, ?)")
                        .bind(no)
                        .bind(exported.seq.0 as i64)
                        .execute(&mut *transaction)
                        .await?;
                }
                let record = exported.chained(&run.run.id, head);
                (last, head) = (record.seq, record.hash);
                leads_through(record.seq, head)?;
                Queued::new(&record)?.insert(&mut transaction, no).await?;
            }
            ExportLine::Run(_) | ExportLine::End { .. } => {}
        }
    }
    let mark = query("INSERT INTO imported_runs (run, last) VALUES (?, ?)").bind(no).bind(last.0 as i64);
    mark.execute(&mut *transaction).await?;
    // No writer exists in this home, so the run cannot be `Running`.
    let status = if run.run.status == RunStatus::Running { RunStatus::Paused } else { run.run.status };
    query("UPDATE runs SET last_seq = ?, last_at_ms = ?, head = ?, status = ? WHERE no = ?")
        .bind(run.last.0 as i64)
        .bind(run.last_at_ms)
        .bind(run.head.as_bytes().as_slice())
        .bind(status.as_str())
        .bind(no)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

/// Imports a blob whose content was forgotten at its origin. A copy that this home holds is kept.
async fn forget_blob(connection: &mut Connection<'_>, id: BlobId) -> Result<(), Error> {
    let sql = "INSERT INTO forgotten_blobs SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE id = ?1) ON CONFLICT DO NOTHING";
    query(sql).bind(id.0.as_bytes().as_slice()).execute(connection).await?;
    Ok(())
}

fn parsed(line: &str) -> Result<ExportLine, Error> {
    serde_json::from_str(line).map_err(|error| Error::Damaged {
        place: "the temporary file of the import".to_owned(),
        what: error.to_string(),
    })
}

/// Lines that wait in a temporary file, which vanishes with the process.
#[derive(Debug)]
struct Spool {
    file: BufWriter<File>,
    home: std::path::PathBuf,
}

/// Reads the lines of a [`Spool`] again.
struct Spooled {
    lines: io::Lines<BufReader<File>>,
    home: std::path::PathBuf,
}

impl Spool {
    fn new(store: &Store) -> Result<Self, Error> {
        let home = store.home().to_owned();
        match tempfile::tempfile_in(&home) {
            Ok(file) => Ok(Self { file: BufWriter::new(file), home }),
            Err(source) => Err(Error::Io { path: home, source }),
        }
    }

    fn keep(&mut self, line: &str) -> Result<(), Error> {
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|source| failed(&self.home, source))
    }

    fn lines(self) -> Result<Spooled, Error> {
        let Self { file, home } = self;
        let mut file = file.into_inner().map_err(|error| failed(&home, error.into_error()))?;
        file.rewind().map_err(|source| failed(&home, source))?;
        Ok(Spooled { lines: BufReader::new(file).lines(), home })
    }
}

impl Spooled {
    fn next(&mut self) -> Result<Option<String>, Error> {
        self.lines.next().transpose().map_err(|source| failed(&self.home, source))
    }
}

fn failed(home: &std::path::Path, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::StorageFull {
        return Error::DiskFull;
    }
    Error::Io { path: home.to_owned(), source }
}
