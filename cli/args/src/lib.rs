//! The command line of `sojourn`: commands, options and help texts, without what they do.
//!
//! To add a command: a variant of [`Command`] here, its options in a file of its own, and a module in
//! `cli/src/commands/` that carries it out.

#![forbid(unsafe_code)]

mod bench;
pub mod duration;
mod environments;
mod goals;
mod hear;
mod log;
mod machines;
mod memory;
mod models;
mod reflexes;
mod run;
mod see;
mod skills;
mod speak;
mod studio;
#[cfg(test)]
mod tests;
mod tools;
mod unattended;

pub use bench::Bench;
pub use environments::Environments;
pub use goals::{Goal, Look, World};
pub use hear::Hear;
pub use log::{
    Diff, Export, Format as LogFormat, Import as LogImport, Log, LogCommand, Outcome as LogOutcome, Replay,
};
pub use machines::{Queue, Store, Worker};
pub use memory::{Kind as MemoryKind, Knowledge, Memory, One as OneMemory, Search as MemorySearch};
pub use models::{Doctor, ModelKind, ModelList, Models, Serve};
pub use reflexes::Reflexes;
pub use run::{Fork, Run, SimulateCrash};
pub use see::See;
pub use skills::{Format, Import, SkillHeal, SkillRecord, SkillRun, SkillTest, Skills, Target};
pub use speak::Speak;
pub use studio::{Report, Studio};
pub use tools::{Lang, Tools};
pub use unattended::{Approvals, Missed, Overlap, Schedule, ScheduleAdd, ScheduleGc, Top, Up, When};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// Launch agents that keep learning; inspect and replay their runs.
///
/// One local language model decides; tools perceive and act. Every event is recorded in a log. What an agent learns is kept
/// as memories and as a library of skills; no weight is ever changed.
#[derive(Debug, Parser)]
#[command(name = "sojourn", version, arg_required_else_help = true)]
pub struct Args {
    /// The directory of runs, memories and skills [default: the platform's data directory].
    #[arg(long, global = true, env = "SOJOURN_HOME", value_name = "DIR", value_hint = ValueHint::DirPath, hide_env_values = true, help_heading = GLOBAL)]
    pub home: Option<PathBuf>,

    /// A PostgreSQL database that has the tables of the home instead, for several machines:
    /// `postgres://USER@HOST/DATABASE`. The directory then has what is this machine's own.
    #[arg(long, global = true, env = "SOJOURN_STORE", value_name = "URL", value_hint = ValueHint::Url, hide_env_values = true, help_heading = GLOBAL)]
    pub store: Option<String>,

