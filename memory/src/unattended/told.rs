//! How far the news of a run were told, so that a process that dies between a record and its message loses none: the process that
//! resumes the run sees the record again, and tells what was not told.

use super::NewMessage;
use super::outbox::insert;
use crate::{Error, EventSeq, RunId, Store};
use sojourn_database::{Access, query};
use std::collections::BTreeMap;

/// What became of the messages about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// They wait for their delivery.
    Kept,
    /// The record was told before, or its kind of event is not told in this run.
    Known,
    /// Too many messages wait already.
    Full,
}

impl Store {
    /// Begins to tell news of a run, of these kinds of events and no others. Returns for each the record up to which they were
    /// told before; of a kind that is told for the first time, that is the run's last record, so nothing old is told.
    pub async fn begin_telling(
        &self,
        run: &RunId,
        events: &[&str],
    ) -> Result<BTreeMap<String, EventSeq>, Error> {
        let mut transaction = self.pool.begin(Access::Append).await?;
        query("DELETE FROM told WHERE run = ?1 AND event NOT IN (SELECT value FROM json_each(?2))")
            .bind(run.as_str())
            .bind(serde_json::json!(events).to_string())
            .execute(&mut *transaction)
            .await?;
        for event in events {
            // Where the log has lost records since, what follows them is told again.
            query(
                "INSERT INTO told (run, event, seq) VALUES (?1, ?2, coalesce((SELECT last_seq FROM runs WHERE id = ?1), 0)) \
                 ON CONFLICT (run, event) DO UPDATE SET seq = excluded.seq WHERE excluded.seq < told.seq",
            )
            .bind(run.as_str())
            .bind(*event)
            .execute(&mut *transaction)
            .await?;
        }
        let rows = query("SELECT event, seq FROM told WHERE run = ?").bind(run.as_str());
        let rows = rows.fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        let told = |row: &sojourn_database::Row| {
            Ok((row.try_get("event")?, EventSeq(row.try_get::<i64, _>("seq")? as u64)))
        };
        rows.iter().map(told).collect()
    }

    /// Keeps the messages about an event of a run's record, unless that record was told before: both in one transaction.
    pub async fn post_of_record(
        &self,
        run: &RunId,
        (event, seq): (&str, EventSeq),
        messages: &[NewMessage],
    ) -> Result<Posted, Error> {
        let mut transaction = self.pool.begin(Access::Append).await?;
        let marked = query("UPDATE told SET seq = ?3 WHERE run = ?1 AND event = ?2 AND seq < ?3")
            .bind(run.as_str())
            .bind(event)
            .bind(seq.0 as i64)
            .execute(&mut *transaction)
            .await?;
        if marked.rows_affected() == 0 {
            return Ok(Posted::Known);
        }
        for message in messages {
            if !insert(message, &mut *transaction).await? {
                return Ok(Posted::Full);
            }
        }
        transaction.commit().await?;
        Ok(Posted::Kept)
    }
}
