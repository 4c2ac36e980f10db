//! `sojourn run`, and what branches off from runs or kills them.

use crate::duration;
use clap::{Args as ClapArgs, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

/// `sojourn run`.
#[derive(Debug, ClapArgs)]
pub struct Run {
    /// The agent file (TOML): environment, model, reflexes and settings. `crafter` is the built-in example.
    #[arg(value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: PathBuf,

    /// Stop after this many environment steps; a resumed run, after this many more.
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,

    /// Stop after this time: `90s`, `10m`, `1h30m`; a resumed run, after this much more. Time between two processes of a
    /// run does not count.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub time: Option<Duration>,

    /// The seed of every random choice in the run.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// A goal in words, instead of those of the agent file. Repeatable. `sojourn goal check` shows what it means in the world.
    #[arg(long = "goal", value_name = "TEXT", conflicts_with = "resume")]
    pub goals: Vec<String>,

    /// Set a key of the agent file: `--set run.actor.candidates=8`. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,

    /// Resume an interrupted run; without an id, the latest one in this environment.
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with = "seed")]
    #[allow(clippy::option_option, reason = "clap's way to say: absent, without a value, with one")]
    pub resume: Option<Option<String>>,

    /// Fetch models that are not on this machine first.
    #[arg(long)]
    pub pull: bool,

    /// Print the result as one JSON document.
    #[arg(long)]
    pub json: bool,

    /// Send spans to this collector, by OTLP over HTTP: `http://localhost:4318`.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp: Option<String>,

    /// Carry out the run in this process, without a supervisor that restarts it.
    #[arg(long)]
    pub unsupervised: bool,

    /// Ask nobody at the terminal: what the policy asks is answered as `policy.unanswered` says.
    #[arg(long)]
    pub unattended: bool,

    /// Leave the run to a worker of the store (`sojourn worker`), print its id and end.
    #[arg(long, conflicts_with_all = ["resume", "unsupervised", "pull"])]
    pub queue: bool,

    /// What the worker must have, such as `gpu,web`.
    #[arg(long, value_name = "LABELS", value_delimiter = ',', requires = "queue")]
    pub labels: Vec<String>,

    /// Internal: act as the process that the daemon starts or resumes this run with.
    #[arg(long, value_name = "RUN", hide = true, conflicts_with_all = ["resume", "worker"])]
    pub scheduled: Option<String>,

    /// Internal: how long such a process waits for an approval before it pauses the run.
    #[arg(long, value_name = "TIME", hide = true, default_value = "10m", value_parser = duration::parse)]
    pub release_after: Duration,

    /// Internal: act as the worker that starts or resumes this run.
    #[arg(long, value_name = "RUN", hide = true)]
    pub worker: Option<String>,

    /// Internal: the id of the new run.
    #[arg(long, value_name = "RUN", hide = true, conflicts_with = "resume")]
    pub id: Option<String>,

    /// Internal: who starts or resumes the run, for its log.
    #[arg(long, value_name = "TEXT", hide = true)]
    pub by: Option<String>,
}

/// `sojourn fork`.
#[derive(Debug, ClapArgs)]
pub struct Fork {
    /// The run's id, or a unique prefix of it.
    pub run: String,

    /// The last record that both runs share.
    #[arg(long, value_name = "SEQ")]
    pub at: u64,

    /// The agent file, for settings that the log does not hold, such as how the model is run [default: the built-in
    /// example of the run's environment].
    #[arg(long, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: Option<PathBuf>,

    /// Change a setting from there on: `--set run.actor.candidates=8`. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,

    /// Continue with another model: a name from `sojourn models list`, or a file.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// Add the text of this file to the beginning of every request to the controller.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub prompt_file: Option<PathBuf>,

    /// Stop after this many more environment steps.
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,

    /// Stop after this much more time: `90s`, `10m`, `1h30m`.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub time: Option<Duration>,

    /// A title, shown in lists.
    #[arg(long)]
    pub title: Option<String>,

    /// Create the fork without running it; `sojourn run AGENT.TOML --resume FORK` continues it.
    #[arg(long)]
    pub no_run: bool,

    /// Print the result as one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn simulate-crash`.
#[derive(Debug, ClapArgs)]
pub struct SimulateCrash {
    /// The run's id, or a unique prefix of it.
    pub run: String,

    /// Kill the process after this record. Repeatable.
    #[arg(long, value_name = "SEQ", required_unless_present = "every")]
    pub at: Vec<u64>,

    /// Kill the process after every N-th record, one process after the other.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub every: Option<u64>,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,

    /// Internal: act as the worker process that replays the run in this home and is killed after the first record of `--at`.
    #[arg(long, value_name = "DIR", hide = true)]
    pub worker_home: Option<PathBuf>,

    /// Internal: end after the record of this index, control records not counted.
    #[arg(long, value_name = "INDEX", hide = true, requires = "worker_home")]
    pub until: Option<usize>,
}
