//! `sojourn tools`.

use clap::{Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

/// `sojourn tools`.
#[derive(Debug, Subcommand)]
pub enum Tools {
    /// List the tools of an agent: its environment's and those of the sources that it names.
    List {
        /// The agent file; without one, only an environment's tools are listed.
        #[arg(value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
        agent: Option<PathBuf>,
        /// Of which environment, without an agent file.
        #[arg(long, default_value = "crafter", value_name = "NAME", conflicts_with = "agent")]
        environment: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Call one tool by hand, as an agent would, and print what it answers.
    Call {
        /// An agent file, or a plugin's directory.
        #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
        path: PathBuf,
        /// The tool, as `sojourn tools list` shows it.
        tool: String,
        /// Its arguments as a JSON object.
        #[arg(default_value = "{}", value_name = "JSON")]
        args: String,
        /// Call it without asking, unless the policy denies it.
        #[arg(long)]
        yes: bool,
        /// Print the whole outcome as one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Write a plugin to start from, with a test that passes.
    New {
        /// The plugin's name, and that of its directory.
        name: String,
        /// What it is written in.
        #[arg(long, value_enum)]
        lang: Lang,
        /// Where its directory is made.
        #[arg(long, default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
        into: PathBuf,
    },
    /// Start a plugin, run its examples, draw arguments for it by chance, measure it, and see what bad input does to it.
    ///
    /// Tools that do more than read are tried with their examples only.
    Check {
        /// The plugin's directory, which holds a `tool.toml`.
        #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
        path: PathBuf,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// Standard library only.
    Python,
    /// No packages.
    Node,
    /// A program of its own, with `serde_json`.
    Rust,
    /// A WebAssembly component, in Rust.
    Wasm,
}
