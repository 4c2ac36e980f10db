//! Tools that need several rounds: each answers with the inputs that it needs, as the protocol without a handshake demands.

use super::tools::tool;
use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CreateMessageRequest,
    CreateMessageRequestParams, ElicitRequest, ElicitRequestParams, GetPromptResponse, GetPromptResult,
    InputRequest, InputRequests, InputRequiredResult, InputResponses, ListRootsRequest, PromptMessage,
    RequestMetaObject, RequestStateCodec, RequestStateError, Role, SamplingMessage, Tool,
};
use serde_json::{Map, Value, json};

const PREFIX: &str = "test_input_required_result_";
/// Names of the tools, without the prefix.
const NAMES: [&str; 8] = [
    "elicitation",
    "sampling",
    "list_roots",
    "request_state",
    "multiple_inputs",
    "multi_round",
    "tampered_state",
    "capabilities",
];
/// The key that seals the state on its way through the client. This server's state holds nothing secret.
const KEY: &[u8] = b"a key that everybody may know: it is for tests";

pub fn tools() -> Vec<Tool> {
    NAMES
        .iter()
        .map(|name| tool(&format!("{PREFIX}{name}"), "needs an answer first", &json!({}), &[]))
        .collect()
}

/// Asks the user for one field.
pub fn form(message: &str, field: &str, kind: &str) -> Result<InputRequest, ErrorData> {
    let schema = json!({"type": "object", "properties": {field: {"type": kind}}, "required": [field]});
    Ok(InputRequest::Elicitation(ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message.into(),
        requested_schema: serde_json::from_value(schema).map_err(|error| internal(&error))?,
    })))
}

fn sample(prompt: &str) -> InputRequest {
    let params = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 100);
    InputRequest::CreateMessage(CreateMessageRequest::new(params))
}

fn roots() -> InputRequest {
    InputRequest::ListRoots(ListRootsRequest::default())
}

/// The answer to one request. Anything that is not an object counts as no answer, and the request is repeated.
pub fn answer<'a>(responses: Option<&'a InputResponses>, key: &str) -> Option<&'a Map<String, Value>> {
    responses?.get(key)?.as_object()
}

/// A field of a form.
pub fn field<'a>(answer: &'a Map<String, Value>, name: &str) -> &'a str {
    answer.get("content").and_then(|content| content[name].as_str()).unwrap_or("somebody")
}

/// The result that demands these inputs.
pub fn needs<const N: usize>(requests: [(&str, InputRequest); N]) -> InputRequiredResult {
    InputRequiredResult::from_input_requests(named(requests))
}

fn named<const N: usize>(requests: [(&str, InputRequest); N]) -> InputRequests {
    requests.into_iter().map(|(key, request)| (key.into(), request)).collect()
}

fn says(words: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(words)]).into()
}

fn internal(error: &dyn std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn tampered(_: RequestStateError) -> ErrorData {
    ErrorData::invalid_params("the state was changed on its way", None)
}

/// Calls a tool of this module; `None` for any other tool.
pub fn call(
    request: &CallToolRequestParams,
    meta: &RequestMetaObject,
) -> Option<Result<CallToolResponse, ErrorData>> {
    if request.name == "test_streaming_elicitation" {
        return Some(form("Say something", "value", "string").map(|form| needs([("value", form)]).into()));
    }
    Some(rounds(request.name.strip_prefix(PREFIX)?, request, meta))
}

fn rounds(
    name: &str,
    request: &CallToolRequestParams,
    meta: &RequestMetaObject,
) -> Result<CallToolResponse, ErrorData> {
    let codec = RequestStateCodec::new_unchecked(KEY);
    let seal = |state: Value| codec.seal_json(&state).map_err(|error| internal(&error));
    let state = request.request_state.as_deref();
    let opened: Option<Value> = state.map(|state| codec.open_json(state)).transpose().map_err(tampered)?;
    let responses = request.input_responses.as_ref();
    let name_form = || form("What is your name?", "name", "string");
    Ok(match name {
        "elicitation" => match answer(responses, "user_name") {
            Some(answer) => says(format!("Hello, {}!", field(answer, "name"))),
            None => needs([("user_name", name_form()?)]).into(),
        },
        "sampling" => match answer(responses, "capital_question") {
            Some(answer) => says(format!("the model says: {}", field(answer, "text"))),
            None => needs([("capital_question", sample("What is the capital of France?"))]).into(),
        },
        "list_roots" => match answer(responses, "client_roots") {
            Some(answer) => says(format!("the roots: {}", answer.get("roots").unwrap_or(&Value::Null))),
            None => needs([("client_roots", roots())]).into(),
        },
        "request_state" | "tampered_state" if opened.is_some() => says("state-ok"),
        "request_state" | "tampered_state" => {
            let requests = named([("confirm", form("Is that right?", "ok", "boolean")?)]);
            InputRequiredResult::new(Some(requests), Some(seal(json!({"stage": "confirm"}))?)).into()
        }
        "multiple_inputs" => {
            let keys = ["user_name", "greeting", "client_roots"];
            if opened.is_some() && keys.iter().all(|key| answer(responses, key).is_some()) {
                says("all of it is known now")
            } else {
                let all =
                    [("user_name", name_form()?), ("greeting", sample("Greet!")), ("client_roots", roots())];
                InputRequiredResult::new(Some(named(all)), Some(seal(json!({"stage": "gather"}))?)).into()
            }
        }
        "multi_round" => match opened.as_ref().map_or(0, |state| state["round"].as_u64().unwrap_or(0)) {
            0 => {
                let step = named([("step1", name_form()?)]);
                InputRequiredResult::new(Some(step), Some(seal(json!({"round": 1}))?)).into()
            }
            1 => {
                let step = named([("step2", form("Which colour do you like?", "color", "string")?)]);
                InputRequiredResult::new(Some(step), Some(seal(json!({"round": 2}))?)).into()
            }
            _ => says("that was the last round"),
        },
        "capabilities" if responses.is_some() => says("that is enough"),
        // The server may send only requests that the client declared as capabilities.
        "capabilities" => {
            let able = meta.client_capabilities().unwrap_or_default();
            let mut requests = InputRequests::new();
            if able.elicitation.is_some() {
                requests.extend(named([("user_name", name_form()?)]));
            }
            if able.sampling.is_some() {
                requests.extend(named([("greeting", sample("Greet!"))]));
            }
            if able.roots.is_some() {
                requests.extend(named([("client_roots", roots())]));
            }
            if requests.is_empty() {
                says("there is nothing that you could be asked")
            } else {
                InputRequiredResult::from_input_requests(requests).into()
            }
        }
        _ => return Err(ErrorData::invalid_params(format!("there is no tool `{PREFIX}{name}`"), None)),
    })
}

/// The prompt that needs an input first; `None` for any other prompt.
pub fn prompt(
    name: &str,
    responses: Option<&InputResponses>,
) -> Option<Result<GetPromptResponse, ErrorData>> {
    (name == "test_input_required_result_prompt").then(|| {
        Ok(match answer(responses, "user_context") {
            Some(answer) => {
                let words = format!("what was said: {}", field(answer, "context"));
                GetPromptResult::new(vec![PromptMessage::new_text(Role::User, words)]).into()
            }
            None => needs([("user_context", form("What is it about?", "context", "string")?)]).into(),
        })
    })
}
