//! What an agent file says of goals, and of finding out what a world is like.

use super::AgentFile;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sojourn_synthesis::identifier;
use sojourn_tools::{Condition, TaskSpec};
use std::fmt;

/// A goal of the user's, in words.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
pub struct Goal {
    /// The goal, in the user's words.
    pub text: String,
    /// Name of the task that the goal becomes, and of the skill for it: an identifier.
    ///
    /// Default: made of the text. Example: `name = "open_the_door"`.
    #[serde(default)]
    pub name: Option<String>,
    /// When it is reached. `sojourn goal check` proposes one.
    ///
    /// Default: the model says which field of the state shows it. Example: `condition = { equals = { path = "/door", value = "open" } }`.
    #[serde(default)]
    pub condition: Option<Condition>,
}

/// What the file may hold for a goal, for its JSON Schema.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "a description of the file; `Goal` reads both forms")]
pub(super) enum GoalForm {
    /// The goal in words.
    Text(String),
    /// With its name and condition.
    Table(Goal),
}

impl Goal {
    /// A goal in words only.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), name: None, condition: None }
    }

    /// Name of the task that the goal becomes, and of the skill for it.
    pub fn task_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| identifier(&self.text))
    }

    /// The task that the goal is, under `condition`.
    pub fn task(&self, condition: Condition) -> TaskSpec {
        TaskSpec {
            name: self.task_name(),
            description: self.text.clone(),
            parameters: Vec::new(),
            goal: condition,
            achievement: true,
            episodes: None,
        }
    }
}

impl<'de> Deserialize<'de> for Goal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            text: String,
            #[serde(default)]
            name: Option<String>,
            #[serde(default)]
            condition: Option<Condition>,
        }
        struct Either;
        // An untagged enum would say that neither form fits; this reports the error inside the table.
        impl<'de> Visitor<'de> for Either {
            type Value = Goal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a goal in words, or a table with its `text`, `name` and `condition`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Goal, E> {
                check(text).map_err(E::custom)?;
                Ok(Goal::new(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Goal, A::Error> {
                let Table { text, name, condition } = Table::deserialize(MapAccessDeserializer::new(map))?;
                check(&text).map_err(A::Error::custom)?;
                if let Some(name) = &name
                    && identifier(name) != *name
                {
                    let meant = identifier(name);
                    return Err(A::Error::custom(format!("`{name}` is no name for a goal; write `{meant}`")));
                }
                Ok(Goal { text, name, condition })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() { Err("a goal has no words") } else { Ok(()) }
}

/// The table `[discover]`: how a world is looked at before a run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Discover {
    /// Episodes in which the program plays without a goal, before a run in a world that documents no tasks, and before a goal in
    /// words gets its condition. It plays only in practice worlds in which calls may be made at random. 0 turns this off.
    pub episodes: usize,
    /// Seconds after which no further of these episodes begins.
    pub seconds: u64,
    /// Tasks that are made of what was found out, at most, in a world that documents none.
    pub tasks: usize,
}

impl Default for Discover {
    fn default() -> Self {
        Self { episodes: 40, seconds: 20, tasks: 6 }
    }
}

impl AgentFile {
    /// Replaces the goals by goals in words, where there are any.
    pub fn with_goals(&mut self, texts: &[String]) {
        if !texts.is_empty() {
            self.goals = texts.iter().map(|text| Goal::new(text)).collect();
        }
    }
}
