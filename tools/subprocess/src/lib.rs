//! Every program that Sojourn starts goes through this crate.
//!
//! - [`find`] looks a program up in the absolute directories of `PATH`. A relative entry such as `.` names whatever directory
//!   Sojourn was started in, and the user did not choose the programs of that directory.
//! - [`command`] starts a program with few environment variables, [`python`] starts an isolated Python.
//! - [`ProcessTree`] ends a program with everything it started. Programs are started under a [`reaper`], which does the same
//!   when Sojourn itself is gone, by SIGKILL too.

#![forbid(unsafe_code)]

mod command;
mod python;
pub mod reaper;
mod search;
mod tree;

pub use command::command;
pub use python::{PYTHONS, python};
pub use search::{find, search_path};
pub use tree::ProcessTree;
