//! `sojourn environments`: what can be lived in.

mod check;

use crate::args::{Environments, Install};
use crate::environments::{gym, miniwob};
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
        Environments::Install(Install::Miniwob) => {
            let place = miniwob::install().await?;
            output::note(format!("MiniWoB++ is in {}; `sojourn run miniwob` lives in it", place.display()));
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
        let pages = miniwob::place()?;
        let pages = json!({"installed": miniwob::installed(&pages), "place": pages});
        return Ok(output::json(&json!({"built_in": ["crafter"], "gym": gym, "miniwob": pages}))?);
    }
    let mut rows = table::new(["name", "what"]);
    rows.add_row(["crafter", "built in"]);
    let pages = miniwob::place()?;
    let pages = if miniwob::installed(&pages) {
        format!("MiniWoB++, in {}", pages.display())
    } else {
        "MiniWoB++ is not installed: `sojourn environments install miniwob`".to_owned()
    };
    rows.add_row([miniwob::NAME, &pages]);
    let gym = if there {
        format!("Gymnasium, in {}", place.display())
    } else {
        "Gymnasium is not installed: `sojourn environments install gym minigrid`".to_owned()
    };
    rows.add_row(["gym:ID", &gym]);
    Ok(table::print(&rows)?)
}
