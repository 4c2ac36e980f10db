//! What is kept of memories when they change, move, are forgotten, or the process dies.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use async_trait::async_trait;
use common::{home, run_id};
use serde_json::json;
use sojourn_memory::{
    Attachment, Credit, Delta, Durability, EmbeddedVectors, Embedding, Error, EventSeq, Memories, MemoryKind,
    NewDocument, NewMemory, NewRun, Point, Query, RecordQuery, Scored, Space, Store, Tenant, TextEmbedder,
    Tick, VectorQuery, VectorStore,
};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const MODEL: &str = "toy";

fn owner() -> Tenant {
    Tenant::new("a").unwrap()
}

async fn open(home: &Path) -> Memories {
    Memories::new(Store::open(home).await.unwrap())
}

fn lesson(n: u64, text: &str) -> NewMemory {
    NewMemory {
        run: Some(run_id()),
        seq: EventSeq(n),
        ..NewMemory::new(owner(), MemoryKind::Reflection, text)
    }
}

/// A vector that is the same for the same number and far from others.
fn vector(n: u64) -> Vec<f32> {
    let hash = sojourn_memory::Hash::of(&n.to_le_bytes());
    hash.as_bytes().iter().map(|byte| f32::from(*byte) - 127.5).collect()
}

fn embedding(n: u64) -> Embedding {
    Embedding { model: MODEL.to_owned(), vector: vector(n) }
}

async fn recalled(memories: &Memories, text: &str) -> Vec<String> {
    let owner = owner();
    let query = Query { now_ms: 1000, k: 50, ..Query::new(&owner, text) };
    let hits = memories.recall(&query).await.unwrap();
    hits.into_iter().map(|hit| hit.memory.text).collect()
}

/// The memory whose vector is nearest.
async fn nearest(memories: &Memories, n: u64) -> Option<String> {
    let (owner, vector) = (owner(), vector(n));
    let query = Query { vectors: vec![(MODEL, &vector)], k: 1, ..Query::new(&owner, "") };
    memories.recall(&query).await.unwrap().pop().map(|hit| hit.memory.text)
}

#[tokio::test]
async fn an_edit_replaces_and_keeps_what_was_believed() {
    let home = home();
    let memories = open(home.path()).await;
    let old = memories.remember(&lesson(1, "wood is blue"), &[]).await.unwrap();
    let then = memories.now().await.unwrap();
    let new = memories.edit(&owner(), &old.id, "wood is brown", 500, &[]).await.unwrap().unwrap();
    assert_eq!((new.run.clone(), new.sources.clone()), (old.run.clone(), old.sources.clone()));
    assert_eq!(recalled(&memories, "wood").await, ["wood is brown"]);
    let shown = memories.show(&owner(), &old.id).await.unwrap().unwrap();
    assert_eq!((shown.superseded_by, shown.valid_to_ms), (Some(new.id), Some(500)));
    let owner = owner();
    let before = Query { as_of: Some(then), now_ms: 1000, ..Query::new(&owner, "wood") };
    assert_eq!(memories.recall(&before).await.unwrap()[0].memory.text, "wood is blue");
    assert_eq!(memories.edit(&owner, &new.id, "wood is brown", 600, &[]).await.unwrap().unwrap().id, new.id);
    assert!(matches!(memories.edit(&owner, &new.id, " ", 600, &[]).await, Err(Error::BadMemory { .. })));
    assert_eq!(recalled(&memories, "wood").await, ["wood is brown"]);
}

#[tokio::test]
async fn a_pin_outlives_expiry_and_a_fact_its_time() {
    let home = home();
    let memories = open(home.path()).await;
    let expiring = NewMemory { expires_at_ms: Some(900), ..lesson(1, "wood expires") };
    let id = memories.remember(&expiring, &[]).await.unwrap().id;
    let later = NewMemory { valid_from_ms: Some(2000), ..lesson(2, "wood later") };
    memories.remember(&later, &[]).await.unwrap();
    assert!(recalled(&memories, "wood").await.is_empty());
    assert!(memories.pin(&owner(), &id, true).await.unwrap());
    assert_eq!(recalled(&memories, "wood").await, ["wood expires"]);
    assert!(memories.pin(&owner(), &id, false).await.unwrap());
    assert!(recalled(&memories, "wood").await.is_empty());
    assert!(!memories.pin(&Tenant::new("b").unwrap(), &id, true).await.unwrap());
}

