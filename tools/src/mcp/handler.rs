//! What a server may ask of us and tell us.

use super::Elicitation;
use crate::CallProgress;
use rmcp::model::FormElicitationCapability;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationCapability, ErrorData, Implementation, ProgressNotificationParam, ProtocolVersion,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

type Sink = Arc<dyn Fn(CallProgress) + Send + Sync>;

/// Our side of the conversation.
#[derive(Clone)]
pub struct Client {
    elicitation: Elicitation,
    /// Rung when what the server offers has changed.
    pub changed: Arc<Notify>,
    /// Who wants to know how far calls have got, by number.
    listeners: Arc<Mutex<BTreeMap<u64, Sink>>>,
}

impl Client {
    pub fn new(elicitation: Elicitation) -> Self {
        Self { elicitation, changed: Arc::default(), listeners: Arc::default() }
    }

    /// Tells `sink` of progress until the guard is dropped. Where several calls are under way each hears of all.
    pub fn listen(&self, sink: Option<Sink>) -> Listening {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let number = listeners.keys().next_back().map_or(0, |last| last + 1);
        if let Some(sink) = sink {
            listeners.insert(number, sink);
        }
        Listening { client: self.clone(), number }
    }
}

/// As long as it lives progress is told.
pub struct Listening {
    client: Client,
    number: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.client.listeners.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation =
            Some(ElicitationCapability::new().with_form(FormElicitationCapability::default()));
        let mut config =
            ClientConfig::new(capabilities, Implementation::new("sojourn", env!("CARGO_PKG_VERSION")));
        // What is named in a handshake, which the newest protocol does without.
        config.protocol_version = ProtocolVersion::LATEST_WITH_INITIALIZE;
        config
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(match &self.elicitation {
            Elicitation::Decline => ElicitResult::new(ElicitationAction::Decline),
            Elicitation::Cancel => ElicitResult::new(ElicitationAction::Cancel),
            Elicitation::Accept(fields) => match filled_in(&request, fields) {
                Some(form) => ElicitResult::new(ElicitationAction::Accept).with_content(Value::Object(form)),
                None => ElicitResult::new(ElicitationAction::Decline),
            },
        })
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let sinks: Vec<Sink> =
            self.listeners.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for sink in sinks {
            sink(CallProgress {
                done: params.progress,
                total: params.total,
                message: params.message.clone(),
            });
        }
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }

    async fn on_prompt_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

/// The form that a server asks to have filled in: `fields`, and its own defaults for the others. None where it asks for
/// something else than a form, such as a visit to an address.
fn filled_in(request: &ElicitRequestParams, fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    let ElicitRequestParams::FormElicitationParams { requested_schema, .. } = request else { return None };
    let schema = serde_json::to_value(requested_schema).ok()?;
    let asked = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let defaults = asked.filter_map(|(name, field)| Some((name.clone(), field.get("default")?.clone())));
    let mut form: Map<String, Value> = defaults.collect();
    form.extend(fields.clone());
    Some(form)
}
