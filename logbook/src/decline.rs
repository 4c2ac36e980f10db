//! What fell before a death: the numbers of the world's state over the last steps, judged by what they did and by nothing else.

use crate::{Entry, ReadError, Reading};
use serde::Serialize;
use serde_json::{Map, Value};
use sojourn_core::{Event, LogRecord, RecordKind, SkillEvent};
use sojourn_memory::{EventSeq, RecordQuery, RunInfo, Store};
use sojourn_primitives::JsonPointer;
use std::collections::{BTreeMap, VecDeque};

/// The most steps before a death that are looked at.
const MOST_STEPS: usize = 600;
/// The most numbers of a state that are looked at.
const MOST_NUMBERS: usize = 400;
/// The most numbers that are listed.
const MOST_TOLD: usize = 4;
/// Steps that are shown before the first number began to fall.
const MARGIN: usize = 8;
/// The least steps that are shown, where there are so many.
const LEAST_STEPS: usize = 24;
/// A number that the world does not name counts if it fell so often, because one that is spent at once was used and not lost.
const LEAST_DROPS: usize = 3;
/// Such a number counts if at most this share of it is left.
const NEAR_ZERO: f64 = 0.1;

/// The numbers of the world's state that fell before a record.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Decline {
    /// The last record that counts.
    pub until: u64,
    /// The records after which the numbers stand below: the latest steps of the episode, and what was observed between them.
    pub steps: Vec<u64>,
    /// What fell, the most telling first. Empty where nothing fell.
    pub fallen: Vec<Fallen>,
}

/// A number that fell, and did not recover until the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fallen {
    /// Where it stands in the state, as a JSON pointer.
    pub path: String,
    /// The last word of it.
    pub name: String,
    /// Its value after each step; `None` where the state had none.
    pub values: Vec<Option<f64>>,
    /// The index of the last step before it fell for good.
    pub from: usize,
    /// The record of that step: here it began to fall.
    pub from_seq: u64,
    /// The index of the step from which on it stood where it ended.
    pub reached: usize,
    /// The record of that step.
    pub reached_seq: u64,
    /// Whether the world says that this number is of interest to whoever looks on.
    pub vital: bool,
}

impl Decline {
    /// What fell until record `until`, read from record `from` on, which should hold the whole state or begin its episode. `vitals` are
    /// the numbers that the world names.
    ///
    /// # Errors
    /// When the store fails. A damaged record is left out.
    pub async fn read(
        store: &Store,
        info: &RunInfo,
        vitals: &[JsonPointer],
        (from, until): (u64, u64),
    ) -> Result<Self, ReadError> {
        let kinds = [RecordKind::EpisodeStarted, RecordKind::Stepped, RecordKind::Acted];
        let query =
            RecordQuery::from(EventSeq(from)).to(EventSeq(until)).kinds(kinds.map(RecordKind::as_str));
        let mut reading = Reading::new(store, info, query).await?;
        let mut state = Value::Null;
        let mut seen = Seen::default();
        while let Some(entry) = reading.next_intact().await? {
            let Entry::Record(record, Ok(Some(content))) = entry else { continue };
            match &content {
                LogRecord::Event(event) => match &**event {
                    Event::EpisodeStarted { observation, .. } => {
                        seen = Seen::default();
                        state.clone_from(&observation.state);
                    }
                    // It says again what the last step left behind.
                    Event::Acted { report } => {
                        state.clone_from(&report.observation.state);
                        if !seen.steps.is_empty() {
                            continue;
                        }
                    }
                    _ => continue,
                },
                LogRecord::SkillEvent(event) => match &**event {
                    SkillEvent::Stepped(step) => step.apply(&mut state),
                    _ => continue,
                },
                _ => continue,
            }
            seen.add(record.seq.0, &state);
        }
        Ok(Self::of(until, vitals, &seen))
    }

    fn of(until: u64, vitals: &[JsonPointer], seen: &Seen) -> Self {
        let vitals: Vec<String> = vitals.iter().map(ToString::to_string).collect();
        let mut fallen: Vec<Fallen> = seen
            .numbers
            .iter()
            .filter_map(|(path, values)| fallen(path, values, &seen.steps, vitals.contains(path)))
            .collect();
        // First what the world names and what ended with the agent, then what was used up first.
        fallen.sort_by_key(|one| (!one.vital, one.reached + 1 != seen.steps.len(), one.reached));
        fallen.truncate(MOST_TOLD);
        // The steps before anything began to fall say nothing.
        let begun = fallen.iter().map(|one| one.from).min().unwrap_or(seen.steps.len());
        let left_out = begun.saturating_sub(MARGIN).min(seen.steps.len().saturating_sub(LEAST_STEPS + 1));
        for one in &mut fallen {
            one.values.drain(..left_out);
            one.from -= left_out;
            one.reached -= left_out;
        }
        Self { until, steps: seen.steps.range(left_out..).copied().collect(), fallen }
    }
}

