//! The unit vectors of one model and one tenant in one array, searched by linear scan.

use super::{MemoryId, Point, ScoredMemory, Tick};
use std::collections::HashMap;

/// Number of parallel partial sums, so that the compiler uses SIMD instructions. The number affects rounding,
/// so it must be the same everywhere: equal vectors always get equal scores.
const ACCUMULATORS: usize = 16;

/// Identity and filter fields of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) id: MemoryId,
    /// When the memory was created.
    pub(super) made: Tick,
    /// When this vector was created.
    pub(super) tick: Tick,
}

impl Label {
    pub(super) fn of(point: &Point) -> Self {
        Self { id: point.id, made: point.made, tick: point.tick }
    }
}

#[derive(Debug)]
pub(super) struct FlatVectors {
    dimension: usize,
    data: Vec<f32>,
    labels: Vec<Label>,
    places: HashMap<MemoryId, usize>,
}

impl FlatVectors {
    pub(super) fn new(dimension: usize) -> Self {
        Self { dimension, data: Vec::new(), labels: Vec::new(), places: HashMap::new() }
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn label(&self, id: &MemoryId) -> Option<Label> {
        self.places.get(id).map(|place| self.labels[*place])
    }

    pub(super) fn get(&self, id: &MemoryId) -> Option<&[f32]> {
        self.places.get(id).map(|place| &self.data[self.range(*place)])
    }

    /// Returns the last `count` vectors. Removing these moves no other vector.
    pub(super) fn last(&self, count: usize) -> Vec<(Label, Vec<f32>)> {
        let first = self.len().saturating_sub(count);
        (first..self.len()).map(|place| (self.labels[place], self.data[self.range(place)].to_vec())).collect()
    }

    pub(super) fn put(&mut self, label: Label, unit: &[f32]) {
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

    /// Removes a vector by moving the last one into its place. Returns whether it existed.
    pub(super) fn remove(&mut self, id: &MemoryId) -> bool {
        let Some(place) = self.places.remove(id) else { return false };
        let last = self.labels.len() - 1;
        let range = self.range(last);
        self.data.copy_within(range, place * self.dimension);
        self.data.truncate(last * self.dimension);
        self.labels.swap_remove(place);
        if let Some(moved) = self.labels.get(place) {
            self.places.insert(moved.id, place);
        }
        true
    }

    pub(super) fn similarity(&self, unit: &[f32], id: &MemoryId) -> Option<f32> {
        self.get(id).map(|vector| cosine(unit, vector))
    }

    /// The similarity of every vector whose memory was created up to `as_of`.
    pub(super) fn scores(&self, unit: &[f32], as_of: Option<Tick>) -> Vec<(f32, Label)> {
        self.labels
            .iter()
            .zip(self.data.chunks_exact(self.dimension))
            .filter(|(label, _)| as_of.is_none_or(|at| label.made <= at))
            .map(|(label, vector)| (cosine(unit, vector), *label))
            .collect()
    }

    fn range(&self, place: usize) -> std::ops::Range<usize> {
        place * self.dimension..(place + 1) * self.dimension
    }
}

/// The `k` highest scores, sorted. Among equal scores, older memories come first.
pub(super) fn best(mut found: Vec<(f32, Label)>, k: usize) -> Vec<ScoredMemory> {
    let order = |a: &(f32, Label), b: &(f32, Label)| {
        b.0.total_cmp(&a.0).then(a.1.made.cmp(&b.1.made)).then(a.1.id.cmp(&b.1.id))
    };
    if k > 0 && k < found.len() {
        found.select_nth_unstable_by(k - 1, order);
    }
    found.truncate(k);
    found.sort_unstable_by(order);
    found.into_iter().map(|(cosine, label)| ScoredMemory { id: label.id, cosine }).collect()
}

/// Inner product of two unit vectors of equal length, clamped to -1 to 1.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0_f32; ACCUMULATORS];
    let (a, b) = (a.as_chunks::<ACCUMULATORS>(), b.as_chunks::<ACCUMULATORS>());
    for (x, y) in a.0.iter().zip(b.0) {
        for at in 0..ACCUMULATORS {
            sums[at] += x[at] * y[at];
        }
    }
    let rest: f32 = a.1.iter().zip(b.1).map(|(x, y)| x * y).sum();
    (sums.iter().sum::<f32>() + rest).clamp(-1.0, 1.0)
}
