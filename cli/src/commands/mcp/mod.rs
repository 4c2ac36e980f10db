//! `sojourn mcp`: serves skills and memories as tools, and runs and their logs as resources, to other programs by the Model
//! Context Protocol, on standard input and output or over HTTP.

pub mod http;
mod resources;
mod skills;

use crate::args::Mcp;
use crate::home::Home;
use crate::worlds::Worlds;
use crate::{embedding, error, session};
use anyhow::Result;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, ResourcesCapability, ServerCapabilities, ServerConfig, Tool,
    ToolsCapability,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler, ServiceExt as _};
use serde_json::{Map, Value, json};
use sojourn_core::now_ms;
use sojourn_memory::{Memories, Query};
use sojourn_sandbox::Sandbox;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// The mark of a byte order in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The name of the tool that recalls memories.
const SEARCH: &str = "memory_search";
/// The maximum number of recalled memories.
const MOST: u64 = 50;

/// Serves until the client disconnects; over HTTP, until it is interrupted.
pub async fn mcp(home: Home, args: Mcp) -> Result<()> {
    let worlds = Worlds::of(&home, args.agent.as_deref()).await?;
    let server = Server { home, sandbox: session::sandbox().await?, worlds };
    if let Some(address) = args.http {
        let place = http::Endpoint { address, token_env: args.token_env, hosts: args.allow_host };
        return http::serve(server, place).await;
    }
    let mut input = BufReader::new(tokio::io::stdin());
    // Some editors begin every file and stream with the mark of a byte order.
    if input.fill_buf().await?.starts_with(BYTE_ORDER_MARK) {
        input.consume(BYTE_ORDER_MARK.len());
    }
    let service = server.serve((input, tokio::io::stdout())).await?;
    service.waiting().await?;
    Ok(())
}

#[derive(Clone)]
struct Server {
    home: Home,
    sandbox: Sandbox,
    worlds: Worlds,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::default();
        capabilities.tools = Some(ToolsCapability::default());
        capabilities.resources = Some(ResourcesCapability::default());
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("sojourn", env!("CARGO_PKG_VERSION")))
            .with_instructions(
                "Tools are skills that an agent has learned and verified. Each call runs in a fresh world, which the argument \
                 `seed` selects. memory_search recalls the agent's memories. Runs and their logs are resources.",
            )
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut tools = vec![search_tool()];
        tools.extend(skills::offered(&self.home, &self.worlds).await.map_err(internal)?);
        Ok(ListToolsResult { tools, ..ListToolsResult::default() })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let args = request.arguments.unwrap_or_default();
        let answer = if request.name == SEARCH {
            self.search(&args).await
        } else {
            self.run_skill(&request.name, args).await
        };
        // An error of a call is a result for the caller, not an error of the protocol.
        Ok(CallToolResponse::Complete(match answer {
            Ok(value) => {
                let mut result = CallToolResult::success(vec![ContentBlock::text(value.to_string())]);
                result.structured_content = Some(value);
                result
            }
            Err(error) => {
                let mut result = CallToolResult::success(vec![ContentBlock::text(error::chain(&error))]);
                result.is_error = Some(true);
                result
            }
        }))
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resources = resources::listed(&self.home).await.map_err(internal)?;
        Ok(ListResourcesResult { resources, ..ListResourcesResult::default() })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match resources::read(&self.home, &request.uri).await {
            Ok(contents) => Ok(ReadResourceResponse::Complete(ReadResourceResult::new(vec![contents]))),
            Err(error) => Err(ErrorData::resource_not_found(error::chain(&error), None)),
        }
    }
}

impl Server {
    async fn run_skill(&self, name: &str, args: Map<String, Value>) -> Result<Value> {
        Box::pin(skills::call(&self.home, &self.sandbox, &self.worlds, name, args)).await
    }

    async fn search(&self, args: &Map<String, Value>) -> Result<Value> {
        let text = args.get("query").and_then(Value::as_str).unwrap_or_default();
        anyhow::ensure!(!text.trim().is_empty(), "`query` is empty: give a text to search for");
        let limit = args.get("limit").and_then(Value::as_u64).unwrap_or(8).clamp(1, MOST);
        let memories = Memories::new(self.home.store().await?);
        let tenant = Home::tenant()?;
        let embedding = embedding::of_question(text).await?;
        let vectors = embedding.iter().map(|(model, vector)| (model.as_str(), vector.as_slice())).collect();
        let k = usize::try_from(limit)?;
        let hits =
            memories.recall(&Query { k, vectors, now_ms: now_ms(), ..Query::new(&tenant, text) }).await?;
        Ok(json!({"memories": hits}))
    }
}

fn search_tool() -> Tool {
    let input = json!({
        "type": "object",
        "properties": {
            "query": {"type": "string", "minLength": 1},
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST, "default": 8},
        },
        "required": ["query"],
        "additionalProperties": false,
    });
    read_only(Tool::new(SEARCH, "recalls the agent's memories by words and meaning", schema(input)))
}

/// Marks a tool as read-only.
fn read_only(mut tool: Tool) -> Tool {
    let mut hints = rmcp::model::ToolAnnotations::default();
    hints.read_only_hint = Some(true);
    hints.open_world_hint = Some(false);
    tool.annotations = Some(hints);
    tool
}

/// Marks a tool as one that acts in the world of others.
fn acting(mut tool: Tool) -> Tool {
    let mut hints = rmcp::model::ToolAnnotations::default();
    hints.read_only_hint = Some(false);
    hints.destructive_hint = Some(true);
    hints.open_world_hint = Some(true);
    tool.annotations = Some(hints);
    tool
}

fn schema(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn internal(error: anyhow::Error) -> ErrorData {
    ErrorData::internal_error(error::chain(&error), None)
}
