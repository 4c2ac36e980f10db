use super::flat_vectors::{FlatVectors, Label};
use super::vectors::{IndexProgress, check_dimension, normalised};
use super::{MemoryId, Point, ScoredMemory, Tenant, Tick, VectorQuery, VectorSpace, VectorStore};
use crate::Error;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// An index that compares a query with every vector. It is exact, deterministic, and the reference for other
/// indexes.
#[derive(Debug, Default)]
pub struct ExactVectors {
    models: RwLock<BTreeMap<String, BTreeMap<Tenant, FlatVectors>>>,
}

type Models = BTreeMap<String, BTreeMap<Tenant, FlatVectors>>;

impl ExactVectors {
    /// Creates an empty index.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Models> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Models> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl VectorStore for ExactVectors {
    async fn applied(&self) -> Result<Tick, Error> {
        Ok(Tick(0))
    }

    async fn upsert(&self, model: &str, points: Vec<Point>) -> Result<(), Error> {
        let mut models = self.write();
        let known = models.get(model).and_then(|tenants| tenants.values().next()).map(FlatVectors::dimension);
        let Some(dimension) = known.or_else(|| points.first().map(|point| point.vector.len())) else {
            return Ok(());
        };
        let mut units = Vec::with_capacity(points.len());
        for point in points {
            check_dimension(model, dimension, &point.vector)?;
            units.push((point.tenant.clone(), Label::of(&point), normalised(&point.vector)?));
        }
        let tenants = models.entry(model.to_owned()).or_default();
        for (tenant, label, unit) in units {
            tenants.entry(tenant).or_insert_with(|| FlatVectors::new(dimension)).put(label, &unit);
        }
        Ok(())
    }

    async fn remove(&self, ids: &[MemoryId]) -> Result<(), Error> {
        for flat in self.write().values_mut().flat_map(BTreeMap::values_mut) {
            for id in ids {
                flat.remove(id);
            }
        }
        Ok(())
    }

    async fn advance(&self, _to: Tick) -> Result<(), Error> {
        Ok(())
    }

    async fn search(&self, query: &VectorQuery<'_>) -> Result<Vec<ScoredMemory>, Error> {
        let unit = normalised(query.vector)?;
        let models = self.read();
        let Some(tenants) = models.get(query.model) else { return Ok(Vec::new()) };
        if let Some(flat) = tenants.values().next() {
            check_dimension(query.model, flat.dimension(), &unit)?;
        }
        let Some(flat) = tenants.get(query.tenant) else { return Ok(Vec::new()) };
        Ok(super::flat_vectors::best(flat.scores(&unit, query.as_of), query.k))
    }

    async fn similarities(
        &self,
        model: &str,
        tenant: &Tenant,
        vector: &[f32],
        ids: &[MemoryId],
    ) -> Result<Vec<Option<f32>>, Error> {
        let unit = normalised(vector)?;
        let models = self.read();
        let Some(flat) = models.get(model).and_then(|tenants| tenants.get(tenant)) else {
            return Ok(vec![None; ids.len()]);
        };
        check_dimension(model, flat.dimension(), &unit)?;
        Ok(ids.iter().map(|id| flat.similarity(&unit, id)).collect())
    }

    async fn spaces(&self) -> Result<Vec<VectorSpace>, Error> {
        let models = self.read();
        let space = |(model, tenants): (&String, &BTreeMap<Tenant, FlatVectors>)| VectorSpace {
            model: model.clone(),
            dimension: tenants.values().next().map_or(0, FlatVectors::dimension),
            count: tenants.values().map(|flat| flat.len() as u64).sum(),
        };
        Ok(models.iter().map(space).collect())
    }

    async fn clear(&self) -> Result<(), Error> {
        self.write().clear();
        Ok(())
    }

    async fn purge(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn flush(&self, _progress: &(dyn Fn(IndexProgress) + Send + Sync)) -> Result<(), Error> {
        Ok(())
    }
}
