//! Presents a server's tools, resources and prompts as tools.

use super::handler::Client;
use super::lenient::left_out;
use super::progress::ProgressSubscription;
use super::session::service_error;
use super::{McpSettings, connection::Connection, listing};
use crate::outside::schema::readable;
use crate::schema::{identifier, identifiers};
use crate::{CallContext, Content, Effects, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, GetPromptRequestParams, ReadResourceRequestParams,
    ResourceContents, ServerPeerInfo,
};
use rmcp::service::{RunningService, ServiceError};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Weak};

/// One operation of an MCP server.
pub struct McpTool {
    spec: ToolSpec,
    operation: Operation,
    connection: Weak<Connection>,
}

enum Operation {
    /// A tool, by the server's name.
    Tool(String),
    ListResources,
    ReadResource,
    GetPrompt,
}

impl Operation {
    /// Method of the protocol.
    fn method(&self) -> &'static str {
        match self {
            Self::Tool(_) => "tools/call",
            Self::ListResources => "resources/list",
            Self::ReadResource => "resources/read",
            Self::GetPrompt => "prompts/get",
        }
    }
}

/// Lists everything that the server offers, with a note on each unusable part. A list that cannot be read loses only its own
/// items; the call fails if nothing else is offered.
///
/// # Errors
/// The tools cannot be listed, and nothing else is offered.
pub async fn offered(
    service: &RunningService<RoleClient, Client>,
    name: &str,
    settings: &McpSettings,
    connection: &Arc<Connection>,
) -> Result<Offered, String> {
    let info = service.peer().peer_info();
    let capabilities =
        info.as_deref().map(|info: &ServerPeerInfo| info.capabilities.clone()).unwrap_or_default();
    let mut notes = Vec::new();
    let mut found: Vec<(String, ToolSpec, Operation)> = Vec::new();
    let mut failure = None;
    if capabilities.tools.is_some() {
        match listing::tools(service).await {
            Ok(listing) => {
                notes.extend(listing.notes);
                for tool in listing.items {
                    let schema = Value::Object((*tool.input_schema).clone());
                    match readable(&schema) {
                        Ok(input) => found.push(as_tool(&tool, input, settings)),
                        Err(reason) => {
                            notes.push(format!("left out: `{}`: {reason}", identifier(name, &tool.name)));
                        }
                    }
                }
            }
            Err(error) => failure = Some(error),
        }
    }
    let mut add = |called: &str, about: &str, input: Option<Value>, operation: Operation| {
        let effects =
            settings.effects.get(called).copied().unwrap_or_else(|| own_effects(&operation, settings));
        // The server names its prompts.
        let untrusted = matches!(operation, Operation::GetPrompt);
        let spec = ToolSpec { effects, untrusted, ..ToolSpec::new(called, about) };
        let spec = match input {
            Some(input) => spec.with_input(input),
            None => spec,
        };
        // A tool of the server keeps its name.
        let is_taken = found.iter().any(|(name, _, _)| name == called);
        let name = if is_taken { operation.method() } else { called };
        found.push((name.to_owned(), spec, operation));
    };
    if capabilities.resources.is_some() {
        let uri = json!({"type": "object", "properties": {"uri": {"type": "string"}}, "required": ["uri"], "additionalProperties": false});
        add("list_resources", "lists what can be read", None, Operation::ListResources);
        add("read_resource", "reads one of the listed resources", Some(uri), Operation::ReadResource);
    }
    if capabilities.prompts.is_some() {
        match listing::prompts(service).await {
            Ok(listing) => {
                notes.extend(listing.notes);
                if !listing.items.is_empty() {
                    let names: Vec<&str> = listing.items.iter().map(|prompt| prompt.name.as_str()).collect();
                    let input = Some(get_prompt_input(&names));
                    add("get_prompt", "gives one of the server's texts", input, Operation::GetPrompt);
                }
            }
            Err(error) => notes.push(format!("left out: its prompts, which could not be listed: {error}")),
        }
    }
    let is_incomplete = failure.is_some();
    if let Some(error) = failure {
        if found.is_empty() {
            return Err(error);
        }
        notes.push(format!("left out: its tools, which could not be listed: {error}"));
    }
    let mut offered = Offered { tools: Vec::new(), names: HashMap::new(), notes, is_incomplete };
    offered.add(name, found, settings, connection);
    Ok(offered)
}

fn get_prompt_input(names: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "enum": names},
            "arguments": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["name"],
        "additionalProperties": false,
    })
}

