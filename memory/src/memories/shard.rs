//! The vectors of one model and one tenant: an HNSW graph, and a tail of newer vectors that is scanned
//! linearly.

use super::flat_vectors::{FlatVectors, Label, best};
use super::hnsw::Graph;
use super::{MemoryId, ScoredMemory, Tick};
use crate::Error;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(super) struct Shard {
    dimension: usize,
    tail: RwLock<FlatVectors>,
    graph: RwLock<Option<Arc<Graph>>>,
}

impl Shard {
    pub(super) fn new(dimension: usize) -> Self {
        Self { dimension, tail: RwLock::new(FlatVectors::new(dimension)), graph: RwLock::default() }
    }

    pub(super) fn with(dimension: usize, graph: Option<Graph>, tail: FlatVectors) -> Self {
        Self { dimension, tail: RwLock::new(tail), graph: RwLock::new(graph.map(Arc::new)) }
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(super) fn tail(&self) -> RwLockReadGuard<'_, FlatVectors> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail_mut(&self) -> RwLockWriteGuard<'_, FlatVectors> {
        self.tail.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn graph(&self) -> Option<Arc<Graph>> {
        self.graph.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Number of vectors. A vector that is moving from the tail to the graph is counted twice.
    pub(super) fn len(&self) -> usize {
        let tail = self.tail();
        let Some(graph) = self.graph() else { return tail.len() };
        tail.len() + graph.len()
    }

    pub(super) fn put(&self, label: Label, unit: &[f32]) -> Result<(), Error> {
        let mut tail = self.tail_mut();
        if let Some(graph) = self.graph() {
            match graph.label(&label.id) {
                Some(known) if known == label => return Ok(()),
                Some(_) => {
                    graph.remove(&label.id)?;
                }
                None => {}
            }
        }
        tail.put(label, unit);
        Ok(())
    }

    /// Returns whether the vector existed.
    pub(super) fn remove(&self, id: &MemoryId) -> Result<bool, Error> {
        let mut tail = self.tail_mut();
        let in_tail = tail.remove(id);
        let in_graph = match self.graph() {
            Some(graph) => graph.remove(id)?,
            None => false,
        };
        Ok(in_tail || in_graph)
    }

    /// Moves up to `count` vectors from the tail into the graph. Returns the remaining length of the tail.
    pub(super) fn join(&self, count: usize, threads: usize) -> Result<usize, Error> {
        let moving = self.tail().last(count);
        let graph = if let Some(graph) = self.graph() {
            graph
        } else {
            let graph = Arc::new(Graph::new(self.dimension)?);
            *self.graph.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&graph));
            graph
        };
        graph.add(&moving, threads)?;
        let mut tail = self.tail_mut();
        for (label, _) in &moving {
            // The vector was replaced or removed meanwhile, so the graph's copy is outdated.
            if tail.label(&label.id) == Some(*label) {
                tail.remove(&label.id);
            } else {
                graph.remove(&label.id)?;
            }
        }
        Ok(tail.len())
    }

    pub(super) fn search(
        &self,
        unit: &[f32],
        as_of: Option<Tick>,
        k: usize,
    ) -> Result<Vec<ScoredMemory>, Error> {
        // A vector that moves meanwhile is found in at least one part, because the tail is locked.
        let found = {
            let tail = self.tail();
            let mut found = tail.scores(unit, as_of);
            if let Some(graph) = self.graph() {
                let joined =
                    if as_of.is_some() { graph.scores(unit, as_of)? } else { graph.search(unit, k)? };
                found.extend(joined.into_iter().filter(|(_, label)| tail.label(&label.id).is_none()));
            }
            found
        };
        Ok(best(found, k))
    }

    pub(super) fn similarity(&self, unit: &[f32], id: &MemoryId) -> Result<Option<f32>, Error> {
        let tail = self.tail();
        match (tail.similarity(unit, id), self.graph()) {
            (Some(similarity), _) => Ok(Some(similarity)),
            (None, Some(graph)) => graph.similarity(unit, id),
            (None, None) => Ok(None),
        }
    }
}
