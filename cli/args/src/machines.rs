//! `sojourn worker` and `queue`: runs of several machines.

use crate::duration;
use clap::{Args as ClapArgs, Subcommand};
use std::time::Duration;

/// `sojourn worker`.
#[derive(Debug, ClapArgs)]
pub struct Worker {
    /// The largest number of runs at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub runs: u16,

    /// What this machine has, such as `gpu,web`. Runs that need other labels are left to other workers.
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub labels: Vec<String>,

    /// How long runs may take to finish their step when the worker stops.
    #[arg(long, value_name = "TIME", default_value = "45s", value_parser = duration::parse)]
    pub stop_within: Duration,
}

/// `sojourn queue`.
#[derive(Debug, Subcommand)]
pub enum Queue {
    /// List the runs that were submitted: which worker has each, and what came of it.
    List {
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Take a run out of the queue. A worker that carries it out stops it within a few seconds.
    Cancel {
        /// The run.
        run: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}