fn as_tool(tool: &rmcp::model::Tool, input: Value, settings: &McpSettings) -> (String, ToolSpec, Operation) {
    let name = tool.name.to_string();
    let description = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
    let effects = settings.effects.get(&name).copied().unwrap_or_else(|| {
        if !settings.trust_annotations {
            return Effects::WORST;
        }
        let annotated = annotated_effects(tool);
        // Arguments of a call leave this machine, whatever the server says.
        Effects { network: settings.url.is_some() || annotated.network, ..annotated }
    });
    let spec = ToolSpec::new(name.clone(), one_line(description)).with_input(input);
    (name.clone(), ToolSpec { effects, untrusted: true, ..spec }, Operation::Tool(name))
}

/// Effects of what the protocol has beside tools, where the agent file names none. A list takes nothing from the model. An address or an
/// argument of the model leaves for whatever the server does with it, so the worst is assumed, unless its word that these only
/// read is trusted.
fn own_effects(operation: &Operation, settings: &McpSettings) -> Effects {
    let reads = |network| Effects { network, idempotent: true, ..Effects::default() };
    match operation {
        Operation::ListResources => reads(settings.url.is_some()),
        _ if settings.trust_annotations => reads(true),
        _ => Effects::WORST,
    }
}

/// What a server offers.
pub struct Offered {
    pub tools: Vec<Arc<dyn Tool>>,
    /// Names of the tools, by the server's names for them.
    pub names: HashMap<String, String>,
    /// What of it cannot be used, and why.
    pub notes: Vec<String>,
    /// Whether its tools are missing because they could not be listed this time.
    pub is_incomplete: bool,
}

impl Offered {
    /// Adds operations, each with a name of its own: two of the server's names may become one identifier.
    fn add(
        &mut self,
        source: &str,
        found: Vec<(String, ToolSpec, Operation)>,
        settings: &McpSettings,
        connection: &Arc<Connection>,
    ) {
        let names: Vec<String> = found.iter().map(|(name, _, _)| name.clone()).collect();
        let identifiers = identifiers(source, &names);
        for ((name, spec, operation), identifier) in found.into_iter().zip(identifiers) {
            let Some(identifier) = identifier else {
                self.notes.push(format!("left out: a second tool of the name `{name}`"));
                continue;
            };
            self.names.insert(name, identifier.clone());
            let spec = ToolSpec { name: identifier, timeout_ms: settings.timeout_ms, ..spec };
            self.tools.push(Arc::new(McpTool { spec, operation, connection: Arc::downgrade(connection) }));
        }
    }
}

/// Effects by the server's annotations. Nothing guarantees them, so they count only where the agent file trusts them.
fn annotated_effects(tool: &rmcp::model::Tool) -> Effects {
    let hints = tool.annotations.as_ref();
    let annotation = |hint: fn(&rmcp::model::ToolAnnotations) -> Option<bool>, otherwise| {
        hints.and_then(hint).unwrap_or(otherwise)
    };
    let reads = annotation(|hints| hints.read_only_hint, false);
    Effects {
        write: !reads,
        network: annotation(|hints| hints.open_world_hint, true),
        irreversible: !reads && annotation(|hints| hints.destructive_hint, true),
        idempotent: reads || annotation(|hints| hints.idempotent_hint, false),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[async_trait]
impl Tool for McpTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, args: &Map<String, Value>, context: &CallContext) -> Result<ToolOutcome, ToolError> {
        let failed = |reason: String| ToolError::Failed { name: self.spec.name.clone(), reason };
        let connection = self.connection.upgrade().ok_or_else(|| failed("the run has ended".to_owned()))?;
        let service = connection.service().ok_or_else(|| failed("its server is not connected".to_owned()))?;
        let listening = context.progress.clone().map(|sink| service.service().progress.listen(sink));
        // Dropping the future before the response arrives cancels the request at the server.
        let answer = tokio::select! {
            answer = self.request(&service, args, listening.as_ref()) => answer,
            () = context.cancel.cancelled() => {
                return Err(ToolError::Cancelled { name: self.spec.name.clone() });
            }
        };
        match answer {
            Ok(outcome) => Ok(outcome),
            Err(Failure::Service(ServiceError::McpError(error))) => {
                Ok(ToolOutcome::failed(error.message.to_string()))
            }
            Err(Failure::Service(error)) => Err(failed(connection.explain(&service_error(&error)))),
            Err(Failure::Listing(reason)) => Ok(ToolOutcome::failed(reason)),
        }
    }
}

