//! Beliefs about a world: rules with the preconditions of a call, what it consumes, and its effect.

use crate::discovery::Effect;
use serde::{Deserialize, Serialize};
use sojourn_primitives::JsonPointer;
use sojourn_tools::{
    Amount, Condition, Evidence, Ingredient, Recipe, TaskSpec, ToolCall, Waiting, as_javascript,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Rules of one world, at most.
const RULES: usize = 256;

/// Beliefs about a world.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Beliefs {
    /// Calls that this rests on.
    pub calls: u64,
    /// Episodes in which they were made.
    pub episodes: u64,
    /// What calls bring about, the best way to each effect first.
    pub rules: Vec<Rule>,
}

/// The preconditions and the effect of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What it brings about.
    pub effect: Effect,
    /// The call.
    pub call: ToolCall,
    /// What must hold before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Condition>,
    /// Numbers that fall by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<Use>,
    /// Where the number is at its largest value at first and falls by itself: how to wait until it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Calls made while the needs were met.
    pub evidence: Evidence,
    /// Environment steps that the call takes, on average.
    #[serde(default = "one")]
    pub steps: f64,
    /// Calls made while a need was not met, without the effect.
    pub unmet: u32,
    /// Whether it was contradicted: the call was made often while the needs were met, and the effect did not come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

/// A number that falls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Use {
    /// Its location.
    pub path: JsonPointer,
    /// By how much.
    pub by: f64,
}

fn one() -> f64 {
    1.0
}

impl Rule {
    /// Expected environment steps until the effect, if the call is repeated while its preconditions hold. A call that walks far and has
    /// the effect by chance takes many.
    pub fn expected_steps(&self) -> f64 {
        self.steps.max(1.0) / self.confidence()
    }

    /// Share of the calls that brought the effect about while the needs were met; smaller where there are few.
    pub fn confidence(&self) -> f64 {
        (f64::from(self.evidence.worked) + 1.0)
            / (f64::from(self.evidence.worked) + f64::from(self.evidence.failed) + 2.0)
    }

    /// The names of the items that must be held, and how many of each.
    fn items(&self, held_at: &JsonPointer) -> Vec<(String, f64)> {
        let needed = self.needs.iter().filter_map(|need| match need {
            Condition::AtLeast { path, value: Amount::Literal(value) } => {
                Some((item(path, held_at)?, *value))
            }
            _ => None,
        });
        needed.collect()
    }
}

/// The tasks and recipes that a planner takes for documented ones.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Documentation {
    /// Tasks, those first that need least.
    pub tasks: Vec<TaskSpec>,
    /// A recipe for each of them.
    pub recipes: Vec<Recipe>,
}

impl Beliefs {
    /// Rules that were not contradicted, the best one for each effect.
    pub fn best(&self) -> impl Iterator<Item = &Rule> {
        let mut known = BTreeSet::new();
        self.rules.iter().filter(|rule| !rule.closed).filter(move |rule| known.insert(rule.effect.key()))
    }

    /// Replaces rules by newer ones for the same effect and call, and orders them.
    pub(super) fn merge(&mut self, newer: Vec<Rule>) {
        for rule in newer {
            let same = |old: &&mut Rule| old.effect.key() == rule.effect.key() && old.call == rule.call;
            match self.rules.iter_mut().find(same) {
                // What rests on more is kept, unless it was contradicted since.
                Some(old) if old.evidence.worked > rule.evidence.worked && !old.closed && !rule.closed => {}
                Some(old) => *old = rule,
                None => self.rules.push(rule),
            }
        }
        let rank = |rule: &Rule| {
            // Of ways that take about as long, the one that needs less.
            let doublings = rule.expected_steps().log2().round() as i64;
            (rule.closed, rule.effect.key(), doublings, rule.needs.len(), as_javascript(&rule.call))
        };
        self.rules.sort_by_cached_key(rank);
        self.rules.truncate(RULES);
    }

    /// The object that counts what is held: the one whose numbers most rules raise or use up.
    pub fn held_at(&self) -> Option<JsonPointer> {
        let mut counts: BTreeMap<JsonPointer, usize> = BTreeMap::new();
        for rule in &self.rules {
            let raised = match &rule.effect {
                Effect::Rises { path, .. } => Some(path),
                Effect::Becomes { .. } | Effect::Gains { .. } => None,
            };
            for path in raised.into_iter().chain(rule.uses.iter().map(|used| &used.path)) {
                if let Some(parent) = parent(path) {
                    *counts.entry(parent).or_default() += 1;
                }
            }
        }
        counts
            .into_iter()
            .max_by_key(|(path, count)| (*count, std::cmp::Reverse(path.clone())))
            .map(|(path, _)| path)
    }

