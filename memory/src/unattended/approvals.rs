use super::words;
use crate::{Error, EventSeq, RunId, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sojourn_database::{Row, query};
use std::fmt;
use std::str::FromStr;

/// The name of a question: its number, and the beginning of the hash of the call that it shows. So an answer names the call, and
/// not only the place in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ApprovalId(String);

impl ApprovalId {
    fn of(no: i64, hash: &str) -> Self {
        Self(format!("a{no}-{}", hash.get(..6).unwrap_or(hash)))
    }

    /// The id as text: `a17-3fe2c1`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn number(&self) -> Option<i64> {
        self.0.strip_prefix('a')?.split_once('-')?.0.parse().ok()
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ApprovalId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let id = Self(text.to_owned());
        let is_short = text.len() <= 40;
        if is_short && id.number().is_some() {
            Ok(id)
        } else {
            Err(Error::NoSuchApproval { id: text.chars().take(80).collect() })
        }
    }
}

/// Who answers a question whose time is over.
pub const BY_TIMEOUT: &str = "the time-out";

words! {
    /// The state of a question.
    ApprovalState {
        /// There is no answer yet.
        Pending = "pending",
        /// The call may be made, once.
        Allowed = "allowed",
        /// The call may not be made.
        Denied = "denied",
    }
}

words! {
    /// The answer that a question gets when its time is over.
    OnTimeout {
        /// The call may not be made.
        Deny = "deny",
        /// The call may be made, unless it cannot be undone.
        Allow = "allow",
    }
}

/// A call as it is shown to the person who approves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedCall {
    /// The tool.
    pub tool: String,
    /// What the tool does, in its own words.
    pub description: String,
    /// The tool's declared effects.
    pub effects: Value,
    /// All arguments.
    pub args: Map<String, Value>,
}

/// A question that is about to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewApproval {
    /// The run that asks.
    pub run: RunId,
    /// The last record of the run before the question.
    pub seq: EventSeq,
    /// The hash of the call as it is shown, in hexadecimal.
    pub hash: String,
    /// The call with all its arguments, as `approvals show` prints it.
    pub call: AskedCall,
    /// Why a person is asked: the rule of the policy.
    pub reason: String,
    /// Now, in milliseconds since 1970.
    pub asked_ms: i64,
    /// When it is answered without a person; `None`: never.
    pub expires_ms: Option<i64>,
    /// The answer then.
    pub on_timeout: OnTimeout,
}

/// A question that was kept, with its answer if it has one.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingApproval {
    /// Its name.
    pub id: ApprovalId,
    /// The question, and how it is answered after its time-out.
    pub asked: NewApproval,
    /// Pending until the first answer; never changed after that.
    pub state: ApprovalState,
    /// When it was answered, in milliseconds since 1970.
    pub answered_ms: Option<i64>,
    /// Who answered: "a person", "the time-out".
    pub answered_by: Option<String>,
}

fn approval(row: &Row) -> Result<PendingApproval, Error> {
    let (no, hash): (i64, String) = (row.try_get("no")?, row.try_get("hash")?);
    let id = ApprovalId::of(no, &hash);
    let call = serde_json::from_str(row.try_get("call")?)
        .map_err(|error| Error::Damaged { place: format!("approval `{id}`"), what: error.to_string() })?;
    Ok(PendingApproval {
        id,
        asked: NewApproval {
            run: row.try_get::<&str, _>("run")?.parse()?,
            seq: EventSeq(row.try_get::<i64, _>("seq")? as u64),
            hash,
            call,
            reason: row.try_get("reason")?,
            asked_ms: row.try_get("asked_ms")?,
            expires_ms: row.try_get("expires_ms")?,
            on_timeout: OnTimeout::of(row.try_get("on_timeout")?)?,
        },
        state: ApprovalState::of(row.try_get("state")?)?,
        answered_ms: row.try_get("answered_ms")?,
        answered_by: row.try_get("answered_by")?,
    })
}

