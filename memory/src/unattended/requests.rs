use super::words;
use crate::{Error, RunId, Store};
use serde_json::Value;
use sojourn_database::{Row, query};

/// The largest number of requests of one run that wait. Further ones are refused.
const MOST_OPEN: i64 = 100;

words! {
    /// The kind of a request to a run.
    RequestKind {
        /// That it pauses after the step under way.
        Pause = "pause",
        /// That it takes up a goal.
        Goal = "goal",
    }
}

/// A request to a run that is about to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRequest {
    /// The run.
    pub run: RunId,
    /// The kind of request.
    pub what: RequestKind,
    /// The goal, as its reader writes it; null for a pause.
    pub body: Value,
    /// The person or program that asks: "a person in the studio".
    pub by: String,
    /// Now, in milliseconds since 1970.
    pub asked_ms: i64,
}

/// A request to a run, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRequest {
    /// Its number in this home.
    pub no: i64,
    /// The request.
    pub asked: NewRequest,
    /// What became of it, in words; `None` while it waits.
    pub outcome: Option<String>,
}

fn request(row: &Row) -> Result<RunRequest, Error> {
    let no = row.try_get("no")?;
    let body = serde_json::from_str(row.try_get("body")?)
        .map_err(|error| Error::Damaged { place: format!("request {no}"), what: error.to_string() })?;
    Ok(RunRequest {
        no,
        asked: NewRequest {
            run: row.try_get::<&str, _>("run")?.parse()?,
            what: RequestKind::of(row.try_get("what")?)?,
            body,
            by: row.try_get("asked_by")?,
            asked_ms: row.try_get("asked_ms")?,
        },
        outcome: row.try_get("outcome")?,
    })
}

impl Store {
    /// Keeps a request to a run until its process settles it, and returns its number; `None` where too many wait already.
    pub async fn request(&self, new: &NewRequest) -> Result<Option<i64>, Error> {
        let inserted = query(
            "INSERT INTO requests (run, what, body, asked_by, asked_ms) SELECT ?1, ?2, ?3, ?4, ?5 \
             WHERE (SELECT count(*) FROM requests WHERE run = ?1 AND outcome IS NULL) < ?6 RETURNING no",
        )
        .bind(new.run.as_str())
        .bind(new.what.as_str())
        .bind(new.body.to_string())
        .bind(&new.by)
        .bind(new.asked_ms)
        .bind(MOST_OPEN)
        .fetch_optional(&self.pool)
        .await?;
        Ok(inserted.map(|row| row.try_get("no")).transpose()?)
    }

    /// The requests to a run that wait, the oldest first.
    pub async fn open_requests(&self, run: &RunId, what: RequestKind) -> Result<Vec<RunRequest>, Error> {
        let rows = query("SELECT * FROM requests WHERE run = ? AND what = ? AND outcome IS NULL ORDER BY no")
            .bind(run.as_str())
            .bind(what.as_str())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(request).collect()
    }

    /// The latest `limit` requests to a run, the newest first.
    pub async fn requests(
        &self,
        run: &RunId,
        what: RequestKind,
        limit: u32,
    ) -> Result<Vec<RunRequest>, Error> {
        let rows = query("SELECT * FROM requests WHERE run = ? AND what = ? ORDER BY no DESC LIMIT ?")
            .bind(run.as_str())
            .bind(what.as_str())
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(request).collect()
    }

    /// Settles a request. `redact` takes secrets out of what is kept of it: whoever asked did not know those of the run. Returns
    /// false where it was settled before.
    pub async fn settle_request(
        &self,
        no: i64,
        outcome: &str,
        now_ms: i64,
        redact: impl Fn(&mut Value),
    ) -> Result<bool, Error> {
        let asked =
            query("SELECT body FROM requests WHERE no = ?").bind(no).fetch_optional(&self.pool).await?;
        let Some(asked) = asked else { return Ok(false) };
        let mut body: Value = serde_json::from_str(asked.try_get(0)?)
            .map_err(|error| Error::Damaged { place: format!("request {no}"), what: error.to_string() })?;
        redact(&mut body);
        let update = query(
            "UPDATE requests SET outcome = ?2, settled_ms = ?3, body = ?4 WHERE no = ?1 AND outcome IS NULL",
        )
        .bind(no)
        .bind(outcome)
        .bind(now_ms)
        .bind(body.to_string())
        .execute(&self.pool)
        .await?;
        Ok(update.rows_affected() == 1)
    }
}
