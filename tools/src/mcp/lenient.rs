//! Reads what can be read of a server's answers. One tool, resource or part of a content that does not follow the protocol is
//! left out, and named; the rest is read.
//!
//! rmcp decodes an answer as a whole, so answers are repaired before it sees them.

use crate::outside::schema::allows_object;
use crate::outside::text::cut;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, ContentBlock, MetaObject, RequestId,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Key of `_meta` under which a repaired answer lists its omissions.
const LEFT_OUT: &str = "sojourn/left_out";
/// Limit on the text that shows a part of an unknown kind, and on the message and data of an error, in characters.
const MAX_UNKNOWN_CHARS: usize = 2000;
/// Limit on the notes of one answer.
const MAX_NOTES: usize = 20;
/// Limit on one note, in characters.
const MAX_NOTE_CHARS: usize = 500;
/// Limit on the requests that wait for an answer. At the limit all of them are forgotten, and their answers are not repaired.
const MAX_WAITING: usize = 1024;

/// The requests that wait for an answer.
#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<Requests>>);

#[derive(Default)]
struct Requests {
    /// The methods of the requests that wait.
    methods: HashMap<RequestId, String>,
    /// Errors without an id, which answer some of `suspects`.
    errors: Vec<Map<String, Value>>,
    /// The requests that waited when the errors came, and still do.
    suspects: HashSet<RequestId>,
}

impl Requests {
    /// Takes a request out, because it has its answer or nobody waits for it any more.
    fn remove(&mut self, id: &RequestId) -> Option<String> {
        self.suspects.remove(id);
        self.methods.remove(id)
    }

    /// Takes an error that names no request.
    fn suspect(&mut self, error: Map<String, Value>) {
        self.suspects.extend(self.methods.keys().cloned());
        self.errors.push(error);
    }

    /// Lines that answer all suspects, as soon as there is an error for each of them.
    fn settled(&mut self) -> Vec<Vec<u8>> {
        if self.suspects.len() > self.errors.len() {
            return Vec::new();
        }
        let answered = std::mem::take(&mut self.suspects).into_iter().zip(std::mem::take(&mut self.errors));
        let mut lines = Vec::new();
        for (id, mut error) in answered {
            let (Some(method), Ok(given)) = (self.methods.remove(&id), serde_json::to_value(id)) else {
                continue;
            };
            error.insert("id".to_owned(), given);
            repair_message(&method, &mut error);
            lines.extend(serde_json::to_vec(&error).ok());
        }
        lines
    }
}

