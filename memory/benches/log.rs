//! What the log and recall cost: a durable append amortised over its group, verification per byte, and a
//! recall among ten thousand memories.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use sojourn_memory::{
    Durability, Embedding, EventSeq, Memories, MemoryKind, NewMemory, NewRun, Query, RunId, Store, Tenant,
    Writer,
};
use std::hint::black_box;
use tokio::runtime::Runtime;

const RECORDS: u64 = 20_000;
const MEMORIES: u64 = 10_000;
const DIMENSION: usize = 384;

/// About what one step of a game leaves in the log.
fn step(n: u64) -> Value {
    let action = ["move_left", "do", "place_stone", "noop"][(n % 4) as usize];
    json!({
        "action": action,
        "reward": n as f64 * 0.001,
        "state": {
            "health": 9 - n % 3, "food": 8, "drink": 7, "energy": n % 9, "position": [n % 64, n / 64 % 64],
            "inventory": {"wood": n % 10, "stone": n % 7, "wood_pickaxe": 1}, "daylight": 0.83,
            "facing": "grass", "nearby": ["tree", "water", "cow"],
        },
    })
}

async fn append(writer: &mut Writer, count: u64) {
    for n in 0..count {
        writer.append("step", n as i64, step(n), vec![]).await.unwrap();
    }
    writer.commit(Durability::Effect).await.unwrap();
}

fn log(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let home = tempfile::tempdir().unwrap();
    let store = runtime.block_on(Store::open(home.path())).unwrap();
    let mut group = criterion.benchmark_group("append");
    group.sample_size(20);
    for batch in [1_u64, 8, 64] {
        let new = NewRun::new(RunId::new(0, batch as u16), "bench", "none");
        let mut writer = runtime.block_on(store.create_run(new)).unwrap();
        group.throughput(Throughput::Elements(batch));
        group.bench_function(format!("durable, {batch} a commit"), |bencher| {
            bencher.iter(|| runtime.block_on(append(&mut writer, batch)));
        });
    }
    group.finish();

    let long = RunId::new(0, 9999);
    let bytes = runtime.block_on(async {
        let mut writer = store.create_run(NewRun::new(long.clone(), "bench", "none")).await.unwrap();
        append(&mut writer, RECORDS).await;
        store.verify(&long, |_, _| ()).await.unwrap().bytes
    });
    let mut group = criterion.benchmark_group("verify");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    group.bench_function(format!("{RECORDS} records"), |bencher| {
        bencher.iter(|| runtime.block_on(store.verify(&long, |_, _| ())).unwrap());
    });
    group.finish();
}

/// A vector that looks random and is the same for the same seed.
fn vector(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    })
    .take(DIMENSION)
    .collect()
}

/// A sentence of a dozen words, some of them rare.
fn sentence(n: u64) -> String {
    let word =
        |i: u64| format!("word{}", n.wrapping_mul(2_654_435_761).wrapping_add(i * i * 97) % (50 << (i % 6)));
    let words: Vec<_> = (0..12).map(word).collect();
    format!("the lesson is that {}", words.join(" "))
}

fn recall(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let home = tempfile::tempdir().unwrap();
    let owner = Tenant::new("bench").unwrap();
    let memories = runtime.block_on(async {
        let memories = Memories::new(Store::open(home.path()).await.unwrap());
        for n in 0..MEMORIES {
            let run = Some(RunId::new(n as i64 / 100 * 1000, 0));
            let new = NewMemory {
                run,
                seq: EventSeq(n),
                ..NewMemory::new(owner.clone(), MemoryKind::Episode, sentence(n))
            };
            let embedding = Embedding { model: "random".to_owned(), vector: vector(n) };
            memories.remember(&new, &[embedding]).await.unwrap();
        }
        memories.recall(&Query::new(&owner, "once")).await.unwrap();
        memories
    });
    let mut group = criterion.benchmark_group("recall");
    group.sample_size(20);
    let mut n = 0;
    group.bench_function(format!("{MEMORIES} memories, hybrid"), |bencher| {
        bencher.iter_batched(
            || {
                n += 1;
                (sentence(n * 7), vector(n))
            },
            |(text, vector)| {
                let query = Query { vector: Some(("random", &vector)), ..Query::new(&owner, &text) };
                black_box(runtime.block_on(memories.recall(&query)).unwrap())
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, log, recall);
criterion_main!(benches);
