//! `sojourn log`, `sojourn replay` and `sojourn diff`.

use crate::duration;
use clap::{Args as ClapArgs, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

/// `sojourn log`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Log {
    /// A subcommand; without one, the records are listed.
    #[command(subcommand)]
    pub command: Option<LogCommand>,

    /// The run's id, a unique prefix of it, or `latest`.
    #[arg(required = true)]
    pub run: Option<String>,

    /// Only records of this kind (`ask_controller`, `acted`, `finish`, …). Repeatable.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,

    /// Only records of attempts at this task.
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,

    /// Only records of this skill: its trials and its runs, with every record inside them.
    #[arg(long, value_name = "SKILL")]
    pub skill: Option<String>,

    /// Only errors and failures.
    #[arg(long)]
    pub errors: bool,

    /// Only the steps in which the agent died.
    #[arg(long)]
    pub deaths: bool,

    /// Only ends of calls, skills and tasks with this outcome.
    #[arg(long, value_enum, value_name = "OUTCOME")]
    pub outcome: Option<Outcome>,

    /// The first record.
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub from: u64,

    /// The last record.
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,

    /// Wait for new records until the run has ended.
    #[arg(long, short, conflicts_with = "to")]
    pub follow: bool,

    /// Print whole records, one JSON document a line.
    #[arg(long)]
    pub json: bool,
}

/// What came of a call, a skill or a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Outcome {
    /// It did what it was to do, or the goal of the episode was reached.
    Done,
    /// It did not, and the agent lives.
    Failed,
    /// The agent died.
    Died,
}

/// The subcommands of `sojourn log`.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Show one record in full: prompts and answers, tokens, times, recalled memories and their scores.
    Show {
        /// The run's id, a unique prefix of it, or `latest`.
        run: String,
        /// The record's number.
        seq: u64,
        /// Print modules, states, grammars and equal candidates in full.
        #[arg(long)]
        full: bool,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check that logs are as they were written: the chain of hashes, the blobs, the records that forks start from.
    ///
    /// A chain of hashes proves that nothing before its last record was changed, added or removed. That the last record is
    /// the last one written is proven by heads that are kept elsewhere: in the home's `heads` directory, and in files that
    /// `sojourn log head` wrote and that nobody else can change. Records whose content was forgotten are counted: only their
    /// place in the chain is proven.
    Verify {
        /// The run's id, its beginning, or `latest` [default: all runs].
        run: Option<String>,
        /// A file of heads that `sojourn log head` wrote: its records must be there, unchanged. Repeatable.
        #[arg(long = "head", value_name = "FILE", value_hint = ValueHint::FilePath)]
        heads: Vec<PathBuf>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Print the number and the hash of a run's last record, one JSON document a line, for `log verify --head`.
    ///
    /// Keep them where nobody who can write the home can change them: on another machine, in a repository, on paper.
    Head {
        /// The run's id, its beginning, or `latest` [default: all runs].
        run: Option<String>,
    },
    /// Save the intact records of a damaged run, and report the records that are lost.
    ///
    /// The intact beginning becomes a new run, which can be resumed, replayed and exported. The damaged run is not
    /// changed.
    Recover {
        /// The run's id, a unique prefix of it, or `latest`.
        run: String,
        /// Save the run into this home under its own id. Needed when the database itself is damaged.
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        into: Option<PathBuf>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// List the pictures and sounds of a run, or write one of them to a file.
    Media {
        /// The run's id, a unique prefix of it, or `latest`.
        run: String,
        /// The handle of one picture or sound, to write its bytes.
        handle: Option<String>,
        /// The file, which is replaced atomically [default: stdout].
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "handle")]
        out: Option<PathBuf>,
        /// Print one JSON document.
        #[arg(long, conflicts_with = "handle")]
        json: bool,
    },
    /// Export a run to a file for other homes or other programs.
    Export(Export),
    /// Import a run that `log export` wrote. Every hash is checked; all records are imported, or none.
    Import(Import),
    /// List unreferenced data and, with `--keep` or `--older-than`, old runs; remove them with `--yes`.
    ///
    /// Runs are removed only when every given one of `--keep` and `--older-than` allows it, and never while they can be
    /// resumed or while memories or skills refer to them.
    Gc {
        /// Remove all runs but the newest N.
        #[arg(long, value_name = "N")]
        keep: Option<usize>,
        /// Remove runs whose last record is older than this: `30d`.
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        older_than: Option<Duration>,
        /// Remove the listed data. Without it nothing is changed.
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
    /// The run's id, a unique prefix of it, or `latest`.
    pub run: String,

    /// The format.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,

    /// The last record.
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,

    /// The file, which is replaced atomically [default: stdout].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,

    /// With `--format sft`: the directory of the pictures that the model was shown. The conversations then have the form of multimodal
    /// trainers: lists of parts, and names of these files from the directory of the file.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, requires = "out")]
    pub images: Option<PathBuf>,
}

/// The formats of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// All records, for `log import`.
    Jsonl,
    /// Verified tasks and admitted skills as conversations, to fine-tune models on.
    Sft,
    /// Spans with `gen_ai` names (OTLP/JSON), for trace viewers.
    Otlp,
}

/// `sojourn replay`.
#[derive(Debug, ClapArgs)]
pub struct Replay {
    /// The run's id, a unique prefix of it, or `latest`.
    pub run: String,

    /// The speed as a multiple of real time [default: 8 on a terminal; without pauses elsewhere].
    #[arg(long, value_name = "X", value_parser = speed, conflicts_with_all = ["verify", "rebuild"])]
    pub speed: Option<f64>,

    /// Start at this record.
    #[arg(long, value_name = "SEQ", conflicts_with_all = ["verify", "rebuild"])]
    pub at: Option<u64>,

    /// Wait for a key at each event; needs a terminal.
    #[arg(long, conflicts_with_all = ["verify", "rebuild", "json", "speed"])]
    pub step: bool,

    /// Draw the run as one picture instead: its episodes, the skills that ran, what was unlocked, learned and died of.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["verify", "rebuild", "json", "speed", "at", "step"])]
    pub svg: Option<PathBuf>,

    /// Run the agent, its skills and its environment again with the recorded answers, and compare every record.
    #[arg(long)]
    pub verify: bool,

    /// The time limit for `--verify` [default: none; 2m for a run from elsewhere].
    #[arg(long, value_name = "TIME", value_parser = duration::parse, requires = "verify")]
    pub time: Option<Duration>,

    /// Rebuild the skill library and the memories from the log in a temporary directory, and compare them with those of
    /// the home.
    #[arg(long, conflicts_with = "verify")]
    pub rebuild: bool,

    /// Print JSON: the verdict, or one event a line.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn diff`.
#[derive(Debug, ClapArgs)]
pub struct Diff {
    /// A run's id, a unique prefix of it, or `latest`.
    pub left: String,

    /// The run to compare it with.
    pub right: String,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if number.is_finite() && number > 0.0 {
        Ok(number)
    } else {
        Err("the speed must be greater than 0".to_owned())
    }
}

/// `sojourn log import`.
#[derive(Debug, ClapArgs)]
pub struct Import {
    /// The file; `-` is stdin.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// Refuse a larger file, in GiB. All of it waits in temporary files of the home until it is checked.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub max_gib: u64,

    /// Refuse a file of more lines.
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    pub max_lines: u64,

    /// Refuse a file of more blobs.
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub max_blobs: u64,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}
