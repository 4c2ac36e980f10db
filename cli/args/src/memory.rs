//! `sojourn memory` and `sojourn knowledge`.

use super::Reading;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

/// `sojourn memory`.
#[derive(Debug, Subcommand)]
pub enum Memory {
    /// Find memories by words and meaning.
    Search(Search),
    /// Show one memory in full.
    Show {
        /// The memory.
        #[command(flatten)]
        one: One,
        /// Write the picture or sound that belongs to it to this file.
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
    },
    /// Trace a memory to the records that it was made from, and to the memory that replaced it.
    Why(One),
    /// Replace the text of a memory; the old text is kept as valid until now.
    Edit {
        /// The memory's id, or a unique prefix of it.
        id: String,
        /// The new text.
        text: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Exempt a memory from expiry.
    Pin(One),
    /// Let a memory expire again.
    Unpin(One),
    /// Erase memories permanently: text, words, vectors, and every copy in the log.
    ///
    /// Log records that quote a memory keep their position and hash, so that the log still verifies, but lose their content;
    /// the run cannot be replayed past them. At the end every file of the home is searched for the text. Saved prompts of models
    /// are removed, whatever they say.
    Forget {
        /// Ids, or unique prefixes of them.
        #[arg(required = true)]
        ids: Vec<String>,
        /// Do not ask for confirmation.
        #[arg(long, short)]
        yes: bool,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Export all memories as lines of JSON.
    Export {
        /// The file [default: stdout].
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        /// Include the vectors, so that an import need not embed the memories again.
        #[arg(long)]
        vectors: bool,
    },
    /// Import lines of JSON that `export` wrote: all of them, or none.
    Import {
        /// The file; `-` is stdin.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show the number of memories and the state of the index.
    Stats(Reading),
    /// Embed memories that lack a vector, and rebuild the vector index from the database.
    Rebuild(Reading),
    /// Merge duplicate memories.
    Dedupe {
        /// Show the duplicates without merging them.
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
    /// The text to search for.
    #[arg(required_unless_present = "image")]
    pub text: Option<String>,
    /// Search by what pictures show instead: memories whose pictures are most similar to this one. Needs `dinov2-small`.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["text", "kinds", "environment", "run", "as_of", "explain"]
    )]
    pub image: Option<PathBuf>,
    /// The maximum number of results.
    #[arg(long, short, default_value_t = 5, value_name = "N")]
    pub k: usize,
    /// Only this kind of memory. Repeatable.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<Kind>,
    /// Only from this environment.
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Only from this run.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// Search the state after this many changes; `sojourn memory stats` shows the current number.
    #[arg(long, value_name = "TICK")]
    pub as_of: Option<u64>,
    /// Show the parts of each score.
    #[arg(long)]
    pub explain: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// One memory.
#[derive(Debug, Args)]
pub struct One {
    /// The memory's id, or a unique prefix of it.
    pub id: String,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// The kinds of memories.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    /// An event of an episode.
    Episode,
    /// A fact about the world.
    Fact,
    /// A lesson in words.
    Reflection,
    /// A passage of a document.
    Knowledge,
    /// The purpose of a skill.
    Skill,
}

/// `sojourn knowledge`.
#[derive(Debug, Subcommand)]
pub enum Knowledge {
    /// Add documents (Markdown, HTML, text, PDF), directories of them, or web pages. Adding a document again updates only
    /// the passages that changed; adding a directory again also removes the documents whose files are gone.
    Add {
        /// Files, directories, or `https://` addresses.
        #[arg(required = true, value_name = "FILE|DIR|URL", value_hint = ValueHint::AnyPath)]
        sources: Vec<String>,
        /// Only for agents in this environment [default: all].
        #[arg(long, value_name = "NAME")]
        environment: Option<String>,
        /// A host that pages may be fetched from. Repeatable; without it no page is fetched.
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
    /// Remove a document and its passages.
    Remove {
        /// The document, by any path to it, or a directory for all documents in it.
        source: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Internal: act as the process that reads one document from standard input.
    #[command(hide = true)]
    ReadDocument {
        /// The format, as a file extension.
        format: String,
        /// The encoding that a server declares.
        #[arg(long, value_name = "LABEL")]
        encoding: Option<String>,
    },
    /// Find passages by words and meaning.
    Search {
        /// The text to search for.
        text: String,
        /// The maximum number of results.
        #[arg(long, short, default_value_t = 5, value_name = "N")]
        k: usize,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}
