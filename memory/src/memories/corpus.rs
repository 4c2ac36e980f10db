//! What recall ranks by, kept in memory per tenant and brought up to date from the tables.
//!
//! Word statistics are taken here and not from FTS5's `bm25()`: that one counts every row of every tenant and
//! of the future, so a tenant's ranking would change with what others remember, and a recall could not be
//! repeated as of an earlier time.

use super::{MemoryId, MemoryKind, Tenant, Tick, words};
use crate::{EventSeq, Hash, RunId};
use std::collections::{BTreeMap, HashMap};

/// All tenants' memories.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    /// Up to which change of the tables this is.
    pub(super) tick: Tick,
    tenants: HashMap<Tenant, Shelf>,
}

/// One tenant's memories.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// By when they were made.
    entries: BTreeMap<Tick, Entry>,
    /// Numbers for words.
    terms: HashMap<String, u32>,
}

/// A memory without its text.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: MemoryId,
    pub(super) made: Tick,
    pub(super) kind: MemoryKind,
    pub(super) importance: f32,
    pub(super) event_time_ms: i64,
    pub(super) environment: Option<String>,
    pub(super) run: Option<RunId>,
    pub(super) seq: EventSeq,
    pub(super) expires_at_ms: Option<i64>,
    /// From when it is no longer true, and when that was said.
    pub(super) closed: Option<(i64, Tick)>,
    pub(super) pinned: bool,
    pub(super) content_hash: Hash,
    pub(super) tokens: usize,
    /// How often which word occurs, by the words' numbers.
    words: Vec<(u32, u32)>,
    length: u32,
}

impl Corpus {
    pub(super) fn shelf(&self, tenant: &Tenant) -> Option<&Shelf> {
        self.tenants.get(tenant)
    }

    /// Adds a memory, or replaces it.
    pub(super) fn put(&mut self, tenant: Tenant, mut entry: Entry, text: &str) {
        let shelf = self.tenants.entry(tenant).or_default();
        for (word, count) in words::counted(text) {
            let next = shelf.terms.len() as u32;
            entry.words.push((*shelf.terms.entry(word).or_insert(next), count));
            entry.length += count;
        }
        entry.words.sort_unstable();
        shelf.entries.insert(entry.made, entry);
    }

    pub(super) fn remove(&mut self, ids: &[MemoryId]) {
        if !ids.is_empty() {
            for shelf in self.tenants.values_mut() {
                shelf.entries.retain(|_, entry| !ids.contains(&entry.id));
            }
        }
    }
}

impl Shelf {
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The BM25 score of each of these memories, which are also what the statistics are taken over.
    pub(super) fn bm25(&self, text: &str, among: &[&Entry]) -> Vec<f64> {
        let terms: Vec<u32> =
            words::terms(text).iter().filter_map(|word| self.terms.get(word).copied()).collect();
        let length: u64 = among.iter().map(|entry| u64::from(entry.length)).sum();
        let mean_length = length as f64 / among.len().max(1) as f64;
        let bm25 = words::Bm25 { texts: among.len(), mean_length };
        let mut scores = vec![0.0; among.len()];
        for term in terms {
            let holding: Vec<(usize, u32)> = among
                .iter()
                .enumerate()
                .filter_map(|(place, entry)| entry.count(term).map(|count| (place, count)))
                .collect();
            for (place, count) in &holding {
                scores[*place] += bm25.term(holding.len(), *count, among[*place].length);
            }
        }
        scores
    }
}

impl Entry {
    /// Without its words, which [`Corpus::put`] counts.
    pub(super) fn new(memory: &super::Memory, closed: Option<(i64, Tick)>) -> Self {
        Self {
            id: memory.id,
            made: memory.made,
            kind: memory.kind,
            importance: memory.importance,
            event_time_ms: memory.event_time_ms,
            environment: memory.environment.clone(),
            run: memory.run.clone(),
            seq: memory.seq,
            expires_at_ms: memory.expires_at_ms,
            closed,
            pinned: memory.pinned,
            content_hash: memory.content_hash,
            tokens: super::estimated_tokens(&memory.text),
            words: Vec::new(),
            length: 0,
        }
    }

    fn count(&self, term: u32) -> Option<u32> {
        let found = self.words.binary_search_by_key(&term, |(word, _)| *word).ok()?;
        Some(self.words[found].1)
    }
}
