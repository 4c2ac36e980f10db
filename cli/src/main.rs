//! The `sojourn` command: launches agents, and shows and replays what they did.

#![forbid(unsafe_code)]

mod agent_file;
mod approver;
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
mod telemetry;
mod vectors;

use clap::Parser as _;
use std::process::ExitCode;
use telemetry::Telemetry;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let telemetry = match Telemetry::start(args.verbose, args.otlp()) {
        Ok(telemetry) => telemetry,
        Err(error) => return error::report(&error),
    };
    let code = match tokio::runtime::Runtime::new() {
        Ok(runtime) => match runtime.block_on(commands::dispatch(args)) {
            Ok(code) => code,
            Err(error) => error::report(&error),
        },
        Err(error) => error::report(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    drop(telemetry);
    code
}
