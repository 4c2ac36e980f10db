//! The address of a database server.

use sqlx::postgres::{PgConnectOptions, PgSslMode};
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
    /// The text without what may be a password.
    shown: String,
    why: String,
}

impl Server {
    /// The address as it was given, with its password: for the processes that this one starts.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Another database of the same server.
    ///
    /// # Errors
    /// The name makes the address one that cannot be read.
    pub fn with_database(&self, name: &str) -> Result<Self, BadUrl> {
        let joint = if self.url.contains('?') { '&' } else { '?' };
        // Of several names of a database the last one counts.
        format!("{}{joint}dbname={name}", self.url).parse()
    }

    /// How connections are made. What the address lacks comes from the variables `PGUSER`, `PGPASSWORD`, `PGPASSFILE` and so on.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        let options = PgConnectOptions::from_str(&self.url)?;
        let says = ["sslmode=", "ssl-mode="].iter().any(|name| query_of(&self.url).contains(name));
        let is_local = options.get_socket().is_some()
            || matches!(options.get_host(), "localhost" | "127.0.0.1" | "::1" | "[::1]")
            || options.get_host().starts_with('/');
        // What is asked by default must not send a password in clear to whoever answers.
        if is_local || says || std::env::var_os("PGSSLMODE").is_some() {
            return Ok(options);
        }
        Ok(options.ssl_mode(PgSslMode::Require))
    }
}

/// The part of an address after its first `?`.
fn query_of(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query)
}

/// An address that cannot be read, without what may be a password in it.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "…".to_owned() };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A password with a `?` or an `@` in it cannot be told from the rest.
    if query.contains('@')
        || place.matches('@').count() > 1
        || !scheme.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        return "…".to_owned();
    }
    match place.split_once('@') {
        Some((_, place)) => format!("{scheme}://…@{place}"),
        None => format!("{scheme}://{place}"),
    }
}

impl FromStr for Server {
    type Err = BadUrl;

    fn from_str(url: &str) -> Result<Self, BadUrl> {
        let bad = |why: String| BadUrl { shown: without_password(url), why };
        if !matches!(url.split_once("://"), Some(("postgres" | "postgresql", _))) {
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
        for bad in [
            "postgres://db.example:none/agents?password=secret",
            "postgres://db.example:none/agents?password=se@secret",
            "postgres://ann:se?cret@db.example:none/agents?user=secret",
            "mysql://ann:se@secret@db.example/agents",
            "host=db.example password=secret",
            "secret",
        ] {
            let bad = bad.parse::<Server>().unwrap_err().to_string();
            assert!(!bad.contains("secret") && !bad.contains("cret@"), "{bad}");
        }
    }

    #[test]
    fn another_database_of_a_server_is_reached_in_the_same_way() {
        for (url, shown) in [
            ("postgres://ann:se@db.example:5433/agents", "postgres://ann@db.example:5433/other"),
            ("postgres://ann@localhost/agents?host=/run/pg", "postgres://ann@/run/pg/other"),
            (
                "postgres://ann@db.example/a?dbname=agents&sslmode=disable",
                "postgres://ann@db.example:5432/other",
            ),
        ] {
            let server: Server = url.parse().unwrap();
            let other = server.with_database("other").unwrap();
            assert_eq!(other.to_string(), shown);
            assert_eq!(other.with_database("third").unwrap().to_string(), shown.replace("other", "third"));
        }
    }

    #[test]
    fn another_machine_is_asked_for_tls() {
        let mode = |url: &str| url.parse::<Server>().unwrap().options().unwrap().get_ssl_mode();
        for far in ["postgres://ann@db.example/agents", "postgres://ann@10.0.0.7/agents?application_name=x"] {
            assert!(matches!(mode(far), PgSslMode::Require), "{far}");
        }
        for near in [
            "postgres://ann@localhost/agents",
            "postgres://ann@127.0.0.1:5433/agents",
            "postgres://ann@localhost/agents?host=/run/postgresql",
        ] {
            assert!(matches!(mode(near), PgSslMode::Prefer), "{near}");
        }
        assert!(matches!(
            mode("postgres://ann@db.example/agents?sslmode=verify-full"),
            PgSslMode::VerifyFull
        ));
        assert!(matches!(mode("postgres://ann@db.example/agents?sslmode=disable"), PgSslMode::Disable));
    }
}
