use super::corpus::{Entry, View, short};
use super::store::{Memories, content_hash};
use super::tables::find_all;
use super::{Memory, MemoryId, MemoryKind, Tenant, Tick, VectorQuery};
use crate::{Error, RunId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};

/// Number of candidates taken from each of vector search and keyword search.
const CANDIDATES: usize = 256;
/// A vector search is repeated with a larger `k` until this many results pass the filter.
const MIN_PASSING: usize = 64;
/// Stands for a run or environment without memories.
const UNKNOWN_NAME: u32 = u32::MAX;
/// Recency decays by this factor per hour (Park et al. 2023, "Generative Agents", section 4.1).
const HOURLY_DECAY: f64 = 0.995;

/// Weights of the terms in a recall score.
///
/// Similarity and keyword scores are standardised: their unit is one standard deviation above the candidates'
/// mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RankingWeights {
    /// Weight of the standardised cosine similarity.
    pub similarity: f64,
    /// Weight of the standardised BM25 score.
    pub keywords: f64,
    /// Share of a memory's score that the previous and the next memory of the same run add.
    pub neighbours: f64,
    /// Weight of recency, which is from 0 to 1.
    pub recency: f64,
    /// Weight of importance, which is scaled to 0 to 1.
    pub importance: f64,
}

impl Default for RankingWeights {
    /// Tuned on the development split of a question set over long conversations (`cargo measure locomo`).
    fn default() -> Self {
        Self { similarity: 1.0, keywords: 1.0, neighbours: 0.15, recency: 0.25, importance: 0.25 }
    }
}

/// A recall request.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// Owner of the memories.
    pub tenant: &'a Tenant,
    /// The query text; may be empty.
    pub text: &'a str,
    /// Embeddings of the text, each with the name of its model. A memory is compared by the first of these
    /// models that it has a vector of. List a new model first while memories still have vectors of the old
    /// one.
    pub vectors: Vec<(&'a str, &'a [f32])>,
    /// Kinds to recall; all kinds if empty.
    pub kinds: &'a [MemoryKind],
    /// Recall only memories of this environment, and memories without an environment.
    pub environment: Option<&'a str>,
    /// Recall only memories of this run.
    pub run: Option<&'a RunId>,
    /// Recall only events from this time on, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Recall only events before this time, in milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// Recall as of this tick; `None` for the present.
    pub as_of: Option<Tick>,
    /// Largest number of results.
    pub k: usize,
    /// Largest sum of the results' [`estimated_tokens`].
    pub token_budget: usize,
    /// The present, in milliseconds since 1970. It determines recency, expiry and validity.
    pub now_ms: i64,
    /// Weights of the score.
    pub ranking: RankingWeights,
}

impl<'a> Query<'a> {
    /// A query for a text alone, with `k` = 5, time 0 and no filters.
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

/// A recalled memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// The memory.
    pub memory: Memory,
    /// The score, comparable only within one recall.
    pub score: f64,
    /// The terms of the score.
    pub why: Explanation,
}

/// The terms of a score, before weighting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whether the memory has the same text as the query. Such memories come first.
    pub exact: bool,
    /// Cosine similarity, from -1 to 1. `None` if query and memory have no vectors of a common model.
    pub cosine: Option<f32>,
    /// BM25 score of the query's words.
    pub bm25: f64,
    /// Recency, from 1 (now) towards 0.
    pub recency: f64,
    /// Importance, scaled to 0 to 1.
    pub importance: f64,
    /// Score added by the previous and the next memory of the same run.
    pub neighbours: f64,
}

impl Explanation {
    /// The smallest cosine similarity that says something. With all-MiniLM-L6-v2 over the memories of a run and two documents, the
    /// best hits of 12 questions that make sense had 0.27 to 0.64. Of 12 that do not, one had 0.28 and the others at most 0.24.
    pub const EVIDENT_COSINE: f32 = 0.25;

    /// Whether anything speaks for the memory: the same text, a word in common, or a similar meaning. A score cannot tell,
    /// because it compares the candidates with each other: the best of bad ones scores well.
    pub fn is_evident(&self) -> bool {
        self.exact || self.bm25 > 0.0 || self.cosine.is_some_and(|cosine| cosine >= Self::EVIDENT_COSINE)
    }
}

