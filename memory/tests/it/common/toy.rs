//! Memories with numbered vectors.

use super::run_id;
use sojourn_memory::{Embedding, EventSeq, Memories, MemoryKind, NewMemory, Query, Tenant};
use std::path::{Path, PathBuf};

pub const MODEL: &str = "toy";

pub fn owner() -> Tenant {
    Tenant::new("a").unwrap()
}

pub async fn open(home: &Path) -> Memories {
    Memories::new(super::open_store(home).await)
}

pub fn lesson(n: u64, text: &str) -> NewMemory {
    NewMemory {
        run: Some(run_id()),
        seq: EventSeq(n),
        ..NewMemory::new(owner(), MemoryKind::Reflection, text)
    }
}

/// The vector of a number: deterministic, and far from other numbers' vectors.
pub fn vector(n: u64) -> Vec<f32> {
    let hash = sojourn_memory::Hash::of(&n.to_le_bytes());
    hash.as_bytes().iter().map(|byte| f32::from(*byte) - 127.5).collect()
}

pub fn embedding(n: u64) -> Embedding {
    Embedding { model: MODEL.to_owned(), vector: vector(n) }
}

pub async fn recalled(memories: &Memories, text: &str) -> Vec<String> {
    let owner = owner();
    let query = Query { now_ms: 1000, k: 50, ..Query::new(&owner, text) };
    let hits = memories.recall(&query).await.unwrap();
    hits.into_iter().map(|hit| hit.memory.text).collect()
}

/// The text of the memory with the nearest vector.
pub async fn nearest(memories: &Memories, n: u64) -> Option<String> {
    let (owner, vector) = (owner(), vector(n));
    let query = Query { vectors: vec![(MODEL, &vector)], k: 1, ..Query::new(&owner, "") };
    memories.recall(&query).await.unwrap().pop().map(|hit| hit.memory.text)
}

/// Asserts that no file below the directory contains these bytes.
pub fn assert_nowhere(directory: &Path, needle: &[u8]) {
    for path in files(directory) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{}", path.display());
    }
}

pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
