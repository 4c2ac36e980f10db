//! Model-based test: after any sequence of operations and any clock values, every run is a gapless, intact
//! prefix of its appended records and holds all committed ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::{home, payload, run_id, runtime};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use sojourn_memory::{
    BlobId, Durability, Error, EventSeq, FORKED, NewRun, Record, RecordQuery, RetentionPolicy, RunId,
    RunStatus, Store, Writer,
};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Action {
    Append {
        run: Index,
        at_ms: i64,
        payload: Value,
        blob: Option<Vec<u8>>,
    },
    Commit {
        run: Index,
    },
    /// Drops the writer without closing it.
    Crash {
        run: Index,
    },
    Close {
        run: Index,
        status: RunStatus,
    },
    Fork {
        run: Index,
        at: Index,
    },
    /// Another process tries to open the run for writing.
    Intrude {
        run: Index,
    },
    /// All writers are dropped, then garbage is collected.
    Collect,
    /// All processes end, and the store is opened again.
    Reopen,
}

fn action() -> impl Strategy<Value = Action> {
    let run = any::<Index>;
    let blob = prop::option::weighted(0.3, prop::collection::vec(0..4_u8, 0..900));
    let status = prop::sample::select(vec![RunStatus::Paused, RunStatus::Finished, RunStatus::Failed]);
    prop_oneof![
        16 => (run(), any::<i64>(), payload(), blob)
            .prop_map(|(run, at_ms, payload, blob)| Action::Append { run, at_ms, payload, blob }),
        4 => run().prop_map(|run| Action::Commit { run }),
        2 => run().prop_map(|run| Action::Crash { run }),
        2 => (run(), status).prop_map(|(run, status)| Action::Close { run, status }),
        2 => (run(), run()).prop_map(|(run, at)| Action::Fork { run, at }),
        1 => run().prop_map(|run| Action::Intrude { run }),
        1 => Just(Action::Collect),
        1 => Just(Action::Reopen),
    ]
}

/// The expected state of a run.
#[derive(Default)]
struct Model {
    appended: Vec<Record>,
    committed: usize,
    writer: Option<Writer>,
    /// Content of every blob that the records reference.
    blobs: BTreeMap<BlobId, Vec<u8>>,
}

struct World {
    home: tempfile::TempDir,
    store: Store,
    runs: BTreeMap<RunId, Model>,
}

impl World {
    async fn new() -> Self {
        let home = home();
        let store = Store::open(home.path()).await.unwrap();
        let writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
        let model = Model { writer: Some(writer), ..Model::default() };
        Self { home, store, runs: BTreeMap::from([(run_id(), model)]) }
    }

    fn pick(&self, run: Index) -> RunId {
        run.get(&self.runs.keys().collect::<Vec<_>>()).to_owned().clone()
    }

