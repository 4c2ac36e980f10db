//! Drawing lessons from events: between two episodes, or between two tasks when enough has happened.
//!
//! The controller reads the events as the log has them, and no recalled memory: a lesson names the events that it is drawn
//! from. Older lessons come in afterwards. The controller compares them with the new ones by a choice among given answers,
//! and never rewrites them. Code merges lessons with equal texts.
//!
//! Generative Agents (arXiv 2304.03442, section 4.2) reflects on recalled memories, so that one mistake feeds the next;
//! ACE (arXiv 2510.04618) changes what is kept by small edits and counts what helped, which is done here.

use super::asking::json_answer;
use super::prompts::outside::lesson;
use super::{Core, Phase, prompts};
use crate::config::ConsolidationConfig;
use crate::model::{Edit, Effect, LessonKind, NewLesson, Purpose, Recalled};
use serde_json::Value;
use sojourn_controller::Reply;
use sojourn_memory::EventSeq;

/// The kind of a recalled memory that is a lesson.
pub(super) const LESSON: &str = "reflection";
/// Fewer events than this are not worth a request.
const FEWEST: usize = 3;
/// Older lessons looked up for each new one.
const ALIKE: usize = 2;
/// Importance of a lesson, from 1 to 10: below a reflection on a death, above an ordinary event.
const IMPORTANCE: f32 = 7.0;

/// Events since lessons were drawn last.
#[derive(Default)]
pub(super) struct Experiences {
    events: Vec<Experience>,
    /// Summed importance of all memories made since then.
    importance: f32,
}

/// One event.
struct Experience {
    text: String,
    importance: f32,
    /// The record that it is in.
    seq: EventSeq,
}

/// The continuation of the loop after the lessons.
#[derive(Clone, Copy)]
pub(super) enum Resume {
    /// The next decision of the same episode.
    Decide,
    /// The next episode.
    NextEpisode,
}

/// New lessons, and the older lessons that they are compared with.
pub(super) struct Comparison {
    lessons: Vec<Lesson>,
    /// Number of new lessons for which similar older lessons were recalled.
    looked_up: usize,
    /// Recalled older lessons, each once.
    older: Vec<Recalled>,
    then: Resume,
}

/// A new lesson.
pub(super) struct Lesson {
    text: String,
    /// Records of the events that it is drawn from.
    sources: Vec<EventSeq>,
}

impl Core {
    /// Sets the record of the next event; lessons name such records as their sources.
    pub fn at_record(&mut self, seq: EventSeq) {
        self.seq = seq;
    }

    /// Keeps a memory, and counts it for the next lessons. In a tainted run the memory is tainted too.
    pub(super) fn remember(&mut self, text: String, kind: LessonKind, importance: f32) -> Effect {
        let memory = NewLesson { text, kind, importance, untrusted: self.tainted() };
        if self.config.consolidation.is_some() {
            self.experiences.importance += memory.importance;
            if memory.kind == LessonKind::Episode {
                let NewLesson { text, importance, .. } = memory.clone();
                self.experiences.events.push(Experience { text, importance, seq: self.seq });
            }
        }
        Effect::Remember { memory }
    }

