//! Heads of runs, kept outside the database.
//!
//! A chain of hashes proves that nothing before its head was changed, but not that the head is the last one: whoever can write
//! the database can cut records off the end and rewrite the head. So the writer also notes the head in a file of the home,
//! `heads/<run>`, and [`Store::heads`] lists heads that a person can keep where no other process can write.

use super::{EventSeq, RunId};
use crate::{Error, Hash, Store};
use serde::{Deserialize, Serialize};
use sojourn_primitives::create_private_dir;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Size of a head file, in bytes. Every head fits, so a write replaces all of the file in one block.
const FILE_BYTES: usize = 256;

/// The file of a home that lists the runs which garbage collection removes.
const COLLECTED: &str = "collected_runs.json";

/// The last record of a run at some moment, and by its hash all records before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The run.
    pub run: RunId,
    /// Sequence number of the record; 0 for an empty run.
    pub seq: EventSeq,
    /// Hash of the record; of an empty run the hash of its immutable fields.
    pub hash: Hash,
}

/// The head file of a run that is being written.
#[derive(Debug)]
pub(super) struct HeadFile {
    file: File,
    path: PathBuf,
}

impl HeadFile {
    /// Opens the file and creates it if it is missing.
    pub(super) fn open(home: &Path, run: &RunId) -> Result<Self, Error> {
        let path = path(home, run);
        let io = |source| Error::Io { path: path.clone(), source };
        if let Some(directory) = path.parent() {
            create_private_dir(directory).map_err(io)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        Ok(Self { file, path })
    }

    /// Notes the head. The file is not synced: after a power failure it may name an earlier record, never a later one.
    pub(super) fn note(&mut self, head: &Head) -> Result<(), Error> {
        let io = |source| Error::Io { path: self.path.clone(), source };
        let json = serde_json::to_string(head).map_err(|error| io(error.into()))?;
        let line = format!("{json:<width$}\n", width = FILE_BYTES - 1);
        self.file.rewind().and_then(|()| self.file.write_all(line.as_bytes())).map_err(io)
    }
}

/// The head that the home's file names; `None` without a file, or where a run's first head was never noted.
///
/// # Errors
/// [`Error::Damaged`] if the file is unreadable or names another run.
pub(super) fn noted(home: &Path, run: &RunId) -> Result<Option<Head>, Error> {
    let path = path(home, run);
    let bytes = match fs::read(&path) {
        // After a power failure, a new file may be empty or hold zeros only.
        Ok(bytes) if bytes.iter().all(|byte| *byte == 0) => return Ok(None),
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { path, source }),
    };
    match serde_json::from_slice::<Head>(&bytes) {
        Ok(head) if head.run == *run => Ok(Some(head)),
        _ => Err(Error::Damaged {
            place: format!("`{}`", path.display()),
            what: "it is no head of this run".to_owned(),
        }),
    }
}

/// Notes the head of a run that was copied into the home.
///
/// # Errors
/// [`Error::Cut`] where the home knows a later record of a run of this name.
pub(crate) fn note_copied(home: &Path, head: &Head) -> Result<(), Error> {
    if let Some(known) = noted(home, &head.run)?.filter(|known| known.seq > head.seq) {
        return Err(Error::Cut { run: head.run.clone(), last: head.seq, known: known.seq });
    }
    HeadFile::open(home, &head.run)?.note(head)
}

/// Removes the file of a run that was removed.
pub(super) fn remove(home: &Path, run: &RunId) -> Result<(), Error> {
    let path = path(home, run);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Io { path, source: error }),
        _ => Ok(()),
    }
}

/// Notes the runs that are about to be removed. A run of this list that is not in the database was collected, even if the
/// process ended before it removed the head file.
pub(super) fn note_collected(home: &Path, runs: &[RunId]) -> Result<(), Error> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut all = collected(home)?;
    all.extend(runs.iter().cloned());
    let path = home.join(COLLECTED);
    let io = |source| Error::Io { path: path.clone(), source };
    let json = serde_json::to_vec(&all).map_err(|error| io(error.into()))?;
    // Whole or not at all.
    let mut file = tempfile::NamedTempFile::new_in(home).map_err(io)?;
    file.write_all(&json).and_then(|()| file.as_file().sync_all()).map_err(io)?;
    file.persist(&path).map_err(|error| io(error.error))?;
    Ok(())
}

/// Removes the head files of the runs that were collected, all that can be removed, and then their list. `present` are the
/// runs of the database: a collection that did not commit left them there.
pub(super) fn remove_collected(home: &Path, present: &BTreeSet<RunId>) -> Result<(), Error> {
    let mut failed = None;
    for run in collected(home)?.difference(present) {
        if let Err(error) = remove(home, run) {
            failed.get_or_insert(error);
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let path = home.join(COLLECTED);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Io { path, source: error }),
        _ => Ok(()),
    }
}

/// The runs of [`note_collected`], until their head files are removed.
fn collected(home: &Path) -> Result<BTreeSet<RunId>, Error> {
    let path = home.join(COLLECTED);
    match fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json).map_err(|error| Error::Damaged {
            place: format!("`{}`", path.display()),
            what: format!("it is no list of runs: {error}"),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(source) => Err(Error::Io { path, source }),
    }
}

fn path(home: &Path, run: &RunId) -> PathBuf {
    home.join("heads").join(run.as_str())
}

impl Store {
    /// The present head of every run, newest run first.
    pub async fn heads(&self) -> Result<Vec<Head>, Error> {
        let mut heads = Vec::new();
        for info in self.runs().await? {
            heads.push(self.head(&info.id).await?);
        }
        Ok(heads)
    }

    /// The present head of a run.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`].
    pub async fn head(&self, run: &RunId) -> Result<Head, Error> {
        let row = self.run_row(run).await?;
        Ok(Head { run: row.info.id, seq: row.info.last_seq, hash: row.head })
    }

    /// Runs that have a head file but are no longer in the database, sorted.
    pub async fn vanished_runs(&self) -> Result<Vec<RunId>, Error> {
        let Some(home) = self.own_home() else { return Ok(Vec::new()) };
        let directory = home.join("heads");
        let io = |source| Error::Io { path: directory.clone(), source };
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io(source)),
        };
        let collected = collected(home)?;
        let mut vanished = Vec::new();
        for entry in entries {
            let name = entry.map_err(io)?.file_name();
            let Some(run) = name.to_str().and_then(|name| name.parse::<RunId>().ok()) else { continue };
            if collected.contains(&run) || noted(home, &run).is_ok_and(|head| head.is_none()) {
                continue;
            }
            if let Err(Error::NoSuchRun { .. }) = self.run_row(&run).await {
                vanished.push(run);
            }
        }
        vanished.sort();
        Ok(vanished)
    }
}
