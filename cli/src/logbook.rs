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
        let found = store.run(name).await;
        if found.is_err() && sojourn_tools::nearest(name, ["latest"].into_iter()).is_some() {
            return Err(Failure::unknown("run", name, ["latest"].into_iter())
                .hint("`latest` is the newest run; `sojourn runs` lists all runs")
                .into());
        }
        return Ok(found?);
    }
    store.runs().await?.into_iter().next().ok_or_else(|| {
        Failure::new(Kind::NotFound, "there are no runs here yet")
            .hint("start one with `sojourn run AGENT.TOML`, or choose another home with `--home`")
            .into()
    })
}
