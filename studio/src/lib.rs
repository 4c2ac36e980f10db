//! The studio: a web page to watch runs live, to see what an agent knew and decided, and to fork it.
//!
//! [`serve`] answers on a listener until it is stopped. The page is embedded in the program and asks nothing of any other server.
//! All reading is done by [`sojourn_logbook`], which the command uses too; whatever changes something is a command's own code,
//! given as [`Commands`]. [`report`](report::write) makes one self-contained file of a run.
//!
//! The content of logs, memories and skills is not trusted: the page shows it as text, and [`access`] forbids scripts other than
//! its own, requests to other servers, and requests from other pages.

#![forbid(unsafe_code)]

pub mod access;
mod api;
mod assets;
mod commands;
mod error;
mod json;
mod outlines;
mod query;
pub mod report;
mod rows;

pub use commands::{
    Agent, Approval, ApprovalQuery, Approvals, Commands, Found, GoalRequest, MemoryQuery, NewFork, NewStart,
    Refused, Setting, SkillTry, Starting, Tried, TriedMoment, WantedMore,
};
pub use error::StudioError;

use access::Access;
use axum::Router;
use axum::middleware;
use outlines::Outlines;
use sojourn_memory::{Memories, Store, Tenant};
use sojourn_tools::{EnvironmentRegistry, http_server};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The largest body of a request, in bytes: a prompt's text at most.
const LARGEST_BODY: usize = 1 << 20;

/// What the studio shows and what it may do.
pub struct Studio {
    /// The log and the blobs.
    pub store: Store,
    /// The memories, with the index that the commands use.
    pub memories: Memories,
    /// The owner of the memories.
    pub tenant: Tenant,
    /// The directory of the skill library.
    pub library: PathBuf,
    /// The worlds that can be executed again.
    pub environments: EnvironmentRegistry,
    /// What changes something.
    pub commands: Arc<dyn Commands>,
}

/// What every request finds.
pub(crate) struct App {
    pub(crate) studio: Studio,
    pub(crate) outlines: Outlines,
    /// Becomes true when the server stops; streams end then.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Serves the studio until `stopped` completes.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    studio: Studio,
    listener: TcpListener,
    access: Access,
    stopped: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let app = Arc::new(App { studio, outlines: Outlines::default(), stopping });
    let router = Router::new().merge(assets::router()).nest("/api", api::router()).with_state(app);
    let router = router
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(Arc::new(access), access::check));
    http_server::serve(listener, router, async move {
        stopped.await;
        let _ = stop.send(true);
    })
    .await
}
