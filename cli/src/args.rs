//! What the command line understands.

mod environments;
mod log;
mod memory;
mod reflexes;
mod skills;
mod tools;

pub use environments::{Environments, Install};
pub use log::{Diff, Export, Format as LogFormat, Log, LogCommand, LogSpeed, Replay};
pub use memory::{Knowledge, Memory, One as OneMemory, Search as MemorySearch};
pub use reflexes::Reflexes;
pub use skills::{Format, Import, SkillRun, SkillTest, Skills, Target};
pub use tools::{Lang, Tools};

use crate::duration;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use std::net::SocketAddr;
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

impl Args {
    /// The collector that spans are sent to: by the process that carries a run out, not by its supervisor.
    pub fn otlp(&self) -> Option<&str> {
        match &self.command {
            Command::Run(run) if run.worker.is_some() || run.unsupervised => run.otlp.as_deref(),
            _ => None,
        }
    }
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Launch an agent, or resume one that was interrupted.
    ///
    /// Ctrl-C finishes the step under way and stops; `--resume` goes on from there. A second Ctrl-C stops at once,
    /// and loses at most the last few records. The run is carried out by a worker process that is started again where
    /// it dies: killed, out of memory, or aborted in native code.
    Run(Run),
    /// Branch off from a run: a new run that shares the records up to one, and goes its own way from there.
    ///
    /// The other run is not changed. What a fork learns stays in its log and is not added to the skill library.
    Fork(Fork),
    /// Kill a run's process at a record, resume it, and check that nothing was lost. The run itself is not touched.
    ///
    /// The run is lived again in a home of its own that is thrown away, by a process that gets the recorded answers, is
    /// ended by SIGKILL as soon as the record is on the disk, and is then taken up by the next one. What tools, people and
    /// worlds that are not built in answered comes from the log too: none of them is needed or asked.
    ///
    /// Where a call is under way at the record that its tool does not declare to be repeatable, nobody can know what came of
    /// it: such a process is taken up in a life of its own, which must be as it was up to there and then tell the agent so. A
    /// run that was resumed or forked cannot be lived again, nor can it be killed where it gives up a controller that fails.
    SimulateCrash(SimulateCrash),
    /// List the runs, the newest first.
    Runs(Reading),
    /// Show a run's log: what was seen, thought and done, record by record; check, save, export and import logs.
    Log(Log),
    /// Watch a run again, or check that it happens again exactly as it was recorded.
    Replay(Replay),
    /// Compare two runs: where they part, and what came of each.
    Diff(Diff),
    /// Search, correct and forget what agents remember.
    #[command(subcommand)]
    Memory(Memory),
    /// Give agents documents to know.
    #[command(subcommand)]
    Knowledge(Knowledge),
    /// Show, try, test and exchange the skills that were learned.
    #[command(subcommand)]
    Skills(Skills),
    /// Show the learned reflexes, and switch them on and off.
    #[command(subcommand)]
    Reflexes(Reflexes),
    /// Serve skills, memories and logs to other hosts, by the Model Context Protocol.
    ///
    /// It speaks on standard input and output, or over HTTP with `--http`. Skills in use are tools, each call in a fresh
    /// world; `memory_search` is one too; runs and their logs are resources.
    Mcp(Mcp),
    /// List, call, check and begin tools: an environment's, and those that an agent is given.
    #[command(subcommand)]
    Tools(Tools),
    /// List, install and try environments.
    #[command(subcommand)]
    Environments(Environments),
    /// List, fetch and serve language models.
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

/// `sojourn mcp`.
#[derive(Debug, ClapArgs)]
pub struct Mcp {
    /// Serve over HTTP, at this address.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8808")]
    pub http: Option<SocketAddr>,
    /// The environment variable that holds the token; where it is not set, one is made and told.
    #[arg(long, default_value = "SOJOURN_MCP_TOKEN", value_name = "NAME", requires = "http")]
    pub token_env: String,
    /// A name of this machine that requests may be addressed to, besides localhost.
    #[arg(long, value_name = "HOST", requires = "http")]
    pub allow_host: Vec<String>,
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
    /// The agent file (TOML): environment, model, reflexes and settings. `crafter` is the built-in example.
    #[arg(value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: PathBuf,

