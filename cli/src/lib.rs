//! The `sojourn` command as a library: its arguments, its commands, and what it prints.
//!
//! The binary in `sojourn/` registers the environments that it is built with and calls [`main`]; `bench/` uses the same
//! parts to measure agents. [`command`] is the command line for documentation and completions, and
//! [`agent_file::schema`] describes the agent file.

#![forbid(unsafe_code)]

pub mod agent_file;
mod approver;
pub mod beliefs;
mod commands;
mod completing;
pub mod duration;
mod ears;
mod embedding;
pub mod environments;
pub mod error;
pub mod evaluation;
mod eyes;
mod full_screen;
mod goals;
pub mod home;
#[cfg(feature = "perception")]
mod images;
mod input;
mod lazy_controller;
pub mod logbook;
pub mod models;
#[cfg(feature = "perception")]
mod onlooker;
pub mod output;
pub mod progress;
pub mod run_stats;
pub mod scratch;
pub mod session;
mod supervisor;
pub mod table;
mod taught_controller;
mod telemetry;
mod unattended;
pub mod vectors;
mod waiting;
mod worlds;

pub use sojourn_args as args;

use clap::{CommandFactory as _, Parser as _};
use sojourn_tools::EnvironmentRegistry;
use std::process::ExitCode;
use std::time::Duration;
use telemetry::Telemetry;

/// Carries out what the command line of this process asks for. `environments` are those that can be named.
pub fn main(environments: EnvironmentRegistry) -> ExitCode {
    if let Some(code) = sojourn_subprocess::reaper::enter() {
        return code;
    }
    match completing::answer(&environments) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => error.exit(),
    }
    let args = args::Args::parse();
    let otlp = args.otlp().map(str::to_owned);
    block_on(args.verbose, otlp.as_deref(), commands::dispatch(args, environments))
}

/// How long work in the background may take to end after a command.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// Runs a command to its end: starts diagnostics on stderr (more with a higher `verbose`) and spans to the collector at
/// `otlp`, and reports an error with its hint.
pub fn block_on(
    verbose: u8,
    otlp: Option<&str>,
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> ExitCode {
    let telemetry = match Telemetry::start(verbose, otlp) {
        Ok(telemetry) => telemetry,
        Err(error) => return error::report(&error),
    };
    let code = match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(command).unwrap_or_else(|error| error::report(&error));
            // What was given up and does not yield is not waited for.
            runtime.shutdown_timeout(SHUTDOWN);
            code
        }
        Err(error) => error::report(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    drop(telemetry);
    code
}

/// The command line: all commands, options and help texts.
pub fn command() -> clap::Command {
    args::Args::command()
}
