//! `sojourn tools`: what can be called, by hand too; plugins begun and checked.

mod call;
mod check;
mod list;
mod manifest;
mod new;

use crate::args::Tools;
use anyhow::Result;
use std::process::ExitCode;

/// Carries out a command on tools.
pub async fn tools(command: Tools) -> Result<ExitCode> {
    match command {
        Tools::List { agent, environment, json } => list::list(agent.as_deref(), &environment, json).await?,
        Tools::Call { path, tool, args, yes, json } => {
            return call::call(&path, tool, &args, yes, json).await;
        }
        Tools::New { name, lang, into } => new::new(&name, lang, &into)?,
        Tools::Check { path, json } => return check::check(&path, json).await,
    }
    Ok(ExitCode::SUCCESS)
}
