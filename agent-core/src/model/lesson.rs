//! What is remembered: memories as they are recalled, kept and changed.

use serde::{Deserialize, Serialize};
use sojourn_memory::EventSeq;

/// A memory as it came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recalled {
    /// Its id.
    pub id: String,
    /// Its text.
    pub text: String,
    /// "reflection", "episode", …
    pub kind: String,
    /// The score, and what it is made of.
    pub why: String,
}

/// A memory to keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewLesson {
    /// What it says.
    pub text: String,
    /// A lesson in words, or what happened.
    pub kind: LessonKind,
    /// From 1 to 10.
    pub importance: f32,
}

/// One step of a consolidation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case")]
pub enum Edit {
    /// A new lesson.
    Add {
        /// What it says.
        text: String,
        /// From 1 to 10.
        importance: f32,
        /// The records of this run that it rests on.
        sources: Vec<EventSeq>,
    },
    /// A lesson that was there says what a new one says: it stays, and what the new one rests on becomes its own.
    Merge {
        /// Its id.
        older: String,
        /// The place of the new one among those that are added here.
        added: usize,
    },
    /// A lesson that was there is contradicted by a new one: it is not true any more, if it did more harm than good.
    Close {
        /// Its id.
        older: String,
        /// The place of the new one among those that are added here.
        added: usize,
    },
}

/// Kinds of memories that the loop makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LessonKind {
    /// What happened.
    Episode,
    /// A lesson in words.
    Reflection,
}