    /// Stop after so many environment steps; of a resumed run, after so many more.
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,

    /// Stop after so much time: `90s`, `10m`, `1h30m`; a resumed run after so much more. The time that a run lies
    /// still does not count.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub time: Option<Duration>,

    /// Where all chance in the run comes from.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Set any key of the agent file: `--set run.actor.candidates=8`. Can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,

    /// Go on with an interrupted run; without an id, with the latest one in this environment.
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with = "seed")]
    #[allow(clippy::option_option, reason = "clap's way to say: absent, without a value, with one")]
    pub resume: Option<Option<String>>,

    /// Fetch the models first where they are not on this machine.
    #[arg(long)]
    pub pull: bool,

    /// Print the result as one JSON document.
    #[arg(long)]
    pub json: bool,

    /// Send what goes on as spans to this collector, which takes OTLP over HTTP: `http://localhost:4318`.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp: Option<String>,

    /// Do not start the worker again where it dies: it is this process.
    #[arg(long)]
    pub unsupervised: bool,

    /// Be the worker that begins this run, or goes on with it.
    #[arg(long, value_name = "RUN", hide = true)]
    pub worker: Option<String>,
}

/// `sojourn fork`.
#[derive(Debug, ClapArgs)]
pub struct Fork {
    /// The run's id, or its beginning.
    pub run: String,

    /// The last record that both runs have in common.
    #[arg(long, value_name = "SEQ")]
    pub at: u64,

    /// The agent file for everything that the log does not hold: how the model is run, and where [default: the
    /// built-in example of the run's environment].
    #[arg(long, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: Option<PathBuf>,

    /// Change a setting from there on: `--set run.actor.candidates=8`. Can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,

    /// Go on with another model: a name from `sojourn models list`, or a file.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// Add the text of this file to what the controller is told at the beginning of every request.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub prompt_file: Option<PathBuf>,

    /// Stop after so many more environment steps.
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,

    /// Stop after so much more time: `90s`, `10m`, `1h30m`.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub time: Option<Duration>,

    /// A name for people.
    #[arg(long)]
    pub title: Option<String>,

    /// Only make the fork; `sojourn run AGENT.TOML --resume FORK` goes on with it.
    #[arg(long)]
    pub no_run: bool,

    /// Print the result as one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn simulate-crash`.
#[derive(Debug, ClapArgs)]
pub struct SimulateCrash {
    /// The run's id, or its beginning.
    pub run: String,

    /// Kill the process after this record. Can be given several times.
    #[arg(long, value_name = "SEQ", required_unless_present = "every")]
    pub at: Vec<u64>,

    /// Kill it after every N-th record, one process after the other.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub every: Option<u64>,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,

    /// Be the worker process that replays the run in this home and is killed after the first record of `--at`.
    #[arg(long, value_name = "DIR", hide = true)]
    pub worker_home: Option<PathBuf>,

