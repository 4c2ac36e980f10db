//! A connection that is kept up: made, listed, watched, and made again.

use super::McpSettings;
use super::handler::Client;
use super::link::{Complaints, Link};
use super::tool::offered;
use crate::Tool;
use rmcp::RoleClient;
use rmcp::model::SubscriptionFilter;
use rmcp::service::RunningService;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The pauses before a server is tried again grow from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A connection that held this long begins with the first pause again.
const STEADY: Duration = Duration::from_secs(60);
/// How often it is looked whether the server is still there.
const WATCH: Duration = Duration::from_millis(100);

type Service = RunningService<RoleClient, Client>;

/// What is known of a server, and who keeps it so.
pub struct Connection {
    name: String,
    settings: McpSettings,
    directory: PathBuf,
    now: Mutex<Now>,
    /// Whether its tools are known, or it was found out that they cannot be.
    known: watch::Sender<Option<bool>>,
    closing: CancellationToken,
    closed: CancellationToken,
}

#[derive(Default)]
struct Now {
    service: Option<Arc<Service>>,
    tools: Vec<Arc<dyn Tool>>,
    notices: Vec<String>,
    complaints: Complaints,
}

impl Connection {
    pub fn begin(name: &str, settings: McpSettings, directory: &Path) -> Arc<Self> {
        let connection = Arc::new(Self {
            name: name.to_owned(),
            settings,
            directory: directory.to_owned(),
            now: Mutex::default(),
            known: watch::Sender::new(None),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        });
        tokio::spawn(Arc::clone(&connection).keep_up());
        connection
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn tools(&self) -> Vec<Arc<dyn Tool>> {
        self.now().tools.clone()
    }

    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut self.now().notices)
    }

    pub fn service(&self) -> Option<Arc<Service>> {
        self.now().service.clone()
    }

    /// `reason`, and what the server's program said before.
    pub fn why(&self, reason: &str) -> String {
        let complaints = self.now().complaints.clone();
        complaints.after(reason)
    }

    pub async fn ready(&self, within: Duration) -> bool {
        let mut known = self.known.subscribe();
        let settled = tokio::time::timeout(within, known.wait_for(Option::is_some)).await;
        matches!(settled.map(|known| known.map(|known| *known)), Ok(Ok(Some(true))))
    }

    pub async fn close(&self) {
        self.closing.cancel();
        self.closed.cancelled().await;
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notice(&self, text: &str) {
        self.now().notices.push(format!("the tools of `{}`: {text}", self.name));
    }

    async fn keep_up(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        while !self.closing.is_cancelled() {
            let begun = tokio::time::Instant::now();
            let ended = tokio::select! {
                ended = Box::pin(self.live()) => ended,
                () = self.closing.cancelled() => break,
            };
            {
                let mut now = self.now();
                now.service = None;
                now.tools.clear();
            }
            self.known.send_if_modified(|known| known.replace(false).is_none());
            if begun.elapsed() >= STEADY {
                pause = FIRST_PAUSE;
            }
            let again = pause.as_secs();
            self.notice(&format!("{ended}; they are gone, the server is tried again in {again} s"));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.closing.cancelled() => break,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.closed.cancel();
    }

    /// One connection from its beginning to its end; says how it ended.
    async fn live(self: &Arc<Self>) -> String {
        let client = Client::new(self.settings.elicitation.clone());
        let changed = Arc::clone(&client.changed);
        let link = match Link::open(&self.settings, &self.directory, client).await {
            Ok(link) => link,
            Err(error) => return error,
        };
        self.now().complaints = link.complaints.clone();
        match self.list(&link.service).await {
            Ok(()) => {}
            Err(error) => return error,
        }
        let _ = self.known.send_replace(Some(true));
        // Since 2026-07-28 changes are told to whoever asks to be told; older servers tell anyway.
        let filter = SubscriptionFilter::builder()
            .tools_list_changed()
            .prompts_list_changed()
            .resources_list_changed()
            .build();
        let mut subscription = link.service.peer().listen(filter).await.ok();
        loop {
            let told = async {
                match &mut subscription {
                    Some(subscription) => match subscription.next().await {
                        Ok(Some(_)) => true,
                        Ok(None) | Err(_) => false,
                    },
                    None => std::future::pending().await,
                }
            };
            let again = tokio::select! {
                () = changed.notified() => true,
                told = told => {
                    if !told {
                        subscription = None;
                    }
                    told
                }
                () = tokio::time::sleep(WATCH) => false,
            };
            if link.service.peer().is_transport_closed() {
                return link.complaints.after("the connection was lost");
            }
            if again && let Err(error) = self.list(&link.service).await {
                return error;
            }
        }
    }

    /// Asks what the server offers.
    async fn list(self: &Arc<Self>, service: &Arc<Service>) -> Result<(), String> {
        let tools = offered(service, &self.name, &self.settings, self)
            .await
            .map_err(|error| self.why(&format!("what it offers could not be listed: {error}")))?;
        let mut now = self.now();
        now.service = Some(Arc::clone(service));
        now.tools = tools;
        Ok(())
    }
}