    /// Returns the open writer of a run, or resumes the run.
    async fn writer(&mut self, run: &RunId) -> &mut Model {
        let store = self.store.clone();
        let model = self.runs.get_mut(run).unwrap();
        if model.writer.is_none() {
            let writer = store.resume_run(run).await.unwrap();
            assert_eq!(writer.last_seq(), EventSeq(model.appended.len() as u64));
            model.writer = Some(writer);
        }
        model
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Append { run, at_ms, payload, blob } => {
                let run = self.pick(run);
                let model = self.writer(&run).await;
                let writer = model.writer.as_mut().unwrap();
                let mut blobs = Vec::new();
                if let Some(content) = blob {
                    let id = writer.put_blob(&content).await.unwrap();
                    model.blobs.insert(id, content);
                    blobs.push(id);
                }
                model.appended.push(writer.append("step", at_ms, payload, blobs).await.unwrap());
            }
            Action::Commit { run } => {
                let run = self.pick(run);
                let model = self.writer(&run).await;
                model.writer.as_mut().unwrap().commit(Durability::Effect).await.unwrap();
                model.committed = model.appended.len();
            }
            Action::Crash { run } => {
                let run = self.pick(run);
                self.runs.get_mut(&run).unwrap().writer = None;
                self.check(&run).await;
            }
            Action::Close { run, status } => {
                let run = self.pick(run);
                let model = self.writer(&run).await;
                model.writer.take().unwrap().close(status).await.unwrap();
                model.committed = model.appended.len();
                self.check(&run).await;
            }
            Action::Fork { run, at } => self.fork(run, at).await,
            Action::Intrude { run } => {
                let run = self.pick(run);
                self.writer(&run).await;
                assert!(matches!(self.store.resume_run(&run).await, Err(Error::Locked { .. })));
            }
            Action::Collect => {
                self.leave().await;
                self.store.put_blob(b"nobody refers to this").await.unwrap();
                self.store.collect(&RetentionPolicy::default()).await.unwrap();
                assert!(!self.store.has_blob(&BlobId::of(b"nobody refers to this")).await.unwrap());
                self.check_all().await;
            }
            Action::Reopen => {
                self.leave().await;
                self.store = Store::open(self.home.path()).await.unwrap();
                self.check_all().await;
            }
        }
    }

    async fn fork(&mut self, run: Index, at: Index) {
        let parent = self.pick(run);
        let committed = self.runs[&parent].committed;
        if committed == 0 || self.runs.len() > 5 {
            return;
        }
        let at = at.index(committed) + 1;
        let id: RunId = format!("fork-{}", self.runs.len()).parse().unwrap();
        let new = NewRun::new(id.clone(), "crafter", "model");
        let writer = self.store.fork_run(&parent, EventSeq(at as u64), new, json!({})).await.unwrap();
        let records = self.store.records(&id, &RecordQuery::all()).await.unwrap();
        assert_eq!(records.len(), at + 1);
        for (copy, original) in records[..at].iter().zip(&self.runs[&parent].appended) {
            assert_eq!(
                (&copy.payload, &copy.blobs, copy.at_ms),
                (&original.payload, &original.blobs, original.at_ms)
            );
        }
        assert_eq!(records[at].kind, FORKED);
        let blobs = self.runs[&parent].blobs.clone();
        let model = Model { committed: records.len(), appended: records, writer: Some(writer), blobs };
        self.runs.insert(id, model);
    }

    /// Drops all writers without a commit.
    async fn leave(&mut self) {
        let runs: Vec<RunId> = self.runs.keys().cloned().collect();
        for run in runs {
            self.runs.get_mut(&run).unwrap().writer = None;
            self.check(&run).await;
        }
    }

    async fn check_all(&mut self) {
        let runs: Vec<RunId> = self.runs.keys().cloned().collect();
        for run in runs {
            self.check(&run).await;
        }
    }

    /// Compares the stored run with the expected one. Truncates the expectation if the run has no writer.
    async fn check(&mut self, run: &RunId) {
        let model = self.runs.get_mut(run).unwrap();
        // A dropped writer's last group may still be committing; opening a writer waits for it.
        if model.writer.is_none() {
            drop(self.store.resume_run(run).await.unwrap());
        }
        let records = self.store.records(run, &RecordQuery::all()).await.unwrap();
        assert!(
            records.len() >= model.committed,
            "only {} of {} committed records remain",
            records.len(),
            model.committed
        );
        assert_eq!(records, model.appended[..records.len()]);
        for id in records.iter().flat_map(|record| &record.blobs) {
            assert_eq!(self.store.blob(id).await.unwrap(), model.blobs[id]);
        }
        let report = self.store.verify(run, |_, _| ()).await.unwrap();
        assert_eq!((report.first_fault, report.records), (None, records.len() as u64));
        if model.writer.is_none() {
            model.appended.truncate(records.len());
            model.committed = records.len();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_interleaving_keeps_the_guarantees(actions in prop::collection::vec(action(), 1..80)) {
        runtime().block_on(async {
            let mut world = World::new().await;
            for action in actions {
                world.act(action).await;
            }
            world.leave().await;
        });
    }
}