/// The numbers of a world's state over its latest steps.
#[derive(Debug, Default)]
struct Seen {
    /// The records of the steps.
    steps: VecDeque<u64>,
    /// The values of each number after these records, by its place in the state.
    numbers: BTreeMap<String, VecDeque<Option<f64>>>,
}

impl Seen {
    fn add(&mut self, seq: u64, state: &Value) {
        let mut now = BTreeMap::new();
        collect(state, &mut String::new(), &mut now);
        let before = self.steps.len();
        self.steps.push_back(seq);
        for (path, values) in &mut self.numbers {
            values.push_back(now.remove(path));
        }
        for (path, value) in now {
            if self.numbers.len() >= MOST_NUMBERS {
                break;
            }
            let values = std::iter::repeat_n(None, before).chain([Some(value)]).collect();
            self.numbers.insert(path, values);
        }
        if self.steps.len() > MOST_STEPS + 1 {
            self.steps.pop_front();
            self.numbers.retain(|_, values| {
                values.pop_front();
                values.iter().any(Option::is_some)
            });
        }
    }
}

/// A number as one that fell; `None` where it did not, or where its fall says nothing of the agent.
fn fallen(path: &str, values: &VecDeque<Option<f64>>, steps: &VecDeque<u64>, vital: bool) -> Option<Fallen> {
    let end = (*values.back()?)?;
    let known = || values.iter().flatten().copied();
    let (highest, lowest) = (known().fold(end, f64::max), known().fold(end, f64::min));
    // Whatever has been lower before, or is as high as ever, did not fall to its end.
    if end > lowest || highest <= end {
        return None;
    }
    let at = |index: usize| values[index].unwrap_or(f64::NEG_INFINITY);
    // Back from the last step at which most of it was left, as long as it was no lower before: there it stood before it fell for good.
    let most = highest - (highest - end) / 4.0;
    let mut from = (0..values.len()).rev().find(|index| at(*index) >= most)?;
    while from > 0 && at(from - 1) >= at(from) {
        from -= 1;
    }
    let top = at(from);
    while from + 1 < values.len() && at(from + 1) >= top {
        from += 1;
    }
    let reached = values.iter().rposition(|value| *value != Some(end)).map_or(0, |index| index + 1);
    if !vital {
        let drops = (from + 1..values.len()).filter(|index| at(*index) < at(index - 1)).count();
        // Places and distances have signs, clocks and counts do not end at nothing, and what is only seen comes and goes.
        let is_stock = lowest >= 0.0 && end <= highest * NEAR_ZERO && !values.contains(&None);
        if !is_stock || drops < LEAST_DROPS {
            return None;
        }
    }
    let name = path.rsplit('/').next().unwrap_or(path).to_owned();
    let values = values.iter().copied().collect();
    let (from_seq, reached_seq) = (steps[from], steps[reached]);
    Some(Fallen { path: path.to_owned(), name, values, from, from_seq, reached, reached_seq, vital })
}

