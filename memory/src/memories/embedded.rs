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

/// So many vectors of one model and tenant are compared one by one before a graph is built.
const EXACT_LIMIT: usize = 16_384;
/// So many wait beside a graph before they join it.
const TAIL_LIMIT: usize = 1024;
/// So many join it between two looks at whether to stop.
const BATCH: usize = 512;

/// The index inside this process: exact below 16,384 vectors of a model and tenant, a graph (HNSW through usearch)
/// above. Graphs grow in the background and are kept in a directory, which may be deleted at any time.
pub struct EmbeddedVectors {
    inner: Arc<Inner>,
    builder: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    /// Where the graphs are kept, and of which store; `None` keeps nothing.
    place: Option<(PathBuf, [u8; 16])>,
    exact: usize,
    shards: RwLock<BTreeMap<String, BTreeMap<Tenant, Arc<Shard>>>>,
    /// What the files hold everything up to.
    applied: AtomicU64,
    /// Everything up to here has been given.
    given: AtomicU64,
    /// Vectors that joined graphs since the files were written.
    unsaved: AtomicU64,
    /// The files hold what was removed.
    files_stale: AtomicBool,
    stop: AtomicBool,
    /// Held while graphs grow or are saved.
    build_lock: Mutex<()>,
}

impl EmbeddedVectors {
    /// An index that keeps its graphs in `directory`, for the store with this mark. What is there and fits is loaded.
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

    /// An index that keeps nothing on disk, and builds graphs from `exact` vectors on.
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

    /// Lets graphs grow in the background, unless they do.
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
        // Without a thread the tail is searched one by one: slower, and right.
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

    /// How many vectors of a shard should join its graph.
    fn due(&self, shard: &Shard) -> usize {
        let waiting = shard.tail().len();
        let limit = if shard.graph().is_some() { TAIL_LIMIT } else { self.exact };
        if waiting > limit { waiting } else { 0 }
    }

    fn has_due(&self) -> bool {
        self.all().iter().any(|(_, _, shard)| self.due(shard) > 0)
    }

    /// What the background thread does. A failure leaves the tail to be searched one by one.
    fn run_builder(&self) {
        let threads = (parallelism() / 2).max(1);
        while self.has_due() && !self.stop.load(Ordering::SeqCst) {
            if self.build_due(threads, &|_| ()).is_err() {
                return;
            }
        }
    }

    /// Lets what is due join the graphs, then writes the files if much has changed.
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

    /// Writes the files, unless there is no graph: then reading the tables is quick enough.
    fn save(&self) -> Result<(), Error> {
        let Some((directory, store)) = &self.place else { return Ok(()) };
        // Everything up to here is in a tail or a graph already.
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

/// Runs what takes long beside the runtime's own threads.
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
        // In place: the caller's closure cannot move to another thread.
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
