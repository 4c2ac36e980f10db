//! Content-addressed blob store: each content is stored once, under its SHA-256.

use crate::{BlobId, Error, Store, compression};
use serde::Serialize;
use sojourn_database::{Connection, Row, query};
use std::collections::HashMap;

/// Number of blobs that one query checks.
const CHECKED_AT_ONCE: usize = 256;

/// Size of the blob store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BlobStats {
    /// Number of distinct blobs.
    pub count: u64,
    /// Size of their content, in bytes.
    pub bytes: u64,
    /// Size after compression, in bytes.
    pub stored_bytes: u64,
}

impl Store {
    /// Stores a blob in its own transaction. Use [`Writer::put_blob`](crate::Writer::put_blob) to store it
    /// together with the record that references it.
    pub async fn put_blob(&self, content: &[u8]) -> Result<BlobId, Error> {
        let id = BlobId::of(content);
        insert(&mut self.pool.acquire().await?, &id, content).await?;
        Ok(id)
    }

    /// Reads a blob and checks it against its address.
    ///
    /// # Errors
    /// [`Error::UnknownBlob`], [`Error::ForgottenBlob`], [`Error::Damaged`].
    pub async fn blob(&self, id: &BlobId) -> Result<Vec<u8>, Error> {
        // The connection returns to the pool before `is_forgotten` takes one.
        let stored = read(&mut self.pool.acquire().await?, id).await?;
        match stored {
            Some(StoredBlob::Intact(content)) => Ok(content),
            Some(StoredBlob::Damaged(what)) => Err(Error::Damaged { place: format!("blob `{id}`"), what }),
            None if is_forgotten(self, id).await? => Err(Error::ForgottenBlob { blob: *id }),
            None => Err(Error::UnknownBlob { blob: *id }),
        }
    }

    /// Whether a blob with this address is stored.
    pub async fn has_blob(&self, id: &BlobId) -> Result<bool, Error> {
        let found = query("SELECT 1 FROM blobs WHERE id = ?").bind(id.0.as_bytes().as_slice());
        Ok(found.fetch_optional(&self.pool).await?.is_some())
    }

    /// Counts and sizes of all blobs.
    pub async fn blob_stats(&self) -> Result<BlobStats, Error> {
        let row = query(
            "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT), \
             CAST(coalesce(sum(length(body)), 0) AS BIGINT) FROM blobs",
        )
        .fetch_one(&self.pool)
        .await?;
        let number = |column: usize| row.try_get::<i64, _>(column).map(|value| value as u64);
        Ok(BlobStats { count: number(0)?, bytes: number(1)?, stored_bytes: number(2)? })
    }
}

pub(crate) async fn insert(
    connection: &mut Connection<'_>,
    id: &BlobId,
    content: &[u8],
) -> Result<(), Error> {
    let packed = compression::compress(content);
    query("INSERT INTO blobs (id, size, packed, body) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING")
        .bind(id.0.as_bytes().as_slice())
        .bind(content.len() as i64)
        .bind(i64::from(packed.is_some()))
        .bind(packed.as_deref().unwrap_or(content))
        .execute(connection)
        .await?;
    Ok(())
}

/// A row of the table `blobs`, checked against its address.
enum StoredBlob {
    /// The decompressed content.
    Intact(Vec<u8>),
    /// The content is unreadable or does not match its address. The text says which.
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
    /// The content is unreadable or does not match its address. The text says which.
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
async fn read(connection: &mut Connection<'_>, id: &BlobId) -> Result<Option<StoredBlob>, Error> {
    let row = query("SELECT size, packed, body FROM blobs WHERE id = ?")
        .bind(id.0.as_bytes().as_slice())
        .fetch_optional(connection)
        .await?;
    row.map(|row| content(&row, id)).transpose()
}

/// Checks blobs and adds the results to `found`. Missing blobs get no entry.
pub(crate) async fn check(
    connection: &mut Connection<'_>,
    ids: &[BlobId],
    found: &mut HashMap<BlobId, BlobCheck>,
) -> Result<(), Error> {
    for ids in ids.chunks(CHECKED_AT_ONCE) {
        let listed: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let read = query(
            "SELECT size, packed, body, id FROM blobs WHERE id IN (SELECT unhex(value) FROM json_each(?))",
        )
        .bind(serde_json::json!(listed).to_string())
        .fetch_each(connection, |row| {
            let id = BlobId(row.try_get::<&[u8], _>(3)?.try_into()?);
            found.insert(id, content(&row, &id)?.into());
            Ok(())
        });
        match read.await {
            // A database page of one of these blobs is damaged; single queries find out which.
            Err(Error::Damaged { .. }) => check_each(connection, ids, found).await?,
            result => result?,
        }
    }
    Ok(())
}

async fn check_each(
    connection: &mut Connection<'_>,
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

fn content(row: &Row, id: &BlobId) -> Result<StoredBlob, Error> {
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

/// Whether the blob's content was deleted together with a memory.
pub(crate) async fn is_forgotten(store: &Store, id: &BlobId) -> Result<bool, Error> {
    let found = query("SELECT 1 FROM forgotten_blobs WHERE id = ?").bind(id.0.as_bytes().as_slice());
    Ok(found.fetch_optional(&store.pool).await?.is_some())
}
