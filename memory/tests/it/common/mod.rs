//! Helpers that the tests share.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used)]

pub mod toy;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use sojourn_memory::{Owner, RunId, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Row, SqliteConnection};
use std::path::Path;

pub fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

pub fn run_id() -> RunId {
    RunId::new(1_795_456_740_000, 0xab3f)
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Connects to the database without a [`Store`].
pub async fn raw(home: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(home.join("sojourn.db")).create_if_missing(true);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Flips bits of one byte in a column of some row where it is not empty. Returns the row number.
pub async fn flip_byte(home: &Path, table: &str, column: &str, row: Index, byte: Index, flip: u8) -> u64 {
    let mut connection = raw(home).await;
    let sql = format!(
        "SELECT rowid, CAST({column} AS BLOB), typeof({column}) FROM {table} WHERE length({column}) > 0 ORDER BY rowid"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
    let row = row.get(&rows);
    let (place, mut bytes, kind): (i64, Vec<u8>, String) = (row.get(0), row.get(1), row.get(2));
    let at = byte.index(bytes.len());
    bytes[at] ^= flip;
    let sql = format!("UPDATE {table} SET {column} = CAST(? AS {kind}) WHERE rowid = ?");
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(bytes).bind(place).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    place as u64
}

/// Any JSON value that an event can carry.
pub fn payload() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Opens the store of a home: of its own tables, or within [`in_postgres`](sojourn_testkit::in_postgres) of those of a database that
/// stands for it.
pub async fn open_store(home: &Path) -> Store {
    match sojourn_testkit::database_of(home) {
        Some(url) => Store::connect(home, &url.parse().unwrap(), Owner::alone()).await.unwrap(),
        None => Store::open(home).await.unwrap(),
    }
}
