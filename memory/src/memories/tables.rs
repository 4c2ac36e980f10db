//! Queries and decoding for the memory tables.

use super::corpus::{Entry, Row};
use super::vectors::{check_dimension, normalised};
use super::{Attachment, Embedding, Memory, MemoryId, MemoryKind, Point, Source, Tenant, Tick};
use crate::{BlobId, Error, EventSeq, Hash};
use sojourn_database::{Connection, query};
use sqlx::AssertSqlSafe;
use std::collections::HashMap;

/// The columns that [`decode`] reads.
pub(super) const COLUMNS: &str = "memories.id, memories.tenant, kind, memories.text, importance, event_time_ms, environment, run, seq, \
     expires_at_ms, valid_from_ms, valid_to_ms, superseded_by, pinned, memories.content_hash, helpful, harmful, made, \
     untrusted, blob, media_type, (SELECT uri FROM memory_documents d WHERE d.no = memories.document) AS uri, \
     (SELECT string_agg(s.run || '/' || s.seq, ' ' ORDER BY s.run, s.seq) FROM memory_sources s WHERE s.memory = memories.no) AS sources";

/// Advances the memory clock and returns the new tick.
pub(super) async fn tick(connection: &mut Connection<'_>) -> Result<Tick, Error> {
    let row = query("UPDATE memory_clock SET tick = tick + 1 RETURNING tick").fetch_one(connection).await?;
    Ok(Tick(row.try_get::<i64, _>(0)? as u64))
}

/// Deletes a memory and adds a tombstone, by which other processes remove it from their indexes.
pub(super) async fn delete(connection: &mut Connection<'_>, id: &MemoryId) -> Result<(), Error> {
    let tick = tick(connection).await?;
    query("DELETE FROM memories WHERE id = ?")
        .bind(id.as_bytes().as_slice())
        .execute(&mut *connection)
        .await?;
    query("INSERT INTO memory_tombstones VALUES (?, ?)")
        .bind(tick.0 as i64)
        .bind(id.as_bytes().as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn add_vectors(
    connection: &mut Connection<'_>,
    id: &MemoryId,
    vectors: &[Embedding],
) -> Result<(), Error> {
    for Embedding { model, vector } in vectors {
        let unit = normalised(vector)?;
        let row = query(
            "INSERT INTO memory_models (name, dimension) VALUES (?, ?) \
             ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING no, dimension",
        )
        .bind(model)
        .bind(unit.len() as i64)
        .fetch_one(&mut *connection)
        .await?;
        let (model_no, dimension): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        check_dimension(model, dimension as usize, &unit)?;
        if model.is_empty() || model.len() > 200 {
            return Err(Error::BadVector { what: "the name of the model must have 1 to 200 bytes" });
        }
        let bytes: Vec<u8> = unit.iter().flat_map(|x| x.to_le_bytes()).collect();
        let tick = tick(connection).await?;
        query(
            "INSERT INTO memory_vectors SELECT no, ?2, ?3, ?4 FROM memories WHERE id = ?1 \
             ON CONFLICT (memory, model) DO NOTHING",
        )
        .bind(id.as_bytes().as_slice())
        .bind(model_no)
        .bind(bytes)
        .bind(tick.0 as i64)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn find(
    connection: &mut Connection<'_>,
    tenant: &Tenant,
    id: &MemoryId,
) -> Result<Option<Memory>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM memories WHERE id = ? AND tenant = ?");
    let row = query(AssertSqlSafe(sql))
        .bind(id.as_bytes().as_slice())
        .bind(tenant.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(decode).transpose()
}

/// Reads the given memories of a tenant. Ids without a memory are ignored.
pub(super) async fn find_all(
    connection: &mut Connection<'_>,
    tenant: &Tenant,
    ids: &[MemoryId],
) -> Result<HashMap<MemoryId, Memory>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM json_each(?1) wanted CROSS JOIN memories WHERE memories.id = unhex(wanted.value) AND tenant = ?2"
    );
    let rows =
        query(AssertSqlSafe(sql)).bind(hex_list(ids)).bind(tenant.as_str()).fetch_all(connection).await?;
    rows.iter().map(|row| decode(row).map(|memory| (memory.id, memory))).collect()
}

/// Encodes ids as a JSON list of hexadecimal strings, for `json_each` and `unhex`.
pub(super) fn hex_list(ids: &[MemoryId]) -> String {
    let digits: Vec<String> = ids.iter().map(|id| hex::encode(id.as_bytes())).collect();
    serde_json::json!(digits).to_string()
}

pub(super) fn id(row: &sojourn_database::Row, column: usize) -> Result<MemoryId, Error> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map(MemoryId::from_bytes).map_err(|_| damaged("its id is not 16 bytes long"))
}

fn damaged(what: &str) -> Error {
    Error::Damaged { place: "a memory".to_owned(), what: what.to_owned() }
}

/// Decodes a row with the columns model name, id, tenant, made, vector and tick.
pub(super) fn point(row: &sojourn_database::Row) -> Result<(String, Point), Error> {
    let point = Point {
        id: id(row, 1)?,
        tenant: Tenant::new(row.try_get::<String, _>(2)?)?,
        made: Tick(row.try_get::<i64, _>(3)? as u64),
        tick: Tick(row.try_get::<i64, _>(5)? as u64),
        vector: vector(row.try_get(4)?)?,
    };
    Ok((row.try_get(0)?, point))
}

pub(super) fn vector(bytes: &[u8]) -> Result<Vec<f32>, Error> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(damaged("its vector is truncated"));
    }
    Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

