//! Faults that the chain of hashes shows, and those that only a head kept elsewhere shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::{home, raw, run_id};
use serde_json::json;
use sojourn_memory::{
    Error, EventSeq, FaultKind, Head, ImportError, NewRun, RetentionPolicy, RunStatus, Store,
};
use std::path::Path;

/// A run of `count` records.
async fn written(store: &Store, count: i64) -> Head {
    let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    for n in 0..count {
        writer.append("step", n, json!({"n": n}), vec![]).await.unwrap();
    }
    writer.close(RunStatus::Paused).await.unwrap();
    store.head(&run_id()).await.unwrap()
}

/// Cuts the records after `last` off and rewrites the head, as somebody with the database can.
async fn cut(home: &Path, last: i64) {
    let mut database = raw(home).await;
    for sql in [
        "DELETE FROM records WHERE seq > ?1",
        "UPDATE runs SET last_seq = ?1, head = (SELECT hash FROM records WHERE seq = ?1)",
    ] {
        sqlx::query(sql).bind(last).execute(&mut database).await.unwrap();
    }
}

#[tokio::test]
async fn records_cut_off_the_end_are_noticed_by_the_head_file() {
    let home = home();
    let store = Store::open(home.path()).await.unwrap();
    written(&store, 5).await;
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    assert_eq!((report.records, report.known_to), (5, Some(EventSeq(5))));
    cut(home.path(), 3).await;
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    let fault = report.first_fault.unwrap();
    assert_eq!((fault.kind, report.records), (FaultKind::Cut, 3));
    assert_eq!(fault.detail, "the run ends at record 3, but a head names record 5");
    // A resume would write over the evidence.
    assert!(matches!(store.resume_run(&run_id()).await, Err(Error::Cut { known: EventSeq(5), .. })));
}

#[tokio::test]
async fn a_head_kept_elsewhere_proves_the_end_and_every_record_before() {
    let home = home();
    let store = Store::open(home.path()).await.unwrap();
    let kept = written(&store, 5).await;
    std::fs::remove_dir_all(home.path().join("heads")).unwrap();
    cut(home.path(), 3).await;
    // Without any head the chain alone cannot show it, and the report says so.
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    assert!(report.is_intact() && report.known_to.is_none(), "{report:?}");
    let against = async || store.verify_against(&run_id(), std::slice::from_ref(&kept), |_, _| ()).await;
    assert_eq!(against().await.unwrap().first_fault.unwrap().kind, FaultKind::Cut);
    // The end is written anew, with a chain that is valid in itself.
    let mut writer = store.resume_run(&run_id()).await.unwrap();
    for n in 0..4 {
        writer.append("step", n, json!({"forged": n}), vec![]).await.unwrap();
    }
    writer.close(RunStatus::Paused).await.unwrap();
    assert!(store.verify(&run_id(), |_, _| ()).await.unwrap().is_intact());
    let fault = against().await.unwrap().first_fault.unwrap();
    assert_eq!((fault.seq, fault.kind), (EventSeq(5), FaultKind::Head));
    // A head of another run says nothing about this one.
    let other = Head { run: "other".parse().unwrap(), ..kept.clone() };
    assert!(store.verify_against(&run_id(), &[other], |_, _| ()).await.unwrap().is_intact());
}

#[tokio::test]
async fn records_made_into_tombstones_in_the_table_are_counted() {
    let home = home();
    let store = Store::open(home.path()).await.unwrap();
    written(&store, 5).await;
    let mut database = raw(home.path()).await;
    for sql in [
        r#"UPDATE records SET payload = '{"$forgotten":true}' WHERE seq IN (2, 5)"#,
        "INSERT INTO forgotten_records SELECT run, seq FROM records WHERE seq IN (2, 5)",
    ] {
        sqlx::query(sql).execute(&mut database).await.unwrap();
    }
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    assert!(report.is_intact());
    assert_eq!((report.records, report.forgotten), (5, 2));
}

#[tokio::test]
async fn a_run_that_vanished_from_the_database_is_named() {
    let home = home();
    let store = Store::open(home.path()).await.unwrap();
    written(&store, 2).await;
    assert!(store.vanished_runs().await.unwrap().is_empty());
    let mut database = raw(home.path()).await;
    for sql in ["DELETE FROM records", "DELETE FROM runs"] {
        sqlx::query(sql).execute(&mut database).await.unwrap();
    }
    assert_eq!(store.vanished_runs().await.unwrap(), [run_id()]);
}

