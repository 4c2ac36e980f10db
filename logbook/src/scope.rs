//! Which records belong to a task or a skill, found while reading them in order.

use crate::names::SkillNames;
use sojourn_core::{Effect, Event, LogRecord, Milestone, SkillEvent};

/// The position of a reader in a run.
#[derive(Debug, Default)]
pub struct Scope {
    /// The current task.
    task: Option<String>,
    /// Whether the task ends with this record.
    leaving: bool,
    /// The skill or tool that runs in the episode.
    act: Option<String>,
    /// Open calls, outermost first.
    calls: Vec<String>,
    /// The call that ends with this record.
    returned: Option<String>,
    names: SkillNames,
    /// The task, skill or reflex that this record is about.
    about: Option<String>,
}

impl Scope {
    /// Moves to the next record, which is `None` where its content was forgotten.
    pub fn enter(&mut self, record: Option<&LogRecord>) {
        if std::mem::take(&mut self.leaving) {
            self.task = None;
        }
        self.returned = None;
        self.about = None;
        let Some(record) = record else { return };
        self.names.learn(record);
        match record {
            LogRecord::Effect(effect) => self.effect(effect),
            LogRecord::SkillEvent(event) => match &**event {
                SkillEvent::Called { depth, call } => {
                    // An imported record may have any depth; calls are never nested so deeply.
                    self.calls.truncate((*depth as usize).min(64));
                    self.calls.push(call.name.clone());
                }
                SkillEvent::Returned { depth, .. } => {
                    self.calls.truncate((*depth as usize).saturating_add(1));
                    self.returned = self.calls.pop();
                }
                SkillEvent::Stepped(_) => {}
            },
            LogRecord::Event(event) => match &**event {
                Event::Acted { .. } => {
                    self.about = self.act.take();
                    self.calls.clear();
                }
                Event::EpisodeStarted { .. } => {
                    self.act = None;
                    self.calls.clear();
                }
                Event::CandidatesTried { .. } => self.about.clone_from(&self.task),
                _ => {}
            },
            LogRecord::Started(_) | LogRecord::ToolDecision(_) | LogRecord::ControlRecord(_) => {}
        }
    }

    /// Names of the skills that the run has had so far.
    pub fn skills(&self) -> impl Iterator<Item = &str> + Clone {
        self.names.all()
    }

    /// Whether this is the current task.
    pub fn in_task(&self, name: &str) -> bool {
        self.task.as_deref() == Some(name)
    }

    /// Whether the record is about this skill, or was written while it ran.
    pub fn in_skill(&self, name: &str) -> bool {
        [&self.act, &self.returned, &self.about].into_iter().flatten().any(|other| other == name)
            || self.calls.iter().any(|other| other == name)
    }

    fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Act { call, .. } | Effect::CallTool { call, .. } => self.act = Some(call.name.clone()),
            Effect::ObserveStarts { task, .. } => self.about = Some(task.clone()),
            Effect::Discover { .. } => self.about = None,
            Effect::Explore { plan } => self.about = Some(plan.task.clone()),
            Effect::TryCandidates { plan } => self.about = Some(plan.task.clone()),
            Effect::TryReflexes { plan } => self.about = Some(plan.name.clone()),
            Effect::ChangeLibrary { change } => self.about = self.names.of(change),
            Effect::ReportMilestone { milestone } => self.milestone(milestone),
            Effect::AskController { .. }
            | Effect::Look {}
            | Effect::RetestSkills { .. }
            | Effect::StartEpisode { .. }
            | Effect::Recall { .. }
            | Effect::Remember { .. }
            | Effect::Consolidate { .. }
            | Effect::CreditMemories { .. }
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
            Milestone::ReflexGivenUp { .. }
            | Milestone::Nudged { .. }
            | Milestone::NoProgress { .. }
            | Milestone::EpisodeEnded { .. } => {}
        }
    }
}

/// Whether a record reports a failure. The end of a call at a reached goal does, unless the records before it are known: see
/// [`Teller`](crate::Teller).
pub fn is_error(record: &LogRecord) -> bool {
    match record {
        LogRecord::Started(_) | LogRecord::ControlRecord(_) => false,
        LogRecord::ToolDecision(decision) => !decision.granted,
        LogRecord::Effect(effect) => match &**effect {
            Effect::ReportMilestone { milestone } => match milestone {
                Milestone::TaskDone { verified, .. } => !verified,
                Milestone::SkillGivenUp { .. }
                | Milestone::SkillDemoted { .. }
                | Milestone::ReflexGivenUp { .. }
                | Milestone::Nudged { .. }
                | Milestone::NoProgress { .. } => true,
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
        LogRecord::Event(event) => match &**event {
            Event::ControllerFailed { .. } => true,
            Event::ToolAnswered { outcome, .. } => !outcome.ok,
            Event::Acted { report } => !report.finished(),
            Event::CandidatesTried { trials } => trials.iter().all(|trial| trial.report.passes() == 0),
            Event::SkillsRetested { retests } => {
                retests.iter().flat_map(|retest| &retest.results).any(|one| one.reached && !one.passed)
            }
            Event::ReflexesTried { trials } => !trials.iter().any(|trial| trial.acts),
            Event::EpisodeStarted { .. }
            | Event::Looked { .. }
            | Event::Recalled { .. }
            | Event::StartsObserved { .. }
            | Event::Explored { .. }
            | Event::Discovered { .. }
            | Event::OutOfTime {}
            | Event::ControllerAnswered { .. } => false,
        },
        LogRecord::SkillEvent(event) => match &**event {
            SkillEvent::Returned { outcome, .. } => !outcome.ok,
            SkillEvent::Stepped(step) => {
                step.ended.as_ref().is_some_and(|ending| ending.kind == sojourn_tools::EndingKind::Died)
            }
            SkillEvent::Called { .. } => false,
        },
    }
}
