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
