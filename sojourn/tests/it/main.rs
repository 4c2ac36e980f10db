//! The integration tests of `sojourn`, in one program so that it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod cli;
mod crash;
mod crash_replay;
mod docs;
mod frames;
mod goals;
mod golden;
mod knowledge;
mod life;
mod logs;
mod looking;
mod machines;
mod mcp;
mod memory;
mod minecraft;
mod odd_pictures;
mod orphans;
mod otlp;
mod outside_data;
mod own_worlds;
mod pictures;
mod plugins;
mod policy;
#[path = "../../../agent-core/tests/it/record_samples.rs"]
mod record_samples;
mod recording;
mod settings;
mod skills;
mod start;
mod studio;
mod support;
mod teacher;
mod unattended;
mod web;
mod with_model;
mod worlds;
