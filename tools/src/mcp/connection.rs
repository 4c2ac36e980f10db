//! The life of one MCP connection: connect, list what the server offers, watch for changes.

use super::handler::Client;
use super::oauth::TokenManager;
use super::session::Session;
use super::tool::{Offered, offered};
use super::{McpSettings, SignIn};
use crate::Tool;
use crate::subprocess::StderrLog;
use crate::supervision::Supervisor;
use rmcp::RoleClient;
use rmcp::model::SubscriptionFilter;
use rmcp::service::RunningService;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often the connection is checked for closure.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// When tools that could not be listed are listed again.
const RETRY_INTERVAL: Duration = Duration::from_mins(1);
/// Least time between two listings, for a server that announces changes all the time.
const LIST_INTERVAL: Duration = Duration::from_millis(250);

type Service = RunningService<RoleClient, Client>;

/// A configured MCP server and its present connection.
pub struct Connection {
    /// The published tools and notices, and the restart loop.
    pub supervisor: Supervisor,
    settings: McpSettings,
    directory: PathBuf,
    /// Source of bearer tokens; `None` without `oauth`.
    tokens: Option<Arc<TokenManager>>,
    /// The open session, and the captured standard error of the server's process.
    now: Mutex<(Option<Arc<Service>>, StderrLog)>,
    /// What the last listing left out; it is said once.
    left_out: Mutex<BTreeSet<String>>,
    /// Names of the published tools, by the server's names for them.
    names: Mutex<HashMap<String, String>>,
}

impl Connection {
    pub fn begin(name: &str, settings: McpSettings, directory: &Path, sign_in: SignIn) -> Arc<Self> {
        let tokens = settings.oauth.clone().zip(settings.url.as_deref()).map(|(oauth, url)| {
            let ranges = settings.private_ranges.clone();
            Arc::new(TokenManager::new(name, url, oauth, ranges, sign_in.person, sign_in.tokens))
        });
        let connection = Arc::new(Self {
            supervisor: Supervisor::new(name),
            settings,
            directory: directory.to_owned(),
            tokens,
            now: Mutex::default(),
            left_out: Mutex::default(),
            names: Mutex::default(),
        });
        let kept = Arc::clone(&connection);
        tokio::spawn(async move { kept.supervisor.supervise(|| Box::pin(kept.run_connection())).await });
        connection
    }

    pub fn service(&self) -> Option<Arc<Service>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// The tool that the server calls `name`.
    pub fn tool(&self, name: &str) -> Option<Arc<dyn Tool>> {
        let known = self.names.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()?;
        self.supervisor.tools().into_iter().find(|tool| tool.spec().name == known)
    }

    /// `reason`, followed by the last lines of the server's standard error.
    pub fn explain(&self, reason: &str) -> String {
        let stderr_log = self.now.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        stderr_log.explain(reason)
    }

    fn set(&self, service: Option<Arc<Service>>, stderr_log: StderrLog) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = (service, stderr_log);
    }

    /// Runs one connection from start to end. Returns the reason why it ended.
    async fn run_connection(self: &Arc<Self>) -> String {
        let client = Client::new(self.settings.elicitation.clone());
        let changed = Arc::clone(&client.changed);
        let session = match Session::open(&self.settings, self.tokens.as_ref(), &self.directory, client).await
        {
            Ok(session) => session,
            Err(error) => return error,
        };
        self.set(Some(Arc::clone(&session.service)), session.stderr_log.clone());
        let ended = self.follow(&session, &changed).await;
        self.set(None, session.stderr_log.clone());
        ended
    }

    /// Lists what the server offers, and lists again after every change notification, until the connection
    /// closes.
    async fn follow(self: &Arc<Self>, session: &Session, changed: &tokio::sync::Notify) -> String {
        let mut retry_at = match self.list(&session.service).await {
            Ok(retry_at) => retry_at,
            Err(error) => return error,
        };
        // Protocol version 2026-07-28 sends notifications to subscribers only; older servers send them
        // unasked.
        let filter = SubscriptionFilter::builder()
            .tools_list_changed()
            .prompts_list_changed()
            .resources_list_changed()
            .build();
        let peer = session.service.peer();
        let asks = peer.peer_info().is_some_and(|info| !info.protocol_version.has_initialize());
        let mut subscription = if asks { peer.listen(filter).await.ok() } else { None };
        loop {
            let notified = async {
                match &mut subscription {
                    Some(subscription) => matches!(subscription.next().await, Ok(Some(_))),
                    None => std::future::pending().await,
                }
            };
            let again = tokio::select! {
                () = changed.notified() => true,
                alive = notified => {
                    if !alive {
                        subscription = None;
                    }
                    alive
                }
                () = tokio::time::sleep(POLL_INTERVAL) => retry_at.is_some_and(|at| at <= Instant::now()),
            };
            if session.service.peer().is_transport_closed() {
                return session.stderr_log.explain("the connection was lost");
            }
            if again {
                retry_at = match self.list(&session.service).await {
                    Ok(retry_at) => retry_at,
                    Err(error) => return error,
                };
                tokio::time::sleep(LIST_INTERVAL).await;
            }
        }
    }

    /// Requests the server's tools, resources and prompts, and publishes them. Returns when to try again, if the tools could
    /// not be listed.
    async fn list(self: &Arc<Self>, service: &Arc<Service>) -> Result<Option<Instant>, String> {
        let Offered { tools, names, notes, is_incomplete } =
            offered(service, self.supervisor.name(), &self.settings, self)
                .await
                .map_err(|error| self.explain(&format!("its tools could not be listed: {error}")))?;
        let notes: BTreeSet<String> = notes.into_iter().collect();
        let known = std::mem::replace(&mut *self.left_out(), notes.clone());
        for note in notes.difference(&known) {
            self.supervisor.notice(note);
        }
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        self.supervisor.publish(tools);
        Ok(is_incomplete.then(|| Instant::now() + RETRY_INTERVAL))
    }

    fn left_out(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
