use super::corpus::{Corpus, Entry};
use super::tables::{COLUMNS, add_vectors, decode, find, id, point, tick};
use super::{
    Embedding, ExactVectors, Memory, MemoryId, MemoryKind, NewMemory, Point, Source, Space, Tenant, Tick,
    VectorStore, words,
};
use crate::{Error, Hash, Store};
use serde::Serialize;
use sqlx::Row;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::RwLock;

/// The longest text of a memory, in bytes. What is longer is a blob, and the memory says what it is about.
const LONGEST: usize = 64 << 10;

/// Episodic memory over a [`Store`]: the tables are the truth, the index in memory follows them.
#[derive(Clone)]
pub struct Memories {
    pub(super) store: Store,
    pub(super) index: Arc<dyn VectorStore>,
    pub(super) corpus: Arc<RwLock<Corpus>>,
}

/// What a memory that was recalled turned out to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credit {
    /// It helped.
    Helpful,
    /// It did harm.
    Harmful,
}

/// What was removed for good.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forgotten {
    /// The memory as it was.
    pub memory: Memory,
    /// Models whose vectors of it are gone too.
    pub models: Vec<String>,
}

/// A memory that has the words somebody searched for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// The memory.
    pub memory: Memory,
    /// The passage with the words, each between `[` and `]`.
    pub snippet: String,
}

/// How much is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryStats {
    /// How many memories of each kind.
    pub kinds: BTreeMap<MemoryKind, u64>,
    /// Vectors by model.
    pub vectors: Vec<Space>,
    /// The present moment.
    pub now: Tick,
}

impl Memories {
    /// With the embedded index.
    pub fn new(store: Store) -> Self {
        Self::with_index(store, Arc::new(ExactVectors::new()))
    }

    /// With an index of one's own, which is filled from the tables when it is first needed.
    pub fn with_index(store: Store, index: Arc<dyn VectorStore>) -> Self {
        Self { store, index, corpus: Arc::default() }
    }

    /// Remembers a text and its vectors. Remembering the same again changes nothing and is no error.
    ///
    /// # Errors
    /// [`Error::BadMemory`], [`Error::MemoryExists`], [`Error::BadVector`], [`Error::Dimension`]; in every
    /// case nothing was remembered.
    pub async fn remember(&self, new: &NewMemory, vectors: &[Embedding]) -> Result<Memory, Error> {
        check(new)?;
        let id = new.id();
        let content_hash = content_hash(&new.text);
        let mut transaction = self.store.pool.begin_with("BEGIN IMMEDIATE").await?;
        if let Some(known) = find(&mut transaction, &new.tenant, &id).await? {
            if known.content_hash != content_hash {
                return Err(Error::MemoryExists { id });
            }
            add_vectors(&mut transaction, &id, vectors).await?;
            transaction.commit().await?;
            return Ok(known);
        }
        let made = tick(&mut transaction).await?;
        sqlx::query(
            "INSERT INTO memories (id, tenant, kind, text, importance, event_time_ms, environment, run, seq, \
             ordinal, expires_at_ms, pinned, content_hash, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(id.as_bytes().as_slice())
        .bind(new.tenant.as_str())
        .bind(new.kind.as_str())
        .bind(&new.text)
        .bind(f64::from(new.importance))
        .bind(new.event_time_ms)
        .bind(&new.environment)
        .bind(new.run.as_ref().map(crate::RunId::as_str))
        .bind(new.seq.0 as i64)
        .bind(i64::from(new.ordinal))
        .bind(new.expires_at_ms)
        .bind(new.pinned)
        .bind(content_hash.as_bytes().as_slice())
        .bind(made.0 as i64)
        .execute(&mut *transaction)
        .await?;
        let own = new.run.clone().map(|run| Source { run, seq: new.seq });
        for source in own.iter().chain(&new.sources) {
            sqlx::query("INSERT OR IGNORE INTO memory_sources SELECT no, ?2, ?3 FROM memories WHERE id = ?1")
                .bind(id.as_bytes().as_slice())
                .bind(source.run.as_str())
                .bind(source.seq.0 as i64)
                .execute(&mut *transaction)
                .await?;
        }
        add_vectors(&mut transaction, &id, vectors).await?;
        let memory = find(&mut transaction, &new.tenant, &id).await?;
        transaction.commit().await?;
        memory.ok_or(Error::MemoryExists { id })
    }

    /// A memory by its id.
    pub async fn show(&self, tenant: &Tenant, id: &MemoryId) -> Result<Option<Memory>, Error> {
        find(&mut *self.store.pool.acquire().await?, tenant, id).await
    }

    /// A tenant's memories in the order they were made, at most `limit` of those made after `after`.
    pub async fn list(&self, tenant: &Tenant, after: Tick, limit: usize) -> Result<Vec<Memory>, Error> {
        let sql =
            format!("SELECT {COLUMNS} FROM memories WHERE tenant = ? AND made > ? ORDER BY made LIMIT ?");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(tenant.as_str())
            .bind(after.0 as i64)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.store.pool)
            .await?;
        rows.iter().map(decode).collect()
    }

