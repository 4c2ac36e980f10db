//! `sojourn environments`.

use clap::{Subcommand, ValueHint};

/// `sojourn environments`.
#[derive(Debug, Subcommand)]
pub enum Environments {
    /// List what can be named as an environment.
    List {
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Install environments that are written in Python.
    #[command(subcommand)]
    Install(Install),
    /// Live in an environment at random and tell what it offers, how fast it is, and whether it does the same twice.
    Check {
        /// Its name, or an agent file that describes it.
        #[arg(value_name = "NAME|AGENT.TOML", value_hint = ValueHint::FilePath)]
        environment: String,
        /// The episode's seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// How many steps to take.
        #[arg(long, default_value_t = 200)]
        steps: u64,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// What can be installed.
#[derive(Debug, Subcommand)]
pub enum Install {
    /// Gymnasium, whose environments are then named `gym:ID`.
    Gym {
        /// Packages with more environments: minigrid, ale-py, crafter…
        packages: Vec<String>,
    },
    /// The pages of MiniWoB++, small tasks on the web; Chromium is needed too.
    Miniwob,
}
