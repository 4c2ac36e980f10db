//! Everything about logs on the command line.

use crate::duration;
use clap::{Args as ClapArgs, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

/// `sojourn log`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Log {
    /// Something else than the timeline.
    #[command(subcommand)]
    pub command: Option<LogCommand>,

    /// The run's id, its beginning, or `latest`.
    #[arg(required = true)]
    pub run: Option<String>,

    /// Only records of this kind (`ask_controller`, `acted`, `finish`, …). Can be given several times.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,

    /// Only while the agent was at this task.
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,

    /// Only what has to do with this skill: its trials, its runs and all that happened in them.
    #[arg(long, value_name = "SKILL")]
    pub skill: Option<String>,

    /// Only what went wrong.
    #[arg(long)]
    pub errors: bool,

    /// From this record on.
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub from: u64,

    /// Up to this record.
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,

    /// Stay and show what is added, until the run is over.
    #[arg(long, short, conflicts_with = "to")]
    pub follow: bool,

    /// Print one JSON document a line, whole records.
    #[arg(long)]
    pub json: bool,
}

/// What else can be done with logs.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Show everything about one record: prompts and answers in full, tokens, times, recalled memories and why.
    Show {
        /// The run's id, its beginning, or `latest`.
        run: String,
        /// The record's number.
        seq: u64,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check that logs are as they were written: the chain of hashes, the blobs, the places where forks branched off.
    Verify {
        /// The run's id, its beginning, or `latest` [default: all runs].
        run: Option<String>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Save what is intact of a damaged run. What cannot be saved is said.
    ///
    /// The intact beginning becomes a run of its own, which can be resumed, replayed and exported. The damaged run
    /// stays as it is.
    Recover {
        /// The run's id, its beginning, or `latest`.
        run: String,
        /// Save it into this home instead, under its own id: where the database itself is damaged.
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        into: Option<PathBuf>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Write a run to a file that other homes or other programs read.
    Export(Export),
    /// Take in a run that `log export` wrote. Every hash is checked; either all of it comes in or nothing.
    Import {
        /// The file; `-` is stdin.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show, and with `--yes` remove, what no run refers to, and old runs if asked to.
    ///
    /// Runs are only removed where `--keep` or `--older-than` allow it (both, if both are given), and never while they
    /// can be resumed, or while memories or skills rest on them.
    Gc {
        /// Remove runs, but not the newest N.
        #[arg(long, value_name = "N")]
        keep: Option<usize>,
        /// Remove runs whose last record is older than this: `30d`.
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        older_than: Option<Duration>,
        /// Do it. Without, nothing is changed.
        #[arg(long)]
        yes: bool,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// `sojourn log export`.
#[derive(Debug, ClapArgs)]
pub struct Export {
    /// The run's id, its beginning, or `latest`.
    pub run: String,

    /// What for.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,

    /// Up to this record.
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,

    /// The file; it is replaced when all of it is written [default: stdout].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// What an export is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Everything, for `log import`.
    Jsonl,
    /// Verified tasks and admitted skills as conversations, to fine-tune models on.
    Sft,
    /// Spans with `gen_ai` names (OTLP/JSON), for viewers of traces.
    Otlp,
}

/// `sojourn replay`.
#[derive(Debug, ClapArgs)]
pub struct Replay {
    /// The run's id, its beginning, or `latest`.
    pub run: String,

    /// So many times as fast as it happened; on a terminal the default is 8, elsewhere there are no pauses.
    #[arg(long, value_name = "X", value_parser = speed, conflicts_with_all = ["verify", "rebuild"])]
    pub speed: Option<f64>,

    /// Begin at this record.
    #[arg(long, value_name = "SEQ", conflicts_with_all = ["verify", "rebuild"])]
    pub at: Option<u64>,

    /// Wait for a key at each event. On a terminal only.
    #[arg(long, conflicts_with_all = ["verify", "rebuild", "json", "speed"])]
    pub step: bool,

    /// Run the agent, its skills and its environment again on the recorded answers, and compare every record.
    #[arg(long)]
    pub verify: bool,

    /// Make the skill library and the memories again from the log, in a place of their own, and compare them with
    /// those of the home.
    #[arg(long, conflicts_with = "verify")]
    pub rebuild: bool,

    /// Print JSON: the verdict, or the story line by line.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn diff`.
#[derive(Debug, ClapArgs)]
pub struct Diff {
    /// A run's id, its beginning, or `latest`.
    pub left: String,

    /// Another's.
    pub right: String,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn bench log`.
#[derive(Debug, ClapArgs)]
pub struct LogSpeed {
    /// A run to replay and to weigh as well: its id, its beginning, or `latest`.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,

    /// Records to write.
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub records: u32,

    /// Turns of an agent's loop with a model that answers at once.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub turns: u32,

    /// A program that does the same turns with another runtime, as `benches/peers/langgraph/turns.py` does: it is called with
    /// the number of turns and a directory, and prints one JSON document. Can be given several times.
    #[arg(long = "peer", value_name = "COMMAND")]
    pub peers: Vec<String>,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("it has to be more than 0".to_owned()) }
}