#[tokio::test]
async fn a_consolidation_is_carried_out_once_and_as_a_whole() {
    let home = home();
    let memories = open(home.path()).await;
    let old = memories.remember(&lesson(1, "cows are dangerous"), &[]).await.unwrap();
    let twin = memories.remember(&lesson(2, "Cows are  DANGEROUS"), &[]).await.unwrap();
    let lesson_of = |n, text: &str| NewMemory { kind: MemoryKind::Fact, ..lesson(n, text) };
    let new = lesson_of(3, "cows are food");
    let deltas = [
        Delta::Remember { memory: Box::new(new.clone()) },
        Delta::Credit { id: twin.id, credit: Credit::Harmful },
        Delta::Merge { keep: old.id, duplicate: twin.id },
        Delta::Contradict { older: old.id, newer: new.id() },
    ];
    let (run, source) = (run_id(), EventSeq(9));
    assert!(memories.consolidate(&owner(), (&run, source), &deltas, 900).await.unwrap());
    assert!(!memories.consolidate(&owner(), (&run, source), &deltas, 900).await.unwrap());
    assert_eq!(recalled(&memories, "cows").await, ["cows are food"]);
    let kept = memories.show(&owner(), &old.id).await.unwrap().unwrap();
    assert_eq!((kept.harmful, kept.sources.len(), kept.superseded_by), (1, 2, Some(new.id())));

    let missing = lesson(77, "never").id();
    let broken = [
        Delta::Remember { memory: Box::new(lesson_of(4, "half done")) },
        Delta::Credit { id: missing, credit: Credit::Helpful },
    ];
    let refused = memories.consolidate(&owner(), (&run, EventSeq(10)), &broken, 900).await;
    assert!(matches!(refused, Err(Error::NoSuchMemory { .. })));
    assert!(!recalled(&memories, "half done").await.contains(&"half done".to_owned()));
    let repaired = &broken[..1];
    assert!(memories.consolidate(&owner(), (&run, EventSeq(10)), repaired, 900).await.unwrap());
    assert!(memories.importance_since(&owner(), Tick(0)).await.unwrap() > 15.0);
}

#[tokio::test]
async fn duplicates_are_merged_into_the_weightiest() {
    let home = home();
    let memories = open(home.path()).await;
    for (n, text, importance) in [(1, "Eat cows", 3.0), (2, "eat  COWS", 8.0), (3, "drink water", 5.0)] {
        memories.remember(&NewMemory { importance, ..lesson(n, text) }, &[]).await.unwrap();
    }
    let groups = memories.dedupe(&owner(), 900).await.unwrap();
    assert_eq!((groups.len(), groups[0].keep.text.as_str()), (1, "eat  COWS"));
    assert!(memories.duplicates(&owner()).await.unwrap().is_empty());
    assert_eq!(recalled(&memories, "cows").await, ["eat  COWS", "drink water"]);
}

#[tokio::test]
async fn memories_travel() {
    let (first, second) = (home(), home());
    let memories = open(first.path()).await;
    for n in 0..5 {
        memories.remember(&lesson(n, &format!("lesson \"{n}\"\n木")), &[embedding(n)]).await.unwrap();
    }
    let id = lesson(1, "").id();
    memories.credit(&owner(), &id, Credit::Helpful).await.unwrap();
    memories.edit(&owner(), &id, "lesson one", 500, &[embedding(9)]).await.unwrap();
    let exported = memories.export(&owner(), Tick(0), 100, true).await.unwrap();
    let lines: Vec<String> = exported.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
    let read: Vec<_> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let elsewhere = open(second.path()).await;
    let imported = elsewhere.import(&owner(), &read).await.unwrap();
    assert_eq!((imported.added, imported.known), (6, 0));
    assert_eq!(elsewhere.import(&owner(), &read).await.unwrap().known, 6);
    assert_eq!(recalled(&elsewhere, "lesson").await, recalled(&memories, "lesson").await);
    assert_eq!(nearest(&elsewhere, 3).await.unwrap(), "lesson \"3\"\n木");
    assert_eq!(elsewhere.show(&owner(), &id).await.unwrap().unwrap().helpful, 1);

    let mut broken = read.clone();
    broken[3].memory.text = String::new();
    for it in &mut broken {
        it.memory.id = it.memory.id.revised("other");
    }
    let (place, error) = elsewhere.import(&owner(), &broken).await.unwrap_err();
    assert!(place == Some(3) && matches!(error, Error::BadMemory { .. }));
    assert_eq!(elsewhere.export(&owner(), Tick(0), 100, false).await.unwrap().len(), 6);
    let thief = Tenant::new("thief").unwrap();
    assert!(elsewhere.import(&thief, &read).await.is_err());
}

