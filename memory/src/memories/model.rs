use crate::{BlobId, Error, EventSeq, Hash, RunId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Whose memory it is. Nothing is remembered, recalled or forgotten without saying so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Tenant(String);

impl Tenant {
    /// 1 to 200 bytes without control characters.
    ///
    /// # Errors
    /// [`Error::BadMemory`].
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
            return Err(Error::BadMemory {
                what: "a tenant's name has 1 to 200 bytes and no control characters",
            });
        }
        Ok(Self(name))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The name of a memory: a `UUIDv5` of its tenant, run, record and ordinal, so that remembering the same
/// event twice makes one memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemoryId(Uuid);

impl MemoryId {
    const NAMESPACE: Uuid = Uuid::from_bytes(*b"sojourn-memories");

    /// Of the `ordinal`-th memory made of one record; `run` is `None` for what came from outside of any run.
    pub fn new(tenant: &Tenant, run: Option<&RunId>, seq: EventSeq, ordinal: u32) -> Self {
        let run = run.map_or("", RunId::as_str);
        let name = format!("{}\0{run}\0{seq}\0{ordinal}", tenant.as_str());
        Self(Uuid::new_v5(&Self::NAMESPACE, name.as_bytes()))
    }

    /// Of the memory that takes this one's place with another text.
    #[must_use]
    pub fn revised(&self, text: &str) -> Self {
        Self(Uuid::new_v5(&self.0, text.as_bytes()))
    }

    /// As raw bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// From raw bytes.
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
        Uuid::parse_str(text).map(Self).map_err(|_| Error::BadMemory { what: "a memory's id is a UUID" })
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

/// What a memory is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKind {
    /// What happened.
    Episode,
    /// What is so.
    Fact,
    /// A lesson in words.
    Reflection,
    /// What was given from outside: a recipe, a manual.
    Knowledge,
    /// What a skill is for.
    Skill,
}

impl MemoryKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Episode, Self::Fact, Self::Reflection, Self::Knowledge, Self::Skill];

    /// As it is stored and shown: "episode".
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

/// A moment in the life of the memory store: how many changes recall could see had been made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tick(pub u64);

/// A record of the log that a memory rests on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The run.
    pub run: RunId,
    /// The record.
    pub seq: EventSeq,
}

/// What is not text: an image, a sound. Its vectors are those of the memory, under the names of models that make
/// vectors of such things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Where the content is.
    pub blob: BlobId,
    /// What it is: `image/png`.
    pub media_type: String,
}

/// Something to be remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewMemory {
    /// Whose it is.
    pub tenant: Tenant,
    /// What it is about.
    pub kind: MemoryKind,
    /// In words.
    pub text: String,
    /// From 1 (mundane) to 10 (decisive).
    pub importance: f32,
    /// When it happened, in milliseconds since 1970.
    pub event_time_ms: i64,
    /// Where it happened, if in an environment.
    pub environment: Option<String>,
    /// The run it was made in; `None` for what came from outside.
    pub run: Option<RunId>,
    /// The record it was made of; without a run, any number below 2⁶³ that tells it apart.
    pub seq: EventSeq,
    /// Which of the memories made of that record.
    pub ordinal: u32,
    /// Other records it rests on.
    pub sources: Vec<Source>,
    /// Not to be recalled from then on, unless pinned.
    pub expires_at_ms: Option<i64>,
    /// True from then on only; always if `None`.
    pub valid_from_ms: Option<i64>,
    /// Exempt from expiry.
    pub pinned: bool,
    /// The image or sound that the text describes.
    pub attachment: Option<Attachment>,
}

impl NewMemory {
    /// A memory of middling importance, from outside of any run, of the time 0.
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
        }
    }

    /// The id it will have.
    pub fn id(&self) -> MemoryId {
        MemoryId::new(&self.tenant, self.run.as_ref(), self.seq, self.ordinal)
    }
}

/// Something that is remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Its name.
    pub id: MemoryId,
    /// Whose it is.
    pub tenant: Tenant,
    /// What it is about.
    pub kind: MemoryKind,
    /// In words.
    pub text: String,
    /// From 1 (mundane) to 10 (decisive).
    pub importance: f32,
    /// When it happened, in milliseconds since 1970.
    pub event_time_ms: i64,
    /// Where it happened, if in an environment.
    pub environment: Option<String>,
    /// The run it was made in.
    pub run: Option<RunId>,
    /// The record it was made of.
    pub seq: EventSeq,
    /// Every record it rests on, the one it was made of among them.
    pub sources: Vec<Source>,
    /// Not to be recalled from then on, unless pinned.
    pub expires_at_ms: Option<i64>,
    /// True from then on only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from_ms: Option<i64>,
    /// No longer true from then on.
    pub valid_to_ms: Option<i64>,
    /// The memory that replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<MemoryId>,
    /// The document it is a passage of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The image or sound that the text describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
    /// Exempt from expiry.
    pub pinned: bool,
    /// Of the text without regard to case and spacing: equal texts are recalled once.
    pub content_hash: Hash,
    /// How often it helped.
    pub helpful: u32,
    /// How often it did harm.
    pub harmful: u32,
    /// When it was remembered.
    pub made: Tick,
}

/// A text's vector, by the model that made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// The model's name; all its vectors have one dimension.
    pub model: String,
    /// Finite and not all zero; its length does not matter.
    pub vector: Vec<f32>,
}
