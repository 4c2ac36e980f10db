//! The in-memory data that recall ranks by, one index per tenant, updated from the tables.
//!
//! Word statistics are computed here because FTS5's `bm25()` counts the rows of all tenants, including later
//! rows. A tenant's ranking would then depend on other tenants, and a recall could not be repeated as of an
//! earlier tick.

use super::{MemoryId, MemoryKind, Tenant, Tick, tokenize};
use crate::{EventSeq, Hash};
use std::collections::HashMap;

/// Query terms are looked up from the rarest on, up to this many occurrences. More frequent terms affect the
/// score of candidates but find none.
const MAX_OCCURRENCES: usize = 400_000;

/// The indexes of all tenants.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    /// The memory clock up to which the tables have been read.
    pub(super) tick: Tick,
    tenants: HashMap<Tenant, TenantIndex>,
}

/// One tenant's index. A slot is the index of a memory in the order of creation.
#[derive(Debug, Default)]
pub(super) struct TenantIndex {
    /// By slot; `None` if the memory was removed.
    entries: Vec<Option<Entry>>,
    /// Creation tick by slot, rising.
    made: Vec<Tick>,
    slots: HashMap<MemoryId, u32>,
    /// The newest slot with each content.
    texts: HashMap<u128, u32>,
    /// Occurrences of each stem, by rising slot.
    words: HashMap<String, Vec<Occurrence>>,
    /// Run numbers; `runs_order` has the slots of each run, in the order of the log.
    runs: NameTable,
    runs_order: Vec<Vec<u32>>,
    environments: NameTable,
    live: usize,
    total_length: u64,
}

/// Assigns small numbers to names.
#[derive(Debug, Default)]
struct NameTable(HashMap<String, u32>);

#[derive(Debug, Clone, Copy)]
struct Occurrence {
    slot: u32,
    count: u16,
    /// Number of words in the whole text.
    length: u16,
}

/// A memory without its text.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: MemoryId,
    pub(super) kind: MemoryKind,
    pub(super) importance: f32,
    pub(super) event_time_ms: i64,
    pub(super) environment: Option<u32>,
    pub(super) run: Option<u32>,
    pub(super) seq: EventSeq,
    pub(super) expires_at_ms: Option<i64>,
    pub(super) valid_from_ms: Option<i64>,
    /// End of validity (`valid_to_ms`), and the tick at which it was set.
    pub(super) closed: Option<(i64, Tick)>,
    pub(super) pinned: bool,
    pub(super) content: u128,
    pub(super) tokens: u32,
    /// Number of words; computed by [`Corpus::put`].
    pub(super) length: u32,
}

/// The fields of a table row that the corpus needs.
pub(super) struct Row {
    pub(super) tenant: Tenant,
    pub(super) made: Tick,
    pub(super) environment: Option<String>,
    pub(super) run: Option<String>,
    pub(super) text: String,
    pub(super) entry: Entry,
}

/// The part of a tenant's index that had been created by some tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    index: &'a TenantIndex,
    /// Only slots below this one are visible.
    end: u32,
    bm25: tokenize::Bm25,
}

impl Entry {
    pub(super) fn new(id: MemoryId, kind: MemoryKind, content: &Hash, text: &str) -> Self {
        Self {
            id,
            kind,
            importance: 1.0,
            event_time_ms: 0,
            environment: None,
            run: None,
            seq: EventSeq(0),
            expires_at_ms: None,
            valid_from_ms: None,
            closed: None,
            pinned: false,
            content: short(content),
            tokens: super::estimated_tokens(text) as u32,
            length: 0,
        }
    }
}

/// The first 128 bits of a content hash, enough to identify a text.
pub(super) fn short(hash: &Hash) -> u128 {
    let (head, _) = hash.as_bytes().split_at(16);
    head.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

impl NameTable {
    fn number(&mut self, name: String) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(name).or_insert(next)
    }
}

impl Corpus {
    pub(super) fn index(&self, tenant: &Tenant) -> Option<&TenantIndex> {
        self.tenants.get(tenant)
    }

