use serde::{Deserialize, Serialize};

/// The result of a [`Request`](crate::Request).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The answers, one per requested candidate, in the order of their seeds; none if texts were scored.
    pub candidates: Vec<Completion>,
    /// Number of tokens used.
    pub usage: Usage,
    /// Time used.
    pub timing: Timing,
    /// Length of each part of each message in tokens, if the controller counts them. Tokens of the chat
    /// template are not included. A token across a border counts for the part it starts in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_tokens: Vec<Vec<u32>>,
    /// Message and part of everything that was dropped because the prompt was too long, in the order of
    /// dropping.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped_parts: Vec<(u32, u32)>,
    /// Natural logarithm of the probability that an answer begins with each of the request's
    /// [`scored`](crate::Request::scored) texts, in their order; empty if there were none or the request was cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_probabilities: Vec<f64>,
    /// Cost in US dollars, if prices and token counts are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

impl Reply {
    /// A reply without the accounting of prompt parts.
    pub fn new(candidates: Vec<Completion>, usage: Usage, timing: Timing) -> Self {
        let (part_tokens, dropped_parts) = (Vec::new(), Vec::new());
        let log_probabilities = Vec::new();
        Self { candidates, usage, timing, part_tokens, dropped_parts, log_probabilities, cost_usd: None }
    }

    /// Texts of the complete answers, which satisfy the constraint.
    pub fn complete(&self) -> impl Iterator<Item = &str> {
        self.candidates.iter().filter(|c| c.finish.is_whole()).map(|c| c.text.as_str())
    }

    /// Why there is no answer, where the server gave none at all.
    pub fn refusal(&self) -> Option<&str> {
        let mut reason = None;
        for candidate in &self.candidates {
            let Finish::Refused(why) = &candidate.finish else { return None };
            reason.get_or_insert(why.as_str());
        }
        reason
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The text after the request's prefill.
    pub text: String,
    /// Length in tokens. If a server does not report it: the number of streamed chunks, or 0 without
    /// streaming.
    pub tokens: u32,
    /// Why the answer ends.
    pub finish: Finish,
    /// The model's reasoning before its answer, if a server sends it: for the log, never for a prompt. At most
    /// 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
}

impl Completion {
    /// An answer without reasoning.
    pub fn new(text: String, tokens: u32, finish: Finish) -> Self {
        Self { text, tokens, finish, reasoning: None }
    }
}

/// Why an answer ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The answer is complete under its constraint.
    Complete,
    /// The answer reached `max_tokens` and is incomplete.
    Length,
    /// The answer reached this stop string, which is not part of the text.
    Stopped(String),
    /// The caller cancelled the request.
    Cancelled,
    /// The request's deadline passed.
    Deadline,
    /// There is no answer, and the text is empty: the model refused, a filter cut it, or every attempt broke the
    /// constraint. The reason is for people; it may quote what the server sent.
    Refused(String),
}

impl Finish {
    /// Whether the answer is complete, and was not cut.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Complete | Self::Stopped(_))
    }
}

/// Number of tokens processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Length of the prompt, including the prefill.
    pub prompt_tokens: u32,
    /// Prompt tokens that came from the cache.
    pub cached_tokens: u32,
    /// Length of all answers together.
    pub completion_tokens: u32,
    /// Answer tokens that were proposed by speculative decoding and accepted by the model.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub accepted_draft_tokens: u32,
    /// The prompt tokens that pictures took; `None` where none was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PictureTokens>,
}

/// The prompt tokens that pictures took, as far as the server reports them. Nothing is estimated: models count pictures in their own ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureTokens {
    /// Their number, which the server reports. They are among `prompt_tokens`.
    Counted(u32),
    /// They are among the `prompt_tokens` that the server reports, which does not tell them apart.
    Included,
    /// The server reports no usage, so neither they nor the tokens of the text are known.
    Unknown,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Time spent per phase, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Waiting for the model, for a rate limit or for a busy server.
    pub queue_ms: u64,
    /// Evaluating the prompt. For a server: until the first token arrived.
    pub prefill_ms: u64,
    /// Decoding the answers.
    pub decode_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimal_reply_round_trips_through_json() {
        let old = r#"{"candidates":[{"text":"a","tokens":1,"finish":"complete"}],"usage":{"prompt_tokens":3,"cached_tokens":2,"completion_tokens":1},"timing":{"queue_ms":0,"prefill_ms":4,"decode_ms":5}}"#;
        let reply: Reply = serde_json::from_str(old).unwrap();
        assert_eq!(reply.cost_usd, None);
        assert_eq!(serde_json::to_string(&reply).unwrap(), old);
    }
}
