use crate::{Error, RunId, Store};
use sojourn_database::{On, Row, query};

/// Limit on the messages that are not delivered. Further ones are refused, so that a dead receiver does not fill the disk.
const MOST_OPEN: i64 = 1000;
/// Limit on the settled messages that are kept.
const MOST_SETTLED: i64 = 1000;

/// A message to people, for one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The run that it is about.
    pub run: RunId,
    /// The agent file whose settings say how it is delivered.
    pub agent: String,
    /// The channel: "webhook", "command", "desktop".
    pub channel: String,
    /// The event: "asked".
    pub event: String,
    /// The message as JSON, without secrets.
    pub body: String,
    /// When the event happened, in milliseconds since 1970.
    pub at_ms: i64,
}

/// A message that is to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number in this home. A receiver that gets a number twice can drop the second one.
    pub no: i64,
    /// The message.
    pub new: NewMessage,
    /// Attempts so far, without this one.
    pub attempts: u32,
}

fn message(row: &Row) -> Result<Message, Error> {
    Ok(Message {
        no: row.try_get("no")?,
        new: NewMessage {
            run: row.try_get::<&str, _>("run")?.parse()?,
            agent: row.try_get("agent")?,
            channel: row.try_get("channel")?,
            event: row.try_get("event")?,
            body: row.try_get("body")?,
            at_ms: row.try_get("at_ms")?,
        },
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
    })
}

/// As [`Store::post`].
pub(super) async fn insert<'e, 'c: 'e>(
    new: &'e NewMessage,
    on: impl Into<On<'e, 'c>>,
) -> Result<bool, Error> {
    let inserted = query(
        "INSERT INTO outbox (run, agent, channel, event, body, at_ms, next_ms) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6 \
         WHERE (SELECT count(*) FROM outbox WHERE ended_ms IS NULL) < ?7",
    )
    .bind(new.run.as_str())
    .bind(&new.agent)
    .bind(&new.channel)
    .bind(&new.event)
    .bind(&new.body)
    .bind(new.at_ms)
    .bind(MOST_OPEN)
    .execute(on)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

impl Store {
    /// Keeps a message until it is delivered. Returns false where too many wait already.
    pub async fn post(&self, new: &NewMessage) -> Result<bool, Error> {
        insert(new, &self.pool).await
    }

    /// Takes the next message that is due, for `hold_ms`: another process gets it only after that. With `agent`, only one
    /// of that agent file.
    pub async fn take_message(
        &self,
        agent: Option<&str>,
        now_ms: i64,
        hold_ms: i64,
    ) -> Result<Option<Message>, Error> {
        let row = query(
            "UPDATE outbox SET next_ms = ?2 + ?3 WHERE no = (SELECT no FROM outbox \
             WHERE ended_ms IS NULL AND next_ms <= ?2 AND (?1 IS NULL OR agent = ?1) ORDER BY no LIMIT 1) \
             AND next_ms <= ?2 RETURNING *",
        )
        .bind(agent)
        .bind(now_ms)
        .bind(hold_ms)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(message).transpose()
    }

    /// Notes that an attempt failed. The next one is due at `next_ms`; `None` gives the message up.
    pub async fn message_failed(
        &self,
        no: i64,
        failure: &str,
        next_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), Error> {
        query(
            "UPDATE outbox SET attempts = attempts + 1, failure = ?2, next_ms = coalesce(?3, next_ms), \
             ended_ms = CASE WHEN ?3 IS NULL THEN ?4 END WHERE no = ?1",
        )
        .bind(no)
        .bind(failure)
        .bind(next_ms)
        .bind(now_ms)
        .execute(&self.pool)
        .await?;
        if next_ms.is_none() { self.prune_messages().await } else { Ok(()) }
    }

    /// Notes that a message was delivered, and forgets old settled ones.
    pub async fn message_delivered(&self, no: i64, now_ms: i64) -> Result<(), Error> {
        query("UPDATE outbox SET attempts = attempts + 1, failure = NULL, ended_ms = ?2 WHERE no = ?1")
            .bind(no)
            .bind(now_ms)
            .execute(&self.pool)
            .await?;
        self.prune_messages().await
    }

    /// Deletes the oldest settled messages.
    async fn prune_messages(&self) -> Result<(), Error> {
        query(
            "DELETE FROM outbox WHERE ended_ms IS NOT NULL \
             AND no <= (SELECT max(no) FROM outbox) - ?1",
        )
        .bind(MOST_SETTLED)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Numbers of messages: those that wait, those that were delivered, and those that were given up. The last two count the
    /// kept ones.
    pub async fn message_counts(&self) -> Result<(u64, u64, u64), Error> {
        let row = query(
            "SELECT count(*) FILTER (WHERE ended_ms IS NULL), \
             count(*) FILTER (WHERE ended_ms IS NOT NULL AND failure IS NULL), \
             count(*) FILTER (WHERE ended_ms IS NOT NULL AND failure IS NOT NULL) FROM outbox",
        )
        .fetch_one(&self.pool)
        .await?;
        let count = |column: usize| Ok::<_, Error>(row.try_get::<i64, _>(column)? as u64);
        Ok((count(0)?, count(1)?, count(2)?))
    }
}
