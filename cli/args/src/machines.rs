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

    /// Kill a run's process that reports nothing for this long; the run goes on from its last record.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration::parse)]
    pub hung_after: Duration,
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

/// `sojourn store`.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Copy all of a store into a new one: a home into a PostgreSQL database, a database into a home.
    ///
    /// Runs, memories, skills, schedules, approvals and messages are copied as they were when the copy began, and keep their ids.
    /// FROM must be at rest: no run under way, nothing open in a queue. TO must be new. When all is copied, both are read again:
    /// every row of each must be in the other, and each run's chain of hashes must verify. Ctrl-C, or anything else that ends
    /// it, leaves an unfinished copy, which no other command opens; the same command goes on where it was.
    Copy {
        /// The home directory, or `postgres://USER@HOST/DATABASE`, that is copied.
        from: String,
        /// The home directory or the database that becomes the copy.
        to: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}
