//! The lines "Requirements" and "Plan" of a task, from what the planner computes.

use super::prompt;
use crate::core::planner::Planner;
use sojourn_tools::{Condition, Ingredient, Recipe, TaskSpec};

impl Planner {
    /// What the task needs, in one line, from the world's documentation.
    pub fn requirements(&self, task: &str) -> Option<String> {
        let recipe = self.recipe(task)?;
        let needs = self.needs(recipe);
        let mut line = if needs.is_empty() {
            prompt!("plan", "needs_nothing", call = recipe.call)
        } else {
            prompt!("plan", "needs", call = recipe.call, needs = list(needs))
        };
        if recipe.target.is_some() && !recipe.provides.is_empty() {
            line.push(' ');
            line.push_str(&prompt!(
                "plan",
                "gives",
                items = list(recipe.provides.iter().map(|made| self.counted(made)))
            ));
        }
        if let Some(note) = &recipe.note {
            line.push(' ');
            line.push_str(note);
        }
        Some(line)
    }

    fn needs(&self, recipe: &Recipe) -> Vec<String> {
        let words = self.words();
        let things = |names: &[String]| list(names.iter().map(|name| self.with_article(name)));
        let mut needs = Vec::new();
        if !recipe.tools.is_empty() {
            needs.push(prompt!("plan", "held", things = things(&recipe.tools)));
        }
        if !recipe.consumes.is_empty() {
            let used = self.as_made(recipe.consumes.iter().collect(), |used| &used.item);
            needs.push(prompt!(
                "plan",
                "used_up",
                items = list(used.into_iter().map(|used| self.counted(used)))
            ));
        }
        if !recipe.nearby.is_empty() {
            needs.push(prompt!("plan", "nearby", things = things(&recipe.nearby), nearby = words.nearby));
        }
        if let Some(target) = &recipe.target {
            needs.push(prompt!("plan", "target", target = self.with_article(target), facing = words.facing));
        }
        needs
    }

    /// The plan in one line, with computed totals: "collect until you have 3 screws (2 for the bench, 1 to make it); then …".
    pub fn plan_line(&self, task: &str) -> Option<String> {
        let recipe = self.recipe(task)?;
        let spec = self.task(task)?;
        if let Some(target) = &recipe.target {
            let goal = match (self.count_parameter(spec), recipe.provides.first()) {
                (Some(parameter), Some(made)) => {
                    prompt!(
                        "plan",
                        "count_reached",
                        parameter = parameter,
                        item = self.world_text().name(&made.item)
                    )
                }
                _ => self.reached(spec),
            };
            return Some(prompt!(
                "plan",
                "repeat_find",
                target = self.with_article(target),
                call = recipe.call,
                search = self.words().search,
                goal = goal,
            ));
        }
        let nearby = recipe.nearby.iter().filter_map(|thing| Some(format!("{}()", self.provider(thing)?)));
        let calls: Vec<String> = nearby.chain([recipe.call.clone()]).collect();
        let calls = calls.join("; ");
        let totals = self.totals(task);
        if totals.is_empty() {
            return Some(prompt!("plan", "repeat_calls", calls = calls, goal = self.reached(spec)));
        }
        let items = totals.iter().map(|total| match total.uses.as_slice() {
            [_] => prompt!("plan", "item", count = total.count, item = self.world_text().name(&total.item)),
            uses => {
                let uses: Vec<String> = uses
                    .iter()
                    .map(|(count, purpose)| prompt!("plan", "use", count = count, purpose = purpose))
                    .collect();
                prompt!(
                    "plan",
                    "item_with_uses",
                    count = total.count,
                    item = self.world_text().name(&total.item),
                    uses = uses.join(", "),
                )
            }
        });
        Some(prompt!("plan", "collect", items = list(items), calls = calls))
    }

    /// How a program sees that the task is done: `observe().counters.painted has grown`.
    fn reached(&self, task: &TaskSpec) -> String {
        if let Condition::Increased { path, .. } = &task.goal {
            prompt!("plan", "grown", property = self.world_text().property(path))
        } else {
            prompt!("plan", "done", description = task.description)
        }
    }

    fn counted(&self, ingredient: &Ingredient) -> String {
        prompt!("plan", "item", count = ingredient.count, item = self.world_text().name(&ingredient.item))
    }

    fn with_article(&self, noun: &str) -> String {
        let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
        format!("{} {}", if vowel { "an" } else { "a" }, self.world_text().name(noun))
    }
}

/// The purpose of an ingredient of the task itself.
pub(in crate::core) fn for_itself() -> String {
    prompt!("plan", "for_itself")
}

/// The purpose of an ingredient of a thing that must be nearby.
pub(in crate::core) fn for_thing(thing: &str) -> String {
    prompt!("plan", "for_thing", thing = thing)
}

/// "a, b and c".
fn list(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    }
}
