//! Exchange of skills as folders in the Agent Skills format (agentskills.io).
//!
//! ```text
//! collect-wood/
//!   SKILL.md           front matter (name, description, license, metadata), then text for people and models
//!   manifest.json      interface and conditions: parameters, conditions, kind, environment
//!   schema.json        JSON Schema of the arguments
//!   cases.json         cases that the skill passed in its original library
//!   scripts/skill.js   source; or scripts/skill.wasm, a prebuilt module
//! ```
//!
//! [`write`] creates such a folder. [`read`] reads a folder from an untrusted source: every file has a size
//! limit, links are refused, and no path is built from file content. The result is an [`ImportedSkill`],
//! which becomes a draft.

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

/// Version of the `manifest.json` format.
const FORMAT: u32 = 1;

const SKILL_MD: &str = "SKILL.md";
const MANIFEST: &str = "manifest.json";
const SCHEMA: &str = "schema.json";
const CASES: &str = "cases.json";
const SCRIPTS: &str = "scripts";
const SCRIPT: &str = "skill.js";
const MODULE: &str = "skill.wasm";

/// Content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeManifest {
    /// Format version.
    pub format: u32,
    /// Name of the skill in JavaScript.
    pub name: String,
    /// One line that a small model understands.
    pub description: String,
    /// Parameters in the order of a call.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Condition that must hold before a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precondition: Option<Condition>,
    /// Condition that must hold after a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postcondition: Option<Condition>,
    /// Tools and skills that it calls.
    #[serde(default)]
    pub calls: Vec<String>,
    /// How it is triggered.
    pub kind: Kind,
    /// Name of the environment.
    pub environment: String,
    /// Form of the code.
    #[serde(default)]
    pub code: Code,
    /// SHA-256 (hex) of the engine that a prebuilt module needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// Validated content of a folder. Its claims are not verified.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedSkill {
    /// Interface and conditions.
    pub manifest: ExchangeManifest,
    /// JavaScript source; for a prebuilt module, documentation or empty.
    pub source: String,
    /// A prebuilt module.
    pub module: Option<Vec<u8>>,
    /// Cases that it passed in its original library.
    pub cases: Vec<Case>,
}
