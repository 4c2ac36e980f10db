//! The conversation of a chat request.

use super::ApiError;
use super::fields::Fields;
use super::pictures::Pictures;
use super::tools::written;
use crate::{Message, Part, Role};
use serde_json::Value;
use std::collections::BTreeSet;

/// Limit on the messages of a request.
const MAX_MESSAGES: usize = 4096;

/// Reads `messages`, and adds what they show to `pictures`. What tools returned becomes words of the user, as the chat templates of
/// models with tools have it.
pub(super) fn read(body: &mut Fields, pictures: &mut Pictures) -> Result<Vec<Message>, ApiError> {
    let listed = body.list("messages")?.unwrap_or_default();
    if listed.is_empty() || listed.len() > MAX_MESSAGES {
        return Err(body.invalid("messages", &format!("must have 1 to {MAX_MESSAGES} messages")));
    }
    let mut messages: Vec<Message> = Vec::with_capacity(listed.len());
    let mut open_calls = BTreeSet::new();
    let mut after_result = false;
    for (index, message) in listed.into_iter().enumerate() {
        let place = body.place(&format!("messages[{index}]"));
        let mut message = Fields::of(message, &place)?;
        let role = message.needed_text("role")?;
        let is_result = role == "tool";
        match role.as_str() {
            "system" | "developer" => messages.push(Message::system(needed(&mut message)?)),
            "user" => {
                let parts = content(&mut message, |part| pictures.read(part))?;
                let parts = parts.ok_or_else(|| message.invalid("content", "is missing"))?;
                messages.push(Message { role: Role::User, parts });
            }
            "assistant" => messages.push(Message::assistant(answered(&mut message, &mut open_calls)?)),
            "tool" => {
                let id = message.needed_text("tool_call_id")?;
                if !open_calls.remove(&id) {
                    return Err(message.invalid("tool_call_id", "answers no earlier call"));
                }
                message.ignore(&["name"]);
                let result = format!("<tool_response>\n{}\n</tool_response>", needed(&mut message)?);
                match messages.pop() {
                    Some(before) if after_result => messages.push(before.and(format!("\n{result}"))),
                    before => messages.extend(before.into_iter().chain([Message::user(result)])),
                }
            }
            _ => {
                return Err(
                    message.invalid("role", "must be `system`, `developer`, `user`, `assistant` or `tool`")
                );
            }
        }
        after_result = is_result;
        message.refuse("name", &[], "the model sees no names of speakers; write them into `content`")?;
        message.end()?;
    }
    Ok(messages)
}

/// Adds words to the instructions at the beginning of a conversation.
pub(super) fn instruct(messages: &mut Vec<Message>, words: &str) {
    match messages.first_mut() {
        Some(first) if first.role == Role::System => {
            let between = if first.text().is_empty() { "" } else { "\n\n" };
            *first = std::mem::replace(first, Message::system("")).and(format!("{between}{words}"));
        }
        _ => messages.insert(0, Message::system(words)),
    }
}

fn needed(message: &mut Fields) -> Result<String, ApiError> {
    text(message)?.ok_or_else(|| message.invalid("content", "is missing"))
}

/// The text of a message that can show no picture.
fn text(message: &mut Fields) -> Result<Option<String>, ApiError> {
    let refuse = |part: &mut Fields| {
        Err(part.invalid("type", "must be `text`: only messages of the user may show pictures"))
    };
    let parts = content(message, refuse)?;
    Ok(parts.map(|parts| parts.into_iter().map(|part| part.text).collect()))
}

/// The content of a message: a string, or a list of parts. Texts that follow each other become one; `picture` reads a part of type `image_url`.
fn content(
    message: &mut Fields,
    mut picture: impl FnMut(&mut Fields) -> Result<Part, ApiError>,
) -> Result<Option<Vec<Part>>, ApiError> {
    let listed = match message.take("content") {
        None => return Ok(None),
        Some(Value::String(text)) => return Ok(Some(vec![Part::new(text)])),
        Some(Value::Array(listed)) => listed,
        Some(_) => return Err(message.invalid("content", "must be a string or a list of parts")),
    };
    let mut parts: Vec<Part> = Vec::new();
    for (index, part) in listed.into_iter().enumerate() {
        let mut part = Fields::of(part, &message.place(&format!("content[{index}]")))?;
        let kind = part.needed_text("type")?;
        match kind.as_str() {
            "text" | "refusal" => {
                let text = part.needed_text(&kind)?;
                match parts.last_mut() {
                    Some(last) if last.picture.is_none() => last.text.push_str(&text),
                    _ => parts.push(Part::new(text)),
                }
            }
            "image_url" => parts.push(picture(&mut part)?),
            _ => return Err(part.invalid("type", "must be `text` or `image_url`")),
        }
        part.end()?;
    }
    if parts.is_empty() {
        parts.push(Part::new(""));
    }
    Ok(Some(parts))
}

/// The text of an earlier answer, with its calls, whose ids are added to `open_calls`.
fn answered(message: &mut Fields, open_calls: &mut BTreeSet<String>) -> Result<String, ApiError> {
    let said = text(message)?;
    let refused = message.text("refusal")?;
    let calls = message.list("tool_calls")?.unwrap_or_default();
    if said.is_none() && refused.is_none() && calls.is_empty() {
        return Err(message.invalid("content", "is missing, and there are no `tool_calls`"));
    }
    let mut lines: Vec<String> = said.or(refused).filter(|text| !text.is_empty()).into_iter().collect();
    for (index, call) in calls.into_iter().enumerate() {
        let mut call = Fields::of(call, &message.place(&format!("tool_calls[{index}]")))?;
        call.ignore(&["index"]);
        if call.text("type")?.is_some_and(|kind| kind != "function") {
            return Err(call.invalid("type", "must be `function`"));
        }
        let id = call.needed_text("id")?;
        let Some(mut function) = call.object("function")? else {
            return Err(call.invalid("function", "is missing"));
        };
        let (name, arguments) = (function.needed_text("name")?, function.needed_text("arguments")?);
        lines.push(written(&name, &arguments));
        open_calls.insert(id);
        function.end()?;
        call.end()?;
    }
    message.refuse("annotations", &[Value::Array(Vec::new())], "the model sees no annotations")?;
    Ok(lines.join("\n"))
}
