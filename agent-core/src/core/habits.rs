//! What habits are made of: numbers that fall by themselves, signs of danger, and things that can be put down.

use super::Core;
use crate::model::{ActReport, Moment};
use serde_json::Value;
use sojourn_primitives::JsonPointer;
use sojourn_skills::{Callable, static_check};
use sojourn_synthesis::{FallingNumber, HabitPlan, Store};
use sojourn_tools::ToolCall;
use std::collections::{BTreeMap, BTreeSet};

/// Which numbers were below their first value, and which calls raised them.
#[derive(Debug, Default)]
pub(super) struct Falling {
    /// Of each number by its name: of each skill the times that it was run while the number was low, and those that raised it.
    raised: BTreeMap<String, BTreeMap<String, (u32, u32)>>,
    /// Fields that are true or false and had another value after a call than at the start of the episode.
    turned: BTreeSet<String>,
}

impl Falling {
    /// Learns from a call: `first` is the episode's first state, `before` the one before the call.
    pub(super) fn note(
        &mut self,
        first: &Value,
        before: &Value,
        report: &ActReport,
        call: &ToolCall,
        verified: bool,
    ) {
        let whole = |state: &Value, name: &str| state.get(name).and_then(Value::as_u64);
        let now = &report.observation.state;
        if report.ended.is_none() {
            let differs = |(name, was): &(&String, &Value)| was.is_boolean() && now.get(*name) != Some(*was);
            let turned = first.as_object().into_iter().flatten().filter(differs);
            self.turned.extend(turned.map(|(name, _)| name.clone()));
        }
        for (name, full) in first.as_object().into_iter().flatten() {
            let (Some(full), Some(was)) = (full.as_u64(), whole(before, name)) else { continue };
            let Some(is) = whole(now, name) else { continue };
            if was >= full || !verified {
                continue;
            }
            let skills = self.raised.entry(name.clone()).or_default();
            let (runs, raises) = skills.entry(call.name.clone()).or_default();
            *runs += 1;
            *raises += u32::from(is > was);
        }
    }

    /// Whether it is known what a skill does to a number that is low.
    fn knows(&self, name: &str, skill: &str) -> bool {
        self.raised.get(name).is_some_and(|skills| skills.contains_key(skill))
    }

    /// The skill that raised a number most reliably, if it did so in most of its runs.
    fn raiser(&self, name: &str) -> Option<&str> {
        let rate = |(runs, raises): (u32, u32)| (f64::from(raises) + 1.0) / (f64::from(runs) + 2.0);
        let skills = self.raised.get(name)?.iter().map(|(skill, counts)| (skill.as_str(), *counts));
        let raising = skills.filter(|(_, (runs, raises))| raises * 2 > *runs);
        raising.max_by(|one, other| rate(one.1).total_cmp(&rate(other.1))).map(|(skill, _)| skill)
    }
}

impl Core {
    /// Habits that can be made of what is known now, those left out that an admitted one already has.
    pub(super) fn habits_to_try(&mut self, name: &str, moments: &[Moment]) -> Vec<String> {
        self.searches += 1;
        let plan = HabitPlan { needs: self.needs(), signs: self.signs(moments), stores: self.stores() };
        let mut callables: Vec<Callable> = self.spec.tools.iter().map(Callable::from).collect();
        callables.extend(self.library.callables().map(|(_, entry)| Callable::from(&entry.skill.manifest)));
        let body = |source: &str| source.split_once('{').map(|(_, body)| body.to_owned());
        let known: Vec<_> = self.library.reflexes().iter().map(|entry| body(&entry.skill.source)).collect();
        let programs = plan.programs(name, &self.spec.tools);
        let usable = |source: &String| {
            !known.contains(&body(source)) && static_check(source, name, &[] as &[&str], &callables).is_ok()
        };
        programs.into_iter().filter(usable).collect()
    }

    /// A task whose skill has not been run yet while a number was low that no skill is known to raise: finding out is worth its steps.
    pub(super) fn experiment(&self) -> Option<String> {
        if !self.config.live_on || !self.learns() || !self.config.reflexes.as_ref().is_some_and(|r| r.search)
        {
            return None;
        }
        let state = &self.episode.observation.state;
        let first = self.episode.first.as_object()?;
        let low = first.iter().filter(|(name, full)| {
            let (full, now) = (full.as_u64().unwrap_or(0), state.get(*name).and_then(Value::as_u64));
            let is_vital = self.spec.vitals.contains(&JsonPointer::of([name.as_str()]));
            full > 0
                && !is_vital
                && now.is_some_and(|now| now * 3 <= full * 2)
                && self.falling.raiser(name).is_none()
        });
        let low: Vec<&String> = low.map(|(name, _)| name).collect();
        let skills = self.skills();
        let untried = skills.iter().filter(|(skill, _)| {
            self.planner.task(skill).is_some()
                && self.curriculum.record(skill).episode_failures == 0
                && low.iter().any(|name| !self.falling.knows(name, skill))
        });
        untried.min_by(|one, other| one.1.total_cmp(other.1)).map(|(skill, _)| skill.clone())
    }

    /// The skills that a habit may call.
    pub(super) fn habitual_skills(&self) -> Vec<String> {
        self.skills().into_keys().collect()
    }

    /// Numbers that are full at first, fall, and are raised by a skill. What kills at zero is no need of its own.
    fn needs(&self) -> Vec<FallingNumber> {
        let skills = self.skills();
        let fields = self.episode.first.as_object().into_iter().flatten();
        fields
            .filter_map(|(name, full)| {
                let shown = JsonPointer::of([name]);
                let skill = self.falling.raiser(name).filter(|skill| skills.contains_key(*skill))?;
                let full = full.as_u64().filter(|_| !self.spec.vitals.contains(&shown))?;
                Some(FallingNumber { shown, full, skill: skill.to_owned() })
            })
            .collect()
    }

    /// Fields that were true or false in the last moments, not at the start of the episode, and that calls leave so.
    fn signs(&self, moments: &[Moment]) -> Vec<(JsonPointer, bool)> {
        let Some(last) = moments.last().and_then(|moment| moment.state.as_object()) else {
            return Vec::new();
        };
        let differs = |(name, now): (&String, &Value)| {
            let now = now.as_bool()?;
            let first = self.episode.first.get(name)?.as_bool()?;
            (now != first && self.falling.turned.contains(name)).then(|| (JsonPointer::of([name]), now))
        };
        last.iter().filter_map(differs).collect()
    }

    /// Things that a recipe's call puts down at once, and that a skill brings in any number.
    fn stores(&self) -> Vec<Store> {
        let skills = self.skills();
        let mut stores: Vec<Store> = Vec::new();
        for recipe in self.planner.tasks().filter_map(|task| self.planner.recipe(&task.name)) {
            let [used] = recipe.consumes.as_slice() else { continue };
            let needs_nothing = recipe.nearby.is_empty() && recipe.tools.is_empty();
            let Some(provider) =
                self.planner.provider(&used.item).filter(|_| needs_nothing && used.count == 1)
            else {
                continue;
            };
            let counted =
                self.planner.task(provider).is_some_and(|task| self.planner.count_parameter(task).is_some());
            if counted && skills.contains_key(provider) {
                let needed = self.planner.recipe(provider).map(|recipe| recipe.tools.as_slice());
                stores.push(Store {
                    held: self.planner.held_at(&used.item),
                    call: recipe.call.clone(),
                    provider: provider.to_owned(),
                    tools: needed.unwrap_or_default().iter().map(|tool| self.planner.held_at(tool)).collect(),
                });
            }
        }
        stores
    }
}
