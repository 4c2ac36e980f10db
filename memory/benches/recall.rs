//! Measures time and quality of recall, and prints one JSON document: `cargo bench -p sojourn-memory --bench
//! recall -- --memories 100000`.
//!
//! The memories are synthetic: vectors around cluster centres, and texts with Zipf-distributed words.
//! `recall_at_10` is the share of the ten most similar memories, found by linear scan, that the index finds
//! too.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use serde_json::json;
use sojourn_memory::{
    Embedding, EventSeq, ExportedMemory, Hash, Memories, Memory, MemoryId, MemoryKind, Query, RankingWeights,
    RunId, Store, Tenant, Tick,
};
use sojourn_primitives::SplitMix64;
use std::time::Instant;

const DIMENSION: usize = 384;
/// Number of memories per cluster.
const CLUSTER: u64 = 200;
const MODEL: &str = "synthetic";
const VOCABULARY: f64 = 50_000.0;
const QUESTIONS: u64 = 200;
/// Number of queries whose results are compared with the linear scan.
const COMPARED: u64 = 50;

/// Pseudo-random numbers, determined by the seed.
struct Noise(SplitMix64);

impl Noise {
    fn new(purpose: u64, seed: u64) -> Self {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(SplitMix64::new(seed ^ purpose.wrapping_mul(0xd134_2543_de82_ef95)))
    }

    fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// A number from 0 to 1.
    fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    /// Approximately standard normal.
    fn normal(&mut self) -> f32 {
        let sum: f64 = (0..4).map(|_| self.unit()).sum();
        ((sum - 2.0) * 1.732) as f32
    }

    /// A word; the n-th word occurs about 1/n as often as the first.
    fn word(&mut self) -> String {
        format!("w{}", VOCABULARY.powf(self.unit()) as u64)
    }
}

/// A vector near the centre of the memory's cluster.
fn vector(n: u64, own: u64) -> Vec<f32> {
    let mut centre = Noise::new(1, n / CLUSTER);
    let mut noise = Noise::new(2, own);
    (0..DIMENSION).map(|_| centre.normal() + 0.7 * noise.normal()).collect()
}

fn text(n: u64) -> String {
    let mut chance = Noise::new(3, n);
    let words: Vec<String> = (0..14).map(|_| chance.word()).collect();
    words.join(" ")
}

fn memory(owner: &Tenant, n: u64) -> ExportedMemory {
    let run = RunId::new(n as i64 / 500 * 1000, 0);
    let text = format!("{} n{n}", text(n));
    let memory = Memory {
        id: MemoryId::new(owner, Some(&run), EventSeq(n), 0),
        tenant: owner.clone(),
        kind: MemoryKind::ALL[(n % 5) as usize],
        importance: 1.0 + (n % 10) as f32,
        event_time_ms: n as i64 * 1000,
        environment: Some(["crafter", "web"][(n % 2) as usize].to_owned()),
        run: Some(run),
        seq: EventSeq(n),
        sources: Vec::new(),
        expires_at_ms: None,
        valid_from_ms: None,
        valid_to_ms: None,
        superseded_by: None,
        document: None,
        attachment: None,
        pinned: false,
        content_hash: Hash::of(text.as_bytes()),
        helpful: 0,
        harmful: 0,
        made: Tick(0),
        untrusted: false,
        text,
    };
    ExportedMemory { memory, vectors: vec![Embedding { model: MODEL.to_owned(), vector: vector(n, n) }] }
}

/// The `share` quantile of the times, in milliseconds.
fn percentile(times: &[f64], share: f64) -> f64 {
    times[((times.len() - 1) as f64 * share) as usize]
}

async fn measure(count: u64) -> serde_json::Value {
    let home = tempfile::tempdir().unwrap();
    let owner = Tenant::new("bench").unwrap();
    let memories = Memories::new(Store::open(home.path()).await.unwrap());
    let started = Instant::now();
    for first in (0..count).step_by(2000) {
        let batch: Vec<ExportedMemory> =
            (first..count.min(first + 2000)).map(|n| memory(&owner, n)).collect();
        memories.import(&owner, &batch).await.unwrap();
        if first % 100_000 == 0 {
            eprintln!("stored {first} in {:.0} s", started.elapsed().as_secs_f64());
        }
    }
    let stored = started.elapsed();
    let started = Instant::now();
    memories.flush(&|_| ()).await.unwrap();
    let built = started.elapsed();
    let started = Instant::now();
    drop(memories);
    let memories = Memories::new(Store::open(home.path()).await.unwrap());
    memories.recall(&Query::new(&owner, "w1")).await.unwrap();
    let opened = started.elapsed();

    let mut times = Vec::new();
    let (mut met, mut wanted) = (0, 0);
    for question in 0..QUESTIONS {
        let mut chance = Noise::new(4, question);
        let n = chance.bits() % count;
        let words: Vec<String> =
            text(n).split(' ').take(6).map(str::to_owned).chain([chance.word()]).collect();
        let words = words.join(" ");
        let vector = vector(n, count + question);
        let query = Query {
            vectors: vec![(MODEL, &vector)],
            k: 10,
            now_ms: count as i64 * 1000,
            environment: Some("crafter"),
            ..Query::new(&owner, &words)
        };
        let started = Instant::now();
        memories.recall(&query).await.unwrap();
        times.push(started.elapsed().as_secs_f64() * 1e3);
        if question < COMPARED {
            let ranking = RankingWeights {
                keywords: 0.0,
                neighbours: 0.0,
                recency: 0.0,
                importance: 0.0,
                similarity: 1.0,
            };
            let query = Query { text: "", ranking, environment: None, ..query };
            let found = memories.recall(&query).await.unwrap();
            let exact = Query { as_of: Some(memories.now().await.unwrap()), ..query };
            let exact = memories.recall(&exact).await.unwrap();
            wanted += exact.len();
            met +=
                exact.iter().filter(|hit| found.iter().any(|other| other.memory.id == hit.memory.id)).count();
        }
    }
    times.sort_by(f64::total_cmp);
    json!({
        "memories": count,
        "dimension": DIMENSION,
        "recall_p50_ms": percentile(&times, 0.5),
        "recall_p95_ms": percentile(&times, 0.95),
        "recall_at_10": f64::from(met as u32) / f64::from(wanted as u32),
        "questions": QUESTIONS,
        "store_s": stored.as_secs_f64(),
        "build_index_s": built.as_secs_f64(),
        "open_and_first_recall_s": opened.as_secs_f64(),
    })
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = arguments.iter().position(|argument| argument == "--memories").map(|at| at + 1);
    let counts = after.and_then(|at| arguments.get(at)).map_or("10000,100000", String::as_str);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let counts = counts.split(',').map(|count| count.replace('_', "").parse().expect("a count of memories"));
    let measured: Vec<_> = counts.map(|count| runtime.block_on(measure(count))).collect();
    println!("{:#}", json!(measured));
}
