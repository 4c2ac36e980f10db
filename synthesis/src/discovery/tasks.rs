//! Tasks made of the effects that a survey saw.

use super::survey::{Change, Effect, Survey};
use sojourn_primitives::{JsonPointer, RESERVED};
use sojourn_tools::TaskSpec;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A field that changes in more than one of so many calls is where the agent is, or a clock: no task is made of it.
const AMBIENT: usize = 10;
/// Characters of a task's name.
const NAME: usize = 40;

impl Survey {
    /// The effects that can be tasks, those that more episodes reached first, and of these
    /// the soonest. `documented` are locations that tasks have already.
    pub fn discoveries<'a>(
        &'a self,
        documented: &'a BTreeSet<&'a JsonPointer>,
    ) -> impl Iterator<Item = &'a Change> {
        let mut found: Vec<&Change> = self
            .changes
            .iter()
            .filter(|change| {
                let rare = change.field_changes * AMBIENT <= self.calls;
                // What happened once or twice may be luck, and may be what matters: it is cheap to try.
                let caused = change.is_caused || change.times <= 2;
                rare && caused
                    && !change.is_account
                    && !change.at_start
                    && !documented.contains(change.effect.path())
            })
            .collect();
        found.sort_by_key(|change| (std::cmp::Reverse(change.episodes), change.soonest));
        found.into_iter()
    }

    /// At most `most` tasks made of these effects.
    pub fn tasks(&self, documented: &BTreeSet<&JsonPointer>, most: usize) -> Vec<TaskSpec> {
        let mut names = BTreeSet::new();
        let mut tasks = Vec::new();
        for change in self.discoveries(documented) {
            let task = change.effect.task();
            if tasks.len() < most && names.insert(task.name.clone()) {
                tasks.push(task);
            }
        }
        tasks
    }
}

impl Effect {
    /// The task to bring it about. Equal effects give equal names, so that a skill is found again in later runs.
    pub fn task(&self) -> TaskSpec {
        let place = || self.path().names().map(Cow::into_owned).collect::<Vec<_>>().join(" ");
        let (name, description) = match self {
            Self::Rises { .. } => {
                (format!("raise {}", place()), format!("make the number `{}` rise", place()))
            }
            Self::Becomes { value: serde_json::Value::Bool(true), .. } => {
                (format!("bring {}", place()), format!("make `{}` true", place()))
            }
            Self::Becomes { value, .. } => {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                (format!("bring {} to {value}", place()), format!("bring `{}` to `{value}`", place()))
            }
            Self::Gains { member, .. } => {
                (format!("get {member} into {}", place()), format!("get `{member}` into `{}`", place()))
            }
        };
        TaskSpec {
            name: identifier(&name),
            description,
            parameters: Vec::new(),
            goal: self.condition(),
            achievement: true,
            episodes: None,
        }
    }
}

/// The words as a JavaScript identifier: `bring door to open` becomes `bring_door_to_open`.
pub fn identifier(words: &str) -> String {
    let mut name = String::new();
    for c in words.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    name.truncate(NAME);
    let name = name.trim_end_matches('_');
    let name =
        if name.starts_with(|c: char| c.is_ascii_digit()) { format!("do_{name}") } else { name.to_owned() };
    match name.as_str() {
        "" => "reach_it".to_owned(),
        word if RESERVED.contains(&word) => format!("{word}_"),
        _ => name,
    }
}
