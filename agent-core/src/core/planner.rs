//! Goal decomposition by code: totals, missing ingredients and the order of steps, from documented recipes.
//!
//! GITM (arXiv 2305.17144, section 3.2) decomposes a goal into (object, count, material, tool) with a language model. Small
//! models do not add, so here code does the arithmetic, and the model reads one plan line (`prompts/plan.rs`).

use super::prompts::{Words, WorldText, plan};
use crate::config::CORE_RULES;
use serde_json::Value;
use sojourn_primitives::JsonPointer;
use sojourn_tools::{Condition, EnvironmentSpec, ParameterKind, Recipe, TaskSpec};
use std::collections::{BTreeMap, BTreeSet};

/// The knowledge of one environment, indexed for planning.
///
/// Items are counted at `/inventory/<item>` of the observation's state, unless a recipe says where else.
#[derive(Debug, Clone)]
pub struct Planner {
    tasks: BTreeMap<String, TaskSpec>,
    /// The tasks' places in the environment's list.
    places: BTreeMap<String, usize>,
    recipes: BTreeMap<String, Recipe>,
    /// The task that provides an item or a thing.
    providers: BTreeMap<String, String>,
    /// Where the state counts items.
    held_at: JsonPointer,
    /// The world's words in the lines that are made of this knowledge.
    words: Words,
    /// How prompts show the world's texts.
    world_text: WorldText,
    /// The version of the rules by which the core decides.
    rules: u32,
}

/// The number needed of one item, and what each part of it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// The item.
    pub item: String,
    /// Number in all.
    pub count: u32,
    /// Parts with their purpose: 2, "for the bench".
    pub uses: Vec<(u32, String)>,
}

impl Planner {
    /// Indexes what the environment documents.
    pub fn new(spec: &EnvironmentSpec) -> Self {
        Self::by_rules(spec, CORE_RULES)
    }

    /// Indexes what the environment documents, for a core that decides by these rules.
    pub(in crate::core) fn by_rules(spec: &EnvironmentSpec, rules: u32) -> Self {
        let tasks = spec.tasks.iter().map(|task| (task.name.clone(), task.clone())).collect();
        let places = spec.tasks.iter().enumerate().map(|(place, task)| (task.name.clone(), place)).collect();
        let recipes: BTreeMap<_, _> =
            spec.recipes.iter().map(|recipe| (recipe.task.clone(), recipe.clone())).collect();
        let mut providers = BTreeMap::new();
        for recipe in &spec.recipes {
            for made in &recipe.provides {
                providers.entry(made.item.clone()).or_insert_with(|| recipe.task.clone());
            }
        }
        let held_at = spec.recipes.iter().find_map(|recipe| recipe.held_at.clone());
        let held_at = held_at.unwrap_or_else(|| JsonPointer::of(["inventory"]));
        Self {
            tasks,
            places,
            recipes,
            providers,
            held_at,
            words: Words::of(spec),
            world_text: WorldText::of(spec),
            rules,
        }
    }

    /// Quotes the world's texts from now on where `spec` says so.
    pub(in crate::core) fn quote(&mut self, spec: &EnvironmentSpec) {
        self.words = Words::of(spec);
        self.world_text = WorldText::of(spec);
    }

    /// The version of the rules by which the core decides.
    pub(in crate::core) fn rules(&self) -> u32 {
        self.rules
    }

    /// The world's words in prompts.
    pub(in crate::core) fn words(&self) -> &Words {
        &self.words
    }

    /// How prompts show the world's texts.
    pub(in crate::core) fn world_text(&self) -> WorldText {
        self.world_text
    }

    /// How the task is done, if the world documents it.
    pub(in crate::core) fn recipe(&self, task: &str) -> Option<&Recipe> {
        self.recipes.get(task)
    }

    /// The task of that name.
    pub fn task(&self, name: &str) -> Option<&TaskSpec> {
        self.tasks.get(name)
    }

