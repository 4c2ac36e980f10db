//! Guarantees of the log: committed records persist in order, and damage is detected.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::{flip_byte, home, open_store, payload, raw, run_id, runtime};
use proptest::prelude::*;
use serde_json::json;
use sojourn_memory::{
    BlobId, Durability, Error, EventSeq, FORKED, FaultKind, ForkPoint, NewRun, RecordQuery, RunId, RunStatus,
    Store, Writer,
};
use sqlx::Connection;

#[derive(Debug, Clone)]
enum Action {
    Append { payload: serde_json::Value, blob: Option<Vec<u8>> },
    Commit,
    CommitGroup,
    Crash,
    Close,
}

fn action() -> impl Strategy<Value = Action> {
    let blob = prop::option::weighted(0.2, prop::collection::vec(any::<u8>(), 0..2000));
    prop_oneof![
        12 => (payload(), blob).prop_map(|(payload, blob)| Action::Append { payload, blob }),
        2 => Just(Action::Commit),
        2 => Just(Action::CommitGroup),
        1 => Just(Action::Crash),
        1 => Just(Action::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// After any sequence of operations, the log is a gapless, intact prefix of the appended records, and it
    /// holds all committed ones.
    #[test]
    fn log_is_always_a_prefix_of_appended_records(actions in prop::collection::vec(action(), 1..120)) {
        runtime().block_on(async {
            let home = home();
            let store = open_store(home.path()).await;
            let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
            let mut appended = Vec::new();
            let mut committed = 0;
            for action in actions {
                match action {
                    Action::Append { payload, blob } => {
                        let mut blobs = Vec::new();
                        if let Some(content) = blob {
                            blobs.push(writer.put_blob(&content).await.unwrap());
                        }
                        let at = appended.len() as i64;
                        appended.push(writer.append("step", at, payload, blobs).await.unwrap());
                    }
                    Action::Commit => {
                        writer.commit(Durability::Effect).await.unwrap();
                        committed = appended.len();
                    }
                    Action::CommitGroup => writer.commit(Durability::Group).await.unwrap(),
                    Action::Crash => {
                        drop(writer);
                        writer = reopened(&store, &mut appended, committed).await;
                        committed = appended.len();
                    }
                    Action::Close => {
                        writer.close(RunStatus::Paused).await.unwrap();
                        committed = appended.len();
                        writer = reopened(&store, &mut appended, committed).await;
                    }
                }
            }
            drop(writer);
            reopened(&store, &mut appended, committed).await;
        });
    }
}

/// Reopens the run, compares it with the appended records, and truncates these to it.
async fn reopened(store: &Store, appended: &mut Vec<sojourn_memory::Record>, committed: usize) -> Writer {
    let writer = store.resume_run(&run_id()).await.unwrap();
    let records = store.records(&run_id(), &RecordQuery::all()).await.unwrap();
    assert!(records.len() >= committed, "{} of {committed} committed records remain", records.len());
    assert_eq!(records, appended[..records.len()]);
    assert_eq!(writer.last_seq(), EventSeq(records.len() as u64));
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    assert_eq!((report.first_fault, report.records), (None, records.len() as u64));
    appended.truncate(records.len());
    writer
}

/// Writes a run of `count` records with a few blobs.
async fn written(store: &Store, count: usize) -> Vec<sojourn_memory::Record> {
    let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    let mut records = Vec::new();
    for n in 0..count {
        let mut blobs = Vec::new();
        if n % 3 == 0 {
            blobs.push(
                writer.put_blob(format!("frame {} ", n % 6).repeat(n * 20 + 1).as_bytes()).await.unwrap(),
            );
        }
        let payload = json!({"n": n, "x": 1e5 * n as f64, "text": "long ".repeat(n * 10), "é\u{ab}": null});
        records.push(writer.append(["step", "say"][n % 2], n as i64, payload, blobs).await.unwrap());
    }
    writer.close(RunStatus::Finished).await.unwrap();
    records
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn one_flipped_byte_is_detected(
        column in prop::sample::select(vec![
            ("records", "payload"), ("records", "hash"), ("records", "kind"), ("records", "blobs"),
            ("blobs", "body"), ("blobs", "id"), ("runs", "environment"), ("runs", "head"),
        ]),
        row in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        runtime().block_on(async {
            let home = home();
            let store = open_store(home.path()).await;
            written(&store, 20).await;
            let (table, column) = column;
            let place = flip_byte(home.path(), table, column, row, byte, flip).await;
            let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
            let fault = report.first_fault.unwrap_or_else(|| panic!("{table}.{column} {place} was not detected"));
            if table == "records" {
                prop_assert_eq!(fault.seq.0, place, "{:?}", fault);
            }
            if fault.kind != FaultKind::Head {
                prop_assert_eq!(report.records, fault.seq.0 - 1, "{:?}", fault);
            }
            Ok(())
        })?;
    }
}

/// Writes a copy of the tenth record at another place.
macro_rules! record_at {
    ($seq:literal) => {
        concat!(
            "INSERT INTO records (run, seq, v, at_ms, kind, payload, blobs, hash) SELECT run, ",
            $seq,
            ", v, at_ms, kind, payload, blobs, hash FROM records WHERE seq = 10"
        )
    };
}

#[tokio::test]
async fn missing_and_surplus_records_are_detected() {
    for (sql, expected) in [
        ("DELETE FROM records WHERE seq = 1", (1, FaultKind::Missing)),
        ("DELETE FROM records WHERE seq = 4", (4, FaultKind::Missing)),
        ("DELETE FROM records WHERE seq = 10", (10, FaultKind::Missing)),
        ("DELETE FROM records", (1, FaultKind::Missing)),
        ("DELETE FROM blobs", (1, FaultKind::BlobMissing)),
        ("UPDATE records SET seq = 99 WHERE seq = 3", (3, FaultKind::Missing)),
        ("UPDATE records SET v = 2 WHERE seq = 5", (5, FaultKind::Unreadable)),
        ("UPDATE records SET payload = '{\"n\": 5 }' WHERE seq = 6", (6, FaultKind::Altered)),
        ("UPDATE runs SET created_ms = 7", (1, FaultKind::Altered)),
        ("UPDATE runs SET last_seq = 9", (9, FaultKind::Head)),
        ("UPDATE runs SET last_seq = 11", (11, FaultKind::Missing)),
        (record_at!("11"), (11, FaultKind::Surplus)),
        (record_at!("99"), (11, FaultKind::Surplus)),
        (record_at!("0"), (11, FaultKind::Surplus)),
        (record_at!("-1"), (11, FaultKind::Surplus)),
    ] {
        let home = home();
        let store = open_store(home.path()).await;
        written(&store, 10).await;
        let mut connection = crate::common::raw(home.path()).await;
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let fault = store.verify(&run_id(), |_, _| ()).await.unwrap().first_fault.expect(sql);
        assert_eq!((fault.seq.0, fault.kind), expected, "{sql}: {fault:?}");
        if fault.kind == FaultKind::Surplus {
            let read = store.records(&run_id(), &RecordQuery::all()).await.unwrap();
            assert_eq!(
                read.iter().map(|record| record.seq.0).collect::<Vec<_>>(),
                (1..=10).collect::<Vec<_>>()
            );
        }
    }
}

#[tokio::test]
async fn queries_select_by_sequence_and_kind() {
    let home = home();
    let store = open_store(home.path()).await;
    let records = written(&store, 50).await;
    let places = async |query: RecordQuery| -> Vec<u64> {
        store.records(&run_id(), &query).await.unwrap().iter().map(|record| record.seq.0).collect()
    };
    assert_eq!(places(RecordQuery::from(EventSeq(48))).await, [48, 49, 50]);
    assert_eq!(places(RecordQuery::all().to(EventSeq(3))).await, [1, 2, 3]);
    assert_eq!(places(RecordQuery::all().kinds(["say"]).limit(2)).await, [2, 4]);
    assert_eq!(places(RecordQuery::from(EventSeq(u64::MAX))).await, [0; 0]);
    assert_eq!(places(RecordQuery::all().limit(0)).await, [0; 0]);

    let mut pages = store.record_pages(&run_id(), RecordQuery::all().kinds(["step"]), 7).await.unwrap();
    let mut paged = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        assert!(page.len() <= 7);
        paged.extend(page);
    }
    assert_eq!(paged, records.into_iter().filter(|record| record.kind == "step").collect::<Vec<_>>());
}

#[tokio::test]
async fn a_run_that_was_cut_off_before_its_first_record_is_started_again() {
    let home = home();
    let store = open_store(home.path()).await;
    let new = || NewRun::new(run_id(), "crafter", "model");
    drop(store.create_run(new()).await.unwrap());
    // Another row than the one whose head was noted.
    let other = NewRun::new(run_id(), "crafter", "another model");
    let mut writer = store.start_run(other).await.unwrap();
    assert!(
        matches!(store.start_run(new()).await, Err(Error::Locked { .. })),
        "another process may be about to write"
    );
    writer.append("step", 0, json!(1), vec![]).await.unwrap();
    writer.commit(Durability::Effect).await.unwrap();
    drop(writer);
    assert!(
        matches!(store.start_run(new()).await, Err(Error::RunExists { .. })),
        "nothing that happened is lost"
    );
    assert_eq!(store.runs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn run_has_at_most_one_writer() {
    let home = home();
    let store = open_store(home.path()).await;
    let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    assert!(store.is_live(&run_id()).await.unwrap());
    let other = open_store(home.path()).await;
    assert!(matches!(other.resume_run(&run_id()).await, Err(Error::Locked { .. })));
    assert!(matches!(other.create_run(NewRun::new(run_id(), "", "")).await, Err(Error::Locked { .. })));
    writer.append("step", 0, json!(1), vec![]).await.unwrap();
    drop(writer);
    assert!(!store.is_live(&run_id()).await.unwrap());
    assert!(matches!(other.create_run(NewRun::new(run_id(), "", "")).await, Err(Error::RunExists { .. })));
    let writer = other.resume_run(&run_id()).await.unwrap();
    assert_eq!(writer.last_seq(), EventSeq(0), "an uncommitted record was stored");
}

#[tokio::test]
async fn many_runs_can_be_written_concurrently() {
    let home = home();
    let store = open_store(home.path()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..4_u16 {
        let store = store.clone();
        tasks.spawn(async move {
            let id = sojourn_memory::RunId::new(0, n);
            let mut writer = store.create_run(NewRun::new(id.clone(), "crafter", "model")).await.unwrap();
            for i in 0..20 {
                let shared = writer.put_blob(b"the same for all").await.unwrap();
                writer.append("step", i, json!({"run": n, "i": i}), vec![shared]).await.unwrap();
                writer.commit(Durability::Effect).await.unwrap();
            }
            writer.close(RunStatus::Finished).await.unwrap();
            let report = store.verify(&id, |_, _| ()).await.unwrap();
            assert!(report.is_intact() && report.records == 20 && report.blobs == 1, "{report:?}");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(store.blob_stats().await.unwrap().count, 1);
}

#[tokio::test]
async fn invalid_input_is_rejected_without_effect() {
    let home = home();
    let store = open_store(home.path()).await;
    let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    let deep = (0..200).fold(json!(0), |inner, _| json!([inner]));
    assert!(matches!(writer.append("step", 0, deep, vec![]).await, Err(Error::TooDeep { .. })));
    let absent = BlobId::of(b"never put");
    let refused = writer.append("step", 0, json!(0), vec![absent]).await;
    assert!(matches!(refused, Err(Error::UnknownBlob { .. })));
    assert!(matches!(store.blob(&absent).await, Err(Error::UnknownBlob { .. })));
    let kept = store.put_blob(b"put by another").await.unwrap();
    let record = writer.append("", i64::MIN, json!(null), vec![kept, kept]).await.unwrap();
    assert_eq!(record.seq, EventSeq(1));
    writer.commit(Durability::Effect).await.unwrap();
    assert_eq!(store.records(&run_id(), &RecordQuery::all()).await.unwrap(), [record]);
    assert_eq!(store.blob(&kept).await.unwrap(), b"put by another");
}

#[tokio::test]
async fn runs_are_found_by_id_prefix() {
    let home = home();
    let store = open_store(home.path()).await;
    for id in ["20261123-175900-ab3f", "20261123-180000-0001", "alpha"] {
        let new =
            NewRun { created_ms: id.len() as i64, ..NewRun::new(id.parse().unwrap(), "crafter", "model") };
        store.create_run(new).await.unwrap();
    }
    let named = async |name: &str| store.run(name).await.map(|run| run.id.to_string());
    assert_eq!(named("alpha").await.unwrap(), "alpha");
    assert_eq!(named("20261123-17").await.unwrap(), "20261123-175900-ab3f");
    assert!(matches!(named("2026").await, Err(Error::AmbiguousRun { matches, .. }) if matches.len() == 2));
    let error = named("20261123-175901-ab3f").await.unwrap_err();
    assert_eq!(error.to_string(), "no run `20261123-175901-ab3f`; did you mean `20261123-175900-ab3f`?");
    for odd in ["", "%", "zzz", "a\0b", "' OR 1=1"] {
        assert!(matches!(named(odd).await, Err(Error::NoSuchRun { .. })), "{odd:?}");
    }
    let alpha = "alpha".parse().unwrap();
    store.set_title(&alpha, Some("the first")).await.unwrap();
    store.set_status(&alpha, RunStatus::Failed).await.unwrap();
    let info = store.run("alpha").await.unwrap();
    assert_eq!((info.title.as_deref(), info.status), (Some("the first"), RunStatus::Failed));
    assert_eq!(store.runs().await.unwrap().last().unwrap().id, alpha);
    let nobody = "alph".parse().unwrap();
    assert!(store.set_title(&nobody, None).await.is_err());
    assert!(store.resume_run(&nobody).await.is_err() && !store.is_live(&nobody).await.unwrap());
}

#[tokio::test]
async fn step_record_takes_at_most_600_bytes() {
    let home = home();
    let store = open_store(home.path()).await;
    let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    let size = |home: &std::path::Path| std::fs::metadata(home.join("sojourn.db")).unwrap().len();
    let empty = size(home.path());
    for n in 0..2000_i64 {
        let step = json!({
            "action": "move_left", "reward": n as f64 * 0.001, "state": {
                "health": 9 - n % 3, "food": 8, "drink": 7, "energy": n % 9, "position": [n % 64, n / 64],
                "inventory": {"wood": n % 10, "stone": n % 7, "wood_pickaxe": 1}, "daylight": 0.83,
                "facing": "grass", "nearby": ["tree", "water", "cow"],
            },
        });
        writer.append("step", n, step, vec![]).await.unwrap();
    }
    writer.close(RunStatus::Finished).await.unwrap();
    store.close().await;
    let each = (size(home.path()) - empty) / 2000;
    assert!(each <= 600, "{each} bytes");
}

#[tokio::test]
async fn fork_copies_a_prefix_and_continues_independently() {
    let home = home();
    let store = open_store(home.path()).await;
    let original = written(&store, 5).await;
    let (fork, at) = ("fork".parse::<RunId>().unwrap(), EventSeq(3));
    let new = || NewRun::new(fork.clone(), "crafter", "model");
    for seq in [0, 6] {
        let refused = store.fork_run(&run_id(), EventSeq(seq), new(), json!({})).await;
        assert!(matches!(refused, Err(Error::NoSuchRecord { last: EventSeq(5), .. })));
    }
    let mut writer = store.fork_run(&run_id(), at, new(), json!({"seed": 2})).await.unwrap();
    let head = store.records(&fork, &RecordQuery::from(at.next())).await.unwrap();
    assert_eq!(head[0].kind, FORKED);
    let point = ForkPoint { run: run_id(), seq: at, hash: original[2].hash };
    assert_eq!(head[0].payload, json!({"forked_from": point, "changes": {"seed": 2}}));
    writer.append("step", 9, json!("on its own"), original[1].blobs.clone()).await.unwrap();
    writer.close(RunStatus::Paused).await.unwrap();

    let records = store.records(&fork, &RecordQuery::all()).await.unwrap();
    assert_eq!(records.len(), 5);
    for (copy, original) in records.iter().zip(&original[..3]) {
        assert_eq!(
            (&copy.kind, copy.at_ms, &copy.payload),
            (&original.kind, original.at_ms, &original.payload)
        );
        assert_eq!(copy.blobs, original.blobs);
        assert_ne!(copy.hash, original.hash);
    }
    assert_eq!(store.run("fork").await.unwrap().parent, Some((run_id(), at)));
    assert!(store.verify(&fork, |_, _| ()).await.unwrap().is_intact());
    let again = store.fork_run(&run_id(), at, new(), json!({})).await;
    assert!(matches!(again, Err(Error::RunExists { .. })));
}

#[tokio::test]
async fn damaged_parent_cannot_be_forked() {
    let home = home();
    let store = open_store(home.path()).await;
    written(&store, 5).await;
    let mut raw = raw(home.path()).await;
    sqlx::query("UPDATE records SET at_ms = at_ms + 1 WHERE seq = 2").execute(&mut raw).await.unwrap();
    let new = |name: &str| NewRun::new(name.parse().unwrap(), "crafter", "model");
    let refused = store.fork_run(&run_id(), EventSeq(4), new("late"), json!({})).await;
    assert!(matches!(refused, Err(Error::Damaged { .. })));
    assert!(matches!(store.run("late").await, Err(Error::NoSuchRun { .. })));
    assert!(store.fork_run(&run_id(), EventSeq(1), new("early"), json!({})).await.is_ok());
}

#[tokio::test]
async fn foreign_databases_are_left_unchanged() {
    let newer = home();
    Store::open(newer.path()).await.unwrap().close().await;
    let mut connection = crate::common::raw(newer.path()).await;
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert!(matches!(Store::open(newer.path()).await, Err(Error::NewerSchema { found: 99, .. })));

    let foreign = home();
    let mut connection = crate::common::raw(foreign.path()).await;
    sqlx::raw_sql("CREATE TABLE theirs (x)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert!(matches!(Store::open(foreign.path()).await, Err(Error::NotAStore { .. })));

    let garbage = home();
    std::fs::write(
        garbage.path().join("sojourn.db"),
        "not a database, but long enough to be one".repeat(200),
    )
    .unwrap();
    assert!(matches!(Store::open(garbage.path()).await, Err(Error::Damaged { .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_home_is_its_user_s_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let new = place.path().join("homes/new");
    Store::open(&new).await.unwrap().close().await;
    assert_eq!(std::fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o700);
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_reads_a_home_in_a_directory_that_everybody_may_enter() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // As an earlier version left it.
    std::fs::create_dir(home.path().join("heads")).unwrap();
    let store = open_store(home.path()).await;
    let mut writer = store.create_run(NewRun::new("run-1".parse().unwrap(), "", "")).await.unwrap();
    writer.append("began", 1, json!("Maria lives at 12 Elm Street"), Vec::new()).await.unwrap();
    let names: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(names.iter().any(|entry| entry.file_name() == "sojourn.db-wal"), "{names:?}");
    for entry in names {
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is open to others: {mode:o}", entry.path().display());
    }
}

sojourn_testkit::also_in_postgres!(
    log_is_always_a_prefix_of_appended_records,
    queries_select_by_sequence_and_kind,
    a_run_that_was_cut_off_before_its_first_record_is_started_again,
    many_runs_can_be_written_concurrently,
    invalid_input_is_rejected_without_effect,
    runs_are_found_by_id_prefix,
    fork_copies_a_prefix_and_continues_independently,
);
