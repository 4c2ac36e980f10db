//! Drawing lessons from what happened: between two episodes, or between two tasks when much has come together.
//!
//! The controller is told what happened, as the log has it, and nothing that was recalled: a lesson can rest on events
//! only, and says on which. Older lessons come in afterwards, to be told apart from the new ones by a choice among given
//! answers; no text is made of them. What is known to be the same is merged by code.
//!
//! Generative Agents (arXiv 2304.03442, section 4.2) reflects on recalled memories, so that one mistake feeds the next;
//! ACE (arXiv 2510.04618) changes what is kept by small edits and counts what helped, which is done here.

use super::{Core, Phase, Purpose, Recalled, Reply, Value, prompts};
use crate::config::ConsolidationConfig;
use crate::model::{Edit, Effect, LessonKind, NewLesson};
use sojourn_memory::EventSeq;

/// The kind of recalled memory that a lesson is.
pub(super) const LESSON: &str = "reflection";
/// Fewer events than this teach nothing that was not known when they happened.
const FEWEST: usize = 3;
/// Older lessons looked up for each new one.
const ALIKE: usize = 2;
/// From 1 to 10: below a reflection on a death, above what merely happened.
const IMPORTANCE: f32 = 7.0;

/// What happened since lessons were drawn last.
#[derive(Default)]
pub(super) struct Experiences {
    events: Vec<Experience>,
    /// Of all memories made meanwhile.
    importance: f32,
}

/// One thing that happened.
struct Experience {
    text: String,
    importance: f32,
    /// The record that tells it.
    seq: EventSeq,
}

/// What lessons were waited for.
#[derive(Clone, Copy)]
pub(super) enum Resume {
    /// The next task.
    Decide,
    /// The next episode.
    NextEpisode,
}

/// New lessons on their way to being compared with older ones.
pub(super) struct Comparison {
    lessons: Vec<Lesson>,
    /// How many of them older ones have been looked up for.
    looked_up: usize,
    older: Vec<Recalled>,
    then: Resume,
}

/// A new lesson.
pub(super) struct Lesson {
    text: String,
    sources: Vec<EventSeq>,
}

impl Core {
    /// Says which record the event that is applied next stands in: what lessons rest on.
    pub fn at_record(&mut self, seq: EventSeq) {
        self.seq = seq;
    }

    /// Keeps a memory, and notes it for the lessons to be drawn.
    pub(super) fn remember(&mut self, memory: NewLesson) -> Effect {
        if self.config.consolidation.is_some() {
            self.experiences.importance += memory.importance;
            if memory.kind == LessonKind::Episode {
                let NewLesson { text, importance, .. } = memory.clone();
                self.experiences.events.push(Experience { text, importance, seq: self.seq });
            }
        }
        Effect::Remember { memory }
    }

