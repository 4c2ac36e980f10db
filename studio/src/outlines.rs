//! Outlines of runs, kept while runs are looked at, and read on where runs grow.

use crate::StudioError;
use sojourn_logbook::{Came, Camera, Outline, ReadError, Teller};
use sojourn_memory::{RunId, RunInfo, Store};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, RwLock};

/// The most runs whose outlines are kept.
const MOST_RUNS: usize = 12;
/// Records that are read before others may look at the outline.
const BATCH: usize = 400;
/// How long a request waits for an outline that is being read. Then it gets the part that was read.
const PATIENCE: Duration = Duration::from_millis(300);
/// A request does not wait for more records than this.
const FAR: u64 = 5000;

/// A run that is looked at.
#[derive(Default)]
pub struct Watched {
    /// The outline as far as it was read.
    pub outline: RwLock<Outline>,
    /// The reader of rows, and the record that it reads next.
    pub teller: tokio::sync::Mutex<Option<(u64, Teller)>>,
    /// The camera of the scrubber, and the record that it takes next.
    pub camera: tokio::sync::Mutex<Option<(u64, Camera)>>,
    reading: AtomicBool,
    grown: Notify,
    failure: Mutex<Option<ReadError>>,
}

/// The runs that are looked at.
#[derive(Default)]
pub struct Outlines {
    watched: Mutex<Looks>,
    /// What came of runs, which is little for each.
    came: Mutex<HashMap<RunId, Arc<tokio::sync::Mutex<Came>>>>,
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
        let mut kept = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
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
    pub fn came(&self, run: &RunId) -> Arc<tokio::sync::Mutex<Came>> {
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(came.entry(run.clone()).or_default())
    }

    /// The cache entry of a run, with its outline read as far as the log goes, or as far as it is read within a moment.
    ///
    /// # Errors
    /// When the run cannot be read.
    pub async fn current(&self, store: &Store, info: &RunInfo) -> Result<Arc<Watched>, StudioError> {
        let watched = self.watched(&info.id);
        let known = watched.outline.read().await.len();
        if known < info.last_seq.0 {
            if !watched.reading.swap(true, Ordering::AcqRel) {
                tokio::spawn(read(Arc::clone(&watched), store.clone(), info.clone()));
            }
            // Of a long log, the beginning is enough for now.
            let wanted = info.last_seq.0.min(known + FAR);
            let there = async {
                loop {
                    let grown = watched.grown.notified();
                    if (known > 0 && info.last_seq.0 - known > FAR)
                        || watched.outline.read().await.len() >= wanted
                        || !watched.reading.load(Ordering::Acquire)
                    {
                        return;
                    }
                    grown.await;
                }
            };
            let _ = tokio::time::timeout(PATIENCE, there).await;
        }
        let failure = watched.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(watched),
        }
    }
}

/// Reads a run to its end, a batch at a time.
async fn read(watched: Arc<Watched>, store: Store, info: RunInfo) {
    loop {
        let read = watched.outline.write().await.read_on(&store, &info, BATCH).await;
        watched.grown.notify_waiters();
        match read {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => break,
            Err(error) => {
                *watched.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                break;
            }
        }
    }
    watched.reading.store(false, Ordering::Release);
    watched.grown.notify_waiters();
}