    /// Notes the lessons among memories that the controller now sees; [`credit`](Self::credit) counts the outcome for them.
    pub(super) fn show_lessons<'a>(&mut self, memories: impl IntoIterator<Item = &'a Recalled>) {
        if self.config.consolidation.is_some() {
            let lessons = memories.into_iter().filter(|memory| memory.kind == LESSON);
            self.lessons_shown.extend(lessons.map(|memory| memory.id));
        }
    }

    /// Counts a task's outcome for the lessons that the controller saw for it.
    pub(super) fn credit(&mut self, helped: bool) -> Option<Effect> {
        let mut memories = std::mem::take(&mut self.lessons_shown);
        memories.sort_unstable();
        memories.dedup();
        (!memories.is_empty()).then_some(Effect::CreditMemories { memories, helped })
    }

    /// Whether lessons are wanted and enough has happened since the last ones.
    pub(super) fn has_lessons_to_draw(&self) -> bool {
        let wanted = self.config.consolidation.as_ref().is_some_and(|config| config.lessons > 0);
        wanted && self.config.memory && self.config.learning && self.experiences.events.len() >= FEWEST
    }

    /// Whether so much has happened that lessons are drawn before the episode ends.
    pub(super) fn has_too_much_to_remember(&self) -> bool {
        let limit = self.config.consolidation.as_ref().map_or(f32::INFINITY, |config| config.importance);
        self.has_lessons_to_draw() && self.experiences.importance >= limit
    }

    /// Asks for lessons from the events.
    pub(super) fn consolidate(&mut self, then: Resume) -> Vec<Effect> {
        let Experiences { mut events, .. } = std::mem::take(&mut self.experiences);
        let Some(config) = self.config.consolidation.clone() else { return self.resume(then) };
        // The most important events, the latest first among equals; shown in the order in which they happened.
        events.sort_by(|a, b| b.importance.total_cmp(&a.importance).then(b.seq.cmp(&a.seq)));
        events.truncate(config.events);
        events.sort_by_key(|event| event.seq);
        let seed = self.request_seed();
        let texts: Vec<&str> = events.iter().map(|event| event.text.as_str()).collect();
        let request = prompts::consolidate(&self.spec, &texts, most(&config), seed);
        let events = events.iter().map(|event| event.seq).collect();
        self.think(Purpose::Consolidate, request, Phase::Consolidating { events, then })
    }

    /// Takes the controller's lessons from the events in these records. Empty and repeated lessons, and those without a
    /// source, are dropped.
    pub(super) fn lessons_drawn(&mut self, reply: &Reply, events: &[EventSeq], then: Resume) -> Vec<Effect> {
        let most = self.config.consolidation.as_ref().map_or(0, |config| most(config) as usize);
        let mut lessons: Vec<Lesson> = Vec::new();
        for answer in array(&json_answer(reply), "lessons") {
            let text = answer.get("lesson").and_then(Value::as_str).map(str::trim).unwrap_or_default();
            let mut sources: Vec<EventSeq> = array(answer, "because")
                .iter()
                .filter_map(|number| events.get(usize::try_from(number.as_u64()?.checked_sub(1)?).ok()?))
                .copied()
                .collect();
            sources.sort_unstable();
            sources.dedup();
            let known = lessons.iter().any(|lesson| same(&lesson.text, text));
            if !text.is_empty() && !sources.is_empty() && !known && lessons.len() < most {
                lessons.push(Lesson { text: text.to_owned(), sources });
            }
        }
        if lessons.is_empty() {
            return self.resume(then);
        }
        self.recall_older_lessons(Comparison { lessons, looked_up: 0, older: Vec::new(), then })
    }

    /// Recalls lessons similar to the next new one; after the last one, asks the controller for the comparison.
    fn recall_older_lessons(&mut self, comparison: Comparison) -> Vec<Effect> {
        if let Some(lesson) = comparison.lessons.get(comparison.looked_up) {
            let query = lesson.text.clone();
            self.phase = Phase::Comparing(comparison);
            return vec![Effect::Recall { query, limit: ALIKE, lessons: true, tools: None }];
        }
        let older = |memory: &Recalled| lesson(&memory.text, memory.untrusted);
        let different: Vec<String> = comparison.different_texts().map(older).collect();
        if different.is_empty() {
            return self.consolidated(&comparison, Vec::new());
        }
        let untrusted = self.tainted();
        let new = comparison.lessons.iter().map(|new| lesson(&new.text, untrusted)).collect::<Vec<_>>();
        let seed = self.request_seed();
        let request = prompts::compare(&new, &different, seed);
        self.think(Purpose::Compare, request, Phase::Comparing(comparison))
    }

    pub(super) fn older_lessons_recalled(
        &mut self,
        mut comparison: Comparison,
        memories: Vec<Recalled>,
    ) -> Vec<Effect> {
        for memory in memories {
            if memory.kind == LESSON && !comparison.older.iter().any(|older| older.id == memory.id) {
                comparison.older.push(memory);
            }
        }
        comparison.looked_up += 1;
        self.recall_older_lessons(comparison)
    }

    /// Makes edits of the controller's comparison.
    pub(super) fn compared(&mut self, comparison: &Comparison, reply: &Reply) -> Vec<Effect> {
        let answer = json_answer(reply);
        let mut edits = Vec::new();
        for (number, memory) in comparison.different_texts().enumerate() {
            let relation = answer.get((number + 1).to_string()).and_then(Value::as_str).unwrap_or_default();
            for added in 0..comparison.lessons.len() {
                let older = memory.id;
                if relation == prompts::same_as(added) {
                    edits.push(Edit::Merge { older, added });
                } else if relation == prompts::contradicted_by(added) {
                    edits.push(Edit::Close { older, added });
                }
            }
        }
        self.consolidated(comparison, edits)
    }

    /// Changes the memories and resumes the loop.
    pub(super) fn consolidated(&mut self, comparison: &Comparison, compared: Vec<Edit>) -> Vec<Effect> {
        let mut effects = vec![self.edits(comparison, compared)];
        effects.extend(self.resume(comparison.then));
        effects
    }

    /// The change of the memories. Each new lesson is merged at most once.
    pub(super) fn edits(&self, comparison: &Comparison, compared: Vec<Edit>) -> Effect {
        let untrusted = self.tainted();
        let mut edits: Vec<Edit> = comparison
            .lessons
            .iter()
            .map(|Lesson { text, sources }| Edit::Add {
                text: text.clone(),
                importance: IMPORTANCE,
                sources: sources.clone(),
                untrusted,
            })
            .collect();
        let mut merged = vec![false; comparison.lessons.len()];
        for edit in comparison.equal_texts().chain(compared) {
            if let Edit::Merge { added, .. } = &edit
                && std::mem::replace(&mut merged[*added], true)
            {
                continue;
            }
            edits.push(edit);
        }
        Effect::Consolidate { edits }
    }

    /// Resumes the loop after the lessons.
    pub(super) fn resume(&mut self, then: Resume) -> Vec<Effect> {
        match (then, self.over_budget()) {
            (Resume::Decide, _) => self.decide(),
            (Resume::NextEpisode, Some(reason)) => self.finish(reason),
            (Resume::NextEpisode, None) => self.reset(),
        }
    }
}

impl Comparison {
    /// Older lessons whose text differs from every new one.
    fn different_texts(&self) -> impl Iterator<Item = &Recalled> {
        self.older.iter().filter(|older| !self.lessons.iter().any(|lesson| same(&lesson.text, &older.text)))
    }

    /// Merges of new lessons whose text equals an older one.
    fn equal_texts(&self) -> impl Iterator<Item = Edit> {
        self.lessons.iter().enumerate().filter_map(|(added, lesson)| {
            let older = self.older.iter().find(|older| same(&lesson.text, &older.text))?;
            Some(Edit::Merge { older: older.id, added })
        })
    }
}

/// Most lessons drawn at once.
fn most(config: &ConsolidationConfig) -> u32 {
    config.lessons.min(prompts::MOST_LESSONS)
}

/// Whether two texts are the same but for case and spacing.
fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().map(str::to_lowercase).eq(other.split_whitespace().map(str::to_lowercase))
}

/// The array in a field; empty without one.
fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
