//! What `sojourn memory` and `sojourn knowledge` understand.

use super::Reading;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use sojourn_memory::MemoryKind;
use std::path::PathBuf;

/// `sojourn memory`.
#[derive(Debug, Subcommand)]
pub enum Memory {
    /// Find memories by what they say and mean.
    Search(Search),
    /// Show a memory whole.
    Show(One),
    /// Trace a memory to the records it was made of, and to what replaced it.
    Why(One),
    /// Put another text in a memory's place; the old one is kept as what was believed until now.
    Edit {
        /// The memory's id, or its beginning.
        id: String,
        /// What it shall say.
        text: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Exempt a memory from expiry.
    Pin(One),
    /// Let a memory expire again.
    Unpin(One),
    /// Remove memories for good: text, words, vectors, and every copy in the log.
    ///
    /// Records of the log that quote a memory keep their place and hash, so that the log still verifies, but lose their
    /// content; what they led to cannot be replayed. Afterwards every file of the home is searched for the text.
    Forget {
        /// Ids, or their beginnings.
        #[arg(required = true)]
        ids: Vec<String>,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Write all memories as lines of JSON.
    Export {
        /// To this file [default: stdout].
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        /// With their vectors, so that they need not be embedded again.
        #[arg(long)]
        vectors: bool,
    },
    /// Read lines of JSON that `export` wrote: all of them or none.
    Import {
        /// The file; `-` is stdin.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Say how much is remembered, and how the index is.
    Stats(Reading),
    /// Embed what lacks a vector, and build the vector index anew from the tables.
    Rebuild(Reading),
    /// Merge memories that say the same.
    Dedupe {
        /// Only show them.
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// `sojourn memory search`.
#[derive(Debug, Args)]
pub struct Search {
    /// What to look for.
    pub text: String,
    /// How many at most.
    #[arg(long, short, default_value_t = 5, value_name = "N")]
    pub k: usize,
    /// Only of this kind. Can be given several times.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<Kind>,
    /// Only from this environment.
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Only from this run.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// As it was when so many changes had been made; `sojourn memory stats` shows the present number.
    #[arg(long, value_name = "TICK")]
    pub as_of: Option<u64>,
    /// Show how each score came about.
    #[arg(long)]
    pub explain: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// One memory.
#[derive(Debug, Args)]
pub struct One {
    /// The memory's id, or its beginning.
    pub id: String,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// A kind of memory.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    /// What happened.
    Episode,
    /// What is so.
    Fact,
    /// A lesson in words.
    Reflection,
    /// What was given from outside.
    Knowledge,
    /// What a skill is for.
    Skill,
}

impl From<Kind> for MemoryKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Episode => Self::Episode,
            Kind::Fact => Self::Fact,
            Kind::Reflection => Self::Reflection,
            Kind::Knowledge => Self::Knowledge,
            Kind::Skill => Self::Skill,
        }
    }
}

/// `sojourn knowledge`.
#[derive(Debug, Subcommand)]
pub enum Knowledge {
    /// Add documents: Markdown, HTML, text, PDF; a directory with all of them; a page. Added again, only what changed
    /// is changed.
    Add {
        /// Files, directories, or `https://` addresses.
        #[arg(required = true, value_name = "FILE|DIR|URL", value_hint = ValueHint::AnyPath)]
        sources: Vec<String>,
        /// Only for this environment [default: for all].
        #[arg(long, value_name = "NAME")]
        environment: Option<String>,
        /// A host that pages may be fetched from. Can be given several times; without it none is asked.
        #[arg(
            long = "allow",
            value_name = "HOST",
            env = "SOJOURN_KNOWLEDGE_HOSTS",
            value_delimiter = ',',
            hide_env_values = true
        )]
        hosts: Vec<String>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// List the documents.
    List(Reading),
    /// Drop a document and its passages.
    Remove {
        /// As `sojourn knowledge list` shows it.
        source: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Find passages by what they say and mean.
    Search {
        /// What to look for.
        text: String,
        /// How many at most.
        #[arg(long, short, default_value_t = 5, value_name = "N")]
        k: usize,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}
