//! From the trials of candidates to the library, or to a causal note.

use super::{Author, Draft};
use crate::core::Core;
use crate::core::prompts::{memories, notes};
use crate::model::{CandidateTrial, Effect, LessonKind, Milestone};
use serde_json::Map;
use sojourn_skills::{Candidate, Compiled, Draft as SkillDraft, Kind, LibraryEvent, Origin, Skill, best_of};
use sojourn_tools::TaskSpec;

/// Importance, from 1 to 10, of the memory that a skill was learned.
const LEARNED: f32 = 5.0;

impl Core {
    /// Admits the best candidate that passed. Where none did, the controller writes: for the first time after an exploration,
    /// otherwise in the next round, with a causal note.
    pub(in crate::core) fn tried(&mut self, mut draft: Draft, trials: &[CandidateTrial]) -> Vec<Effect> {
        // A skill that is admitted, a note and a lesson carry on what the trials were told.
        if trials.iter().any(|trial| trial.untrusted) {
            self.consultations.taint();
        }
        let Some(task) = self.planner.task(&draft.task).cloned() else { return self.decide() };
        let candidates: Vec<Candidate<'_>> = draft
            .candidates
            .iter()
            .zip(trials)
            .enumerate()
            .map(|(place, (source, trial))| Candidate {
                preference: match draft.author {
                    Author::Recipe => place,
                    Author::Exploration { .. } | Author::Controller => source.len(),
                },
                report: &trial.report,
            })
            .collect();
        for best in best_first(&candidates) {
            if self.config.actor.admission.judge(&trials[best].report).admitted
                && let Some(effects) = self.admit(&draft, &task, best, &trials[best])
            {
                return effects;
            }
        }
        // Where the controller wrote none of them, a note about them would teach it nothing.
        match draft.author {
            Author::Exploration { .. } | Author::Recipe => return self.follow_recipe(draft),
            Author::Controller => {}
        }
        draft.promising |= trials.iter().any(|trial| trial.report.passes() > 0);
        // The note is about the candidate that came closest.
        let closest = best_of(&candidates).and_then(|closest| trials.get(closest)).or(trials.first());
        let note = closest.map(|trial| match regressions(trial) {
            (0, _) => notes::causal_note(&self.planner, &task, trial, self.spec.question.as_ref()),
            (failed, cases) => notes::regressed(&draft.task, failed, cases),
        });
        self.next_round(draft, note)
    }

    /// Puts the candidate into the library; `None` where the library refuses it.
    fn admit(
        &mut self,
        draft: &Draft,
        task: &TaskSpec,
        best: usize,
        trial: &CandidateTrial,
    ) -> Option<Vec<Effect>> {
        let wasm = trial.wasm.clone()?;
        let skill = self.skill(draft, task, draft.candidates.get(best)?.clone(), wasm.0);
        let id = skill.manifest.id.clone();
        let mut report = trial.report.clone();
        report.prerequisites = self.library.prerequisites(&skill.manifest.calls);
        let rule = self.config.actor.admission;
        let mut changes = Vec::new();
        if self.library.entry(&id).is_none() {
            changes.push(LibraryEvent::Drafted { skill: Box::new(skill) });
            changes.push(LibraryEvent::TrialStarted { id: id.clone() });
        }
        changes.push(LibraryEvent::Admitted { id, report, rule });
        let mut library = self.library.clone();
        for change in &changes {
            library.apply(change).ok()?;
        }
        self.library = library;
        self.news = true;
        self.totals.taught += u64::from(draft.taught && matches!(draft.author, Author::Controller));
        self.curriculum.learned(&task.name);
        self.demoted.remove(&task.name);

        let mut effects: Vec<Effect> =
            changes.into_iter().map(|change| Effect::ChangeLibrary { change }).collect();
        effects.push(Effect::ReportMilestone {
            milestone: Milestone::SkillAdmitted {
                skill: task.name.clone(),
                verified: (trial.report.passes(), trial.report.worlds.len()),
                steps: trial.report.mean_steps().unwrap_or(0.0),
                rounds: match draft.author {
                    Author::Exploration { .. } | Author::Recipe => 0,
                    Author::Controller => draft.round + 1,
                },
            },
        });
        if self.config.memory {
            let text = memories::learned_skill(task);
            effects.push(self.remember(text, LessonKind::Episode, LEARNED));
        }
        effects.extend(self.merge(&task.name, trial));
        effects.extend(self.credit(true));
        if task.achievement && !self.episode.done.contains(&task.name) {
            self.plan(&task.name.clone(), Map::new());
        }
        effects.extend(self.decide());
        Some(effects)
    }

    /// The candidate as the library keeps it.
    fn skill(&self, draft: &Draft, task: &TaskSpec, source: String, wasm: Vec<u8>) -> Skill {
        let run = self.origin.run.to_string();
        let skill_draft = SkillDraft {
            name: task.name.clone(),
            description: task.description.clone(),
            parameters: task.parameters.clone(),
            precondition: None,
            postcondition: Some(task.goal.clone()),
            origin: match draft.author {
                Author::Exploration { .. } => Origin::Exploration { run, seq: self.explorations },
                Author::Recipe => Origin::Recipe { run },
                Author::Controller => {
                    Origin::Model { model: self.author(draft.taught), run, seq: self.requests }
                }
            },
            kind: Kind::Skill,
            environment: self.spec.name.clone(),
            created_ms: u64::try_from(self.now_ms).unwrap_or(0),
            source,
        };
        let compiled = Compiled { engine: self.origin.engine.clone(), wasm };
        let tools = self.spec.tools.iter().map(|tool| tool.name.as_str());
        let tools = tools.chain(draft.tools.iter().map(String::as_str));
        let skill = self.library.prepare(skill_draft, compiled, tools);
        let skill = self.addressed(skill).made_from_outside(self.tainted());
        match self.version_to_repair(&task.name).map(|entry| entry.id().clone()) {
            Some(repaired) if repaired != skill.manifest.id => skill.repairing(&repaired),
            _ => skill,
        }
    }
}

impl Core {
    /// The model that writes: the teacher's, or the controller's.
    pub(in crate::core) fn author(&self, taught: bool) -> String {
        let teacher = self.config.teacher.as_ref().filter(|_| taught);
        teacher.map_or(&self.origin.model, |teacher| &teacher.model).clone()
    }

    /// The skill under an address that no other environment's skill has.
    pub(in crate::core) fn addressed(&self, skill: Skill) -> Skill {
        if self.config.rules >= 5 { self.library.with_own_address(skill) } else { skill }
    }
}

/// The positions of the candidates that may be admitted, the best first.
fn best_first(candidates: &[Candidate<'_>]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..candidates.len()).collect();
    let mut order = Vec::new();
    loop {
        let rest: Vec<Candidate<'_>> = left.iter().map(|&position| candidates[position]).collect();
        let Some(best) = best_of(&rest) else { return order };
        order.push(left.remove(best));
    }
}

/// How many cases of the version that it repairs a candidate fails, and how many could be started.
fn regressions(trial: &CandidateTrial) -> (usize, usize) {
    let started = trial.report.regressions.iter().filter(|result| result.reached);
    (started.clone().filter(|result| !result.passed).count(), started.count())
}