    /// At most `most` tasks with recipes, made of the rules. Each has what it needs from another one.
    pub fn documentation(&self, most: usize) -> Documentation {
        let held_at = self.held_at().unwrap_or_default();
        let counted: BTreeSet<String> =
            self.best().filter_map(|rule| raised_item(&rule.effect, &held_at)).collect();
        let made: BTreeSet<&str> = self.best().filter_map(|rule| gained(&rule.effect)).collect();
        let mut rules: Vec<&Rule> = self.best().collect();
        // What needs something that nothing provides cannot be done.
        loop {
            let before = rules.len();
            let provided: BTreeSet<String> =
                rules.iter().filter_map(|rule| raised_item(&rule.effect, &held_at)).collect();
            rules.retain(|rule| rule.items(&held_at).iter().all(|(item, _)| provided.contains(item)));
            if rules.len() == before {
                break;
            }
        }
        let mut found = Documentation::default();
        let mut names = BTreeSet::new();
        let mut done: BTreeSet<String> = BTreeSet::new();
        // Those first whose needs earlier ones provide.
        while !rules.is_empty() && found.tasks.len() < most {
            let ready = |rule: &&Rule| rule.items(&held_at).iter().all(|(item, _)| done.contains(item));
            let at = rules.iter().position(ready).unwrap_or(0);
            let rule = rules.remove(at);
            done.extend(raised_item(&rule.effect, &held_at));
            let task = rule.effect.task();
            if !names.insert(task.name.clone()) {
                continue;
            }
            found.recipes.push(rule.recipe(&task.name, &held_at, &counted, &made));
            found.tasks.push(task);
        }
        found
    }
}

impl Rule {
    fn recipe(
        &self,
        task: &str,
        held_at: &JsonPointer,
        counted: &BTreeSet<String>,
        made: &BTreeSet<&str>,
    ) -> Recipe {
        let consumes: Vec<Ingredient> = self
            .uses
            .iter()
            .filter_map(|used| {
                Some(Ingredient { item: item(&used.path, held_at)?, count: used.by.ceil() as u32 })
            })
            .collect();
        let is_consumed = |item: &String| consumes.iter().any(|ingredient| ingredient.item == *item);
        let tools =
            self.items(held_at).into_iter().map(|(item, _)| item).filter(|item| !is_consumed(item)).collect();
        let mut recipe = Recipe {
            task: task.to_owned(),
            call: as_javascript(&self.call),
            tools,
            evidence: Some(self.evidence),
            waiting: self.waiting.clone(),
            ..Recipe::default()
        };
        if let Effect::Rises { path, .. } = &self.effect
            && let Some(item) = item(path, held_at)
        {
            recipe.provides.push(Ingredient { item, count: 1 });
        }
        if let Some(member) = gained(&self.effect)
            // Something that is there is not something that is held.
            && !counted.contains(member)
        {
            recipe.provides.push(Ingredient { item: member.to_owned(), count: 1 });
        }
        for need in &self.needs {
            match need {
                Condition::Equals { value, .. } => {
                    let text = value.as_str().map(str::to_owned);
                    recipe.target = recipe.target.take().or(text);
                }
                Condition::Contains { value, .. } => {
                    let member =
                        value.as_str().filter(|member| made.contains(member) && !counted.contains(*member));
                    recipe.nearby.extend(member.map(str::to_owned));
                }
                _ => {}
            }
        }
        if *held_at != JsonPointer::of(["inventory"]) {
            recipe.held_at = Some(held_at.clone());
        }
        recipe.consumes = consumes;
        recipe
    }
}

/// The object that a path lies in.
fn parent(path: &JsonPointer) -> Option<JsonPointer> {
    let mut names: Vec<String> = path.names().map(Cow::into_owned).collect();
    names.pop()?;
    (!names.is_empty()).then(|| JsonPointer::of(names))
}

/// The name of the item that a path counts.
fn item(path: &JsonPointer, held_at: &JsonPointer) -> Option<String> {
    (parent(path).as_ref() == Some(held_at)).then(|| path.names().last().map(Cow::into_owned))?
}

fn raised_item(effect: &Effect, held_at: &JsonPointer) -> Option<String> {
    match effect {
        Effect::Rises { path, .. } => item(path, held_at),
        Effect::Becomes { .. } | Effect::Gains { .. } => None,
    }
}

fn gained(effect: &Effect) -> Option<&str> {
    match effect {
        Effect::Gains { member, .. } => Some(member),
        Effect::Rises { .. } | Effect::Becomes { .. } => None,
    }
}
