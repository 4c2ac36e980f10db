//! An HNSW graph (Malkov and Yashunin 2018) over the vectors of one model and one tenant.

use super::flat_vectors::{Label, cosine};
use super::{MemoryId, Tick};
use crate::Error;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

/// Links per node (parameter M).
const CONNECTIVITY: usize = 16;
/// Candidates per insertion (efConstruction) and least candidates per search (ef). Recall asks for 256
/// results, which raises ef; a larger value did not improve results.
const EXPANSION: usize = 96;
/// Largest number of concurrent searches and insertions, above the thread count of any runtime.
const THREADS: usize = 64;
/// Vectors inserted per lock, so that searches can run in between.
const CHUNK: usize = 64;

pub(super) struct Graph {
    dimension: usize,
    /// Write-locked to reserve capacity, save and remove. usearch supports concurrent searches and insertions
    /// itself.
    index: RwLock<Index>,
    labels: RwLock<Labels>,
}

/// Maps node keys to memories. A key is an index into `labels`.
#[derive(Default)]
struct Labels {
    /// `None` if the memory was removed; its node then holds a filler vector.
    labels: Vec<Option<Label>>,
    keys: HashMap<MemoryId, u64>,
}

impl Graph {
    pub(super) fn new(dimension: usize) -> Result<Self, Error> {
        let index = Index::new(&options(dimension)).map_err(failed)?;
        Ok(Self { dimension, index: RwLock::new(index), labels: RwLock::default() })
    }

    /// Reads a file that [`save`](Self::save) wrote.
    pub(super) fn load(dimension: usize, path: &Path, labels: Vec<Option<Label>>) -> Result<Self, Error> {
        let index = Index::new(&options(dimension)).map_err(failed)?;
        index.load(&path.to_string_lossy()).map_err(failed)?;
        if index.dimensions() != dimension || index.size() != labels.len() {
            return Err(failed("the graph file does not match the manifest"));
        }
        index.reserve_capacity_and_threads(labels.len().max(1), THREADS).map_err(failed)?;
        let keys =
            labels.iter().zip(0..).filter_map(|(label, key)| label.map(|label| (label.id, key))).collect();
        Ok(Self { dimension, index: RwLock::new(index), labels: RwLock::new(Labels { labels, keys }) })
    }

