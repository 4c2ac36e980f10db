//! A connection from its beginning to its end: made, listed, and watched for changes.

use super::handler::Client;
use super::link::Link;
use super::oauth::Desk;
use super::tool::offered;
use super::{McpSettings, SignIn};
use crate::child::Complaints;
use crate::revival::Standing;
use rmcp::RoleClient;
use rmcp::model::SubscriptionFilter;
use rmcp::service::RunningService;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often it is looked whether the server is still there.
const WATCH: Duration = Duration::from_millis(100);

type Service = RunningService<RoleClient, Client>;

/// What is known of a server.
pub struct Connection {
    /// What it offers, and what happened to it.
    pub standing: Standing,
    settings: McpSettings,
    directory: PathBuf,
    /// Where tokens come from.
    desk: Option<Arc<Desk>>,
    /// The conversation under way, and what the server's program said.
    now: Mutex<(Option<Arc<Service>>, Complaints)>,
}

impl Connection {
    pub fn begin(name: &str, settings: McpSettings, directory: &Path, sign_in: SignIn) -> Arc<Self> {
        let desk = settings
            .oauth
            .clone()
            .zip(settings.url.as_deref())
            .map(|(oauth, url)| Arc::new(Desk::new(name, url, oauth, sign_in.person, sign_in.tokens)));
        let connection = Arc::new(Self {
            standing: Standing::new(name),
            settings,
            directory: directory.to_owned(),
            desk,
            now: Mutex::default(),
        });
        let kept = Arc::clone(&connection);
        tokio::spawn(async move { kept.standing.keep_up(|| Box::pin(kept.live())).await });
        connection
    }

    pub fn service(&self) -> Option<Arc<Service>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// `reason`, and what the server's program said before.
    pub fn why(&self, reason: &str) -> String {
        let complaints = self.now.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        complaints.after(reason)
    }

    fn set(&self, service: Option<Arc<Service>>, complaints: Complaints) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = (service, complaints);
    }

    /// One connection from its beginning to its end; says how it ended.
    async fn live(self: &Arc<Self>) -> String {
        let client = Client::new(self.settings.elicitation.clone());
        let changed = Arc::clone(&client.changed);
        let link = match Link::open(&self.settings, self.desk.as_ref(), &self.directory, client).await {
            Ok(link) => link,
            Err(error) => return error,
        };
        self.set(Some(Arc::clone(&link.service)), link.complaints.clone());
        let ended = self.follow(&link, &changed).await;
        self.set(None, link.complaints.clone());
        ended
    }

    /// Lists what the server offers, again whenever it says that this has changed, until it is gone.
    async fn follow(self: &Arc<Self>, link: &Link, changed: &tokio::sync::Notify) -> String {
        if let Err(error) = self.list(&link.service).await {
            return error;
        }
        // Since 2026-07-28 changes are told to whoever asks to be told; older servers tell anyway.
        let filter = SubscriptionFilter::builder()
            .tools_list_changed()
            .prompts_list_changed()
            .resources_list_changed()
            .build();
        let peer = link.service.peer();
        let asks = peer.peer_info().is_some_and(|info| !info.protocol_version.has_initialize());
        let mut subscription = if asks { peer.listen(filter).await.ok() } else { None };
        loop {
            let told = async {
                match &mut subscription {
                    Some(subscription) => matches!(subscription.next().await, Ok(Some(_))),
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
        let tools = offered(service, self.standing.name(), &self.settings, self)
            .await
            .map_err(|error| self.why(&format!("what it offers could not be listed: {error}")))?;
        self.standing.offers(tools);
        Ok(())
    }
}