    /// Print diagnostics on stderr; repeat for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    pub verbose: u8,

    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

impl Args {
    /// The collector that spans are sent to. The worker sends them, not its supervisor.
    pub fn otlp(&self) -> Option<&str> {
        match &self.command {
            Command::Run(run) if run.worker.is_some() || run.scheduled.is_some() || run.unsupervised => {
                run.otlp.as_deref()
            }
            _ => None,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Launch an agent, or resume one that was interrupted.
    ///
    /// Ctrl-C finishes the current step and stops; `--resume` continues from there. A second Ctrl-C stops at once and
    /// loses at most the last few records. A supervisor restarts the worker process that carries out the run when the
    /// worker is killed, runs out of memory or aborts in native code.
    Run(Run),
    /// Keep scheduled agents alive: the daemon that starts their runs, until it is stopped.
    ///
    /// A due run is recorded before it starts, and a run whose process died is resumed. SIGTERM and Ctrl-C let every run finish its
    /// step; the next `sojourn up` resumes them. SIGHUP reads the schedules again. With `--store` it starts no run itself: due runs go into
    /// the queue, and workers carry them out. Any number of machines may do that for one store.
    Up(Up),
    /// Carry out runs of a queue that several machines share, until it is stopped.
    ///
    /// Needs `--store`. A run that a worker had when it died, or was cut off, goes on at another one from its last record. SIGTERM and
    /// Ctrl-C let every run finish its step, and give it back.
    Worker(Worker),
    /// List and cancel the runs that wait for a worker; `sojourn run --queue` adds one.
    #[command(subcommand)]
    Queue(Queue),
    /// Copy everything from a home into a database that several machines share, or back.
    #[command(subcommand)]
    Store(Store),
    /// Say when agents run: add, list, pause and remove schedules; what became of each due time.
    #[command(subcommand)]
    Schedule(Schedule),
    /// List and answer the calls that wait for a person.
    #[command(subcommand)]
    Approvals(Approvals),
    /// Show the runs under way: on what, steps and tokens per second, memory.
    Ps(Reading),
    /// Watch the runs under way, the busiest first, until Ctrl-C or `q`.
    ///
    /// Without a terminal it prints once and ends.
    Top(Top),
    /// Fork a run: a new run with the records of another up to one, which continues on its own from there.
    ///
    /// The original run is not changed. The skills that a fork learns stay in its log; the skill library does not get them.
    Fork(Fork),
    /// Kill a run's process at a record, resume it, and check that nothing was lost. The run itself is not touched.
    ///
    /// The run is replayed in a temporary home by a process that takes all answers from the log: those of the model, of
    /// tools, of people and of environments that are not built in. SIGKILL ends the process as soon as the record is on the
    /// disk, and the next process resumes the run.
    ///
    /// When a call that its tool does not declare repeatable is running at that record, its outcome is unknown. Such a
    /// process is resumed in a copy of the home; the run must equal the recorded one up to there and must report the unknown
    /// outcome to the agent. A run that was resumed or forked cannot be replayed this way, and no run can be killed at the
    /// record where it gives up a failing controller.
    SimulateCrash(SimulateCrash),
    /// Measure how well an agent does with what it has learned, in episodes that learning never sees.
    ///
    /// Nothing is learned and nothing in the home is changed: the episodes are a run in a temporary home, with the skills of the
    /// library and without memories. Of each task it prints in how many episodes its goal was reached. Ctrl-C prints what came so far.
    Bench(Bench),
    /// List the runs, newest first.
    Runs(Reading),
    /// Show a run's log record by record; verify, recover, export, import and collect logs.
    Log(Log),
    /// Replay a run: to watch it, or to verify that it happens again exactly as recorded.
    Replay(Replay),
    /// Open the studio: a web page to watch runs live, to see what an agent knew and decided, and to fork it.
    ///
    /// It is served on this machine alone, and prints the address to open. The address holds an access token; the browser keeps
    /// it in a cookie from then on. Nothing is fetched from elsewhere.
    Studio(Studio),
    /// Write a run into one HTML file that needs no server: its timeline, a scrubber and plots.
    ///
    /// The file has at most 10 MiB. Of a longer run it holds what stands out and a sample of the rest, and says so.
    Report(Report),
    /// Compare two runs: where they diverge, and the results of each.
    Diff(Diff),
    /// Search, correct and forget memories.
    #[command(subcommand)]
    Memory(Memory),
    /// Add documents to agents' knowledge; list, search and remove them.
    #[command(subcommand)]
    Knowledge(Knowledge),
    /// Show, run, test and exchange learned skills.
    #[command(subcommand)]
    Skills(Skills),
    /// Show learned reflexes, and switch them on and off.
    #[command(subcommand)]
    Reflexes(Reflexes),
    /// Serve skills, memories and logs to other programs, by the Model Context Protocol.
    ///
    /// The server uses standard input and output, or HTTP with `--http`. Active skills are tools, if
    /// their environment has a name or is that of `--agent`; each call runs in a fresh world. The tool `memory_search` recalls memories. Runs and their logs are resources.
    Mcp(Mcp),
    /// List and call the tools of an agent; create and check tool plugins.
    #[command(subcommand)]
    Tools(Tools),
    /// List, install and check environments.
    #[command(subcommand)]
    Environments(Environments),
    /// Show what a world is like, as an agent finds it out.
    #[command(subcommand)]
    World(World),
    /// Show what goals in words mean in a world.
    #[command(subcommand)]
    Goal(Goal),
    /// List, fetch and serve models.
    #[command(subcommand)]
    Models(Models),
    /// Read, search, compare and describe pictures.
    ///
    /// Prints the size of a picture, the text in it, where words stand, or what differs from another, or how similar another is. Boxes are given as
    /// `X,Y WIDTHxHEIGHT` in pixels from the top left. Reading and finding need the model `pp-ocrv6-small`, and
    /// similarity needs `dinov2-small`. Describing and asking need a model that sees, as two files. Exit code 1 says that
    /// the words were not found, or that the pictures differ.
    See(See),
    /// Listen to a sound: write down what is said, or find when somebody speaks.
    ///
    /// Prints a line for each span of speech as it is heard: its beginning and end and its words. The words need the model
    /// `whisper-tiny.en`, which knows English; larger ones can be given. Exit code 1 says that no speech was heard.
    Hear(Hear),
    /// Speak a text, to a WAV file.
    ///
    /// Runs the program `espeak-ng`, which has to be installed.
    Speak(Speak),
    /// Report what this machine has and what is missing.
    Doctor(Doctor),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// `sojourn mcp`.
#[derive(Debug, ClapArgs)]
pub struct Mcp {
    /// An agent file whose environment is not one with a name: skills of a site, a program or a server are served with it.
    #[arg(long, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: Option<PathBuf>,
    /// Serve over HTTP at this address.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8808")]
    pub http: Option<SocketAddr>,
    /// The environment variable that holds the access token; when it is not set, a new token is printed.
    #[arg(long, default_value = "SOJOURN_MCP_TOKEN", value_name = "NAME", requires = "http")]
    pub token_env: String,
    /// A host name that requests may be addressed to, besides localhost. Repeatable.
    #[arg(long, value_name = "HOST", requires = "http")]
    pub allow_host: Vec<String>,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct Reading {
    /// Print one JSON document instead of a table.
    #[arg(long)]
    pub json: bool,
}
