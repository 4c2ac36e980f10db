//! Serialisation of requests and responses of the chat endpoint.

use super::control_tokens::divided;
use super::lenient::{self, Parts};
use super::pictures::Urls;
use super::{Dialect, OpenAiOptions};
use crate::{Constraint, Message, PictureTokens, Request, Role, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// How answers are transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Streaming {
    /// Streamed, with token usage in the last chunk.
    Counted,
    /// Streamed, for servers without the option `stream_options`.
    Plain,
    /// Whole.
    Off,
}

/// How a JSON schema reaches the server. It only increases, by what the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SchemaForm {
    /// As `response_format`.
    Enforced,
    /// The same, and in the prompt: an answer broke the schema, so the server may ignore `response_format`.
    Both,
    /// In the prompt only: the server rejects `response_format`.
    InWords,
}

/// Findings about one server that its dialect does not determine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manners {
    /// How answers are streamed. It is reduced when the server rejects an option.
    pub(super) streaming: Streaming,
    pub(super) schema: SchemaForm,
    /// Whether answers need [`REASONING_TOKENS`] besides their own length.
    pub(super) reasons: bool,
}

/// Tokens for the reasoning of a model whose reasoning counts towards the length of its answer.
pub(super) const REASONING_TOKENS: u32 = 4096;

/// A piece of a message.
enum Piece {
    Text(String),
    /// A data URL.
    Picture(String),
}

/// The pieces of a message. A picture without a URL is shown by its text.
fn pieces(message: &Message, urls: &Urls) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for part in &message.parts {
        let url = part.picture.as_ref().and_then(|picture| urls.get(&picture.blob));
        match (url, pieces.last_mut()) {
            (Some(url), _) => pieces.push(Piece::Picture(url.clone())),
            (None, Some(Piece::Text(text))) => text.push_str(&part.text),
            (None, _) => pieces.push(Piece::Text(part.text.clone())),
        }
    }
    pieces
}

/// The content of a message: one text, where it has no picture.
fn content(pieces: Vec<Piece>) -> Value {
    match pieces.as_slice() {
        [] => json!(""),
        [Piece::Text(text)] => json!(divided(text)),
        _ => pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => json!({"type": "text", "text": divided(&text)}),
                Piece::Picture(url) => json!({"type": "image_url", "image_url": {"url": url}}),
            })
            .collect(),
    }
}

/// The request body for `candidates` answers. `attempt` varies the seed.
pub(super) fn body(
    request: &Request,
    urls: &Urls,
    options: &OpenAiOptions,
    manners: Manners,
    candidates: u32,
    attempt: u32,
) -> Value {
    let dialect = options.dialect;
    let mut messages: Vec<(&str, Vec<Piece>)> =
        request.messages.iter().map(|message| (message.role.name(), pieces(message, urls))).collect();
    let mut fields = Map::new();
    fields.insert("model".into(), json!(options.model));
    fields.insert("n".into(), json!(candidates));

    match &request.constraint {
        Constraint::JsonSchema(schema) => {
            if manners.schema != SchemaForm::InWords {
                let format = json!({"name": "answer", "strict": true, "schema": schema});
                fields
                    .insert("response_format".into(), json!({"type": "json_schema", "json_schema": format}));
            }
            if manners.schema != SchemaForm::Enforced {
                let words =
                    format!("Answer with nothing but JSON that satisfies this JSON Schema:\n{schema}");
                ask_for(&mut messages, &words);
            }
        }
        Constraint::Lark(grammar) => match dialect {
            Dialect::LlamaCpp => {
                fields.insert("grammar".into(), json!(format!("%llguidance {{}}\n{grammar}")));
            }
            Dialect::Vllm => {
                fields.insert("structured_outputs".into(), json!({"grammar": grammar}));
            }
            // No model reads a grammar well. The prompt says what to write, and the answer is checked.
            Dialect::OpenAi | Dialect::OpenAiReasoning => {}
        },
    }
    if !request.prefill.is_empty() && dialect.enforces_grammars() {
        messages.push(("assistant", vec![Piece::Text(request.prefill.clone())]));
        fields.insert("add_generation_prompt".into(), json!(false));
        fields.insert("continue_final_message".into(), json!(true));
    } else if !request.prefill.is_empty() {
        let words = format!(
            "Answer with the whole text, from its beginning to its end, and nothing else. It begins with:\n{}",
            request.prefill.trim_end()
        );
        ask_for(&mut messages, &words);
    }
    let messages: Vec<Value> = messages
        .into_iter()
        .map(|(role, pieces)| json!({"role": role, "content": content(pieces)}))
        .collect();
    fields.insert("messages".into(), Value::Array(messages));

    let sampling = request.sampling;
    let room = if manners.reasons { REASONING_TOKENS } else { 0 };
    let max_tokens = request.max_tokens.saturating_add(room);
    if dialect == Dialect::OpenAiReasoning {
        fields.insert("max_completion_tokens".into(), json!(max_tokens));
    } else {
        fields.insert("max_tokens".into(), json!(max_tokens));
        fields.insert("temperature".into(), json!(sampling.temperature));
        fields.insert("top_p".into(), json!(sampling.top_p));
    }
    if matches!(dialect, Dialect::LlamaCpp | Dialect::Vllm) {
        fields.insert("min_p".into(), json!(sampling.min_p));
    }
    // Servers store seeds as signed integers, some with 32 bits.
    let seed = sampling.seed.wrapping_add(u64::from(attempt)) & 0x7fff_ffff;
    fields.insert("seed".into(), json!(seed));
    if !request.stop.is_empty() {
        fields.insert("stop".into(), json!(request.stop));
    }
    set_streaming(&mut fields, manners.streaming, dialect);
    Value::Object(fields)
}

