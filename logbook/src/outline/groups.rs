//! Records in groups: episodes, tasks in them, and the attempts of a task.

use super::filter::is_none;
use super::flag;
use crate::{CallOutcome, Teller, purpose_name};
use serde::Serialize;
use sojourn_core::log::summary::short;
use sojourn_core::{Effect, Event, LogRecord, Milestone, Purpose, SkillEvent, as_javascript};
use sojourn_skills::LibraryEvent;
use sojourn_tools::EndingKind;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What the records of a group belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// An episode.
    Episode,
    /// A task that the agent chose.
    Task,
    /// A request to the controller, with what came of the answer.
    Ask,
    /// A skill that ran in the episode, or a tool that was called.
    Act,
    /// Work in practice worlds: exploration, or skills that are tested again.
    Practice,
}

/// Consecutive records that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// What they belong to.
    pub kind: GroupKind,
    /// 0 for episodes, 1 for tasks, 2 for attempts and calls in them.
    pub level: u8,
    /// The number of its episode, from 1; 0 before the first.
    pub episode: u64,
    /// The first record.
    pub first: u64,
    /// The last record so far.
    pub last: u64,
    /// Time of the first record, milliseconds since 1970.
    pub at_ms: i64,
    /// Time of the last record.
    pub until_ms: i64,
    /// What it is: `episode 3`, `learning collect_wood`, `go_to("tree")`.
    pub title: Arc<str>,
    /// What came of it, in words; empty while that is open.
    pub end: Arc<str>,
    /// What came of it; `None` where that is open or makes no sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CallOutcome>,
    /// Environment steps.
    #[serde(skip_serializing_if = "is_none")]
    pub steps: u32,
    /// Records that report a failure.
    #[serde(skip_serializing_if = "is_none")]
    pub failures: u32,
    /// Achievements that the run did not have before.
    #[serde(skip_serializing_if = "is_none")]
    pub achievements: u32,
}

/// The open groups, by level, and all groups in the order of their beginning.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: Vec<Group>,
    /// Indices of the open groups.
    open: [Option<usize>; 3],
    episodes: u64,
    /// The last recall, which belongs to the request that follows it.
    recall: Option<u64>,
    /// The beginning of the choice that the next task belongs to.
    choice: Option<u64>,
    /// Number of requests to write a skill for the task.
    round: u32,
    /// The purpose of the open request.
    purpose: Option<Purpose>,
    /// Titles and ends that groups have, each once: in a long run they come again and again.
    words: HashSet<Arc<str>>,
}

/// The most titles and ends that are looked up.
const MOST_WORDS: usize = 50_000;

impl Groups {
    fn shared(&mut self, text: String) -> Arc<str> {
        if let Some(known) = self.words.get(text.as_str()) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        if self.words.len() < MOST_WORDS {
            self.words.insert(Arc::clone(&new));
        }
        new
    }

