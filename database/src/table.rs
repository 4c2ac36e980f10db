//! Whole tables, read and written row by row in the order of their keys: what a copy of a store into another engine is made of.

use crate::{Connection, Engine, Query, Row, Value, query};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Error};
use std::cmp::Ordering;

/// The beginning of a compressed payload (zstd), which distinguishes it from text where a column has both.
const COMPRESSED: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A table that has the same columns in both engines.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns; those of the key, by which rows are sorted, come first.
    pub columns: &'static [(&'static str, Kind)],
    /// Number of columns of the key.
    pub key: usize,
    /// Whether the engine numbers the rows, in the key.
    pub numbered: bool,
    /// Rows that are read at once.
    pub page: u32,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A 64-bit integer.
    Integer,
    /// A float.
    Real,
    /// A flag.
    Flag,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// JSON text, or the same compressed: see [`Stored`](crate::Stored).
    Stored,
}

/// A row as values, in the order of the columns.
pub type Values = Vec<Value<'static>>;

/// Two tables with the same columns, read side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The number of rows of each.
    pub rows: [u64; 2],
    /// The SHA-256 of the rows of each, in the order of their keys.
    pub sha256: [[u8; 32]; 2],
    /// The key of the first row that one of them lacks, or that differs, for people.
    pub first_difference: Option<String>,
}

impl Table {
    /// The number of rows.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn count(&self, connection: &mut Connection<'_>) -> Result<u64, Error> {
        let sql = format!("SELECT count(*) FROM {}", self.name);
        let row = query(AssertSqlSafe(sql)).fetch_one(connection).await?;
        Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
    }

    /// The last row's key.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn last_key(&self, connection: &mut Connection<'_>) -> Result<Option<Values>, Error> {
        let backwards: Vec<String> = self.key_names().map(|name| format!("{name} DESC")).collect();
        let sql = format!(
            "SELECT {} FROM {} ORDER BY {} LIMIT 1",
            self.key_names().collect::<Vec<_>>().join(", "),
            self.name,
            backwards.join(", ")
        );
        let row = query(AssertSqlSafe(sql)).fetch_optional(connection).await?;
        row.map(|row| values(&row, &self.columns[..self.key])).transpose()
    }

    /// The next rows after a key, or the first ones: none where there are no more.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn rows(
        &self,
        connection: &mut Connection<'_>,
        after: Option<&[Value<'static>]>,
    ) -> Result<Vec<Values>, Error> {
        let key = self.key_names().collect::<Vec<_>>().join(", ");
        let marks = vec!["?"; self.key].join(", ");
        let beyond = if after.is_some() { format!("WHERE ({key}) > ({marks})") } else { String::new() };
        let names = self.names().collect::<Vec<_>>().join(", ");
        let sql =
            format!("SELECT {names} FROM {} {beyond} ORDER BY {key} LIMIT {}", self.name, self.page.max(1));
        let query = after.unwrap_or_default().iter().cloned().fold(query(AssertSqlSafe(sql)), Query::value);
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(|row| values(row, self.columns)).collect()
    }

    /// The key of a row.
    pub fn key_of<'r>(&self, row: &'r [Value<'static>]) -> &'r [Value<'static>] {
        &row[..self.key]
    }

    /// Writes rows; one with the same key is replaced.
    ///
    /// # Errors
    /// The table cannot be written.
    pub async fn write(&self, connection: &mut Connection<'_>, rows: Vec<Values>) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = self.names().collect();
        let (columns, key) = (names.join(", "), names[..self.key].join(", "));
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let all = vec![row; rows.len()].join(", ");
        let changes: Vec<String> =
            names[self.key..].iter().map(|name| format!("{name} = excluded.{name}")).collect();
        let then = if changes.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {}", changes.join(", "))
        };
        let numbers = match connection.engine() {
            Engine::Postgres if self.numbered => " OVERRIDING SYSTEM VALUE",
            _ => "",
        };
        let sql = format!(
            "INSERT INTO {} ({columns}){numbers} VALUES {all} ON CONFLICT ({key}) DO {then}",
            self.name
        );
        let is_sqlite = connection.engine() == Engine::Sqlite;
        let values = rows.into_iter().flatten().zip(self.columns.iter().cycle());
        let query = values.fold(query(AssertSqlSafe(sql)), |query, (value, (_, kind))| {
            query.value(if is_sqlite && *kind == Kind::Stored { as_stored(value) } else { value })
        });
        query.execute(connection).await?;
        Ok(())
    }

    /// Deletes all rows.
    ///
    /// # Errors
    /// The table cannot be written.
    pub async fn clear(&self, connection: &mut Connection<'_>) -> Result<(), Error> {
        query(AssertSqlSafe(format!("DELETE FROM {}", self.name))).execute(connection).await?;
        Ok(())
    }

    /// Reads this table in two databases side by side. `each` gets the number of rows read from the first one, and stops the
    /// reading with false; the result is `None` then.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub async fn compare(
        &self,
        one: &mut Connection<'_>,
        other: &mut Connection<'_>,
        mut each: impl FnMut(u64) -> bool + Send,
    ) -> Result<Option<Compared>, Error> {
        let (mut one, mut other) = (Side::new(one), Side::new(other));
        let mut first_difference = None;
        loop {
            one.fill(self).await?;
            other.fill(self).await?;
            let differs = match (one.next.pop(), other.next.pop()) {
                (None, None) => break,
                (Some(a), Some(b)) => (a != b).then(|| self.smaller_key(&a, &b)),
                (Some(a), None) | (None, Some(a)) => Some(self.shown(&a)),
            };
            first_difference = first_difference.or(differs);
            if one.next.is_empty() && !each(one.rows) {
                return Ok(None);
            }
        }
        Ok(Some(Compared {
            rows: [one.rows, other.rows],
            sha256: [one.hash.finalize().into(), other.hash.finalize().into()],
            first_difference,
        }))
    }

    /// Of two rows that differ at the same place, the key that the other side may lack.
    fn smaller_key(&self, a: &[Value<'static>], b: &[Value<'static>]) -> String {
        let is_after = self.key_of(a).iter().zip(self.key_of(b)).find_map(|(a, b)| match order(a, b) {
            Ordering::Equal => None,
            order => Some(order == Ordering::Greater),
        });
        self.shown(if is_after == Some(true) { b } else { a })
    }

    /// The key of a row for people.
    fn shown(&self, row: &[Value<'static>]) -> String {
        let shown: Vec<String> = self.key_of(row).iter().map(show).collect();
        shown.join("/")
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.columns.iter().map(|(name, _)| format!("\"{name}\""))
    }

    fn key_names(&self) -> impl Iterator<Item = String> {
        self.names().take(self.key)
    }
}

