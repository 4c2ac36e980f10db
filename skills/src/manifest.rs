use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sojourn_tools::{Condition, Parameter, ToolSpec};
use std::fmt;

/// A skill version's content address: the sha256 (hex) of its name, source, parameters and engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SkillId(String);

impl SkillId {
    /// The address of this content. The parts are hashed as one JSON array, so that no two contents run
    /// into the same bytes.
    pub fn of(name: &str, source: &str, parameters: &[Parameter], engine: &str) -> Self {
        let canonical = serde_json::json!([name, source, parameters, engine]);
        Self(sha256(canonical.to_string().as_bytes()))
    }

    /// 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SkillId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who wrote a skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A language model, in the run and at the log record where its answer stands.
    Model {
        /// The model's name in the catalogue.
        model: String,
        /// The run.
        run: String,
        /// Sequence number of the log record.
        seq: u64,
    },
    /// No author: the program repeats a random exploration that reached the goal.
    Exploration {
        /// The run.
        run: String,
        /// The number of the exploration in the run, from 1.
        seq: u64,
    },
    /// A person.
    Human,
    /// Another library.
    Imported,
    /// It came with Sojourn or with the environment.
    Builtin,
}

/// What the code of a skill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A script, of which the sandbox makes the module.
    #[default]
    #[serde(rename = "javascript")]
    JavaScript,
    /// A module that was built elsewhere; the source, if there is any, is for people.
    Wasm,
}

/// How a skill is set off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is called.
    Skill,
    /// It runs on every observation and may act before the controller does.
    Reflex {
        /// The highest goes first.
        priority: u8,
        /// Environment steps to rest after it acted.
        cooldown: u32,
    },
}

/// What the author of a skill provides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// A JavaScript identifier; the function that the source declares.
    pub name: String,
    /// One line that a small model understands.
    pub description: String,
    /// Parameters in the order of the JavaScript call.
    pub parameters: Vec<Parameter>,
    /// What must hold before a call.
    pub precondition: Option<Condition>,
    /// What must hold after it.
    pub postcondition: Option<Condition>,
    /// Who wrote it.
    pub origin: Origin,
    /// How it is set off.
    pub kind: Kind,
    /// Name of the environment it is for.
    pub environment: String,
    /// When it was written, in milliseconds since 1970.
    pub created_ms: u64,
    /// The JavaScript source.
    pub source: String,
}

/// What the sandbox made of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// sha256 (hex) of the engine that the module was compiled by and runs on.
    pub engine: String,
    /// The module.
    pub wasm: Vec<u8>,
}

/// What is known of one version of a skill apart from its code; the same for as long as it exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Content address.
    pub id: SkillId,
    /// A JavaScript identifier.
    pub name: String,
    /// 1 for the first version of this name, then 2, …
    pub version: u32,
    /// One line that a small model understands.
    pub description: String,
    /// Parameters in the order of the JavaScript call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// What must hold before a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precondition: Option<Condition>,
    /// What must hold after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postcondition: Option<Condition>,
    /// The tools and skills that the source calls, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// Who wrote it.
    pub origin: Origin,
    /// How it is set off.
    pub kind: Kind,
    /// Name of the environment it is for.
    pub environment: String,
    /// When it was written, in milliseconds since 1970.
    pub created_ms: u64,
    /// sha256 (hex) of the engine that the module runs on.
    pub engine: String,
    /// sha256 (hex) of the module.
    pub wasm_sha256: String,
    /// What the code is.
    #[serde(default, skip_serializing_if = "Code::is_script")]
    pub code: Code,
    /// The version of the same name that this one repairs: it must pass the cases that that one passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repairs: Option<SkillId>,
}

/// One version of a skill: manifest and code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skill {
    /// What is known of it.
    pub manifest: Manifest,
    /// The JavaScript source.
    pub source: String,
    /// The compiled module.
    pub wasm: Wasm,
}

/// The bytes of a compiled module; hexadecimal in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Wasm(pub Vec<u8>);

/// A function that a skill may call: a tool or another skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Callable {
    /// A JavaScript identifier.
    pub name: String,
    /// Parameters in the order of the call.
    pub parameters: Vec<Parameter>,
}

impl Skill {
    /// The version number `version` of `draft.name`, which calls `calls`.
    pub fn new(draft: Draft, compiled: Compiled, version: u32, calls: Vec<String>) -> Self {
        let Draft { name, source, parameters, .. } = draft;
        let manifest = Manifest {
            id: SkillId::of(&name, &source, &parameters, &compiled.engine),
            name,
            version,
            description: draft.description,
            parameters,
            precondition: draft.precondition,
            postcondition: draft.postcondition,
            calls,
            origin: draft.origin,
            kind: draft.kind,
            environment: draft.environment,
            created_ms: draft.created_ms,
            engine: compiled.engine,
            wasm_sha256: sha256(&compiled.wasm),
            code: Code::JavaScript,
            repairs: None,
        };
        Self { manifest, source, wasm: Wasm(compiled.wasm) }
    }

    /// The same, marked as a prebuilt module: its address covers the module's bytes, not its source.
    #[must_use]
    pub fn prebuilt(mut self) -> Self {
        self.manifest.code = Code::Wasm;
        self.manifest.id = self.address();
        self
    }

    /// The same, marked as a repair of another version of its name.
    #[must_use]
    pub fn repairing(mut self, version: &SkillId) -> Self {
        self.manifest.repairs = Some(version.clone());
        self
    }

    /// The same as another version of its name; its address does not depend on the number.
    #[must_use]
    pub(crate) fn renumbered(mut self, version: u32) -> Self {
        self.manifest.version = version;
        self
    }

    /// Whether id and module hash are those of the content.
    pub fn is_intact(&self) -> bool {
        self.manifest.id == self.address() && self.manifest.wasm_sha256 == sha256(&self.wasm.0)
    }

    fn address(&self) -> SkillId {
        let Manifest { name, parameters, engine, wasm_sha256, .. } = &self.manifest;
        match self.manifest.code {
            Code::JavaScript => SkillId::of(name, &self.source, parameters, engine),
            Code::Wasm => SkillId::of(name, wasm_sha256, parameters, engine),
        }
    }
}

impl Code {
    /// Whether it is JavaScript.
    pub fn is_script(&self) -> bool {
        *self == Self::JavaScript
    }
}

impl From<&ToolSpec> for Callable {
    fn from(tool: &ToolSpec) -> Self {
        Self { name: tool.name.clone(), parameters: tool.parameters.clone() }
    }
}

impl From<&Manifest> for Callable {
    fn from(manifest: &Manifest) -> Self {
        Self { name: manifest.name.clone(), parameters: manifest.parameters.clone() }
    }
}

impl fmt::Debug for Wasm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wasm({} bytes)", self.0.len())
    }
}

impl Serialize for Wasm {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Wasm {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
