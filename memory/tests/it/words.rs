//! Words are found however they were written, also in stores of older programs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::toy::{lesson, open, owner, recalled};
use crate::common::{home, raw};
use sojourn_memory::{Memories, NewDocument};
use sqlx::Connection as _;

/// Texts in the spellings that documents have, and the words that people type.
const SPELLINGS: [(&str, &str); 7] = [
    ("The o\u{fb03}ce is closed", "office"),
    ("Ｆｕｌｌ　ｗｉｄｔｈ letters", "full width"),
    ("Le cafe\u{301} du coin", "café"),
    ("A co\u{ad}op\u{ad}er\u{ad}a\u{ad}tive cow", "cooperative"),
    ("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af} keys", "한글"),
    ("Half ｶﾀｶﾅ here", "カタカナ"),
    ("zero\u{200b}width spaces", "width zero"),
];

async fn assert_all_found(memories: &Memories) {
    for (text, question) in SPELLINGS {
        let best = recalled(memories, question).await;
        assert_eq!(best.first().map(String::as_str), Some(text), "{question}");
        // The full-text index has words between spaces only, which Japanese does without.
        if question == "カタカナ" {
            continue;
        }
        let found = memories.search(&owner(), question, 9).await.unwrap();
        assert_eq!(found.len(), 1, "{question}");
        assert_eq!(found[0].memory.text, text);
        assert!(found[0].snippet.contains('['), "{}", found[0].snippet);
    }
}

#[tokio::test]
async fn words_are_found_in_every_spelling() {
    let home = home();
    let memories = open(home.path()).await;
    for (place, (text, _)) in SPELLINGS.iter().enumerate() {
        memories.remember(&lesson(place as u64 + 1, text), &[]).await.unwrap();
    }
    assert_all_found(&memories).await;
    // The questions are folded too.
    assert_eq!(recalled(&memories, "ＯＦ\u{fb01}\u{ad}ce").await.len(), SPELLINGS.len());
    let found = memories.search(&owner(), "\u{ff4f}ffi\u{ad}ce", 9).await.unwrap();
    assert_eq!(found.len(), 1);
    let id = found[0].memory.id;
    memories.forget(&owner(), &id).await.unwrap().unwrap();
    assert!(memories.search(&owner(), "office", 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_store_of_an_older_version_is_indexed_again() {
    let home = home();
    let mut old = raw(home.path()).await;
    for migration in
        [include_str!("../../src/schema/sqlite/0001.sql"), include_str!("../../src/schema/sqlite/0002.sql")]
    {
        sqlx::raw_sql(migration).execute(&mut old).await.unwrap();
    }
    sqlx::raw_sql("PRAGMA application_id = 1399485038; PRAGMA user_version = 2")
        .execute(&mut old)
        .await
        .unwrap();
    for (place, (text, _)) in SPELLINGS.iter().enumerate() {
        let n = place as i64 + 1;
        sqlx::query(
            "INSERT INTO memories (id, tenant, kind, text, importance, event_time_ms, seq, ordinal, pinned, content_hash, made) \
             VALUES (?, ?, 'fact', ?, 1.0, 0, ?, 0, 0, ?, ?)",
        )
        .bind(vec![n as u8; 16])
        .bind(owner().as_str())
        .bind(text)
        .bind(n)
        .bind(vec![n as u8; 32])
        .bind(n)
        .execute(&mut old)
        .await
        .unwrap();
    }
    sqlx::query("UPDATE memory_clock SET tick = 99").execute(&mut old).await.unwrap();
    old.close().await.unwrap();
    assert_all_found(&open(home.path()).await).await;
    // The second start finds nothing to do, and the same words.
    assert_all_found(&open(home.path()).await).await;
}

#[tokio::test]
async fn a_document_keeps_its_passages_under_another_name() {
    let home = home();
    let memories = open(home.path()).await;
    let passages = ["one passage".to_owned()];
    let document = |uri| NewDocument { uri, title: None, passages: &passages, environment: None, at_ms: 1 };
    memories.add_document(&owner(), &document("a/../b")).await.unwrap();
    let id = memories.documents(&owner()).await.unwrap().len();
    assert!(memories.rename_document(&owner(), "a/../b", "b").await.unwrap());
    assert!(!memories.rename_document(&owner(), "a/../b", "b").await.unwrap());
    memories.add_document(&owner(), &document("c")).await.unwrap();
    assert!(!memories.rename_document(&owner(), "c", "b").await.unwrap(), "another document has that name");
    let kept = memories.add_document(&owner(), &document("b")).await.unwrap();
    assert_eq!((id, kept.kept, kept.added), (1, 1, 0));
}

sojourn_testkit::also_in_postgres!(
    words_are_found_in_every_spelling,
    a_document_keeps_its_passages_under_another_name,
);