#[tokio::test]
async fn a_document_added_again_changes_only_what_changed() {
    let home = home();
    let memories = open(home.path()).await;
    let add = async |passages: &[&str], at_ms| {
        let passages: Vec<String> = passages.iter().map(|&text| text.to_owned()).collect();
        let new = NewDocument {
            uri: "/manual.md",
            title: Some("Manual"),
            passages: &passages,
            environment: None,
            at_ms,
        };
        memories.add_document(&owner(), &new).await.unwrap()
    };
    let count = |change: sojourn_memory::DocumentChange| (change.added, change.kept, change.removed);
    assert_eq!(count(add(&["wood", "stone", "iron", "wood"], 1).await), (4, 0, 0));
    let kept = memories.search(&owner(), "stone", 5).await.unwrap()[0].memory.id;
    assert_eq!(count(add(&["wood", "stone", "iron", "wood"], 2).await), (0, 4, 0));
    assert_eq!(count(add(&["stone", "coal", "wood"], 3).await), (1, 2, 2));
    assert_eq!(memories.search(&owner(), "stone", 5).await.unwrap()[0].memory.id, kept);
    assert!(memories.search(&owner(), "iron", 5).await.unwrap().is_empty());
    let documents = memories.documents(&owner()).await.unwrap();
    assert_eq!((documents[0].passages, documents[0].title.as_deref()), (3, Some("Manual")));
    assert_eq!(memories.show(&owner(), &kept).await.unwrap().unwrap().document.unwrap(), "/manual.md");
    assert_eq!(memories.remove_document(&owner(), "/manual.md").await.unwrap(), Some(3));
    assert_eq!(memories.remove_document(&owner(), "/manual.md").await.unwrap(), None);
    assert!(memories.recall(&Query::new(&owner(), "stone")).await.unwrap().is_empty());
}

/// Counts the texts it is asked for, and fails on demand.
#[derive(Default)]
struct Counting {
    asked: Mutex<Vec<String>>,
    fails: AtomicBool,
}

#[async_trait]
impl TextEmbedder for Counting {
    fn model(&self) -> &'static str {
        "counting"
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String> {
        if self.fails.load(Ordering::SeqCst) {
            return Err("no more".to_owned());
        }
        self.asked.lock().unwrap().extend_from_slice(texts);
        Ok(texts.iter().map(|text| vec![text.len() as f32, 1.0]).collect())
    }
}

#[tokio::test]
async fn every_text_is_embedded_once_and_old_vectors_serve_until_then() {
    let home = home();
    let memories = open(home.path()).await;
    for n in 0..80 {
        memories.remember(&lesson(n, &format!("text {}", n % 50)), &[embedding(n)]).await.unwrap();
    }
    let embedder = Counting::default();
    embedder.fails.store(true, Ordering::SeqCst);
    let failed = memories.embed_missing(&owner(), &embedder, &|_| ()).await;
    assert!(matches!(failed, Err(Error::Embedding { .. })));
    assert_eq!(nearest(&memories, 7).await.unwrap(), "text 7");
    embedder.fails.store(false, Ordering::SeqCst);
    let told = Mutex::new(Vec::new());
    let progress =
        |progress: sojourn_memory::Progress| told.lock().unwrap().push((progress.done, progress.of));
    assert_eq!(memories.embed_missing(&owner(), &embedder, &progress).await.unwrap(), 80);
    assert_eq!(told.into_inner().unwrap().last(), Some(&(80, 80)));
    assert_eq!(embedder.asked.lock().unwrap().len(), 50);
    assert!(memories.coverage(&owner(), "counting").await.unwrap().is_complete());
    assert_eq!(memories.embed_missing(&owner(), &embedder, &|_| ()).await.unwrap(), 0);
    assert_eq!(nearest(&memories, 7).await.unwrap(), "text 7");
}

