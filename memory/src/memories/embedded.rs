use super::flat_vectors::Label;
use super::shard::Shard;
use super::vectors::{IndexProgress, IndexStage, check_dimension, normalised};
use super::{
    MemoryId, Point, ScoredMemory, Tenant, Tick, VectorQuery, VectorSpace, VectorStore, index_files,
};
use crate::Error;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

/// Number of vectors per model and tenant above which a graph is built. Below it, search is exact.
const EXACT_LIMIT: usize = 16_384;
/// Number of vectors that may stay in the tail beside a graph before they are added to it.
const TAIL_LIMIT: usize = 1024;
/// Number of vectors added to a graph between two checks of the stop flag.
const BATCH: usize = 512;

/// A vector index inside this process.
///
/// Up to 16,384 vectors of a model and tenant are compared exactly; more are searched in an HNSW graph
/// (usearch). A background thread builds the graphs. The index directory is a cache: it may be deleted at any
/// time.
pub struct EmbeddedVectors {
    inner: Arc<Inner>,
    builder: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    /// Directory of the index files, and the id of the store they belong to. `None` disables persistence.
    place: Option<(PathBuf, [u8; 16])>,
    exact: usize,
    shards: RwLock<BTreeMap<String, BTreeMap<Tenant, Arc<Shard>>>>,
    /// Memory clock up to which the files are complete.
    applied: AtomicU64,
    /// Memory clock up to which vectors were given.
    given: AtomicU64,
    /// Vectors added to graphs since the files were written.
    unsaved: AtomicU64,
    /// Whether the files hold vectors that were removed.
    files_stale: AtomicBool,
    stop: AtomicBool,
    /// Held while graphs are built or saved.
    build_lock: Mutex<()>,
}

impl EmbeddedVectors {
    /// Opens the index of the store with this id in `directory`, and loads its files if they are usable.
    pub fn open(directory: &Path, store: [u8; 16]) -> Self {
        let loaded = index_files::load(directory, store);
        let index = Self::with(Some((directory.to_owned(), store)), EXACT_LIMIT);
        if let Some((applied, shards)) = loaded {
            let mut places = index.inner.shards.write().unwrap_or_else(PoisonError::into_inner);
            for (model, tenant, shard) in shards {
                places.entry(model).or_default().insert(tenant, Arc::new(shard));
            }
            drop(places);
            index.inner.applied.store(applied.0, Ordering::SeqCst);
            index.inner.given.store(applied.0, Ordering::SeqCst);
        }
        index
    }

    /// An index without persistence that builds graphs above `exact` vectors.
    pub fn in_memory(exact: usize) -> Self {
        Self::with(None, exact)
    }

    fn with(place: Option<(PathBuf, [u8; 16])>, exact: usize) -> Self {
        let inner = Inner {
            place,
            exact,
            shards: RwLock::default(),
            applied: AtomicU64::new(0),
            given: AtomicU64::new(0),
            unsaved: AtomicU64::new(0),
            files_stale: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            build_lock: Mutex::default(),
        };
        Self { inner: Arc::new(inner), builder: Mutex::default() }
    }

    /// Starts the background thread if vectors are due and it is not running.
    fn start_builder(&self) {
        if !self.inner.has_due() {
            return;
        }
        let mut builder = self.builder.lock().unwrap_or_else(PoisonError::into_inner);
        if builder.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let inner = Arc::clone(&self.inner);
        let thread = std::thread::Builder::new().name("memory-index".to_owned());
        // Without the thread, vectors stay in the tail, where search is exact but slower.
        *builder = thread.spawn(move || inner.run_builder()).ok();
    }
}

impl Drop for EmbeddedVectors {
    fn drop(&mut self) {
        self.inner.stop.store(true, Ordering::SeqCst);
        let builder = self.builder.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(builder) = builder {
            let _ = builder.join();
        }
    }
}