    pub(super) fn shrink(&mut self) {
        self.all.shrink_to_fit();
        self.words.shrink_to_fit();
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// The first `limit` groups that begin within `first..=last`, and the number of all of them.
    pub(super) fn within(
        &self,
        first: u64,
        last: u64,
        levels: RangeInclusive<u8>,
        end: u64,
        limit: usize,
    ) -> (Vec<Group>, usize) {
        let wanted =
            |group: &&Group| group.first >= first && group.first <= last && levels.contains(&group.level);
        // A long run has many: only those of the page are copied.
        let mut found: Vec<&Group> = self.all.iter().filter(wanted).collect();
        found.sort_by_key(|group| (group.first, group.level));
        let total = found.len();
        let cut = |group: &&Group| Group { last: group.last.min(end), ..(*group).clone() };
        (found.iter().take(limit).map(cut).collect(), total)
    }

    pub(super) fn episode_at(&self, seq: u64, end: u64) -> Option<Group> {
        let mut episodes = self.all.iter().rev().filter(|group| group.level == 0);
        let found = episodes.find(|group| group.first <= seq)?;
        Some(Group { last: found.last.min(end), ..found.clone() })
    }

    /// Adds a record to the open groups.
    pub(super) fn count_record(&mut self, flags: u8, record: Option<&LogRecord>) {
        let stepped = record.is_some_and(|record| {
            matches!(record, LogRecord::SkillEvent(event) if matches!(**event, SkillEvent::Stepped(_)))
        });
        for index in self.open.into_iter().flatten() {
            let group = &mut self.all[index];
            group.steps += u32::from(stepped);
            group.failures += u32::from(flags & flag::FAILURE != 0);
            group.achievements += u32::from(flags & flag::ACHIEVEMENT != 0);
        }
    }

    pub(super) fn enter(
        &mut self,
        seq: u64,
        at_ms: i64,
        record: &LogRecord,
        outcome: Option<CallOutcome>,
        teller: &Teller,
    ) {
        match record {
            LogRecord::Effect(effect) => self.effect(seq, at_ms, effect),
            LogRecord::Event(event) => self.event(seq, event, outcome, || teller.line(Some(record))),
            LogRecord::SkillEvent(event) => self.skill_event(event),
            LogRecord::Started(_) | LogRecord::ToolDecision(_) | LogRecord::ControlRecord(_) => {}
        }
        for index in self.open.into_iter().flatten() {
            self.all[index].until_ms = at_ms;
        }
    }

    fn effect(&mut self, seq: u64, at_ms: i64, effect: &Effect) {
        let before = seq.saturating_sub(1);
        match effect {
            Effect::StartEpisode { seed } => {
                self.close(0, before);
                self.episodes += 1;
                let title = format!("episode {}", self.episodes);
                self.begin(0, GroupKind::Episode, seq, at_ms, title);
                self.end(0, format!("world {seed}"), None);
            }
            Effect::Finish { .. } => self.close(0, before),
            Effect::Recall { .. } => {
                self.close(2, before);
                self.recall = Some(seq);
            }
            Effect::AskController { purpose, .. } => {
                let first = self.recall.filter(|recall| recall + 2 == seq).unwrap_or(seq);
                if *purpose == Purpose::Choose {
                    self.choice = Some(first);
                }
                let mut title = purpose_name(*purpose).to_owned();
                if *purpose == Purpose::Write {
                    self.round += 1;
                    title = format!("{title}, round {}", self.round);
                }
                self.close(2, first.saturating_sub(1));
                self.begin(2, GroupKind::Ask, first, at_ms, title);
                self.purpose = Some(*purpose);
            }
            Effect::Act { call, .. } | Effect::CallTool { call, .. } => {
                self.close(2, before);
                self.begin(2, GroupKind::Act, seq, at_ms, short(&as_javascript(call)));
            }
            Effect::Discover { .. } => self.practise(seq, at_ms, "find out what can be done".to_owned()),
            Effect::Explore { plan } => self.practise(seq, at_ms, format!("explore {}", plan.task)),
            Effect::RetestSkills { .. } => self.practise(seq, at_ms, "test skills again".to_owned()),
            Effect::TryReflexes { plan } if self.open[2].is_none() => {
                self.practise(seq, at_ms, format!("try {}", plan.name));
            }
            Effect::Remember { .. } | Effect::Consolidate { .. } if self.open[2].is_some() => {
                // The lesson belongs to the request that it was drawn from.
                self.close(2, seq);
            }
            Effect::ReportMilestone { milestone } => self.milestone(seq, at_ms, milestone),
            Effect::ChangeLibrary {
                change: LibraryEvent::Admitted { .. } | LibraryEvent::ReflexAdmitted { .. },
            } => self.admitted(),
            _ => {}
        }
    }

    /// The request whose candidates were tried brought something.
    fn admitted(&mut self) {
        if let Some(index) = self.open[2] {
            self.all[index].outcome = Some(CallOutcome::Done);
        }
    }

    fn practise(&mut self, seq: u64, at_ms: i64, title: String) {
        self.close(2, seq.saturating_sub(1));
        self.begin(2, GroupKind::Practice, seq, at_ms, title);
    }

    fn milestone(&mut self, seq: u64, at_ms: i64, milestone: &Milestone) {
        let before = seq.saturating_sub(1);
        match milestone {
            Milestone::TaskChosen { task, learning } => {
                let earliest = self.open[0].map_or(seq, |index| self.all[index].first.saturating_add(1));
                let first = self.choice.take().unwrap_or(seq).max(earliest.min(seq));
                // The choice itself stays a group, in the task.
                if let Some(index) = self.open[2].take() {
                    self.all[index].last = before;
                }
                self.close(1, first.saturating_sub(1));
                let verb = if *learning { "learning" } else { "doing" };
                self.begin(1, GroupKind::Task, first, at_ms, format!("{verb} {}", short(task)));
                self.round = 0;
            }
            Milestone::TaskDone { verified, steps, .. } => {
                self.close(2, before);
                let outcome = if *verified { CallOutcome::Done } else { CallOutcome::Failed };
                let verdict = if *verified { "done" } else { "failed" };
                self.end(1, format!("{verdict} in {steps} steps"), Some(outcome));
            }
            Milestone::SkillGivenUp { .. } => {
                self.close(2, before);
                self.end(1, "given up for now".to_owned(), Some(CallOutcome::Failed));
            }
            Milestone::EpisodeEnded { cause, achievements, steps } => {
                self.close(1, before);
                self.end(0, format!("{steps} steps, {achievements} achievements: {}", short(cause)), None);
            }
            Milestone::SkillAdmitted { .. }
            | Milestone::SkillDemoted { .. }
            | Milestone::SkillMerged { .. }
            | Milestone::SkillRetested { .. }
            | Milestone::ReflexAdmitted { .. }
            | Milestone::ReflexGivenUp { .. }
            | Milestone::Nudged { .. }
            | Milestone::NoProgress { .. } => self.close(2, before),
        }
    }

    fn event(&mut self, seq: u64, event: &Event, outcome: Option<CallOutcome>, line: impl Fn() -> String) {
        match event {
            Event::Acted { .. } | Event::ToolAnswered { .. } => {
                self.end(2, short(&line()), outcome);
                self.close(2, seq);
            }
            Event::ControllerAnswered { reply } => {
                let first = reply.candidates.first().map(|first| short(&first.text)).unwrap_or_default();
                self.end(2, reply.refusal().map_or(first, short), None);
                if self.purpose == Some(Purpose::Choose) {
                    self.close(2, seq);
                }
            }
            Event::ControllerFailed { error } => {
                self.end(2, short(error), Some(CallOutcome::Failed));
                self.close(2, seq);
            }
            Event::CandidatesTried { .. } => {
                // Passing somewhere is not enough: what is admitted is done, see `effect`.
                self.end(2, short(&line()), Some(CallOutcome::Failed));
            }
            Event::ReflexesTried { .. } => self.end(2, short(&line()), None),
            Event::Explored { programs, .. } => {
                let outcome = if programs.is_empty() { CallOutcome::Failed } else { CallOutcome::Done };
                self.end(2, short(&line()), Some(outcome));
                self.close(2, seq);
            }
            Event::Discovered { tasks, .. } => {
                let outcome = if tasks.is_empty() { CallOutcome::Failed } else { CallOutcome::Done };
                self.end(2, short(&line()), Some(outcome));
                self.close(2, seq);
            }
            Event::SkillsRetested { .. } => {
                self.end(2, short(&line()), None);
                self.close(2, seq);
            }
            Event::EpisodeStarted { .. }
            | Event::Looked { .. }
            | Event::Recalled { .. }
            | Event::StartsObserved { .. }
            | Event::OutOfTime {} => {}
        }
    }

    fn skill_event(&mut self, event: &SkillEvent) {
        let SkillEvent::Stepped(step) = event else { return };
        let Some(ending) = &step.ended else { return };
        let outcome = match ending.kind {
            EndingKind::Died => Some(CallOutcome::Died),
            EndingKind::Succeeded => Some(CallOutcome::Done),
            EndingKind::TimeUp | EndingKind::Lost => None,
        };
        if let Some(index) = self.open[0] {
            self.all[index].outcome = outcome;
        }
    }

    fn begin(&mut self, level: u8, kind: GroupKind, first: u64, at_ms: i64, title: String) {
        self.open[usize::from(level)] = Some(self.all.len());
        let (title, end) = (self.shared(title), self.shared(String::new()));
        self.all.push(Group {
            kind,
            level,
            episode: self.episodes,
            first,
            last: u64::MAX,
            at_ms,
            until_ms: at_ms,
            title,
            end,
            outcome: None,
            steps: 0,
            failures: 0,
            achievements: 0,
        });
    }

    /// Says what came of the open group of a level; an episode keeps the outcome that its last step told.
    fn end(&mut self, level: usize, end: String, outcome: Option<CallOutcome>) {
        if let Some(index) = self.open[level] {
            let end = self.shared(end);
            let group = &mut self.all[index];
            group.end = end;
            group.outcome = outcome.or(group.outcome);
        }
    }

    /// Closes the open groups from this level on, with `last` as their last record.
    fn close(&mut self, level: usize, last: u64) {
        for open in &mut self.open[level..] {
            if let Some(index) = open.take() {
                let group = &mut self.all[index];
                group.last = last.max(group.first);
            }
        }
        self.purpose = None;
    }
}
