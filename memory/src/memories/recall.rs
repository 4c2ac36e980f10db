use super::corpus::{Entry, View, short};
use super::store::{Memories, content_hash};
use super::tables::find_all;
use super::{Memory, MemoryId, MemoryKind, Tenant, Tick, VectorQuery};
use crate::{Error, RunId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};

/// How many of the most similar, and of the best by words, are ranked together.
const CANDIDATES: usize = 256;
/// So many of the most similar that pass the filters are enough not to ask the index for more.
const MIN_PASSING: usize = 64;
/// The number of a run or environment that no memory is of.
const UNKNOWN_NAME: u32 = u32::MAX;
/// Recency falls by this factor every hour (Park et al. 2023, "Generative Agents", section 4.1).
const HOURLY_DECAY: f64 = 0.995;

/// What each reason for recalling a memory weighs.
///
/// Similarity and words are measured in standard deviations above the mean of the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RankingWeights {
    /// Of a standard deviation of cosine similarity.
    pub similarity: f64,
    /// Of a standard deviation of BM25.
    pub keywords: f64,
    /// The share of their own score that the memories right before and after in the same run pass on.
    pub neighbours: f64,
    /// Of recency, from 0 to 1.
    pub recency: f64,
    /// Of importance, from 0 to 1.
    pub importance: f64,
}

impl Default for RankingWeights {
    /// Chosen on the development split of a question set over long conversations (README, "Memory").
    fn default() -> Self {
        Self { similarity: 1.0, keywords: 1.0, neighbours: 0.15, recency: 0.25, importance: 0.25 }
    }
}

/// What to recall.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// Whose memories.
    pub tenant: &'a Tenant,
    /// In words: any text, also none.
    pub text: &'a str,
    /// The text's vectors, each with the name of the model that made it. A memory is compared by the first of these
    /// models that it has a vector of: while all memories get vectors of a new model, the old one goes second.
    pub vectors: Vec<(&'a str, &'a [f32])>,
    /// Of these kinds only; of any kind if empty.
    pub kinds: &'a [MemoryKind],
    /// From this environment only; what came from none is recalled as well.
    pub environment: Option<&'a str>,
    /// From this run only.
    pub run: Option<&'a RunId>,
    /// Only what happened at or after this time, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Only what happened before this time.
    pub until_ms: Option<i64>,
    /// As it would have been at that moment.
    pub as_of: Option<Tick>,
    /// At most so many.
    pub k: usize,
    /// At most so many tokens together, as [`estimated_tokens`] counts them.
    pub token_budget: usize,
    /// The present, in milliseconds since 1970, for recency, expiry and validity.
    pub now_ms: i64,
    /// What is ranked by.
    pub ranking: RankingWeights,
}

impl<'a> Query<'a> {
    /// For a text alone: 5 memories at the time 0, without other limits.
    pub fn new(tenant: &'a Tenant, text: &'a str) -> Self {
        Self {
            tenant,
            text,
            vectors: Vec::new(),
            kinds: &[],
            environment: None,
            run: None,
            since_ms: None,
            until_ms: None,
            as_of: None,
            k: 5,
            token_budget: usize::MAX,
            now_ms: 0,
            ranking: RankingWeights::default(),
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
    slot: u32,
    entry: &'a Entry,
    /// The place of the query's vector it was compared with, and the similarity.
    cosine: Option<(usize, f32)>,
    bm25: f64,
}

/// What a query lets through, with names looked up.
struct Filter<'a> {
    query: &'a Query<'a>,
    view: View<'a>,
    run: Option<u32>,
    environment: Option<u32>,
}

impl Memories {
    /// The memories that answer a query best, the best first; the same query at the same moment gives the same
    /// answer, whatever other tenants do, as long as the index is exact.
    ///
    /// Cosine and BM25 are brought to one scale by their mean and spread over the candidates and added; a memory
    /// gains a share of what its neighbours in the same run have; recency and importance are added. Texts that
    /// are the same but for case and spacing are recalled once. What does not fit into what is left of the token
    /// budget is passed over. While the index cannot be used, words find and the tables say how similar it is.
    ///
    /// # Errors
    /// [`Error::Dimension`] and [`Error::BadVector`] for the query's vector. No text is an error.
    pub async fn recall(&self, query: &Query<'_>) -> Result<Vec<Hit>, Error> {
        self.sync().await?;
        let chosen = {
            let corpus = self.corpus.read().await;
            let Some(index) = corpus.index(query.tenant) else { return Ok(Vec::new()) };
            let view = index.view(query.as_of);
            let filter = Filter {
                query,
                view,
                run: query.run.map(|run| index.run(run.as_str()).unwrap_or(UNKNOWN_NAME)),
                environment: query.environment.map(|name| index.environment(name).unwrap_or(UNKNOWN_NAME)),
            };
            let candidates = self.candidates(&filter).await?;
            choose(query, rank(query, &view, &candidates))
        };
        let ids: Vec<MemoryId> = chosen.iter().map(|(id, _, _)| *id).collect();
        let mut connection = self.store.pool.acquire().await?;
        // Another process may have forgotten one a moment ago.
        let mut memories = find_all(&mut connection, query.tenant, &ids).await?;
        let hit = |(id, score, why)| memories.remove(&id).map(|memory| Hit { memory, score, why });
        Ok(chosen.into_iter().filter_map(hit).collect())
    }

