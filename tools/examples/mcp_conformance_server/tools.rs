//! The list of all tools, and the tools that need nothing of the client.

use super::contents::{AUDIO, IMAGE, text};
use super::handler::Everything;
use super::{asking, rounds, tasks};
use rmcp::model::{
    AudioContent, CallToolResult, ClientCapabilities, ContentBlock, LoggingLevel,
    LoggingMessageNotificationParam, ProgressNotificationParam, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A pause between two messages about the same call.
const PAUSE: Duration = Duration::from_millis(50);

/// Tools without arguments.
const PLAIN: [(&str, &str); 14] = [
    ("test_simple_text", "answers with a text"),
    ("test_image_content", "answers with an image"),
    ("test_audio_content", "answers with a sound"),
    ("test_embedded_resource", "answers with a resource"),
    ("test_multiple_content_types", "answers with several of them"),
    ("test_tool_with_logging", "says what it does"),
    ("test_error_handling", "fails"),
    ("test_tool_with_progress", "says how far it is"),
    ("test_reconnection", "answers while nobody may be listening"),
    ("test_trigger_tool_change", "tells that the tools have changed"),
    ("test_trigger_prompt_change", "tells that the prompts have changed"),
    ("test_missing_capability", "needs a client that samples"),
    ("test_streaming_elicitation", "needs an answer of the user's"),
    ("test_logging_tool", "says what it does to those who want to hear it"),
];

/// A tool whose arguments are `properties`.
pub fn tool(name: &str, about: &str, properties: &Value, required: &[&str]) -> Tool {
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    Tool::new(name.to_owned(), about.to_owned(), object(schema))
}

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// All tools.
pub fn all() -> Vec<Tool> {
    let plain = PLAIN.iter().map(|(name, about)| tool(name, about, &json!({}), &[]));
    let mut tools: Vec<Tool> = plain.collect();
    tools.extend([with_header(), json_schema()]);
    tools.extend(asking::tools());
    tools.extend(rounds::tools());
    tools.extend(tasks::tools());
    tools
}

/// The tool whose argument is in a header too.
pub fn with_header() -> Tool {
    let value = json!({"value": {"type": "string", "x-mcp-header": "Value"}});
    tool("test_custom_header", "answers with what a header says", &value, &["value"])
}

/// The tool with a schema that uses references, anchors and conditions.
fn json_schema() -> Tool {
    let address = json!({
        "$anchor": "address",
        "type": "object",
        "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
    });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": address},
        "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
        "allOf": [{"anyOf": [{"required": ["name"]}, {"required": ["address"]}]}],
        "if": {"required": ["address"]},
        "then": {"properties": {"address": {"required": ["street"]}}},
        "else": {"required": ["name"]},
        "additionalProperties": false,
    });
    Tool::new("json_schema_2020_12_tool", "has a schema with everything in it", object(schema))
}

fn says(words: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(words)])
}

/// Calls a tool that needs nothing of the client.
pub async fn call(
    server: &Everything,
    name: &str,
    args: &Map<String, Value>,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    Ok(match name {
        "test_simple_text" => says("This is a simple text response for testing."),
        "test_image_content" => CallToolResult::success(vec![ContentBlock::image(IMAGE, "image/png")]),
        "test_audio_content" => {
            CallToolResult::success(vec![ContentBlock::Audio(AudioContent::new(AUDIO, "audio/wav"))])
        }
        "test_embedded_resource" => CallToolResult::success(vec![ContentBlock::resource(text(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content.",
        ))]),
        "test_multiple_content_types" => {
            let data = json!({"test": "data", "value": 123}).to_string();
            CallToolResult::success(vec![
                ContentBlock::text("Multiple content types test:"),
                ContentBlock::image(IMAGE, "image/png"),
                ContentBlock::resource(text("test://mixed-content-resource", "application/json", &data)),
            ])
        }
        "test_error_handling" => CallToolResult::error(vec![ContentBlock::text(
            "This tool intentionally returns an error for testing",
        )]),
        "test_tool_with_logging" => {
            for words in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                log(context, LoggingLevel::Info, words).await;
                tokio::time::sleep(PAUSE).await;
            }
            says("it said what it did")
        }
        "test_logging_tool" => {
            if let Some(level) = context.meta.log_level() {
                log(context, level, "somebody wants to hear this").await;
            }
            says("it said what it did, if anybody wanted to hear it")
        }
        "test_tool_with_progress" => {
            let token = context.meta.get_progress_token();
            for (done, words) in [(0.0, "begun"), (50.0, "half of it"), (100.0, "all of it")] {
                if let Some(token) = &token {
                    let told = ProgressNotificationParam::new(token.clone(), done)
                        .with_total(100.0)
                        .with_message(words);
                    // A progress message that does not arrive changes nothing.
                    let _ = context.peer.notify_progress(told).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
            says("it is done")
        }
        "test_reconnection" => {
            tokio::time::sleep(2 * PAUSE).await;
            says("Reconnection test completed")
        }
        "test_custom_header" => match args.get("value").and_then(Value::as_str) {
            Some(value) => says(value),
            None => return Err(ErrorData::invalid_params("`value` is no text", None)),
        },
        "json_schema_2020_12_tool" => says(format!("it was called with {}", Value::Object(args.clone()))),
        "test_trigger_tool_change" => {
            for subscriber in server.subscribers.now() {
                let _ = subscriber.notify_tool_list_changed().await;
            }
            says("those who listen were told")
        }
        "test_trigger_prompt_change" => {
            for subscriber in server.subscribers.now() {
                let _ = subscriber.notify_prompt_list_changed().await;
            }
            says("those who listen were told")
        }
        "test_missing_capability" => {
            let able = context.meta.client_capabilities().unwrap_or_default();
            if able.sampling.is_none() {
                let needed = ClientCapabilities::builder().enable_sampling().build();
                return Err(ErrorData::missing_required_client_capability(needed));
            }
            says("the client can do what is needed")
        }
        _ => return Err(ErrorData::invalid_params(format!("there is no tool `{name}`"), None)),
    })
}

async fn log(context: &RequestContext<RoleServer>, level: LoggingLevel, words: &str) {
    let told = LoggingMessageNotificationParam::new(level, json!(words)).with_logger("conformance");
    let _ = context.peer.notify_logging_message(told).await;
}
