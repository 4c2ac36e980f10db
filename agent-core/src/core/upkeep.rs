//! Keeping the library sound while it is used: counting uses, demoting bad skills, preparing repairs, testing the callers of a
//! changed skill again, and merging duplicates.

use super::prompts::notes;
use super::{Core, Phase};
use crate::model::{ActReport, Alike, CandidateTrial, Effect, Milestone, Scrutiny, SkillRetest};
use sojourn_skills::{
    Demotion, DemotionRule, Entry, IllegalEvent, LibraryEvent, SkillId, Status, TrialReport, Use,
    same_behaviour, same_source,
};
use sojourn_tools::TaskSpec;
use std::collections::BTreeMap;

/// Assumed environment steps of a skill without a trial report.
const STEPS: f64 = 50.0;

impl Core {
    /// Tasks with a skill that can be called, with the mean steps of the skill's trials. A skill is left out while one that it
    /// calls is missing.
    pub(super) fn skills(&self) -> BTreeMap<String, f64> {
        let steps = |entry: &Entry| entry.report.as_ref().and_then(TrialReport::mean_steps).unwrap_or(STEPS);
        let whole = |entry: &Entry| self.library.callees(entry).all(|c| self.library.active(c).is_some());
        let callables = self.library.callables().filter(|(_, entry)| whole(entry));
        callables.map(|(name, entry)| (name.to_owned(), steps(entry))).collect()
    }

    /// Counts the use of every skill that ran, and demotes the called one where its uses are bad enough.
    pub(super) fn count_usage(&mut self, report: &ActReport, died: bool) -> Vec<Effect> {
        let mut changes = Vec::new();
        let last = report.skills.len().saturating_sub(1);
        for (position, used) in report.skills.iter().enumerate() {
            let Some(entry) = self.library.active(&used.name) else { continue };
            let id = entry.id().clone();
            let outer = position == last;
            let error = if outer { report.error.as_ref().map(ToString::to_string) } else { None };
            let usage = Use {
                context: if outer { "task" } else { "called" }.to_owned(),
                success: used.verified,
                died: died && outer,
                steps: used.steps,
                error,
            };
            let change = LibraryEvent::Used { id, usage };
            if self.library.apply(&change).is_ok() {
                changes.push(Effect::ChangeLibrary { change });
            }
        }
        if self.learns()
            && let Some(name) = report.skills.last().map(|used| used.name.clone())
            && let Some(entry) = self.library.active(&name)
            && let Some(reason) = entry.should_demote(&DemotionRule::default())
        {
            let id = entry.id().clone();
            changes.extend(self.demote(&name, id, reason));
        }
        changes
    }

    fn demote(&mut self, name: &str, id: SkillId, reason: Demotion) -> Vec<Effect> {
        let change = LibraryEvent::Demoted { id, reason: reason.clone() };
        if self.library.apply(&change).is_err() {
            return Vec::new();
        }
        self.demoted.insert(name.to_owned(), reason);
        let milestone = Milestone::SkillDemoted { skill: name.to_owned() };
        vec![Effect::ChangeLibrary { change }, Effect::ReportMilestone { milestone }]
    }

    /// The version that a new skill of this name repairs: the latest one that was in use and was demoted.
    pub(super) fn version_to_repair(&self, name: &str) -> Option<&Entry> {
        let versions = &self.library.history(name)?.versions;
        versions.iter().rfind(|entry| entry.status == Status::Trial && entry.report.is_some())
    }

    /// The note for the first round of a repair.
    pub(super) fn repair_note(&self, name: &str) -> Option<String> {
        self.version_to_repair(name)?;
        Some(notes::given_up(self.demoted.get(name)?))
    }

