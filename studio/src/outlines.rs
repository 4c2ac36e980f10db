//! Outlines of runs, kept while runs are looked at, and read on where runs grow.
//!
//! No lock is held while the log is read: a batch of records is read first, then entered.

use crate::StudioError;
use sojourn_logbook::{Batch, Came, Camera, Outline, ReadError, Teller};
use sojourn_memory::{RunId, RunInfo, Store};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// The most runs whose outlines are kept.
const MOST_RUNS: usize = 12;
/// Records that are read at once: as many as the store fetches.
const BATCH: usize = 64;
/// How long a request waits for an outline that is being read. Then it gets the part that was read.
const PATIENCE: Duration = Duration::from_millis(300);
/// After so many records in one go, the room that was kept for more is given back.
const LONG: u64 = 50_000;
/// A request does not wait for more records than this.
const FAR: u64 = 5000;

/// A run that is looked at.
#[derive(Default)]
pub struct Watched {
    outline: RwLock<Outline>,
    /// The reader of rows, and the record that it reads next. A request takes it out while it reads; another one, meanwhile, makes
    /// its own.
    teller: Mutex<Option<(u64, Teller)>>,
    /// The camera of the scrubber, and the record that it takes next.
    camera: Mutex<Option<(u64, Camera)>>,
    reading: AtomicBool,
    grown: Notify,
    failure: Mutex<Option<ReadError>>,
}

impl Watched {
    /// A run with its outline read to the end.
    pub fn of(outline: Outline) -> Self {
        Self { outline: RwLock::new(outline), ..Self::default() }
    }

    /// The outline as far as it was read.
    pub fn outline(&self) -> RwLockReadGuard<'_, Outline> {
        self.outline.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out the reader of rows.
    pub fn take_teller(&self) -> Option<(u64, Teller)> {
        locked(&self.teller).take()
    }

    /// Keeps the reader of rows for the next request.
    pub fn keep_teller(&self, position: u64, teller: Teller) {
        *locked(&self.teller) = Some((position, teller));
    }

    /// Takes out the camera, if it stands in the episode that begins with record `first`, and not behind record `from`: what lies
    /// between is read on, which costs less than the episode from its beginning.
    pub fn take_camera(&self, first: u64, from: u64) -> Option<(u64, Camera)> {
        let mut kept = locked(&self.camera);
        let fits = kept.as_ref().is_some_and(|(position, _)| (first..=from).contains(position));
        if fits { kept.take() } else { None }
    }

    /// Keeps the camera for the next request.
    pub fn keep_camera(&self, position: u64, camera: Camera) {
        *locked(&self.camera) = Some((position, camera));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The runs that are looked at.
#[derive(Default)]
pub struct Outlines {
    watched: Mutex<Looks>,
    /// What came of runs, which is little for each.
    came: Mutex<HashMap<RunId, Came>>,
    /// The tasks that read logs. They end with this.
    readers: Mutex<JoinSet<()>>,
}

/// Cached outlines of runs, each with the number of the last look at it.
#[derive(Default)]
struct Looks {
    number: u64,
    runs: HashMap<RunId, (u64, Arc<Watched>)>,
}

impl Outlines {
    /// The cached outline of a run.
    fn watched(&self, run: &RunId) -> Arc<Watched> {
        let mut kept = locked(&self.watched);
        kept.number += 1;
        let now = kept.number;
        let entry = kept.runs.entry(run.clone()).or_default();
        entry.0 = now;
        let watched = Arc::clone(&entry.1);
        if kept.runs.len() > MOST_RUNS
            && let Some(oldest) = kept.runs.iter().min_by_key(|(_, (at, _))| *at).map(|(run, _)| run.clone())
        {
            kept.runs.remove(&oldest);
        }
        watched
    }

    /// What came of a run, as far as it was read.
    pub fn came(&self, run: &RunId) -> Came {
        locked(&self.came).get(run).cloned().unwrap_or_default()
    }

    /// Keeps what came of a run, unless another request has read on meanwhile.
    pub fn keep_came(&self, run: &RunId, came: &Came) {
        let mut kept = locked(&self.came);
        let known = kept.entry(run.clone()).or_default();
        if known.upto < came.upto {
            known.clone_from(came);
        }
    }

    /// The cache entry of a run, with its outline read as far as the log goes, or as far as it is read within a moment.
    ///
    /// # Errors
    /// When the run cannot be read.
    pub async fn current(&self, store: &Store, info: &RunInfo) -> Result<Arc<Watched>, StudioError> {
        let watched = self.watched(&info.id);
        let known = watched.outline().len();
        if known < info.last_seq.0 {
            if !watched.reading.swap(true, Ordering::AcqRel) {
                let mut readers = locked(&self.readers);
                while readers.try_join_next().is_some() {}
                readers.spawn(read(Arc::downgrade(&watched), store.clone(), info.clone()));
            }
            // Of a long log, the beginning is enough for now.
            let wanted = info.last_seq.0.min(known + FAR);
            let there = async {
                loop {
                    let grown = watched.grown.notified();
                    if (known > 0 && info.last_seq.0 - known > FAR)
                        || watched.outline().len() >= wanted
                        || !watched.reading.load(Ordering::Acquire)
                    {
                        return;
                    }
                    grown.await;
                }
            };
            let _ = tokio::time::timeout(PATIENCE, there).await;
        }
        let failure = locked(&watched.failure).take();
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(watched),
        }
    }
}

/// Reads a run to its end, a batch at a time, as long as its outline is kept.
async fn read(watched: Weak<Watched>, store: Store, info: RunInfo) {
    let mut begun = None;
    loop {
        let Some(from) = watched.upgrade().map(|watched| watched.outline().len()) else { return };
        let begun = *begun.get_or_insert(from);
        let batch = Batch::read(&store, &info, from, BATCH).await;
        let Some(watched) = watched.upgrade() else { return };
        let more = match batch {
            Ok(batch) => {
                let more = batch.has_more();
                let mut outline = watched.outline.write().unwrap_or_else(PoisonError::into_inner);
                outline.add(batch);
                if !more && outline.len() - begun > LONG {
                    outline.shrink();
                }
                drop(outline);
                more
            }
            Err(error) => {
                *locked(&watched.failure) = Some(error);
                false
            }
        };
        if !more {
            watched.reading.store(false, Ordering::Release);
        }
        watched.grown.notify_waiters();
        if !more {
            return;
        }
        tokio::task::yield_now().await;
    }
}
