//! The log as the commands read it: the reading code of [`sojourn_logbook`], and runs by name.

pub mod sides;

pub use sojourn_logbook::*;

use crate::error::{Failure, Kind};
use anyhow::Result;
use sojourn_memory::{RunInfo, Store};

/// The run of that name: an id, the beginning of one, or `latest`.
///
/// # Errors
/// When there is none, or several.
pub async fn find_run(store: &Store, name: &str) -> Result<RunInfo> {
    if name != "latest" {
        return Ok(store.run(name).await?);
    }
    store.runs().await?.into_iter().next().ok_or_else(|| {
        Failure::new(Kind::NotFound, "there are no runs here yet")
            .hint("start one with `sojourn run AGENT.TOML`, or choose another home with `--home`")
            .into()
    })
}
