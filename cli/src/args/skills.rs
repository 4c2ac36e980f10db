use clap::{Args as ClapArgs, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

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
    /// Show a skill: its source, what earned it its place, what it calls, and how it has done since.
    Show {
        /// Which skill.
        #[command(flatten)]
        target: Target,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Run a skill in a fresh world, without reflexes, and show what it does. Nothing is recorded.
    Run(SkillRun),
    /// Run skills in their regression cases: the worlds that earned them their place. Fails if one fails.
    Test(SkillTest),
    /// Tell what became of a skill: every event, its time, and where it came from.
    History {
        /// The skill.
        name: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show what changed between two versions of a skill.
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
    /// Take a version out of use. It is kept.
    Retire {
        /// Which skill.
        #[command(flatten)]
        target: Target,
        /// Why, for its history.
        #[arg(long, value_name = "TEXT", default_value = "retired by hand")]
        reason: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Let a retired version be tried again; `skills test --admit` puts it back into use.
    Unretire {
        /// Which skill.
        #[command(flatten)]
        target: Target,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Go back to an earlier admitted version.
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
    /// Make a skill an alias of another that does the same in the same cases.
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
        /// Every skill in use.
        #[arg(long)]
        all: bool,
        /// Where the folders are written.
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
    /// Draw which skill calls which.
    Graph {
        /// What to write.
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

    /// Which version [default: the active one, else the latest].
    #[arg(long, value_name = "N")]
    pub version: Option<u32>,
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

/// `sojourn skills test`.
#[derive(Debug, ClapArgs)]
pub struct SkillTest {
    /// The skill.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub name: Option<String>,

    /// Which version [default: the active one, else the latest].
    #[arg(long, value_name = "N", conflicts_with = "all")]
    pub version: Option<u32>,

    /// Every skill in use; with `--admit`, every draft, those first that others call.
    #[arg(long)]
    pub all: bool,

    /// Try a draft in fresh practice worlds, and admit it if it earns that.
    #[arg(long)]
    pub admit: bool,

    /// Record that stale skills which pass were tested with the skills that they call now.
    #[arg(long, conflicts_with = "admit")]
    pub renew: bool,

    /// Where the fresh worlds are drawn from.
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
    /// A skill's folder, or one that holds several.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,

    /// The environment of skills that do not name theirs.
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// What a graph is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For Graphviz.
    Dot,
    /// A picture.
    Svg,
}
