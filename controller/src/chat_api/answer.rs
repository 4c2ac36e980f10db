use super::ChatRequest;
use super::tools::{Call, certain_text, split};
use crate::{Completion, Finish, Piece, Reply, Usage};
use serde_json::{Value, json};

/// What all parts of a response begin with.
#[derive(Debug, Clone)]
pub struct Head {
    /// A name of the response that no other one has.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The id of the model that answers.
    pub model: String,
}

/// Writes the response to one [`ChatRequest`], whole or in chunks.
#[derive(Debug)]
pub struct ChatAnswer {
    head: Head,
    has_tools: bool,
    include_usage: bool,
    tier: &'static str,
    /// Per answer: the text so far, and the number of its bytes that were sent as content.
    streamed: Vec<(String, usize)>,
}

impl ChatAnswer {
    /// A response to `request`.
    pub fn new(request: &ChatRequest, head: Head) -> Self {
        Self {
            head,
            has_tools: request.has_tools,
            include_usage: request.include_usage,
            tier: request.tier,
            streamed: vec![(String::new(), 0); request.request.candidates as usize],
        }
    }

    /// The whole response.
    pub fn whole(&self, reply: &Reply) -> Value {
        let choices: Vec<Value> = (reply.candidates.iter().enumerate())
            .map(|(index, completion)| {
                let (text, calls) = self.parts(completion);
                let content = if text.is_empty() && !calls.is_empty() { None } else { Some(text) };
                let mut message =
                    json!({"role": "assistant", "content": content, "refusal": refusal(completion)});
                if !calls.is_empty() {
                    message["tool_calls"] = self.calls(index, &calls, false).into();
                }
                let finish = finish_reason(completion, &calls);
                json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish})
            })
            .collect();
        json!({
            "id": self.head.id,
            "object": "chat.completion",
            "created": self.head.created,
            "model": self.head.model,
            "service_tier": self.tier,
            "choices": choices,
            "usage": usage(reply.usage),
        })
    }

    /// The first chunks of a stream: who speaks.
    pub fn opening(&self) -> Vec<Value> {
        let delta = || json!({"role": "assistant", "content": "", "refusal": null});
        (0..self.streamed.len()).map(|index| self.chunk(index, &delta(), None)).collect()
    }

    /// The chunks after a piece of an answer; none while it may be the beginning of a call, which is sent whole.
    pub fn piece(&mut self, piece: &Piece) -> Option<Value> {
        let index = piece.candidate as usize;
        let (text, sent) = self.streamed.get_mut(index)?;
        text.push_str(&piece.text);
        let certain = if self.has_tools { certain_text(text) } else { text.as_str() };
        let content = certain.get(*sent..).filter(|content| !content.is_empty())?.to_owned();
        *sent = certain.len();
        Some(self.chunk(index, &json!({"content": content}), None))
    }

    /// The chunks after the end of all answers.
    pub fn closing(&self, reply: &Reply) -> Vec<Value> {
        let mut chunks = Vec::new();
        for (index, completion) in reply.candidates.iter().enumerate() {
            let (text, calls) = self.parts(completion);
            let sent = self.streamed.get(index).map_or(0, |(_, sent)| *sent);
            if let Some(rest) = text.get(sent..).filter(|rest| !rest.is_empty()) {
                chunks.push(self.chunk(index, &json!({"content": rest}), None));
            }
            if let Some(refusal) = refusal(completion) {
                chunks.push(self.chunk(index, &json!({"refusal": refusal}), None));
            }
            if !calls.is_empty() {
                let calls = json!({"tool_calls": self.calls(index, &calls, true)});
                chunks.push(self.chunk(index, &calls, None));
            }
            chunks.push(self.chunk(index, &json!({}), Some(finish_reason(completion, &calls))));
        }
        if self.include_usage {
            let mut last = self.of_choices(&json!([]));
            last["usage"] = usage(reply.usage);
            chunks.push(last);
        }
        chunks
    }

    /// The text and the calls of an answer.
    fn parts<'c>(&self, completion: &'c Completion) -> (&'c str, Vec<Call<'c>>) {
        if self.has_tools { split(&completion.text) } else { (&completion.text, Vec::new()) }
    }

    fn calls(&self, answer: usize, calls: &[Call<'_>], numbered: bool) -> Vec<Value> {
        let written = |(number, call): (usize, &Call<'_>)| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            let id = self.head.id.trim_start_matches("chatcmpl-");
            let id = format!("call_{id}_{answer}_{number}");
            let mut call = json!({"id": id, "type": "function", "function": function});
            if numbered {
                call["index"] = number.into();
            }
            call
        };
        calls.iter().enumerate().map(written).collect()
    }

    fn chunk(&self, index: usize, delta: &Value, finish: Option<&str>) -> Value {
        let choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish});
        self.of_choices(&json!([choice]))
    }

    fn of_choices(&self, choices: &Value) -> Value {
        let mut chunk = json!({
            "id": self.head.id,
            "object": "chat.completion.chunk",
            "created": self.head.created,
            "model": self.head.model,
            "service_tier": self.tier,
            "choices": choices,
        });
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }
}

fn refusal(completion: &Completion) -> Option<&str> {
    match &completion.finish {
        Finish::Refused(reason) => Some(reason),
        _ => None,
    }
}

fn finish_reason(completion: &Completion, calls: &[Call<'_>]) -> &'static str {
    match &completion.finish {
        Finish::Complete | Finish::Stopped(_) if !calls.is_empty() => "tool_calls",
        Finish::Complete | Finish::Stopped(_) | Finish::Refused(_) => "stop",
        // Only a server that stops cuts an answer otherwise.
        Finish::Length | Finish::Cancelled | Finish::Deadline => "length",
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens.saturating_add(usage.completion_tokens),
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    })
}