    /// The memories that have all the words of a text, the best match first. Anything may be searched for:
    /// nothing in the text is an operator.
    pub async fn search(&self, tenant: &Tenant, text: &str, limit: usize) -> Result<Vec<Found>, Error> {
        let Some(query) = words::match_all(text) else { return Ok(Vec::new()) };
        let sql = format!(
            "SELECT {COLUMNS}, snippet(memory_words, 0, '[', ']', '…', 24) AS snippet FROM memory_words \
             JOIN memories ON no = memory_words.rowid WHERE memory_words MATCH ? AND tenant = ? \
             ORDER BY memory_words.rank, made LIMIT ?"
        );
        // The joined table has a column `text` of its own.
        let sql = sql.replacen("kind, text,", "kind, memories.text,", 1);
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(query)
            .bind(tenant.as_str())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.store.pool)
            .await?;
        rows.iter().map(|row| Ok(Found { memory: decode(row)?, snippet: row.try_get("snippet")? })).collect()
    }

    /// Says that a memory helped or did harm. Returns whether there is one.
    pub async fn credit(&self, tenant: &Tenant, id: &MemoryId, credit: Credit) -> Result<bool, Error> {
        let sql = match credit {
            Credit::Helpful => "UPDATE memories SET helpful = helpful + 1 WHERE id = ? AND tenant = ?",
            Credit::Harmful => "UPDATE memories SET harmful = harmful + 1 WHERE id = ? AND tenant = ?",
        };
        let update = sqlx::query(sql).bind(id.as_bytes().as_slice()).bind(tenant.as_str());
        Ok(update.execute(&self.store.pool).await?.rows_affected() > 0)
    }

    /// Says that a memory is no longer true from a time on: it stays, and is not recalled for later times.
    /// Returns whether there is one.
    pub async fn invalidate(&self, tenant: &Tenant, id: &MemoryId, valid_to_ms: i64) -> Result<bool, Error> {
        let mut transaction = self.store.pool.begin_with("BEGIN IMMEDIATE").await?;
        let closed = tick(&mut transaction).await?;
        let updated =
            sqlx::query("UPDATE memories SET valid_to_ms = ?, closed = ? WHERE id = ? AND tenant = ?")
                .bind(valid_to_ms)
                .bind(closed.0 as i64)
                .bind(id.as_bytes().as_slice())
                .bind(tenant.as_str())
                .execute(&mut *transaction)
                .await?;
        transaction.commit().await?;
        Ok(updated.rows_affected() > 0)
    }

    /// Removes a memory for good: its text, its words and its vectors are overwritten in the database and
    /// dropped from the index. The records of the log that it was made of stay. `None` if there is none.
    pub async fn forget(&self, tenant: &Tenant, id: &MemoryId) -> Result<Option<Forgotten>, Error> {
        let mut transaction = self.store.pool.begin_with("BEGIN IMMEDIATE").await?;
        let Some(memory) = find(&mut transaction, tenant, id).await? else { return Ok(None) };
        let models = sqlx::query(
            "SELECT m.name FROM memory_vectors v JOIN memory_models m ON m.no = v.model \
             JOIN memories ON memories.no = v.memory WHERE memories.id = ? ORDER BY m.name",
        )
        .bind(id.as_bytes().as_slice())
        .fetch_all(&mut *transaction)
        .await?;
        let models = models.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let tick = tick(&mut transaction).await?;
        sqlx::query("DELETE FROM memories WHERE id = ?")
            .bind(id.as_bytes().as_slice())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO memory_tombstones VALUES (?, ?)")
            .bind(tick.0 as i64)
            .bind(id.as_bytes().as_slice())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.index.remove(&[*id]).await?;
        // The write-ahead log still holds the text. A reader elsewhere can delay this; then the next
        // checkpoint does it.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.store.pool).await?;
        Ok(Some(Forgotten { memory, models }))
    }

    /// How much a tenant has, and what the index knows of all tenants.
    pub async fn stats(&self, tenant: &Tenant) -> Result<MemoryStats, Error> {
        self.sync().await?;
        let rows = sqlx::query("SELECT kind, count(*) FROM memories WHERE tenant = ? GROUP BY kind")
            .bind(tenant.as_str())
            .fetch_all(&self.store.pool)
            .await?;
        let mut kinds = BTreeMap::new();
        for row in rows {
            if let Some(kind) = MemoryKind::parse(row.try_get(0)?) {
                kinds.insert(kind, row.try_get::<i64, _>(1)? as u64);
            }
        }
        Ok(MemoryStats { kinds, vectors: self.index.spaces().await?, now: self.now().await? })
    }

    /// The present moment, to be logged with a recall and given as [`Query::as_of`](super::Query::as_of) when
    /// the recall is repeated.
    pub async fn now(&self) -> Result<Tick, Error> {
        let row = sqlx::query("SELECT tick FROM memory_clock").fetch_one(&self.store.pool).await?;
        Ok(Tick(row.try_get::<i64, _>(0)? as u64))
    }

    /// Brings what is in memory up to date with the tables, which other processes may have written too.
    pub(super) async fn sync(&self) -> Result<(), Error> {
        let mut corpus = self.corpus.write().await;
        let mut snapshot = self.store.pool.begin().await?;
        let now = sqlx::query("SELECT tick FROM memory_clock").fetch_one(&mut *snapshot).await?;
        let now = Tick(now.try_get::<i64, _>(0)? as u64);
        if now == corpus.tick {
            return Ok(());
        }
        let since = corpus.tick.0 as i64;
        let removed = sqlx::query("SELECT id FROM memory_tombstones WHERE tick > ?").bind(since);
        let removed = removed
            .fetch_all(&mut *snapshot)
            .await?
            .iter()
            .map(|row| id(row, 0))
            .collect::<Result<Vec<_>, _>>()?;
        let sql = format!("SELECT {COLUMNS} FROM memories WHERE made > ?1 OR closed > ?1 ORDER BY made");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(since).fetch_all(&mut *snapshot).await?;
        let vectors = sqlx::query(
            "SELECT m.name, memories.id, tenant, made, vector FROM memory_vectors v \
             JOIN memories ON memories.no = v.memory JOIN memory_models m ON m.no = v.model \
             WHERE v.tick > ? ORDER BY v.tick, v.memory, v.model",
        )
        .bind(since)
        .fetch_all(&mut *snapshot)
        .await?;
        snapshot.rollback().await?;

        let mut points: BTreeMap<String, Vec<Point>> = BTreeMap::new();
        for row in &vectors {
            let (model, point) = point(row)?;
            points.entry(model).or_default().push(point);
        }
        self.index.remove(&removed).await?;
        for (model, points) in points {
            self.index.upsert(&model, points).await?;
        }
        corpus.remove(&removed);
        for row in &rows {
            let memory = decode(row)?;
            let closed = row.try_get::<Option<i64>, _>("closed")?.map(|tick| Tick(tick as u64));
            let entry = Entry::new(&memory, memory.valid_to_ms.zip(closed));
            corpus.put(memory.tenant, entry, &memory.text);
        }
        corpus.tick = now;
        Ok(())
    }
}

impl std::fmt::Debug for Memories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memories").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Of a text without regard to case and spacing.
pub(super) fn content_hash(text: &str) -> Hash {
    let words: Vec<_> = text.split_whitespace().map(str::to_lowercase).collect();
    Hash::of(words.join(" ").as_bytes())
}

fn check(new: &NewMemory) -> Result<(), Error> {
    let bad = |what| Err(Error::BadMemory { what });
    if new.text.trim().is_empty() || new.text.len() > LONGEST {
        return bad("its text has 1 to 65536 bytes that are not all blank");
    }
    if !(1.0..=10.0).contains(&new.importance) {
        return bad("its importance is from 1 to 10");
    }
    Ok(())
}
