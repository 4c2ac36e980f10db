//! Measuring an agent in episodes that learning never sees, in a temporary home: what `sojourn bench` and `bench/` share.

mod statistics;
mod subject;

pub use statistics::{Spread, mean, standard_error};
pub use subject::{Learning, Subject, Tokens, controller_failed, interrupted};

use crate::error::{Failure, Kind};
use anyhow::Result;
use sojourn_core::seeds;

/// The seeds of `episodes` episodes from `first` on, all below those that learning draws.
///
/// # Errors
/// When there are none, or one of them is reserved for learning.
pub fn fresh_seeds(first: u64, episodes: u32) -> Result<Vec<u64>> {
    let end = first.checked_add(u64::from(episodes));
    match end.filter(|end| *end <= seeds::FIRST_LEARNING_SEED) {
        Some(end) if episodes > 0 => Ok((first..end).collect()),
        Some(_) => Err(Failure::new(Kind::Usage, "there are no episodes to measure")
            .hint("give `--episodes` a number above 0")
            .into()),
        None => Err(Failure::new(
            Kind::Usage,
            format!("seeds from {} on are reserved for learning", seeds::FIRST_LEARNING_SEED),
        )
        .hint("choose a smaller `--first-seed`")
        .into()),
    }
}
