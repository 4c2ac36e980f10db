//! Recovery of the vector index: lost files, killed processes, shared homes and an unreachable server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::home;
use crate::common::toy::{
    MODEL, assert_nowhere, embedding, files, lesson, nearest, open, owner, recalled, vector,
};
use async_trait::async_trait;
use serde_json::json;
use sojourn_memory::{
    EmbeddedVectors, Error, Memories, Point, ScoredMemory, Store, Tenant, Tick, VectorQuery, VectorSpace,
    VectorStore,
};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// Number of memories above which a graph is built and saved.
const MANY: u64 = 17_500;

async fn fill(memories: &Memories, count: u64) {
    let exported: Vec<_> = (0..count)
        .map(|n| {
            let line = json!({
                "id": lesson(n, "").id(), "tenant": "a", "kind": "fact", "text": format!("memory {n}"),
                "importance": 5.0, "event_time_ms": 0, "environment": null, "run": null, "seq": n, "sources": [],
                "expires_at_ms": null, "valid_to_ms": null, "pinned": false,
                "content_hash": "00".repeat(32), "helpful": 0, "harmful": 0, "made": 0,
                "vectors": [{"model": MODEL, "vector": vector(n)}],
            });
            serde_json::from_value(line).unwrap()
        })
        .collect();
    memories.import(&owner(), &exported).await.unwrap();
}

#[tokio::test]
async fn saved_graph_is_reloaded_and_rebuilt_after_loss() {
    let home = home();
    let index = home.path().join("index");
    let memories = open(home.path()).await;
    fill(&memories, MANY).await;
    memories.flush(&|_| ()).await.unwrap();
    let graphs = |directory: &Path| {
        files(directory).iter().filter(|path| path.extension().is_some_and(|it| it == "graph")).count()
    };
    assert_eq!(graphs(&index), 1);
    assert_eq!(nearest(&memories, 123).await.unwrap(), "memory 123");

    // Vectors added after the last save are fed again. A forgotten memory is in no file.
    memories.remember(&lesson(MANY, "the newest"), &[embedding(MANY)]).await.unwrap();
    drop(memories);
    let memories = open(home.path()).await;
    assert_eq!(nearest(&memories, MANY).await.unwrap(), "the newest");
    assert_eq!(nearest(&memories, 4567).await.unwrap(), "memory 4567");
    let id = lesson(4567, "").id();
    memories.forget(&owner(), &id).await.unwrap().unwrap();
    assert_ne!(nearest(&memories, 4567).await.unwrap(), "memory 4567");
    let half: Vec<u8> = unit_f16(&vector(4567));
    assert_nowhere(home.path(), &half[..32]);
    let kept: Vec<u8> = unit_f16(&vector(4568));
    let holds = |path: &PathBuf| std::fs::read(path).unwrap().windows(32).any(|window| window == &kept[..32]);
    assert!(files(&index).iter().any(holds), "the test searches for the wrong bytes");

    // The index directory is deleted while in use, then damaged, then of another store.
    std::fs::remove_dir_all(&index).unwrap();
    assert_eq!(nearest(&memories, 99).await.unwrap(), "memory 99");
    memories.rebuild(&|_| ()).await.unwrap();
    assert_eq!(graphs(&index), 1);
    drop(memories);
    for path in files(&index) {
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        std::fs::write(&path, bytes).unwrap();
        let memories = open(home.path()).await;
        assert_eq!(nearest(&memories, 99).await.unwrap(), "memory 99", "{}", path.display());
    }
}

/// The unit vector in the encoding of the graph file.
fn unit_f16(vector: &[f32]) -> Vec<u8> {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    let half = |x: &f32| half::f16::from_f32((f64::from(*x) / length) as f32).to_le_bytes();
    vector.iter().flat_map(half).collect()
}

/// Passes the home directory to a copy of this test that will be killed.
const CHILD: &str = "SOJOURN_MEMORIES_CHILD";

/// Body of the child process: adds and recalls memories until it is killed. It does nothing when no parent
/// started it.
#[tokio::test]
async fn child() {
    let Some(home) = std::env::var_os(CHILD) else { return };
    let memories = open(Path::new(&home)).await;
    let first = memories.stats(&owner()).await.unwrap().kinds.values().sum::<u64>();
    println!("\nbegun");
    for n in first.. {
        memories.remember(&lesson(n, &format!("memory {n}")), &[embedding(n)]).await.unwrap();
        println!("durable {n}");
        if n % 3 == 0 {
            nearest(&memories, n).await;
            memories.flush(&|_| ()).await.unwrap();
        }
    }
}

/// Starts the child process; returns it with its output lines.
fn start(home: &Path) -> (Child, impl Iterator<Item = String>) {
    let mut child = sojourn_testkit::again("index::child")
        .env(CHILD, home)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    (child, lines)
}

#[tokio::test]
async fn index_catches_up_after_kill_9() {
    let home = home();
    let memories = open(home.path()).await;
    fill(&memories, MANY).await;
    memories.flush(&|_| ()).await.unwrap();
    drop(memories);
    for round in 1..4_usize {
        let (mut child, lines) = start(home.path());
        let mut durable =
            lines.filter_map(|line| line.rsplit_once("durable ").and_then(|(_, n)| n.parse::<u64>().ok()));
        let last = durable.by_ref().nth(round * 5).expect("the child process exited early");
        child.kill().unwrap();
        child.wait().unwrap();
        let last = durable.last().unwrap_or(last);
        let memories = open(home.path()).await;
        for n in [0, MANY, last] {
            assert_eq!(nearest(&memories, n).await.unwrap(), format!("memory {n}"), "round {round}");
        }
    }
}

