use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sojourn_tools::{Condition, Parameter, RecordedStep, ToolSpec};
use std::fmt;

/// Content address of a skill version: the SHA-256 (hex) of name, source, parameters and engine. Where two environments have the
/// same content, the address of the later one covers its environment too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SkillId(String);

impl SkillId {
    /// Computes the address. The parts are hashed as one JSON array, so different contents never give the
    /// same bytes.
    pub fn of(name: &str, source: &str, parameters: &[Parameter], engine: &str) -> Self {
        let canonical = serde_json::json!([name, source, parameters, engine]);
        Self(sha256(canonical.to_string().as_bytes()))
    }

    /// The address that covers the environment too, for content that another environment has as well.
    fn in_environment(&self, environment: &str) -> Self {
        Self(sha256(serde_json::json!([self, environment]).to_string().as_bytes()))
    }

    /// The address as 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SkillId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The author of a skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A language model.
    Model {
        /// Name of the model in the catalogue.
        model: String,
        /// Id of the run.
        run: String,
        /// Sequence number of the log record with the model's answer.
        seq: u64,
    },
    /// Synthesised from a random exploration that reached the goal.
    Exploration {
        /// Id of the run.
        run: String,
        /// Number of the exploration in the run, from 1.
        seq: u64,
    },
    /// Printed from the way to do the task that the environment documents.
    Recipe {
        /// Id of the run.
        run: String,
    },
    /// Generalised from what a person did once, or from an episode of a run.
    Recorded {
        /// Id of the run; `None` for a person's recording.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<String>,
    },
    /// A person.
    Human,
    /// Another library.
    Imported,
    /// Shipped with Sojourn or with the environment.
    Builtin,
}

/// Form of a skill's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A script, which the sandbox compiles.
    #[default]
    #[serde(rename = "javascript")]
    JavaScript,
    /// A prebuilt module. Its source, if any, is documentation.
    Wasm,
}

/// How a skill is triggered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// By a call.
    Skill,
    /// By every observation, before the controller acts.
    Reflex {
        /// The reflex with the highest priority is asked first.
        priority: u8,
        /// Environment steps after an action in which the reflex rests.
        cooldown: u32,
    },
}

/// The parts of a skill that its author provides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// A JavaScript identifier: the function that the source declares.
    pub name: String,
    /// One line that a small model understands.
    pub description: String,
    /// Parameters in the order of a JavaScript call.
    pub parameters: Vec<Parameter>,
    /// Condition that must hold before a call.
    pub precondition: Option<Condition>,
    /// Condition that must hold after a call.
    pub postcondition: Option<Condition>,
    /// The author.
    pub origin: Origin,
    /// How the skill is triggered.
    pub kind: Kind,
    /// Name of the environment.
    pub environment: String,
    /// Creation time, in milliseconds since 1970.
    pub created_ms: u64,
    /// JavaScript source.
    pub source: String,
}

/// A compiled source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// SHA-256 (hex) of the engine that compiled the module and runs it.
    pub engine: String,
    /// The module.
    pub wasm: Vec<u8>,
}

/// Immutable description of one version, without its code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Content address.
    pub id: SkillId,
    /// A JavaScript identifier.
    pub name: String,
    /// Version number of the name, from 1.
    pub version: u32,
    /// One line that a small model understands.
    pub description: String,
    /// Parameters in the order of a JavaScript call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Condition that must hold before a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precondition: Option<Condition>,
    /// Condition that must hold after a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postcondition: Option<Condition>,
    /// Tools and skills that the source calls, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// The author.
    pub origin: Origin,
    /// How the skill is triggered.
    pub kind: Kind,
    /// Name of the environment.
    pub environment: String,
    /// Creation time, in milliseconds since 1970.
    pub created_ms: u64,
    /// SHA-256 (hex) of the engine that runs the module.
    pub engine: String,
    /// SHA-256 (hex) of the module.
    pub wasm_sha256: String,
    /// Form of the code.
    #[serde(default, skip_serializing_if = "Code::is_script")]
    pub code: Code,
    /// The version of the same name that this one repairs; its cases must still pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repairs: Option<SkillId>,
    /// What was recorded, for a skill that was made of a recording: what a repair searches near.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recorded: Vec<RecordedStep>,
    /// How it differs from the version that it repairs, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Whether it was made of text from outside. See [`is_untrusted`](Self::is_untrusted).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
}

impl Manifest {
    /// Whether content from outside shaped the skill: it was made in a run that such content had reached, or it comes
    /// from another library. A run that uses the skill is tainted.
    pub fn is_untrusted(&self) -> bool {
        self.untrusted || self.origin == Origin::Imported
    }
}

/// One version of a skill: manifest and code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skill {
    /// Description.
    pub manifest: Manifest,
    /// JavaScript source.
    pub source: String,
    /// Compiled module.
    pub wasm: Wasm,
}

/// Bytes of a compiled module; hexadecimal in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Wasm(pub Vec<u8>);

/// A function that a skill may call: a tool or another skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Callable {
    /// A JavaScript identifier.
    pub name: String,
    /// Parameters in the order of a call.
    pub parameters: Vec<Parameter>,
}

impl Skill {
    /// Version `version` of `draft.name`, which calls `calls`.
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
            recorded: Vec::new(),
            changes: Vec::new(),
            untrusted: false,
        };
        Self { manifest, source, wasm: Wasm(compiled.wasm) }
    }

    /// Marks the skill as a prebuilt module, whose address covers the module's bytes instead of its source.
    #[must_use]
    pub fn prebuilt(mut self) -> Self {
        self.manifest.code = Code::Wasm;
        self.manifest.id = self.address();
        self
    }

    /// Marks the skill as a repair of `version`.
    #[must_use]
    pub fn repairing(mut self, version: &SkillId) -> Self {
        self.manifest.repairs = Some(version.clone());
        self
    }

    /// Keeps the recording that the skill was made of, and how it differs from the version that it repairs.
    #[must_use]
    pub fn recorded_as(mut self, steps: Vec<RecordedStep>, changes: Vec<String>) -> Self {
        (self.manifest.recorded, self.manifest.changes) = (steps, changes);
        self
    }

    /// Marks the skill as made of text from outside, where `untrusted` says so.
    #[must_use]
    pub fn made_from_outside(mut self, untrusted: bool) -> Self {
        self.manifest.untrusted |= untrusted;
        self
    }

    /// The same content under another version number; the address does not depend on it.
    #[must_use]
    pub(crate) fn renumbered(mut self, version: u32) -> Self {
        self.manifest.version = version;
        self
    }

    /// The same content under an address that covers the environment.
    #[must_use]
    pub(crate) fn in_own_environment(mut self) -> Self {
        self.manifest.id = self.address().in_environment(&self.manifest.environment);
        self
    }

    /// Whether the id and the module's hash match the content.
    pub fn is_intact(&self) -> bool {
        let (id, address) = (&self.manifest.id, self.address());
        (*id == address || *id == address.in_environment(&self.manifest.environment))
            && self.manifest.wasm_sha256 == sha256(&self.wasm.0)
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
    /// Whether the code is JavaScript.
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
