use crate::outside::terminal::escaped_json;
use crate::{Condition, ToolCall};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use sojourn_primitives::JsonPointer;
use std::collections::BTreeMap;

/// Description of a tool for the controller and the skills.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Unique name, a valid JavaScript identifier.
    pub name: String,
    /// One line that a small model understands.
    pub description: String,
    /// Parameters in the order of a JavaScript call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Declared effects.
    pub effects: Effects,
    /// JSON Schema of the argument object, if `parameters` do not describe it completely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Kind of the results; `None` if results vary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<ResultKind>,
    /// Time limit of one call, in milliseconds. Default: the toolbox's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether a server, a program or a world wrote the texts above. Prompts quote them, and showing them taints a run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
}

impl ToolSpec {
    /// A parameterless tool that only reads.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            parameters: Vec::new(),
            effects: Effects::default(),
            input: None,
            returns: None,
            timeout_ms: None,
            untrusted: false,
        }
    }

    /// Sets the input schema and derives the parameters from it; see
    /// [`parameters_of`](crate::schema::parameters_of).
    #[must_use]
    pub fn with_input(mut self, schema: Value) -> Self {
        self.parameters = crate::schema::parameters_of(&schema);
        self.input = Some(schema);
        self
    }

    /// JSON Schema of the argument object.
    pub fn input_schema(&self) -> Value {
        self.input.clone().unwrap_or_else(|| arguments_schema(&self.parameters))
    }
}

/// Kinds of tool results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultKind {
    /// Plain text.
    Text,
    /// A structured value.
    Json,
    /// An image.
    Image,
    /// An audio clip.
    Audio,
    /// A link to a resource.
    ResourceLink,
}

/// One typed parameter of a tool or a skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Parameter {
    /// A valid JavaScript identifier.
    pub name: String,
    /// Type of the values: `{ integer = { min = 1, max = 9 } }`, `{ choice = ["a", "b"] }`, `"text"`,
    /// `"boolean"`, or `{ schema = … }` with a JSON Schema.
    pub kind: ParameterKind,
    /// Value if the caller omits the argument. A parameter without a default is required; with the default `null` it is
    /// optional.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// Reads a value that is there, `null` too, so that a specification in the log reads back as it was.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Type of a parameter: the subset of JSON Schema that a small model fills in reliably.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// An integer in `[min, max]`.
    Integer {
        /// Inclusive lower bound.
        min: i64,
        /// Inclusive upper bound.
        max: i64,
    },
    /// One of these strings.
    Choice(Vec<String>),
    /// Any string.
    Text,
    /// `true` or `false`.
    Boolean,
    /// Any value that satisfies this JSON Schema.
    Schema(Value),
}

/// Side effects of a tool, declared by its author. The policy decides by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Effects {
    /// Changes the environment or the machine.
    #[serde(default)]
    pub write: bool,
    /// Uses the network.
    #[serde(default)]
    pub network: bool,
    /// Cannot be undone.
    #[serde(default)]
    pub irreversible: bool,
    /// Calling twice with the same arguments has the effect of calling once.
    #[serde(default)]
    pub idempotent: bool,
}

impl Effects {
    /// Assumed effects of a tool that declares none.
    pub const WORST: Self = Self { write: true, network: true, irreversible: true, idempotent: false };

    /// The worst of both, effect by effect.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            write: self.write || other.write,
            network: self.network || other.network,
            irreversible: self.irreversible || other.irreversible,
            idempotent: self.idempotent && other.idempotent,
        }
    }

    /// Whether the tool only reads, without network access.
    pub fn reads_only(self) -> bool {
        !self.write && !self.network && !self.irreversible
    }

    /// Whether a call leaves everything unchanged, locally and remotely. It may use the network.
    pub fn changes_nothing(self) -> bool {
        !self.write && !self.irreversible
    }

    /// Whether a call that may already have taken effect can be repeated: it changes nothing, or is idempotent. Every
    /// decision about repeating a call uses this rule.
    pub fn repeatable(self) -> bool {
        self.idempotent || self.changes_nothing()
    }
}

/// A documented task that the curriculum may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskSpec {
    /// Unique name, a valid JavaScript identifier. The skill that solves the task has the same name.
    pub name: String,
    /// An imperative phrase: "make a wood pickaxe".
    pub description: String,
    /// Parameters of the skill, with defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Condition for success, on the states before and after a skill ran: `{ increased = { path = "/wood", by
    /// = 1 } }`, `{ at_least = { path = "/wood", value = 3 } }`, `{ equals = { path = "/door", value = "open"
    /// } }`, or a list of conditions in `all` or `any`.
    pub goal: Condition,
    /// Whether the environment counts the first success in an episode as an achievement.
    #[serde(default)]
    pub achievement: bool,
    /// Episodes that the task belongs to, by the remainder of their seeds, if episodes differ in their tasks.
    /// Default: every episode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episodes: Option<ResidueClass>,
}

