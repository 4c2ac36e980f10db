//! `sojourn environments`: lists, installs and tries environments.

mod check;

use crate::args::Environments;
use crate::home::Home;
use crate::waiting::Waiting;
use crate::{output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_tools::Availability;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// Carries out a command on environments.
pub async fn environments(home: &Home, command: Environments) -> Result<ExitCode> {
    match command {
        Environments::List { json } => list(home, json)?,
        Environments::Install { name, packages } => {
            let provider = home.environments().named(&name)?;
            let waiting = Mutex::new(None);
            let progress = |text: String| {
                // The line before it ends first: a terminal has room for one.
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                drop(waiting.take());
                *waiting = Some(Waiting::on(&text));
            };
            let directory = provider.install(&packages, &progress).await?;
            drop(waiting);
            output::note(format!(
                "installed in {}; `sojourn run {}` uses it",
                directory.display(),
                provider.usage()
            ));
        }
        Environments::Check { environment, seed, steps, json } => {
            return check::check(home, &environment, seed, steps, json).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(home: &Home, json: bool) -> Result<()> {
    let mut rows = table::new(["name", "environment", "where"]);
    let mut values = Vec::new();
    for provider in home.environments().providers() {
        let availability = provider.availability()?;
        let place = match &availability {
            Availability::BuiltIn => "built in".to_owned(),
            Availability::Installed(directory) => directory.display().to_string(),
            Availability::NotInstalled(_) => {
                format!("not installed: `sojourn environments install {}`", provider.name())
            }
        };
        rows.add_row([provider.usage(), provider.description(), &place]);
        let (installed, directory) = match availability {
            Availability::BuiltIn => (true, None),
            Availability::Installed(directory) => (true, Some(directory)),
            Availability::NotInstalled(directory) => (false, Some(directory)),
        };
        values.push(json!({
            "name": provider.usage(), "description": provider.description(), "installed": installed,
            "directory": directory,
        }));
    }
    if json { Ok(output::json(&values)?) } else { Ok(table::print(&rows)?) }
}