impl McpTool {
    async fn request(
        &self,
        service: &RunningService<RoleClient, Client>,
        args: &Map<String, Value>,
        listening: Option<&ProgressSubscription>,
    ) -> Result<ToolOutcome, Failure> {
        let text = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match &self.operation {
            Operation::Tool(name) => {
                let mut params = CallToolRequestParams::new(name.clone()).with_arguments(args.clone());
                params.meta = listening.map(ProgressSubscription::mark);
                Ok(outcome_of(service.call_tool(params).await?))
            }
            Operation::ListResources => {
                let mut listed = String::new();
                let listing = listing::resources(service).await.map_err(Failure::Listing)?;
                for resource in listing.items {
                    let about = resource.description.as_deref().map(one_line).unwrap_or_default();
                    let _ = writeln!(listed, "{}: {} {about}", resource.uri, resource.name);
                }
                let mut outcome = shown(vec![Content::text(listed.trim_end())]);
                add_notes(&mut outcome, &listing.notes);
                Ok(outcome)
            }
            Operation::ReadResource => {
                let read = service.read_resource(ReadResourceRequestParams::new(text("uri"))).await?;
                let notes = left_out(read.meta.as_ref());
                let mut outcome = shown(read.contents.into_iter().map(contents).collect());
                add_notes(&mut outcome, &notes);
                Ok(outcome)
            }
            Operation::GetPrompt => {
                let mut params = GetPromptRequestParams::new(text("name"));
                params.arguments = args.get("arguments").and_then(Value::as_object).cloned();
                let prompt = service.get_prompt(params).await?;
                let notes = left_out(prompt.meta.as_ref());
                let parts = prompt.messages.into_iter().map(|message| content(message.content));
                let mut outcome = shown(parts.collect());
                add_notes(&mut outcome, &notes);
                Ok(outcome)
            }
        }
    }
}

fn shown(content: Vec<Content>) -> ToolOutcome {
    ToolOutcome { content, ..ToolOutcome::done("") }
}

/// Adds the omissions of an answer to its message.
fn add_notes(outcome: &mut ToolOutcome, notes: &[String]) {
    if !notes.is_empty() {
        let before = if outcome.message.is_empty() { "" } else { "; " };
        let _ = write!(outcome.message, "{before}left out: {}", notes.join("; "));
    }
}

fn outcome_of(result: CallToolResult) -> ToolOutcome {
    let notes = left_out(result.meta.as_ref());
    let content: Vec<Content> = result.content.into_iter().map(content).collect();
    let mut outcome = if result.is_error == Some(true) {
        let words: Vec<String> = content.iter().map(Content::to_text).collect();
        let words = words.join("\n");
        // Some servers put the reason into the data alone.
        let data = result.structured_content.as_ref().filter(|_| words.trim().is_empty());
        ToolOutcome::failed(data.map_or(words, ToString::to_string))
    } else {
        ToolOutcome { value: result.structured_content, ..shown(content) }
    };
    add_notes(&mut outcome, &notes);
    outcome
}

/// Why a request has no outcome.
enum Failure {
    Service(ServiceError),
    /// A list could not be read.
    Listing(String),
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

fn content(block: ContentBlock) -> Content {
    match block {
        ContentBlock::Text(text) => Content::text(text.text),
        ContentBlock::Image(image) => Content::Image { data: image.data, mime: image.mime_type },
        ContentBlock::Audio(audio) => Content::Audio { data: audio.data, mime: audio.mime_type },
        ContentBlock::Resource(embedded) => contents(embedded.resource),
        ContentBlock::ResourceLink(link) => {
            Content::ResourceLink { uri: link.uri, name: link.name, mime: link.mime_type }
        }
        #[allow(unreachable_patterns, reason = "the protocol grows")]
        _ => Content::text("[unsupported content]"),
    }
}

fn contents(resource: ResourceContents) -> Content {
    match resource {
        ResourceContents::TextResourceContents { text, .. } => Content::text(text),
        ResourceContents::BlobResourceContents { blob, mime_type, uri, .. } => match mime_type {
            Some(mime) if mime.starts_with("image/") => Content::Image { data: blob, mime },
            Some(mime) if mime.starts_with("audio/") => Content::Audio { data: blob, mime },
            mime => Content::ResourceLink { name: "binary content".to_owned(), uri, mime },
        },
        #[allow(unreachable_patterns, reason = "the protocol grows")]
        _ => Content::text("[unsupported content]"),
    }
}
