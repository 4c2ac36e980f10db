use crate::media::{Media, MediaError, MediaStore};
use crate::outside::terminal::escaped_json;
use crate::{Content, ToolSpec};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One capability behind a JSON schema.
#[async_trait]
pub trait Tool: Send + Sync {
    /// Name, parameters and effects.
    fn spec(&self) -> &ToolSpec;

    /// Carries out a call whose arguments the toolbox has validated.
    ///
    /// The toolbox enforces the time limit. After [`ToolSpec::timeout_ms`] it cancels [`CallContext::cancel`]
    /// and drops the future shortly afterwards.
    async fn call(&self, args: &Map<String, Value>, context: &CallContext) -> Result<ToolOutcome, ToolError>;
}

/// Context of a call, besides its arguments.
#[derive(Clone, Default)]
pub struct CallContext {
    /// Time of the call in the log, in milliseconds since 1970. Tools must use it as their clock.
    pub now_ms: i64,
    /// Unique per call, and unchanged if the call is repeated after a crash, so that peers can deduplicate.
    pub idempotency_key: String,
    /// Cancelled when nobody waits for the result any more.
    pub cancel: CancellationToken,
    /// Receives progress of a long call.
    pub progress: Option<Arc<dyn Fn(CallProgress) + Send + Sync>>,
    /// Keeps pictures and sounds, and gives those that arguments name. `None` where nothing keeps them.
    pub media: Option<Arc<dyn MediaStore>>,
    /// Whether a part of the call is allowed as well. `None` where nothing restricts the parts.
    pub allows_part: Option<AllowsPart>,
}

/// Whether the policy allows a part of a call, by the arguments that name the part alone: one file below the directory that the
/// call names.
pub type AllowsPart = Arc<dyn Fn(&Map<String, Value>) -> bool + Send + Sync>;

impl CallContext {
    /// Takes in a picture or a sound for the result of `tool`; `mime` is its claimed type.
    ///
    /// # Errors
    /// The bytes are too many or none, or hold a secret.
    pub fn keep(&self, bytes: Vec<u8>, mime: &str, tool: &str) -> Result<Content, MediaError> {
        if let Some(store) = &self.media {
            return store.put(bytes, mime, tool).map(Content::Media);
        }
        let (data, mime) = (STANDARD.encode(bytes), mime.to_owned());
        let is_sound = mime.starts_with("audio/");
        Ok(if is_sound { Content::Audio { data, mime } } else { Content::Image { data, mime } })
    }

    /// The media that a handle means, and its bytes.
    ///
    /// # Errors
    /// The text is no handle, nothing fits, or the bytes are gone.
    pub async fn media(&self, handle: &str) -> Result<(Media, Arc<[u8]>), MediaError> {
        let store = self.media.as_ref().ok_or(MediaError::NotKept)?;
        let media = store.find(handle)?;
        let bytes = store.bytes(&media).await?;
        Ok((media, bytes))
    }
}

/// Progress of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallProgress {
    /// Work done so far; never decreases.
    pub done: f64,
    /// Total work, if known, in the same unit as `done`.
    pub total: Option<f64>,
    /// What is being done.
    pub message: Option<String>,
}

/// A request to a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Name of the tool.
    pub name: String,
    /// Arguments by name.
    #[serde(default)]
    pub args: Map<String, Value>,
}

/// The call as JavaScript source on one line: `open("door", 2)`. Arguments stand in the order in which the call has them.
pub fn as_javascript(call: &ToolCall) -> String {
    let args: Vec<String> =
        call.args.values().map(|value| escaped_json(&value.to_string()).into_owned()).collect();
    format!("{}({})", call.name, args.join(", "))
}

/// Result of a call. A failure at the task is an outcome, not an error.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ToolOutcome {
    /// Whether the call achieved its purpose. Skills receive this flag if there is no `value`.
    pub ok: bool,
    /// One line for the trace: "needs 1 wood, have 0".
    pub message: String,
    /// Structured result for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// What a failed call lacked, so that code can correct a plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Need>,
    /// Content for display.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<Content>,
    /// Kept media that the result was made from. The log keeps it with the result, and forgets it with the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<Media>,
    /// Cause of a failure that programs decide by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
}

/// Causes of failed calls that programs decide by. The message explains them to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The policy or the user denied the call; the tool was not called.
    Denied,
    /// The process died during a call that must not be repeated. Whether it took effect is unknown.
    EffectUnknown,
    /// The call needed an environment step beyond its budget.
    StepBudgetExhausted,
    /// The episode ended before or during the call.
    EpisodeOver,
    /// The environment was lost during the call.
    EnvironmentLost,
}

/// A requirement that a failed call lacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// More of an item.
    Item {
        /// Name of the item.
        item: String,
        /// Number required.
        count: u32,
        /// Number available.
        have: u32,
    },
    /// A thing next to the agent.
    Nearby {
        /// Name of the thing.
        kind: String,
    },
    /// A thing that the agent has seen.
    Seen {
        /// Name of the thing.
        kind: String,
    },
    /// A thing in front of the agent; it may have moved away.
    Facing {
        /// Name of the thing; empty if any usable thing would do.
        kind: String,
    },
    /// Time: the call can succeed later.
    Later {
        /// What to wait for: "energy is below 9".
        until: String,
    },
}

/// Why a tool could not carry out a call at all.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The tool failed: its process died, or its server did not answer.
    #[error("tool `{name}` failed: {reason}")]
    Failed {
        /// Name of the tool.
        name: String,
        /// What happened.
        reason: String,
    },
    /// The time limit expired.
    #[error("tool `{name}` did not answer within {seconds} s")]
    Timeout {
        /// Name of the tool.
        name: String,
        /// The limit, in seconds.
        seconds: f64,
    },
    /// The caller cancelled the call.
    #[error("tool `{name}` was interrupted")]
    Cancelled {
        /// Name of the tool.
        name: String,
    },
}

impl ToolOutcome {
    /// A success without a value.
    pub fn done(message: impl Into<String>) -> Self {
        Self { ok: true, message: message.into(), ..Self::default() }
    }

    /// Kept media that the outcome shows or was made from.
    pub fn media(&self) -> impl Iterator<Item = &Media> {
        let shown = self.content.iter().filter_map(|part| match part {
            Content::Media(media) => Some(media),
            _ => None,
        });
        shown.chain(&self.about)
    }

    /// A failure.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { ok: false, message: message.into(), ..Self::default() }
    }

    /// A failure with a cause that programs decide by.
    pub fn failed_by(failure: FailureKind, message: impl Into<String>) -> Self {
        Self { failure: Some(failure), ..Self::failed(message) }
    }

    /// A failure because of missing requirements.
    pub fn lacking(message: impl Into<String>, missing: Vec<Need>) -> Self {
        Self { ok: false, message: message.into(), missing, ..Self::default() }
    }
}
