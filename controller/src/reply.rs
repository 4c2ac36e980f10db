use serde::{Deserialize, Serialize};

/// What came back for one [`Request`](crate::Request).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The answers, as many as were asked for and in the order of their seeds.
    pub candidates: Vec<Completion>,
    /// What they cost in tokens.
    pub usage: Usage,
    /// What they cost in time.
    pub timing: Timing,
    /// The length in tokens of each part of each message, where the controller counts them itself; the rest of the
    /// prompt is what the model's template puts between them. A token across a border counts for the part it begins in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_tokens: Vec<Vec<u32>>,
    /// Message and part of what was left out because the prompt was too long, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped_parts: Vec<(u32, u32)>,
    /// What they cost in US dollars, where the prices and all tokens are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

impl Reply {
    /// A reply that says nothing of its prompt's parts.
    pub fn new(candidates: Vec<Completion>, usage: Usage, timing: Timing) -> Self {
        let (part_tokens, dropped_parts) = (Vec::new(), Vec::new());
        Self { candidates, usage, timing, part_tokens, dropped_parts, cost_usd: None }
    }

    /// The texts that are whole answers and so obey the constraint.
    pub fn complete(&self) -> impl Iterator<Item = &str> {
        self.candidates.iter().filter(|c| c.finish.is_whole()).map(|c| c.text.as_str())
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The answer after the request's prefill.
    pub text: String,
    /// Its length in tokens. Where a server does not tell, the pieces that it came in; 0 if it came whole.
    pub tokens: u32,
    /// Why it ends where it ends.
    pub finish: Finish,
}

/// Why an answer ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It is a whole answer under its constraint.
    Complete,
    /// It reached `max_tokens`; under a constraint it is only the beginning of an answer.
    Length,
    /// It came to this stop string, which is not part of it.
    Stopped(String),
    /// Its caller cancelled it.
    Cancelled,
    /// Its deadline passed.
    Deadline,
}

impl Finish {
    /// Whether the answer was ended by the model or a stop string rather than cut.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Complete | Self::Stopped(_))
    }
}

/// Tokens read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Length of the prompt, prefill included.
    pub prompt_tokens: u32,
    /// How much of the prompt had been read before and was not read again.
    pub cached_tokens: u32,
    /// Length of all candidates together.
    pub completion_tokens: u32,
    /// How many of those were guessed right before the model said them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub accepted_draft_tokens: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Milliseconds spent, by where they went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Waiting for the model to be free, or for a server that is busy or may not be asked yet.
    pub queue_ms: u64,
    /// Reading the prompt: of a server, until the first token came.
    pub prefill_ms: u64,
    /// Writing the answers.
    pub decode_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_an_old_log_is_read_and_written_as_it_was() {
        let old = r#"{"candidates":[{"text":"a","tokens":1,"finish":"complete"}],"usage":{"prompt_tokens":3,"cached_tokens":2,"completion_tokens":1},"timing":{"queue_ms":0,"prefill_ms":4,"decode_ms":5}}"#;
        let reply: Reply = serde_json::from_str(old).unwrap();
        assert_eq!(reply.cost_usd, None);
        assert_eq!(serde_json::to_string(&reply).unwrap(), old);
    }
}