impl Inner {
    fn all(&self) -> Vec<(String, Tenant, Arc<Shard>)> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let all = shards.iter().flat_map(|(model, tenants)| {
            tenants.iter().map(|(tenant, shard)| (model.clone(), tenant.clone(), Arc::clone(shard)))
        });
        all.collect()
    }

    fn shard(&self, model: &str, tenant: &Tenant) -> Option<Arc<Shard>> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        shards.get(model).and_then(|tenants| tenants.get(tenant)).cloned()
    }

    fn dimension(&self, model: &str) -> Option<usize> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        shards.get(model).and_then(|tenants| tenants.values().next()).map(|shard| shard.dimension())
    }

    fn make(&self, model: &str, tenant: &Tenant, dimension: usize) -> Arc<Shard> {
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        let tenants = shards.entry(model.to_owned()).or_default();
        Arc::clone(tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Shard::new(dimension))))
    }

    /// Number of vectors that should move from the shard's tail to its graph.
    fn due(&self, shard: &Shard) -> usize {
        let waiting = shard.tail().len();
        let limit = if shard.graph().is_some() { TAIL_LIMIT } else { self.exact };
        if waiting > limit { waiting } else { 0 }
    }

    fn has_due(&self) -> bool {
        self.all().iter().any(|(_, _, shard)| self.due(shard) > 0)
    }

    /// Body of the background thread. After a failure, vectors stay in the tail.
    fn run_builder(&self) {
        let threads = (parallelism() / 2).max(1);
        while self.has_due() && !self.stop.load(Ordering::SeqCst) {
            if self.build_due(threads, &|_| ()).is_err() {
                return;
            }
        }
    }

    /// Moves due vectors to the graphs, and writes the files if more than 5 % is unsaved.
    fn build_due(&self, threads: usize, progress: &dyn Fn(IndexProgress)) -> Result<(), Error> {
        let _growing = self.build_lock.lock().unwrap_or_else(PoisonError::into_inner);
        let shards = self.all();
        let of: u64 = shards.iter().map(|(_, _, shard)| self.due(shard) as u64).sum();
        let mut done = 0;
        for (_, _, shard) in &shards {
            let mut left = self.due(shard);
            while left > 0 {
                if self.stop.load(Ordering::SeqCst) {
                    return Ok(());
                }
                let count = BATCH.min(left);
                shard.join(count, threads)?;
                left -= count;
                done += count as u64;
                self.unsaved.fetch_add(count as u64, Ordering::SeqCst);
                progress(IndexProgress { stage: IndexStage::Building, done, of });
            }
        }
        let graphs: usize = shards.iter().filter_map(|(_, _, shard)| shard.graph()).map(|g| g.len()).sum();
        if self.unsaved.load(Ordering::SeqCst) > (graphs as u64 / 20).max(4 * TAIL_LIMIT as u64) {
            self.save()?;
        }
        Ok(())
    }

    /// Writes the files. Without any graph the files are deleted: reading the tables is fast enough then.
    fn save(&self) -> Result<(), Error> {
        let Some((directory, store)) = &self.place else { return Ok(()) };
        // All vectors up to this tick are in a tail or a graph.
        let given = self.given.load(Ordering::SeqCst);
        let shards = self.all();
        self.files_stale.store(false, Ordering::SeqCst);
        if shards.iter().all(|(_, _, shard)| shard.graph().is_none()) {
            return index_files::clear(directory);
        }
        let result = index_files::save(
            directory,
            *store,
            Tick(given),
            shards.iter().map(|(model, tenant, shard)| (model.as_str(), tenant, shard.as_ref())),
        );
        match &result {
            Ok(()) => {
                self.applied.store(given, Ordering::SeqCst);
                self.unsaved.store(0, Ordering::SeqCst);
            }
            Err(_) => self.files_stale.store(true, Ordering::SeqCst),
        }
        result
    }
}

fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs blocking work outside the async runtime's threads.
async fn blocking(work: impl FnOnce() -> Result<(), Error> + Send + 'static) -> Result<(), Error> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| Error::IndexUnavailable { what: error.to_string() })?
}

