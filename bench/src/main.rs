//! `sojourn-bench`: measures agents, the log, the controller and recall. `bench/README.md` lists each figure with its command.

#![forbid(unsafe_code)]

mod agents;
mod args;
#[cfg(feature = "llama")]
mod bfcl;
#[cfg(feature = "llama")]
mod controller;
#[cfg(test)]
mod docs;
#[cfg(feature = "llama")]
mod locomo;
mod log_speed;

use anyhow::Result;
use args::{Args, Command};
use clap::Parser as _;
use sojourn_cli::home::{Home, STORE};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    sojourn_cli::block_on(args.verbose, None, measure(args.home, args.command))
}

/// Measures what was asked for.
async fn measure(home: Option<std::path::PathBuf>, command: Command) -> Result<ExitCode> {
    let home = Home::find(home, sojourn::environments())?.with_store(std::env::var(STORE).ok().as_deref())?;
    match command {
        Command::Crafter(args) => return Box::pin(agents::crafter(&home, args)).await,
        Command::Miniwob(args) => return Box::pin(agents::miniwob(&home, args)).await,
        Command::Log(args) => Box::pin(log_speed::measure(home, &args)).await?,
        #[cfg(feature = "llama")]
        Command::Controller(args) => Box::pin(controller::measure(args)).await?,
        #[cfg(feature = "llama")]
        Command::Locomo(args) => Box::pin(locomo::measure(&args)).await?,
        #[cfg(feature = "llama")]
        Command::Bfcl(args) => Box::pin(bfcl::measure(args)).await?,
        #[cfg(not(feature = "llama"))]
        Command::Controller(_) | Command::Locomo(_) | Command::Bfcl(_) => {
            return Err(sojourn_cli::models::without_llama("measure your server with its own tools"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
