//! The outline of the golden run, whole and damaged.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::{Filter, Outline, flag};
use sojourn_core::RecordKind;
use sojourn_memory::{RunInfo, Store};
use sqlx::{Connection as _, SqliteConnection};
use std::fmt::Write as _;
use std::path::Path;
use tempfile::TempDir;

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sojourn/tests/fixtures/golden_v1.db.zst");
    let log = zstd::decode_all(std::fs::read(file).unwrap().as_slice()).unwrap();
    std::fs::write(home.path().join("sojourn.db"), log).unwrap();
    home
}

async fn golden(home: &TempDir) -> (Store, RunInfo) {
    let store = Store::open(home.path()).await.unwrap();
    let info = store.runs().await.unwrap().remove(0);
    (store, info)
}

#[tokio::test]
async fn records_are_grouped_by_episode_task_and_attempt() {
    let home = home();
    let (store, info) = golden(&home).await;
    let mut outline = Outline::default();
    while outline.read_on(&store, &info, 100).await.unwrap() {}
    assert_eq!(outline.len(), info.last_seq.0);
    let mut text = String::new();
    for group in outline.groups(1, 75, 0..=2) {
        let indent = "  ".repeat(group.level.into());
        let result = group.outcome.map(|outcome| format!(" [{outcome:?}]")).unwrap_or_default();
        let (first, last, title) = (group.first, group.last, &group.title);
        writeln!(text, "{indent}{first}–{last} {title}{result} → {}", group.end).unwrap();
    }
    insta::assert_snapshot!(text);
    // Groups of a level do not overlap, and each lies in the one above it.
    let groups = outline.groups(1, u64::MAX, 0..=2);
    for level in 0..=2 {
        let of_level: Vec<_> = groups.iter().filter(|group| group.level == level).collect();
        assert!(of_level.windows(2).all(|pair| pair[0].last < pair[1].first), "level {level}");
        assert!(of_level.iter().all(|group| group.first <= group.last && group.last <= outline.len()));
    }
    let inside = |inner: &super::Group| {
        groups
            .iter()
            .any(|outer| outer.level < inner.level && outer.first <= inner.first && inner.last <= outer.last)
    };
    assert!(groups.iter().filter(|group| group.level > 0).all(inside));
    assert_eq!(groups.iter().filter(|group| group.level == 0).count(), 23);
    let last = outline.series().last().unwrap();
    assert_eq!((last.steps, last.achievements, last.episodes, last.requests), (160, 1, 23, 85));
    assert_eq!(outline.firsts()[0].name, "collect_wood");
    assert_eq!(outline.admitted()[0].name, "collect_wood");
    let episode = outline.episode_at(60).unwrap();
    assert!((episode.first..=episode.last).contains(&60));
    assert_eq!(outline.kind(1), Some(RecordKind::Started));
}

#[tokio::test]
async fn a_damaged_record_hides_no_other() {
    let home = home();
    let url = format!("sqlite://{}", home.path().join("sojourn.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for statement in [
        "UPDATE records SET payload = '{\"broken' WHERE seq = 60",
        "UPDATE records SET kind = 'thought' WHERE seq = 62",
        "DELETE FROM records WHERE seq = 64",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let (store, info) = golden(&home).await;
    let mut outline = Outline::default();
    while outline.read_on(&store, &info, 1000).await.unwrap() {}
    assert_eq!(outline.len(), info.last_seq.0);
    let damaged: Vec<u64> = outline.matching(Filter::default().flags(flag::DAMAGED)).collect();
    // The record after a missing one cannot be read either, because it is chained to it.
    assert_eq!(damaged, [60, 62, 64, 65]);
    let (defects, count) = outline.damage();
    assert_eq!((defects.len(), count), (4, 4), "{defects:?}");
    assert_eq!(outline.firsts().len(), 1);
}
