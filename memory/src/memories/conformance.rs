//! Conformance tests for implementations of [`VectorStore`]. The tests of each implementation run them on an
//! empty store.

use super::{MemoryId, Point, Tenant, Tick, VectorQuery, VectorStore};
use crate::{Error, EventSeq};
use sojourn_primitives::SplitMix64;

/// A rule that an implementation breaks.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// The implementation behaved differently.
    #[error("{rule}: {found}")]
    Broken {
        /// The broken rule.
        rule: &'static str,
        /// The observed value.
        found: String,
    },
    /// An operation failed that must succeed.
    #[error("an operation failed that must succeed")]
    Failed(#[from] Error),
}

const MODEL: &str = "conformance-a";
const OTHER: &str = "conformance-b";

/// Checks all rules.
///
/// `recall` is the share of true nearest neighbours that searches must find, from 0 to 1; an exact index must
/// reach 1.
///
/// # Errors
/// The first broken rule.
pub async fn check(store: &dyn VectorStore, recall: f64) -> Result<(), Violation> {
    nothing_is_found_in_nothing(store).await?;
    the_nearest_come_first(store, recall).await?;
    tenants_do_not_meet(store).await?;
    the_future_is_hidden(store).await?;
    models_are_apart(store).await?;
    bad_vectors_are_refused(store).await?;
    the_last_vector_counts(store).await?;
    what_is_removed_is_gone(store).await?;
    what_is_applied_was_given(store).await?;
    what_is_cleared_is_empty(store).await
}

async fn nothing_is_found_in_nothing(store: &dyn VectorStore) -> Result<(), Violation> {
    let found = store.search(&query(&tenant("a")?, &noise(1, 8), 3)).await?;
    demand("an empty index finds nothing", found.is_empty(), &found)?;
    let scores = store.similarities(MODEL, &tenant("a")?, &noise(1, 8), &[id(&tenant("a")?, 0)]).await?;
    demand("an empty index has no similarities", scores == [None], &scores)
}

async fn the_nearest_come_first(store: &dyn VectorStore, recall: f64) -> Result<(), Violation> {
    let owner = tenant("a")?;
    let points: Vec<Point> = (0..600).map(|n| point(&owner, n)).collect();
    let vectors: Vec<Vec<f32>> = points.iter().map(|point| point.vector.clone()).collect();
    store.upsert(MODEL, points).await?;
    let (mut wanted, mut met) = (0, 0);
    for seed in 0..20 {
        let vector = noise(10_000 + seed, 8);
        let found = store.search(&query(&owner, &vector, 10)).await?;
        demand("a search returns k results", found.len() == 10, &found)?;
        let falling = found.windows(2).all(|pair| pair[0].cosine >= pair[1].cosine);
        demand("results are sorted by falling similarity", falling, &found)?;
        let mut truth: Vec<(f64, u64)> =
            vectors.iter().zip(0..).map(|(other, n)| (cosine(&vector, other), n)).collect();
        truth.sort_by(|a, b| b.0.total_cmp(&a.0));
        wanted += 10;
        met += truth[..10].iter().filter(|(_, n)| found.iter().any(|hit| hit.id == id(&owner, *n))).count();
        let ids: Vec<MemoryId> = found.iter().map(|hit| hit.id).collect();
        let again = store.similarities(MODEL, &owner, &vector, &ids).await?;
        let alike = found
            .iter()
            .zip(&again)
            .all(|(hit, again)| again.is_some_and(|again| (again - hit.cosine).abs() < 1e-4));
        demand("similarities agree with searches", alike, &again)?;
        let close = found.iter().all(|hit| {
            (0..600).any(|n| {
                id(&owner, n) == hit.id
                    && (cosine(&vector, &vectors[n as usize]) - f64::from(hit.cosine)).abs() < 1e-3
            })
        });
        demand("the score is the cosine", close, &found)?;
    }
    demand("searches reach the required recall", f64::from(met as u32) >= recall * f64::from(wanted), &met)
}

async fn tenants_do_not_meet(store: &dyn VectorStore) -> Result<(), Violation> {
    let (one, two) = (tenant("a")?, tenant("b")?);
    store.upsert(MODEL, vec![point(&two, 700)]).await?;
    let found = store.search(&query(&one, &noise(700, 8), 1000)).await?;
    demand(
        "another tenant's vector is never found",
        found.iter().all(|hit| hit.id != id(&two, 700)),
        &found,
    )?;
    let found = store.search(&query(&two, &noise(700, 8), 1000)).await?;
    demand(
        "a search returns only the tenant's own vectors",
        found.len() == 1 && found[0].cosine > 0.999,
        &found,
    )
}

async fn the_future_is_hidden(store: &dyn VectorStore) -> Result<(), Violation> {
    let owner = tenant("a")?;
    let vector = noise(5, 8);
    let early = VectorQuery { as_of: Some(Tick(4)), ..query(&owner, &vector, 1000) };
    let found = store.search(&early).await?;
    demand("a search as of a tick returns only memories made by then", found.len() == 5, &found)
}

