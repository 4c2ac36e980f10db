//! Export, import and garbage collection: an exported run imports bit for bit, and no invalid export is
//! accepted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::{home, open_store, payload, run_id, runtime};
use proptest::prelude::*;
use serde_json::{Value, json};
use sojourn_memory::{
    Error, EventSeq, ImportError, Memories, MemoryKind, NewMemory, NewRun, RecordQuery, RetentionPolicy,
    RunId, RunStatus, Store, Tenant,
};

/// Writes a run with shared and unique blobs, one of them not UTF-8.
async fn written(store: &Store, run: &RunId, count: u64) {
    let mut writer = store.create_run(NewRun::new(run.clone(), "crafter", "model")).await.unwrap();
    for n in 0..count {
        let shared = writer.put_blob(&"shared by all ".repeat(60).into_bytes()).await.unwrap();
        let own = writer.put_blob(&[0xff, n as u8, 0]).await.unwrap();
        let payload = json!({"n": n, "b": [1.0, 1e300, -0.1], "a": {"é\u{1}": null, "\"": "\\"}});
        writer.append("step", n as i64, payload, vec![shared, own]).await.unwrap();
    }
    writer.close(RunStatus::Finished).await.unwrap();
}

async fn exported(store: &Store, run: &RunId, to: Option<EventSeq>) -> Vec<String> {
    let mut exporter = store.export(run, to).await.unwrap();
    let mut lines = Vec::new();
    while let Some(line) = exporter.next().await.unwrap() {
        lines.push(serde_json::to_string(&line).unwrap());
    }
    lines
}

async fn imported(store: &Store, lines: &[String]) -> Result<RunId, ImportError> {
    let mut importer = store.import(sojourn_memory::ImportLimits::default())?;
    for line in lines {
        importer.line(line).await?;
    }
    importer.finish().await
}

/// A rejected import leaves nothing behind.
async fn is_empty(store: &Store) -> bool {
    store.runs().await.unwrap().is_empty() && store.blob_stats().await.unwrap().count == 0
}

#[tokio::test]
async fn exported_run_imports_unchanged() {
    let (here, there) = (home(), home());
    let (here, there) = (open_store(here.path()).await, open_store(there.path()).await);
    written(&here, &run_id(), 40).await;
    here.set_title(&run_id(), Some("the first")).await.unwrap();
    let lines = exported(&here, &run_id(), None).await;
    assert_eq!(imported(&there, &lines).await.unwrap(), run_id());
    let query = RecordQuery::all();
    assert_eq!(
        there.records(&run_id(), &query).await.unwrap(),
        here.records(&run_id(), &query).await.unwrap()
    );
    assert_eq!(there.run(run_id().as_str()).await.unwrap(), here.run(run_id().as_str()).await.unwrap());
    assert!(there.verify(&run_id(), |_, _| ()).await.unwrap().is_intact());
    assert_eq!(exported(&there, &run_id(), None).await, lines);
    let again = imported(&there, &lines).await;
    assert!(matches!(again, Err(ImportError::Store(Error::RunExists { .. }))));
}

#[tokio::test]
async fn partial_run_and_fork_can_be_exported() {
    let (here, there) = (home(), home());
    let (here, there) = (open_store(here.path()).await, open_store(there.path()).await);
    written(&here, &run_id(), 9).await;
    let fork: RunId = "fork".parse().unwrap();
    let new = NewRun::new(fork.clone(), "crafter", "model");
    drop(here.fork_run(&run_id(), EventSeq(4), new, json!({"seed": 3})).await.unwrap());
    for (run, to, records) in [(run_id(), Some(EventSeq(7)), 7), (fork, None, 5)] {
        imported(&there, &exported(&here, &run, to).await).await.unwrap();
        let info = there.run(run.as_str()).await.unwrap();
        assert_eq!((info.last_seq, info.status), (EventSeq(records), RunStatus::Paused));
        assert!(there.verify(&run, |_, _| ()).await.unwrap().is_intact(), "{run}");
    }
}

