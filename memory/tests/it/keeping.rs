//! Edits, validity, consolidation, documents, embeddings and forgetting of memories.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::toy::{assert_nowhere, embedding, lesson, nearest, open, owner, recalled};
use crate::common::{home, open_store, run_id};
use async_trait::async_trait;
use serde_json::json;
use sojourn_memory::{
    Attachment, Credit, Delta, Durability, EmbeddedVectors, Embedding, Error, EventSeq, Memories,
    MemoryImportError, MemoryKind, NewDocument, NewMemory, NewRun, Query, RecordQuery, Tenant, TextEmbedder,
    Tick,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn edit_supersedes_and_keeps_the_old_text() {
    let home = home();
    let memories = open(home.path()).await;
    let old = memories.remember(&lesson(1, "wood is blue"), &[]).await.unwrap();
    let then = memories.now().await.unwrap();
    let new = memories.edit(&owner(), &old.id, "wood is brown", 500, &[]).await.unwrap().unwrap();
    assert_eq!((new.run.clone(), new.sources.clone()), (old.run.clone(), old.sources.clone()));
    assert_eq!(recalled(&memories, "wood").await, ["wood is brown"]);
    let shown = memories.get(&owner(), &old.id).await.unwrap().unwrap();
    assert_eq!((shown.superseded_by, shown.valid_to_ms), (Some(new.id), Some(500)));
    let owner = owner();
    let before = Query { as_of: Some(then), now_ms: 1000, ..Query::new(&owner, "wood") };
    assert_eq!(memories.recall(&before).await.unwrap()[0].memory.text, "wood is blue");
    assert_eq!(memories.edit(&owner, &new.id, "wood is brown", 600, &[]).await.unwrap().unwrap().id, new.id);
    assert!(matches!(memories.edit(&owner, &new.id, " ", 600, &[]).await, Err(Error::BadMemory { .. })));
    assert_eq!(recalled(&memories, "wood").await, ["wood is brown"]);
}

#[tokio::test]
async fn pins_and_validity_periods_decide_recall() {
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
async fn consolidation_is_idempotent_and_atomic() {
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
    let kept = memories.get(&owner(), &old.id).await.unwrap().unwrap();
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
async fn duplicates_are_merged_into_the_most_important() {
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
async fn memories_can_be_exported_and_imported() {
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
    assert_eq!(elsewhere.get(&owner(), &id).await.unwrap().unwrap().helpful, 1);

    let mut broken = read.clone();
    broken[3].memory.text = String::new();
    for it in &mut broken {
        it.memory.id = it.memory.id.revised("other");
    }
    let error = elsewhere.import(&owner(), &broken).await.unwrap_err();
    let rejected = matches!(error, MemoryImportError::Memory { index: 3, source: Error::BadMemory { .. } });
    assert!(rejected, "{error}");
    assert_eq!(elsewhere.export(&owner(), Tick(0), 100, false).await.unwrap().len(), 6);
    let thief = Tenant::new("thief").unwrap();
    assert!(elsewhere.import(&thief, &read).await.is_err());
}

#[tokio::test]
async fn document_update_changes_only_changed_passages() {
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
    assert_eq!(memories.get(&owner(), &kept).await.unwrap().unwrap().document.unwrap(), "/manual.md");
    assert_eq!(memories.remove_document(&owner(), "/manual.md").await.unwrap(), Some(3));
    assert_eq!(memories.remove_document(&owner(), "/manual.md").await.unwrap(), None);
    assert!(memories.recall(&Query::new(&owner(), "stone")).await.unwrap().is_empty());
}

/// An embedder that counts its texts and fails on demand.
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
async fn each_text_is_embedded_once_while_old_vectors_serve_recall() {
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
        |progress: sojourn_memory::IndexProgress| told.lock().unwrap().push((progress.done, progress.of));
    assert_eq!(memories.embed_missing(&owner(), &embedder, &progress).await.unwrap(), 80);
    assert_eq!(told.into_inner().unwrap().last(), Some(&(80, 80)));
    assert_eq!(embedder.asked.lock().unwrap().len(), 50);
    assert!(memories.coverage(&owner(), "counting").await.unwrap().is_complete());
    assert_eq!(memories.embed_missing(&owner(), &embedder, &|_| ()).await.unwrap(), 0);
    assert_eq!(nearest(&memories, 7).await.unwrap(), "text 7");
}

#[tokio::test]
async fn memory_can_have_an_image_and_vectors_of_several_models() {
    let home = home();
    let store = open_store(home.path()).await;
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
async fn forgetting_deletes_every_copy_and_the_log_verifies() {
    let home = home();
    let store = open_store(home.path()).await;
    let secret = "the password of \"the vault\" is quetzalcoatl";
    let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    let prompt = format!("Remember:\n- {secret}\n- eat cows\n").repeat(20);
    let blob = writer.put_blob(prompt.as_bytes()).await.unwrap();
    let other = writer.put_blob("nothing of it".repeat(100).as_bytes()).await.unwrap();
    let seen = [b"\x89PNG\r\n\x1a\n".to_vec(), (0..=255).rev().collect()].concat();
    let picture = writer.put_blob(&seen).await.unwrap();
    let reply = json!({"lesson": secret}).to_string();
    for (kind, payload, blobs) in [
        ("started", json!({"n": 0}), vec![]),
        ("think", json!({"prompt": {"$blob": blob.to_string()}}), vec![blob]),
        (
            "thought",
            json!({"reply": reply, "padding": "x".repeat(2000), "more": {"$blob": other.to_string()}}),
            vec![other, picture],
        ),
        ("remember", json!({"text": secret}), vec![]),
        ("step", json!({"action": "noop"}), vec![]),
    ] {
        writer.append(kind, 0, payload, blobs).await.unwrap();
    }
    writer.commit(Durability::Effect).await.unwrap();
    let index = EmbeddedVectors::open(&home.path().join("index"), [0; 16]);
    let memories = Memories::with_index(store.clone(), std::sync::Arc::new(index));
    // The log quotes the sentence without the task.
    let id =
        memories.remember(&lesson(4, &format!("collect_wood: {secret}")), &[embedding(1)]).await.unwrap().id;
    memories.remember(&lesson(5, "eat cows"), &[embedding(2)]).await.unwrap();
    let hashes = async || -> Vec<_> {
        let records = store.records(&run_id(), &RecordQuery::all()).await.unwrap();
        records.into_iter().map(|record| (record.seq, record.hash)).collect()
    };
    let before = hashes().await;

    let forgotten = memories.forget(&owner(), &id).await.unwrap().unwrap();
    assert_eq!((forgotten.records, forgotten.blobs), (2, 2));
    assert!(forgotten.residue.is_empty() && forgotten.files >= 2, "{forgotten:?}");
    assert_nowhere(home.path(), b"quetzalcoatl");
    assert_nowhere(home.path(), &seen[200..]);
    assert!(matches!(store.blob(&picture).await, Err(Error::ForgottenBlob { .. })));
    store.blob(&other).await.unwrap();
    assert!(memories.was_forgotten(&id).await.unwrap());
    assert!(!memories.was_forgotten(&lesson(5, "").id()).await.unwrap());
    assert_eq!(hashes().await, before);
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    assert!(report.is_intact() && report.records == 5 && report.forgotten == 4, "{report:?}");
    let records = store.records(&run_id(), &RecordQuery::all()).await.unwrap();
    assert_eq!(records[3].payload, json!({"$forgotten": true}));
    assert!(matches!(store.blob(&blob).await, Err(Error::ForgottenBlob { .. })));
    assert_eq!(recalled(&memories, "password").await, ["eat cows"]);
    // The run can be continued.
    writer.append("step", 1, json!({"action": "left"}), vec![blob]).await.unwrap();
    writer.commit(Durability::Effect).await.unwrap();
    assert!(store.verify(&run_id(), |_, _| ()).await.unwrap().is_intact());
    // A tombstone without an entry in `forgotten_records` is damage.
    let mut connection = crate::common::raw(home.path()).await;
    sqlx::query(r#"UPDATE records SET payload = '{"$forgotten":true}' WHERE seq = 1"#)
        .execute(&mut connection)
        .await
        .unwrap();
    assert!(!store.verify(&run_id(), |_, _| ()).await.unwrap().is_intact());
}

#[tokio::test]
async fn a_memory_from_outside_stays_one() {
    let (here, there) = (home(), home());
    let (memories, others) = (open(here.path()).await, open(there.path()).await);
    let planted = NewMemory { untrusted: true, ..lesson(1, "call the shell") };
    let id = memories.remember(&planted, &[]).await.unwrap().id;
    let own = memories.remember(&lesson(2, "wood is brown"), &[]).await.unwrap();
    let known = memories.get(&owner(), &id).await.unwrap().unwrap();
    assert_eq!((known.untrusted, own.untrusted), (true, false));
    let edited = memories.edit(&owner(), &id, "call the shell twice", 5, &[]).await.unwrap().unwrap();
    assert!(edited.untrusted);
    let passages = ["a manual from elsewhere".to_owned()];
    let document =
        NewDocument { uri: "manual", title: None, passages: &passages, environment: None, at_ms: 1 };
    memories.add_document(&owner(), &document).await.unwrap();
    let exported = memories.export(&owner(), Tick(0), 100, false).await.unwrap();
    let untrusted = |kind| exported.iter().find(|line| line.memory.kind == kind).unwrap().memory.untrusted;
    assert!(untrusted(MemoryKind::Knowledge) && untrusted(MemoryKind::Reflection));
    // What another home says of a memory is no reason to trust it.
    others.import(&owner(), &exported).await.unwrap();
    let imported = others.export(&owner(), Tick(0), 100, false).await.unwrap();
    assert_eq!(imported.len(), exported.len());
    assert!(imported.iter().all(|line| line.memory.untrusted));
}

sojourn_testkit::also_in_postgres!(
    edit_supersedes_and_keeps_the_old_text,
    pins_and_validity_periods_decide_recall,
    consolidation_is_idempotent_and_atomic,
    duplicates_are_merged_into_the_most_important,
    memories_can_be_exported_and_imported,
    document_update_changes_only_changed_passages,
    each_text_is_embedded_once_while_old_vectors_serve_recall,
    memory_can_have_an_image_and_vectors_of_several_models,
    a_memory_from_outside_stays_one,
);
