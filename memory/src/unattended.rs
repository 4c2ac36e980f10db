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

pub use approvals::{
    ApprovalId, ApprovalState, AskedCall, BY_TIMEOUT, NewApproval, OnTimeout, PendingApproval,
};
pub use heartbeats::Heartbeat;
pub use outbox::{Message, NewMessage};
pub use queue::{QueueBell, QueueState, QueuedRun, Submission};
pub use requests::{NewRequest, RequestKind, RunRequest};
pub use schedules::{
    Arguments, Due, Job, JobState, LogCollection, Missed, NewSchedule, Overlap, Schedule, Timing, Work,
};

use crate::Error;
use sojourn_database::{Connection, query};

/// The error for a stored word that is none of the known ones.
fn unknown(place: &str, word: &str) -> Error {
    Error::Damaged { place: place.to_owned(), what: format!("`{word}` is unknown") }
}

/// Deletes questions, messages and reports that hold one of these texts. A run that waits for such a question asks again.
pub(crate) async fn forget(connection: &mut Connection<'_>, needles: &[Vec<u8>]) -> Result<(), Error> {
    const HOLDERS: [&str; 5] = [
        "DELETE FROM approvals WHERE instr(call, ?) > 0",
        "DELETE FROM outbox WHERE instr(body, ?) > 0",
        "DELETE FROM heartbeats WHERE instr(report, ?) > 0",
        "DELETE FROM requests WHERE instr(body, ?1) > 0 OR instr(outcome, ?1) > 0",
        "UPDATE jobs SET why = NULL WHERE instr(why, ?) > 0",
    ];
    // The bytes of pictures and sounds are in none of these texts, and a NUL is written in another way.
    let texts = needles.iter().filter_map(|needle| str::from_utf8(needle).ok());
    for needle in texts.filter(|needle| !needle.contains('\0')) {
        for sql in HOLDERS {
            query(sql).bind(needle).execute(&mut *connection).await?;
        }
    }
    Ok(())
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