    /// The best by words, the most similar, and what stands neighbours them; with few memories, all.
    async fn candidates<'a>(&self, filter: &Filter<'a>) -> Result<Vec<Candidate<'a>>, Error> {
        let (query, view) = (filter.query, &filter.view);
        let terms = view.query_terms(query.text);
        let mut slots: BTreeSet<u32> =
            view.by_words(&terms, CANDIDATES, |slot| filter.passes(slot)).into_iter().collect();
        if slots.len() < CANDIDATES {
            let newest = view.newest().filter(|slot| filter.passes(*slot));
            let missing = CANDIDATES - slots.len();
            slots.extend(newest.take(missing));
        }
        slots.extend(view.with_text(short(&content_hash(query.text))).filter(|slot| filter.passes(*slot)));
        for (model, vector) in &query.vectors {
            slots.extend(self.similar(filter, model, vector).await?);
        }
        if query.ranking.neighbours > 0.0 {
            let neighbours: Vec<u32> = slots.iter().flat_map(|slot| view.neighbours(*slot)).collect();
            slots.extend(neighbours.into_iter().filter(|slot| filter.passes(*slot)));
        }
        let found: Vec<(u32, &Entry)> =
            slots.into_iter().filter_map(|slot| Some((slot, view.get(slot)?))).collect();
        let ids: Vec<MemoryId> = found.iter().map(|(_, entry)| entry.id).collect();
        let mut cosines = vec![None; found.len()];
        for (place, (model, vector)) in query.vectors.iter().enumerate() {
            let found = self.similarities(model, query.tenant, vector, &ids).await?;
            for (cosine, found) in cosines.iter_mut().zip(found) {
                *cosine = cosine.or(found.map(|found| (place, found)));
            }
        }
        Ok(found
            .into_iter()
            .zip(cosines)
            .map(|((slot, entry), cosine)| {
                let bm25 = view.bm25(&terms, slot);
                Candidate { slot, entry, cosine, bm25 }
            })
            .collect())
    }

    /// The most similar memories that pass. The index does not know all filters, so it is terms for more until
    /// enough of its answers pass; where few pass at all, those are compared one by one.
    async fn similar(&self, filter: &Filter<'_>, model: &str, vector: &[f32]) -> Result<Vec<u32>, Error> {
        let (query, view) = (filter.query, &filter.view);
        let mut k = CANDIDATES;
        loop {
            let search = VectorQuery { model, tenant: query.tenant, vector, as_of: query.as_of, k };
            let Some(found) = self.search_index(&search).await? else { return Ok(Vec::new()) };
            let passing: Vec<u32> = found
                .iter()
                .filter_map(|scored| view.slot(&scored.id))
                .filter(|slot| filter.passes(*slot))
                .take(CANDIDATES)
                .collect();
            if passing.len() >= MIN_PASSING || found.len() < k {
                return Ok(passing);
            }
            if k >= CANDIDATES * 16 {
                return self.similar_of_few(filter, model, vector).await;
            }
            k *= 4;
        }
    }

    async fn similar_of_few(
        &self,
        filter: &Filter<'_>,
        model: &str,
        vector: &[f32],
    ) -> Result<Vec<u32>, Error> {
        let passing: Vec<(u32, MemoryId)> = filter
            .view
            .newest()
            .filter(|slot| filter.passes(*slot))
            .filter_map(|slot| Some((slot, filter.view.get(slot)?.id)))
            .collect();
        let ids: Vec<MemoryId> = passing.iter().map(|(_, id)| *id).collect();
        let cosines = self.similarities(model, filter.query.tenant, vector, &ids).await?;
        let mut scored: Vec<(f32, u32)> =
            passing.iter().zip(cosines).filter_map(|((slot, _), cosine)| Some((cosine?, *slot))).collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        Ok(scored.into_iter().take(CANDIDATES).map(|(_, slot)| slot).collect())
    }
}

