use super::flat::{Flat, Label};
use super::vectors::{Progress, check_dimension, normalised};
use super::{MemoryId, Point, Scored, Space, Tenant, Tick, VectorQuery, VectorStore};
use crate::Error;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// An index that compares a query with every vector: exact and deterministic. What the others are measured by.
#[derive(Debug, Default)]
pub struct ExactVectors {
    models: RwLock<BTreeMap<String, BTreeMap<Tenant, Flat>>>,
}

type Models = BTreeMap<String, BTreeMap<Tenant, Flat>>;

impl ExactVectors {
    /// An empty index.
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
        let known = models.get(model).and_then(|shelves| shelves.values().next()).map(Flat::dimension);
        let Some(dimension) = known.or_else(|| points.first().map(|point| point.vector.len())) else {
            return Ok(());
        };
        let mut units = Vec::with_capacity(points.len());
        for point in points {
            check_dimension(model, dimension, &point.vector)?;
            units.push((point.tenant.clone(), Label::of(&point), normalised(&point.vector)?));
        }
        let shelves = models.entry(model.to_owned()).or_default();
        for (tenant, label, unit) in units {
            shelves.entry(tenant).or_insert_with(|| Flat::new(dimension)).put(label, &unit);
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

    async fn search(&self, query: &VectorQuery<'_>) -> Result<Vec<Scored>, Error> {
        let unit = normalised(query.vector)?;
        let models = self.read();
        let Some(shelves) = models.get(query.model) else { return Ok(Vec::new()) };
        if let Some(flat) = shelves.values().next() {
            check_dimension(query.model, flat.dimension(), &unit)?;
        }
        let Some(flat) = shelves.get(query.tenant) else { return Ok(Vec::new()) };
        Ok(super::flat::best(flat.scores(&unit, query.as_of), query.k))
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
        let Some(flat) = models.get(model).and_then(|shelves| shelves.get(tenant)) else {
            return Ok(vec![None; ids.len()]);
        };
        check_dimension(model, flat.dimension(), &unit)?;
        Ok(ids.iter().map(|id| flat.similarity(&unit, id)).collect())
    }

    async fn spaces(&self) -> Result<Vec<Space>, Error> {
        let models = self.read();
        let space = |(model, shelves): (&String, &BTreeMap<Tenant, Flat>)| Space {
            model: model.clone(),
            dimension: shelves.values().next().map_or(0, Flat::dimension),
            count: shelves.values().map(|flat| flat.len() as u64).sum(),
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

    async fn settle(&self, _progress: &(dyn Fn(Progress) + Send + Sync)) -> Result<(), Error> {
        Ok(())
    }
}
