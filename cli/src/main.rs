//! The `sojourn` command: launches agents, and shows and replays what they did.

#![forbid(unsafe_code)]

mod agent_file;
mod args;
mod chronicle;
mod commands;
mod duration;
mod embedding;
mod environments;
mod error;
mod home;
mod logbook;
mod models;
mod output;
mod progress;
mod session;
mod supervisor;
mod table;
mod vectors;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Args::parse();
    listen(args.verbose);
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => match runtime.block_on(commands::dispatch(args)) {
            Ok(code) => code,
            Err(error) => error::report(&error),
        },
        Err(error) => error::report(&anyhow::Error::new(error).context("cannot start the runtime")),
    }
}

/// Sends spans and events to stderr: errors always, more with each `-v`, anything by `RUST_LOG`.
fn listen(verbose: u8) {
    let default = match verbose {
        0 => "error",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}