    /// The task's place in the environment's list.
    pub(in crate::core) fn place(&self, task: &str) -> usize {
        self.places.get(task).copied().unwrap_or(usize::MAX)
    }

    /// All tasks, by name.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskSpec> {
        self.tasks.values()
    }

    /// The task that provides `item`.
    pub fn provider(&self, item: &str) -> Option<&str> {
        self.providers.get(item).map(String::as_str)
    }

    /// The direct prerequisites of `task`: the tasks that provide its ingredients, its tools and the things nearby.
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

    /// All prerequisites of `task`, each after its own.
    ///
    /// A world documents chains of any length, so nothing here recurses.
    pub fn closure(&self, task: &str) -> Vec<String> {
        let mut order = Vec::new();
        let mut visited = BTreeSet::from([task.to_owned()]);
        let mut path = vec![(task.to_owned(), self.prerequisites(task).into_iter())];
        while let Some((_, left)) = path.last_mut() {
            match left.next() {
                Some(prerequisite) => {
                    if visited.insert(prerequisite.clone()) {
                        let own = self.prerequisites(&prerequisite).into_iter();
                        path.push((prerequisite, own));
                    }
                }
                None => order.extend(path.pop().map(|(done, _)| done)),
            }
        }
        // The task itself is done last.
        order.pop();
        order
    }

    /// Counters, as sorted JSON pointers, that a skill for `task` should leave alone: of things that use up ingredients and
    /// are neither in `goal` nor made by a prerequisite. Gathering too much is not counted: it costs nothing.
    pub fn unrelated(&self, task: &str, goal: &Condition) -> Vec<JsonPointer> {
        let costly = self.recipes.values().filter(|recipe| !recipe.consumes.is_empty());
        let mut counters: BTreeSet<JsonPointer> =
            costly.flat_map(|recipe| self.counters(&recipe.task)).collect();
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

    /// Whether recipes name a thing of this kind as one to act on or to have nearby.
    pub(in crate::core) fn is_thing(&self, name: &str) -> bool {
        self.recipes.values().any(|recipe| {
            recipe.target.as_deref() == Some(name) || recipe.nearby.iter().any(|thing| thing == name)
        })
    }

    /// Counters of what `task` provides.
    fn counters(&self, task: &str) -> BTreeSet<JsonPointer> {
        let learned = self.recipes.get(task).is_some_and(|recipe| recipe.evidence.is_some());
        let counts = |goal: &Condition| !learned || matches!(goal, Condition::Increased { .. });
        // What a learned recipe brings about need not be a number, and a list changes as one walks.
        let goal = self.tasks.get(task).map(|task| &task.goal).filter(|goal| counts(goal));
        let goal = goal.map(Condition::paths).unwrap_or_default();
        let made = self.recipes.get(task).map(|recipe| recipe.provides.as_slice()).unwrap_or_default();
        let items = made.iter().map(|made| self.held_at(&made.item));
        goal.into_iter().cloned().chain(items).collect()
    }

    /// The tasks that must run before `task` can start in `state`: the providers of lasting tools that are not held, in
    /// order. A skill gathers missing ingredients itself.
    pub fn missing_tools(&self, task: &str, state: &Value) -> Vec<String> {
        enum Step<'a> {
            /// Finds the tools that this task needs.
            Visit(&'a str),
            /// This task provides a tool, and what it needs was found.
            Needed(&'a str),
        }
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        let mut listed = BTreeSet::new();
        let mut steps = vec![Step::Visit(task)];
        while let Some(step) = steps.pop() {
            let task = match step {
                Step::Visit(task) => task,
                Step::Needed(provider) => {
                    if listed.insert(provider) {
                        order.push(provider.to_owned());
                    }
                    continue;
                }
            };
            if !seen.insert(task) {
                continue;
            }
            let Some(recipe) = self.recipes.get(task) else { continue };
            let tools = recipe.tools.iter().filter(|item| self.held(state, item) == 0);
            let tools = tools.filter_map(|item| self.provider(item));
            // The ingredients' own providers may need tools as well.
            let ingredients = recipe.consumes.iter().map(|i| &i.item).chain(&recipe.nearby);
            let ingredients = ingredients.filter_map(|item| self.provider(item));
            let begun = steps.len();
            steps.extend(tools.flat_map(|provider| [Step::Visit(provider), Step::Needed(provider)]));
            steps.extend(ingredients.map(Step::Visit));
            steps[begun..].reverse();
        }
        // A world may document that a thing is needed to make it.
        order.retain(|needed| needed != task);
        order
    }

    /// The items needed for `task` in all, with their purposes: its own ingredients and those of the things nearby. What is made
    /// of another of them comes before it: made afterwards it would use up what was collected.
    pub fn totals(&self, task: &str) -> Vec<Total> {
        let Some(recipe) = self.recipes.get(task) else { return Vec::new() };
        let mut totals: Vec<Total> = Vec::new();
        for thing in &recipe.nearby {
            if let Some(placing) = self.providers.get(thing).and_then(|task| self.recipes.get(task)) {
                let purpose = plan::for_thing(&self.world_text.name(thing));
                for i in &placing.consumes {
                    add(&mut totals, &i.item, i.count, &purpose);
                }
            }
        }
        let purpose = plan::for_itself();
        for i in &recipe.consumes {
            add(&mut totals, &i.item, i.count, &purpose);
        }
        self.as_made(totals, |total| &total.item)
    }

    /// The items, those first that are made of others among them.
    pub(in crate::core) fn as_made<T>(&self, mut items: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
        if self.rules < 8 || items.len() < 2 {
            return items;
        }
        let mut uses: Vec<BTreeSet<&str>> = items.iter().map(|item| self.uses_up(name(item))).collect();
        let mut ordered = Vec::with_capacity(items.len());
        while !items.is_empty() {
            let is_used = |item: &T| uses.iter().any(|uses| uses.contains(name(item)));
            // Items that are made of each other keep their places.
            let next = items.iter().position(|item| !is_used(item)).unwrap_or(0);
            uses.remove(next);
            ordered.push(items.remove(next));
        }
        ordered
    }

    /// The other items that are used up where this one is made, ingredients of ingredients and of things nearby among them.
    fn uses_up(&self, item: &str) -> BTreeSet<&str> {
        let mut used = BTreeSet::new();
        let mut open: Vec<&str> = self.provider(item).into_iter().collect();
        while let Some(recipe) = open.pop().and_then(|task| self.recipes.get(task)) {
            let parts = recipe.consumes.iter().map(|part| &part.item).chain(&recipe.nearby);
            for part in parts.filter(|part| part.as_str() != item) {
                if used.insert(part.as_str()) {
                    open.extend(self.provider(part));
                }
            }
        }
        used
    }

    /// Where the state counts an item.
    pub(in crate::core) fn held_at(&self, item: &str) -> JsonPointer {
        self.held_at.join(item)
    }

    /// The number of an item that is held.
    pub fn held(&self, state: &Value, item: &str) -> u64 {
        self.held_at(item).find(state).and_then(Value::as_u64).unwrap_or(0)
    }

    /// The name of the parameter that says how many, if the task has one.
    pub fn count_parameter<'a>(&self, task: &'a TaskSpec) -> Option<&'a str> {
        let is_count = |kind: &ParameterKind| matches!(kind, ParameterKind::Integer { .. });
        task.parameters.iter().find(|p| is_count(&p.kind)).map(|p| p.name.as_str())
    }
}

fn add(totals: &mut Vec<Total>, item: &str, count: u32, what: &str) {
    match totals.iter_mut().find(|total| total.item == item) {
        Some(total) => {
            total.count = total.count.saturating_add(count);
            total.uses.push((count, what.to_owned()));
        }
        None => totals.push(Total { item: item.to_owned(), count, uses: vec![(count, what.to_owned())] }),
    }
}