/// Adds words to the last message of the user. Many chat templates refuse two messages of one role in a row.
fn ask_for(messages: &mut Vec<(&str, Vec<Piece>)>, words: &str) {
    match messages.last_mut() {
        Some((role, pieces)) if *role == Role::User.name() => match pieces.last_mut() {
            Some(Piece::Text(text)) => {
                text.truncate(text.trim_end().len());
                text.push_str("\n\n");
                text.push_str(words);
            }
            _ => pieces.push(Piece::Text(words.to_owned())),
        },
        _ => messages.push((Role::User.name(), vec![Piece::Text(words.to_owned())])),
    }
}

fn set_streaming(fields: &mut Map<String, Value>, streaming: Streaming, dialect: Dialect) {
    fields.insert("stream".into(), json!(streaming != Streaming::Off));
    if streaming == Streaming::Counted {
        let mut options = json!({"include_usage": true});
        if dialect == Dialect::Vllm {
            // Reports the usage of cut answers too.
            options["continuous_usage_stats"] = json!(true);
        }
        fields.insert("stream_options".into(), options);
    }
}

/// A whole response or a streamed chunk. A field of another type than expected does not make the rest unreadable.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    #[serde(deserialize_with = "lenient::items")]
    pub(super) choices: Vec<Choice>,
    #[serde(deserialize_with = "lenient::any")]
    usage: Option<Value>,
    #[serde(deserialize_with = "lenient::any")]
    pub(super) error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    #[serde(deserialize_with = "lenient::index")]
    pub(super) index: Option<u32>,
    #[serde(deserialize_with = "lenient::any")]
    message: Option<Value>,
    #[serde(deserialize_with = "lenient::any")]
    delta: Option<Value>,
    #[serde(deserialize_with = "lenient::reason")]
    pub(super) finish_reason: Option<String>,
    /// What vLLM stopped at: a requested string, or the id of a token.
    #[serde(deserialize_with = "lenient::any")]
    pub(super) stop_reason: Option<Value>,
}

/// The content of a message or a chunk.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) text: String,
    /// Reasoning that the server has separated from the answer.
    pub(super) reasoning: String,
    pub(super) refusal: String,
    /// Whether it has calls of tools.
    pub(super) calls: bool,
}

impl Answer {
    /// Parses JSON. An error quotes the text.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let unreadable = |error: serde_json::Error| format!("{error}: {text}");
        let value: Value = serde_json::from_str(text).map_err(unreadable)?;
        // Some gateways wrap an answer or an error in a list.
        let value = match value {
            Value::Array(items) => items.into_iter().next().unwrap_or_default(),
            value => value,
        };
        if !value.is_object() {
            return Err(format!("expected an object: {text}"));
        }
        serde_json::from_value(value).map_err(unreadable)
    }

    /// The token usage, if the response reports it.
    pub(super) fn usage(&self) -> Option<Usage> {
        let reported = self.usage.as_ref()?;
        let count = |path: &str| {
            reported
                .pointer(path)
                .and_then(Value::as_u64)
                .map(|count| u32::try_from(count).unwrap_or(u32::MAX))
        };
        let prompt_tokens = count("/prompt_tokens")?;
        // DeepSeek uses the second name.
        let cached =
            count("/prompt_tokens_details/cached_tokens").or_else(|| count("/prompt_cache_hit_tokens"));
        Some(Usage {
            prompt_tokens,
            cached_tokens: cached.unwrap_or(0).min(prompt_tokens),
            completion_tokens: count("/completion_tokens").unwrap_or(0),
            accepted_draft_tokens: 0,
            pictures: count("/prompt_tokens_details/image_tokens").map(PictureTokens::Counted),
        })
    }
}