impl Filter<'_> {
    fn passes(&self, slot: u32) -> bool {
        let Some(entry) = self.view.get(slot) else { return false };
        let query = self.query;
        let known = |tick: Tick| query.as_of.is_none_or(|as_of| tick <= as_of);
        let expired = !entry.pinned && entry.expires_at_ms.is_some_and(|at| at <= query.now_ms);
        let outdated = entry.closed.is_some_and(|(at, said)| known(said) && at <= query.now_ms);
        let early = entry.valid_from_ms.is_some_and(|from| from > query.now_ms);
        !expired
            && !outdated
            && !early
            && (query.kinds.is_empty() || query.kinds.contains(&entry.kind))
            && self.run.is_none_or(|run| entry.run == Some(run))
            && self.environment.is_none_or(|here| entry.environment.is_none_or(|there| there == here))
            && query.since_ms.is_none_or(|since| entry.event_time_ms >= since)
            && query.until_ms.is_none_or(|until| entry.event_time_ms < until)
    }
}

type Ranked<'a> = (&'a Entry, f64, Explanation);

/// All candidates, the best first.
fn rank<'a>(query: &Query<'_>, view: &View<'a>, candidates: &[Candidate<'a>]) -> Vec<Ranked<'a>> {
    let weights = query.ranking;
    let bm25 = Spread::of(candidates.iter().map(|candidate| candidate.bm25));
    // Similarities by different models are not on one scale.
    let spread_of = |place: usize| {
        let of_model = move |candidate: &Candidate<'_>| candidate.cosine.filter(|(by, _)| *by == place);
        Spread::of(candidates.iter().filter_map(of_model).map(|(_, cosine)| f64::from(cosine)))
    };
    let cosine: Vec<Spread> = (0..query.vectors.len()).map(spread_of).collect();
    let base: Vec<f64> = candidates
        .iter()
        .map(|candidate| {
            let similar =
                candidate.cosine.map_or(0.0, |(place, value)| cosine[place].standardised(f64::from(value)));
            weights.similarity * similar + weights.keywords * bm25.standardised(candidate.bm25)
        })
        .collect();
    let passed_on = neighbours(weights.neighbours, view, candidates, &base);
    let wanted = short(&content_hash(query.text));
    let mut ranked: Vec<(u32, Ranked<'a>)> = candidates
        .iter()
        .enumerate()
        .map(|(place, candidate)| {
            let entry = candidate.entry;
            let hours = query.now_ms.saturating_sub(entry.event_time_ms).max(0) as f64 / 3_600_000.0;
            let why = Explanation {
                exact: entry.content == wanted,
                cosine: candidate.cosine.map(|(_, value)| value),
                bm25: candidate.bm25,
                recency: HOURLY_DECAY.powf(hours),
                importance: (f64::from(entry.importance) - 1.0) / 9.0,
                neighbours: passed_on[place],
            };
            let score = base[place]
                + why.neighbours
                + weights.recency * why.recency
                + weights.importance * why.importance;
            (candidate.slot, (entry, score, why))
        })
        .collect();
    ranked.sort_by(|(slot_a, (_, score_a, why_a)), (slot_b, (_, score_b, why_b))| {
        why_b.exact.cmp(&why_a.exact).then(score_b.total_cmp(score_a)).then(slot_b.cmp(slot_a))
    });
    ranked.into_iter().map(|(_, ranked)| ranked).collect()
}

/// What each candidate gains from those told right before and after it in the same run. What is told in one
/// breath belongs together: an answer often stands next to the words that were terms for.
fn neighbours(share: f64, view: &View<'_>, candidates: &[Candidate<'_>], base: &[f64]) -> Vec<f64> {
    let place_of = |slot: u32| candidates.binary_search_by_key(&slot, |candidate| candidate.slot).ok();
    let gain = |candidate: &Candidate<'_>| -> f64 {
        view.neighbours(candidate.slot).filter_map(place_of).map(|place| share * base[place].max(0.0)).sum()
    };
    candidates.iter().map(gain).collect()
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
        let tokens = entry.tokens as usize;
        if tokens <= left && texts.insert(entry.content) {
            left -= tokens;
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
