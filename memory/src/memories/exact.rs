use super::vectors::{check_dimension, normalised};
use super::{MemoryId, Point, Scored, Space, Tenant, Tick, VectorQuery, VectorStore};
use crate::Error;
use async_trait::async_trait;
use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Sums that are carried side by side, so that the compiler can use vector instructions. Their number is part
/// of the result's last bits: the same vectors always give the same score.
const LANES: usize = 16;

/// An index that compares a query with every vector: exact, deterministic, and quick enough below about
/// 50,000 memories of 384 dimensions.
#[derive(Debug, Default)]
pub struct ExactVectors {
    models: RwLock<BTreeMap<String, Vectors>>,
}

/// One model's unit vectors, end to end.
#[derive(Debug)]
struct Vectors {
    dimension: usize,
    data: Vec<f32>,
    /// Of each vector: what it is filtered by.
    labels: Vec<Label>,
    places: HashMap<MemoryId, usize>,
}

#[derive(Debug)]
struct Label {
    id: MemoryId,
    tenant: Tenant,
    made: Tick,
}

impl ExactVectors {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Vectors>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Vectors>> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl VectorStore for ExactVectors {
    async fn upsert(&self, model: &str, points: Vec<Point>) -> Result<(), Error> {
        let mut models = self.write();
        let known = models.get(model).map(|vectors| vectors.dimension);
        let Some(dimension) = known.or_else(|| points.first().map(|point| point.vector.len())) else {
            return Ok(());
        };
        let mut units = Vec::with_capacity(points.len());
        for point in points {
            check_dimension(model, dimension, &point.vector)?;
            let label = Label { id: point.id, tenant: point.tenant, made: point.made };
            units.push((label, normalised(&point.vector)?));
        }
        let vectors = models.entry(model.to_owned()).or_insert_with(|| Vectors::new(dimension));
        for (label, unit) in units {
            vectors.put(label, &unit);
        }
        Ok(())
    }

    async fn remove(&self, ids: &[MemoryId]) -> Result<(), Error> {
        let mut models = self.write();
        for vectors in models.values_mut() {
            for id in ids {
                vectors.remove(id);
            }
        }
        Ok(())
    }

    async fn search(&self, query: &VectorQuery<'_>) -> Result<Vec<Scored>, Error> {
        let unit = normalised(query.vector)?;
        let models = self.read();
        let Some(vectors) = models.get(query.model) else { return Ok(Vec::new()) };
        check_dimension(query.model, vectors.dimension, &unit)?;
        let mut found: Vec<(f32, &Label)> = vectors
            .labels
            .iter()
            .zip(vectors.data.chunks_exact(vectors.dimension))
            .filter(|(label, _)| {
                label.tenant == *query.tenant && query.as_of.is_none_or(|at| label.made <= at)
            })
            .map(|(label, vector)| (cosine(&unit, vector), label))
            .collect();
        let order = |a: &(f32, &Label), b: &(f32, &Label)| {
            b.0.total_cmp(&a.0).then(a.1.made.cmp(&b.1.made)).then(a.1.id.cmp(&b.1.id))
        };
        if query.k > 0 && query.k < found.len() {
            found.select_nth_unstable_by(query.k - 1, order);
        }
        found.truncate(query.k);
        found.sort_unstable_by(order);
        Ok(found.into_iter().map(|(cosine, label)| Scored { id: label.id, cosine }).collect())
    }

    async fn similarities(
        &self,
        model: &str,
        vector: &[f32],
        ids: &[MemoryId],
    ) -> Result<Vec<Option<f32>>, Error> {
        let unit = normalised(vector)?;
        let models = self.read();
        let Some(vectors) = models.get(model) else { return Ok(vec![None; ids.len()]) };
        check_dimension(model, vectors.dimension, &unit)?;
        Ok(ids.iter().map(|id| vectors.get(id).map(|vector| cosine(&unit, vector))).collect())
    }

    async fn spaces(&self) -> Result<Vec<Space>, Error> {
        let models = self.read();
        let space = |(model, vectors): (&String, &Vectors)| Space {
            model: model.clone(),
            dimension: vectors.dimension,
            count: vectors.labels.len() as u64,
        };
        Ok(models.iter().map(space).collect())
    }
}

impl Vectors {
    fn new(dimension: usize) -> Self {
        Self { dimension, data: Vec::new(), labels: Vec::new(), places: HashMap::new() }
    }

    fn range(&self, place: usize) -> std::ops::Range<usize> {
        place * self.dimension..(place + 1) * self.dimension
    }

    fn get(&self, id: &MemoryId) -> Option<&[f32]> {
        self.places.get(id).map(|place| &self.data[self.range(*place)])
    }

    fn put(&mut self, label: Label, unit: &[f32]) {
        if let Some(place) = self.places.get(&label.id).copied() {
            let range = self.range(place);
            self.data[range].copy_from_slice(unit);
            self.labels[place] = label;
        } else {
            self.places.insert(label.id, self.labels.len());
            self.data.extend_from_slice(unit);
            self.labels.push(label);
        }
    }

    /// The last vector moves into the gap.
    fn remove(&mut self, id: &MemoryId) {
        let Some(place) = self.places.remove(id) else { return };
        let last = self.labels.len() - 1;
        let range = self.range(last);
        self.data.copy_within(range, place * self.dimension);
        self.data.truncate(last * self.dimension);
        self.labels.swap_remove(place);
        if let Some(moved) = self.labels.get(place) {
            self.places.insert(moved.id, place);
        }
    }
}

/// The inner product of two unit vectors of one dimension, kept within -1 and 1.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0_f32; LANES];
    let (a, b) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (x, y) in a.0.iter().zip(b.0) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = a.1.iter().zip(b.1).map(|(x, y)| x * y).sum();
    (sums.iter().sum::<f32>() + rest).clamp(-1.0, 1.0)
}
