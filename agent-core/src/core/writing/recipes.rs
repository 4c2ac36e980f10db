//! Programs that the environment's recipe of a task gives, without the controller.

use super::{Author, Draft};
use crate::core::planner::Planner;
use crate::core::{Core, Phase};
use crate::model::Effect;
use serde_json::Value;
use sojourn_primitives::JsonPointer;
use sojourn_skills::{Callable, static_check};
use sojourn_synthesis::{Batches, PlannedItem, RecipePlan, Surroundings};
use sojourn_tools::{Amount, Condition, Recipe, TaskSpec};

impl Core {
    /// Tries programs that the task's recipe gives and that were not tried yet, where the run does so; without any the
    /// controller writes.
    pub(super) fn follow_recipe(&mut self, mut draft: Draft) -> Vec<Effect> {
        let Some(task) = self.planner.task(&draft.task).cloned() else { return self.decide() };
        if self.config.rules < 4 || !self.config.actor.follow_recipes {
            return self.survey(draft);
        }
        let skills = self.callable_skills(&task.name);
        let mut callables: Vec<Callable> = self.spec.tools.iter().map(Callable::from).collect();
        callables.extend(skills.iter().cloned());
        let parameters: Vec<&str> = task.parameters.iter().map(|p| p.name.as_str()).collect();
        let is_new = |source: &String| {
            // The recipe's call is the world's text.
            !draft.tried.contains(source) && static_check(source, &task.name, &parameters, &callables).is_ok()
        };
        let plans = self.planner.recipe_plans(&task, &self.episode.observation.state);
        let batches = plans.map(|plan| plan.programs(&self.spec.tools));
        let found = batches
            .map(|sources| sources.into_iter().filter(is_new).collect::<Vec<_>>())
            .find(|sources| !sources.is_empty());
        let Some(mut sources) = found else { return self.survey(draft) };
        if self.config.rules >= 8 && !self.spec.deterministic && draft.tried.is_empty() {
            // Trials in such a world take long: the others follow where the first one fails.
            sources.truncate(1);
        }
        draft.tried.extend(sources.iter().cloned());
        draft.candidates.clone_from(&sources);
        draft.author = Author::Recipe;
        let plan = self.trial_plan(&task, sources, skills.into_iter().map(|skill| skill.name).collect());
        self.phase = Phase::Trying(draft);
        vec![Effect::TryCandidates { plan }]
    }
}

impl Planner {
    /// How the task's recipe can be followed, the better way first: with a look at what is nearby where the state lists it, and
    /// without. None where nothing documents the task, or where nothing provides what it needs.
    fn recipe_plans<'a>(&'a self, task: &'a TaskSpec, state: &Value) -> impl Iterator<Item = RecipePlan<'a>> {
        let plan = self.recipe(&task.name).and_then(|recipe| self.recipe_plan(task, recipe));
        let list =
            plan.as_ref().filter(|plan| !plan.nearby.is_empty()).and_then(|_| self.surroundings(state));
        let guarded = plan.clone().zip(list);
        let guarded = guarded.map(|(plan, shown)| RecipePlan { surroundings: Some(shown), ..plan });
        guarded.into_iter().chain(plan)
    }

    fn recipe_plan<'a>(&'a self, task: &'a TaskSpec, recipe: &'a Recipe) -> Option<RecipePlan<'a>> {
        let batches = self.batches(task, recipe);
        let item = |(item, count): (String, u32)| {
            let provider = self.provider(&item)?.to_owned();
            let counted = self.task(&provider).is_some_and(|task| self.count_parameter(task).is_some());
            let own = recipe.consumes.iter().filter(|used| used.item == item).map(|used| used.count);
            let own = batches.as_ref().map_or(0, |_| own.fold(0, u32::saturating_add).min(count));
            let batches = batches.clone().filter(|_| own > 0).map(|batches| (own, batches));
            Some(PlannedItem { held: self.held_at(&item), count: count - own, batches, provider, counted })
        };
        let totals = self.totals(&task.name).into_iter().map(|total| (total.item, total.count));
        let items = totals.map(item).collect::<Option<Vec<_>>>()?;
        let target = recipe.target.as_deref();
        let nearby = recipe
            .nearby
            .iter()
            .filter(|thing| Some(thing.as_str()) != target && !self.comes_with_another(thing, &recipe.nearby))
            .map(|thing| Some((thing.clone(), self.provider(thing)?.to_owned())))
            .collect::<Option<Vec<_>>>()?;
        // What lies in the ground has the name of what is collected there.
        let target_provider =
            target.and_then(|target| self.provider(target)).filter(|provider| *provider != task.name);
        Some(RecipePlan {
            task,
            call: &recipe.call,
            target,
            target_provider: target_provider.map(str::to_owned),
            items,
            nearby,
            surroundings: None,
            finders_in_turn: self.rules() >= 8,
            turning: self.rules() >= 9,
        })
    }

    /// How often the recipe's call uses its ingredients, where the call takes the number that the task asks for.
    fn batches(&self, task: &TaskSpec, recipe: &Recipe) -> Option<Batches> {
        let Condition::Increased { path, by: Amount::Param(parameter), .. } = &task.goal else { return None };
        let made = recipe.provides.iter().find(|made| self.held_at(&made.item) == *path)?.count;
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '"' | '$');
        let takes = recipe.call.split(|c| !is_word(c)).skip(1).any(|word| word == parameter);
        (self.rules() >= 8 && takes && made > 0).then(|| Batches { parameter: parameter.clone(), made })
    }

    /// Whether the provider of another of the things sees to it that `thing` is nearby.
    fn comes_with_another(&self, thing: &String, things: &[String]) -> bool {
        things.iter().filter(|other| *other != thing).any(|other| {
            let providing = self.provider(other).and_then(|task| self.recipe(task));
            providing.is_some_and(|recipe| recipe.nearby.contains(thing))
        })
    }

    /// Where the state says which things of recipes are nearby: a list of texts that names them, or an object with a boolean for each.
    fn surroundings(&self, state: &Value) -> Option<Surroundings> {
        let is_thing = |value: &Value| value.as_str().is_some_and(|text| self.is_thing(text));
        let fields = || state.as_object().into_iter().flatten();
        let mut lists = fields()
            .filter(|(_, value)| value.as_array().is_some_and(|members| members.iter().any(is_thing)));
        if let Some((name, _)) = lists.next() {
            return Some(Surroundings::List(JsonPointer::of([name])));
        }
        let flags = |value: &Value| {
            value.as_object().is_some_and(|flags| {
                flags.values().all(Value::is_boolean) && flags.keys().any(|name| self.is_thing(name))
            })
        };
        let mut objects = fields().filter(|(_, value)| self.rules() >= 8 && flags(value));
        objects.next().map(|(name, _)| Surroundings::Flags(JsonPointer::of([name])))
    }
}