/// An index whose server can be made unreachable.
struct Away {
    index: EmbeddedVectors,
    away: AtomicBool,
}

impl Away {
    fn check(&self) -> Result<(), Error> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::IndexUnavailable { what: "connection refused".to_owned() });
        }
        Ok(())
    }
}

#[async_trait]
impl VectorStore for Away {
    async fn applied(&self) -> Result<Tick, Error> {
        self.check()?;
        self.index.applied().await
    }

    async fn upsert(&self, model: &str, points: Vec<Point>) -> Result<(), Error> {
        self.check()?;
        self.index.upsert(model, points).await
    }

    async fn remove(&self, ids: &[sojourn_memory::MemoryId]) -> Result<(), Error> {
        self.check()?;
        self.index.remove(ids).await
    }

    async fn advance(&self, to: Tick) -> Result<(), Error> {
        self.check()?;
        self.index.advance(to).await
    }

    async fn search(&self, query: &VectorQuery<'_>) -> Result<Vec<ScoredMemory>, Error> {
        self.check()?;
        self.index.search(query).await
    }

    async fn similarities(
        &self,
        model: &str,
        tenant: &Tenant,
        vector: &[f32],
        ids: &[sojourn_memory::MemoryId],
    ) -> Result<Vec<Option<f32>>, Error> {
        self.check()?;
        self.index.similarities(model, tenant, vector, ids).await
    }

    async fn spaces(&self) -> Result<Vec<VectorSpace>, Error> {
        self.check()?;
        self.index.spaces().await
    }

    async fn clear(&self) -> Result<(), Error> {
        self.check()?;
        self.index.clear().await
    }

    async fn purge(&self) -> Result<(), Error> {
        self.check()?;
        self.index.purge().await
    }

    async fn flush(
        &self,
        progress: &(dyn Fn(sojourn_memory::IndexProgress) + Send + Sync),
    ) -> Result<(), Error> {
        self.check()?;
        self.index.flush(progress).await
    }
}

#[tokio::test]
async fn unavailable_index_is_retried_and_catches_up() {
    let home = home();
    let index =
        std::sync::Arc::new(Away { index: EmbeddedVectors::in_memory(100), away: AtomicBool::new(false) });
    let memories = Memories::with_index(Store::open(home.path()).await.unwrap(), index.clone());
    memories.remember(&lesson(1, "wood"), &[embedding(1)]).await.unwrap();
    assert_eq!(nearest(&memories, 1).await.unwrap(), "wood");
    index.away.store(true, Ordering::SeqCst);
    memories.remember(&lesson(2, "stone"), &[embedding(2)]).await.unwrap();
    assert_eq!(nearest(&memories, 2).await.unwrap(), "stone");
    assert_eq!(recalled(&memories, "wood").await[0], "wood");
    assert!(memories.stats(&owner()).await.unwrap().index_failure.unwrap().contains("connection refused"));
    index.away.store(false, Ordering::SeqCst);
    let waited = async {
        while memories.stats(&owner()).await.unwrap().index_failure.is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), waited).await.unwrap();
    assert_eq!(index.spaces().await.unwrap()[0].count, 2);
}

#[tokio::test]
async fn two_processes_can_add_memories_concurrently() {
    let home = home();
    let memories = open(home.path()).await;
    let (mut child, mut lines) = start(home.path());
    lines.by_ref().find(|line| line.contains("begun")).expect("the child process exited early");
    for n in 0..50 {
        let own = 1_000_000 + n;
        memories.remember(&lesson(own, &format!("mine {n}")), &[embedding(own)]).await.unwrap();
    }
    let theirs = lines.by_ref().filter(|line| line.contains("durable ")).nth(50);
    assert!(theirs.is_some(), "the child process exited early");
    child.kill().unwrap();
    child.wait().unwrap();
    for n in 0..50 {
        assert_eq!(nearest(&memories, n).await.unwrap(), format!("memory {n}"));
        assert_eq!(nearest(&memories, 1_000_000 + n).await.unwrap(), format!("mine {n}"));
    }
}

#[tokio::test]
async fn two_processes_recall_each_others_memories() {
    let home = home();
    let (one, two) = (open(home.path()).await, open(home.path()).await);
    one.remember(&lesson(1, "wood"), &[embedding(1)]).await.unwrap();
    assert_eq!(nearest(&two, 1).await.unwrap(), "wood");
    two.remember(&lesson(2, "stone"), &[embedding(2)]).await.unwrap();
    assert_eq!(nearest(&one, 2).await.unwrap(), "stone");
    let id = lesson(2, "").id();
    one.forget(&owner(), &id).await.unwrap().unwrap();
    assert_eq!(nearest(&two, 2).await.unwrap(), "wood");
    two.edit(&owner(), &lesson(1, "").id(), "oak", 500, &[]).await.unwrap();
    assert_eq!(recalled(&one, "wood").await, ["oak"]);
}
