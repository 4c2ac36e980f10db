//! Tests of the Qdrant back end against a gRPC server in this process, or against the real server that
//! `QDRANT_URL` names.

mod server;

use server::Server;
use sojourn_memory::{
    Embedding, EventSeq, Memories, MemoryKind, NewMemory, QdrantVectors, Query, Store, Tenant, VectorStore,
    conformance,
};
use std::sync::Arc;
use std::time::Duration;

const MODEL: &str = "toy/model_1";

/// A collection name that no other test and no earlier run uses.
fn unique(purpose: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("test-{purpose}-{:x}", now.as_nanos())
}

#[tokio::test]
async fn qdrant_index_conforms() {
    let real = std::env::var("QDRANT_URL").ok();
    let server = Server::start();
    let address = real.clone().unwrap_or_else(|| server.address());
    let store = QdrantVectors::at(&address, None, &unique("conforms")).unwrap();
    let recall = if real.is_some() { 0.95 } else { 1.0 };
    let result = conformance::check(&store, recall).await;
    store.clear().await.unwrap();
    result.unwrap();
}

fn owner() -> Tenant {
    Tenant::new("a").unwrap()
}

async fn remember(memories: &Memories, n: u64) {
    let new =
        NewMemory { seq: EventSeq(n), ..NewMemory::new(owner(), MemoryKind::Fact, format!("memory {n}")) };
    memories.remember(&new, &[Embedding { model: MODEL.to_owned(), vector: vector(n) }]).await.unwrap();
}

fn vector(n: u64) -> Vec<f32> {
    let hash = sojourn_memory::Hash::of(&n.to_le_bytes());
    hash.as_bytes().iter().map(|byte| f32::from(*byte) - 127.5).collect()
}

async fn nearest(memories: &Memories, n: u64) -> String {
    let (owner, vector) = (owner(), vector(n));
    let query = Query { vectors: vec![(MODEL, &vector)], k: 1, ..Query::new(&owner, "") };
    memories.recall(&query).await.unwrap().remove(0).memory.text
}

/// Recalls until the index is available again, for at most one minute.
async fn caught_up(memories: &Memories) {
    let waiting = async {
        while memories.stats(&owner()).await.unwrap().index_failure.is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap();
}

#[tokio::test]
async fn unreachable_server_is_retried_and_catches_up() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let mut server = Server::start();
    let index = Arc::new(QdrantVectors::open(&store, &server.address(), None).await.unwrap());
    let memories = Memories::with_index(store.clone(), index.clone());
    for n in 0..10 {
        remember(&memories, n).await;
    }
    assert_eq!(nearest(&memories, 3).await, "memory 3");
    assert_eq!(server.points(), 10);

    server.stop();
    remember(&memories, 10).await;
    assert_eq!(nearest(&memories, 10).await, "memory 10");
    let gone = memories.forget(&owner(), &NewMemory::new(owner(), MemoryKind::Fact, "").id()).await;
    assert!(gone.unwrap().unwrap().index_behind);
    assert!(memories.stats(&owner()).await.unwrap().index_failure.is_some());
    server.restart();
    caught_up(&memories).await;
    assert_eq!(server.points(), 10);
    assert_eq!(nearest(&memories, 10).await, "memory 10");
    assert_ne!(nearest(&memories, 0).await, "memory 0");

    // A server that lost its data is filled by the next process that opens it.
    server.lose_everything();
    let again = Arc::new(QdrantVectors::open(&store, &server.address(), None).await.unwrap());
    let again = Memories::with_index(store, again);
    assert_eq!(nearest(&again, 7).await, "memory 7");
    assert_eq!(server.points(), 10);
    let spaces = again.stats(&owner()).await.unwrap().vectors;
    assert_eq!((spaces[0].model.as_str(), spaces[0].dimension, spaces[0].count), (MODEL, 32, 10));
}

#[tokio::test]
async fn remember_succeeds_without_a_server() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let index = QdrantVectors::open(&store, "qdrant://127.0.0.1:1", None).await.unwrap();
    let memories = Memories::with_index(store.clone(), Arc::new(index));
    remember(&memories, 1).await;
    assert_eq!(nearest(&memories, 1).await, "memory 1");
    assert!(QdrantVectors::open(&store, "no address", None).await.is_err());
}