    /// What comes next is decided with these lessons.
    pub(super) fn rely_on<'a>(&mut self, memories: impl IntoIterator<Item = &'a Recalled>) {
        if self.config.consolidation.is_some() {
            let lessons = memories.into_iter().filter(|memory| memory.kind == LESSON);
            self.relied_on.extend(lessons.map(|memory| memory.id.clone()));
        }
    }

    /// What was decided with lessons came to an end: they helped, or they did not.
    pub(super) fn credit(&mut self, helped: bool) -> Option<Effect> {
        let mut memories = std::mem::take(&mut self.relied_on);
        memories.sort_unstable();
        memories.dedup();
        (!memories.is_empty()).then_some(Effect::CreditMemories { memories, helped })
    }

    /// Whether the episode that ended is one to learn from.
    pub(super) fn teaches(&self) -> bool {
        let wanted = self.config.consolidation.as_ref().is_some_and(|config| config.lessons > 0);
        wanted && self.config.memory && self.config.learning && self.experiences.events.len() >= FEWEST
    }

    /// Whether so much has happened that the end of the episode is not waited for.
    pub(super) fn overflows(&self) -> bool {
        let limit = self.config.consolidation.as_ref().map_or(f32::INFINITY, |config| config.importance);
        self.teaches() && self.experiences.importance >= limit
    }

    /// Asks for lessons from what happened.
    pub(super) fn consolidate(&mut self, then: Resume) -> Vec<Effect> {
        let Experiences { mut events, .. } = std::mem::take(&mut self.experiences);
        let Some(config) = self.config.consolidation.clone() else { return self.resume(then) };
        // The weightiest, the latest first among equals; told in the order in which they happened.
        events.sort_by(|a, b| b.importance.total_cmp(&a.importance).then(b.seq.cmp(&a.seq)));
        events.truncate(config.events);
        events.sort_by_key(|event| event.seq);
        let seed = self.request_seed();
        let texts: Vec<&str> = events.iter().map(|event| event.text.as_str()).collect();
        let request = prompts::consolidate(&self.spec, &texts, most(&config), seed);
        let told = events.iter().map(|event| event.seq).collect();
        self.think(Purpose::Consolidate, request, Phase::Consolidating { told, then })
    }

    /// The controller drew lessons. One that is empty, said twice or rests on nothing is none.
    pub(super) fn drawn(&mut self, reply: &Reply, told: &[EventSeq], then: Resume) -> Vec<Effect> {
        let most = self.config.consolidation.as_ref().map_or(0, |config| most(config) as usize);
        let mut lessons: Vec<Lesson> = Vec::new();
        for answer in array(&answer(reply), "lessons") {
            let text = answer.get("lesson").and_then(Value::as_str).map(str::trim).unwrap_or_default();
            let mut sources: Vec<EventSeq> = array(answer, "because")
                .iter()
                .filter_map(|number| told.get(usize::try_from(number.as_u64()?.checked_sub(1)?).ok()?))
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
        self.look_up(Comparison { lessons, looked_up: 0, older: Vec::new(), then })
    }

    /// Looks up what is like the next lesson; when that is done for all, asks how they stand to each other.
    fn look_up(&mut self, comparison: Comparison) -> Vec<Effect> {
        if let Some(lesson) = comparison.lessons.get(comparison.looked_up) {
            let query = lesson.text.clone();
            self.phase = Phase::Comparing(comparison);
            return vec![Effect::Recall { query, limit: ALIKE, lessons: true, tools: None }];
        }
        let different: Vec<&str> = comparison.unlike().map(|memory| memory.text.as_str()).collect();
        if different.is_empty() {
            return self.consolidated(&comparison, Vec::new());
        }
        let new: Vec<&str> = comparison.lessons.iter().map(|lesson| lesson.text.as_str()).collect();
        let seed = self.request_seed();
        let request = prompts::compare(&new, &different, seed);
        self.think(Purpose::Compare, request, Phase::Comparing(comparison))
    }

    /// Older lessons were looked up.
    pub(super) fn met(&mut self, mut comparison: Comparison, memories: Vec<Recalled>) -> Vec<Effect> {
        for memory in memories {
            if memory.kind == LESSON && !comparison.older.iter().any(|older| older.id == memory.id) {
                comparison.older.push(memory);
            }
        }
        comparison.looked_up += 1;
        self.look_up(comparison)
    }

    /// The controller said how the older lessons stand to the new ones.
    pub(super) fn compared(&mut self, comparison: &Comparison, reply: &Reply) -> Vec<Effect> {
        let answer = answer(reply);
        let mut edits = Vec::new();
        for (number, memory) in comparison.unlike().enumerate() {
            let said = answer.get((number + 1).to_string()).and_then(Value::as_str).unwrap_or_default();
            for added in 0..comparison.lessons.len() {
                let older = memory.id.clone();
                if said == prompts::same_as(added) {
                    edits.push(Edit::Merge { older, added });
                } else if said == prompts::contradicted_by(added) {
                    edits.push(Edit::Close { older, added });
                }
            }
        }
        self.consolidated(comparison, edits)
    }

    /// Changes the memories, and goes on. Each new lesson is merged at most once.
    pub(super) fn consolidated(&mut self, comparison: &Comparison, said: Vec<Edit>) -> Vec<Effect> {
        let mut edits: Vec<Edit> = comparison
            .lessons
            .iter()
            .map(|Lesson { text, sources }| Edit::Add {
                text: text.clone(),
                importance: IMPORTANCE,
                sources: sources.clone(),
            })
            .collect();
        let mut merged = vec![false; comparison.lessons.len()];
        for edit in comparison.known().chain(said) {
            if let Edit::Merge { added, .. } = &edit
                && std::mem::replace(&mut merged[*added], true)
            {
                continue;
            }
            edits.push(edit);
        }
        let mut effects = vec![Effect::Consolidate { edits }];
        effects.extend(self.resume(comparison.then));
        effects
    }

    /// Goes on with what lessons were waited for.
    pub(super) fn resume(&mut self, then: Resume) -> Vec<Effect> {
        match (then, self.over_budget()) {
            (Resume::Decide, _) => self.decide(),
            (Resume::NextEpisode, Some(reason)) => self.finish(reason),
            (Resume::NextEpisode, None) => self.reset(),
        }
    }
}

impl Comparison {
    /// The older lessons that have another text than every new one.
    fn unlike(&self) -> impl Iterator<Item = &Recalled> {
        self.older.iter().filter(|older| !self.lessons.iter().any(|lesson| same(&lesson.text, &older.text)))
    }

    /// Merges of the new lessons that have an older one's text.
    fn known(&self) -> impl Iterator<Item = Edit> {
        self.lessons.iter().enumerate().filter_map(|(added, lesson)| {
            let older = self.older.iter().find(|older| same(&lesson.text, &older.text))?;
            Some(Edit::Merge { older: older.id.clone(), added })
        })
    }
}

/// Lessons drawn at once.
fn most(config: &ConsolidationConfig) -> u32 {
    config.lessons.min(prompts::MOST_LESSONS)
}

/// Whether two texts are the same but for case and spacing.
fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().map(str::to_lowercase).eq(other.split_whitespace().map(str::to_lowercase))
}

/// The first candidate as JSON; null where it was cut short.
fn answer(reply: &Reply) -> Value {
    let text = reply.candidates.first().map_or("", |candidate| candidate.text.as_str());
    serde_json::from_str(text).unwrap_or_default()
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
