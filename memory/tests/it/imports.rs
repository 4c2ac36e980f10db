//! Imports of exports that somebody else wrote: read whole and checked before the first lock.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::{home, open_store, run_id};
use serde_json::json;
use sojourn_memory::{Durability, ImportLimits, NewRun, Record, RunId, RunStatus, Store};

/// A run with one record at `at_ms`.
async fn written(store: &Store, new: NewRun, at_ms: i64) -> Record {
    let mut writer = store.create_run(new).await.unwrap();
    let blob = writer.put_blob(b"seen").await.unwrap();
    let record = writer.append("step", at_ms, json!({"n": 1}), vec![blob]).await.unwrap();
    writer.close(RunStatus::Finished).await.unwrap();
    record
}

async fn exported(store: &Store, run: &RunId) -> Vec<String> {
    let mut exporter = store.export(run, None).await.unwrap();
    let mut lines = Vec::new();
    while let Some(line) = exporter.next().await.unwrap() {
        lines.push(serde_json::to_string(&line).unwrap());
    }
    lines
}

#[tokio::test]
async fn an_import_that_waits_for_its_input_blocks_no_writer() {
    let (here, there) = (home(), home());
    let (here, there) = (open_store(here.path()).await, open_store(there.path()).await);
    written(&here, NewRun::new(run_id(), "crafter", "model"), 1).await;
    let lines = exported(&here, &run_id()).await;
    let mut importer = there.import(ImportLimits::default()).unwrap();
    for line in &lines[..lines.len() - 1] {
        importer.line(line).await.unwrap();
    }
    // An agent of the same home works on while the rest of the file does not come.
    let agent: RunId = "agent".parse().unwrap();
    let mut writer = there.create_run(NewRun::new(agent, "crafter", "model")).await.unwrap();
    writer.append("step", 1, json!({}), vec![]).await.unwrap();
    writer.commit(Durability::Effect).await.unwrap();
    importer.line(&lines[lines.len() - 1]).await.unwrap();
    importer.finish().await.unwrap();
    assert!(there.verify(&run_id(), |_, _| ()).await.unwrap().is_intact());
}

#[tokio::test]
async fn an_import_with_unusable_times_or_names_is_refused() {
    let place = home();
    let store = open_store(place.path()).await;
    for (what, created_ms, at_ms, environment) in [
        ("a time before 1970", 0, -1, "crafter"),
        ("the last time of all", 0, i64::MAX, "crafter"),
        ("the first time of all", i64::MIN, 1, "crafter"),
        ("a name that moves the cursor", 0, 1, "\u{1b}[2Jcrafter"),
        ("a name of two lines", 0, 1, "crafter\nfinished"),
    ] {
        let from = home();
        let from = open_store(from.path()).await;
        let new = NewRun { created_ms, ..NewRun::new(run_id(), environment, "model") };
        written(&from, new, at_ms).await;
        let mut importer = store.import(ImportLimits::default()).unwrap();
        let mut refused = false;
        for line in exported(&from, &run_id()).await {
            refused = refused || importer.line(&line).await.is_err();
        }
        assert!(refused, "{what} was accepted");
        assert!(store.runs().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_export_that_is_larger_than_the_limits_is_refused_and_leaves_nothing() {
    let (here, there) = (home(), home());
    let there_path = there.path().to_owned();
    let (here, there) = (open_store(here.path()).await, open_store(there.path()).await);
    written(&here, NewRun::new(run_id(), "crafter", "model"), 1).await;
    let lines = exported(&here, &run_id()).await;
    let bytes: u64 = lines.iter().map(|line| line.len() as u64 + 1).sum();
    let all = ImportLimits { bytes, lines: lines.len() as u64, blobs: 1 };
    let files = || std::fs::read_dir(&there_path).unwrap().count();
    let before = files();
    for (limits, said) in [
        (ImportLimits { bytes: bytes - 1, ..all }, format!("the export has more than {} bytes", bytes - 1)),
        (
            ImportLimits { lines: all.lines - 1, ..all },
            format!("line {}: the export has more than 3 lines", all.lines),
        ),
        (ImportLimits { blobs: 0, ..all }, "the export has more than 0 blobs".to_owned()),
    ] {
        let mut importer = there.import(limits).unwrap();
        let mut refused = None;
        for line in &lines {
            refused = refused.or(importer.line(line).await.err());
        }
        let error = refused.expect("it was accepted").to_string();
        assert!(error.contains(&said), "{error}");
        drop(importer);
        assert!(there.runs().await.unwrap().is_empty());
        assert_eq!(files(), before);
    }
    let mut importer = there.import(all).unwrap();
    for line in &lines {
        importer.line(line).await.unwrap();
    }
    importer.finish().await.unwrap();
}

/// Its hash is right, so only the count shows that nothing is proven of its content.
#[tokio::test]
async fn a_record_that_only_looks_forgotten_is_counted_as_one() {
    let (here, there) = (home(), home());
    let (here, there) = (open_store(here.path()).await, open_store(there.path()).await);
    let mut writer = here.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    writer.append("step", 1, json!({"$forgotten": true}), vec![]).await.unwrap();
    writer.close(RunStatus::Finished).await.unwrap();
    let mut importer = there.import(ImportLimits::default()).unwrap();
    for line in exported(&here, &run_id()).await {
        importer.line(&line).await.unwrap();
    }
    importer.finish().await.unwrap();
    for store in [here, there] {
        assert_eq!(store.verify(&run_id(), |_, _| ()).await.unwrap().forgotten, 1);
    }
}

#[tokio::test]
async fn a_home_with_a_path_too_long_for_the_database_is_refused() {
    let place = home();
    let deep = place.path().join("d".repeat(200)).join("d".repeat(200)).join("d".repeat(200));
    let error = Store::open(&deep).await.unwrap_err();
    assert!(error.to_string().contains("the database can only be opened below"), "{error}");
    assert!(!deep.exists());
}

sojourn_testkit::also_in_postgres!(
    an_import_that_waits_for_its_input_blocks_no_writer,
    an_import_with_unusable_times_or_names_is_refused,
    an_export_that_is_larger_than_the_limits_is_refused_and_leaves_nothing,
    a_record_that_only_looks_forgotten_is_counted_as_one,
);
