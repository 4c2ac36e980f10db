use crate::Example;
use serde::{Deserialize, Serialize};

/// The words of one world in the prompts for the controller.
///
/// The runtime's prompts name nothing that only one kind of world has. Where a sentence needs such a word, the world
/// supplies it here: as part of its `EnvironmentSpec`; for a world that is a program, as `wording` in its description;
/// for an MCP server, as `[environment.wording]` in the agent file. A field that is absent gets the neutral default of
/// the prompt files (`agent-core/prompts/wording.md`). Each field's documentation shows a sentence that it appears in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Wording {
    /// Who acts in this world, as a noun phrase: "You decide what *the player* does next."
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// One or two sentences on how to choose among tasks: "Prefer what keeps the player alive."
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice_advice: Option<String>,
    /// The preposition for a thing that must be near the agent: "It needs a table *next to* you."
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearby: Option<String>,
    /// The preposition for the thing that a call acts on: "It needs a tree *in front of* you."
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facing: Option<String>,
    /// The participle for a thing that the agent has come across: "No tree had been *seen*."
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// The imperative for a thing that is not there: "*look further* when there is none."
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// The line before the observation that a task starts with, where a skill is written from it: "An example of what is
    /// seen when it starts:"
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_observation: Option<String>,
    /// The line before the first observation of another episode of the task: "Another time it starts with:"
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_observation: Option<String>,
    /// A worked example of a reflex: its request has a cause and the last moments in the form of the prompt file
    /// `write_reflex.md`, and its source is a function of the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reflex_example: Option<Example>,
}

impl Wording {
    /// Whether the world supplies no word at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
