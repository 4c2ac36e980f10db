use super::corpus::{Entry, Shelf};
use super::rows::{Memories, content_hash};
use super::tables::find;
use super::{Memory, MemoryId, MemoryKind, Tenant, Tick, VectorQuery};
use crate::{Error, RunId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How many of the most similar, and of the best by words, are ranked together.
const CANDIDATES: usize = 256;
/// What a neighbour in the same run passes on of its own score.
const NEIGHBOUR: f64 = 0.3;
/// What recency and importance, each from 0 to 1, weigh against scores whose spread is 1.
const RECENCY: f64 = 0.25;
const IMPORTANCE: f64 = 0.25;
/// Recency falls by this factor every hour (Park et al. 2023, "Generative Agents", section 4.1).
const FADING: f64 = 0.995;

/// What to recall.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// Whose memories.
    pub tenant: &'a Tenant,
    /// In words: any text, also none.
    pub text: &'a str,
    /// The text's vector and the name of the model that made it.
    pub vector: Option<(&'a str, &'a [f32])>,
    /// Of these kinds only; of any kind if empty.
    pub kinds: &'a [MemoryKind],
    /// From this environment only; what came from none is recalled as well.
    pub environment: Option<&'a str>,
    /// From this run only.
    pub run: Option<&'a RunId>,
    /// As it would have been at that moment.
    pub as_of: Option<Tick>,
    /// At most so many.
    pub k: usize,
    /// At most so many tokens together, as [`estimated_tokens`] counts them.
    pub token_budget: usize,
    /// The present, in milliseconds since 1970, for recency, expiry and validity.
    pub now_ms: i64,
}

impl<'a> Query<'a> {
    /// For a text alone: 5 memories at the time 0, without other limits.
    pub fn new(tenant: &'a Tenant, text: &'a str) -> Self {
        Self {
            tenant,
            text,
            vector: None,
            kinds: &[],
            environment: None,
            run: None,
            as_of: None,
            k: 5,
            token_budget: usize::MAX,
            now_ms: 0,
        }
    }
}

/// A memory that was recalled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// The memory.
    pub memory: Memory,
    /// What it was ranked by, comparable within one recall only.
    pub score: f64,
    /// How that came about.
    pub why: Explanation,
}

/// How a memory's score came about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// It has the very text of the query, and therefore comes first.
    pub exact: bool,
    /// How similar it is, from -1 to 1; `None` without vectors of the query's model on both sides.
    pub cosine: Option<f32>,
    /// How well it answers the query's words.
    pub bm25: f64,
    /// From 1 (now) towards 0.
    pub recency: f64,
    /// From 0 to 1.
    pub importance: f64,
    /// What the memories before and after it in the same run added.
    pub neighbours: f64,
}

/// How many tokens a text may have: one for every four characters, rounded up.
pub fn estimated_tokens(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}

/// A memory on its way to being ranked.
struct Candidate<'a> {
    entry: &'a Entry,
    cosine: Option<f32>,
    bm25: f64,
}

impl Memories {
    /// The memories that answer a query best, the best first; the same query at the same moment gives the same
    /// answer, whatever other tenants do.
    ///
    /// Cosine and BM25 are brought to one scale by their mean and spread over the candidates and added; a memory
    /// gains a share of what its neighbours in the same run have; recency and importance are added. Texts that
    /// are the same but for case and spacing are recalled once. What does not fit into what is left of the token
    /// budget is passed over.
    ///
    /// # Errors
    /// [`Error::Dimension`] and [`Error::BadVector`] for the query's vector. No text is an error.
    pub async fn recall(&self, query: &Query<'_>) -> Result<Vec<Hit>, Error> {
        self.sync().await?;
        let chosen = {
            let corpus = self.corpus.read().await;
            let Some(shelf) = corpus.shelf(query.tenant) else { return Ok(Vec::new()) };
            let visible: Vec<&Entry> = shelf.entries().filter(|entry| query.sees(entry)).collect();
            let candidates = self.candidates(query, shelf, &visible).await?;
            choose(query, rank(query, &candidates))
        };
        let mut connection = self.store.pool.acquire().await?;
        let mut hits = Vec::with_capacity(chosen.len());
        for (id, score, why) in chosen {
            // Another process may have forgotten it a moment ago.
            if let Some(memory) = find(&mut connection, query.tenant, &id).await? {
                hits.push(Hit { memory, score, why });
            }
        }
        Ok(hits)
    }

    /// The most similar and the best by words. With fewer memories than that, all.
    async fn candidates<'a>(
        &self,
        query: &Query<'_>,
        shelf: &Shelf,
        visible: &[&'a Entry],
    ) -> Result<Vec<Candidate<'a>>, Error> {
        let bm25 = shelf.bm25(query.text, visible);
        let mut places: Vec<usize> = (0..visible.len()).collect();
        places.sort_by(|a, b| bm25[*b].total_cmp(&bm25[*a]).then(b.cmp(a)));
        places.truncate(CANDIDATES);
        let mut cosines = vec![None; visible.len()];
        if let Some((model, vector)) = query.vector {
            let by_id: HashMap<MemoryId, usize> =
                visible.iter().enumerate().map(|(place, entry)| (entry.id, place)).collect();
            let similar = self.similar(query, model, vector, &by_id).await?;
            places.extend(similar);
            places.sort_unstable();
            places.dedup();
            let ids: Vec<MemoryId> = places.iter().map(|place| visible[*place].id).collect();
            let found = self.index.similarities(model, vector, &ids).await?;
            for (place, cosine) in places.iter().zip(found) {
                cosines[*place] = cosine;
            }
        }
        // The order in which they were made, so that sums over them are always taken alike.
        places.sort_unstable();
        let candidate =
            |place: usize| Candidate { entry: visible[place], cosine: cosines[place], bm25: bm25[place] };
        Ok(places.into_iter().map(candidate).collect())
    }

    /// The places of the most similar memories among those that can be seen. The index does not know all
    /// filters, so it is asked for more until enough of its answers pass.
    async fn similar(
        &self,
        query: &Query<'_>,
        model: &str,
        vector: &[f32],
        visible: &HashMap<MemoryId, usize>,
    ) -> Result<Vec<usize>, Error> {
        let mut k = CANDIDATES;
        loop {
            let search = VectorQuery { model, tenant: query.tenant, vector, as_of: query.as_of, k };
            let found = self.index.search(&search).await?;
            let passing: Vec<usize> =
                found.iter().filter_map(|scored| visible.get(&scored.id).copied()).take(CANDIDATES).collect();
            if passing.len() >= CANDIDATES.min(visible.len()) || found.len() < k {
                return Ok(passing);
            }
            k = k.saturating_mul(4);
        }
    }
}