/// The columns that [`corpus_row`] reads.
pub(super) const CORPUS: &str = "id, tenant, kind, text, importance, event_time_ms, environment, run, seq, expires_at_ms, \
     valid_from_ms, valid_to_ms, closed, pinned, content_hash, made";

/// Decodes a row with the columns [`CORPUS`].
pub(super) fn corpus_row(row: &sojourn_database::Row) -> Result<Row, Error> {
    let hash = Hash::try_from(row.try_get::<&[u8], _>("content_hash")?)?;
    let text = row.text("text")?;
    let closed: Option<i64> = row.try_get("closed")?;
    let valid_to: Option<i64> = row.try_get("valid_to_ms")?;
    let entry = Entry {
        importance: row.try_get::<f64, _>("importance")? as f32,
        event_time_ms: row.try_get("event_time_ms")?,
        seq: EventSeq(row.try_get::<i64, _>("seq")? as u64),
        expires_at_ms: row.try_get("expires_at_ms")?,
        valid_from_ms: row.try_get("valid_from_ms")?,
        closed: valid_to.zip(closed.map(|tick| Tick(tick as u64))),
        pinned: row.try_get("pinned")?,
        ..Entry::new(id(row, 0)?, kind(row)?, &hash, &text)
    };
    Ok(Row {
        tenant: Tenant::new(row.try_get::<String, _>("tenant")?)?,
        made: Tick(row.try_get::<i64, _>("made")? as u64),
        environment: row.try_get("environment")?,
        run: row.try_get("run")?,
        text,
        entry,
    })
}

fn kind(row: &sojourn_database::Row) -> Result<MemoryKind, Error> {
    MemoryKind::parse(row.try_get("kind")?).ok_or_else(|| damaged("its kind is unknown"))
}

pub(super) fn decode(row: &sojourn_database::Row) -> Result<Memory, Error> {
    let sources = sources(row.try_get("sources")?).ok_or_else(|| damaged("its sources are unreadable"))?;
    let run: Option<&str> = row.try_get("run")?;
    let hash = row.try_get::<&[u8], _>("content_hash")?;
    let superseded_by: Option<&[u8]> = row.try_get("superseded_by")?;
    Ok(Memory {
        id: id(row, 0)?,
        tenant: Tenant::new(row.try_get::<String, _>("tenant")?)?,
        kind: kind(row)?,
        text: row.text("text")?,
        importance: row.try_get::<f64, _>("importance")? as f32,
        event_time_ms: row.try_get("event_time_ms")?,
        environment: row.try_get("environment")?,
        run: run.map(str::parse).transpose()?,
        seq: EventSeq(row.try_get::<i64, _>("seq")? as u64),
        sources,
        expires_at_ms: row.try_get("expires_at_ms")?,
        valid_from_ms: row.try_get("valid_from_ms")?,
        valid_to_ms: row.try_get("valid_to_ms")?,
        superseded_by: superseded_by
            .map(|bytes| bytes.try_into().map(MemoryId::from_bytes))
            .transpose()
            .map_err(|_| damaged("its superseding memory has an invalid id"))?,
        document: row.try_get("uri")?,
        attachment: attachment(row)?,
        pinned: row.try_get("pinned")?,
        content_hash: hash.try_into().map_err(|_| damaged("its content hash is invalid"))?,
        helpful: row.try_get::<i64, _>("helpful")? as u32,
        harmful: row.try_get::<i64, _>("harmful")? as u32,
        made: Tick(row.try_get::<i64, _>("made")? as u64),
        untrusted: row.try_get("untrusted")?,
    })
}

/// Reads records as [`COLUMNS`] lists them: `RUN/SEQ RUN/SEQ`.
fn sources(listed: Option<&str>) -> Option<Vec<Source>> {
    let source = |one: &str| {
        let (run, seq) = one.split_once('/')?;
        Some(Source { run: run.parse().ok()?, seq: EventSeq(seq.parse().ok()?) })
    };
    listed.unwrap_or_default().split_whitespace().map(source).collect()
}

fn attachment(row: &sojourn_database::Row) -> Result<Option<Attachment>, Error> {
    let blob: Option<&[u8]> = row.try_get("blob")?;
    let media_type: Option<String> = row.try_get("media_type")?;
    let Some((blob, media_type)) = blob.zip(media_type) else { return Ok(None) };
    Ok(Some(Attachment { blob: BlobId(Hash::try_from(blob)?), media_type }))
}
