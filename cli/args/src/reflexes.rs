//! `sojourn reflexes`.

use clap::Subcommand;

/// `sojourn reflexes`.
#[derive(Debug, Subcommand)]
pub enum Reflexes {
    /// List the reflexes of the library in order of priority.
    List {
        /// Include reflexes that are not active.
        #[arg(long)]
        all: bool,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show a reflex: its source, and the results of episodes with and without it.
    Show {
        /// The reflex.
        name: String,
        /// The version [default: the active one, else the latest].
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Switch a reflex on again.
    Enable {
        /// The reflex.
        name: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Switch a reflex off, from the next run on.
    Disable {
        /// The reflex.
        name: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}
