//! Skills as folders that other programs understand: the Agent Skills format (agentskills.io).
//!
//! ```text
//! collect-wood/
//!   SKILL.md           front matter (name, description, license, metadata), then words for people and models
//!   manifest.json      what the skill promises: parameters, conditions, kind, environment
//!   schema.json        the JSON Schema of its arguments
//!   cases.json         what it passed where it comes from
//!   scripts/skill.js   its source; or scripts/skill.wasm, a prebuilt module
//! ```
//!
//! [`write`] makes such a folder; [`read`] takes one from anybody and believes nothing: every file has a limit,
//! links are refused, and no path is made of what a file says. What was read is a [`Parcel`], which becomes a draft.

mod error;
mod front_matter;
mod read;
mod write;
mod yaml;

pub use error::ExchangeError;
pub use read::{folders, read};
pub use write::{folder_name, write};

use crate::{Case, Code, Kind};
use serde::{Deserialize, Serialize};
use sojourn_tools::{Condition, Parameter};

/// The version of `manifest.json` that this program writes and reads.
const FORMAT: u32 = 1;

const SKILL_MD: &str = "SKILL.md";
const MANIFEST: &str = "manifest.json";
const SCHEMA: &str = "schema.json";
const CASES: &str = "cases.json";
const SCRIPTS: &str = "scripts";
const SCRIPT: &str = "skill.js";
const MODULE: &str = "skill.wasm";

/// What `manifest.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// Of this file.
    pub format: u32,
    /// The skill's name in JavaScript.
    pub name: String,
    /// One line that a small model understands.
    pub description: String,
    /// Parameters in the order of the call.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// What must hold before a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precondition: Option<Condition>,
    /// What must hold after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postcondition: Option<Condition>,
    /// The tools and skills that it calls.
    #[serde(default)]
    pub calls: Vec<String>,
    /// How it is set off.
    pub kind: Kind,
    /// Name of the environment it is for.
    pub environment: String,
    /// What its code is.
    #[serde(default)]
    pub code: Code,
    /// sha256 (hex) of the engine that a prebuilt module is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// A folder's content, checked but not believed.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// What it promises.
    pub promise: Promise,
    /// Its source; of a prebuilt module only words for people, or empty.
    pub source: String,
    /// A prebuilt module.
    pub module: Option<Vec<u8>>,
    /// What it passed where it comes from.
    pub cases: Vec<Case>,
}