impl Choice {
    pub(super) fn content(&mut self) -> Content {
        Content::of(&self.delta.take().or_else(|| self.message.take()).unwrap_or_default())
    }
}

impl Content {
    /// Reads a message or the change to one.
    fn of(message: &Value) -> Self {
        let part = |name: &str| Parts::of(message.get(name).unwrap_or(&Value::Null));
        let mut content = part("content");
        let refusal = message.get("refusal").and_then(Value::as_str).unwrap_or_default();
        content.refusal.push_str(refusal);
        // Servers that send several of these fields send the same text in them.
        let separate = ["reasoning_content", "reasoning", "thinking", "reasoning_details"]
            .iter()
            .map(|name| part(name))
            .map(|parts| parts.text + &parts.reasoning)
            .find(|text| !text.is_empty());
        content.reasoning.push_str(&separate.unwrap_or_default());
        let calls =
            message.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty());
        Self { text: content.text, reasoning: content.reasoning, refusal: content.refusal, calls }
    }

    /// Whether the chunk contains any output of the model.
    pub(super) fn is_something(&self) -> bool {
        !self.text.is_empty() || !self.reasoning.is_empty() || !self.refusal.is_empty() || self.calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    #[test]
    fn token_usage_is_parsed_leniently() {
        let usage =
            |usage: Value| Answer::read(&json!({"choices": [], "usage": usage}).to_string()).unwrap().usage();
        let tokens = |prompt_tokens, cached_tokens, completion_tokens| {
            Some(Usage { prompt_tokens, cached_tokens, completion_tokens, ..Usage::default() })
        };
        assert_eq!(usage(json!(null)), None);
        assert_eq!(usage(json!("many")), None);
        assert_eq!(usage(json!({"prompt_tokens": -3})), None);
        assert_eq!(usage(json!({"prompt_tokens": 9, "completion_tokens": 2})), tokens(9, 0, 2));
        assert_eq!(usage(json!({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4})), tokens(9, 4, 0));
        let more_than_all = json!({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 90}});
        assert_eq!(usage(more_than_all), tokens(9, 9, 0));
        assert_eq!(usage(json!({"prompt_tokens": u64::MAX})), tokens(u32::MAX, 0, 0));
        let counted = usage(json!({"prompt_tokens": 99, "prompt_tokens_details": {"image_tokens": 85}}));
        assert_eq!(counted.unwrap().pictures, Some(PictureTokens::Counted(85)));
    }

    fn sent(request: &Request, dialect: Dialect, schema: SchemaForm, streaming: Streaming) -> Value {
        let options = OpenAiOptions { dialect, ..OpenAiOptions::new("http://localhost/v1", "m") };
        body(request, &Urls::new(), &options, Manners { streaming, schema, reasons: false }, 1, 0)
    }

    #[test]
    fn streaming_options_can_be_changed() {
        let request = Request::new(Vec::new(), Constraint::line(3), 5);
        let sent = |streaming| sent(&request, Dialect::Vllm, SchemaForm::Enforced, streaming);
        let counted = sent(Streaming::Counted);
        assert_eq!(counted["stream_options"], json!({"include_usage": true, "continuous_usage_stats": true}));
        let plain = sent(Streaming::Plain);
        assert_eq!((&plain["stream"], plain.get("stream_options")), (&json!(true), None));
        let off = sent(Streaming::Off);
        assert_eq!((&off["stream"], off.get("stream_options")), (&json!(false), None));
    }

    #[test]
    fn no_message_follows_one_of_the_same_role() {
        let schema = Constraint::JsonSchema(json!({"type": "string"}));
        let user = Request::new(vec![Message::system("a"), Message::user("b\n")], schema, 5);
        let body = sent(&user, Dialect::OpenAi, SchemaForm::InWords, Streaming::Off);
        let last = &body["messages"][1]["content"];
        assert_eq!(body["messages"].as_array().unwrap().len(), 2, "{body}");
        assert!(last.as_str().unwrap().starts_with("b\n\nAnswer with nothing but JSON"), "{last}");
        assert_eq!(body.get("response_format"), None);
    }
}
