//! `PostgreSQL`: connections, locks and notifications.

use crate::{Access, Connection, Server};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Error, SqlSafeStr as _, SqlStr};
use std::time::Duration;

/// How long a connection is waited for: a server that restarts is back by then.
const PATIENCE: Duration = Duration::from_secs(30);
/// Settings of every session. A stopped process must not keep others waiting: its transaction ends. A machine that is cut off
/// is noticed.
const SETTINGS: [(&str, &str); 6] = [
    ("lock_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    // What a commit has confirmed survives a loss of power, whatever the server's default is.
    ("synchronous_commit", "on"),
];

/// The beginning of a transaction. Two advisory locks of the database stand for the one writer of `SQLite`: 1 for writers, and 2
/// for those that append, which only [`Access::Alone`] keeps out.
pub(crate) fn begin(access: Access) -> &'static str {
    match access {
        Access::Append => "BEGIN; SELECT pg_advisory_xact_lock_shared(1400532590, 2)",
        Access::Write => "BEGIN; SELECT pg_advisory_xact_lock(1400532590, 1)",
        Access::Alone => {
            "BEGIN; SELECT pg_advisory_xact_lock(1400532590, 1); SELECT pg_advisory_xact_lock(1400532590, 2)"
        }
    }
}

fn options(server: &Server, schema: &str) -> Result<PgConnectOptions, Error> {
    let options = server.options()?.application_name("sojourn").disable_statement_logging();
    Ok(options.options(SETTINGS).options([("search_path", schema)]))
}

pub(crate) fn pool(server: &Server, schema: &str, most: u32) -> Result<PgPool, Error> {
    let pool = PgPoolOptions::new()
        .max_connections(most)
        .min_connections(0)
        .idle_timeout(Duration::from_mins(1))
        .acquire_timeout(PATIENCE);
    Ok(pool.connect_lazy_with(options(server, schema)?))
}

impl Server {
    /// Opens a connection outside of any pool.
    pub async fn connect(&self, schema: &str) -> Result<Connection<'static>, Error> {
        Ok(options(self, schema)?.connect().await?.into())
    }
}

/// Waits for notifications of a server (`LISTEN`).
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// Listens on a channel, through a connection of its own.
    pub async fn to(server: &Server, schema: &str, channel: &str) -> Result<Self, Error> {
        let mut listener = PgListener::connect_with(&pool(server, schema, 1)?).await?;
        listener.listen(channel).await?;
        Ok(Self(listener))
    }

    /// Waits for a notification, or until the connection was lost and made again, so that some may have been missed. What has arrived
    /// by then counts as one. Cancel safe.
    pub async fn next(&mut self) -> Result<(), Error> {
        self.0.try_recv().await?;
        while self.0.next_buffered().is_some() {}
        Ok(())
    }
}

/// A statement with its parameters as `PostgreSQL` writes them: `?` as `$1`, `$2` and so on, `?3` as `$3`.
pub(crate) fn numbered(sql: SqlStr) -> SqlStr {
    let text = sql.as_str();
    if !text.contains('?') {
        return sql;
    }
    let mut numbered = String::with_capacity(text.len() + 8);
    let (mut next, mut rest) = (1, text);
    while let Some(at) = rest.find('?') {
        numbered.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            numbered.push('$');
            numbered.push_str(&next.to_string());
            next += 1;
        } else {
            numbered.push('$');
            numbered.push_str(&rest[..digits]);
            rest = &rest[digits..];
        }
    }
    numbered.push_str(rest);
    AssertSqlSafe(numbered).into_sql_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_get_numbers() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("SELECT ?, ? WHERE a = ?", "SELECT $1, $2 WHERE a = $3"),
            ("SELECT ?2, ?12 WHERE a = ?1", "SELECT $2, $12 WHERE a = $1"),
        ] {
            assert_eq!(numbered(sql.into_sql_str()).as_str(), expected);
        }
    }
}
