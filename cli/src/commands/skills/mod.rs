//! `sojourn skills`: shows, tests, changes and exchanges the skills of the library.

mod admit;
pub mod change;
mod diff;
mod exchange;
mod graph;
mod heal;
mod history;
mod list;
mod record;
pub mod run;
mod show;
mod svg;
mod test;
mod watched;

pub use show::{field, heading};

use crate::args::{Skills, Target};
use crate::error::{Failure, Kind};
use crate::home::Home;
use anyhow::Result;
use sojourn_skills::{Entry, LibraryState};
use std::process::ExitCode;

/// Carries out a command on the skill library.
pub async fn skills(home: Home, command: Skills) -> Result<ExitCode> {
    match command {
        Skills::Test(args) => return test::test(&home, &args).await,
        Skills::Record(args) => return record::record(&home, &args).await,
        Skills::Heal(args) => return heal::heal(&home, &args).await,
        Skills::Run(args) => return run::run(&home, &state(&home).await?, args).await,
        Skills::List { all, json } => list::list(&state(&home).await?, all, json, &home)?,
        Skills::Show { target, json } => show::show(&state(&home).await?, &target, json)?,
        Skills::History { name, json } => history::history(&home, &name, json).await?,
        Skills::Diff { name, from, to, json } => diff::diff(&state(&home).await?, &name, (from, to), json)?,
        Skills::Retire { target, reason, json } => change::retire(&home, &target, reason, json).await?,
        Skills::Unretire { target, json } => change::unretire(&home, &target, json).await?,
        Skills::Rollback { name, to, json } => change::roll_back(&home, name, to, json).await?,
        Skills::Merge { name, into, json } => change::merge(&home, &name, &into, json).await?,
        Skills::Export { name, dir, license, json, .. } => {
            let (name, license) = (name.as_deref(), license.as_deref());
            exchange::export(&state(&home).await?, name, &dir.unwrap_or_default(), license, json)?;
        }
        Skills::Import(args) => exchange::import(&home, &args).await?,
        Skills::Graph { format, output, json } => {
            graph::graph(&state(&home).await?, format, output.as_deref(), json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The state of the library; an empty one where there is none yet.
pub async fn state(home: &Home) -> Result<LibraryState> {
    let library = home.read_library().await?;
    Ok(library.map(|library| library.state().clone()).unwrap_or_default())
}

/// The version of a skill that is in use in the environment `wanted`. Without one, or if none is, the one in use elsewhere.
///
/// # Errors
/// When no version of the skill is in use.
pub fn in_use<'a>(state: &'a LibraryState, name: &str, wanted: Option<&str>) -> Result<&'a Entry> {
    let own = wanted.and_then(|environment| state.active_in(name, environment));
    own.or_else(|| state.active(name))
        .ok_or_else(|| Failure::new(Kind::NotFound, format!("no version of `{name}` is active")).into())
}

/// A version of a skill; without a number the active one, else the latest.
pub fn find<'a>(state: &'a LibraryState, target: &Target) -> Result<&'a Entry> {
    let name = target.name.as_str();
    let Some(history) = state.history(name) else {
        return Err(Failure::unknown("skill", name, state.histories().map(|(name, _)| name))
            .hint("`sojourn skills list --all` shows all skills")
            .into());
    };
    let Some(number) = target.version else {
        let entry = state.active(name).or_else(|| history.versions.last());
        return entry.ok_or_else(|| Failure::unknown("skill", name, std::iter::empty()).into());
    };
    history.version(number).ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("`{name}` has no version {number}"))
            .hint(format!("its versions are 1 to {}", history.versions.len()))
            .into()
    })
}
