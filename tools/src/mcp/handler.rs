//! What a server may ask of us and tell us.

use super::Elicitation;
use super::progress::Progress;
use rmcp::model::FormElicitationCapability;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationCapability, ErrorData, Implementation, ProtocolVersion,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::Notify;

/// Our side of the conversation.
#[derive(Clone)]
pub struct Client {
    elicitation: Elicitation,
    /// Rung when what the server offers has changed.
    pub changed: Arc<Notify>,
    /// Who wants to know how far calls have got.
    pub progress: Progress,
}

impl Client {
    pub fn new(elicitation: Elicitation) -> Self {
        Self { elicitation, changed: Arc::default(), progress: Progress::default() }
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
