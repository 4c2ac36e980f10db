//! Databases for a while, beside that of a store.

use crate::store::SCHEMA;
use crate::{Error, Server};
use sojourn_database::{Connection, query};
use sqlx::AssertSqlSafe;
use std::time::{SystemTime, UNIX_EPOCH};

/// Beginning of the name of each such database; the second of its creation follows.
const PREFIX: &str = "sojourn_scratch_";
/// Age in seconds from which an unused one counts as left behind by a killed process.
const ABANDONED_AFTER: u64 = 3600;

/// An empty database of the same server as a store, so that what is tried in it meets the server of the store, and nothing of its tables.
#[derive(Debug)]
pub struct ScratchDatabase {
    store: Server,
    server: Server,
    name: String,
}

impl ScratchDatabase {
    /// Creates one. The user needs the server's right to create databases (`CREATEDB`). Removes those that killed processes have left.
    ///
    /// # Errors
    /// [`Error::Unreachable`], and that of a server that does not allow it.
    pub async fn create(store: &Server) -> Result<Self, Error> {
        let mut connection = store.connect(SCHEMA).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        sweep(&mut connection, now.as_secs()).await?;
        let name = format!("{PREFIX}{}_{}_{}", now.as_secs(), std::process::id(), now.subsec_nanos());
        let create = format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0");
        query(AssertSqlSafe(create)).execute(&mut connection).await?;
        let unreadable = |error: sojourn_database::BadUrl| Error::Damaged {
            place: "the address of the store".to_owned(),
            what: error.to_string(),
        };
        let server = store.with_database(&name).map_err(unreadable)?;
        Ok(Self { store: store.clone(), server, name })
    }

    /// Its address.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Removes it, whoever still uses it.
    ///
    /// # Errors
    /// [`Error::Unreachable`]. A later [`create`](Self::create) removes it then.
    pub async fn remove(self) -> Result<(), Error> {
        let mut connection = self.store.connect(SCHEMA).await?;
        drop_database(&mut connection, &self.name).await
    }
}

async fn drop_database(connection: &mut Connection<'static>, name: &str) -> Result<(), Error> {
    query(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).execute(connection).await?;
    Ok(())
}

/// Removes old, unused databases of this user.
async fn sweep(connection: &mut Connection<'static>, now: u64) -> Result<(), Error> {
    let rows = query(
        "SELECT datname::text FROM pg_database WHERE starts_with(datname, ?1) \
         AND datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user) \
         AND NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pg_stat_activity.datname = pg_database.datname)",
    )
    .bind(PREFIX)
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let name: &str = row.try_get(0)?;
        if is_abandoned(name, now) {
            drop_database(connection, name).await?;
        }
    }
    Ok(())
}

/// Whether a database has the name of one that was made long ago. Such names are safe within a statement.
fn is_abandoned(name: &str, now: u64) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let is_own = rest.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let made = rest.split('_').next().and_then(|made| made.parse::<u64>().ok());
    is_own && made.is_some_and(|made| now.saturating_sub(made) > ABANDONED_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_old_database_of_this_program_is_removed() {
        let now = 1_800_000_000;
        for (name, abandoned) in [
            ("sojourn_scratch_1799990000_77_5", true),
            ("sojourn_scratch_1799999999_77_5", false),
            ("sojourn_scratch_1900000000_77_5", false),
            ("sojourn_scratch_1799990000_77; DROP DATABASE agents", false),
            ("sojourn_scratch_", false),
            ("agents", false),
        ] {
            assert_eq!(is_abandoned(name, now), abandoned, "{name}");
        }
    }
}
