//! The integration tests of `sojourn`, in one program so that it is linked once.

mod cli;
mod crash;
mod fixture;
mod life;
mod logs;
mod mcp;
mod memory;
mod otlp;
mod plugins;
mod relived;
mod settings;
mod skills;
mod support;
mod web;
mod with_model;
mod worlds;
