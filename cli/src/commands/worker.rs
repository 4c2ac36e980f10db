//! `sojourn worker`: carries out runs of a queue that several machines share.

use super::up::CommandLine;
use crate::args::Worker as Args;
use crate::home::{Home, OWNER};
use crate::output;
use anyhow::{Context as _, Result};
use sojourn_memory::Owner;
use sojourn_service::{Worker, WorkerSettings};
use std::sync::Arc;

/// Works until it is stopped.
///
/// # Errors
/// When there is no store in a server, or it cannot be used.
pub async fn worker(home: &Home, args: Args) -> Result<()> {
    home.needs_server("a worker")?;
    let store = home.store().await?;
    let name = Owner::alone().name().to_owned();
    let variables = home.variables().chain([(OWNER, name.clone())]).collect();
    let settings = WorkerSettings {
        program: std::env::current_exe().context("cannot find this program's own file")?,
        name,
        labels: args.labels,
        most_runs: usize::from(args.runs),
        stop_within: args.stop_within,
        hung_after: args.hung_after,
        variables,
    };
    let host = Arc::new(CommandLine { home: home.clone() });
    Worker::new(settings, store, host).run().await?;
    output::note("stopped; other workers go on with its runs");
    Ok(())
}
