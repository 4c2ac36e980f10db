//! The library on disk: persistence, repair and rejection.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use crate::common::{admission, event, moves};
use proptest::prelude::*;
use sojourn_skills::{AppendOutcome, Library, LibraryError, LibraryEvent, LibraryState, RecordedEvent, Use};
use std::fs;
use std::path::Path;

/// Opens a library: in the folder, or in the database that stands for it.
async fn open(dir: &Path) -> Result<Library, LibraryError> {
    match sojourn_testkit::database_of(dir) {
        Some(url) => Library::connect(dir, &url.parse().unwrap()).await,
        None => Library::open(dir).await,
    }
}

async fn filled(dir: &Path) -> Library {
    let mut library = open(dir).await.unwrap();
    for (name, body) in [("collect_wood", "go_to(1);"), ("place_table", "collect_wood();")] {
        for event in admission(library.state(), name, body) {
            library.apply(&event, 7).await.unwrap();
        }
    }
    let id = library.state().active("collect_wood").unwrap().id().clone();
    let usage = Use { context: "day".into(), success: true, died: false, steps: 12, error: None };
    library.apply(&LibraryEvent::Used { id, usage }, 8).await.unwrap();
    library
}

#[tokio::test]
async fn a_reopened_library_has_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    let library = filled(dir.path()).await;
    let (state, rows) = (library.state().clone(), library.rows().await.unwrap());
    drop(library);

    let mut again = open(dir.path()).await.unwrap();
    assert_eq!(again.state(), &state);
    again.rebuild().await.unwrap();
    assert_eq!((again.state(), &again.rows().await.unwrap()), (&state, &rows));

    let events: Vec<_> = again.records().await.unwrap().into_iter().map(|record| record.event).collect();
    assert_eq!(LibraryState::replay(&events).as_ref(), Ok(&state));

    let wood = rows.iter().find(|row| row.name == "collect_wood").unwrap();
    assert_eq!((wood.status.as_str(), wood.active, wood.successes, wood.steps), ("admitted", true, 1, 12));
}

#[tokio::test]
async fn folders_contain_readable_files() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let folder = dir.path().join("skills/place_table/v1");
    let source = fs::read_to_string(folder.join("skill.js")).unwrap();
    assert_eq!(source, "function place_table() { collect_wood(); }");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["calls"], serde_json::json!(["collect_wood"]));
    assert!(folder.join("skill.wasm").exists());
}

#[tokio::test]
async fn missing_folders_are_written_on_opening() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()).await);
    let folder = dir.path().join("skills/collect_wood/v1");
    let before = fs::read(folder.join("manifest.json")).unwrap();
    fs::remove_dir_all(&folder).unwrap();

    Library::open_read_only(dir.path()).await.unwrap();
    assert!(!folder.exists(), "reading heals nothing");
    open(dir.path()).await.unwrap();
    assert_eq!(fs::read(folder.join("manifest.json")).unwrap(), before);
}

#[tokio::test]
async fn a_tampered_file_is_named() {
    for file in ["skill.js", "manifest.json", "skill.wasm"] {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path()).await);
        let path = dir.path().join("skills/collect_wood/v1").join(file);
        fs::write(&path, "changed").unwrap();
        for opened in [open(dir.path()).await, Library::open_read_only(dir.path()).await] {
            assert!(matches!(opened, Err(LibraryError::Tampered { path: named }) if named == path), "{file}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(open(dir.path()).await, Err(LibraryError::Tampered { .. })), "{file}");
    }
}

#[tokio::test]
async fn a_damaged_event_is_reported_with_its_number() {
    use sqlx::Connection;
    for (sql, expected) in [
        ("UPDATE events SET payload = replace(payload, 'go_to(1)', 'go_to(9)') WHERE seq = 1", 1),
        ("UPDATE events SET payload = '{}' WHERE seq = 3", 3),
        ("DELETE FROM events WHERE seq = 2", 3),
    ] {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path()).await);
        let url = format!("sqlite://{}", dir.path().join("library.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let opened = open(dir.path()).await;
        assert!(
            matches!(opened, Err(LibraryError::Corrupt { seq, .. }) if seq == expected),
            "{sql}: {opened:?}"
        );
    }
}

