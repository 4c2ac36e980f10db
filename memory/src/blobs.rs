//! Content kept once under its hash.

use crate::{BlobId, Error, Store, compression};
use futures_util::TryStreamExt as _;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use std::collections::HashMap;

/// Blobs that are looked up by one query.
const CHECKED_AT_ONCE: usize = 256;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BlobStats {
    /// Different contents.
    pub count: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes it takes compressed.
    pub stored_bytes: u64,
}

impl Store {
    /// Keeps content for good, in a transaction of its own. A [`Writer`](crate::Writer) keeps it together with
    /// the record that refers to it.
    pub async fn put_blob(&self, content: &[u8]) -> Result<BlobId, Error> {
        let id = BlobId::of(content);
        insert(&mut *self.pool.acquire().await?, &id, content).await?;
        Ok(id)
    }

    /// The content at an address, checked against it.
    ///
    /// # Errors
    /// [`Error::UnknownBlob`], [`Error::ForgottenBlob`], [`Error::Damaged`].
    pub async fn blob(&self, id: &BlobId) -> Result<Vec<u8>, Error> {
        match read(&mut *self.pool.acquire().await?, id).await? {
            Some(StoredBlob::Intact(content)) => Ok(content),
            Some(StoredBlob::Damaged(what)) => Err(Error::Damaged { place: format!("blob `{id}`"), what }),
            None if is_forgotten(self, id).await? => Err(Error::ForgottenBlob { blob: *id }),
            None => Err(Error::UnknownBlob { blob: *id }),
        }
    }

    /// Whether there is content at an address.
    pub async fn has_blob(&self, id: &BlobId) -> Result<bool, Error> {
        let found = sqlx::query("SELECT 1 FROM blobs WHERE id = ?").bind(id.0.as_bytes().as_slice());
        Ok(found.fetch_optional(&self.pool).await?.is_some())
    }

    /// How many blobs there are and how large.
    pub async fn blob_stats(&self) -> Result<BlobStats, Error> {
        let row =
            sqlx::query("SELECT count(*), coalesce(sum(size), 0), coalesce(sum(length(body)), 0) FROM blobs")
                .fetch_one(&self.pool)
                .await?;
        let number = |column: usize| row.try_get::<i64, _>(column).map(|value| value as u64);
        Ok(BlobStats { count: number(0)?, bytes: number(1)?, stored_bytes: number(2)? })
    }
}

pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    id: &BlobId,
    content: &[u8],
) -> Result<(), Error> {
    let packed = compression::compress(content);
    sqlx::query("INSERT INTO blobs (id, size, packed, body) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING")
        .bind(id.0.as_bytes().as_slice())
        .bind(content.len() as i64)
        .bind(packed.is_some())
        .bind(packed.as_deref().unwrap_or(content))
        .execute(connection)
        .await?;
    Ok(())
}

/// A row of `blobs`, checked against its address.
enum StoredBlob {
    /// The decompressed content.
    Intact(Vec<u8>),
    /// The content cannot be read, or it has another hash. The text says which.
    Damaged(String),
}

/// The result of checking one blob.
#[derive(Debug)]
pub(crate) enum BlobCheck {
    /// The content matches its address.
    Intact {
        /// Length of the content, in bytes.
        bytes: u64,
    },
    /// The content cannot be read, or it has another hash. The text says which.
    Damaged(String),
}

impl From<StoredBlob> for BlobCheck {
    fn from(stored: StoredBlob) -> Self {
        match stored {
            StoredBlob::Intact(content) => Self::Intact { bytes: content.len() as u64 },
            StoredBlob::Damaged(what) => Self::Damaged(what),
        }
    }
}

/// `None` if the table has no such blob.
async fn read(connection: &mut SqliteConnection, id: &BlobId) -> Result<Option<StoredBlob>, Error> {
    let row = sqlx::query("SELECT size, packed, body FROM blobs WHERE id = ?")
        .bind(id.0.as_bytes().as_slice())
        .fetch_optional(connection)
        .await?;
    row.map(|row| content(&row, id)).transpose()
}

/// How many bytes each of the blobs has, or what is wrong with it; nothing for those that are gone.
pub(crate) async fn check(
    connection: &mut SqliteConnection,
    ids: &[BlobId],
    found: &mut HashMap<BlobId, BlobCheck>,
) -> Result<(), Error> {
    for ids in ids.chunks(CHECKED_AT_ONCE) {
        let listed: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let mut rows = sqlx::query(
            "SELECT size, packed, body, id FROM blobs WHERE id IN (SELECT unhex(value) FROM json_each(?))",
        )
        .bind(serde_json::json!(listed).to_string())
        .fetch(&mut *connection);
        loop {
            match rows.try_next().await.map_err(Error::from) {
                Ok(Some(row)) => {
                    let id = BlobId(row.try_get::<&[u8], _>(3)?.try_into()?);
                    found.insert(id, content(&row, &id)?.into());
                }
                Ok(None) => break,
                // The page of one of them is damaged: which one, is found out by asking for each.
                Err(Error::Damaged { .. }) => {
                    drop(rows);
                    check_each(connection, ids, found).await?;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

async fn check_each(
    connection: &mut SqliteConnection,
    ids: &[BlobId],
    found: &mut HashMap<BlobId, BlobCheck>,
) -> Result<(), Error> {
    for id in ids {
        let checked = match read(connection, id).await {
            Ok(None) => continue,
            Ok(Some(stored)) => stored.into(),
            Err(Error::Damaged { what, .. }) => BlobCheck::Damaged(what),
            Err(error) => return Err(error),
        };
        found.insert(*id, checked);
    }
    Ok(())
}

fn content(row: &SqliteRow, id: &BlobId) -> Result<StoredBlob, Error> {
    let (size, packed): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let body: &[u8] = row.try_get(2)?;
    let content = match packed {
        0 => Ok(body.to_owned()),
        1 => compression::decompress(body),
        _ => Err("the row is damaged"),
    };
    Ok(match content {
        Ok(content) if content.len() as i64 == size && BlobId::of(&content) == *id => {
            StoredBlob::Intact(content)
        }
        Ok(_) => StoredBlob::Damaged("the content does not match its hash".to_owned()),
        Err(what) => StoredBlob::Damaged(what.to_owned()),
    })
}

/// Whether its content was removed with a memory.
pub(crate) async fn is_forgotten(store: &Store, id: &BlobId) -> Result<bool, Error> {
    let found = sqlx::query("SELECT 1 FROM forgotten_blobs WHERE id = ?").bind(id.0.as_bytes().as_slice());
    Ok(found.fetch_optional(&store.pool).await?.is_some())
}