    /// End after the record of this index, control records not counted.
    #[arg(long, value_name = "INDEX", hide = true, requires = "worker_home")]
    pub until: Option<usize>,
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
    /// Keep a model in memory for any number of runs.
    ///
    /// Runs whose agent file says `[controller] kind = "served"` ask this process, which writes their answers together,
    /// each word of all of them in one go, and reads what their prompts have in common once.
    Serve(Serve),
    /// Print where a model's file is.
    Path {
        /// A name from `sojourn models list`.
        name: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// `sojourn models serve`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Serve {
    /// A model of the catalogue, or a file [default: the default model].
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,

    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8809")]
    pub http: SocketAddr,

    /// The environment variable that holds the token; where it is not set, one is made and told.
    #[arg(long, default_value = "SOJOURN_MODEL_TOKEN", value_name = "NAME")]
    pub token_env: String,

    /// Tokens held at once, by all runs together.
    #[arg(long, value_name = "N", default_value_t = 16384)]
    pub context_tokens: u32,

    /// How many answers are written at the same time.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub answers: u32,

    /// How much memory may hold prompts that no run is asking about now, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub prompt_memory_mib: u32,

    /// A smaller model of the same family that guesses what the model says next.
    #[arg(long, value_name = "MODEL")]
    pub draft: Option<String>,

    /// Threads, for reading and for writing; measured without a number.
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,

    /// Be the worker that has the model.
    #[arg(long, hide = true)]
    pub worker: bool,
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
    /// MiniWoB++: the share of its small tasks on web pages that are done, with what the skill library holds.
    ///
    /// Instances of the tasks are ones that learning never sees. With `--practice-episodes` or `--practice-minutes` the
    /// agent is measured without any skills first, then practises in a home of its own that is thrown away, and is measured
    /// again with what it learned. Memory starts empty in either case.
    Miniwob(Miniwob),
    /// The log: how fast it is written, checked and replayed, and how large it gets.
    Log(LogSpeed),
    /// The controller: how fast a model reads and writes here, for one run and for several, and what reuse wins.
    ///
    /// Every figure is a ratio between two things measured one after the other; with `--peers` also between this
    /// program and llama.cpp's own, on the same model and with as many threads.
    Controller(ControllerSpeed),
}

/// `sojourn bench controller`.
#[derive(Debug, Clone, ClapArgs)]
pub struct ControllerSpeed {
    /// A model of the catalogue, or a file [default: the default model].
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// Threads, for reading and for writing [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,

    /// How many runs ask at once.
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub runs: u32,

    /// How often everything is measured.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,

    /// Where llama-bench, llama-server and llama-cli are.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub peers: Option<PathBuf>,

    /// Print one JSON document instead of a table.
    #[arg(long)]
    pub json: bool,

    /// Load the model, write one token and end.
    #[arg(long, hide = true)]
    pub load_only: bool,
}

/// `sojourn bench crafter`.
#[derive(Debug, Clone, ClapArgs)]
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

    /// Play the episodes twice, with the home's memories and without any, and print both. Both may use the same tokens:
    /// 2500 an episode, or `--episode-tokens`.
    #[arg(long, conflicts_with_all = ["no_memory", "no_deliberation", "no_library"])]
    pub compare_memory: bool,

    /// Tokens that an episode is worth; when they are used up, the curriculum's first proposal is taken.
    #[arg(long, value_name = "N", conflicts_with_all = ["no_deliberation", "no_library"])]
    pub episode_tokens: Option<u64>,

    /// Without reflexes.
    #[arg(long)]
    pub no_reflex: bool,

    /// Without the controller's choice: the curriculum's first proposal is taken.
    #[arg(long)]
    pub no_deliberation: bool,

    /// No agent at all: every action is drawn with equal chances.
    #[arg(long, conflicts_with_all = ["agent", "model", "learn_episodes", "learn_minutes", "no_library", "no_memory", "compare_memory", "no_reflex", "no_deliberation", "episode_tokens"])]
    pub random_policy: bool,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn bench miniwob`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Miniwob {
    /// The tasks: `all`, or a file with one a line.
    #[arg(long, default_value = "all", value_name = "all|FILE", value_hint = ValueHint::FilePath)]
    pub tasks: String,

    /// How many instances of each task to do.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,

    /// The first instance; the others follow.
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub first_seed: u64,

    /// Actions after which an episode is over.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub max_steps: u64,

    /// Tabs in which episodes go on side by side.
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub tabs: usize,

    /// Measure without skills, practise for so many episodes, and measure again.
    #[arg(long, value_name = "N", conflicts_with = "practice_minutes")]
    pub practice_episodes: Option<u64>,

    /// Measure without skills, practise for so many minutes, and measure again.
    #[arg(long, value_name = "T")]
    pub practice_minutes: Option<u64>,

    /// Take model and settings from this agent file [default: the built-in example's].
    #[arg(long, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: Option<PathBuf>,

    /// The controller's model: a name from `sojourn models list`, or a file.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// Without skills: the controller chooses every action.
    #[arg(long, conflicts_with_all = ["practice_episodes", "practice_minutes"])]
    pub no_library: bool,

    /// Without memories.
    #[arg(long)]
    pub no_memory: bool,

    /// Without the controller: a task that there is no skill for is left alone.
    #[arg(long)]
    pub no_deliberation: bool,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}
