//! Synchronises the in-memory corpus and the vector index with the tables.
//!
//! The memory clock serves as the queue: every change has a tick, and an index lacks exactly the changes
//! after the last tick it has applied. A killed process, a deleted index and an unreachable server are
//! therefore handled alike.

use super::flat_vectors::cosine;
use super::store::Memories;
use super::tables::{CORPUS, corpus_row, hex_list, id, point, vector};
use super::vectors::{IndexProgress, IndexStage, check_dimension, normalised};
use super::{MemoryId, Point, ScoredMemory, Tenant, Tick, VectorQuery};
use crate::Error;
use sojourn_database::query;
use sqlx::AssertSqlSafe;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Number of rows read at once.
const PAGE: i64 = 2048;
/// First and longest delay before an unavailable index is tried again. The delay doubles.
const RETRY_DELAY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Progress and state of feeding the vector index.
#[derive(Debug, Default)]
pub(super) struct IndexFeed {
    /// Tick up to which the index has been fed; `None` before the first use.
    given: Option<Tick>,
    /// Why the index is unavailable, if it is.
    pub(super) failure: Option<String>,
    /// Time of the next attempt, and the present delay.
    pause: Option<(Instant, Duration)>,
}

impl IndexFeed {
    fn failed(&mut self, error: &Error) {
        let delay = self.pause.map_or(RETRY_DELAY.0, |(_, delay)| (delay * 2).min(RETRY_DELAY.1));
        self.pause = Some((Instant::now() + delay, delay));
        self.failure = Some(error.to_string());
    }

    fn recovered(&mut self) {
        self.pause = None;
        self.failure = None;
    }

    fn is_paused(&self) -> bool {
        self.pause.is_some_and(|(until, _)| Instant::now() < until)
    }
}

impl Memories {
    /// Updates corpus and index from the tables, which other processes may have changed.
    pub(super) async fn sync(&self) -> Result<(), Error> {
        let now = self.now().await?;
        if self.corpus.read().await.tick != now {
            self.refresh_corpus(now).await?;
        }
        self.feed_index(now).await
    }

    async fn refresh_corpus(&self, now: Tick) -> Result<(), Error> {
        let mut corpus = self.corpus.write().await;
        let since = corpus.tick;
        if since >= now {
            return Ok(());
        }
        corpus.remove(&self.removed(since).await?);
        let sql =
            format!("SELECT {CORPUS} FROM memories WHERE made > ?1 AND made <= ?2 ORDER BY made LIMIT ?3");
        let mut after = since;
        loop {
            let rows = query(AssertSqlSafe(sql.as_str()))
                .bind(after.0 as i64)
                .bind(now.0 as i64)
                .bind(PAGE)
                .fetch_all(&self.store.pool)
                .await?;
            for row in &rows {
                let row = corpus_row(row)?;
                after = row.made;
                corpus.put(row);
            }
            if (rows.len() as i64) < PAGE {
                break;
            }
        }
        if since > Tick(0) {
            let sql = format!("SELECT {CORPUS} FROM memories WHERE changed > ?1 AND made <= ?1");
            let changed = query(AssertSqlSafe(sql)).bind(since.0 as i64);
            for row in &changed.fetch_all(&self.store.pool).await? {
                corpus.put(corpus_row(row)?);
            }
        }
        corpus.tick = now;
        Ok(())
    }

    async fn removed(&self, since: Tick) -> Result<Vec<MemoryId>, Error> {
        let removed = query("SELECT id FROM memory_tombstones WHERE tick > ?").bind(since.0 as i64);
        removed.fetch_all(&self.store.pool).await?.iter().map(|row| id(row, 0)).collect()
    }

    /// Feeds missing vectors to the index. If it is unavailable, the failure is recorded and a retry
    /// scheduled.
    async fn feed_index(&self, now: Tick) -> Result<(), Error> {
        let mut feed = self.feed.lock().await;
        if feed.given == Some(now) && feed.failure.is_none() || feed.is_paused() {
            return Ok(());
        }
        match self.feed_from(&mut feed, now, &|_| ()).await {
            Err(error @ Error::IndexUnavailable { .. }) => feed.failed(&error),
            result => {
                result?;
                feed.recovered();
            }
        }
        Ok(())
    }