/// Estimates the number of tokens in a text: one per four characters, rounded up.
pub fn estimated_tokens(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}

/// A memory to be ranked.
struct Candidate<'a> {
    slot: u32,
    entry: &'a Entry,
    /// Index of the query vector that it was compared with, and the cosine similarity.
    cosine: Option<(usize, f32)>,
    bm25: f64,
}

/// The query's filters, with names resolved to numbers.
struct Filter<'a> {
    query: &'a Query<'a>,
    view: View<'a>,
    run: Option<u32>,
    environment: Option<u32>,
}

impl Memories {
    /// Returns the memories that match a query best, best first.
    ///
    /// The score adds the standardised cosine similarity and BM25 score, a share of the neighbours' scores,
    /// recency and importance; [`RankingWeights`] has the weights. Equal texts are returned once. A memory
    /// that exceeds the remaining token budget is skipped.
    ///
    /// The result depends only on the query, the tick and the tenant's memories, as long as the index is
    /// exact. While the index is unavailable, candidates come from keyword search alone, and similarities are
    /// computed from the tables.
    ///
    /// # Errors
    /// [`Error::Dimension`] and [`Error::BadVector`] for a vector of the query. Every text is valid.
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
        // Another process may have deleted one of them meanwhile.
        let mut memories = find_all(&mut connection, query.tenant, &ids).await?;
        let hit = |(id, score, why)| memories.remove(&id).map(|memory| Hit { memory, score, why });
        Ok(chosen.into_iter().filter_map(hit).collect())
    }

    /// Collects the best matches by keyword and by vector, and their neighbours. If there are few memories,
    /// all of them are candidates.
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

    /// Searches the vector index for memories that pass the filter. The index does not know all filters, so
    /// the search is repeated with a larger `k`. If few memories pass, they are compared one by one.
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

/// Scores all candidates and sorts them, best first.
fn rank<'a>(query: &Query<'_>, view: &View<'a>, candidates: &[Candidate<'a>]) -> Vec<Ranked<'a>> {
    let weights = query.ranking;
    let bm25 = Spread::of(candidates.iter().map(|candidate| candidate.bm25));
    // Similarities of different models have different scales.
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

/// The score that each candidate gains from its neighbours in the same run: an answer often stands next to
/// the words that were asked for.
fn neighbours(share: f64, view: &View<'_>, candidates: &[Candidate<'_>], base: &[f64]) -> Vec<f64> {
    let place_of = |slot: u32| candidates.binary_search_by_key(&slot, |candidate| candidate.slot).ok();
    let gain = |candidate: &Candidate<'_>| -> f64 {
        view.neighbours(candidate.slot).filter_map(place_of).map(|place| share * base[place].max(0.0)).sum()
    };
    candidates.iter().map(gain).collect()
}

/// Takes the best candidates that fit the token budget, each text once.
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

/// Mean and standard deviation of a sample.
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

    /// Distance from the mean in standard deviations; 0 if all values are equal.
    fn standardised(&self, number: f64) -> f64 {
        if self.deviation < 1e-9 { 0.0 } else { (number - self.mean) / self.deviation }
    }
}

#[cfg(test)]
mod tests {
    use super::Explanation;

    #[test]
    fn a_memory_that_only_beats_worse_ones_has_no_evidence() {
        let nothing = Explanation {
            exact: false,
            cosine: None,
            bm25: 0.0,
            recency: 1.0,
            importance: 1.0,
            neighbours: 0.5,
        };
        for (why, evident) in [
            (nothing, false),
            (Explanation { cosine: Some(0.24), ..nothing }, false),
            (Explanation { cosine: Some(-0.3), ..nothing }, false),
            (Explanation { cosine: Some(0.27), ..nothing }, true),
            (Explanation { bm25: 0.7, ..nothing }, true),
            (Explanation { exact: true, ..nothing }, true),
        ] {
            assert_eq!(why.is_evident(), evident, "{why:?}");
        }
    }
}
