//! Which records have to do with a task or a skill, told while reading them in order.

use super::Body;
use sojourn_core::{Effect, Event, Milestone, StageEvent};
use sojourn_skills::{LibraryEvent, SkillId};
use std::collections::BTreeMap;

/// Where in a run the reader is.
#[derive(Debug, Default)]
pub struct Scope {
    /// The task that the agent is at, and whether it ends with this record.
    task: Option<String>,
    leaving: bool,
    /// The skill or tool that the agent runs in the episode.
    act: Option<String>,
    /// Calls that are open, outermost first.
    calls: Vec<String>,
    /// A call that ends with this record.
    returned: Option<String>,
    /// Names of skills by the ids that library events give.
    names: BTreeMap<SkillId, String>,
    /// The skill that this record is about by itself.
    about: Option<String>,
}

impl Scope {
    /// Goes on to the next record.
    pub fn enter(&mut self, body: &Body) {
        if std::mem::take(&mut self.leaving) {
            self.task = None;
        }
        self.returned = None;
        self.about = None;
        match body {
            Body::Effect(effect) => self.effect(effect),
            Body::Stage(event) => match &**event {
                StageEvent::Called { depth, call } => {
                    self.calls.truncate(*depth as usize);
                    self.calls.push(call.name.clone());
                }
                StageEvent::Returned { depth, .. } => {
                    self.calls.truncate(*depth as usize + 1);
                    self.returned = self.calls.pop();
                }
                StageEvent::Stepped(_) => {}
            },
            Body::Event(event) => match &**event {
                Event::Acted { .. } => {
                    self.about = self.act.take();
                    self.calls.clear();
                }
                Event::EpisodeStarted { .. } => {
                    self.act = None;
                    self.calls.clear();
                }
                Event::Tried { .. } => self.about.clone_from(&self.task),
                _ => {}
            },
            Body::Started(started) => {
                for entry in started.library.all_active() {
                    let manifest = &entry.skill.manifest;
                    self.names.insert(manifest.id.clone(), manifest.name.clone());
                }
            }
            Body::Granted(_) | Body::Interjection(_) | Body::Forgotten => {}
        }
    }

    /// Whether the agent is at this task.
    pub fn in_task(&self, name: &str) -> bool {
        self.task.as_deref() == Some(name)
    }

    /// Whether the record is about this skill, or happened while it ran.
    pub fn in_skill(&self, name: &str) -> bool {
        [&self.act, &self.returned, &self.about].into_iter().flatten().any(|other| other == name)
            || self.calls.iter().any(|other| other == name)
    }

    fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Act { call, .. } | Effect::UseTool { call, .. } => self.act = Some(call.name.clone()),
            Effect::Survey { task, .. } => self.about = Some(task.clone()),
            Effect::Play { plan } => self.about = Some(plan.task.clone()),
            Effect::Try { plan } => self.about = Some(plan.task.clone()),
            Effect::TryReflexes { plan } => self.about = Some(plan.name.clone()),
            Effect::Library { change } => self.about = self.skill_of(change),
            Effect::Tell { milestone } => self.milestone(milestone),
            Effect::Think { .. }
            | Effect::Retest { .. }
            | Effect::Reset { .. }
            | Effect::Recall { .. }
            | Effect::Remember { .. }
            | Effect::Consolidate { .. }
            | Effect::Credit { .. }
            | Effect::Finish { .. } => {}
        }
    }

    fn milestone(&mut self, milestone: &Milestone) {
        match milestone {
            Milestone::TaskChosen { task, .. } => self.task = Some(task.clone()),
            Milestone::TaskDone { .. } | Milestone::SkillGivenUp { .. } => self.leaving = true,
            Milestone::ReflexAdmitted { reflex, .. } => self.about = Some(reflex.clone()),
            Milestone::SkillAdmitted { skill, .. }
            | Milestone::SkillDemoted { skill }
            | Milestone::SkillMerged { skill, .. }
            | Milestone::SkillRetested { skill, .. } => {
                self.about = Some(skill.clone());
            }
            Milestone::ReflexGivenUp { .. } | Milestone::Nudged { .. } | Milestone::EpisodeEnded { .. } => {}
        }
    }

    fn skill_of(&mut self, change: &LibraryEvent) -> Option<String> {
        match change {
            LibraryEvent::Drafted { skill } => {
                let manifest = &skill.manifest;
                self.names.insert(manifest.id.clone(), manifest.name.clone());
                Some(manifest.name.clone())
            }
            LibraryEvent::RolledBack { name, .. }
            | LibraryEvent::Merged { name, .. }
            | LibraryEvent::Switched { name, .. } => Some(name.clone()),
            LibraryEvent::SetAside { event, .. } => self.skill_of(event),
            change => change.id().and_then(|id| self.names.get(id)).cloned(),
        }
    }
}

/// Whether a record says that something went wrong.
pub fn is_error(body: &Body) -> bool {
    match body {
        Body::Started(_) | Body::Interjection(_) | Body::Forgotten => false,
        Body::Granted(grant) => !grant.granted,
        Body::Effect(effect) => match &**effect {
            Effect::Tell { milestone } => match milestone {
                Milestone::TaskDone { verified, .. } => !verified,
                Milestone::SkillGivenUp { .. }
                | Milestone::SkillDemoted { .. }
                | Milestone::ReflexGivenUp { .. }
                | Milestone::Nudged { .. } => true,
                Milestone::TaskChosen { .. }
                | Milestone::SkillAdmitted { .. }
                | Milestone::SkillMerged { .. }
                | Milestone::SkillRetested { .. }
                | Milestone::ReflexAdmitted { .. }
                | Milestone::EpisodeEnded { .. } => false,
            },
            Effect::Finish { reason } => matches!(reason, sojourn_core::FinishReason::Controller { .. }),
            _ => false,
        },
        Body::Event(event) => match &**event {
            Event::ThoughtFailed { .. } => true,
            Event::ToolAnswered { outcome, .. } => !outcome.ok,
            Event::Acted { report } => report.error.is_some(),
            Event::Tried { trials } => trials.iter().all(|trial| trial.report.passes() == 0),
            Event::Retested { retests } => {
                retests.iter().flat_map(|retest| &retest.results).any(|one| one.reached && !one.passed)
            }
            Event::ReflexesTried { trials } => !trials.iter().any(|trial| trial.acts),
            Event::EpisodeStarted { .. }
            | Event::Recalled { .. }
            | Event::Surveyed { .. }
            | Event::Played { .. }
            | Event::Thought { .. } => false,
        },
        Body::Stage(event) => match &**event {
            StageEvent::Returned { outcome, .. } => !outcome.ok,
            StageEvent::Stepped(step) => {
                step.ended.as_ref().is_some_and(|ending| ending.kind == sojourn_tools::EndingKind::Died)
            }
            StageEvent::Called { .. } => false,
        },
    }
}
