//! The program that these tests are about.

pub use sojourn_testkit::endpoint;
use sojourn_testkit::{Place, command_in};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// An empty place for the program.
pub fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_sojourn"))
}

/// The program with everything that it keeps under `place`.
pub fn command(place: &Path, args: &[&str]) -> Command {
    command_in(place, env!("CARGO_BIN_EXE_sojourn").as_ref(), args)
}

/// The folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What the program says there.
pub fn sojourn(place: &Path, args: &[&str]) -> Output {
    command(place, args).output().unwrap()
}

/// Process id of the worker that a supervisor has started; `None` while there is none.
pub fn worker(supervisor: u32) -> Option<u32> {
    let children = format!("/proc/{supervisor}/task/{supervisor}/children");
    std::fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok()
}
