//! Keeping the library sound while it is used: counting uses, demoting what does badly, having it repaired, testing
//! again what calls a skill that changed, and merging what does the same.

use super::writing::Draft;
use super::{BTreeMap, Core, Phase};
use crate::model::{ActReport, Alike, CandidateTrial, Effect, Milestone, Scrutiny, SkillRetest};
use sojourn_skills::{
    Demotion, DemotionRule, Entry, IllegalEvent, LibraryEvent, SkillId, Status, TrialReport, Use,
    same_behaviour, same_source,
};
use sojourn_tools::TaskSpec;

/// Steps that a skill is thought to take of which no trial is known.
const STEPS: f64 = 50.0;

impl Core {
    /// Tasks with a skill that can be called, with the mean steps of its trial.
    pub(super) fn skills(&self) -> BTreeMap<String, f64> {
        let steps = |entry: &Entry| entry.report.as_ref().and_then(TrialReport::mean_steps).unwrap_or(STEPS);
        let whole = |entry: &Entry| self.library.callees(entry).all(|c| self.library.active(c).is_some());
        let callables = self.library.callables().filter(|(_, entry)| whole(entry));
        callables.map(|(name, entry)| (name.to_owned(), steps(entry))).collect()
    }

    /// Counts every skill that ran, and demotes the called one where its uses speak against it.
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
        if self.config.learning
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

    /// The version that a new skill of this name repairs: the latest that was in use and had to leave it.
    pub(super) fn repaired(&self, name: &str) -> Option<&Entry> {
        let versions = &self.library.history(name)?.versions;
        versions.iter().rfind(|entry| entry.status == Status::Trial && entry.report.is_some())
    }

    /// What a repair is told about the version before it.
    pub(super) fn complaint(&self, name: &str) -> Option<String> {
        self.repaired(name)?;
        let why = self.demoted.get(name)?;
        Some(format!("The program before this one was given up, because it {}.", plain(why)))
    }

    /// What candidates for `task` are looked at for, besides whether they do it.
    pub(super) fn scrutiny(&self, task: &TaskSpec) -> Scrutiny {
        let alike = |entry: &&Entry| {
            let manifest = &entry.skill.manifest;
            // What is promised in other episodes is not the same promise.
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
            regressions: self.repaired(&task.name).map(Entry::cases).unwrap_or_default(),
            alike: others
                .map(|entry| Alike { name: entry.name().to_owned(), cases: entry.cases() })
                .collect(),
        }
    }

    /// How many of the cases of the version that it repairs a candidate fails, and how many could be started.
    pub(super) fn regressions(trial: &CandidateTrial) -> (usize, usize) {
        let started = trial.report.regressions.iter().filter(|result| result.reached);
        (started.clone().filter(|result| !result.passed).count(), started.count())
    }

    /// Makes a skill that was just admitted another name of one that does the same, if there is one.
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
            let change = LibraryEvent::Merged { name: name.to_owned(), into: into.clone(), evidence };
            if self.library.apply(&change).is_ok() {
                let milestone = Milestone::SkillMerged { skill: name.to_owned(), into };
                return vec![Effect::ChangeLibrary { change }, Effect::ReportMilestone { milestone }];
            }
        }
        Vec::new()
    }

    /// Has the skills tested again that call a skill which is not the one they were tried with.
    pub(super) fn retest_callers(&mut self) -> Option<Vec<Effect>> {
        if !self.config.learning || !self.config.library {
            return None;
        }
        let active = |name: &str| self.library.active(name).is_some();
        // Those whose callee is gone wait until there is one again.
        let stale = self.library.stale().into_iter().map(|(entry, _)| entry);
        let ready = stale.filter(|entry| !entry.is_reflex() && self.library.callees(entry).all(active));
        let skills: Vec<SkillId> = ready.map(|entry| entry.id().clone()).collect();
        if skills.is_empty() {
            return None;
        }
        self.phase = Phase::Retesting { skills: skills.clone() };
        Some(vec![Effect::RetestSkills { skills }])
    }

    /// Keeps the skills in use that passed their cases, and demotes the others.
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

    /// What a round is told whose best candidate fails cases of the version that it repairs.
    pub(super) fn regression_note(draft: &Draft, failed: usize, cases: usize) -> String {
        format!(
            "The last program for {} failed in {failed} of {cases} worlds in which the one before it had succeeded.",
            draft.task
        )
    }
}

/// A demotion's reason as the end of a sentence that begins with "it".
fn plain(why: &Demotion) -> String {
    match why {
        Demotion::Kills { .. } => format!("is dangerous: {why}"),
        Demotion::Stale { .. } => format!("rests on what changed: {why}"),
        Demotion::Fails { .. }
        | Demotion::Wastes { .. }
        | Demotion::Regressed { .. }
        | Demotion::ByHand { .. } => why.to_string(),
    }
}