    /// Writes the nodes to a file, and returns their labels.
    pub(super) fn save(&self, path: &Path) -> Result<Vec<Option<Label>>, Error> {
        // Holding the write lock keeps nodes and labels consistent.
        let index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.save(&path.to_string_lossy()).map_err(failed)?;
        Ok(self.labels.read().unwrap_or_else(PoisonError::into_inner).labels.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.labels.read().unwrap_or_else(PoisonError::into_inner).keys.len()
    }

    pub(super) fn label(&self, id: &MemoryId) -> Option<Label> {
        let labels = self.labels.read().unwrap_or_else(PoisonError::into_inner);
        labels.keys.get(id).and_then(|key| labels.labels[*key as usize])
    }

    /// Inserts vectors that the graph does not hold yet, using `threads` threads.
    pub(super) fn add(&self, points: &[(Label, Vec<f32>)], threads: usize) -> Result<(), Error> {
        for chunk in points.chunks(CHUNK.max(threads)) {
            let first = self.reserve(chunk)?;
            let keyed: Vec<(u64, &[f32])> =
                chunk.iter().zip(first..).map(|((_, vector), key)| (key, vector.as_slice())).collect();
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            let part = keyed.len().div_ceil(threads.max(1)).max(1);
            let add = |part: &[(u64, &[f32])]| {
                part.iter().try_for_each(|(key, vector)| index.add(*key, vector).map_err(failed))
            };
            if threads <= 1 {
                add(&keyed)?;
            } else {
                std::thread::scope(|scope| {
                    let workers: Vec<_> =
                        keyed.chunks(part).map(|part| scope.spawn(move || add(part))).collect();
                    workers.into_iter().try_for_each(|worker| {
                        worker.join().unwrap_or_else(|_| Err(failed("an index builder thread panicked")))
                    })
                })?;
            }
            drop(index);
            let mut labels = self.labels.write().unwrap_or_else(PoisonError::into_inner);
            for ((label, _), key) in chunk.iter().zip(first..) {
                labels.labels[key as usize] = Some(*label);
                labels.keys.insert(label.id, key);
            }
        }
        Ok(())
    }

    /// Reserves keys for a chunk and returns the first one. Only one thread inserts at a time.
    fn reserve(&self, chunk: &[(Label, Vec<f32>)]) -> Result<u64, Error> {
        let first = self.labels.read().unwrap_or_else(PoisonError::into_inner).labels.len();
        let needed = first + chunk.len();
        let room = self.index.read().unwrap_or_else(PoisonError::into_inner).capacity();
        if room < needed {
            let index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            index
                .reserve_capacity_and_threads(needed.next_power_of_two().max(1024), THREADS)
                .map_err(failed)?;
        }
        let mut labels = self.labels.write().unwrap_or_else(PoisonError::into_inner);
        labels.labels.resize(needed, None);
        Ok(first as u64)
    }

    /// Removes a vector and overwrites its numbers. Returns whether it existed.
    pub(super) fn remove(&self, id: &MemoryId) -> Result<bool, Error> {
        let key = {
            let mut labels = self.labels.write().unwrap_or_else(PoisonError::into_inner);
            let Some(key) = labels.keys.remove(id) else { return Ok(false) };
            labels.labels[key as usize] = None;
            key
        };
        // usearch keeps the numbers of a removed node until the key is reused, so a filler vector takes the
        // key.
        let index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let mut filler = vec![0.0_f32; self.dimension];
        filler[key as usize % self.dimension] = 1.0;
        index.remove(key).map_err(failed)?;
        index.add(key, &filler).map_err(failed)?;
        Ok(true)
    }

    /// Returns about the `k` most similar vectors. If `k` is at least a quarter of the graph, the scan is
    /// exact, because links do not reach every node.
    pub(super) fn search(&self, unit: &[f32], k: usize) -> Result<Vec<(f32, Label)>, Error> {
        if k >= self.len() / 4 {
            return self.scores(unit, None);
        }
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let labels = self.labels.read().unwrap_or_else(PoisonError::into_inner);
        let matches = index.search(unit, k.min(labels.labels.len())).map_err(failed)?;
        let label = |key: &u64| labels.labels.get(*key as usize).copied().flatten();
        let mut buffer = vec![0.0; self.dimension];
        matches
            .keys
            .iter()
            .filter_map(|key| Some((*key, label(key)?)))
            .map(|(key, label)| Ok((similarity(&index, key, unit, &mut buffer)?, label)))
            .collect()
    }

    /// The similarity of one memory.
    pub(super) fn similarity(&self, unit: &[f32], id: &MemoryId) -> Result<Option<f32>, Error> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let labels = self.labels.read().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = labels.keys.get(id) else { return Ok(None) };
        similarity(&index, *key, unit, &mut vec![0.0; self.dimension]).map(Some)
    }

    /// The similarity of every vector whose memory was created up to `as_of`.
    pub(super) fn scores(&self, unit: &[f32], as_of: Option<Tick>) -> Result<Vec<(f32, Label)>, Error> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let labels = self.labels.read().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0.0; self.dimension];
        labels
            .labels
            .iter()
            .zip(0..)
            .filter_map(|(label, key)| label.map(|label| (key, label)))
            .filter(|(_, label)| as_of.is_none_or(|at| label.made <= at))
            .map(|(key, label)| Ok((similarity(&index, key, unit, &mut buffer)?, label)))
            .collect()
    }
}

/// Every search path computes scores with the same arithmetic, so a memory always gets the same score.
fn similarity(index: &Index, key: u64, unit: &[f32], buffer: &mut [f32]) -> Result<f32, Error> {
    index.get(key, &mut *buffer).map_err(failed)?;
    Ok(cosine(unit, buffer))
}

fn options(dimension: usize) -> IndexOptions {
    IndexOptions {
        dimensions: dimension,
        metric: MetricKind::IP,
        // Half the memory of single precision. The error of a similarity stays below 0.001.
        quantization: ScalarKind::F16,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION,
        expansion_search: EXPANSION,
        multi: false,
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::IndexUnavailable { what: error.to_string() }
}
