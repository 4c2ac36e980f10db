//! The address of a database server.

use sqlx::postgres::PgConnectOptions;
use std::fmt;
use std::str::FromStr;

/// The address of a `PostgreSQL` database: `postgres://USER@HOST:PORT/DATABASE`. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    url: String,
    shown: String,
}

/// A text that is no address of a database.
#[derive(Debug, thiserror::Error)]
#[error("`{shown}` is no address of a store: {why}; write `postgres://USER@HOST/DATABASE`")]
pub struct BadUrl {
    /// The text up to its password.
    shown: String,
    why: String,
}

impl Server {
    /// The address as it was given, with its password: for the processes that this one starts.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How connections are made. What the address lacks comes from the variables `PGUSER`, `PGPASSWORD`, `PGPASSFILE` and so on.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        PgConnectOptions::from_str(&self.url)
    }
}

impl FromStr for Server {
    type Err = BadUrl;

    fn from_str(url: &str) -> Result<Self, BadUrl> {
        // A password stands before the last `@`.
        let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
        let bad = |why: String| BadUrl {
            shown: rest
                .rsplit_once('@')
                .map_or_else(|| url.to_owned(), |(_, rest)| format!("{scheme}://…@{rest}")),
            why,
        };
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(bad("only PostgreSQL is known besides the home's own database".to_owned()));
        }
        let options = PgConnectOptions::from_str(url).map_err(|error| bad(error.to_string()))?;
        let place = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let database = options.get_database().unwrap_or(options.get_username());
        let shown = format!("postgres://{}@{place}/{database}", options.get_username());
        Ok(Self { url: url.to_owned(), shown })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let server: Server = "postgres://ann:se@cret@db.example:5433/agents".parse().unwrap();
        assert_eq!(server.to_string(), "postgres://ann@db.example:5433/agents");
        assert!(!format!("{server:?}").contains("cret"), "{server:?}");
        let bad = "mysql://ann:secret@db.example/agents".parse::<Server>().unwrap_err().to_string();
        assert!(!bad.contains("secret") && bad.contains("db.example"), "{bad}");
    }
}
