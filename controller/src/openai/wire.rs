//! Serialisation of requests and responses of the chat endpoint.

use super::lenient::{self, Parts};
use super::{Dialect, OpenAiOptions};
use crate::{Constraint, Request, Usage};
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

/// The request body for `candidates` answers, without streaming options. `attempt` varies the seed.
pub(super) fn body(request: &Request, options: &OpenAiOptions, candidates: u32, attempt: u32) -> Value {
    let dialect = options.dialect;
    let mut messages: Vec<Value> = request
        .messages
        .iter()
        .map(|message| json!({"role": message.role.name(), "content": message.text()}))
        .collect();
    let mut fields = Map::new();
    fields.insert("model".into(), json!(options.model));
    fields.insert("n".into(), json!(candidates));

    let mut in_words = Vec::new();
    match &request.constraint {
        Constraint::JsonSchema(schema) => {
            let format = json!({"name": "answer", "strict": true, "schema": schema});
            fields.insert("response_format".into(), json!({"type": "json_schema", "json_schema": format}));
        }
        Constraint::Lark(grammar) => match dialect {
            Dialect::LlamaCpp => {
                fields.insert("grammar".into(), json!(format!("%llguidance {{}}\n{grammar}")));
            }
            Dialect::Vllm => {
                fields.insert("structured_outputs".into(), json!({"grammar": grammar}));
            }
            Dialect::OpenAi | Dialect::OpenAiReasoning => in_words.push(format!(
                "Answer with nothing but a text that the rule `start` of this Lark grammar describes:\n{grammar}"
            )),
        },
    }
    if !request.prefill.is_empty() {
        match dialect {
            Dialect::LlamaCpp | Dialect::Vllm => {
                messages.push(json!({"role": "assistant", "content": request.prefill}));
                fields.insert("add_generation_prompt".into(), json!(false));
                fields.insert("continue_final_message".into(), json!(true));
            }
            Dialect::OpenAi | Dialect::OpenAiReasoning => in_words.push(format!(
                "Your answer has already begun with the following text; write only what comes after it:\n{}",
                request.prefill
            )),
        }
    }
    if !in_words.is_empty() {
        messages.push(json!({"role": "user", "content": in_words.join("\n\n")}));
    }
    fields.insert("messages".into(), Value::Array(messages));

    let sampling = request.sampling;
    if dialect == Dialect::OpenAiReasoning {
        fields.insert("max_completion_tokens".into(), json!(request.max_tokens));
    } else {
        fields.insert("max_tokens".into(), json!(request.max_tokens));
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
    Value::Object(fields)
}

/// Sets the streaming options in `body`.
pub(super) fn set_streaming(body: &mut Value, streaming: Streaming, dialect: Dialect) {
    let Value::Object(fields) = body else { return };
    fields.insert("stream".into(), json!(streaming != Streaming::Off));
    if streaming == Streaming::Counted {
        let mut options = json!({"include_usage": true});
        if dialect == Dialect::Vllm {
            // Reports the usage of cut answers too.
            options["continuous_usage_stats"] = json!(true);
        }
        fields.insert("stream_options".into(), options);
    } else {
        fields.remove("stream_options");
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

    #[test]
    fn token_usage_is_parsed_leniently() {
        let usage =
            |usage: Value| Answer::read(&json!({"choices": [], "usage": usage}).to_string()).unwrap().usage();
        let tokens = |prompt_tokens, cached_tokens, completion_tokens| {
            Some(Usage { prompt_tokens, cached_tokens, completion_tokens, accepted_draft_tokens: 0 })
        };
        assert_eq!(usage(json!(null)), None);
        assert_eq!(usage(json!("many")), None);
        assert_eq!(usage(json!({"prompt_tokens": -3})), None);
        assert_eq!(usage(json!({"prompt_tokens": 9, "completion_tokens": 2})), tokens(9, 0, 2));
        assert_eq!(usage(json!({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4})), tokens(9, 4, 0));
        let more_than_all = json!({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 90}});
        assert_eq!(usage(more_than_all), tokens(9, 9, 0));
        assert_eq!(usage(json!({"prompt_tokens": u64::MAX})), tokens(u32::MAX, 0, 0));
    }

    #[test]
    fn streaming_options_can_be_changed() {
        let request = Request::new(Vec::new(), Constraint::line(3), 5);
        let options = OpenAiOptions::new("http://localhost/v1", "m");
        let mut body = body(&request, &options, 1, 0);
        set_streaming(&mut body, Streaming::Counted, Dialect::Vllm);
        assert_eq!(body["stream_options"], json!({"include_usage": true, "continuous_usage_stats": true}));
        set_streaming(&mut body, Streaming::Plain, Dialect::Vllm);
        assert_eq!((&body["stream"], body.get("stream_options")), (&json!(true), None));
        set_streaming(&mut body, Streaming::Off, Dialect::Vllm);
        assert_eq!((&body["stream"], body.get("stream_options")), (&json!(false), None));
    }
}
