use crate::Condition;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A capability as the controller and the skills see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Unique name, a valid JavaScript identifier.
    pub name: String,
    /// One line that a small model understands.
    pub description: String,
    /// Parameters in the order of the JavaScript call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// What calling it may do.
    pub effects: Effects,
    /// The JSON Schema of its argument object, where `parameters` do not say all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What its results are; any of them without a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<ResultKind>,
    /// Milliseconds that a call may take; the toolbox's own limit without a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

impl ToolSpec {
    /// A tool that reads, without parameters.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            parameters: Vec::new(),
            effects: Effects::default(),
            input: None,
            returns: None,
            timeout_ms: None,
        }
    }

    /// The same with the parameters of a peer's JSON Schema; see [`parameters_of`](crate::schema::parameters_of).
    #[must_use]
    pub fn with_input(mut self, schema: Value) -> Self {
        self.parameters = crate::schema::parameters_of(&schema);
        self.input = Some(schema);
        self
    }

    /// The JSON Schema of its argument object.
    pub fn input_schema(&self) -> Value {
        self.input.clone().unwrap_or_else(|| arguments_schema(&self.parameters))
    }
}

/// What a tool's results are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultKind {
    /// Words.
    Text,
    /// A value to compute with.
    Json,
    /// A picture.
    Image,
    /// A sound.
    Audio,
    /// Where something can be read.
    ResourceLink,
}

/// One typed parameter of a tool or a skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Parameter {
    /// A valid JavaScript identifier.
    pub name: String,
    /// What values it takes.
    pub kind: ParameterKind,
    /// The value when the caller gives none; without one the parameter is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// The type of a parameter: the part of JSON Schema that a small model fills in reliably.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// A whole number in `[min, max]`.
    Integer {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
    },
    /// One of a fixed list of strings.
    Choice(Vec<String>),
    /// Any string.
    Text,
    /// `true` or `false`.
    Boolean,
    /// Anything that a JSON Schema describes.
    Schema(Value),
}

/// What a tool may do, declared by its author and checked by the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Effects {
    /// It changes the environment or the machine.
    #[serde(default)]
    pub write: bool,
    /// It talks to a network.
    #[serde(default)]
    pub network: bool,
    /// What it does cannot be undone.
    #[serde(default)]
    pub irreversible: bool,
    /// Calling it twice with the same arguments does the same as calling it once.
    #[serde(default)]
    pub idempotent: bool,
}

impl Effects {
    /// What is assumed of a tool that does not say what it does.
    pub const WORST: Self = Self { write: true, network: true, irreversible: true, idempotent: false };

    /// Only looks, on this machine.
    pub fn reads_only(self) -> bool {
        !self.write && !self.network && !self.irreversible
    }

    /// Whether a call leaves everything as it was, here and elsewhere. It may use the network.
    pub fn changes_nothing(self) -> bool {
        !self.write && !self.irreversible
    }

    /// Whether a call that may have taken effect already can be made again: it changes nothing, or is idempotent.
    ///
    /// Every decision about repeating a call goes by this rule.
    pub fn repeatable(self) -> bool {
        self.idempotent || self.changes_nothing()
    }
}

/// A task that an environment documents: something the curriculum may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskSpec {
    /// Unique name, a valid JavaScript identifier; the skill that learns it bears the same name.
    pub name: String,
    /// An imperative phrase: "make a wood pickaxe".
    pub description: String,
    /// Parameters of the skill, with defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// When it is done.
    pub goal: Condition,
    /// Whether doing it once is an achievement that the environment counts.
    #[serde(default)]
    pub achievement: bool,
    /// The episodes that it is part of, in a world whose episodes are about different things; every one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episodes: Option<Residue>,
}

/// The seeds that leave a certain remainder: how a world of many tasks says by its seed which one an episode is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Residue {
    /// How many kinds of episodes there are, at least 1.
    pub modulus: u64,
    /// Which one this is.
    pub remainder: u64,
}

impl Residue {
    /// Whether `seed` is one of them.
    pub fn has(self, seed: u64) -> bool {
        seed % self.modulus.max(1) == self.remainder
    }

    /// The one that is nearest to `seed` from below; the first of all where there is none below.
    pub fn near(self, seed: u64) -> u64 {
        let modulus = self.modulus.max(1);
        let down = (seed % modulus + modulus - self.remainder % modulus) % modulus;
        seed.checked_sub(down).unwrap_or(self.remainder)
    }
}

impl TaskSpec {
    /// Whether it can be done in the episode with this seed.
    pub fn is_in(&self, seed: u64) -> bool {
        self.episodes.is_none_or(|episodes| episodes.has(seed))
    }
}

/// How a task is done, as the environment's documentation says it: the knowledge the planner computes with.
///
/// The fields are GITM's goal structure (object, count, material, tool; arXiv 2305.17144, section 3.2)
/// plus what must stand nearby.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Recipe {
    /// The task it does.
    pub task: String,
    /// The call that does it once everything is at hand: `make("wood_pickaxe")`.
    pub call: String,
    /// Kind of thing that has to be faced for `call`, if any: "tree".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Items used up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumes: Vec<Ingredient>,
    /// Items that must be held and are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Things that must stand next to the agent; each is brought about by the task whose recipe `provides` it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearby: Vec<String>,
    /// Items or things that exist afterwards, with their number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<Ingredient>,
    /// What the documentation adds: "a cow moves and needs several hits".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// So many of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingredient {
    /// The item's name.
    pub item: String,
    /// How many.
    pub count: u32,
}

/// A worked example of a skill, shown to the controller before it writes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The request.
    pub task: String,
    /// The JavaScript that answers it.
    pub source: String,
}

impl Parameter {
    /// The JSON Schema of its values.
    pub fn schema(&self) -> Value {
        match &self.kind {
            ParameterKind::Integer { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
            ParameterKind::Choice(choices) => json!({"type": "string", "enum": choices}),
            ParameterKind::Text => json!({"type": "string"}),
            ParameterKind::Boolean => json!({"type": "boolean"}),
            ParameterKind::Schema(schema) => schema.clone(),
        }
    }
}

/// The JSON Schema of an argument object for `parameters`: closed, required where there is no default.
pub fn arguments_schema(parameters: &[Parameter]) -> Value {
    let properties: Map<String, Value> = parameters.iter().map(|p| (p.name.clone(), p.schema())).collect();
    let required: Vec<&str> =
        parameters.iter().filter(|p| p.default.is_none()).map(|p| p.name.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// `name(a, b = 1)`: how a call reads in a prompt.
pub fn signature(name: &str, parameters: &[Parameter]) -> String {
    let list: Vec<String> = parameters
        .iter()
        .map(|p| match &p.default {
            Some(value) => format!("{} = {value}", p.name),
            None => p.name.clone(),
        })
        .collect();
    format!("{name}({})", list.join(", "))
}

/// `args` with the defaults of the parameters that it leaves out.
pub fn with_defaults(parameters: &[Parameter], mut args: Map<String, Value>) -> Map<String, Value> {
    for parameter in parameters {
        if let Some(default) = &parameter.default {
            args.entry(parameter.name.clone()).or_insert_with(|| default.clone());
        }
    }
    args
}

/// Recipes by the task that they do.
pub fn recipes_by_task(recipes: &[Recipe]) -> BTreeMap<&str, &Recipe> {
    recipes.iter().map(|recipe| (recipe.task.as_str(), recipe)).collect()
}
