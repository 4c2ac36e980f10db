//! One module for each command.

mod approvals;
mod bench;
mod completions;
mod diff;
mod doctor;
mod environments;
mod fork;
mod goal;
#[cfg(feature = "perception")]
mod hear;
mod knowledge;
mod log;
mod mcp;
mod memory;
mod models;
mod ps;
mod queue;
mod reflexes;
mod replay;
mod run;
mod runs;
mod schedule;
#[cfg(feature = "perception")]
mod see;
mod serve;
mod simulate_crash;
mod skills;
mod speak;
mod store;
mod studio;
mod tools;
mod top;
mod up;
mod worker;
mod world;

use crate::args::{Args, Command};
use crate::home::Home;
use anyhow::Result;
use sojourn_tools::EnvironmentRegistry;
use std::process::ExitCode;

/// Carries out what the command line asks for.
///
/// # Errors
/// What [`crate::error::report`] tells the user.
pub async fn dispatch(args: Args, environments: EnvironmentRegistry) -> Result<ExitCode> {
    let home = Home::find(args.home, environments)?.with_store(args.store.as_deref())?;
    if let Some((what, instead)) = local_only(&args.command) {
        home.only_local(what, instead)?;
    }
    match args.command {
        Command::Run(args) => return Box::pin(run::run(home, args)).await,
        Command::Up(args) => return Box::pin(up::up(&home, args)).await,
        Command::Worker(args) => worker::worker(&home, args).await?,
        Command::Queue(command) => queue::queue(&home, command).await?,
        Command::Store(command) => return store::store(&home, command).await,
        Command::Schedule(command) => schedule::schedule(&home, command).await?,
        Command::Approvals(command) => approvals::approvals(&home, command).await?,
        Command::Ps(args) => ps::ps(&home, args).await?,
        Command::Top(args) => top::top(&home, args).await?,
        Command::Fork(args) => return fork::fork(home, args).await,
        Command::SimulateCrash(args) => return Box::pin(simulate_crash::simulate_crash(home, args)).await,
        Command::Log(args) => return log::log(&home, args).await,
        Command::Replay(args) => return Box::pin(replay::replay(home, &args)).await,
        Command::Skills(command) => return skills::skills(home, command).await,
        Command::Reflexes(command) => reflexes::reflexes(&home, command).await?,
        Command::Bench(args) => return Box::pin(bench::bench(&home, &args)).await,
        Command::Runs(args) => runs::runs(&home, args).await?,
        Command::Studio(args) => studio::studio(home, args).await?,
        Command::Report(args) => studio::report(&home, &args).await?,
        Command::Diff(args) => diff::diff(&home, &args).await?,
        Command::Memory(command) => memory::memory(&home, command).await?,
        Command::Knowledge(command) => knowledge::knowledge(&home, command).await?,
        Command::Tools(command) => return tools::tools(&home, command).await,
        Command::Environments(command) => return environments::environments(&home, command).await,
        Command::World(command) => return world::world(&home, command).await,
        Command::Goal(command) => return goal::goal(&home, command).await,
        Command::Mcp(args) => mcp::mcp(home, args).await?,
        Command::Models(command) => return models::models(command).await,
        #[cfg(feature = "perception")]
        Command::See(args) => return see::see(&args).await,
        #[cfg(feature = "perception")]
        Command::Hear(args) => return hear::hear(&args).await,
        #[cfg(not(feature = "perception"))]
        Command::See(_) | Command::Hear(_) => return Err(crate::eyes::absent("").into()),
        Command::Speak(args) => speak::speak(args).await?,
        Command::Doctor(args) => doctor::doctor(&home, args).await?,
        Command::Completions { shell } => completions::completions(shell)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What works with a home's own tables only, and what does as well with a server.
fn local_only(command: &Command) -> Option<(&'static str, &'static str)> {
    match command {
        Command::Schedule(crate::args::Schedule::Gc(_)) => Some((
            "`sojourn schedule gc`",
            "let cron or a systemd timer start `sojourn log gc`, which waits for a moment without a live run",
        )),
        Command::Up(up) if up.install => Some((
            "`sojourn up --install`",
            "write a unit of your own that starts `sojourn up`, with the address in SOJOURN_STORE",
        )),
        Command::Studio(_) => {
            Some(("`sojourn studio`", "`sojourn ps`, `log`, `replay` and `report` show runs of a server"))
        }
        _ => None,
    }
}
