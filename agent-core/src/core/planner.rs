//! Goal decomposition by code: totals, missing ingredients and the order of steps, from documented recipes.
//!
//! GITM (arXiv 2305.17144, section 3.2) decomposes a goal into (object, count, material, tool) with a language
//! model; small models do not add, so here the arithmetic is done by code and the model reads one plan line.

use serde_json::Value;
use sojourn_tools::{Condition, EnvironmentSpec, ParameterKind, Recipe, TaskSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The knowledge of one environment, indexed for planning.
///
/// Items are counted at `/inventory/<item>` of the observation's state.
#[derive(Debug, Clone)]
pub struct Planner {
    tasks: BTreeMap<String, TaskSpec>,
    recipes: BTreeMap<String, Recipe>,
    /// Which task brings an item or a thing about.
    providers: BTreeMap<String, String>,
}

/// So many of one item, and what each part of it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// The item.
    pub item: String,
    /// How many in all.
    pub count: u32,
    /// How many for which use: "2 for the table".
    pub uses: Vec<(u32, String)>,
}

impl Planner {
    /// Indexes what the environment documents.
    pub fn new(spec: &EnvironmentSpec) -> Self {
        let tasks = spec.tasks.iter().map(|task| (task.name.clone(), task.clone())).collect();
        let recipes: BTreeMap<_, _> =
            spec.recipes.iter().map(|recipe| (recipe.task.clone(), recipe.clone())).collect();
        let mut providers = BTreeMap::new();
        for recipe in &spec.recipes {
            for made in &recipe.provides {
                providers.entry(made.item.clone()).or_insert_with(|| recipe.task.clone());
            }
        }
        Self { tasks, recipes, providers }
    }

    /// The task of that name.
    pub fn task(&self, name: &str) -> Option<&TaskSpec> {
        self.tasks.get(name)
    }

