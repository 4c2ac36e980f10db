//! `sojourn tools`: lists and calls tools; creates and checks plugins.

mod call;
mod check;
mod list;
mod manifest;
mod new;

use crate::args::Tools;
use crate::home::Home;
use anyhow::Result;
use std::process::ExitCode;

/// Carries out a command on tools.
pub async fn tools(home: &Home, command: Tools) -> Result<ExitCode> {
    match command {
        Tools::List { agent, environment, json } => {
            list::list(home, agent.as_deref(), environment.as_deref(), json).await?;
        }
        Tools::Call { path, tool, args, yes, json } => {
            return call::call(home, &path, tool, &args, yes, json).await;
        }
        Tools::New { name, lang, into } => new::new(&name, lang, &into)?,
        Tools::Check { path, json } => return check::check(&path, json).await,
    }
    Ok(ExitCode::SUCCESS)
}
