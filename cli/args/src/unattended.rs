//! `sojourn up`, `schedule`, `approvals`, `ps` and `top`: unattended agents.

use crate::duration;
use clap::{ArgGroup, Args as ClapArgs, Subcommand, ValueEnum, ValueHint};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `sojourn up`.
#[derive(Debug, ClapArgs)]
pub struct Up {
    /// The largest number of runs at the same time; further ones wait.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub runs: u16,

    /// Pause all runs while the disk has less room than this: `500MB`, `2GiB`; 0 never pauses.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = bytes)]
    pub keep_free: u64,

    /// How long runs may take to finish their step when the daemon stops.
    #[arg(long, value_name = "TIME", default_value = "45s", value_parser = duration::parse)]
    pub stop_within: Duration,

    /// Kill a run's process that reports nothing for this long, and start it again.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration::parse)]
    pub hung_after: Duration,

    /// Serve `/metrics` (Prometheus) and `/healthz` at this address of this computer; without one, at 127.0.0.1:8811.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8811")]
    pub http: Option<SocketAddr>,

    /// Write a systemd user unit that runs the daemon with these options, instead of running it. Where there is no systemd, the
    /// unit is printed.
    #[arg(long)]
    pub install: bool,
}

/// `sojourn top`.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct Top {
    /// Look again after this time.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration::parse)]
    pub every: Duration,

    /// Print what is under way now, and end.
    #[arg(long)]
    pub once: bool,

    /// Print one JSON document, and end.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn schedule`.
#[derive(Debug, Subcommand)]
pub enum Schedule {
    /// Add a schedule. `sojourn up` starts its runs.
    #[command(group = ArgGroup::new("when").required(true).args(["every", "cron", "at"]))]
    Add(ScheduleAdd),
    /// Add a schedule that removes old runs, as `sojourn log gc` does. `sojourn up` carries it out.
    ///
    /// No run is under way meanwhile, and none is started. Runs that can be resumed, and those in which skills were learned or
    /// which memories name, stay.
    #[command(group = ArgGroup::new("when").required(true).args(["every", "cron", "at"]))]
    #[command(group = ArgGroup::new("limit").required(true).multiple(true).args(["keep", "older_than"]))]
    Gc(ScheduleGc),
    /// List the schedules, when they are due next, and what came of their last due time.
    List {
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Pause a schedule: nothing is due until it is resumed. A run under way goes on.
    Pause {
        /// The schedule.
        schedule: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Resume a paused schedule. Due times while it was paused are not missed.
    Resume {
        /// The schedule.
        schedule: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Remove a schedule. Its history and its runs stay, a run under way goes on, and what has not started is cancelled.
    Remove {
        /// The schedule.
        schedule: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show recorded due times, the newest first: which run each started, or why it was left out.
    History {
        /// The schedule, also a removed one [default: all].
        schedule: Option<String>,
        /// Show at most this many.
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// `sojourn schedule add`.
#[derive(Debug, ClapArgs)]
pub struct ScheduleAdd {
    /// The agent file (TOML), or the name of an environment with a built-in one.
    #[arg(value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: PathBuf,

    /// When it is due.
    #[command(flatten)]
    pub when: When,

    /// What becomes of due times at which the daemon did not run, or the computer slept.
    #[arg(long, value_enum, default_value_t = Missed::Run)]
    pub missed: Missed,

    /// What becomes of a due time while an earlier run of the schedule is under way.
    #[arg(long, value_enum, default_value_t = Overlap::Refuse)]
    pub overlap: Overlap,

    /// The schedule's name [default: that of the agent file].
    #[arg(long)]
    pub name: Option<String>,

    /// Stop each run after this many environment steps.
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,

    /// Stop each run after this time.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub time: Option<Duration>,

    /// The seed of every random choice in the runs.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// What the workers must have that carry the runs out, such as `gpu,web`. Needs `--store`.
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub labels: Vec<String>,

    /// Set a key of the agent file: `--set run.actor.candidates=8`. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn schedule gc`.
#[derive(Debug, ClapArgs)]
pub struct ScheduleGc {
    /// When it is due.
    #[command(flatten)]
    pub when: When,

    /// Remove all runs but the newest N.
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,

    /// Remove runs whose last record is older than this: `30d`. With `--keep`, a run is removed only if both allow it.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub older_than: Option<Duration>,

    /// Pause the daemon's runs for it, and resume them afterwards. Without it, it waits until no run is under way.
    #[arg(long)]
    pub pause_runs: bool,

    /// What becomes of due times at which the daemon did not run, or the computer slept.
    #[arg(long, value_enum, default_value_t = Missed::Run)]
    pub missed: Missed,

    /// The schedule's name.
    #[arg(long, default_value = "log-gc")]
    pub name: String,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// When a schedule is due.
#[derive(Debug, ClapArgs)]
pub struct When {
    /// This often: `90s`, `6h`, `1d`. The first is due after this time.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub every: Option<Duration>,

    /// By a cron pattern: minute, hour, day, month, day of the week, as in `0 8 * * mon-fri`.
    #[arg(long, value_name = "PATTERN")]
    pub cron: Option<String>,

    /// Once: `now`, `2026-12-24 18:00`, `2026-12-24T18:00:00Z`.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,

    /// The time zone of `--cron` and `--at`: `Europe/Berlin`, `UTC` [default: this computer's].
    #[arg(long, value_name = "ZONE")]
    pub zone: Option<String>,
}

/// What becomes of missed due times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Missed {
    /// One run makes up for all of them.
    Run,
    /// They are recorded and left out.
    Skip,
}

/// What becomes of due times during an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Overlap {
    /// They are recorded and left out.
    Refuse,
    /// Their runs start one after the other.
    Queue,
    /// Their runs start beside each other.
    Allow,
}

/// `sojourn approvals`.
#[derive(Debug, Subcommand)]
pub enum Approvals {
    /// List the calls that wait for an answer, the newest first.
    List {
        /// Include answered ones.
        #[arg(long)]
        all: bool,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show a call: the tool, all arguments, why a person is asked, and what led to it.
    Show {
        /// The approval.
        approval: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Allow a call, once, exactly as `show` shows it.
    Allow {
        /// The approval.
        approval: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Deny a call.
    Deny {
        /// The approval.
        approval: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// Reads a size in bytes: `500MB`, `2GiB`, `0`.
///
/// # Errors
/// When the text is not a size.
pub fn bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is not a size: write it like `500MB` or `2GiB`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1_u64 << 40,
        _ => return Err(bad()),
    };
    number.checked_mul(factor).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read_in_decimal_and_binary_units() {
        for (text, size) in [("0", 0), ("500MB", 500_000_000), ("2GiB", 2 << 30), ("3 kib", 3072)] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "GiB", "2.5GB", "-1", "1PB", "99999999999TiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