    /// All tasks, by name.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskSpec> {
        self.tasks.values()
    }

    /// The task that brings `item` about.
    pub fn provider(&self, item: &str) -> Option<&str> {
        self.providers.get(item).map(String::as_str)
    }

    /// The tasks that `task` rests on directly: those that provide its ingredients, tools and surroundings.
    pub fn prerequisites(&self, task: &str) -> BTreeSet<String> {
        let Some(recipe) = self.recipes.get(task) else { return BTreeSet::new() };
        let consumed = recipe.consumes.iter().map(|ingredient| &ingredient.item);
        consumed
            .chain(&recipe.tools)
            .chain(&recipe.nearby)
            .filter_map(|item| self.providers.get(item))
            .filter(|provider| provider.as_str() != task)
            .cloned()
            .collect()
    }

    /// All tasks that `task` rests on, each after those it rests on itself.
    pub fn closure(&self, task: &str) -> Vec<String> {
        let mut order = Vec::new();
        let mut visiting = BTreeSet::from([task.to_owned()]);
        self.visit(task, &mut visiting, &mut order);
        order
    }

    fn visit(&self, task: &str, visiting: &mut BTreeSet<String>, order: &mut Vec<String>) {
        for prerequisite in self.prerequisites(task) {
            if visiting.insert(prerequisite.clone()) {
                self.visit(&prerequisite, visiting, order);
                order.push(prerequisite);
            }
        }
    }

    /// Counters of what is made by using something up and has nothing to do with reaching `goal` for `task`: it does
    /// not rest on them. What is only gathered on the way is no loss. JSON pointers, sorted.
    pub fn unrelated(&self, task: &str, goal: &Condition) -> Vec<String> {
        let costly = self.recipes.values().filter(|recipe| !recipe.consumes.is_empty());
        let mut counters: BTreeSet<String> = costly.flat_map(|recipe| self.counters(&recipe.task)).collect();
        for name in self.closure(task).iter().map(String::as_str).chain([task]) {
            for counter in self.counters(name) {
                counters.remove(&counter);
            }
        }
        for path in goal.paths() {
            counters.remove(path);
        }
        counters.into_iter().collect()
    }

    /// Counters of what `task` brings about.
    fn counters(&self, task: &str) -> BTreeSet<String> {
        let goal = self.tasks.get(task).map(|task| task.goal.paths()).unwrap_or_default();
        let made = self.recipes.get(task).map(|recipe| recipe.provides.as_slice()).unwrap_or_default();
        let items = made.iter().map(|made| format!("/inventory/{}", made.item));
        goal.into_iter().map(str::to_owned).chain(items).collect()
    }

    /// What has to be held or done before `task` can start in `state`: the tasks that provide lasting tools
    /// which are not there yet, in order. Ingredients are left to the skill, which tops them up itself.
    pub fn missing_tools(&self, task: &str, state: &Value) -> Vec<String> {
        let mut order = Vec::new();
        self.tools_of(task, state, &mut BTreeSet::new(), &mut order);
        order
    }

    fn tools_of(&self, task: &str, state: &Value, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
        if !seen.insert(task.to_owned()) {
            return;
        }
        let Some(recipe) = self.recipes.get(task) else { return };
        for item in &recipe.tools {
            if held(state, item) == 0
                && let Some(provider) = self.providers.get(item)
            {
                self.tools_of(provider, state, seen, order);
                if !order.contains(provider) {
                    order.push(provider.clone());
                }
            }
        }
        // The ingredients' own providers may need tools as well: stone needs a pickaxe.
        let ingredients = recipe.consumes.iter().map(|i| &i.item).chain(&recipe.nearby);
        for provider in ingredients.filter_map(|item| self.providers.get(item)) {
            self.tools_of(provider, state, seen, order);
        }
    }

    /// The items that have to be gathered for `task` in all, with what each is for: its own ingredients and
    /// those of the things that must stand nearby.
    pub fn totals(&self, task: &str) -> Vec<Total> {
        let Some(recipe) = self.recipes.get(task) else { return Vec::new() };
        let mut totals: Vec<Total> = Vec::new();
        for thing in &recipe.nearby {
            if let Some(placing) = self.providers.get(thing).and_then(|task| self.recipes.get(task)) {
                let what = format!("for the {thing}");
                for i in &placing.consumes {
                    add(&mut totals, &i.item, i.count, &what);
                }
            }
        }
        for i in &recipe.consumes {
            add(&mut totals, &i.item, i.count, "to make it");
        }
        totals
    }

    /// What the task needs, in one line, as the documentation says it.
    pub fn requirements(&self, task: &str) -> Option<String> {
        let recipe = self.recipes.get(task)?;
        let mut needs = Vec::new();
        if !recipe.tools.is_empty() {
            needs.push(format!("{} in the inventory", list(recipe.tools.iter().map(|t| article(t)))));
        }
        if !recipe.consumes.is_empty() {
            let items = list(recipe.consumes.iter().map(|i| format!("{} {}", i.count, i.item)));
            needs.push(format!("{items} in the inventory (used up)"));
        }
        if !recipe.nearby.is_empty() {
            needs.push(format!("{} next to you", list(recipe.nearby.iter().map(|t| article(t)))));
        }
        if let Some(target) = &recipe.target {
            needs.push(format!("{} in front of you", article(target)));
        }
        let mut line = if needs.is_empty() {
            format!("{} needs nothing.", recipe.call)
        } else {
            format!("{} needs {}.", recipe.call, list(needs.into_iter()))
        };
        if recipe.target.is_some() && !recipe.provides.is_empty() {
            let gives = list(recipe.provides.iter().map(|i| format!("{} {}", i.count, i.item)));
            let _ = write!(line, " It gives {gives}.");
        }
        if let Some(note) = &recipe.note {
            line.push(' ');
            line.push_str(note);
        }
        Some(line)
    }

    /// The plan in one line, totals computed: "collect until you have 3 wood (2 for the table, 1 to make it); then …".
    pub fn plan_line(&self, task: &str) -> Option<String> {
        let recipe = self.recipes.get(task)?;
        let spec = self.tasks.get(task)?;
        if let Some(target) = &recipe.target {
            let until = match (self.count_parameter(spec), recipe.provides.first()) {
                (Some(n), Some(made)) => format!("until you have {n} more {}", made.item),
                _ => format!("until {}", reached(spec)),
            };
            let call = &recipe.call;
            return Some(format!(
                "repeat (find {} and then {call}; look further when there is none) {until}.",
                article(target)
            ));
        }
        let totals = self.totals(task);
        let mut calls: Vec<String> = recipe
            .nearby
            .iter()
            .filter_map(|thing| Some(format!("{}()", self.providers.get(thing)?)))
            .collect();
        calls.push(recipe.call.clone());
        let calls = calls.join("; ");
        if totals.is_empty() {
            return Some(format!("repeat {calls} until {}.", reached(spec)));
        }
        let parts = totals.iter().map(|total| match total.uses.as_slice() {
            [_] => format!("{} {}", total.count, total.item),
            uses => {
                let uses: Vec<String> = uses.iter().map(|(count, what)| format!("{count} {what}")).collect();
                format!("{} {} ({})", total.count, total.item, uses.join(", "))
            }
        });
        Some(format!("collect until you have {}; then {calls}.", list(parts)))
    }

    /// The name of the parameter that says how many, if the task has one.
    pub fn count_parameter<'a>(&self, task: &'a TaskSpec) -> Option<&'a str> {
        let is_count = |kind: &ParameterKind| matches!(kind, ParameterKind::Integer { .. });
        task.parameters.iter().find(|p| is_count(&p.kind)).map(|p| p.name.as_str())
    }
}

/// How many of `item` the state says are held.
pub fn held(state: &Value, item: &str) -> u64 {
    state.pointer("/inventory").and_then(|inventory| inventory.get(item)).and_then(Value::as_u64).unwrap_or(0)
}

/// How a program sees that the task is done: `observe().achievements.eat_cow has grown`.
fn reached(task: &TaskSpec) -> String {
    match &task.goal {
        Condition::Increased { path, .. } => {
            format!("observe(){} has grown", path.replace('/', "."))
        }
        _ => format!("it is done: {}", task.description),
    }
}

fn add(totals: &mut Vec<Total>, item: &str, count: u32, what: &str) {
    match totals.iter_mut().find(|total| total.item == item) {
        Some(total) => {
            total.count += count;
            total.uses.push((count, what.to_owned()));
        }
        None => totals.push(Total { item: item.to_owned(), count, uses: vec![(count, what.to_owned())] }),
    }
}

fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    }
}
