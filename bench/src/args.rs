//! The arguments of `sojourn-bench`.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueHint};
use std::path::PathBuf;

/// Measure agents, the log, the controller and recall: one command for each figure.
#[derive(Debug, Parser)]
#[command(name = "sojourn-bench", version, arg_required_else_help = true)]
pub struct Args {
    /// The directory of runs, memories and skills [default: the platform's data directory].
    #[arg(long, global = true, env = "SOJOURN_HOME", value_name = "DIR", value_hint = ValueHint::DirPath, hide_env_values = true)]
    pub home: Option<PathBuf>,

    /// Print diagnostics on stderr; repeat for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// The benchmark.
    #[command(subcommand)]
    pub command: Command,
}

/// The benchmarks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Crafter by BALROG's protocol: the share of the 22 achievements unlocked per episode.
    ///
    /// Episodes are played in worlds that learning never sees, with the skills of the library, which is not changed. With
    /// `--learn-episodes` or `--learn-minutes` an agent first learns from nothing, in a temporary home, and the result of
    /// that learning is measured. Memory starts empty in either case.
    Crafter(Crafter),
    /// MiniWoB++: the share of its small tasks on web pages that are done, with the skills of the library.
    ///
    /// Instances of the tasks are ones that learning never sees. With `--practice-episodes` or `--practice-minutes` the
    /// agent is measured without any skills first, then practises in a temporary home, and is measured again with the
    /// skills that it learned. Memory starts empty in either case.
    Miniwob(Miniwob),
    /// The log: how fast it is written, checked and replayed, and how large it gets.
    Log(LogSpeed),
    /// The controller: how fast a model reads and writes here, for one run and for several, and how much reuse saves.
    ///
    /// Every figure is a ratio between two things measured one after the other; with `--peers` also between this
    /// program and llama.cpp's own, on the same model and with as many threads.
    Controller(ControllerSpeed),
    /// `LoCoMo`: how much of the evidence of questions about long conversations is recalled, without a judge.
    Locomo(Locomo),
    /// BFCL: whether the schemas of published functions become grammars that admit only valid arguments.
    Bfcl(Bfcl),
}

/// `sojourn-bench locomo`.
#[derive(Debug, ClapArgs)]
pub struct Locomo {
    /// The directory of the conversations.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,

    /// Try a grid of ranking weights instead of leaving out one part after the other.
    #[arg(long)]
    pub grid: bool,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn-bench bfcl`.
#[derive(Debug, ClapArgs)]
pub struct Bfcl {
    /// The directory of the functions [default: fetched from the Python package `bfcl-eval`, once].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,

    /// Let the default model write arguments for this many functions, evenly spread.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub model: usize,
}

/// `sojourn-bench log`.
#[derive(Debug, ClapArgs)]
pub struct LogSpeed {
    /// A run to replay and to measure the size of: its id, a unique prefix of it, or `latest`.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,

    /// The number of records to write.
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub records: u32,

    /// The number of turns of an agent's loop, with a model that answers at once.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub turns: u32,

    /// A program that does the same turns with another runtime, such as `bench/peers/langgraph/turns.py`. Its arguments are
    /// the number of turns and a directory; it prints one JSON document. Repeatable.
    #[arg(long = "peer", value_name = "COMMAND")]
    pub peers: Vec<String>,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn-bench controller`.
#[derive(Debug, Clone, ClapArgs)]
pub struct ControllerSpeed {
    /// A model of the catalogue, or a file [default: the default model].
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// Threads for prompts and for generation [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,

    /// The number of runs that send requests at the same time.
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub runs: u32,

    /// The number of repetitions.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,

    /// The directory of llama-bench, llama-server and llama-cli.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub peers: Option<PathBuf>,

    /// Print one JSON document instead of a table.
    #[arg(long)]
    pub json: bool,

    /// Internal: load the model, generate one token and end.
    #[arg(long, hide = true)]
    pub load_only: bool,
}

/// `sojourn-bench crafter`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Crafter {
    /// The number of episodes.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub episodes: u32,

    /// The first world's seed; the others follow. Learning never draws seeds below 1,000,000,000.
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub first_seed: u64,

    /// The maximum number of environment steps of an episode.
    #[arg(long, default_value_t = 2000, value_name = "N")]
    pub steps: u64,

    /// The agent file with model, reflexes and settings [default: the built-in example].
    #[arg(long, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: Option<PathBuf>,

    /// The controller's model: a name from `sojourn models list`, or a file.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// First learn from nothing for this many episodes.
    #[arg(long, value_name = "M", conflicts_with = "learn_minutes")]
    pub learn_episodes: Option<u64>,

    /// First learn from nothing for this many minutes.
    #[arg(long, value_name = "T")]
    pub learn_minutes: Option<u64>,

    /// Without skills: the controller chooses every primitive.
    #[arg(long, conflicts_with_all = ["learn_episodes", "learn_minutes"])]
    pub no_library: bool,

    /// Without memories.
    #[arg(long)]
    pub no_memory: bool,

    /// Play the episodes twice, with the home's memories and without any, and print both. Both have the same budget of
    /// tokens: 2500 an episode, or `--episode-tokens`.
    #[arg(long, conflicts_with_all = ["no_memory", "no_deliberation", "no_library"])]
    pub compare_memory: bool,

    /// The tokens of an episode; once they are used up, the curriculum's first proposal is taken.
    #[arg(long, value_name = "N", conflicts_with_all = ["no_deliberation", "no_library"])]
    pub episode_tokens: Option<u64>,

    /// Without reflexes.
    #[arg(long)]
    pub no_reflex: bool,

    /// With everything that is written down about the game removed (`crafter?documented=false`): no tasks, recipes, examples,
    /// descriptions, rewards or hand-written reflex. The achievements are counted outside of the agent's sight.
    #[arg(long, conflicts_with_all = ["random_policy", "compare_memory"])]
    pub undocumented: bool,

    /// Without the controller's choice: the curriculum's first proposal is taken.
    #[arg(long)]
    pub no_deliberation: bool,

    /// No agent: every action is drawn with equal probability.
    #[arg(long, conflicts_with_all = ["agent", "model", "learn_episodes", "learn_minutes", "no_library", "no_memory", "compare_memory", "no_reflex", "no_deliberation", "episode_tokens"])]
    pub random_policy: bool,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn-bench miniwob`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Miniwob {
    /// The tasks: `all`, or a file with one task a line.
    #[arg(long, default_value = "all", value_name = "all|FILE", value_hint = ValueHint::FilePath)]
    pub tasks: String,

    /// The number of instances of each task.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,

    /// The first instance; the others follow.
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub first_seed: u64,

    /// The maximum number of actions of an episode.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub max_steps: u64,

    /// The number of tabs in which episodes run in parallel.
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub tabs: usize,

    /// Measure without skills, practise for this many episodes, and measure again.
    #[arg(long, value_name = "N", conflicts_with = "practice_minutes")]
    pub practice_episodes: Option<u64>,

    /// Measure without skills, practise for this many minutes, and measure again.
    #[arg(long, value_name = "T")]
    pub practice_minutes: Option<u64>,

    /// The agent file with model and settings [default: the built-in example].
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

    /// Without the controller: a task without a skill is left out.
    #[arg(long)]
    pub no_deliberation: bool,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}
