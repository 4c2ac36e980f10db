//! What a caller can do about an error of either engine.

use sqlx::Error;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// What kind of failure an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Another process kept a lock for too long, or both waited for each other. The transaction can be repeated.
    Busy,
    /// The database cannot be written.
    ReadOnly,
    /// What is stored is not what was written.
    Damaged,
    /// The disk of the database is full.
    DiskFull,
    /// The server cannot be reached, is starting, or ended the connection. Whether a commit that was under way has happened is not known.
    Unreachable,
    /// Any other error.
    Other,
}

/// The kind of failure that an error is.
pub fn failure(error: &Error) -> Failure {
    match error {
        Error::Io(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed | Error::Tls(_) => {
            return Failure::Unreachable;
        }
        _ => {}
    }
    let Some(database) = error.as_database_error() else { return Failure::Other };
    if let Some(error) = database.try_downcast_ref::<PgDatabaseError>() {
        return of_state(error.code());
    }
    if database.try_downcast_ref::<SqliteError>().is_some() {
        let code = database.code().and_then(|code| code.parse::<u32>().ok());
        // The low byte of an extended result code is the primary one.
        return code.map_or(Failure::Other, |code| of_code(code & 0xff));
    }
    Failure::Other
}

/// By the primary result code of `SQLite`.
fn of_code(code: u32) -> Failure {
    match code {
        5 | 6 => Failure::Busy,
        8 => Failure::ReadOnly,
        11 | 26 => Failure::Damaged,
        13 => Failure::DiskFull,
        _ => Failure::Other,
    }
}

/// By the SQLSTATE of `PostgreSQL`.
fn of_state(state: &str) -> Failure {
    match state {
        // Serialisation failure, deadlock, lock not available, and a statement that took too long.
        "40001" | "40P01" | "55P03" | "57014" => Failure::Busy,
        "25006" => Failure::ReadOnly,
        "XX001" | "XX002" => Failure::Damaged,
        "53100" => Failure::DiskFull,
        // Shutting down, crashed, starting; too many connections.
        "57P01" | "57P02" | "57P03" | "53300" => Failure::Unreachable,
        state if state.starts_with("08") => Failure::Unreachable,
        _ => Failure::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_one_engine_are_not_codes_of_the_other() {
        // 22021 (a byte that is no text) ends in the byte 5, the code of a locked `SQLite` database.
        assert_eq!((22021 % 256, of_state("22021")), (5, Failure::Other));
        assert_eq!(of_state("53100"), Failure::DiskFull);
        assert_eq!(of_state("08006"), Failure::Unreachable);
        assert_eq!(of_code(13), Failure::DiskFull);
    }
}
