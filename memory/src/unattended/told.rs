//! For each run and kind of event, the latest record that was reported to people. If a process dies between a record and its message, the
//! process that resumes the run replays the record and reports it.

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
    /// The record was reported before, or the run has no subscription to its kind of event.
    Known,
    /// Too many messages wait already.
    Full,
}

impl Store {
    /// Subscribes to these kinds of events of a run, and to no others. Returns the latest reported record of each kind. For a new kind that
    /// is the run's last record, so earlier events are not reported.
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
            // If the log has lost records since, the records that follow are reported again.
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
