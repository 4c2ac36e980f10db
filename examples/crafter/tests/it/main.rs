//! The integration tests of `sojourn-crafter`, in one program so that it is linked once.

mod common;
mod documentation;
mod golden;
mod primitives;
mod random_policy;
mod scripted;
mod snapshots;
mod with_network;