impl Waiting {
    /// Records a message that is about to be sent, if it is a request or gives one up.
    pub fn sent(&self, message: &ClientJsonRpcMessage) {
        match message {
            ClientJsonRpcMessage::Request(request) => {
                let mut requests = self.lock();
                if requests.methods.len() >= MAX_WAITING {
                    *requests = Requests::default();
                }
                requests.methods.insert(request.id.clone(), request.request.method().to_owned());
            }
            ClientJsonRpcMessage::Notification(sent) => {
                if let ClientNotification::CancelledNotification(cancelled) = &sent.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.lock().remove(id);
                }
            }
            _ => {}
        }
    }

    /// A line of a server as rmcp can read it, possibly followed by others; `None` if it can be read as it is.
    ///
    /// An error without an id is meant for one of the requests that wait. It answers the one that is left when the others
    /// have their answers.
    pub fn repaired(&self, line: &[u8]) -> Option<Vec<u8>> {
        let mut message: Map<String, Value> = serde_json::from_slice(line).ok()?;
        if message.contains_key("method") {
            return None;
        }
        let id = message.get("id").cloned().unwrap_or(Value::Null);
        let mut requests = self.lock();
        if id.is_null() && message.contains_key("error") {
            requests.suspect(message);
            let settled = requests.settled();
            return (!settled.is_empty()).then(|| settled.join(&b'\n'));
        }
        let id: RequestId = serde_json::from_value(id).ok()?;
        let method = requests.remove(&id)?;
        let mut lines = requests.settled();
        drop(requests);
        let repaired =
            repair_message(&method, &mut message).then(|| serde_json::to_vec(&message).ok()).flatten();
        if repaired.is_none() && lines.is_empty() {
            return None;
        }
        lines.insert(0, repaired.unwrap_or_else(|| line.to_owned()));
        Some(lines.join(&b'\n'))
    }

    /// Forgets the request `id`, because it was answered in the server's place. Returns further lines for rmcp.
    pub fn forget(&self, id: &Value) -> Vec<Vec<u8>> {
        let Ok(id) = serde_json::from_value::<RequestId>(id.clone()) else { return Vec::new() };
        let mut requests = self.lock();
        requests.remove(&id);
        requests.settled()
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Method of a request.
pub fn method_of(message: &ClientJsonRpcMessage) -> Option<&str> {
    match message {
        ClientJsonRpcMessage::Request(request) => Some(ClientRequest::method(&request.request)),
        _ => None,
    }
}

/// Repairs the answer to a request of `method` in place. Returns whether it has changed.
pub fn repair_message(method: &str, message: &mut Map<String, Value>) -> bool {
    if let Some(error) = message.get_mut("error") {
        let repaired = error_object(error);
        let changed = *error != repaired;
        *error = repaired;
        return changed;
    }
    let Some(result) = message.get_mut("result") else { return false };
    let mut notes = Vec::new();
    let Some(mut repaired) = repair(method, result, &mut notes) else { return false };
    if !notes.is_empty() {
        notes.truncate(MAX_NOTES);
        let notes: Vec<String> = notes.iter().map(|note| cut(note, MAX_NOTE_CHARS)).collect();
        let meta = repaired.entry("_meta").or_insert_with(|| json!({}));
        meta[LEFT_OUT] = json!(notes);
    }
    let repaired = Value::Object(repaired);
    let changed = *result != repaired;
    *result = repaired;
    changed
}

/// What the repair of an answer left out, by the answer's metadata.
pub fn left_out(meta: Option<&MetaObject>) -> Vec<String> {
    let notes = meta.and_then(|meta| meta.get(LEFT_OUT)).and_then(Value::as_array);
    notes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The result with everything that can be read; `None` for methods whose results are read as they are.
fn repair(method: &str, result: &Value, notes: &mut Vec<String>) -> Option<Map<String, Value>> {
    let is_final = |fields: &Map<String, Value>| {
        fields.get("resultType").is_none_or(|kind| kind.is_null() || kind == "complete")
    };
    let (list, item): (&str, Read) = match method {
        "tools/list" => ("tools", tool),
        "prompts/list" => ("prompts", |item, _| prompt(&item)),
        "resources/list" => ("resources", |item, _| resource(&item)),
        "resources/read" => ("contents", |item, _| resource_contents(&item)),
        "prompts/get" => ("messages", message),
        "tools/call" => {
            let fields = match result {
                Value::Object(fields) if is_final(fields) => fields.clone(),
                Value::Object(_) => return None,
                Value::Null => Map::new(),
                other => Map::from_iter([("content".to_owned(), other.clone())]),
            };
            return Some(call_result(fields, notes));
        }
        _ => return None,
    };
    let mut fields = match result {
        Value::Object(fields) if is_final(fields) => fields.clone(),
        Value::Object(_) => return None,
        other => Map::from_iter([(list.to_owned(), other.clone())]),
    };
    let items = match fields.get(list).cloned() {
        Some(Value::Array(items)) => items,
        Some(Value::Null) | None => Vec::new(),
        Some(other) => vec![other],
    };
    let mut read = Vec::with_capacity(items.len());
    for given in items {
        match item(given, notes) {
            Ok(items) => read.extend(items),
            Err(note) => notes.push(note),
        }
    }
    fields.insert(list.to_owned(), Value::Array(read));
    fields.retain(|name, value| match name.as_str() {
        "nextCursor" | "description" | "cacheScope" => value.is_string(),
        "ttlMs" => value.is_u64(),
        "_meta" => value.is_object(),
        "resultType" => !value.is_null(),
        // A field of another kind of result would make rmcp take this one for it.
        other => other == list,
    });
    Some(fields)
}

type Read = fn(Value, &mut Vec<String>) -> Result<Vec<Value>, String>;

/// A tool, if it has a name and a schema.
fn tool(item: Value, _notes: &mut Vec<String>) -> Result<Vec<Value>, String> {
    let Value::Object(mut fields) = item else { return Err("a tool that is no object".to_owned()) };
    let Some(name) = fields.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
        return Err("a tool without a name".to_owned());
    };
    let name = name.to_owned();
    let Some(schema) = fields.get("inputSchema").and_then(Value::as_object) else {
        return Err(format!("the tool `{name}`: its `inputSchema` is missing or no object"));
    };
    if schema.get("type").is_some_and(|kind| !allows_object(kind)) {
        return Err(format!("the tool `{name}`: its `inputSchema` is not of the type `object`"));
    }
    if let Some(Value::Object(hints)) = fields.get_mut("annotations") {
        hints.retain(|name, hint| if name == "title" { hint.is_string() } else { hint.is_boolean() });
    }
    fields.retain(|name, value| match name.as_str() {
        "description" | "title" => value.is_string(),
        "outputSchema" | "annotations" | "_meta" => value.is_object(),
        "icons" => false,
        _ => true,
    });
    readable::<rmcp::model::Tool>(Value::Object(fields))
        .map_err(|error| format!("the tool `{name}`: {error}"))
}

fn prompt(item: &Value) -> Result<Vec<Value>, String> {
    let name = item.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or("a prompt without a name")?.to_owned();
    // Only its name is used.
    readable::<rmcp::model::Prompt>(json!({"name": name}))
        .map_err(|error| format!("the prompt `{name}`: {error}"))
}

fn resource(item: &Value) -> Result<Vec<Value>, String> {
    let text = |name: &str| item.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let uri = text("uri").ok_or("a resource without a `uri`")?;
    let mut fields = json!({"uri": uri, "name": text("name").or(text("title")).unwrap_or(uri)});
    for name in ["description", "mimeType"] {
        if let Some(value) = text(name) {
            fields[name] = value.into();
        }
    }
    readable::<rmcp::model::Resource>(fields).map_err(|error| format!("the resource `{uri}`: {error}"))
}

/// A message of a prompt. One with several parts becomes several.
fn message(item: Value, notes: &mut Vec<String>) -> Result<Vec<Value>, String> {
    let Value::Object(mut fields) = item else { return Err("a message that is no object".to_owned()) };
    let role =
        fields.get("role").filter(|role| *role == "assistant").cloned().unwrap_or_else(|| "user".into());
    let content = fields.remove("content").unwrap_or_default();
    let content = blocks(content, notes);
    Ok(content.into_iter().map(|content| json!({"role": role, "content": content})).collect())
}

fn resource_contents(item: &Value) -> Result<Vec<Value>, String> {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let uri = text("uri").unwrap_or_default();
    let mut fields = json!({"uri": uri});
    if let Some(mime) = text("mimeType") {
        fields["mimeType"] = mime.into();
    }
    match (text("text"), text("blob")) {
        (Some(text), _) => fields["text"] = text.into(),
        (None, Some(blob)) => fields["blob"] = blob.into(),
        (None, None) => return Err(format!("the contents of `{uri}`, which have neither text nor data")),
    }
    Ok(vec![fields])
}

fn call_result(mut fields: Map<String, Value>, notes: &mut Vec<String>) -> Map<String, Value> {
    let known = ["content", "structuredContent", "isError"].iter().any(|name| fields.contains_key(*name));
    // A server that answers with its data alone.
    let bare = (!known && fields.keys().any(|name| name != "_meta" && name != "resultType")).then(|| {
        let data = fields.iter().filter(|(name, _)| *name != "_meta" && *name != "resultType");
        Value::Object(data.map(|(name, value)| (name.clone(), value.clone())).collect())
    });
    let content = fields.remove("content").unwrap_or_default();
    let content = blocks(content, notes);
    let is_error = match fields.remove("isError") {
        Some(Value::Bool(is_error)) => is_error,
        Some(Value::String(text)) => text == "true",
        _ => false,
    };
    let structured = bare.or_else(|| fields.remove("structuredContent")).filter(|value| !value.is_null());
    let mut read = Map::from_iter([
        ("content".to_owned(), Value::Array(content)),
        ("isError".to_owned(), is_error.into()),
    ]);
    if let Some(structured) = structured {
        read.insert("structuredContent".to_owned(), structured);
    }
    for (name, value) in fields {
        if (name == "_meta" && value.is_object()) || (name == "resultType" && value.is_string()) {
            read.insert(name, value);
        }
    }
    read
}

/// The parts of a content, each as rmcp can read it.
fn blocks(content: Value, notes: &mut Vec<String>) -> Vec<Value> {
    let parts = match content {
        Value::Array(parts) => parts,
        Value::Null => Vec::new(),
        other => vec![other],
    };
    let mut read = Vec::with_capacity(parts.len());
    for part in parts {
        match block(part) {
            Ok(block) => read.push(block),
            Err(note) => notes.push(note),
        }
    }
    read
}

/// One part of a content. Annotations and metadata are not used, so they are left out.
fn block(part: Value) -> Result<Value, String> {
    let fields = match part {
        Value::Object(fields) => fields,
        Value::String(text) => return Ok(json!({"type": "text", "text": text})),
        Value::Null => return Err("a part of its content that is `null`".to_owned()),
        other => return Ok(json!({"type": "text", "text": other.to_string()})),
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let kind = text("type").unwrap_or_default();
    let lacks = |what: &str| format!("a part of its content of the type `{kind}` without {what}");
    let read = match kind {
        "text" => match fields.get("text") {
            Some(Value::String(text)) => json!({"type": "text", "text": text}),
            Some(Value::Null) | None => return Err(lacks("text")),
            Some(other) => json!({"type": "text", "text": other.to_string()}),
        },
        "image" | "audio" => {
            let data = text("data").ok_or_else(|| lacks("data"))?;
            let mime = text("mimeType").or_else(|| media_type(data)).ok_or_else(|| lacks("a media type"))?;
            json!({"type": kind, "data": data, "mimeType": mime})
        }
        "resource_link" => {
            let mut link = resource(&Value::Object(fields.clone()))?;
            let mut link = link.pop().ok_or_else(|| lacks("a `uri`"))?;
            link["type"] = kind.into();
            link
        }
        "resource" => {
            let inner = fields.get("resource").cloned().unwrap_or_default();
            let mut contents = resource_contents(&inner)?;
            json!({"type": kind, "resource": contents.pop().unwrap_or_default()})
        }
        _ => {
            let shown = match fields.get("text").and_then(Value::as_str) {
                Some(text) => text.to_owned(),
                None => Value::Object(fields.clone()).to_string(),
            };
            let beginning: String = shown.chars().take(MAX_UNKNOWN_CHARS).collect();
            let kind: String = kind.chars().take(50).collect();
            json!({"type": "text", "text": format!("[a part of the unknown type `{kind}`] {beginning}")})
        }
    };
    // The decoder has the last word.
    serde_json::from_value::<ContentBlock>(read.clone())
        .map(|_| read)
        .map_err(|error| format!("a part of its content of the type `{kind}`: {error}"))
}

/// The media type of an image by the first characters of its base64.
fn media_type(data: &str) -> Option<&'static str> {
    let known =
        [("iVBOR", "image/png"), ("/9j/", "image/jpeg"), ("R0lG", "image/gif"), ("UklGR", "image/webp")];
    known.iter().find(|(beginning, _)| data.starts_with(beginning)).map(|(_, mime)| *mime)
}

/// An error with a numeric code and a message.
pub fn error_object(error: &Value) -> Value {
    let code = error.get("code").and_then(Value::as_i64).and_then(|code| i32::try_from(code).ok());
    let message = match error {
        Value::String(text) => cut(text, MAX_UNKNOWN_CHARS),
        other => match other.get("message") {
            Some(Value::String(message)) => cut(message, MAX_UNKNOWN_CHARS),
            _ => cut(&other.to_string(), MAX_UNKNOWN_CHARS),
        },
    };
    let mut repaired = json!({"code": code.unwrap_or(-32603), "message": message});
    if let Some(data) = error.get("data") {
        let text = data.to_string();
        let fits = text.len() <= MAX_UNKNOWN_CHARS;
        repaired["data"] = if fits { data.clone() } else { cut(&text, MAX_UNKNOWN_CHARS).into() };
    }
    repaired
}

fn readable<T: DeserializeOwned>(item: Value) -> Result<Vec<Value>, String> {
    serde_json::from_value::<T>(item.clone()).map(|_| vec![item]).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmcp::model::{ServerJsonRpcMessage, ServerResult};

    fn read(method: &str, result: &Value) -> (ServerResult, Vec<String>) {
        let mut message = json!({"jsonrpc": "2.0", "id": 1, "result": result});
        repair_message(method, message.as_object_mut().unwrap());
        let notes = message["result"]["_meta"][LEFT_OUT].as_array().cloned().unwrap_or_default();
        let notes = notes.iter().map(|note| note.as_str().unwrap().to_owned()).collect();
        match serde_json::from_value(message).unwrap() {
            ServerJsonRpcMessage::Response(response) => (response.result, notes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_tool_that_cannot_be_read_takes_no_other_away() {
        let good = json!({"name": "good", "inputSchema": {"type": "object"}});
        for (bad, note) in [
            (json!({"name": "bad"}), "`bad`: its `inputSchema` is missing"),
            (json!({"name": "bad", "inputSchema": null}), "is missing or no object"),
            (json!({"name": "bad", "inputSchema": {"type": "string"}}), "not of the type `object`"),
            (json!({"inputSchema": {}}), "without a name"),
            (json!("bad"), "no object"),
        ] {
            let (result, notes) = read("tools/list", &json!({"tools": [bad, good], "messages": []}));
            let ServerResult::ListToolsResult(list) = result else { panic!("{result:?}") };
            assert_eq!(list.tools.len(), 1, "{notes:?}");
            assert!(notes.len() == 1 && notes[0].contains(note), "{notes:?}");
        }
        let odd = json!({"name": "odd", "inputSchema": {}, "description": 7, "annotations": {"readOnlyHint": "yes", "idempotentHint": true}, "icons": 3, "outputSchema": []});
        let (result, notes) = read("tools/list", &json!({"tools": [odd], "nextCursor": null}));
        let ServerResult::ListToolsResult(list) = result else { panic!("{result:?}") };
        let hints = list.tools[0].annotations.clone().unwrap();
        assert_eq!((hints.read_only_hint, hints.idempotent_hint, notes.len()), (None, Some(true), 0));
    }

    #[test]
    fn a_part_of_a_content_that_cannot_be_read_loses_no_text_beside_it() {
        for odd in [
            json!({"type": "widget", "html": "x"}),
            json!({"type": "resource_link", "uri": "ui://1"}),
            json!({"type": "text", "text": "more", "annotations": {"audience": ["system"], "priority": "high"}}),
            json!({"type": "image", "data": "aGk="}),
            json!({"type": "resource", "resource": {"text": "more"}}),
            json!({"type": "text", "text": null}),
            json!({"text": "no type"}),
            json!(null),
            json!(7),
        ] {
            let content = json!([{"type": "text", "text": "kept"}, odd]);
            let (result, notes) = read("tools/call", &json!({"content": content, "tools": []}));
            let ServerResult::CallToolResult(result) = result else { panic!("{result:?}") };
            assert_eq!(result.content[0].as_text().unwrap().text, "kept");
            assert_eq!(result.content.len() + notes.len(), 2, "{odd}: {notes:?}");
        }
        for (result, value) in [
            (json!({"content": null, "structuredContent": [1]}), json!([1])),
            (json!({"balance": 4711}), json!({"balance": 4711})),
        ] {
            let ServerResult::CallToolResult(result) = read("tools/call", &result).0 else { panic!() };
            assert_eq!(result.structured_content, Some(value));
        }
    }

    #[test]
    fn an_error_without_an_id_is_the_answer_to_the_only_request_that_waits() {
        let waiting = Waiting::default();
        let request = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/list"});
        waiting.sent(&serde_json::from_value(request).unwrap());
        let line = br#"{"jsonrpc":"2.0","id":null,"error":"no"}"#;
        let repaired: Value = serde_json::from_slice(&waiting.repaired(line).unwrap()).unwrap();
        assert_eq!(repaired["id"], 3);
        assert_eq!(repaired["error"], json!({"code": -32603, "message": "no"}));
        assert!(waiting.repaired(line).is_none(), "the request has its answer");
        assert_eq!(error_object(&json!("no")), json!({"code": -32603, "message": "no"}));
    }
    #[test]
    fn an_error_without_an_id_answers_the_request_that_is_left() {
        let waiting = Waiting::default();
        let send = |id: u32, method: &str| {
            let request = json!({"jsonrpc": "2.0", "id": id, "method": method});
            waiting.sent(&serde_json::from_value(request).unwrap());
        };
        let lines = |line: &[u8]| -> Vec<Value> {
            let repaired = waiting.repaired(line).unwrap_or_default();
            let lines = repaired.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
        };
        let error = br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}"#;
        for id in 1..=4 {
            send(id, "tools/list");
        }
        // Nobody waits for this one any more.
        let cancelled =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4}});
        waiting.sent(&serde_json::from_value(cancelled).unwrap());
        assert!(lines(error).is_empty());
        // A request that is sent after the error is not meant.
        send(5, "tools/list");
        assert!(lines(br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#).is_empty());
        let settled = lines(br#"{"jsonrpc":"2.0","id":3,"result":{"tools":[]}}"#);
        assert_eq!(settled.iter().map(|line| &line["id"]).collect::<Vec<_>>(), [&json!(3), &json!(2)]);
        assert_eq!(settled[1]["error"]["message"], "no");
        assert_eq!(lines(error)[0]["id"], 5);
    }

    #[test]
    fn a_long_error_or_note_is_cut() {
        let long = "é".repeat(1 << 20);
        for error in
            [json!(long), json!({"message": long, "data": [long]}), json!({"code": 1, "data": {"a": long}})]
        {
            assert!(error_object(&error).to_string().len() < 20_000);
        }
        let tools = json!({"tools": [{"name": long}, {"name": long, "inputSchema": {"type": long}}]});
        let (_, notes) = read("tools/list", &tools);
        assert!(notes.len() == 2 && notes.iter().all(|note| note.len() < 2000));
    }
}
