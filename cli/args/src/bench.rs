//! `sojourn bench`.

use clap::{Args as ClapArgs, ValueHint};
use std::path::PathBuf;

/// `sojourn bench`.
#[derive(Debug, ClapArgs)]
pub struct Bench {
    /// The agent file; `crafter` is the built-in example.
    #[arg(value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: PathBuf,

    /// The number of episodes.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub episodes: u32,

    /// The first episode's seed; the others follow. Learning never draws seeds below 1,000,000,000.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub first_seed: u64,

    /// The maximum number of environment steps of an episode [default: `run.episode_steps` of the agent file].
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,

    /// The skills alone: the curriculum's first proposal is taken, and no model is asked.
    #[arg(long)]
    pub no_deliberation: bool,

    /// Set a key of the agent file: `--set run.library=false`. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,

    /// Print one JSON document, with every episode.
    #[arg(long)]
    pub json: bool,
}
