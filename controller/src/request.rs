use crate::Constraint;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One question to the controller: what it is told, what its answer must look like, and what it may cost.
///
/// Put what stays the same between questions first, byte for byte: a controller that keeps what it has read
/// then only reads the part that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The conversation so far, the stable part first.
    pub messages: Vec<Message>,
    /// How the answer begins. It is given, not chosen, and a [`Completion`](crate::Completion) starts after it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefill: String,
    /// What the answer after `prefill` must look like.
    pub constraint: Constraint,
    /// How many answers to draw, at least 1. They differ by their seed only.
    pub candidates: u32,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// The longest answer, in tokens, for each candidate.
    pub max_tokens: u32,
    /// An answer ends before the first of these strings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Milliseconds from the call after which unfinished answers are cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Who goes first where several wait. It changes when an answer comes, never the answer, and is no part of the
    /// request's JSON or digest.
    #[serde(skip)]
    pub priority: Priority,
}

/// How much a request matters beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Nobody waits for it: lessons, upkeep.
    Background,
    /// An agent waits for it to act.
    #[default]
    Acting,
    /// An agent is in danger until it comes: a reflex to be repaired.
    Urgent,
}

impl Request {
    /// One greedy answer of at most `max_tokens` tokens to `messages`.
    pub fn new(messages: Vec<Message>, constraint: Constraint, max_tokens: u32) -> Self {
        Self {
            messages,
            prefill: String::new(),
            constraint,
            candidates: 1,
            sampling: Sampling::greedy(),
            max_tokens,
            stop: Vec::new(),
            deadline_ms: None,
            priority: Priority::default(),
        }
    }

    /// SHA-256, in hexadecimal, over the request's JSON: equal requests have equal digests.
    ///
    /// Fields are serialised in the order of their declaration and the keys of a schema in the order in which
    /// they were written, because the order of a schema's properties is the order in which they are answered.
    pub fn digest(&self) -> String {
        // A request is plain data with string keys, which always serialises.
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(Sha256::digest(canonical))
    }
}

/// What one speaker said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said: the parts are read one after the other with nothing between them.
    pub parts: Vec<Part>,
}

impl Message {
    /// The rules the controller works under.
    pub fn system(text: impl Into<String>) -> Self {
        Self::of(Role::System, text)
    }

    /// A question.
    pub fn user(text: impl Into<String>) -> Self {
        Self::of(Role::User, text)
    }

    /// An answer given earlier, or a worked example of one.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::of(Role::Assistant, text)
    }

    /// A message in one part.
    pub fn of(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::new(text)] }
    }

    /// The message with one part more.
    #[must_use]
    pub fn and(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::new(text));
        self
    }

    /// All parts as one text.
    pub fn text(&self) -> String {
        self.parts.iter().map(|part| part.text.as_str()).collect()
    }
}

/// A stretch of text that a log stores once, however many prompts share it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The text.
    pub text: String,
    /// 0 for what must be there. Where a prompt is too long for the model, other parts are left out, whole ones only,
    /// the highest number first and of equals the last.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drop_rank: u8,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(drop_rank: &u8) -> bool {
    *drop_rank == 0
}

impl Part {
    /// A part of this text that must be there.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), drop_rank: 0 }
    }

    /// A part of this text that can be left out.
    pub fn droppable(text: impl Into<String>, drop_rank: u8) -> Self {
        Self { text: text.into(), drop_rank }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sojourn itself: rules and worked knowledge.
    System,
    /// Sojourn's question.
    User,
    /// The controller.
    Assistant,
}

impl Role {
    /// The name chat templates and chat endpoints use.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// How the next token is drawn from the model's probabilities.
///
/// They are applied in the order temperature, `min_p`, `top_p`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Divides the logits; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Keeps the likeliest tokens whose probabilities sum to this; 1 keeps all.
    pub top_p: f32,
    /// Drops tokens less likely than this share of the likeliest one; 0 keeps all (arXiv 2407.01082).
    pub min_p: f32,
    /// Candidate `i` draws with a stream derived from `(seed, i)`.
    pub seed: u64,
}

impl Sampling {
    /// Always the likeliest token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, top_p: 1.0, min_p: 0.0, seed: 0 }
    }

    /// Varied but sensible answers: `temperature`, and no token below a twentieth of the likeliest.
    pub fn varied(temperature: f32, seed: u64) -> Self {
        Self { temperature, top_p: 1.0, min_p: 0.05, seed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(schema: serde_json::Value) -> Request {
        Request::new(vec![Message::user("hello")], Constraint::JsonSchema(schema), 8)
    }

    #[test]
    fn equal_requests_have_equal_digests_and_every_field_counts() {
        let base = request(json!({"type": "string"}));
        assert_eq!(base.digest(), base.clone().digest());
        let mut sooner = base.clone();
        sooner.priority = Priority::Urgent;
        assert_eq!(base.digest(), sooner.digest(), "when it is answered is not what is asked");
        let changes: [fn(&mut Request); 9] = [
            |r| r.messages[0].parts[0].drop_rank = 1,
            |r| r.messages[0].role = Role::System,
            |r| r.prefill = "a".into(),
            |r| r.constraint = Constraint::Lark("start: \"a\"".into()),
            |r| r.candidates = 2,
            |r| r.sampling.seed = 1,
            |r| r.max_tokens = 9,
            |r| r.stop = vec!["x".into()],
            |r| r.deadline_ms = Some(1),
        ];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(base.digest(), other.digest(), "{other:?}");
        }
    }

    #[test]
    fn a_request_survives_its_json() {
        let mut request = request(json!({"type": "object", "properties": {"b": {}, "a": {}}}));
        request.messages.push(Message::assistant("one").and("two"));
        request.sampling = Sampling::varied(0.8, u64::MAX);
        let text = serde_json::to_string(&request).unwrap();
        let back: Request = serde_json::from_str(&text).unwrap();
        assert_eq!(back, request);
        assert_eq!(back.digest(), request.digest());
        assert_eq!(back.messages[1].text(), "onetwo");
    }
}
