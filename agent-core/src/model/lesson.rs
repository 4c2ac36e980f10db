//! Memories, as they are recalled, stored and changed.

use serde::{Deserialize, Serialize};
use sojourn_memory::{EventSeq, MemoryId};

/// A recalled memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recalled {
    /// Its id.
    pub id: MemoryId,
    /// Its text.
    pub text: String,
    /// "reflection", "episode", …
    pub kind: String,
    /// The score and its parts, for people.
    pub why: String,
    /// Whether it was made of text from outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
}

/// A memory to store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewLesson {
    /// The text.
    pub text: String,
    /// A lesson in words, or what happened.
    pub kind: LessonKind,
    /// From 1 to 10.
    pub importance: f32,
    /// Whether it was made of text from outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
}

/// One step of a consolidation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case")]
pub enum Edit {
    /// A new lesson.
    Add {
        /// The text.
        text: String,
        /// From 1 to 10.
        importance: f32,
        /// The records of this run that support it.
        sources: Vec<EventSeq>,
        /// Whether it was made of text from outside.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        untrusted: bool,
    },
    /// An older lesson has the same meaning as a new one. The older one stays and takes over the sources of the new one.
    Merge {
        /// Its id.
        older: MemoryId,
        /// The index of the new one among the lessons added here.
        added: usize,
    },
    /// A new lesson contradicts an older one, which is closed if it was harmful more often than helpful.
    Close {
        /// Its id.
        older: MemoryId,
        /// The index of the new one among the lessons added here.
        added: usize,
    },
}

/// Kinds of memories that the core stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LessonKind {
    /// An event.
    Episode,
    /// A lesson in words.
    Reflection,
}
