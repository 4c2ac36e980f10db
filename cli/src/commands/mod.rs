//! One module for each command.

mod bench;
mod completions;
mod diff;
mod doctor;
mod environments;
mod fork;
mod knowledge;
mod log;
mod mcp;
mod memory;
mod models;
mod reflexes;
mod replay;
mod run;
mod runs;
mod serve;
mod simulate_crash;
mod skills;
mod tools;

use crate::args::{Args, Bench, Command};
use crate::home::Home;
use anyhow::Result;
use std::process::ExitCode;

/// Carries out what the command line asks for.
///
/// # Errors
/// What [`crate::error::report`] tells the user.
pub async fn dispatch(args: Args) -> Result<ExitCode> {
    let home = Home::find(args.home)?;
    match args.command {
        Command::Run(args) => return Box::pin(run::run(home, args)).await,
        Command::Fork(args) => return fork::fork(home, args).await,
        Command::SimulateCrash(args) => return simulate_crash::simulate_crash(home, args).await,
        Command::Log(args) => return log::log(&home, args).await,
        Command::Replay(args) => return replay::replay(home, &args).await,
        Command::Skills(command) => return skills::skills(home, command).await,
        Command::Bench(Bench::Log(args)) => Box::pin(log::speed(home, &args)).await?,
        Command::Bench(Bench::Controller(args)) => Box::pin(bench::controller(args)).await?,
        Command::Bench(Bench::Crafter(args)) => return Box::pin(bench::crafter(&home, args)).await,
        Command::Bench(Bench::Miniwob(args)) => return Box::pin(bench::miniwob(&home, args)).await,
        Command::Reflexes(command) => reflexes::reflexes(&home, command).await?,
        Command::Runs(args) => runs::runs(&home, args).await?,
        Command::Diff(args) => diff::diff(&home, &args).await?,
        Command::Memory(command) => memory::memory(&home, command).await?,
        Command::Knowledge(command) => knowledge::knowledge(&home, command).await?,
        Command::Tools(command) => return tools::tools(command).await,
        Command::Environments(command) => return environments::environments(command).await,
        Command::Mcp(args) => mcp::mcp(home, args).await?,
        Command::Models(command) => return models::models(command).await,
        Command::Doctor(args) => doctor::doctor(&home, args).await?,
        Command::Completions { shell } => completions::completions(shell)?,
    }
    Ok(ExitCode::SUCCESS)
}
