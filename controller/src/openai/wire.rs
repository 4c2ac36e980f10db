//! Requests and answers as the chat endpoint writes them.

use super::{Dialect, OpenAiOptions};
use crate::{Completion, Constraint, Finish, Request, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The body that asks for `candidates` answers to `request`, the `attempt`-th time.
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
    fields.insert("stream".into(), json!(false));

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

#[derive(Deserialize)]
struct Answer {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<AnswerUsage>,
}

#[derive(Deserialize)]
struct Choice {
    message: AnswerMessage,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct AnswerMessage {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct AnswerUsage {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

/// The completions in `answer` and what they cost, or what is wrong with it.
pub(super) fn answer(answer: &Value, request: &Request) -> Result<(Vec<Completion>, Usage), String> {
    let answer = Answer::deserialize(answer).map_err(|error| error.to_string())?;
    if answer.choices.is_empty() {
        return Err("it holds no choices".into());
    }
    let single = answer.choices.len() == 1;
    let cost = answer.usage.map_or_else(Usage::default, |usage| Usage {
        prompt_tokens: usage.prompt_tokens,
        cached_tokens: usage.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0),
        completion_tokens: usage.completion_tokens,
    });
    let mut completions = Vec::with_capacity(answer.choices.len());
    for choice in answer.choices {
        if let Some(refusal) = choice.message.refusal {
            return Err(format!("the model refused: {refusal}"));
        }
        let content = choice.message.content.unwrap_or_default();
        // Some servers give the prefill back with the answer.
        let text = match content.strip_prefix(request.prefill.as_str()) {
            Some(rest) => rest.to_owned(),
            None => content,
        };
        let (text, stopped) = cut_at_stop(text, &request.stop);
        let finish = match (choice.finish_reason.as_deref(), stopped) {
            (_, Some(stop)) => Finish::Stopped(stop),
            (Some("length"), None) => Finish::Length,
            _ => Finish::Complete,
        };
        // The cost is told for all choices together.
        let tokens = if single { cost.completion_tokens } else { 0 };
        completions.push(Completion { text, tokens, finish });
    }
    Ok((completions, cost))
}

/// `text` before the first of `stops` in it, and which one that is.
fn cut_at_stop(mut text: String, stops: &[String]) -> (String, Option<String>) {
    let first =
        stops.iter().filter_map(|stop| Some((text.find(stop.as_str())?, stop))).min_by_key(|hit| hit.0);
    match first {
        Some((at, stop)) => {
            text.truncate(at);
            (text, Some(stop.clone()))
        }
        None => (text, None),
    }
}