impl Query<'_> {
    fn sees(&self, entry: &Entry) -> bool {
        let known = |tick: Tick| self.as_of.is_none_or(|as_of| tick <= as_of);
        let expired = !entry.pinned && entry.expires_at_ms.is_some_and(|at| at <= self.now_ms);
        let outdated = entry.closed.is_some_and(|(at, said)| known(said) && at <= self.now_ms);
        known(entry.made)
            && !expired
            && !outdated
            && (self.kinds.is_empty() || self.kinds.contains(&entry.kind))
            && self.run.is_none_or(|run| entry.run.as_ref() == Some(run))
            && self
                .environment
                .is_none_or(|here| entry.environment.as_deref().is_none_or(|there| there == here))
    }
}

type Ranked<'a> = (&'a Entry, f64, Explanation);

/// All candidates, the best first.
fn rank<'a>(query: &Query<'_>, candidates: &[Candidate<'a>]) -> Vec<Ranked<'a>> {
    let bm25 = Spread::of(candidates.iter().map(|candidate| candidate.bm25));
    let cosine = Spread::of(candidates.iter().filter_map(|candidate| candidate.cosine.map(f64::from)));
    let base: Vec<f64> = candidates
        .iter()
        .map(|candidate| {
            let similar = candidate.cosine.map_or(0.0, |value| cosine.standardised(f64::from(value)));
            similar + bm25.standardised(candidate.bm25)
        })
        .collect();
    let passed_on = neighbours(candidates, &base);
    let wanted = content_hash(query.text);
    let mut ranked: Vec<Ranked<'a>> = candidates
        .iter()
        .enumerate()
        .map(|(place, candidate)| {
            let entry = candidate.entry;
            let hours = query.now_ms.saturating_sub(entry.event_time_ms).max(0) as f64 / 3_600_000.0;
            let why = Explanation {
                exact: entry.content_hash == wanted,
                cosine: candidate.cosine,
                bm25: candidate.bm25,
                recency: FADING.powf(hours),
                importance: (f64::from(entry.importance) - 1.0) / 9.0,
                neighbours: passed_on[place],
            };
            let score = base[place] + why.neighbours + RECENCY * why.recency + IMPORTANCE * why.importance;
            (entry, score, why)
        })
        .collect();
    ranked.sort_by(|(a, score_a, why_a), (b, score_b, why_b)| {
        why_b.exact.cmp(&why_a.exact).then(score_b.total_cmp(score_a)).then(b.made.cmp(&a.made))
    });
    ranked
}

/// What each candidate gains from those before and after it in the same run. What is told in one breath
/// belongs together: an answer often stands next to the words that were asked for.
fn neighbours(candidates: &[Candidate<'_>], base: &[f64]) -> Vec<f64> {
    let mut runs: BTreeMap<&RunId, Vec<usize>> = BTreeMap::new();
    for (place, candidate) in candidates.iter().enumerate() {
        if let Some(run) = &candidate.entry.run {
            runs.entry(run).or_default().push(place);
        }
    }
    let mut gains = vec![0.0; base.len()];
    for places in runs.values_mut() {
        places.sort_by_key(|place| (candidates[*place].entry.seq, candidates[*place].entry.made));
        for pair in places.windows(2) {
            gains[pair[0]] += NEIGHBOUR * base[pair[1]].max(0.0);
            gains[pair[1]] += NEIGHBOUR * base[pair[0]].max(0.0);
        }
    }
    gains
}

/// The best that fit, each text once.
fn choose(query: &Query<'_>, ranked: Vec<Ranked<'_>>) -> Vec<(MemoryId, f64, Explanation)> {
    let mut left = query.token_budget;
    let mut texts = HashSet::new();
    let mut chosen = Vec::new();
    for (entry, score, why) in ranked {
        if chosen.len() >= query.k {
            break;
        }
        if entry.tokens <= left && texts.insert(entry.content_hash) {
            left -= entry.tokens;
            chosen.push((entry.id, score, why));
        }
    }
    chosen
}

/// The mean of some numbers and their standard deviation.
struct Spread {
    mean: f64,
    deviation: f64,
}

impl Spread {
    fn of(numbers: impl Iterator<Item = f64> + Clone) -> Self {
        let count = numbers.clone().count().max(1) as f64;
        let mean = numbers.clone().sum::<f64>() / count;
        let variance = numbers.map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        Self { mean, deviation: variance.sqrt() }
    }

    /// How many deviations above the mean; 0 where all numbers are the same.
    fn standardised(&self, number: f64) -> f64 {
        if self.deviation < 1e-9 { 0.0 } else { (number - self.mean) / self.deviation }
    }
}
