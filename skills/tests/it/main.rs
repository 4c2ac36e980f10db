//! The integration tests of `sojourn-skills`, in one program so that it is linked once.

mod common;
mod exchange;
mod grammar;
mod library;
mod lifecycle;
mod repairs;
mod sandbox;
mod shortlist;