#[tokio::test]
async fn a_memory_may_be_of_an_image_and_have_vectors_of_several_models() {
    let home = home();
    let store = Store::open(home.path()).await.unwrap();
    let memories = Memories::new(store.clone());
    let attachment = |blob| Some(Attachment { blob, media_type: "image/png".to_owned() });
    let missing = sojourn_memory::BlobId::of(b"nothing");
    let lost = NewMemory { attachment: attachment(missing), ..lesson(1, "a cave") };
    assert!(matches!(memories.remember(&lost, &[]).await, Err(Error::UnknownBlob { .. })));
    let image = store.put_blob(b"\x89PNG a cave with diamonds").await.unwrap();
    let seen = NewMemory { attachment: attachment(image), ..lesson(1, "a cave") };
    let picture = Embedding { model: "clip".to_owned(), vector: vec![0.0, 1.0, 0.0] };
    let id = memories.remember(&seen, &[embedding(1), picture]).await.unwrap().id;
    memories.remember(&lesson(2, "a cow"), &[embedding(2)]).await.unwrap();
    let meadow = Embedding { model: "clip".to_owned(), vector: vec![1.0, 0.0, 0.0] };
    memories.remember(&lesson(3, "a meadow"), &[embedding(3), meadow]).await.unwrap();
    let tenant = owner();
    let query = Query { vectors: vec![("clip", &[0.0, 1.0, 0.1])], ..Query::new(&tenant, "") };
    let hits = memories.recall(&query).await.unwrap();
    assert!(hits[0].memory.id == id && hits[0].why.cosine.unwrap() > 0.9);
    assert!(hits[1].why.cosine.is_none() && hits[2].memory.text == "a meadow");
    let short = Embedding { model: "clip".to_owned(), vector: vec![1.0] };
    assert!(matches!(memories.add_vector(&tenant, &id, &short).await, Err(Error::Dimension { .. })));
    let forgotten = memories.forget(&tenant, &id).await.unwrap().unwrap();
    assert_eq!((forgotten.models.len(), forgotten.blobs), (2, 1));
    assert!(matches!(store.blob(&image).await, Err(Error::ForgottenBlob { .. })));
}

