//! Handles requests and notifications from an MCP server.

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

/// The client side of an MCP session.
#[derive(Clone)]
pub struct Client {
    elicitation: Elicitation,
    /// Notified when the server announces a change of its tools, prompts or resources.
    pub changed: Arc<Notify>,
    /// Routes progress notifications to their calls.
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
        // Used in the `initialize` handshake only; the newest protocol has none.
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

/// The answer to a form elicitation: `fields`, plus the schema's defaults for other fields. `None` for other
/// elicitations, such as a visit to a URL.
fn filled_in(request: &ElicitRequestParams, fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    let ElicitRequestParams::FormElicitationParams { requested_schema, .. } = request else { return None };
    let schema = serde_json::to_value(requested_schema).ok()?;
    let asked = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let defaults = asked.filter_map(|(name, field)| Some((name.clone(), field.get("default")?.clone())));
    let mut form: Map<String, Value> = defaults.collect();
    form.extend(fields.clone());
    Some(form)
}