#[tokio::test]
async fn two_writers_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = open(dir.path()).await.unwrap();
    let mut two = open(dir.path()).await.unwrap();
    let [drafted, started, admitted] = admission(one.state(), "collect_wood", "go_to(1);");
    one.apply(&drafted, 1).await.unwrap();
    two.apply(&started, 2).await.unwrap();
    assert!(matches!(two.apply(&drafted, 3).await, Err(LibraryError::Illegal(_))));
    one.apply(&admitted, 4).await.unwrap();
    two.refresh().await.unwrap();
    assert_eq!(one.state(), two.state());
    assert!(two.state().active("collect_wood").is_some());
}

#[tokio::test]
async fn an_event_is_applied_once_per_source() {
    let dir = tempfile::tempdir().unwrap();
    let mut library = filled(dir.path()).await;
    let id = library.state().active("collect_wood").unwrap().id().clone();
    let usage = Use { context: "night".into(), success: true, died: false, steps: 1, error: None };
    let event = LibraryEvent::Used { id: id.clone(), usage };
    let mut applied = Vec::new();
    for source in ["run/1", "run/1", "run/2"] {
        applied.push(library.apply_once(&event, 9, source).await.unwrap());
    }
    assert_eq!(applied, [AppendOutcome::Whole, AppendOutcome::Known, AppendOutcome::Whole]);
    assert_eq!(library.state().entry(&id).unwrap().usage["night"].uses(), 2);
}

/// Two runs learn in one home with their own copies of the library, and write the same names.
#[tokio::test]
async fn two_runs_that_use_the_same_names_both_keep_their_skills() {
    let dir = tempfile::tempdir().unwrap();
    let mut library = open(dir.path()).await.unwrap();
    let learn = |skills: [(&str, &str); 2]| {
        let (mut own, mut events) = (LibraryState::default(), Vec::new());
        for (name, body) in skills {
            for event in admission(&own, name, body) {
                own.apply(&event).unwrap();
                events.push(event);
            }
        }
        events
    };
    let one = learn([("collect_wood", "go_to(1);"), ("place_table", "collect_wood();")]);
    let two = learn([("collect_wood", "go_to(2);"), ("place_table", "collect_wood(); go_to(3);")]);
    for (number, (one, two)) in one.iter().zip(&two).enumerate() {
        library.apply_once(one, 1, &format!("one/{number}")).await.unwrap();
        let applied = library.apply_once(two, 2, &format!("two/{number}")).await.unwrap();
        let drafted = matches!(two, LibraryEvent::Drafted { .. });
        assert_eq!(
            drafted,
            matches!(applied, AppendOutcome::Renumbered { version: 2 }),
            "{number}: {applied:?}"
        );
    }
    let state = library.state();
    let versions: Vec<_> = state.histories().map(|(name, history)| (name, history.versions.len())).collect();
    assert_eq!(versions, [("collect_wood", 2), ("place_table", 2)]);
    assert_eq!(state.active("collect_wood").unwrap().skill.manifest.version, 2);
    assert_eq!(state.active("place_table").unwrap().skill.manifest.version, 2);

    // Events from the same records are ignored; from other records they are set aside.
    let before = state.clone();
    for (number, event) in one.iter().enumerate() {
        let again = library.apply_once(event, 3, &format!("one/{number}")).await.unwrap();
        assert_eq!(again, AppendOutcome::Known);
        let elsewhere = library.apply_once(event, 3, &format!("three/{number}")).await.unwrap();
        assert!(matches!(elsewhere, AppendOutcome::SetAside(_)), "{number}: {elsewhere:?}");
    }
    assert_eq!(library.state(), &before);
    library.rebuild().await.unwrap();
    assert_eq!(library.state(), &before);
    let kept = library.records().await.unwrap();
    let third =
        |record: &&RecordedEvent| record.source.as_deref().is_some_and(|source| source.starts_with("three/"));
    let set_aside = kept.iter().filter(third).filter(|record| record.event.kind() == "set_aside");
    assert_eq!(set_aside.count(), one.len());
}