    async fn feed_from(
        &self,
        feed: &mut IndexFeed,
        now: Tick,
        progress: &(dyn Fn(IndexProgress) + Send + Sync),
    ) -> Result<(), Error> {
        let index = self.index().await?;
        let mut given = match feed.given {
            Some(given) => given,
            None => index.applied().await?,
        };
        if given > now {
            // The index is ahead of the tables: the database was restored from a backup.
            index.clear().await?;
            given = Tick(0);
        }
        index.remove(&self.removed(given).await?).await?;
        let of = if given == Tick(0) { self.count_vectors().await? } else { 0 };
        let mut done = 0;
        loop {
            let rows = query(
                "SELECT m.name, memories.id, tenant, made, vector, v.tick FROM memory_vectors v \
                 JOIN memories ON memories.no = v.memory JOIN memory_models m ON m.no = v.model \
                 WHERE v.tick > ?1 AND v.tick <= ?2 ORDER BY v.tick LIMIT ?3",
            )
            .bind(given.0 as i64)
            .bind(now.0 as i64)
            .bind(PAGE)
            .fetch_all(&self.store.pool)
            .await?;
            let mut points: BTreeMap<String, Vec<Point>> = BTreeMap::new();
            for row in &rows {
                let (model, point) = point(row)?;
                given = point.tick;
                points.entry(model).or_default().push(point);
            }
            for (model, points) in points {
                index.upsert(&model, points).await?;
            }
            done += rows.len() as u64;
            if of > 0 {
                progress(IndexProgress { stage: IndexStage::Reading, done: done.min(of), of });
            }
            if (rows.len() as i64) < PAGE {
                break;
            }
            feed.given = Some(given);
        }
        index.advance(now).await?;
        feed.given = Some(now);
        Ok(())
    }

    async fn count_vectors(&self) -> Result<u64, Error> {
        let row = query("SELECT count(*) FROM memory_vectors").fetch_one(&self.store.pool).await?;
        Ok(row.try_get::<i64, _>(0)? as u64)
    }

    /// Rebuilds the index from the tables.
    ///
    /// # Errors
    /// [`Error::IndexUnavailable`]. The next recall tries again.
    pub async fn rebuild(&self, progress: &(dyn Fn(IndexProgress) + Send + Sync)) -> Result<(), Error> {
        let index = self.index().await?;
        {
            let mut feed = self.feed.lock().await;
            index.clear().await?;
            *feed = IndexFeed { given: Some(Tick(0)), ..IndexFeed::default() };
            let now = self.now().await?;
            self.feed_from(&mut feed, now, progress).await?;
        }
        index.flush(progress).await
    }

    /// Updates the index, finishes its background work and saves it.
    ///
    /// # Errors
    /// [`Error::IndexUnavailable`].
    pub async fn flush(&self, progress: &(dyn Fn(IndexProgress) + Send + Sync)) -> Result<(), Error> {
        self.sync().await?;
        self.index().await?.flush(progress).await
    }

    /// Searches the index; `None` while it is unavailable.
    pub(super) async fn search_index(
        &self,
        query: &VectorQuery<'_>,
    ) -> Result<Option<Vec<ScoredMemory>>, Error> {
        normalised(query.vector)?;
        if self.feed.lock().await.failure.is_some() {
            return Ok(None);
        }
        match self.index().await?.search(query).await {
            Err(error @ Error::IndexUnavailable { .. }) => {
                self.feed.lock().await.failed(&error);
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// Computes similarities with the index or, while it is unavailable, from the tables.
    pub(super) async fn similarities(
        &self,
        model: &str,
        tenant: &Tenant,
        vector: &[f32],
        ids: &[MemoryId],
    ) -> Result<Vec<Option<f32>>, Error> {
        let usable = self.feed.lock().await.failure.is_none();
        if usable {
            match self.index().await?.similarities(model, tenant, vector, ids).await {
                Err(error @ Error::IndexUnavailable { .. }) => self.feed.lock().await.failed(&error),
                other => return other,
            }
        }
        let unit = normalised(vector)?;
        let rows = query(
            "SELECT memories.id, v.vector FROM json_each(?1) wanted CROSS JOIN memories \
             JOIN memory_vectors v ON v.memory = memories.no JOIN memory_models m ON m.no = v.model \
             WHERE memories.id = unhex(wanted.value) AND m.name = ?2 AND tenant = ?3",
        )
        .bind(hex_list(ids))
        .bind(model)
        .bind(tenant.as_str())
        .fetch_all(&self.store.pool)
        .await?;
        let mut found = HashMap::new();
        for row in &rows {
            let other = self::vector(row.try_get(1)?)?;
            check_dimension(model, other.len(), &unit)?;
            found.insert(id(row, 0)?, cosine(&unit, &other));
        }
        Ok(ids.iter().map(|id| found.get(id).copied()).collect())
    }
}
