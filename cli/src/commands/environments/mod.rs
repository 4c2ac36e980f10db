//! `sojourn environments`: what can be lived in.

mod check;

use crate::args::{Environments, Install};
use crate::environments::{BUILT_IN, gym};
use crate::{output, table};
use anyhow::Result;
use serde_json::json;
use std::process::ExitCode;

/// Carries out a command on environments.
pub async fn environments(command: Environments) -> Result<ExitCode> {
    match command {
        Environments::List { json } => list(json)?,
        Environments::Install(Install::Gym { packages }) => {
            let place = gym::install(&packages).await?;
            output::note(format!("Gymnasium is in {}; `sojourn run gym:ID` lives in it", place.display()));
        }
        Environments::Check { environment, seed, steps, json } => {
            return check::check(&environment, seed, steps, json).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(json: bool) -> Result<()> {
    let place = gym::place()?;
    let there = gym::installed(&place);
    if json {
        let gym = json!({"installed": there, "place": place});
        return Ok(output::json(&json!({"built_in": BUILT_IN, "gym": gym}))?);
    }
    let mut rows = table::new(["name", "what"]);
    for name in BUILT_IN {
        rows.add_row([name, "built in"]);
    }
    let gym = if there {
        format!("Gymnasium, in {}", place.display())
    } else {
        "Gymnasium is not installed: `sojourn environments install gym minigrid`".to_owned()
    };
    rows.add_row(["gym:ID", &gym]);
    Ok(table::print(&rows)?)
}
