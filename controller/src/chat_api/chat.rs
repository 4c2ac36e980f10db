use super::ApiError;
use super::fields::Fields;
use super::format::Format;
use super::messages;
use super::pictures::Pictures;
use super::tools::Tools;
use crate::{Priority, Request, Role, Sampling};
use serde_json::{Value, json};

/// Limits on `stop`: the number of strings, and the length of each in bytes.
const MAX_STOPS: usize = 16;
const MAX_STOP_BYTES: usize = 256;
/// Length of an answer where the client sets none, in tokens, if that leaves half of the context to the prompt.
const DEFAULT_MAX_TOKENS: u32 = 2048;

/// What a server can do for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Limit on the answers to one request.
    pub most_answers: u32,
    /// Size of the context in tokens, if it is known.
    pub context_tokens: Option<u32>,
    /// Seed of a request that has none.
    pub seed: u64,
    /// Whether the model can be shown pictures.
    pub sees: bool,
}

/// A request of `POST /v1/chat/completions`.
#[derive(Debug)]
pub struct ChatRequest {
    /// The model that the client asks for.
    pub model: String,
    /// What the controller is asked.
    pub request: Request,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether the last chunk of a stream has the token usage.
    pub include_usage: bool,
    /// Whether the answer may have calls of tools.
    pub(super) has_tools: bool,
    /// The service tier of the response.
    pub(super) tier: &'static str,
}

impl ChatRequest {
    /// Reads a body of JSON.
    ///
    /// # Errors
    /// The body is no such request, or has a parameter that this server does not carry out.
    pub async fn read(body: &[u8], limits: Limits) -> Result<Self, ApiError> {
        let body = serde_json::from_slice(body)
            .map_err(|error| ApiError::new(400, None, format!("the body is not JSON: {error}")))?;
        let mut body = Fields::of(body, "")?;
        let model = body.needed_text("model")?;
        let mut pictures = Pictures::new(limits.sees);
        let mut messages = messages::read(&mut body, &mut pictures)?;
        let prefill = prefill(&mut body, &mut messages)?;
        let tools = Tools::read(&mut body).await?;
        if let Some(tools) = &tools {
            messages::instruct(&mut messages, &tools.prompt());
        }
        let format = Format::read(&mut body).await?;
        let has_tools = tools.is_some();
        let constraint = format.constraint(tools.as_ref())?;

        let candidates = body.integer("n", 1..=limits.most_answers.max(1))?.unwrap_or(1);
        let default = match limits.context_tokens {
            Some(context) => DEFAULT_MAX_TOKENS.min(context / 2 / candidates).max(1),
            None => DEFAULT_MAX_TOKENS,
        };
        let old = body.integer("max_tokens", 1..=u32::MAX)?;
        let new = body.integer("max_completion_tokens", 1..=u32::MAX)?;
        if old.is_some() && new.is_some() && old != new {
            return Err(body.invalid("max_tokens", "differs from `max_completion_tokens`"));
        }
        let mut request = Request::new(messages, constraint, new.or(old).unwrap_or(default));
        request.candidates = candidates;
        request.prefill = prefill;
        request.pictures = pictures.into_bytes();
        request.sampling = sampling(&mut body, limits.seed)?;
        request.stop = stops(&mut body)?;
        let tier = body.text("service_tier")?;
        let (tier, priority) = match tier.as_deref() {
            None | Some("auto" | "default") => ("default", Priority::Acting),
            Some("flex") => ("flex", Priority::Background),
            Some("priority") => ("priority", Priority::Urgent),
            Some(_) => {
                let fault = "must be `auto`, `default`, `flex` or `priority`";
                return Err(body.invalid("service_tier", fault));
            }
        };
        request.priority = priority;

        let stream = body.flag("stream")?.unwrap_or(false);
        let include_usage = match body.object("stream_options")? {
            Some(_) if !stream => {
                return Err(body.invalid("stream_options", "needs `stream`"));
            }
            Some(mut options) => {
                let include = options.flag("include_usage")?.unwrap_or(false);
                // Padding against observers of an encrypted stream.
                options.ignore(&["include_obfuscation"]);
                options.end()?;
                include
            }
            None => false,
        };
        refuse_others(&mut body)?;
        body.end()?;
        Ok(Self { model, request, stream, include_usage, has_tools, tier })
    }
}

