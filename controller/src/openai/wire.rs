//! Requests and answers as the chat endpoint writes them.

use super::{Dialect, OpenAiOptions};
use crate::{Constraint, Request, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// How an answer is asked to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Streaming {
    /// In pieces, the last of which tells the tokens.
    Counted,
    /// In pieces, for servers that do not know the option that asks for the tokens.
    Plain,
    /// Whole.
    Off,
}

/// The body that asks for `candidates` answers to `request`, the `attempt`-th time, without how they are to come.
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
    // Servers keep seeds in a signed integer, some of 32 bits.
    let seed = sampling.seed.wrapping_add(u64::from(attempt)) & 0x7fff_ffff;
    fields.insert("seed".into(), json!(seed));
    if !request.stop.is_empty() {
        fields.insert("stop".into(), json!(request.stop));
    }
    Value::Object(fields)
}

/// Says in `body` how the answer is to come.
pub(super) fn set_streaming(body: &mut Value, streaming: Streaming, dialect: Dialect) {
    let Value::Object(fields) = body else { return };
    fields.insert("stream".into(), json!(streaming != Streaming::Off));
    if streaming == Streaming::Counted {
        let mut options = json!({"include_usage": true});
        if dialect == Dialect::Vllm {
            // Then the tokens of what is cut are known too.
            options["continuous_usage_stats"] = json!(true);
        }
        fields.insert("stream_options".into(), options);
    } else {
        fields.remove("stream_options");
    }
}

/// A whole answer, or a piece of one.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(default)]
    message: Option<Said>,
    #[serde(default)]
    delta: Option<Said>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
    /// What vLLM stopped at: a string that was asked for, or the number of a token.
    #[serde(default)]
    pub(super) stop_reason: Option<Value>,
}

/// What is said in a whole message or in a piece of one.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said {
    #[serde(default)]
    pub(super) content: Option<String>,
    #[serde(default)]
    pub(super) refusal: Option<String>,
    #[serde(default)]
    pub(super) tool_calls: Option<Vec<Value>>,
    /// What is thought before the answer, as most servers call it.
    #[serde(default)]
    reasoning_content: Option<Value>,
    /// The same, as others do.
    #[serde(default)]
    reasoning: Option<Value>,
}

impl Answer {
    /// Reads JSON; says what is wrong with it and shows it, if something is.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))
    }

    /// What the answer cost, if it tells.
    pub(super) fn usage(&self) -> Option<Usage> {
        let told = self.usage.as_ref()?;
        let count = |path: &str| {
            told.pointer(path).and_then(Value::as_u64).map(|count| u32::try_from(count).unwrap_or(u32::MAX))
        };
        let prompt_tokens = count("/prompt_tokens")?;
        // The second name is DeepSeek's.
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
    pub(super) fn said(&mut self) -> Said {
        self.delta.take().or_else(|| self.message.take()).unwrap_or_default()
    }
}

impl Said {
    /// Whether the model was at work on it.
    pub(super) fn is_something(&self) -> bool {
        let text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let thought = |thought: &Option<Value>| {
            thought.as_ref().and_then(Value::as_str).is_some_and(|text| !text.is_empty())
        };
        text(&self.content)
            || text(&self.refusal)
            || thought(&self.reasoning_content)
            || thought(&self.reasoning)
            || self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_leniently() {
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
    fn how_an_answer_is_to_come_can_be_changed() {
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
