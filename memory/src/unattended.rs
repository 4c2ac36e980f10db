//! The state of unattended agents: schedules and their due times, approvals that wait, requests to runs, messages to people,
//! heartbeats, and the runs that wait for a worker.
//!
//! None of this is part of a run's log. The daemon, the runs and the commands of a person are separate processes that meet in
//! these tables; every change of state is one statement that names the state before it, so two processes never both win.

mod approvals;
mod heartbeats;
mod outbox;
mod queue;
mod requests;
mod schedules;
mod told;

pub use approvals::{
    ApprovalId, ApprovalState, AskedCall, BY_TIMEOUT, NewApproval, OnTimeout, PendingApproval,
};
pub use heartbeats::Heartbeat;
pub use outbox::{Message, NewMessage};
pub use queue::{QueueBell, QueueState, QueuedRun, Submission};
pub use requests::{NewRequest, RequestKind, RunRequest};
pub use schedules::{
    Arguments, Due, ForWorkers, Job, JobState, LogCollection, Missed, NewSchedule, Overlap, Schedule, Timing,
    Work,
};
pub use told::Posted;

use crate::Error;
use crate::dialect::Dialect;
use sojourn_database::{AssertSqlSafe, Connection, Engine, query};

/// The error for a stored word that is none of the known ones.
fn unknown(place: &str, word: &str) -> Error {
    Error::Damaged { place: place.to_owned(), what: format!("`{word}` is unknown") }
}

/// Deletes questions, messages, reports, titles, and runs of the queue that are over, that hold one of these texts. A run that waits for
/// such a question asks again. A schedule, and a run of the queue that is not over, would be lost with its text: these stay.
pub(crate) async fn forget(connection: &mut Connection<'_>, needles: &[Vec<u8>]) -> Result<(), Error> {
    const HOLDERS: [&str; 9] = [
        "DELETE FROM approvals WHERE instr(call, ?) > 0",
        "DELETE FROM outbox WHERE instr(body, ?) > 0",
        "DELETE FROM heartbeats WHERE instr(report, ?) > 0",
        "DELETE FROM requests WHERE instr(body, ?1) > 0 OR instr(outcome, ?1) > 0",
        "UPDATE approvals SET reason = '' WHERE instr(reason, ?) > 0",
        "UPDATE outbox SET failure = NULL WHERE instr(failure, ?) > 0",
        "UPDATE jobs SET why = NULL WHERE instr(why, ?) > 0",
        // The row of a removed schedule stays, because its due times refer to it.
        "UPDATE schedules SET arguments = '{\"always\":[],\"first\":[]}' WHERE removed_ms IS NOT NULL AND instr(arguments, ?) > 0",
        "UPDATE runs SET title = NULL WHERE instr(title, ?) > 0",
    ];
    const OF_A_SERVER: [&str; 2] = [
        "DELETE FROM queue WHERE ended_ms IS NOT NULL AND (instr(agent, ?1) > 0 OR instr(arguments, ?1) > 0)",
        "UPDATE queue SET why = NULL WHERE instr(why, ?) > 0",
    ];
    let of_a_server: &[&str] = match connection.engine() {
        Engine::Sqlite => &[],
        Engine::Postgres => &OF_A_SERVER,
    };
    for needle in texts(needles) {
        for sql in HOLDERS.iter().chain(of_a_server) {
            query(*sql).bind(needle).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// The places in the tables that still hold one of these texts, in words.
pub(crate) async fn places(
    connection: &mut Connection<'_>,
    needles: &[Vec<u8>],
) -> Result<Vec<String>, Error> {
    let columns = query(Dialect::of(connection.engine()).texts).fetch_all(&mut *connection).await?;
    let mut places = Vec::new();
    for row in &columns {
        let (table, column): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        for needle in texts(needles) {
            // The names are those of this program's own tables.
            let sql = format!("SELECT count(*) FROM \"{table}\" WHERE instr(\"{column}\", ?1) > 0");
            let held = query(AssertSqlSafe(sql)).bind(needle).fetch_one(&mut *connection).await?;
            if held.try_get::<i64, _>(0)? > 0 {
                places.push(match table {
                    "schedules" => "a schedule (`sojourn schedule list`)".to_owned(),
                    "queue" => "a run of the queue that is not over (`sojourn queue list`)".to_owned(),
                    "memories" => "another memory that reads alike".to_owned(),
                    _ => format!("the table `{table}`"),
                });
            }
        }
    }
    places.dedup();
    Ok(places)
}

/// Those of the needles that can stand in a text: not the bytes of pictures and sounds. A NUL is written in another way.
fn texts(needles: &[Vec<u8>]) -> impl Iterator<Item = &str> {
    needles.iter().filter_map(|needle| str::from_utf8(needle).ok()).filter(|needle| !needle.contains('\0'))
}

/// Declares an enum whose variants have one word each, in the database and in output.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// The word in the database and in output.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            pub(super) fn of(word: &str) -> Result<Self, crate::Error> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(super::unknown(stringify!($name), word)),
                }
            }
        }
    };
}
use words;
