//! `sojourn tools`.

use clap::{Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

/// `sojourn tools`.
#[derive(Debug, Subcommand)]
pub enum Tools {
    /// List the tools of an agent: those of its environment and of its tool sources.
    List {
        /// An agent file, or a plugin's directory; without one, only an environment's tools are listed.
        #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
        agent: Option<PathBuf>,
        /// The environment whose tools are listed without an agent file [default: the first built-in one].
        #[arg(long, value_name = "NAME", conflicts_with = "agent")]
        environment: Option<String>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Call one tool as an agent would, and print its answer.
    Call {
        /// An agent file, or a plugin's directory.
        #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
        path: PathBuf,
        /// The tool, as `sojourn tools list` shows it.
        tool: String,
        /// The arguments, as a JSON object.
        #[arg(default_value = "{}", value_name = "JSON")]
        args: String,
        /// Do not ask for approval. Calls that the policy denies stay denied.
        #[arg(long)]
        yes: bool,
        /// Print the whole outcome as one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Create a plugin from a template, with a test that passes.
    New {
        /// The name of the plugin and of its directory.
        name: String,
        /// The language.
        #[arg(long, value_enum)]
        lang: Lang,
        /// The parent of the plugin's directory.
        #[arg(long, default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
        into: PathBuf,
    },
    /// Check a plugin: its examples, random valid arguments, invalid input, and its speed.
    ///
    /// Tools that do more than read are called with their examples only.
    Check {
        /// The plugin's directory, which holds a `tool.toml`.
        #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
        path: PathBuf,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// The languages of plugin templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// Standard library only.
    Python,
    /// No packages.
    Node,
    /// A program with `serde_json`.
    Rust,
    /// A WebAssembly component, in Rust.
    Wasm,
}