#[async_trait]
impl VectorStore for EmbeddedVectors {
    async fn applied(&self) -> Result<Tick, Error> {
        Ok(Tick(self.inner.applied.load(Ordering::SeqCst)))
    }

    async fn upsert(&self, model: &str, points: Vec<Point>) -> Result<(), Error> {
        let Some(dimension) =
            self.inner.dimension(model).or_else(|| points.first().map(|point| point.vector.len()))
        else {
            return Ok(());
        };
        let mut units = Vec::with_capacity(points.len());
        for point in points {
            check_dimension(model, dimension, &point.vector)?;
            units.push((Label::of(&point), normalised(&point.vector)?, point.tenant));
        }
        for (label, unit, tenant) in units {
            let shard = self.inner.shard(model, &tenant);
            let shard = shard.unwrap_or_else(|| self.inner.make(model, &tenant, dimension));
            shard.put(label, &unit)?;
        }
        Ok(())
    }

    async fn remove(&self, ids: &[MemoryId]) -> Result<(), Error> {
        for (_, _, shard) in self.inner.all() {
            for id in ids {
                if shard.remove(id)? {
                    self.inner.files_stale.store(true, Ordering::SeqCst);
                }
            }
        }
        Ok(())
    }

    async fn advance(&self, to: Tick) -> Result<(), Error> {
        self.inner.given.store(to.0, Ordering::SeqCst);
        self.start_builder();
        Ok(())
    }

    async fn search(&self, query: &VectorQuery<'_>) -> Result<Vec<ScoredMemory>, Error> {
        let unit = normalised(query.vector)?;
        let Some(dimension) = self.inner.dimension(query.model) else { return Ok(Vec::new()) };
        check_dimension(query.model, dimension, &unit)?;
        match self.inner.shard(query.model, query.tenant) {
            Some(shard) => shard.search(&unit, query.as_of, query.k),
            None => Ok(Vec::new()),
        }
    }

    async fn similarities(
        &self,
        model: &str,
        tenant: &Tenant,
        vector: &[f32],
        ids: &[MemoryId],
    ) -> Result<Vec<Option<f32>>, Error> {
        let unit = normalised(vector)?;
        let Some(shard) = self.inner.shard(model, tenant) else { return Ok(vec![None; ids.len()]) };
        check_dimension(model, shard.dimension(), &unit)?;
        ids.iter().map(|id| shard.similarity(&unit, id)).collect()
    }

    async fn spaces(&self) -> Result<Vec<VectorSpace>, Error> {
        let mut spaces = BTreeMap::new();
        for (model, _, shard) in self.inner.all() {
            let space = spaces.entry(model.clone()).or_insert(VectorSpace {
                model,
                dimension: shard.dimension(),
                count: 0,
            });
            space.count += shard.len() as u64;
        }
        Ok(spaces.into_values().collect())
    }

    async fn clear(&self) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _growing = inner.build_lock.lock().unwrap_or_else(PoisonError::into_inner);
            inner.shards.write().unwrap_or_else(PoisonError::into_inner).clear();
            for counter in [&inner.applied, &inner.given, &inner.unsaved] {
                counter.store(0, Ordering::SeqCst);
            }
            inner.place.as_ref().map_or(Ok(()), |(directory, _)| index_files::clear(directory))
        })
        .await
    }

    async fn purge(&self) -> Result<(), Error> {
        if !self.inner.files_stale.load(Ordering::SeqCst) {
            return Ok(());
        }
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _growing = inner.build_lock.lock().unwrap_or_else(PoisonError::into_inner);
            inner.save()
        })
        .await
    }

    async fn flush(&self, progress: &(dyn Fn(IndexProgress) + Send + Sync)) -> Result<(), Error> {
        // Runs on this thread, because the caller's closure cannot move to another one.
        self.inner.build_due(parallelism(), progress)?;
        let _growing = self.inner.build_lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.inner.unsaved.load(Ordering::SeqCst) > 0 { self.inner.save() } else { Ok(()) }
    }
}

impl std::fmt::Debug for EmbeddedVectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedVectors").field("place", &self.inner.place).finish_non_exhaustive()
    }
}
