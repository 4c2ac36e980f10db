use crate::{BlobId, Error, EventSeq, Hash, RunId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Owner of memories. Every operation on memories names a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Tenant(String);

impl Tenant {
    /// Checks a tenant's name: 1 to 200 bytes without control characters.
    ///
    /// # Errors
    /// [`Error::BadMemory`].
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
            return Err(Error::BadMemory {
                what: "a tenant's name must have 1 to 200 bytes and no control characters",
            });
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Id of a memory: a `UUIDv5` of tenant, run, record and ordinal. Remembering the same event twice therefore
/// yields one memory (idempotence).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemoryId(Uuid);

impl MemoryId {
    const NAMESPACE: Uuid = Uuid::from_bytes(*b"sojourn-memories");

    /// The id of the `ordinal`-th memory made of a record. `run` is `None` for knowledge from outside of any
    /// run.
    pub fn new(tenant: &Tenant, run: Option<&RunId>, seq: EventSeq, ordinal: u32) -> Self {
        let run = run.map_or("", RunId::as_str);
        let name = format!("{}\0{run}\0{seq}\0{ordinal}", tenant.as_str());
        Self(Uuid::new_v5(&Self::NAMESPACE, name.as_bytes()))
    }

    /// The id of the memory that supersedes this one with another text.
    #[must_use]
    pub fn revised(&self, text: &str) -> Self {
        Self(Uuid::new_v5(&self.0, text.as_bytes()))
    }

    /// The 16 bytes of the UUID.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for MemoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MemoryId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| Error::BadMemory { what: "the id of a memory must be a UUID" })
    }
}

impl Serialize for MemoryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MemoryId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The kind of a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKind {
    /// Something that happened in an episode.
    Episode,
    /// A fact about the environment.
    Fact,
    /// A lesson that a reflection derived.
    Reflection,
    /// Knowledge from outside, such as a recipe or a manual.
    Knowledge,
    /// The description of a skill.
    Skill,
}

impl MemoryKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Episode, Self::Fact, Self::Reflection, Self::Knowledge, Self::Skill];

    /// The name in the database and in output: "episode".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Episode => "episode",
            Self::Fact => "fact",
            Self::Reflection => "reflection",
            Self::Knowledge => "knowledge",
            Self::Skill => "skill",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Logical clock of the memory tables: the number of changes that recall can observe. Recall as of a tick is
/// repeatable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tick(pub u64);

/// A log record that a memory was derived from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The run of the record.
    pub run: RunId,
    /// The sequence number of the record.
    pub seq: EventSeq,
}

/// An image or sound that belongs to a memory. Its vectors are stored with the memory, under the name of the
/// model that embeds such content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Address of the content.
    pub blob: BlobId,
    /// Media type, such as `image/png`.
    pub media_type: String,
}

/// A memory to add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewMemory {
    /// Owner of the memory.
    pub tenant: Tenant,
    /// Kind of the memory.
    pub kind: MemoryKind,
    /// The text, 1 to 65,536 bytes.
    pub text: String,
    /// Importance, from 1 (mundane) to 10 (decisive).
    pub importance: f32,
    /// Time of the event, in milliseconds since 1970.
    pub event_time_ms: i64,
    /// Name of the environment, if the memory is about one.
    pub environment: Option<String>,
    /// The run it was made in; `None` for knowledge from outside.
    pub run: Option<RunId>,
    /// The record it was made of. Without a run: any number below 2⁶³ that makes the id unique.
    pub seq: EventSeq,
    /// Distinguishes the memories that were made of the same record.
    pub ordinal: u32,
    /// Other records that it was derived from.
    pub sources: Vec<Source>,
    /// Recall ignores the memory from this time on, unless it is pinned. Milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
    /// Recall ignores the memory before this time. `None`: always valid. Milliseconds since 1970.
    pub valid_from_ms: Option<i64>,
    /// Whether the memory is exempt from expiry.
    pub pinned: bool,
    /// The image or sound that the text describes.
    pub attachment: Option<Attachment>,
    /// Whether it was made of text from outside. A run that recalls it is tainted.
    pub untrusted: bool,
}

impl NewMemory {
    /// A memory from outside of any run, with importance 5 and time 0. Knowledge is untrusted.
    pub fn new(tenant: Tenant, kind: MemoryKind, text: impl Into<String>) -> Self {
        Self {
            tenant,
            kind,
            text: text.into(),
            importance: 5.0,
            event_time_ms: 0,
            environment: None,
            run: None,
            seq: EventSeq(0),
            ordinal: 0,
            sources: Vec::new(),
            expires_at_ms: None,
            valid_from_ms: None,
            pinned: false,
            attachment: None,
            untrusted: kind == MemoryKind::Knowledge,
        }
    }

    /// The id that the memory will have.
    pub fn id(&self) -> MemoryId {
        MemoryId::new(&self.tenant, self.run.as_ref(), self.seq, self.ordinal)
    }
}

/// A stored memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Id of the memory.
    pub id: MemoryId,
    /// Owner of the memory.
    pub tenant: Tenant,
    /// Kind of the memory.
    pub kind: MemoryKind,
    /// The text.
    pub text: String,
    /// Importance, from 1 (mundane) to 10 (decisive).
    pub importance: f32,
    /// Time of the event, in milliseconds since 1970.
    pub event_time_ms: i64,
    /// Name of the environment, if the memory is about one.
    pub environment: Option<String>,
    /// The run it was made in; `None` for knowledge from outside.
    pub run: Option<RunId>,
    /// The record it was made of.
    pub seq: EventSeq,
    /// All records it was derived from, including the one it was made of.
    pub sources: Vec<Source>,
    /// Recall ignores the memory from this time on, unless it is pinned. Milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
    /// Recall ignores the memory before this time. Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from_ms: Option<i64>,
    /// Recall ignores the memory from this time on: it was invalidated or superseded. Milliseconds since
    /// 1970.
    pub valid_to_ms: Option<i64>,
    /// The memory that supersedes this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<MemoryId>,
    /// URI of the document that the memory is a passage of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The image or sound that the text describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
    /// Whether the memory is exempt from expiry.
    pub pinned: bool,
    /// Hash of the text without regard to case and white space. Recall returns equal texts once.
    pub content_hash: Hash,
    /// Number of times that using it succeeded.
    pub helpful: u32,
    /// Number of times that using it failed.
    pub harmful: u32,
    /// Tick at which it was added.
    pub made: Tick,
    /// Whether it was made of text from outside. A run that recalls it is tainted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
}

/// A vector with the name of the model that computed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// Name of the model. All vectors of a model have the same dimension.
    pub model: String,
    /// Finite and not all zero. The store normalises it to length 1.
    pub vector: Vec<f32>,
}