async fn models_are_apart(store: &dyn VectorStore) -> Result<(), Violation> {
    let owner = tenant("a")?;
    store.upsert(OTHER, vec![Point { vector: noise(1, 3), ..point(&owner, 1) }]).await?;
    let vector = noise(1, 3);
    let found = store.search(&VectorQuery { model: OTHER, ..query(&owner, &vector, 10) }).await?;
    demand("vectors of different models are separate", found.len() == 1, &found)?;
    let spaces = store.spaces().await?;
    let shapes: Vec<_> =
        spaces.iter().map(|space| (space.model.as_str(), space.dimension, space.count)).collect();
    demand("vector spaces are listed by model name", shapes == [(MODEL, 8, 601), (OTHER, 3, 1)], &shapes)
}

async fn bad_vectors_are_refused(store: &dyn VectorStore) -> Result<(), Violation> {
    let owner = tenant("a")?;
    for (rule, vector) in [
        ("an empty vector is rejected", vec![]),
        ("a vector of zeros is rejected", vec![0.0; 8]),
        ("a vector with NaN is rejected", vec![f32::NAN; 8]),
        ("a vector of infinite numbers is rejected", vec![f32::INFINITY; 8]),
        ("a vector of another dimension is rejected", vec![1.0; 9]),
    ] {
        let bad = Point { vector: vector.clone(), ..point(&owner, 800) };
        let added = store.upsert(MODEL, vec![point(&owner, 801), bad]).await;
        demand(rule, matches!(added, Err(Error::BadVector { .. } | Error::Dimension { .. })), &added)?;
        let found = store.search(&query(&owner, &vector, 1)).await;
        demand(rule, matches!(found, Err(Error::BadVector { .. } | Error::Dimension { .. })), &found)?;
    }
    let scores = store.similarities(MODEL, &owner, &noise(801, 8), &[id(&owner, 801)]).await?;
    demand("a rejected batch adds no vector", scores == [None], &scores)
}

async fn the_last_vector_counts(store: &dyn VectorStore) -> Result<(), Violation> {
    let owner = tenant("a")?;
    let moved =
        Point { tick: Tick(900), vector: vec![-3.0, 0.0, 0.0, 4e30, 0.0, 0.0, 0.0, 0.0], ..point(&owner, 7) };
    store.upsert(MODEL, vec![moved.clone()]).await?;
    store.upsert(MODEL, vec![moved.clone()]).await?;
    let found = store.search(&query(&owner, &moved.vector, 1000)).await?;
    let first = found.first().is_some_and(|hit| hit.id == moved.id && hit.cosine > 0.999);
    let once = found.iter().filter(|hit| hit.id == moved.id).count() == 1;
    demand("an upsert replaces the vector with the same id", first && once, &found)
}

async fn what_is_removed_is_gone(store: &dyn VectorStore) -> Result<(), Violation> {
    let owner = tenant("a")?;
    store.remove(&[id(&owner, 1), id(&owner, 599), id(&owner, 999)]).await?;
    let vector = noise(1, 8);
    let found = store.search(&query(&owner, &vector, 1000)).await?;
    demand("a removed vector is not found", found.len() == 598, &found.len())?;
    let other = noise(1, 3);
    let found = store.search(&VectorQuery { model: OTHER, ..query(&owner, &other, 10) }).await?;
    demand("removal affects every model", found.is_empty(), &found)?;
    let vector = noise(598, 8);
    let scores = store.similarities(MODEL, &owner, &vector, &[id(&owner, 598), id(&owner, 1)]).await?;
    let kept = scores[0].is_some_and(|score| score > 0.999) && scores[1].is_none();
    demand("removal keeps all other vectors", kept, &scores)
}

async fn what_is_applied_was_given(store: &dyn VectorStore) -> Result<(), Violation> {
    store.advance(Tick(1000)).await?;
    let applied = store.applied().await?;
    demand("the applied tick never passes the given tick", applied <= Tick(1000), &applied)?;
    store.purge().await?;
    store.flush(&|_| ()).await?;
    let owner = tenant("a")?;
    let vector = noise(1, 8);
    let found = store.search(&query(&owner, &vector, 1000)).await?;
    demand("flushing changes no result", found.len() == 598, &found.len())
}

async fn what_is_cleared_is_empty(store: &dyn VectorStore) -> Result<(), Violation> {
    store.clear().await?;
    let owner = tenant("a")?;
    let found = store.search(&query(&owner, &noise(2, 8), 10)).await?;
    demand("a cleared index finds nothing", found.is_empty(), &found)?;
    let applied = store.applied().await?;
    demand("a cleared index has applied no tick", applied == Tick(0), &applied)
}

fn demand(rule: &'static str, holds: bool, found: &impl std::fmt::Debug) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::Broken { rule, found: format!("{found:?}") }) }
}

fn tenant(name: &str) -> Result<Tenant, Error> {
    Tenant::new(name)
}

fn id(tenant: &Tenant, n: u64) -> MemoryId {
    MemoryId::new(tenant, None, EventSeq(n), 0)
}

fn point(tenant: &Tenant, n: u64) -> Point {
    Point { id: id(tenant, n), tenant: tenant.clone(), made: Tick(n), tick: Tick(n), vector: noise(n, 8) }
}

fn query<'a>(tenant: &'a Tenant, vector: &'a [f32], k: usize) -> VectorQuery<'a> {
    VectorQuery { model: MODEL, tenant, vector, as_of: None, k }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Pseudo-random numbers from -1 to 1, determined by the seed.
fn noise(seed: u64, dimension: usize) -> Vec<f32> {
    let mut random = SplitMix64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
    std::iter::repeat_with(|| (random.bits() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0)
        .take(dimension)
        .collect()
}
