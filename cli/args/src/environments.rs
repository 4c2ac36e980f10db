//! `sojourn environments`.

use clap::{Subcommand, ValueHint};

/// `sojourn environments`.
#[derive(Debug, Subcommand)]
pub enum Environments {
    /// List the environments that an agent file can name.
    List {
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Install an environment whose files are not part of this program: `gym`, `minecraft`, `miniwob`.
    Install {
        /// A name from `sojourn environments list`, without `:ID`.
        name: String,
        /// Python packages with more environments, for `gym`: minigrid, ale-py, crafter…
        packages: Vec<String>,
    },
    /// Take random steps in an environment; report what it offers, its speed, and whether equal seeds give equal episodes.
    Check {
        /// The environment's name, or an agent file that describes one.
        #[arg(value_name = "NAME|AGENT.TOML", value_hint = ValueHint::FilePath)]
        environment: String,
        /// The episode's seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// The number of steps. Default: 200; 0 in a world that trials may not be made in.
        #[arg(long)]
        steps: Option<u64>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}