#[tokio::test]
async fn invalid_exports_are_rejected() {
    let home = home();
    let store = open_store(home.path()).await;
    written(&store, &run_id(), 3).await;
    let lines = exported(&store, &run_id(), None).await;
    let other = crate::common::home();
    let other = open_store(other.path()).await;
    let replaced = |at: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        assert!(lines[at].contains(from), "{}", lines[at]);
        lines[at] = lines[at].replace(from, to);
        lines
    };
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat();
    let record = lines.iter().position(|line| line.contains("\"record\"")).unwrap();
    let end = lines.len() - 1;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (what, lines) in [
        ("nothing", vec![]),
        ("no run line", without(0)),
        ("no end line", without(end)),
        ("a missing record", without(record)),
        ("a missing blob", without(1)),
        ("a duplicate record", [&lines[..=record], &lines[record..]].concat()),
        ("a line after the end line", [&lines[..], &lines[end..]].concat()),
        ("a second run", [&lines[..2], &lines[..1], &lines[2..]].concat()),
        ("another export version", replaced(0, "\"sojourn_log\":1", "\"sojourn_log\":2")),
        ("a run id with a path", replaced(0, run_id().as_str(), "../../etc/passwd")),
        ("another run's id", replaced(0, run_id().as_str(), "20990101-000000-0000")),
        ("another creation time", replaced(0, "\"created_ms\":0", "\"created_ms\":1")),
        ("an altered payload", replaced(record, "\"n\":0", "\"n\":7")),
        ("an altered blob", replaced(1, "shared", "spared")),
        ("a wrong record count", replaced(end, "\"records\":3", "\"records\":4")),
        ("an unknown field", replaced(record, "\"seq\"", "\"surprise\":1,\"seq\"")),
        ("a number out of range", replaced(record, "\"seq\":1", "\"seq\":99999999999999999999")),
        ("a negative number", replaced(record, "\"seq\":1", "\"seq\":-1")),
        ("a deep payload", replaced(record, "\"payload\":{", &format!("\"payload\":{{\"x\":{deep},"))),
        ("not JSON", vec!["once upon a time".to_owned()]),
    ] {
        let refused = imported(&other, &lines).await.expect_err(what);
        assert!(!refused.to_string().is_empty());
        assert!(is_empty(&other).await, "{what} left data behind");
    }
    // A rejected import does not block a valid one.
    imported(&other, &lines).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Changing any bytes of an export is detected, or does not change anything that a hash covers.
    #[test]
    fn altered_exports_never_import_altered_records(
        payloads in prop::collection::vec(payload(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        runtime().block_on(async {
            let (here, there) = (home(), home());
            let here = open_store(here.path()).await;
            let there = open_store(there.path()).await;
            let mut writer = here.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
            for payload in payloads {
                writer.append("step", 1, payload, vec![]).await.unwrap();
            }
            writer.close(RunStatus::Finished).await.unwrap();
            let mut bytes = exported(&here, &run_id(), None).await.join("\n").into_bytes();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if let Ok(run) = imported(&there, &lines).await {
                let records = there.records(&run, &RecordQuery::all()).await.unwrap();
                prop_assert_eq!(records, here.records(&run_id(), &RecordQuery::all()).await.unwrap());
                prop_assert!(there.verify(&run, |_, _| ()).await.unwrap().is_intact());
            } else {
                prop_assert!(is_empty(&there).await);
            }
            Ok(())
        })?;
    }

    #[test]
    fn arbitrary_lines_never_panic(lines in prop::collection::vec(any::<String>(), 0..5)) {
        runtime().block_on(async {
            let home = home();
            let store = open_store(home.path()).await;
            assert!(imported(&store, &lines).await.is_err());
            assert!(is_empty(&store).await);
        });
    }
}

#[tokio::test]
async fn only_unneeded_runs_and_blobs_are_collected() {
    let home = home();
    let store = open_store(home.path()).await;
    let run = |name: &str| name.parse::<RunId>().unwrap();
    for (name, created_ms) in [("old", 1), ("paused", 2), ("lesson", 3), ("new", 4)] {
        let new = NewRun { created_ms, ..NewRun::new(run(name), "crafter", "model") };
        let mut writer = store.create_run(new).await.unwrap();
        let blob = writer.put_blob(format!("blob of {name}").as_bytes()).await.unwrap();
        writer.append("step", created_ms, json!({}), vec![blob]).await.unwrap();
        let status = if name == "paused" { RunStatus::Paused } else { RunStatus::Finished };
        writer.close(status).await.unwrap();
    }
    let new = NewRun::new(run("fork"), "crafter", "model");
    let writer = store.fork_run(&run("old"), EventSeq(1), new, Value::Null).await.unwrap();
    writer.close(RunStatus::Paused).await.unwrap();
    let tenant = Tenant::new("somebody").unwrap();
    let lesson =
        NewMemory { run: Some(run("lesson")), ..NewMemory::new(tenant, MemoryKind::Reflection, "learned") };
    Memories::new(store.clone()).remember(&lesson, &[]).await.unwrap();
    let orphan = store.put_blob(b"nobody refers to this").await.unwrap();

    let everything = RetentionPolicy { newest: Some(0), ..RetentionPolicy::default() };
    let garbage = store.garbage(&everything).await.unwrap();
    assert_eq!(garbage.runs, [run("new"), run("old")]);
    assert_eq!(garbage.needed.keys().map(RunId::as_str).collect::<Vec<_>>(), ["fork", "lesson", "paused"]);
    assert!(
        store
            .garbage(&RetentionPolicy { newest: Some(9), since_ms: Some(9), ..RetentionPolicy::default() })
            .await
            .unwrap()
            .runs
            .is_empty()
    );
    assert_eq!(
        store
            .garbage(&RetentionPolicy { since_ms: Some(2), ..RetentionPolicy::default() })
            .await
            .unwrap()
            .runs,
        [run("old")]
    );

    // Without a limit, only the orphaned blob is removed.
    assert_eq!(store.collect(&RetentionPolicy::default()).await.unwrap().garbage.blobs, 1);
    assert!(!store.has_blob(&orphan).await.unwrap());
    // The fork keeps its copies after its parent was removed.
    store.collect(&everything).await.unwrap();
    let left: Vec<RunId> = store.runs().await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(left, [run("lesson"), run("paused"), run("fork")]);
    for run in &left {
        assert!(store.verify(run, |_, _| ()).await.unwrap().is_intact(), "{run}");
    }

    let writer = store.resume_run(&run("paused")).await.unwrap();
    assert!(matches!(store.collect(&everything).await, Err(Error::Collecting)));
    drop(writer);
    assert!(store.collect(&everything).await.is_ok());
}

#[tokio::test]
async fn forgotten_content_stays_forgotten_in_forks_and_imports() {
    let (here, there) = (home(), home());
    let (here, there) = (open_store(here.path()).await, open_store(there.path()).await);
    let secret = "the vault opens with seven turns to the left and one to the right";
    let mut writer = here.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    writer.append("step", 1, json!({"n": 1}), vec![]).await.unwrap();
    let blob = writer.put_blob(format!("once more: {secret}").as_bytes()).await.unwrap();
    writer.append("remember", 2, json!({"text": secret}), vec![blob]).await.unwrap();
    writer.append("step", 3, json!({"n": 3}), vec![]).await.unwrap();
    writer.close(RunStatus::Finished).await.unwrap();
    let tenant = Tenant::new("somebody").unwrap();
    let new = NewMemory {
        run: Some(run_id()),
        seq: EventSeq(2),
        ..NewMemory::new(tenant.clone(), MemoryKind::Reflection, secret)
    };
    let memories = Memories::new(here.clone());
    let memory = memories.remember(&new, &[]).await.unwrap();
    memories.forget(&tenant, &memory.id).await.unwrap().unwrap();

    let fork: RunId = "fork".parse().unwrap();
    let new = NewRun::new(fork.clone(), "crafter", "model");
    drop(here.fork_run(&run_id(), EventSeq(3), new, json!({})).await.unwrap());
    for run in [run_id(), fork] {
        let lines = exported(&here, &run, None).await;
        assert!(!lines.join("\n").contains("vault"));
        imported(&there, &lines).await.unwrap();
        assert_eq!(
            (here.is_imported(&run).await.unwrap(), there.is_imported(&run).await.unwrap()),
            (false, true)
        );
        for store in [&here, &there] {
            let report = store.verify(&run, |_, _| ()).await.unwrap();
            assert!(report.is_intact() && report.forgotten > 0, "{report:?}");
        }
    }
    let new = NewRun::new("fork-there".parse().unwrap(), "crafter", "model");
    drop(there.fork_run(&run_id(), EventSeq(3), new.clone(), json!({})).await.unwrap());
    assert!(there.is_imported(&new.id).await.unwrap(), "a fork of an imported run");
}

sojourn_testkit::also_in_postgres!(
    exported_run_imports_unchanged,
    partial_run_and_fork_can_be_exported,
    invalid_exports_are_rejected,
    only_unneeded_runs_and_blobs_are_collected,
    forgotten_content_stays_forgotten_in_forks_and_imports,
);
