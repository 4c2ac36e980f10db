//! The memory tables, row by row.

use super::vectors::{check_dimension, normalised};
use super::{Embedding, Memory, MemoryId, MemoryKind, Point, Source, Tenant, Tick};
use crate::{Error, EventSeq};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

/// What [`decode`] reads.
pub(super) const COLUMNS: &str = "id, tenant, kind, text, importance, event_time_ms, environment, run, seq, expires_at_ms, \
     valid_to_ms, pinned, content_hash, helpful, harmful, made, closed, \
     (SELECT json_group_array(json_array(s.run, s.seq)) FROM memory_sources s WHERE s.memory = no) AS sources";

pub(super) async fn tick(connection: &mut SqliteConnection) -> Result<Tick, Error> {
    let row =
        sqlx::query("UPDATE memory_clock SET tick = tick + 1 RETURNING tick").fetch_one(connection).await?;
    Ok(Tick(row.try_get::<i64, _>(0)? as u64))
}

pub(super) async fn add_vectors(
    connection: &mut SqliteConnection,
    id: &MemoryId,
    vectors: &[Embedding],
) -> Result<(), Error> {
    for Embedding { model, vector } in vectors {
        let unit = normalised(vector)?;
        let row = sqlx::query(
            "INSERT INTO memory_models (name, dimension) VALUES (?, ?) \
             ON CONFLICT (name) DO UPDATE SET name = name RETURNING no, dimension",
        )
        .bind(model)
        .bind(unit.len() as i64)
        .fetch_one(&mut *connection)
        .await?;
        let (model_no, dimension): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        check_dimension(model, dimension as usize, &unit)?;
        let bytes: Vec<u8> = unit.iter().flat_map(|x| x.to_le_bytes()).collect();
        let tick = tick(connection).await?;
        sqlx::query(
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
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    id: &MemoryId,
) -> Result<Option<Memory>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM memories WHERE id = ? AND tenant = ?");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id.as_bytes().as_slice())
        .bind(tenant.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(decode).transpose()
}

pub(super) fn id(row: &SqliteRow, column: usize) -> Result<MemoryId, Error> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map(MemoryId::from_bytes).map_err(|_| damaged("its id is not 16 bytes"))
}

fn damaged(what: &str) -> Error {
    Error::Damaged { place: "a memory".to_owned(), what: what.to_owned() }
}

pub(super) fn point(row: &SqliteRow) -> Result<(String, Point), Error> {
    let bytes: &[u8] = row.try_get(4)?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(damaged("its vector is cut"));
    }
    let point = Point {
        id: id(row, 1)?,
        tenant: Tenant::new(row.try_get::<String, _>(2)?)?,
        made: Tick(row.try_get::<i64, _>(3)? as u64),
        vector: numbers.iter().map(|number| f32::from_le_bytes(*number)).collect(),
    };
    Ok((row.try_get(0)?, point))
}

pub(super) fn decode(row: &SqliteRow) -> Result<Memory, Error> {
    let sources: Vec<(crate::RunId, EventSeq)> =
        serde_json::from_str(row.try_get("sources")?).map_err(|_| damaged("its sources are unreadable"))?;
    let run: Option<&str> = row.try_get("run")?;
    let hash = row.try_get::<&[u8], _>("content_hash")?;
    Ok(Memory {
        id: id(row, 0)?,
        tenant: Tenant::new(row.try_get::<String, _>("tenant")?)?,
        kind: MemoryKind::parse(row.try_get("kind")?).ok_or_else(|| damaged("its kind is unknown"))?,
        text: row.try_get("text")?,
        importance: row.try_get::<f64, _>("importance")? as f32,
        event_time_ms: row.try_get("event_time_ms")?,
        environment: row.try_get("environment")?,
        run: run.map(str::parse).transpose()?,
        seq: EventSeq(row.try_get::<i64, _>("seq")? as u64),
        sources: sources.into_iter().map(|(run, seq)| Source { run, seq }).collect(),
        expires_at_ms: row.try_get("expires_at_ms")?,
        valid_to_ms: row.try_get("valid_to_ms")?,
        pinned: row.try_get("pinned")?,
        content_hash: hash.try_into().map_err(|_| damaged("its content hash is no hash"))?,
        helpful: row.try_get::<i64, _>("helpful")? as u32,
        harmful: row.try_get::<i64, _>("harmful")? as u32,
        made: Tick(row.try_get::<i64, _>("made")? as u64),
    })
}
