//! Presents a server's tools, resources and prompts as tools.

use super::handler::Client;
use super::progress::ProgressSubscription;
use super::{McpSettings, connection::Connection};
use crate::schema::identifier;
use crate::{CallContext, Content, Effects, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, GetPromptRequestParams, ReadResourceRequestParams,
    ResourceContents, ServerPeerInfo,
};
use rmcp::service::{RunningService, ServiceError};
use serde_json::{Map, Value, json};
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

/// Lists everything that the server offers.
pub async fn offered(
    service: &RunningService<RoleClient, Client>,
    name: &str,
    settings: &McpSettings,
    connection: &Arc<Connection>,
) -> Result<Vec<Arc<dyn Tool>>, ServiceError> {
    let peer = service.peer();
    let info = peer.peer_info();
    let capabilities =
        info.as_deref().map(|info: &ServerPeerInfo| info.capabilities.clone()).unwrap_or_default();
    let mut tools: Vec<Arc<dyn Tool>> = Vec::new();
    let mut add = |mut spec: ToolSpec, operation| {
        spec.timeout_ms = settings.timeout_ms;
        tools.push(Arc::new(McpTool { spec, operation, connection: Arc::downgrade(connection) }));
    };
    if capabilities.tools.is_some() {
        for tool in peer.list_all_tools().await? {
            let description = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
            let effects =
                settings.effects.get(tool.name.as_ref()).copied().unwrap_or_else(|| annotated_effects(&tool));
            let input = Value::Object((*tool.input_schema).clone());
            let spec = ToolSpec::new(identifier(name, &tool.name), one_line(description)).with_input(input);
            add(ToolSpec { effects, ..spec }, Operation::Tool(tool.name.to_string()));
        }
    }
    // These operations only read; over HTTP they use the network.
    let effects = Effects { network: settings.url.is_some(), idempotent: true, ..Effects::default() };
    if capabilities.resources.is_some() {
        let spec = ToolSpec::new(identifier(name, "list_resources"), "lists what can be read");
        add(ToolSpec { effects, ..spec }, Operation::ListResources);
        let spec = ToolSpec::new(identifier(name, "read_resource"), "reads one of the listed resources");
        let uri = json!({"type": "object", "properties": {"uri": {"type": "string"}}, "required": ["uri"], "additionalProperties": false});
        add(ToolSpec { effects, ..spec.with_input(uri) }, Operation::ReadResource);
    }
    if capabilities.prompts.is_some() {
        let prompts = peer.list_all_prompts().await?;
        if !prompts.is_empty() {
            let names: Vec<&str> = prompts.iter().map(|prompt| prompt.name.as_str()).collect();
            let input = json!({
                "type": "object",
                "properties": {
                    "name": {"type": "string", "enum": names},
                    "arguments": {"type": "object", "additionalProperties": {"type": "string"}},
                },
                "required": ["name"],
                "additionalProperties": false,
            });
            let spec = ToolSpec::new(identifier(name, "get_prompt"), "gives one of the server's texts");
            add(ToolSpec { effects, ..spec.with_input(input) }, Operation::GetPrompt);
        }
    }
    Ok(tools)
}

/// Effects by the server's annotations, which are not guaranteed: a policy that relies on them trusts the
/// server.
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
            Err(ServiceError::McpError(error)) => Ok(ToolOutcome::failed(error.message.to_string())),
            Err(error) => Err(failed(connection.explain(&error.to_string()))),
        }
    }
}

impl McpTool {
    async fn request(
        &self,
        service: &RunningService<RoleClient, Client>,
        args: &Map<String, Value>,
        listening: Option<&ProgressSubscription>,
    ) -> Result<ToolOutcome, ServiceError> {
        let text = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match &self.operation {
            Operation::Tool(name) => {
                let mut params = CallToolRequestParams::new(name.clone()).with_arguments(args.clone());
                params.meta = listening.map(ProgressSubscription::mark);
                Ok(outcome_of(service.call_tool(params).await?))
            }
            Operation::ListResources => {
                let mut listed = String::new();
                for resource in service.peer().list_all_resources().await? {
                    let about = resource.description.as_deref().map(one_line).unwrap_or_default();
                    let _ = writeln!(listed, "{}: {} {about}", resource.uri, resource.name);
                }
                Ok(shown(vec![Content::text(listed.trim_end())]))
            }
            Operation::ReadResource => {
                let read = service.read_resource(ReadResourceRequestParams::new(text("uri"))).await?;
                Ok(shown(read.contents.into_iter().map(contents).collect()))
            }
            Operation::GetPrompt => {
                let mut params = GetPromptRequestParams::new(text("name"));
                params.arguments = args.get("arguments").and_then(Value::as_object).cloned();
                let prompt = service.get_prompt(params).await?;
                Ok(shown(prompt.messages.into_iter().map(|message| content(message.content)).collect()))
            }
        }
    }
}

fn shown(content: Vec<Content>) -> ToolOutcome {
    ToolOutcome { content, ..ToolOutcome::done("") }
}

fn outcome_of(result: CallToolResult) -> ToolOutcome {
    let content: Vec<Content> = result.content.into_iter().map(content).collect();
    if result.is_error == Some(true) {
        let words: Vec<String> = content.iter().map(Content::to_text).collect();
        return ToolOutcome::failed(words.join("\n"));
    }
    ToolOutcome { value: result.structured_content, ..shown(content) }
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