#[tokio::test]
async fn forgetting_reaches_every_copy_and_the_log_still_verifies() {
    let home = home();
    let store = Store::open(home.path()).await.unwrap();
    let secret = "the password of \"the vault\" is quetzalcoatl";
    let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    let prompt = format!("Remember:\n- {secret}\n- eat cows\n").repeat(20);
    let blob = writer.put_blob(prompt.as_bytes()).await.unwrap();
    let other = writer.put_blob("nothing of it".repeat(100).as_bytes()).await.unwrap();
    let reply = json!({"lesson": secret}).to_string();
    for (kind, payload, blobs) in [
        ("started", json!({"n": 0}), vec![]),
        ("think", json!({"prompt": {"$blob": blob.to_string()}}), vec![blob]),
        ("thought", json!({"reply": reply, "padding": "x".repeat(2000)}), vec![other]),
        ("remember", json!({"text": secret}), vec![]),
        ("step", json!({"action": "noop"}), vec![]),
    ] {
        writer.append(kind, 0, payload, blobs).await.unwrap();
    }
    writer.commit(Durability::Effect).await.unwrap();
    let index = EmbeddedVectors::open(&home.path().join("index"), [0; 16]);
    let memories = Memories::with_index(store.clone(), std::sync::Arc::new(index));
    let id = memories.remember(&lesson(4, secret), &[embedding(1)]).await.unwrap().id;
    memories.remember(&lesson(5, "eat cows"), &[embedding(2)]).await.unwrap();
    let hashes = async || -> Vec<_> {
        let records = store.records(&run_id(), &RecordQuery::all()).await.unwrap();
        records.into_iter().map(|record| (record.seq, record.hash)).collect()
    };
    let before = hashes().await;

    let forgotten = memories.forget(&owner(), &id).await.unwrap().unwrap();
    assert_eq!((forgotten.records, forgotten.blobs), (2, 1));
    assert!(forgotten.residue.is_empty() && forgotten.files >= 2, "{forgotten:?}");
    assert_nowhere(home.path(), b"quetzalcoatl");
    assert!(memories.was_forgotten(&id).await.unwrap());
    assert!(!memories.was_forgotten(&lesson(5, "").id()).await.unwrap());
    assert_eq!(hashes().await, before);
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    assert!(report.is_intact() && report.records == 5 && report.forgotten == 3, "{report:?}");
    let records = store.records(&run_id(), &RecordQuery::all()).await.unwrap();
    assert_eq!(records[3].payload, json!({"$forgotten": true}));
    assert!(matches!(store.blob(&blob).await, Err(Error::ForgottenBlob { .. })));
    assert_eq!(recalled(&memories, "password").await, ["eat cows"]);
    // The run goes on where it was.
    writer.append("step", 1, json!({"action": "left"}), vec![blob]).await.unwrap();
    writer.commit(Durability::Effect).await.unwrap();
    assert!(store.verify(&run_id(), |_, _| ()).await.unwrap().is_intact());
    // A tombstone that nobody asked for is damage.
    let mut connection = common::raw(home.path()).await;
    sqlx::query(r#"UPDATE records SET payload = '{"$forgotten":true}' WHERE seq = 1"#)
        .execute(&mut connection)
        .await
        .unwrap();
    assert!(!store.verify(&run_id(), |_, _| ()).await.unwrap().is_intact());
}

/// No file below the directory has these bytes.
fn assert_nowhere(directory: &Path, needle: &[u8]) {
    for path in files(directory) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{}", path.display());
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Enough that a graph is built and written.
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
async fn a_graph_on_disk_is_found_again_and_losing_it_loses_nothing() {
    let home = home();
    let index = home.path().join("index");
    let memories = open(home.path()).await;
    fill(&memories, MANY).await;
    memories.settle(&|_| ()).await.unwrap();
    let graphs = |directory: &Path| {
        files(directory).iter().filter(|path| path.extension().is_some_and(|it| it == "graph")).count()
    };
    assert_eq!(graphs(&index), 1);
    assert_eq!(nearest(&memories, 123).await.unwrap(), "memory 123");

    // What came after the files were written is caught up with; what was forgotten is in none of them.
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
    assert!(files(&index).iter().any(holds), "the test looks for the wrong bytes");

    // Deleted while it is in use, torn, or of another store.
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

/// As the graph's file has it.
fn unit_f16(vector: &[f32]) -> Vec<u8> {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    let half = |x: &f32| half::f16::from_f32((f64::from(*x) / length) as f32).to_le_bytes();
    vector.iter().flat_map(half).collect()
}

/// Names the home directory to a copy of this test that is to be killed.
const CHILD: &str = "SOJOURN_MEMORIES_CHILD";

/// Not a test of its own: remembers and recalls for ever where a parent says so.
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
            memories.settle(&|_| ()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_killed_process_leaves_an_index_that_catches_up() {
    let home = home();
    let memories = open(home.path()).await;
    fill(&memories, MANY).await;
    memories.settle(&|_| ()).await.unwrap();
    drop(memories);
    for round in 1..4_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut durable =
            lines.filter_map(|line| line.rsplit_once("durable ").and_then(|(_, n)| n.parse::<u64>().ok()));
        let last = durable.by_ref().nth(round * 5).expect("the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let last = durable.last().unwrap_or(last);
        let memories = open(home.path()).await;
        for n in [0, MANY, last] {
            assert_eq!(nearest(&memories, n).await.unwrap(), format!("memory {n}"), "round {round}");
        }
    }
}

/// An index whose server can be away.
struct Away {
    index: EmbeddedVectors,
    away: AtomicBool,
}

impl Away {
    fn check(&self) -> Result<(), Error> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::IndexUnavailable { what: "nobody answers".to_owned() });
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

    async fn search(&self, query: &VectorQuery<'_>) -> Result<Vec<Scored>, Error> {
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

    async fn spaces(&self) -> Result<Vec<Space>, Error> {
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

    async fn settle(&self, progress: &(dyn Fn(sojourn_memory::Progress) + Send + Sync)) -> Result<(), Error> {
        self.check()?;
        self.index.settle(progress).await
    }
}

#[tokio::test]
async fn an_index_that_is_away_is_waited_for_and_nothing_is_lost() {
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
    assert!(memories.stats(&owner()).await.unwrap().index_failure.unwrap().contains("nobody answers"));
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
async fn two_processes_remember_at_once_and_nothing_is_lost() {
    let home = home();
    let memories = open(home.path()).await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.by_ref().find(|line| line.contains("begun")).expect("the child ended by itself");
    for n in 0..50 {
        let own = 1_000_000 + n;
        memories.remember(&lesson(own, &format!("mine {n}")), &[embedding(own)]).await.unwrap();
    }
    let theirs = lines.by_ref().filter(|line| line.contains("durable ")).nth(50);
    assert!(theirs.is_some(), "the child ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
    for n in 0..50 {
        assert_eq!(nearest(&memories, n).await.unwrap(), format!("memory {n}"));
        assert_eq!(nearest(&memories, 1_000_000 + n).await.unwrap(), format!("mine {n}"));
    }
}

#[tokio::test]
async fn two_processes_see_each_others_memories() {
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