#[tokio::test]
async fn a_damaged_head_file_costs_no_records() {
    let home = home();
    let store = Store::open(home.path()).await.unwrap();
    written(&store, 5).await;
    let file = home.path().join("heads").join(run_id().as_str());
    for content in [&b"{}"[..], b"x", b"\xff\xfe"] {
        std::fs::write(&file, content).unwrap();
        let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
        let fault = report.first_fault.unwrap();
        assert_eq!((fault.seq, fault.kind, report.records), (EventSeq(0), FaultKind::Head, 5));
        assert!(matches!(store.resume_run(&run_id()).await, Err(Error::Damaged { .. })));
    }
    // A power failure may leave zeros, which name no head.
    std::fs::write(&file, [0; 256]).unwrap();
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    assert!(report.is_intact() && report.known_to.is_none(), "{report:?}");
    drop(store.resume_run(&run_id()).await.unwrap());
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    assert_eq!(report.known_to, Some(EventSeq(5)));
}

/// The lines of the run's export.
async fn lines(store: &Store) -> Vec<String> {
    let mut lines = Vec::new();
    let mut export = store.export(&run_id(), None).await.unwrap();
    while let Some(line) = export.next().await.unwrap() {
        lines.push(serde_json::to_string(&line).unwrap());
    }
    lines
}

async fn import(store: &Store, lines: &[String]) -> Result<(), ImportError> {
    let mut import = store.import(sojourn_memory::ImportLimits::default()).unwrap();
    for line in lines {
        import.line(line).await?;
    }
    import.finish().await.map(drop)
}

#[tokio::test]
async fn an_import_does_not_replace_the_evidence_that_a_run_vanished() {
    let home = home();
    let store = Store::open(home.path()).await.unwrap();
    written(&store, 3).await;
    let short = lines(&store).await;
    let mut writer = store.resume_run(&run_id()).await.unwrap();
    writer.append("step", 9, json!({"n": 9}), vec![]).await.unwrap();
    writer.close(RunStatus::Paused).await.unwrap();
    let whole = lines(&store).await;
    let mut database = raw(home.path()).await;
    for sql in ["DELETE FROM records", "DELETE FROM runs"] {
        sqlx::query(sql).execute(&mut database).await.unwrap();
    }
    // Records of its own, but not all.
    let error = import(&store, &short).await.unwrap_err();
    assert!(matches!(error, ImportError::Store(Error::Cut { known: EventSeq(4), .. })), "{error}");
    // Other records under its id.
    let elsewhere = crate::common::home();
    let other = Store::open(elsewhere.path()).await.unwrap();
    written(&other, 6).await;
    let error = import(&store, &lines(&other).await).await.unwrap_err();
    assert!(matches!(error, ImportError::Store(Error::Damaged { .. })), "{error}");
    assert_eq!(store.vanished_runs().await.unwrap(), [run_id()]);
    // The run itself may come back.
    import(&store, &whole).await.unwrap();
    assert_eq!(store.vanished_runs().await.unwrap(), []);
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    assert!(report.is_intact() && report.known_to == Some(EventSeq(4)), "{report:?}");
}

#[tokio::test]
async fn a_run_that_was_collected_did_not_vanish() {
    let home = home();
    let store = Store::open(home.path()).await.unwrap();
    written(&store, 2).await;
    store.resume_run(&run_id()).await.unwrap().close(RunStatus::Finished).await.unwrap();
    let heads = home.path().join("heads");
    let file = heads.join(run_id().as_str());
    // The head file cannot be removed: the same state that a crash after the commit leaves.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let keep = RetentionPolicy { newest: Some(0), ..RetentionPolicy::default() };
    assert!(matches!(store.collect(&keep).await, Err(Error::Io { .. })));
    assert!(store.runs().await.unwrap().is_empty());
    std::fs::remove_dir(&file).unwrap();
    let head = format!(r#"{{"run":"{}","seq":1,"hash":"{}"}}"#, run_id(), "0".repeat(64));
    std::fs::write(&file, head).unwrap();
    assert_eq!(store.vanished_runs().await.unwrap(), []);
    store.collect(&keep).await.unwrap();
    assert!(!file.exists() && !home.path().join("collected_runs.json").exists());
}
