//! `sojourn studio` and `sojourn report`.

use clap::{Args, ValueHint};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `sojourn studio`.
#[derive(Debug, Args)]
pub struct Studio {
    /// Serve at this address; port 0 takes a free one. An address that other machines reach needs a token of your own.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8810")]
    pub http: SocketAddr,
    /// The environment variable that holds the access token; when it is not set, a new token is made.
    #[arg(long, default_value = "SOJOURN_STUDIO_TOKEN", value_name = "NAME")]
    pub token_env: String,
    /// A host name that requests may be addressed to, besides localhost. Repeatable.
    #[arg(long, value_name = "HOST")]
    pub allow_host: Vec<String>,
    /// An agent that may be started from the page, besides the agent files in this directory and the named environments.
    /// Repeatable.
    #[arg(long, value_name = "AGENT.TOML", value_hint = ValueHint::FilePath)]
    pub agent: Vec<PathBuf>,
}

/// `sojourn report`.
#[derive(Debug, Args)]
pub struct Report {
    /// The run's id, or a unique prefix of it, or `latest`.
    pub run: String,
    /// Write the report to this HTML file, replacing an existing one.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
    /// Print one JSON document: what the file holds.
    #[arg(long)]
    pub json: bool,
}