    /// What the trials of candidates for `task` check besides its goal.
    pub(super) fn scrutiny(&self, task: &TaskSpec) -> Scrutiny {
        let alike = |entry: &&Entry| {
            let manifest = &entry.skill.manifest;
            // The same goal in other episodes is another promise.
            let episodes = self.planner.task(&manifest.name).and_then(|task| task.episodes);
            manifest.name != task.name
                && episodes == task.episodes
                && manifest.environment == self.spec.name
                && manifest.parameters == task.parameters
                && manifest.postcondition.as_ref() == Some(&task.goal)
                && !entry.is_reflex()
        };
        let others = self.library.all_active().filter(alike);
        Scrutiny {
            unrelated: self.planner.unrelated(&task.name, &task.goal),
            regressions: self.version_to_repair(&task.name).map(Entry::cases).unwrap_or_default(),
            alike: others
                .map(|entry| Alike { name: entry.name().to_owned(), cases: entry.cases() })
                .collect(),
        }
    }

    /// Merges a skill that was just admitted into an equivalent one, if there is one: its name becomes an alias.
    pub(super) fn merge(&mut self, name: &str, trial: &CandidateTrial) -> Vec<Effect> {
        for alike in &trial.alike {
            let (Some(one), Some(other)) = (self.library.active(name), self.library.active(&alike.name))
            else {
                continue;
            };
            let same = same_source(&one.skill, &other.skill);
            if !same && !same_behaviour(other, &alike.results) {
                continue;
            }
            let evidence = if same { Vec::new() } else { alike.results.clone() };
            let into = alike.name.clone();
            let environment = (self.config.rules >= 5).then(|| self.spec.name.clone());
            let change =
                LibraryEvent::Merged { name: name.to_owned(), into: into.clone(), evidence, environment };
            if self.library.apply(&change).is_ok() {
                let milestone = Milestone::SkillMerged { skill: name.to_owned(), into };
                return vec![Effect::ChangeLibrary { change }, Effect::ReportMilestone { milestone }];
            }
        }
        Vec::new()
    }

    /// Tests skills again whose callees are not the versions that they were tried with.
    pub(super) fn retest_callers(&mut self) -> Option<Vec<Effect>> {
        if !self.learns() || !self.config.library {
            return None;
        }
        let active = |name: &str| self.library.active(name).is_some();
        // A caller whose callee is missing waits until there is one again.
        let stale = self.library.stale().into_iter().map(|(entry, _)| entry);
        let ready = stale.filter(|entry| !entry.is_reflex() && self.library.callees(entry).all(active));
        let skills: Vec<SkillId> = ready.map(|entry| entry.id().clone()).collect();
        if skills.is_empty() {
            return None;
        }
        self.phase = Phase::Retesting { skills: skills.clone() };
        Some(vec![Effect::RetestSkills { skills }])
    }

    /// Keeps the skills that passed their cases, and demotes the others.
    pub(super) fn retested(&mut self, skills: &[SkillId], retests: &[SkillRetest]) -> Vec<Effect> {
        let mut effects = Vec::new();
        for id in skills {
            let Some(entry) = self.library.entry(id) else { continue };
            let name = entry.name().to_owned();
            let results = retests.iter().find(|retest| retest.id == *id).map(|retest| retest.results.clone());
            let results = results.unwrap_or_default();
            let passed = results.iter().filter(|result| result.passed).count();
            let failed = results.iter().filter(|result| result.reached).count() - passed;
            let callee = self.library.stale_callee(entry).unwrap_or_default().to_owned();
            let prerequisites = self.library.prerequisites(&entry.skill.manifest.calls);
            let change = LibraryEvent::Retested { id: id.clone(), results, prerequisites };
            match self.library.apply(&change) {
                Ok(()) => {
                    effects.push(Effect::ChangeLibrary { change });
                    let milestone = Milestone::SkillRetested { skill: name, passed };
                    effects.push(Effect::ReportMilestone { milestone });
                }
                Err(IllegalEvent::CaseFailed { .. }) if failed > 0 => {
                    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
                    let reason = Demotion::Regressed { failed: count(failed), cases: count(passed + failed) };
                    effects.extend(self.demote(&name, id.clone(), reason));
                }
                Err(_) => effects.extend(self.demote(&name, id.clone(), Demotion::Stale { name: callee })),
            }
        }
        effects.extend(self.decide());
        effects
    }
}
