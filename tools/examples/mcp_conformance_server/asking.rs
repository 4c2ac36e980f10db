//! Tools that send requests to the client during a call, as the protocols with a handshake allow.

use super::tools::tool;
use rmcp::model::{
    CallToolResult, ClientResult, ContentBlock, CreateMessageRequestParams, ElicitRequest,
    ElicitRequestParams, SamplingMessage, ServerRequest, Tool,
};
use rmcp::service::{RequestContext, ServiceError};
use rmcp::{ErrorData, RoleServer};
use serde_json::{Map, Value, json};

pub fn tools() -> Vec<Tool> {
    let text = json!({"type": "string"});
    vec![
        tool("test_sampling", "asks the client's model", &json!({"prompt": text}), &["prompt"]),
        tool("test_elicitation", "asks the user", &json!({"message": text}), &["message"]),
        tool("test_elicitation_sep1034_defaults", "asks the user, with defaults", &json!({}), &[]),
        tool("test_elicitation_sep1330_enums", "asks the user to choose", &json!({}), &[]),
    ]
}

/// Calls a tool of this module; `None` for any other tool.
pub async fn call(
    name: &str,
    args: &Map<String, Value>,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResult, ErrorData>> {
    let text = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let asked = match name {
        "test_sampling" => sampled(&text("prompt"), context).await,
        "test_elicitation" => elicited(&text("message"), person(), context).await,
        "test_elicitation_sep1034_defaults" => elicited("Is that right?", defaults(), context).await,
        "test_elicitation_sep1330_enums" => elicited("What do you choose?", choices(), context).await,
        _ => return None,
    };
    let asked = asked.unwrap_or_else(|error| {
        CallToolResult::error(vec![ContentBlock::text(format!("the client did not answer: {error}"))])
    });
    Some(Ok(asked))
}

async fn sampled(prompt: &str, context: &RequestContext<RoleServer>) -> Result<CallToolResult, ServiceError> {
    let request = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 100);
    let answer = context.peer.create_message(request).await?;
    let words = answer.message.content.first().and_then(|content| content.as_text());
    let words = words.map(|text| text.text.clone()).unwrap_or_default();
    Ok(CallToolResult::success(vec![ContentBlock::text(format!("LLM response: {words}"))]))
}

async fn elicited(
    message: &str,
    schema: Value,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ServiceError> {
    let requested_schema = serde_json::from_value(schema)
        .map_err(|error| ServiceError::McpError(ErrorData::internal_error(error.to_string(), None)))?;
    let request =
        ElicitRequestParams::FormElicitationParams { meta: None, message: message.into(), requested_schema };
    let request = ServerRequest::ElicitRequest(ElicitRequest::new(request));
    let ClientResult::ElicitResult(answer) = context.peer.send_request(request).await? else {
        return Err(ServiceError::UnexpectedResponse);
    };
    let answer = serde_json::to_value(answer).unwrap_or_default();
    let said = format!(
        "User response: action={}, content={}",
        answer["action"].as_str().unwrap_or_default(),
        answer["content"]
    );
    Ok(CallToolResult::success(vec![ContentBlock::text(said)]))
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"},
        },
        "required": ["username", "email"],
    })
}

fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "User name", "default": "John Doe"},
            "age": {"type": "integer", "description": "User age", "default": 30},
            "score": {"type": "number", "description": "User score", "default": 95.5},
            "status": {
                "type": "string",
                "description": "User status",
                "enum": ["active", "inactive", "pending"],
                "default": "active",
            },
            "verified": {"type": "boolean", "description": "Verification status", "default": true},
        },
    })
}

fn choices() -> Value {
    let titled = |word: &str| -> Vec<Value> {
        let numbers = ["First", "Second", "Third"].into_iter().enumerate();
        numbers
            .map(|(at, title)| json!({"const": format!("value{}", at + 1), "title": format!("{title} {word}")}))
            .collect()
    };
    let plain = ["option1", "option2", "option3"];
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": {"type": "string", "enum": plain},
            "titledSingle": {"type": "string", "oneOf": titled("Option")},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}},
        },
    })
}