/// One of two tables that are compared.
struct Side<'s, 'c> {
    connection: &'s mut Connection<'c>,
    /// Rows that were read and not compared, the next one last.
    next: Vec<Values>,
    /// The last key that was read.
    last: Option<Values>,
    ended: bool,
    rows: u64,
    hash: Sha256,
}

impl<'s, 'c> Side<'s, 'c> {
    fn new(connection: &'s mut Connection<'c>) -> Self {
        Self { connection, next: Vec::new(), last: None, ended: false, rows: 0, hash: Sha256::new() }
    }

    /// Reads on where nothing is left.
    async fn fill(&mut self, table: &Table) -> Result<(), Error> {
        if !self.next.is_empty() || self.ended {
            return Ok(());
        }
        let mut rows = table.rows(self.connection, self.last.as_deref()).await?;
        self.ended = rows.is_empty();
        self.rows += rows.len() as u64;
        for value in rows.iter().flatten() {
            hash(&mut self.hash, value);
        }
        if let Some(row) = rows.last() {
            self.last = Some(table.key_of(row).to_vec());
        }
        rows.reverse();
        self.next = rows;
        Ok(())
    }
}

/// The values of a row.
fn values(row: &Row, columns: &[(&str, Kind)]) -> Result<Values, Error> {
    let value = |(index, (_, kind)): (usize, &(&str, Kind))| {
        Ok(match kind {
            Kind::Integer => Value::Integer(row.try_get(index)?),
            Kind::Real => Value::Real(row.try_get(index)?),
            Kind::Flag => Value::Flag(row.try_get(index)?),
            Kind::Text => Value::Text(row.optional_text(index)?.map(Into::into)),
            Kind::Bytes | Kind::Stored => {
                Value::Bytes(row.try_get::<Option<Vec<u8>>, _>(index)?.map(Into::into))
            }
        })
    };
    columns.iter().enumerate().map(value).collect()
}

/// Bytes as `SQLite` has them in a column for text that may be compressed.
fn as_stored(value: Value<'static>) -> Value<'static> {
    match value {
        Value::Bytes(Some(bytes)) if !bytes.starts_with(&COMPRESSED) => {
            match String::from_utf8(bytes.into_owned()) {
                Ok(text) => Value::Stored(text.into()),
                Err(error) => Value::Bytes(Some(error.into_bytes().into())),
            }
        }
        value => value,
    }
}

/// Adds a value, so that no two sequences of values add the same bytes.
fn hash(hash: &mut Sha256, value: &Value<'_>) {
    let (tag, bytes): (u8, Option<Vec<u8>>) = match value {
        Value::Integer(value) => (1, value.map(|value| value.to_be_bytes().to_vec())),
        Value::Real(value) => (2, value.map(|value| value.to_be_bytes().to_vec())),
        Value::Flag(value) => (3, value.map(|value| vec![u8::from(value)])),
        Value::Text(value) => (4, value.as_ref().map(|text| text.as_bytes().to_vec())),
        Value::Bytes(value) => (5, value.as_ref().map(|bytes| bytes.to_vec())),
        Value::Stored(text) => (5, Some(text.as_bytes().to_vec())),
    };
    hash.update([tag, u8::from(bytes.is_some())]);
    if let Some(bytes) = bytes {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
}

fn order(a: &Value<'_>, b: &Value<'_>) -> Ordering {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

fn show(value: &Value<'_>) -> String {
    match value {
        Value::Integer(Some(number)) => number.to_string(),
        Value::Text(Some(text)) => text.chars().take(80).collect(),
        Value::Bytes(Some(bytes)) => hex::encode(&bytes[..bytes.len().min(8)]),
        _ => "?".to_owned(),
    }
}
