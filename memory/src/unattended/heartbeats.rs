use crate::{Error, RunId, Store};
use serde_json::Value;
use sojourn_database::{Row, query};

/// What the process of a run reported last.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// The run.
    pub run: RunId,
    /// The id of the process.
    pub process: u32,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// A `Report` of `sojourn-service`, as JSON.
    pub report: Value,
}

impl Store {
    /// Replaces the report of a run.
    pub async fn beat(&self, beat: &Heartbeat) -> Result<(), Error> {
        query(
            "INSERT INTO heartbeats (run, process, at_ms, report) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (run) DO UPDATE SET process = ?2, at_ms = ?3, report = ?4",
        )
        .bind(beat.run.as_str())
        .bind(beat.process)
        .bind(beat.at_ms)
        .bind(beat.report.to_string())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets the report of a run that has ended.
    pub async fn end_beats(&self, run: &RunId) -> Result<(), Error> {
        query("DELETE FROM heartbeats WHERE run = ?").bind(run.as_str()).execute(&self.pool).await?;
        Ok(())
    }

    /// The latest reports of all runs, in the order of their ids. A run whose process died has one too, until it is resumed.
    pub async fn heartbeats(&self) -> Result<Vec<Heartbeat>, Error> {
        let rows = query("SELECT * FROM heartbeats ORDER BY run").fetch_all(&self.pool).await?;
        let read = |row: &Row| {
            Ok(Heartbeat {
                run: row.try_get::<&str, _>("run")?.parse()?,
                process: u32::try_from(row.try_get::<i64, _>("process")?).unwrap_or(0),
                at_ms: row.try_get("at_ms")?,
                report: serde_json::from_str(row.try_get("report")?).unwrap_or_default(),
            })
        };
        rows.iter().map(read).collect()
    }
}