impl Store {
    /// Keeps a question, durably.
    pub async fn ask(&self, new: NewApproval) -> Result<PendingApproval, Error> {
        let call = serde_json::to_string(&new.call)
            .map_err(|error| Error::Damaged { place: "a call".to_owned(), what: error.to_string() })?;
        let inserted = query(
            "INSERT INTO approvals (run, seq, hash, call, reason, asked_ms, expires_ms, on_timeout, state) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending') RETURNING no",
        )
        .bind(new.run.as_str())
        .bind(new.seq.0 as i64)
        .bind(&new.hash)
        .bind(call)
        .bind(&new.reason)
        .bind(new.asked_ms)
        .bind(new.expires_ms)
        .bind(new.on_timeout.as_str())
        .fetch_one(&self.pool)
        .await?;
        Ok(PendingApproval {
            id: ApprovalId::of(inserted.try_get(0)?, &new.hash),
            asked: new,
            state: ApprovalState::Pending,
            answered_ms: None,
            answered_by: None,
        })
    }

    /// The questions about a call of a run, the oldest first.
    pub async fn approvals_of_call(&self, run: &RunId, hash: &str) -> Result<Vec<PendingApproval>, Error> {
        let rows = query("SELECT * FROM approvals WHERE run = ? AND hash = ? ORDER BY no")
            .bind(run.as_str())
            .bind(hash)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(approval).collect()
    }

    /// The latest `limit` questions of one run or of all, the newest first: those without an answer, or with `answered` all of
    /// them.
    pub async fn approvals(
        &self,
        run: Option<&RunId>,
        answered: bool,
        limit: u32,
    ) -> Result<Vec<PendingApproval>, Error> {
        self.approvals_page(run, answered, 0, limit).await
    }

    /// As [`approvals`](Self::approvals), without the newest `offset` of them.
    pub async fn approvals_page(
        &self,
        run: Option<&RunId>,
        answered: bool,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<PendingApproval>, Error> {
        let rows = query(
            "SELECT * FROM approvals WHERE (?1 IS NULL OR run = ?1) AND (?2 OR state = 'pending') \
             ORDER BY no DESC LIMIT ?3 OFFSET ?4",
        )
        .bind(run.map(RunId::as_str))
        .bind(answered)
        .bind(limit)
        .bind(i64::try_from(offset).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(approval).collect()
    }

    /// The number of questions of one run or of all: of those without an answer, or with `answered` of all.
    pub async fn count_approvals(&self, run: Option<&RunId>, answered: bool) -> Result<u64, Error> {
        let row = query(
            "SELECT count(*) FROM approvals WHERE (?1 IS NULL OR run = ?1) AND (?2 OR state = 'pending')",
        )
        .bind(run.map(RunId::as_str))
        .bind(answered)
        .fetch_one(&self.pool)
        .await?;
        Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
    }

    /// The questions without an answer whose time is over, the earliest first: `limit` at most.
    pub async fn expired_approvals(&self, now_ms: i64, limit: u32) -> Result<Vec<PendingApproval>, Error> {
        let rows = query(
            "SELECT * FROM approvals WHERE state = 'pending' AND expires_ms <= ? ORDER BY expires_ms, no LIMIT ?",
        )
        .bind(now_ms)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(approval).collect()
    }

    /// One question.
    ///
    /// # Errors
    /// [`Error::NoSuchApproval`], also where the number exists and the call is another.
    pub async fn approval(&self, id: &ApprovalId) -> Result<PendingApproval, Error> {
        let row = query("SELECT * FROM approvals WHERE no = ?")
            .bind(id.number())
            .fetch_optional(&self.pool)
            .await?;
        let found = row.as_ref().map(approval).transpose()?;
        found
            .filter(|found| found.id == *id)
            .ok_or_else(|| Error::NoSuchApproval { id: id.as_str().to_owned() })
    }

    /// Answers a question. Returns false where it was answered before: the first answer counts.
    ///
    /// # Errors
    /// [`Error::NoSuchApproval`].
    pub async fn answer_approval(
        &self,
        id: &ApprovalId,
        granted: bool,
        by: &str,
        now_ms: i64,
    ) -> Result<bool, Error> {
        self.approval(id).await?;
        let state = if granted { ApprovalState::Allowed } else { ApprovalState::Denied };
        let update = query(
            "UPDATE approvals SET state = ?2, answered_ms = ?3, answered_by = ?4 \
             WHERE no = ?1 AND state = 'pending'",
        )
        .bind(id.number())
        .bind(state.as_str())
        .bind(now_ms)
        .bind(by)
        .execute(&self.pool)
        .await?;
        Ok(update.rows_affected() == 1)
    }
}
