//! Helpers that the tests of several crates share. Only tests and the repository's chores depend on this crate.
//!
//! - [`command`], [`Running`]: programs that do not outlive the test that started them, however the test ends.
//! - [`again`], [`alone!`]: a test in a process of its own.
//! - [`until`], [`eventually`]: waiting for a condition instead of for a time.
//! - [`Place`]: the `sojourn` program with a home of its own, and its [`Answer`]s.
//! - [`endpoint`], [`serve`]: a scripted model behind a chat endpoint, and any other scripted HTTP server.
//! - [`Postgres`]: a private database server; [`also_in_postgres!`]: tests of both engines.
//! - [`wav`]: a file with a sound.
//! - [`markdown`]: the pages of the repository, for tests of what they show.
//! - [`has`], [`skipped`]: tests of what a machine may lack.
//!
//! The crate knows no other crate of the workspace, so that testing a crate compiles nothing that it does not need.
//!
//! # Names of tests
//! Tests that need more than this machine's disk are in modules named `with_model`, `with_browser` or `with_network`: a
//! runner selects or skips them by these names, see `scripts/test.sh`. Those in `with_postgres` say that they are skipped where the
//! machine has no server.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    reason = "helpers of tests fail like tests, and say what was skipped"
)]

mod http;
pub mod markdown;
mod model;
mod place;
mod postgres;
mod process;
mod sound;
mod wait;

pub use http::{Received, Request, serve, serve_at, serve_raw};
pub use model::{answer, endpoint, reply, wandering};
pub use place::{Answer, Place, command_in};
pub use postgres::{Postgres, database_of, in_postgres};
pub use process::{Running, again, command, in_own_process, is_alive, send_signal};
pub use sound::wav;
pub use wait::{PATIENCE, eventually, until};

/// Prints why a test is skipped on this machine.
pub fn skipped(reason: impl std::fmt::Display) {
    eprintln!("skipped: {reason}");
}

/// Whether `program --version` works on this machine; says that the test is skipped if not.
pub fn has(program: &str) -> bool {
    let output = std::process::Command::new(program).arg("--version").output();
    let found = output.is_ok_and(|output| output.status.success());
    if !found {
        skipped(format_args!("there is no `{program}` here"));
    }
    found
}
