//! `sojourn log`: the timeline of a run, one record, checks, recovery, export, import and garbage collection.

mod check;
pub mod collect;
pub mod export;
mod heads;
mod media;
mod otlp;
mod sft;
mod show;
mod timeline;
mod tried;

pub use check::checked;

use crate::args::{Log, LogCommand};
use crate::error::{Failure, Kind};
use crate::home::Home;
use anyhow::Result;
use clap::Subcommand as _;
use sojourn_memory::EventSeq;
use std::process::ExitCode;

/// Refuses a misspelt subcommand, which is taken for the name of a run.
fn meant(run: &str) -> Result<()> {
    let commands: Vec<String> = LogCommand::augment_subcommands(clap::Command::new("log"))
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let Some(command) = sojourn_tools::nearest(run, commands.iter().map(String::as_str)) else {
        return Ok(());
    };
    let text = format!("there is neither a run nor a command `{run}`; did you mean `sojourn log {command}`?");
    Err(Failure::new(Kind::NotFound, text)
        .hint("`sojourn runs` lists all runs, `sojourn log --help` the commands")
        .into())
}

/// Runs a subcommand, or shows the timeline of a run.
pub async fn log(home: &Home, args: Log) -> Result<ExitCode> {
    let store = home.store().await?;
    match (&args.command, &args.run) {
        (None, Some(run)) => {
            if store.run(run).await.is_err() && run != "latest" {
                meant(run)?;
            }
            timeline::timeline(&store, run, &args).await?;
        }
        (None, None) => {}
        (Some(LogCommand::Show { run, seq, full, json }), _) => {
            show::show(&store, run, EventSeq(*seq), *full, *json).await?;
        }
        (Some(LogCommand::Verify { run, heads, json }), _) => {
            return check::verify(&store, run.as_deref(), heads, *json).await;
        }
        (Some(LogCommand::Head { run }), _) => heads::print(&store, run.as_deref()).await?,
        (Some(LogCommand::Recover { run, into, json }), _) => {
            check::recover(&store, run, into.as_deref(), *json).await?;
        }
        (Some(LogCommand::Export(export)), _) => export::export(&store, export).await?,
        (Some(LogCommand::Media { run, handle, out, json }), _) => match handle {
            Some(handle) => media::write(&store, run, handle, out.as_deref()).await?,
            None => media::list(&store, run, *json).await?,
        },
        (Some(LogCommand::Import(args)), _) => export::import(&store, args).await?,
        (Some(LogCommand::Gc { keep, older_than, yes, json }), _) => {
            collect::collect(home, &store, *keep, *older_than, *yes, *json).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
