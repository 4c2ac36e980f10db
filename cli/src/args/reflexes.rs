use clap::Subcommand;

/// `sojourn reflexes`.
#[derive(Debug, Subcommand)]
pub enum Reflexes {
    /// List the reflexes of the library in the order in which they are asked.
    List {
        /// Also those that are not in use.
        #[arg(long)]
        all: bool,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show a reflex: its source, and how episodes went with it and without.
    Show {
        /// The reflex.
        name: String,
        /// Which version [default: the active one, else the latest].
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Let a reflex act again.
    Enable {
        /// The reflex.
        name: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Keep a reflex from acting, from the next run on.
    Disable {
        /// The reflex.
        name: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}
