//! Benchmarks of the log: durable appends per group size, and verification per byte.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use sojourn_memory::{Durability, NewRun, RunId, Store, Writer};
use tokio::runtime::Runtime;

const RECORDS: u64 = 20_000;

/// A typical step of a game.
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
        group.bench_function(format!("durable, {batch} per commit"), |bencher| {
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

criterion_group!(benches, log);
criterion_main!(benches);