#[tokio::test]
async fn an_event_illegal_in_any_library_is_an_error_for_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut library = open(dir.path()).await.unwrap();
    let [LibraryEvent::Drafted { mut skill }, ..] = admission(library.state(), "collect_wood", "go_to(1);")
    else {
        unreachable!()
    };
    skill.source.push(' ');
    let refused = library.apply_once(&LibraryEvent::Drafted { skill }, 1, "run/1").await;
    assert!(matches!(refused, Err(LibraryError::Illegal(_))));
    assert_eq!(library.records().await.unwrap(), []);
}

#[tokio::test]
async fn events_of_a_person_are_kept_and_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let mut library = filled(dir.path()).await;
    let table = library.state().active("place_table").unwrap().id().clone();
    let retire = LibraryEvent::Retired { id: table.clone(), reason: "by hand".into() };
    // Events in one call are applied together or not at all.
    let impossible = [retire.clone(), LibraryEvent::TrialStarted { id: table.clone() }];
    let before = library.state().clone();
    assert!(matches!(library.apply_all(&impossible, 9).await, Err(LibraryError::Illegal(_))));
    assert_eq!(library.state(), &before);

    library.apply_all(&[retire, LibraryEvent::Unretired { id: table }], 9).await.unwrap();
    let state = library.state().clone();
    let sources: Vec<_> = library.records().await.unwrap().into_iter().filter_map(|r| r.source).collect();
    assert_eq!(sources.last().map(String::as_str), Some("user/9"));
    library.rebuild().await.unwrap();
    assert_eq!(library.state(), &state);
    drop(library);
    assert_eq!(open(dir.path()).await.unwrap().state(), &state);
}

#[tokio::test]
async fn a_reader_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Library::open_read_only(dir.path()).await;
    assert!(matches!(missing, Err(LibraryError::Missing { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    let written = filled(dir.path()).await;
    let mut reader = Library::open_read_only(dir.path()).await.unwrap();
    assert_eq!(reader.state(), written.state());
    let retire = LibraryEvent::Retired {
        id: reader.state().active("collect_wood").unwrap().id().clone(),
        reason: "test".into(),
    };
    assert!(matches!(reader.apply(&retire, 9).await, Err(LibraryError::ReadOnly)));
    assert!(matches!(reader.rebuild().await, Err(LibraryError::ReadOnly)));
}

#[tokio::test]
async fn a_newer_schema_is_rejected_unchanged() {
    use sqlx::Connection;
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()).await);
    let url = format!("sqlite://{}", dir.path().join("library.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let opened = open(dir.path()).await;
    assert!(matches!(opened, Err(LibraryError::TooNew { found: 99, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn the_index_follows_from_the_events(moves in moves()) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let mut library = open(dir.path()).await.unwrap();
            let mut state = LibraryState::default();
            for one in &moves {
                let Some(event) = event(&state, one) else { continue };
                let applied = library.apply(&event, 0).await;
                assert_eq!(applied.is_ok(), state.apply(&event).is_ok());
                assert_eq!(library.state(), &state);
            }
            let rows = library.rows().await.unwrap();
            library.rebuild().await.unwrap();
            assert_eq!(library.rows().await.unwrap(), rows);
            assert_eq!(library.state(), &state);
            assert_eq!(open(dir.path()).await.unwrap().state(), &state);
        });
    }
}

sojourn_testkit::also_in_postgres!(
    a_reopened_library_has_the_same_state,
    folders_contain_readable_files,
    two_writers_see_each_other,
    an_event_is_applied_once_per_source,
    two_runs_that_use_the_same_names_both_keep_their_skills,
    an_event_illegal_in_any_library_is_an_error_for_a_run,
    events_of_a_person_are_kept_and_rebuilt,
    the_index_follows_from_the_events,
);
