use crate::Constraint;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A request to the controller: conversation, constraint and limits.
///
/// Put the parts that stay the same between requests first, byte for byte, so that the prefix cache can reuse
/// them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The conversation, stable parts first.
    pub messages: Vec<Message>,
    /// Start of the answer, given by the caller. A [`Completion`](crate::Completion) contains only the text
    /// after it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefill: String,
    /// The form of the answer after `prefill`.
    pub constraint: Constraint,
    /// Number of answers to sample, at least 1. They differ only by their seed.
    pub candidates: u32,
    /// Sampling parameters.
    pub sampling: Sampling,
    /// Length limit of each answer, in tokens.
    pub max_tokens: u32,
    /// An answer ends before the first of these strings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Texts whose log-probabilities are asked for, at most [`MAX_SCORED`](Self::MAX_SCORED). Nothing is answered then, and the reply has
    /// [`log_probabilities`](crate::Reply::log_probabilities); the constraint, candidates, sampling, limits and stop strings have no effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scored: Vec<String>,
    /// Time after which unfinished answers are cut, in milliseconds from the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Whether it is for the [teacher](crate::Controller::teacher), a larger model that is asked besides the controller's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub teacher: bool,
    /// Scheduling priority. It affects when an answer arrives but never its text, so it is excluded from the
    /// request's JSON and digest.
    #[serde(skip)]
    pub priority: Priority,
    /// The bytes of the pictures in `messages`, by address; a picture without them is shown by the text of its part. They are
    /// excluded from the request's JSON and digest: the log keeps them once, as blobs.
    #[serde(skip)]
    pub pictures: BTreeMap<String, Arc<[u8]>>,
}

/// Scheduling priority of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// No agent waits for the answer: consolidation and maintenance.
    Background,
    /// An agent waits for the answer to act.
    #[default]
    Acting,
    /// An agent is in danger until the answer arrives: reflex repair.
    Urgent,
}

impl Request {
    /// Limit on [`scored`](Self::scored) texts.
    pub const MAX_SCORED: usize = 256;

    /// A request for one greedy answer of at most `max_tokens` tokens.
    pub fn new(messages: Vec<Message>, constraint: Constraint, max_tokens: u32) -> Self {
        Self {
            messages,
            prefill: String::new(),
            constraint,
            candidates: 1,
            sampling: Sampling::greedy(),
            max_tokens,
            stop: Vec::new(),
            scored: Vec::new(),
            deadline_ms: None,
            teacher: false,
            priority: Priority::default(),
            pictures: BTreeMap::new(),
        }
    }

    /// The pictures in the messages, in order.
    pub fn shows(&self) -> impl Iterator<Item = &PictureRef> {
        self.messages.iter().flat_map(|message| &message.parts).filter_map(|part| part.picture.as_ref())
    }

    /// SHA-256 of the request's JSON, in hexadecimal. Equal requests have equal digests.
    ///
    /// The digest depends on the order of keys in a schema, because answers have their properties in that
    /// order.
    pub fn digest(&self) -> String {
        // Serialising plain data with string keys cannot fail.
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(Sha256::digest(canonical))
    }
}

/// A message of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The author of the message.
    pub role: Role,
    /// The text in parts, which are concatenated without separator.
    pub parts: Vec<Part>,
}

impl Message {
    /// Instructions to the controller.
    pub fn system(text: impl Into<String>) -> Self {
        Self::of(Role::System, text)
    }

    /// A question to the controller.
    pub fn user(text: impl Into<String>) -> Self {
        Self::of(Role::User, text)
    }

    /// An earlier answer, or an example of one.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::of(Role::Assistant, text)
    }

    /// A message with one part.
    pub fn of(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::new(text)] }
    }

    /// Appends a part.
    #[must_use]
    pub fn and(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::new(text));
        self
    }

    /// The concatenated text of all parts. A picture counts with the text that stands for it.
    pub fn text(&self) -> String {
        self.parts.iter().map(|part| part.text.as_str()).collect()
    }
}

/// A part of a message. The log stores equal parts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The text. In a part with a picture: what a controller reads that is not shown the picture.
    pub text: String,
    /// Rank for dropping parts from a prompt that is too long: 0 is never dropped, and the highest rank is
    /// dropped first. Among equal ranks, the last part is dropped first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drop_rank: u8,
    /// The picture that is shown instead of the text, to a controller that sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureRef>,
}

/// A picture by its address: everything about it but its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureRef {
    /// SHA-256 of the bytes in hexadecimal, as the log addresses blobs.
    pub blob: String,
    /// Media type: "image/png".
    pub mime: String,
    /// Width in pixels, where the head of the file gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels, where the head of the file gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(drop_rank: &u8) -> bool {
    *drop_rank == 0
}

impl Part {
    /// A part that is never dropped.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), drop_rank: 0, picture: None }
    }

    /// A part that may be dropped, with its rank.
    pub fn droppable(text: impl Into<String>, drop_rank: u8) -> Self {
        Self { text: text.into(), drop_rank, picture: None }
    }

    /// A picture, and the text for a controller that is not shown it.
    pub fn picture(picture: PictureRef, otherwise: impl Into<String>) -> Self {
        Self { text: otherwise.into(), drop_rank: 0, picture: Some(picture) }
    }
}

/// Author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sojourn's instructions.
    System,
    /// Sojourn's question.
    User,
    /// The controller's answer.
    Assistant,
}

impl Role {
    /// The name in chat templates and chat endpoints.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// Sampling parameters, applied in the order temperature, `min_p`, `top_p`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Divisor of the logits; 0 selects the most likely token (greedy).
    pub temperature: f32,
    /// Keeps the most likely tokens whose probabilities add up to this; 1 keeps all.
    pub top_p: f32,
    /// Drops tokens less likely than this share of the most likely one; 0 keeps all (arXiv 2407.01082).
    pub min_p: f32,
    /// Seed. Candidate `i` uses a random stream derived from `(seed, i)`.
    pub seed: u64,
}

impl Sampling {
    /// Always selects the most likely token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, top_p: 1.0, min_p: 0.0, seed: 0 }
    }

    /// Samples at `temperature`, without tokens below 5 % of the most likely one.
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
    fn digest_covers_every_field_but_priority() {
        let base = request(json!({"type": "string"}));
        assert_eq!(base.digest(), base.clone().digest());
        let mut sooner = base.clone();
        sooner.priority = Priority::Urgent;
        assert_eq!(base.digest(), sooner.digest(), "the priority must not affect the digest");
        let seen = BTreeMap::from([("5e".to_owned(), Arc::from(*b"GIF89a"))]);
        let shown = Request { pictures: seen, ..base.clone() };
        assert_eq!(base.digest(), shown.digest(), "the bytes must not affect the digest");
        let changes: [fn(&mut Request); 11] = [
            |r| {
                let mime = "image/gif".to_owned();
                let picture = PictureRef { blob: "5e".into(), mime, width: None, height: None };
                r.messages[0].parts[0].picture = Some(picture);
            },
            |r| r.messages[0].parts[0].drop_rank = 1,
            |r| r.messages[0].role = Role::System,
            |r| r.prefill = "a".into(),
            |r| r.constraint = Constraint::Lark("start: \"a\"".into()),
            |r| r.candidates = 2,
            |r| r.sampling.seed = 1,
            |r| r.max_tokens = 9,
            |r| r.stop = vec!["x".into()],
            |r| r.scored = vec!["x".into()],
            |r| r.deadline_ms = Some(1),
        ];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(base.digest(), other.digest(), "{other:?}");
        }
    }

    #[test]
    fn request_round_trips_through_json() {
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
