//! What the command line understands.

mod memory;

pub use memory::{Knowledge, Memory, One as OneMemory, Search as MemorySearch};

use crate::duration;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use std::path::PathBuf;
use std::time::Duration;

/// The heading of the options that every command has.
const GLOBAL: &str = "Everywhere";

/// Launch agents that keep learning, and inspect and replay what they did.
///
/// One local language model decides; tools perceive and act; everything that happens is kept in a log; what is
/// learned is kept as memories and as a library of skills. No weight is ever changed.
#[derive(Debug, Parser)]
#[command(name = "sojourn", version, arg_required_else_help = true)]
pub struct Args {
    /// Where runs, memories and skills are kept [default: the platform's data directory].
    #[arg(long, global = true, env = "SOJOURN_HOME", value_name = "DIR", value_hint = ValueHint::DirPath, hide_env_values = true, help_heading = GLOBAL)]
    pub home: Option<PathBuf>,

    /// Say on stderr what goes on inside; give it twice or thrice for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    pub verbose: u8,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Launch an agent, or resume one that was interrupted.
    ///
    /// Ctrl-C finishes the step under way and stops; `--resume` goes on from there. A second Ctrl-C stops at once,
    /// and loses at most the last few records.
    Run(Run),
    /// List the runs, the newest first.
    Runs(Reading),
    /// Show a run's log: what was seen, thought and done, record by record.
    Log(Log),
    /// Tell a run's story again, or check that it happens again exactly as it was recorded.
    Replay(Replay),
    /// Search, correct and forget what agents remember.
    #[command(subcommand)]
    Memory(Memory),
    /// Give agents documents to know.
    #[command(subcommand)]
    Knowledge(Knowledge),
    /// Show the skills that were learned.
    #[command(subcommand)]
    Skills(Skills),
    /// Show the tools that an environment offers.
    #[command(subcommand)]
    Tools(Tools),
    /// List and fetch language models.
    #[command(subcommand)]
    Models(Models),
    /// Say what this machine has and what is missing.
    Doctor(Doctor),
    /// Measure how far an agent gets.
    #[command(subcommand)]
    Bench(Bench),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct Reading {
    /// Print one JSON document instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn run`.
#[derive(Debug, ClapArgs)]
pub struct Run {
    /// The agent file (TOML): environment, model, reflexes and settings.
    #[arg(value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: PathBuf,

    /// Stop after so many environment steps.
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,

    /// Stop after so much time: `90s`, `10m`, `1h30m`.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub time: Option<Duration>,

    /// Where all chance in the run comes from.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Set any key of the agent file: `--set run.actor.candidates=8`. Can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,

    /// Go on with an interrupted run; without an id, with the latest one in this environment.
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with_all = ["steps", "time", "seed"])]
    #[allow(clippy::option_option, reason = "clap's way to say: absent, without a value, with one")]
    pub resume: Option<Option<String>>,

    /// Fetch the models first where they are not on this machine.
    #[arg(long)]
    pub pull: bool,

    /// Print the result as one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn log`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Log {
    /// One record instead of the timeline.
    #[command(subcommand)]
    pub one: Option<LogOne>,

    /// The run's id, or its beginning.
    #[arg(required = true)]
    pub run: Option<String>,

    /// Only records of this kind (`think`, `thought`, `acted`, `milestone`, …). Can be given several times.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,

    /// From this record on.
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub from: u64,

    /// Up to this record.
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,