/// The numbers of a state by their places. Lists are left out, and objects that are lists of things by their names: they are maps and
/// what is seen nearby, and their numbers are not the agent's.
fn collect(value: &Value, path: &mut String, numbers: &mut BTreeMap<String, f64>) {
    if numbers.len() >= MOST_NUMBERS {
        return;
    }
    match value {
        Value::Number(number) => {
            if let Some(number) = number.as_f64() {
                numbers.insert(path.clone(), number);
            }
        }
        Value::Object(fields) if !are_alike(fields) => {
            for (name, value) in fields {
                let length = path.len();
                path.push('/');
                path.push_str(&name.replace('~', "~0").replace('/', "~1"));
                collect(value, path, numbers);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// Whether an object lists things of one kind: at least two members, all of them objects with the same fields.
fn are_alike(fields: &Map<String, Value>) -> bool {
    let mut members = fields.values().map(|value| value.as_object().filter(|inner| !inner.is_empty()));
    let Some(Some(first)) = members.next() else { return false };
    let same = |other: Option<&Map<String, Value>>| {
        other.is_some_and(|other| {
            other.len() == first.len() && other.keys().all(|key| first.contains_key(key))
        })
    };
    fields.len() > 1 && members.all(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(vitals: &[&str], states: &[Value]) -> Decline {
        let mut seen = Seen::default();
        for (seq, state) in (10..).step_by(2).zip(states) {
            seen.add(seq, state);
        }
        let vitals: Vec<JsonPointer> = vitals.iter().map(|name| JsonPointer::of([name])).collect();
        Decline::of(99, &vitals, &seen)
    }

    fn names(decline: &Decline) -> Vec<&str> {
        decline.fallen.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn what_fell_to_its_end_is_found_with_where_it_began() {
        let states: Vec<Value> = [(9, 5, 1), (8, 4, 2), (9, 3, 3), (7, 0, 4), (4, 0, 5), (0, 0, 6)]
            .into_iter()
            .map(|(hull, fuel, clock)| json!({"ship": {"hull": hull, "fuel": fuel}, "clock": clock, "map": [9, 1]}))
            .collect();
        let decline = of(&[], &states);
        let places: Vec<(&str, u64, u64)> =
            decline.fallen.iter().map(|one| (one.name.as_str(), one.from_seq, one.reached_seq)).collect();
        assert_eq!(places, [("hull", 14, 20), ("fuel", 10, 16)], "{decline:?}");
        assert_eq!(decline.fallen[0].values, [9.0, 8.0, 9.0, 7.0, 4.0, 0.0].map(Some));
        assert_eq!(decline.steps, [10, 12, 14, 16, 18, 20]);
    }

    #[test]
    fn what_the_world_names_comes_first_and_what_recovered_did_not_fall() {
        let states: Vec<Value> = [(9, 7, 4), (8, 3, 3), (6, 7, 2), (2, 5, 1)]
            .into_iter()
            .map(|(health, food, x)| json!({"health": health, "food": food, "x": x}))
            .collect();
        assert_eq!(names(&of(&["health", "food"], &states)), ["health"]);
        assert!(of(&[], &[]).fallen.is_empty());
        assert!(of(&[], &[json!({"up": 1}), json!({"up": 2})]).fallen.is_empty());
    }

    #[test]
    fn distances_to_things_and_what_was_spent_at_once_are_no_decline_of_the_agent() {
        let states: Vec<Value> = (0..20)
            .map(|step: i64| {
                let far = json!({"dx": 9 - step, "distance": (9 - step).abs()});
                json!({
                    "power": (12 - step).max(0), "planks": if step < 15 { 5 } else { 0 }, "x": 5 - step, "clock": step,
                    "seen": {"well": far, "gate": {"dx": 20 - step, "distance": 20 - step}},
                    "target": if step > 3 { json!({"left": 19 - step}) } else { json!(null) },
                })
            })
            .collect();
        assert_eq!(names(&of(&[], &states)), ["power"]);
    }

    #[test]
    fn a_long_fall_is_told_from_its_beginning_and_an_earlier_wound_is_not() {
        let slow: Vec<Value> = (0..400)
            .map(|step: i64| {
                // Drink is gone after 180 steps; then health falls, after a wound that had healed.
                let health = if step < 200 {
                    9 - 4 * i64::from((20..30).contains(&step))
                } else {
                    9 - (step - 200) / 22
                };
                json!({"health": health, "drink": (9 - step / 20).max(0)})
            })
            .collect();
        let decline = of(&["health"], &slow);
        assert_eq!(names(&decline), ["health", "drink"]);
        let [health, drink] = &decline.fallen[..] else { panic!("{decline:?}") };
        assert_eq!((health.from_seq, health.reached_seq), (10 + 2 * 221, 10 + 2 * 398));
        assert_eq!((drink.from_seq, drink.reached_seq), (10 + 2 * 19, 10 + 2 * 180));
        assert_eq!(decline.steps[0], 10 + 2 * (19 - MARGIN as u64));
        assert_eq!((decline.steps[drink.from], decline.steps.len()), (drink.from_seq, health.values.len()));
        let quick: Vec<Value> = [9, 9, 5, 6, 7, 8, 4, 0].map(|health| json!({"health": health})).into();
        let decline = of(&["health"], &quick);
        assert_eq!(
            (decline.fallen[0].from_seq, decline.fallen[0].values[decline.fallen[0].from]),
            (20, Some(8.0))
        );
        // Of an episode without an end, the last steps count.
        let endless: Vec<Value> =
            (0..2000).map(|step| json!({"health": 2000 - step, "more": step})).collect();
        assert_eq!(of(&["health"], &endless).steps.len(), MOST_STEPS + 1);
    }
}