    /// Adds a memory, or updates its filter fields. Memories arrive in the order of creation.
    pub(super) fn put(&mut self, row: Row) {
        let index = self.tenants.entry(row.tenant).or_default();
        let mut entry = row.entry;
        entry.environment = row.environment.map(|name| index.environments.number(name));
        entry.run = row.run.map(|name| index.runs.number(name));
        if let Some(slot) = index.slots.get(&entry.id).copied() {
            if let Some(known) = &mut index.entries[slot as usize] {
                entry.length = known.length;
                *known = entry;
            }
            return;
        }
        index.add(row.made, entry, &row.text);
    }

    pub(super) fn remove(&mut self, ids: &[MemoryId]) {
        for index in self.tenants.values_mut() {
            index.remove(ids);
        }
    }
}

impl TenantIndex {
    fn add(&mut self, made: Tick, mut entry: Entry, text: &str) {
        let slot = self.entries.len() as u32;
        let counted = tokenize::counted(text);
        entry.length = counted.values().sum();
        let length = u16::try_from(entry.length).unwrap_or(u16::MAX);
        for (word, count) in counted {
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            self.words.entry(word).or_default().push(Occurrence { slot, count, length });
        }
        self.live += 1;
        self.total_length += u64::from(entry.length);
        self.slots.insert(entry.id, slot);
        self.texts.insert(entry.content, slot);
        if let Some(run) = entry.run {
            if self.runs_order.len() <= run as usize {
                self.runs_order.resize_with(run as usize + 1, Vec::new);
            }
            let seq_of =
                |slot: &u32| self.entries[*slot as usize].as_ref().map_or(EventSeq(0), |other| other.seq);
            let place = self.runs_order[run as usize].partition_point(|other| seq_of(other) <= entry.seq);
            self.runs_order[run as usize].insert(place, slot);
        }
        self.made.push(made);
        self.entries.push(Some(entry));
    }

    fn remove(&mut self, ids: &[MemoryId]) {
        let mut gone = Vec::new();
        for id in ids {
            let Some(slot) = self.slots.remove(id) else { continue };
            let Some(entry) = self.entries[slot as usize].take() else { continue };
            self.live -= 1;
            self.total_length -= u64::from(entry.length);
            if self.texts.get(&entry.content) == Some(&slot) {
                self.texts.remove(&entry.content);
            }
            if let Some(run) = entry.run {
                self.runs_order[run as usize].retain(|other| *other != slot);
            }
            gone.push(slot);
        }
        if !gone.is_empty() {
            gone.sort_unstable();
            self.words.retain(|_, occurrences| {
                occurrences.retain(|occurrence| gone.binary_search(&occurrence.slot).is_err());
                !occurrences.is_empty()
            });
        }
    }

    pub(super) fn run(&self, name: &str) -> Option<u32> {
        self.runs.0.get(name).copied()
    }

    pub(super) fn environment(&self, name: &str) -> Option<u32> {
        self.environments.0.get(name).copied()
    }

    /// The index as of a tick, or the whole index.
    pub(super) fn view(&self, as_of: Option<Tick>) -> View<'_> {
        let (end, texts, length) = match as_of {
            None => (self.entries.len(), self.live, self.total_length),
            Some(tick) => {
                let end = self.made.partition_point(|made| *made <= tick);
                let live = self.entries[..end].iter().flatten();
                let length = live.clone().map(|entry| u64::from(entry.length)).sum();
                (end, live.count(), length)
            }
        };
        let mean_length = length as f64 / texts.max(1) as f64;
        View { index: self, end: end as u32, bm25: tokenize::Bm25 { texts, mean_length } }
    }
}

/// The occurrences of each query term, rarest term first.
pub(super) struct QueryTerms<'a>(Vec<&'a [Occurrence]>);