    /// Print one JSON document a line, whole records.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn log show`.
#[derive(Debug, Subcommand)]
pub enum LogOne {
    /// Show one record whole, prompts in full.
    Show {
        /// The run's id, or its beginning.
        run: String,
        /// The record's number.
        seq: u64,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `sojourn replay`.
#[derive(Debug, ClapArgs)]
pub struct Replay {
    /// The run's id, or its beginning.
    pub run: String,

    /// Run the agent, its skills and its environment again on the recorded answers, and compare every record.
    #[arg(long)]
    pub verify: bool,

    /// Print JSON: the verdict, or the story line by line.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn skills`.
#[derive(Debug, Subcommand)]
pub enum Skills {
    /// List the skills with how often they succeeded.
    List {
        /// Also versions that are not in use.
        #[arg(long)]
        all: bool,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show a skill: its source, what earned it its place, and how it has done since.
    Show {
        /// The skill.
        name: String,
        /// Which version [default: the active one, else the latest].
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Run a skill in a fresh world, without reflexes, and show what it does. Nothing is recorded.
    Run(SkillRun),
}

/// `sojourn skills run`.
#[derive(Debug, ClapArgs)]
pub struct SkillRun {
    /// The skill; its active version is run.
    pub name: String,

    /// Its arguments: `{"n": 3}`.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub args: String,

    /// The environment [default: the one it was learned in].
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,

    /// The world's seed.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// Environment steps it may take.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub steps: u32,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn tools`.
#[derive(Debug, Subcommand)]
pub enum Tools {
    /// List the tools, with their parameters and effects.
    List {
        /// Of which environment.
        #[arg(long, default_value = "crafter", value_name = "NAME")]
        environment: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// `sojourn models`.
#[derive(Debug, Subcommand)]
pub enum Models {
    /// List the models that are known by name, and which are on this machine.
    List(Reading),
    /// Fetch a model; goes on where an earlier pull was cut off.
    Pull {
        /// A name from `sojourn models list`.
        name: String,
        /// Print one JSON document when it is there.
        #[arg(long)]
        json: bool,
    },
    /// Print where a model's file is.
    Path {
        /// A name from `sojourn models list`.
        name: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// `sojourn doctor`.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct Doctor {
    /// Also measure how fast the default model reads and writes (a minute or so).
    #[arg(long)]
    pub measure: bool,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn bench`.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Crafter by BALROG's protocol: the share of the 22 achievements unlocked per episode.
    ///
    /// Episodes are played in worlds that learning never sees, with what the skill library holds, and the library is
    /// not changed. With `--learn-episodes` or `--learn-minutes` an agent first learns from nothing, in a
    /// home of its own that is thrown away, and what it learned is measured. Memory starts empty in
    /// either case.
    Crafter(Crafter),
}

/// `sojourn bench crafter`.
#[derive(Debug, ClapArgs)]
pub struct Crafter {
    /// How many episodes to play.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub episodes: u32,

    /// The first world's seed; the others follow. Learning never draws seeds below 1,000,000,000.
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub first_seed: u64,

    /// Environment steps after which an episode is over.
    #[arg(long, default_value_t = 2000, value_name = "N")]
    pub steps: u64,

    /// Take model, reflexes and settings from this agent file [default: the built-in example's].
    #[arg(long, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: Option<PathBuf>,

    /// The controller's model: a name from `sojourn models list`, or a file.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// First learn from nothing for so many episodes.
    #[arg(long, value_name = "M", conflicts_with = "learn_minutes")]
    pub learn_episodes: Option<u64>,

    /// First learn from nothing for so many minutes.
    #[arg(long, value_name = "T")]
    pub learn_minutes: Option<u64>,

    /// Without skills: the controller chooses every primitive.
    #[arg(long, conflicts_with_all = ["learn_episodes", "learn_minutes"])]
    pub no_library: bool,

    /// Without memories.
    #[arg(long)]
    pub no_memory: bool,

    /// Without reflexes.
    #[arg(long)]
    pub no_reflex: bool,

    /// Without the controller's choice: the curriculum's first proposal is taken.
    #[arg(long)]
    pub no_deliberation: bool,

    /// No agent at all: every action is drawn with equal chances.
    #[arg(long, conflicts_with_all = ["agent", "model", "learn_episodes", "learn_minutes", "no_library", "no_memory", "no_reflex", "no_deliberation"])]
    pub random_policy: bool,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}
