//! `sojourn goal` and `sojourn world`.

use clap::{Args as ClapArgs, Subcommand, ValueHint};
use std::path::PathBuf;

/// `sojourn goal`.
#[derive(Debug, Subcommand)]
pub enum Goal {
    /// Show by which condition the program will see that the goals of an agent are reached.
    ///
    /// The goals are those of the agent file, or those of `--goal`. Where one is only words, the model says which field of the
    /// world's state shows it, after the program has looked around there. Exit code 1 says that a goal means nothing there.
    Check {
        /// The agent file.
        #[arg(value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
        agent: PathBuf,
        /// A goal in words, instead of those of the agent file. Repeatable.
        #[arg(long = "goal", value_name = "TEXT")]
        goals: Vec<String>,
        /// How the world is looked at.
        #[command(flatten)]
        look: Look,
        /// Fetch the model first, where it is not on this machine.
        #[arg(long)]
        pull: bool,
    },
    /// Give a goal to a run that is under way.
    ///
    /// Its process takes the goal up before the next episode, and the log says who asked. A run that nobody carries out takes it up when
    /// it is resumed. Where the goal is one of the world's own tasks, the run does nothing else from then on than its goals and what
    /// they need. `sojourn goal list` says what became of it.
    Add {
        /// The run: its id, a unique prefix of it, or `latest`.
        run: String,
        /// The goal: the name of a task of the world, or words that the model finds a condition for.
        #[arg(value_name = "TEXT")]
        goal: String,
        /// When it is reached, as `sojourn goal check` prints it, in JSON: `{"equals": {"path": "/door", "value": "open"}}`.
        #[arg(long, value_name = "JSON")]
        condition: Option<String>,
    },
    /// List the goals that were given to a run while it was under way, and what became of them.
    List {
        /// The run: its id, a unique prefix of it, or `latest`.
        run: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// `sojourn world`.
#[derive(Debug, Subcommand)]
pub enum World {
    /// Play in a practice world without a goal, and show what can be found out: the fields of the state, what calls change, and the
    /// tasks that an agent makes of that where the world documents none; and what the home's newest run in this world believes.
    ///
    /// For a run it shows what that run believes by its last stage of discovery: what each call needs, uses up and brings about, with
    /// how often it worked and failed, and the tasks and recipes that are made of it.
    Show {
        /// The environment's name, an agent file that describes one, or a run: its id, a unique prefix of it, or `latest`.
        #[arg(value_name = "NAME|AGENT.TOML|RUN", value_hint = ValueHint::FilePath)]
        environment: String,
        /// How the world is looked at.
        #[command(flatten)]
        look: Look,
    },
}

/// How a world is looked at.
#[derive(Debug, Clone, ClapArgs)]
pub struct Look {
    /// The seed of the practice worlds.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Set a key of the agent file: `--set discover.episodes=100`. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}