/// Parameters that are known, and have an effect that this server does not offer.
fn refuse_others(body: &mut Fields) -> Result<(), ApiError> {
    let (off, zero) = ([json!(false)], [json!(0), json!(0.0)]);
    body.refuse("logprobs", &off, "it returns no probabilities of tokens")?;
    body.refuse("top_logprobs", &zero, "it returns no probabilities of tokens")?;
    body.refuse("logit_bias", &[json!({})], "it samples by the model's own probabilities")?;
    body.refuse("presence_penalty", &zero, "it samples by the model's own probabilities")?;
    body.refuse("frequency_penalty", &zero, "it samples by the model's own probabilities")?;
    body.refuse("modalities", &[json!(["text"])], "the model writes text only")?;
    body.refuse("audio", &[], "the model writes text only")?;
    body.refuse("store", &off, "it keeps no answers")?;
    body.refuse("reasoning_effort", &[json!("none")], "the model has no reasoning that could be set")?;
    body.refuse("verbosity", &[json!("medium")], "say in `messages` how long answers should be")?;
    body.refuse("functions", &[json!([])], "use `tools`")?;
    body.refuse("function_call", &[json!("none"), json!("auto")], "use `tool_choice`")?;
    body.ignore(&[
        "user",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prediction",
    ]);
    Ok(())
}

fn sampling(body: &mut Fields, seed: u64) -> Result<Sampling, ApiError> {
    let seed = match body.take("seed") {
        None => seed,
        Some(value) => match value.as_i64().map(i64::cast_unsigned).or_else(|| value.as_u64()) {
            Some(seed) => seed,
            None => return Err(body.invalid("seed", "must be an integer of 64 bits")),
        },
    };
    Ok(Sampling {
        temperature: body.number("temperature", 0.0..=2.0)?.unwrap_or(1.0) as f32,
        top_p: body.number("top_p", 0.0..=1.0)?.unwrap_or(1.0) as f32,
        min_p: body.number("min_p", 0.0..=1.0)?.unwrap_or(0.0) as f32,
        seed,
    })
}

fn stops(body: &mut Fields) -> Result<Vec<String>, ApiError> {
    let listed = match body.take("stop") {
        None => return Ok(Vec::new()),
        Some(Value::Array(stops)) => stops,
        Some(stop) => vec![stop],
    };
    let fault = format!("must be a string or up to {MAX_STOPS} strings, each of 1 to {MAX_STOP_BYTES} bytes");
    let is_fine = |stop: &Value| stop.as_str().is_some_and(|stop| (1..=MAX_STOP_BYTES).contains(&stop.len()));
    if listed.len() > MAX_STOPS || !listed.iter().all(is_fine) {
        return Err(body.invalid("stop", &fault));
    }
    Ok(listed.into_iter().filter_map(|stop| stop.as_str().map(str::to_owned)).collect())
}

/// The beginning of the answer, where the last message is to be continued, as llama.cpp's and vLLM's servers have it.
fn prefill(body: &mut Fields, messages: &mut Vec<crate::Message>) -> Result<String, ApiError> {
    let continues = body.flag("continue_final_message")?.unwrap_or(false);
    let opens = body.flag("add_generation_prompt")?;
    if !continues {
        return match opens {
            Some(false) => {
                Err(body.invalid("add_generation_prompt", "can be false only with `continue_final_message`"))
            }
            _ => Ok(String::new()),
        };
    }
    if opens == Some(true) {
        return Err(body.invalid("continue_final_message", "cannot stand beside `add_generation_prompt`"));
    }
    match messages.pop() {
        Some(last) if last.role == Role::Assistant && !messages.is_empty() => Ok(last.text()),
        _ => Err(body.invalid(
            "continue_final_message",
            "needs a message of the assistant at the end, after another one",
        )),
    }
}