impl<'a> View<'a> {
    pub(super) fn get(&self, slot: u32) -> Option<&'a Entry> {
        if slot < self.end { self.index.entries[slot as usize].as_ref() } else { None }
    }

    pub(super) fn slot(&self, id: &MemoryId) -> Option<u32> {
        self.index.slots.get(id).copied().filter(|slot| *slot < self.end)
    }

    /// The newest memory with this content.
    pub(super) fn with_text(&self, content: u128) -> Option<u32> {
        self.index.texts.get(&content).copied().filter(|slot| *slot < self.end)
    }

    /// All slots, newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = u32> + use<> {
        (0..self.end).rev()
    }

    /// The previous and the next memory of the same run.
    pub(super) fn neighbours(&self, slot: u32) -> impl Iterator<Item = u32> {
        let order = self
            .get(slot)
            .and_then(|entry| Some((entry.seq, self.index.runs_order[entry.run? as usize].as_slice())));
        let place = order.and_then(|(seq, order)| {
            let first =
                order.partition_point(|other| self.index.entry_seq(*other).is_some_and(|other| other < seq));
            let place = first + order[first..].iter().position(|other| *other == slot)?;
            Some((order, place))
        });
        let pair = place.map_or([None, None], |(order, place)| {
            [place.checked_sub(1).map(|before| order[before]), order.get(place + 1).copied()]
        });
        pair.into_iter().flatten().filter(|other| *other < self.end)
    }

    pub(super) fn query_terms(&self, text: &str) -> QueryTerms<'a> {
        let mut found: Vec<&[Occurrence]> = tokenize::terms(text)
            .iter()
            .filter_map(|word| self.index.words.get(word))
            .map(|all| &all[..all.partition_point(|occurrence| occurrence.slot < self.end)])
            .filter(|occurrences| !occurrences.is_empty())
            .collect();
        found.sort_by_key(|occurrences| occurrences.len());
        QueryTerms(found)
    }

    /// Returns about `count` memories with the highest BM25 score that pass the filter, in no order.
    pub(super) fn by_words(
        &self,
        terms: &QueryTerms<'_>,
        count: usize,
        passes: impl Fn(u32) -> bool,
    ) -> Vec<u32> {
        let mut scores = vec![0_f32; self.end as usize];
        let mut touched = Vec::new();
        let mut seen = 0;
        for occurrences in &terms.0 {
            seen += occurrences.len();
            if seen > MAX_OCCURRENCES && !touched.is_empty() {
                break;
            }
            let weigh = self.bm25.word(occurrences.len());
            for occurrence in *occurrences {
                let score = &mut scores[occurrence.slot as usize];
                if *score == 0.0 {
                    touched.push(occurrence.slot);
                }
                *score += weigh.count(occurrence.count.into(), occurrence.length.into()) as f32;
            }
        }
        let order =
            |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then_with(|| b.cmp(a));
        // Most memories pass, so filtering the best `4 * count` is usually enough.
        let first = count * 4;
        if touched.len() > first {
            touched.select_nth_unstable_by(first, order);
            let mut best: Vec<u32> = touched[..first].iter().copied().filter(|slot| passes(*slot)).collect();
            if best.len() >= count {
                best.select_nth_unstable_by(count - 1, order);
                best.truncate(count);
                return best;
            }
        }
        touched.retain(|slot| passes(*slot));
        if touched.len() > count {
            touched.select_nth_unstable_by(count - 1, order);
            touched.truncate(count);
        }
        touched
    }

    /// The BM25 score of one memory.
    pub(super) fn bm25(&self, terms: &QueryTerms<'_>, slot: u32) -> f64 {
        let score = |occurrences: &&[Occurrence]| {
            let found = occurrences.binary_search_by_key(&slot, |occurrence| occurrence.slot).ok()?;
            let Occurrence { count, length, .. } = occurrences[found];
            Some(self.bm25.word(occurrences.len()).count(count.into(), length.into()))
        };
        terms.0.iter().filter_map(score).sum()
    }
}

impl TenantIndex {
    fn entry_seq(&self, slot: u32) -> Option<EventSeq> {
        self.entries[slot as usize].as_ref().map(|entry| entry.seq)
    }
}
