//! `sojourn skills`.

use clap::{Args as ClapArgs, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

/// `sojourn skills`.
#[derive(Debug, Subcommand)]
pub enum Skills {
    /// List the skills and their success counts.
    List {
        /// Include versions that are not active.
        #[arg(long)]
        all: bool,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show a skill: its source, its admission report, the skills that it calls, and its success counts.
    Show {
        /// The skill and its version.
        #[command(flatten)]
        target: Target,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Make a skill of what you do once in a browser, or of an episode of a run. It replays without a model.
    Record(SkillRecord),
    /// Repair a recorded skill whose page has changed: search near the recording for a way that works, without a model.
    Heal(SkillHeal),
    /// Run a skill in a fresh world, without reflexes, and show its calls. Nothing is recorded.
    Run(SkillRun),
    /// Run skills in their regression cases, the worlds of their admission. The exit code is 1 if a case fails.
    Test(SkillTest),
    /// Show the history of a skill: every event, its time and its origin.
    History {
        /// The skill.
        name: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show the changes between two versions of a skill.
    Diff {
        /// The skill.
        name: String,
        /// The version to start from [default: the one before].
        #[arg(value_name = "FROM")]
        from: Option<u32>,
        /// The version to compare it with [default: the active one, else the latest].
        #[arg(value_name = "TO")]
        to: Option<u32>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Deactivate a version. It is kept.
    Retire {
        /// The skill and its version.
        #[command(flatten)]
        target: Target,
        /// The reason, for the skill's history.
        #[arg(long, value_name = "TEXT", default_value = "retired by hand")]
        reason: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Make a retired version a draft again; `skills test --admit` activates it.
    Unretire {
        /// The skill and its version.
        #[command(flatten)]
        target: Target,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Activate an earlier admitted version.
    Rollback {
        /// The skill.
        name: String,
        /// The version [default: the admitted one before the active one].
        #[arg(long, value_name = "N")]
        to: Option<u32>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Make a skill an alias of another one that passes its cases.
    Merge {
        /// The skill that becomes an alias.
        name: String,
        /// The skill that stays.
        into: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Write skills as Agent Skills folders: `SKILL.md`, the script, its schema and its cases.
    #[command(allow_missing_positional = true)]
    Export {
        /// The skill.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        name: Option<String>,
        /// Every active skill.
        #[arg(long)]
        all: bool,
        /// The directory of the new folders.
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath, required = true)]
        dir: Option<PathBuf>,
        /// The licence that `SKILL.md` names.
        #[arg(long, value_name = "TEXT")]
        license: Option<String>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Read Agent Skills folders. Skills arrive as drafts and must earn admission here.
    Import(Import),
    /// Draw the graph of which skill calls which.
    Graph {
        /// The format.
        #[arg(long, value_enum, default_value_t = Format::Dot)]
        format: Format,
        /// Write it to this file instead of stdout.
        #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
        /// Print one JSON document: nodes and edges.
        #[arg(long, conflicts_with_all = ["format", "output"])]
        json: bool,
    },
}

/// One version of one skill.
#[derive(Debug, ClapArgs)]
pub struct Target {
    /// The skill.
    pub name: String,

    /// The version [default: the active one, else the latest].
    #[arg(long, value_name = "N")]
    pub version: Option<u32>,
}

/// `sojourn skills run`.
#[derive(Debug, ClapArgs)]
pub struct SkillRun {
    /// The skill; its active version runs.
    pub name: String,

    /// The arguments, as a JSON object: `{"n": 3}`.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub args: String,

    /// The environment [default: the one it was learned in].
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,

    /// The agent file that describes the environment: a site, a program, a server.
    #[arg(long, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath, conflicts_with = "environment")]
    pub agent: Option<PathBuf>,

    /// The world's seed.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// The maximum number of environment steps.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub steps: u32,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn skills record`.
#[derive(Debug, ClapArgs)]
pub struct SkillRecord {
    /// The new skill, as a function is named: `log_in`.
    pub name: String,

    /// The page to begin on. A new agent file is written for it.
    #[arg(long, value_name = "URL", required_unless_present_any = ["agent", "run"], conflicts_with_all = ["agent", "run"])]
    pub url: Option<String>,

    /// The agent file of a site whose task has the skill's name: its start page, its grants and its success condition are used.
    #[arg(long, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: Option<PathBuf>,

    /// A run on web pages instead of a browser: an id, `latest`, or the beginning of an id. Needs `--agent`.
    #[arg(long, value_name = "RUN", requires = "agent")]
    pub run: Option<String>,

    /// The episode of the run, from 1 [default: the last one that reached its goal].
    #[arg(long, value_name = "N", requires = "run")]
    pub episode: Option<u64>,

    /// Name a value that you type or choose: it becomes this parameter. Without it the field's words are the name.
    #[arg(long, value_name = "NAME=VALUE")]
    pub param: Vec<String>,

    /// An environment variable with a secret that you type in a field that shows it. Fields for passwords need no mention.
    #[arg(long, value_name = "VARIABLE")]
    pub secret: Vec<String>,

    /// A JavaScript expression that is true once the task is done [default: that the last page shows what no page before did].
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "agent")]
    pub until: Option<String>,

    /// The goal in words, for the agent file [default: the name].
    #[arg(long, value_name = "TEXT", conflicts_with = "agent")]
    pub goal: Option<String>,

    /// A further host that the browser may connect to, as `cdn.example.org`.
    #[arg(long, value_name = "HOST", conflicts_with = "agent")]
    pub allow: Vec<String>,

    /// The new agent file [default: NAME.toml].
    #[arg(long, short, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath, conflicts_with = "agent")]
    pub output: Option<PathBuf>,

    /// Carry out the actions of this file, one call a line as `type("User name", "ada")`, in place of a person and without a window;
    /// `-` is stdin. `${VARIABLE}` is typed as the value of that environment variable.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "run")]
    pub input: Option<PathBuf>,

    /// Try the skill without asking. What it does on the site is real, several times.
    #[arg(long)]
    pub yes: bool,

    /// The seed of the trials.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn skills heal`.
#[derive(Debug, ClapArgs)]
pub struct SkillHeal {
    /// The recorded skill.
    pub name: String,

    /// The agent file that describes its site.
    #[arg(long, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: PathBuf,

    /// The maximum number of episodes of the search. In each, other elements are tried, within the grants of the agent file.
    #[arg(long, default_value_t = 60, value_name = "N")]
    pub episodes: usize,

    /// The seed of the search and the trials.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn skills test`.
#[derive(Debug, ClapArgs)]
pub struct SkillTest {
    /// The skill.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub name: Option<String>,

    /// The version [default: the active one, else the latest].
    #[arg(long, value_name = "N", conflicts_with = "all")]
    pub version: Option<u32>,

    /// Every active skill; with `--admit`, every draft, in the order of their calls.
    #[arg(long)]
    pub all: bool,

    /// Try a draft in fresh practice worlds, and admit it if it passes.
    #[arg(long)]
    pub admit: bool,

    /// For skills whose callees changed: record that they pass with the current versions.
    #[arg(long, conflicts_with = "admit")]
    pub renew: bool,

    /// The environment of an imported draft, if it runs a program: naming it says that you trust it.
    #[arg(long, value_name = "NAME", requires = "admit")]
    pub environment: Option<String>,

    /// The agent file that describes the environment: a site, a program, a server.
    #[arg(long, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: Option<PathBuf>,

    /// The seed of the fresh worlds.
    #[arg(long, default_value_t = 1, value_name = "N", requires = "admit")]
    pub seed: u64,

    /// Without the reflexes of the environment and the library.
    #[arg(long)]
    pub no_reflex: bool,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `sojourn skills import`.
#[derive(Debug, ClapArgs)]
pub struct Import {
    /// A skill's folder, or a folder of several.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,

    /// The environment of skills that do not name one. Naming the skills' own environment says that you trust it: an
    /// environment that runs a program is opened only then.
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// The formats of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For Graphviz.
    Dot,
    /// A picture.
    Svg,
}