/// Seeds with a given remainder. A world of many tasks uses them to select the task of an episode by its
/// seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResidueClass {
    /// Number of classes, at least 1.
    pub modulus: u64,
    /// Remainder of the seeds in this class.
    pub remainder: u64,
}

impl ResidueClass {
    /// Whether `seed` belongs to the class.
    pub fn contains(self, seed: u64) -> bool {
        seed % self.modulus.max(1) == self.remainder
    }

    /// The largest member up to `seed`, or the smallest member if there is none.
    pub fn at_or_before(self, seed: u64) -> u64 {
        let modulus = self.modulus.max(1);
        let down = (seed % modulus + modulus - self.remainder % modulus) % modulus;
        seed.checked_sub(down).unwrap_or(self.remainder)
    }
}

impl TaskSpec {
    /// Whether the episode with this seed offers the task.
    pub fn is_in(&self, seed: u64) -> bool {
        self.episodes.is_none_or(|episodes| episodes.contains(seed))
    }
}

/// A documented way to do a task, as data for the planner.
///
/// The fields are GITM's goal structure (object, count, material, tool; arXiv 2305.17144, section 3.2) plus
/// the things that must be nearby.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Recipe {
    /// Name of the task.
    pub task: String,
    /// The call that completes the task once its requirements are met: `make("wood_pickaxe")`.
    pub call: String,
    /// Kind of thing that the agent must face for `call`: "tree".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Items consumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumes: Vec<Ingredient>,
    /// Items required but not consumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Things that must be next to the agent. The task whose recipe `provides` one of them brings it about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearby: Vec<String>,
    /// Items or things that exist afterwards, with their count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<Ingredient>,
    /// Further documentation: "a cow moves and needs several hits".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where the state counts the items; `None` for `/inventory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_at: Option<JsonPointer>,
    /// How the goal's number gets below its largest value, where it has that at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// What the recipe rests on, where it was learned. `None` where the world documents it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// Calls that a learned recipe rests on, all made while its requirements were met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Those that brought the effect about.
    pub worked: u32,
    /// Those that did not.
    pub failed: u32,
}

/// A number that is at its largest value at first, so that nothing can raise it, and falls by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Location of the number.
    pub path: JsonPointer,
    /// The largest value. The task can be done while the number is below it.
    pub below: f64,
    /// A call after which the number falls, sooner or later.
    pub call: ToolCall,
    /// How often the call was needed, at most.
    pub times: u32,
}

/// A number of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingredient {
    /// Name of the item.
    pub item: String,
    /// Number of items.
    pub count: u32,
}

/// A worked example of a skill, shown to the controller before it writes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Example {
    /// The request.
    pub task: String,
    /// The JavaScript that answers it.
    pub source: String,
    /// Whether a world that is not trusted wrote it. Prompts then quote it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(skip)]
    pub untrusted: bool,
}

impl Parameter {
    /// JSON Schema of the parameter's values.
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

/// JSON Schema of an argument object for `parameters`. Unknown arguments are rejected; parameters without a
/// default are required.
pub fn arguments_schema(parameters: &[Parameter]) -> Value {
    let properties: Map<String, Value> = parameters.iter().map(|p| (p.name.clone(), p.schema())).collect();
    let required: Vec<&str> =
        parameters.iter().filter(|p| p.default.is_none()).map(|p| p.name.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// A call as it appears in a prompt: `name(a, b = 1)`.
pub fn signature(name: &str, parameters: &[Parameter]) -> String {
    let list: Vec<String> = parameters
        .iter()
        .map(|p| match &p.default {
            // No character in a default ends the line.
            Some(value) => format!("{} = {}", p.name, escaped_json(&value.to_string())),
            None => p.name.clone(),
        })
        .collect();
    format!("{name}({})", list.join(", "))
}

/// The line that the source of a function begins with, and the end of that line: `function name(a, b = 1) {`.
pub fn function_head(name: &str, parameters: &[Parameter]) -> String {
    format!("function {} {{\n", signature(name, parameters))
}

/// `args` with defaults for the missing parameters.
pub fn with_defaults(parameters: &[Parameter], mut args: Map<String, Value>) -> Map<String, Value> {
    for parameter in parameters {
        if let Some(default) = &parameter.default {
            args.entry(parameter.name.clone()).or_insert_with(|| default.clone());
        }
    }
    args
}

/// `args` with the first example of each missing parameter whose JSON Schema names any: values that its author knows to work.
pub fn with_examples(parameters: &[Parameter], mut args: Map<String, Value>) -> Map<String, Value> {
    for parameter in parameters {
        if let ParameterKind::Schema(schema) = &parameter.kind
            && let Some(example) = schema.get("examples").and_then(|examples| examples.get(0))
        {
            args.entry(parameter.name.clone()).or_insert_with(|| example.clone());
        }
    }
    args
}

/// Recipes by task name.
pub fn recipes_by_task(recipes: &[Recipe]) -> BTreeMap<&str, &Recipe> {
    recipes.iter().map(|recipe| (recipe.task.as_str(), recipe)).collect()
}
