//! The integration tests of `sojourn-core`, in one program so that it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod clocks;
mod core_laws;
mod discovering;
mod frames;
mod habits;
mod layers;
mod lessons;
mod living;
mod looking;
mod media;
mod plans;
mod policy_changes;
mod record_samples;
mod records;
mod replaying_environment;
mod secrets_in_records;
mod stuck;
mod taint;
mod time_budget;
mod tools;
mod tools_lab;
mod trial_calls;
mod uneventful;
mod upkeep;
mod whims;
mod world_policy;
mod world_words;
mod writing;
