//! What fell before a death: the numbers of the world's state over the last steps, judged by what they did and by nothing else.

use crate::{Entry, ReadError, Reading};
use serde::Serialize;
use serde_json::Value;
use sojourn_core::{Event, LogRecord, RecordKind, SkillEvent};
use sojourn_memory::{EventSeq, RecordQuery, RunInfo, Store};
use sojourn_primitives::JsonPointer;
use std::collections::{BTreeMap, VecDeque};

/// The most steps before a death that are looked at.
const MOST_STEPS: usize = 80;
/// The most numbers of a state that are looked at.
const MOST_NUMBERS: usize = 400;
/// The most numbers that are listed.
const MOST_TOLD: usize = 4;

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
    /// The index of the last step after which it was as high as never again.
    pub from: usize,
    /// The record of that step: here it began to fall.
    pub from_seq: u64,
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
        let mut seen: VecDeque<(u64, BTreeMap<String, f64>)> = VecDeque::new();
        while let Some(entry) = reading.next_intact().await? {
            let Entry::Record(record, Ok(Some(content))) = entry else { continue };
            match &content {
                LogRecord::Event(event) => match &**event {
                    Event::EpisodeStarted { observation, .. } => {
                        seen.clear();
                        state.clone_from(&observation.state);
                    }
                    // It says again what the last step left behind.
                    Event::Acted { report } => {
                        state.clone_from(&report.observation.state);
                        if !seen.is_empty() {
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
            if seen.len() > MOST_STEPS {
                seen.pop_front();
            }
            let mut numbers = BTreeMap::new();
            collect(&state, &mut String::new(), &mut numbers);
            seen.push_back((record.seq.0, numbers));
        }
        Ok(Self::of(until, vitals, seen.make_contiguous()))
    }

    fn of(until: u64, vitals: &[JsonPointer], seen: &[(u64, BTreeMap<String, f64>)]) -> Self {
        let steps: Vec<u64> = seen.iter().map(|(seq, _)| *seq).collect();
        let vitals: Vec<String> = vitals.iter().map(ToString::to_string).collect();
        let Some((_, last)) = seen.last() else { return Self { until, ..Self::default() } };
        let mut found: Vec<(Fallen, [f64; 4])> = Vec::new();
        for (path, &end) in last {
            let values: Vec<Option<f64>> =
                seen.iter().map(|(_, numbers)| numbers.get(path).copied()).collect();
            let known = || values.iter().flatten().copied();
            let (highest, lowest) = (known().fold(end, f64::max), known().fold(end, f64::min));
            // Whatever has been lower before, or is as high as ever, did not fall to its end.
            if end > lowest || highest <= end {
                continue;
            }
            let Some(from) = values.iter().rposition(|value| *value == Some(highest)) else { continue };
            let vital = vitals.contains(path);
            let share = (highest - end) / highest.abs().max(end.abs());
            let drops = values[from..].windows(2).filter(|pair| pair[0] > pair[1]).count();
            // First what the world names, then what is used up, then what fell most of its height, then what fell step by step.
            let rank =
                [f64::from(u8::from(vital)), f64::from(u8::from(end <= 0.0)), share.min(1.0), drops as f64];
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            let one = Fallen { path: path.clone(), name, values, from, from_seq: steps[from], vital };
            found.push((one, rank));
        }
        let compare = |one: &[f64; 4], other: &[f64; 4]| {
            let pairs = one.iter().zip(other);
            pairs.map(|(one, other)| other.total_cmp(one)).find(|order| order.is_ne())
        };
        found.sort_by(|(_, one), (_, other)| compare(one, other).unwrap_or(std::cmp::Ordering::Equal));
        // Beside what the world names and what is used up, the rest (places, clocks) says little.
        let mut is_best = true;
        found.retain(|(_, rank)| std::mem::take(&mut is_best) || rank[0] > 0.0 || rank[1] > 0.0);
        found.truncate(MOST_TOLD);
        Self { until, steps, fallen: found.into_iter().map(|(one, _)| one).collect() }
    }
}

/// The numbers of a state by their places. Lists are left out: they are maps and things nearby, whose places mean nothing.
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
        Value::Object(fields) => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(vitals: &[&str], states: &[Value]) -> Decline {
        let seen = (10..).step_by(2).zip(states).map(|(seq, state)| {
            let mut numbers = BTreeMap::new();
            collect(state, &mut String::new(), &mut numbers);
            (seq, numbers)
        });
        let vitals: Vec<JsonPointer> = vitals.iter().map(|name| JsonPointer::of([name])).collect();
        Decline::of(99, &vitals, &seen.collect::<Vec<_>>())
    }

    #[test]
    fn what_fell_to_its_end_is_found_with_where_it_began() {
        let states: Vec<Value> = [(9, 5, 1), (8, 4, 2), (9, 3, 3), (7, 0, 4), (4, 0, 5), (0, 0, 6)]
            .into_iter()
            .map(|(hull, fuel, clock)| json!({"ship": {"hull": hull, "fuel": fuel}, "clock": clock, "map": [9, 1]}))
            .collect();
        let decline = of(&[], &states);
        let names: Vec<(&str, u64)> =
            decline.fallen.iter().map(|one| (one.name.as_str(), one.from_seq)).collect();
        assert_eq!(names, [("fuel", 10), ("hull", 14)], "{decline:?}");
        assert_eq!(decline.fallen[1].values, [9.0, 8.0, 9.0, 7.0, 4.0, 0.0].map(Some));
        assert_eq!(decline.steps, [10, 12, 14, 16, 18, 20]);
    }

    #[test]
    fn what_the_world_names_comes_first_and_what_recovered_did_not_fall() {
        let states: Vec<Value> = [(9, 7, 4), (8, 3, 3), (6, 7, 2), (2, 5, 1)]
            .into_iter()
            .map(|(health, food, x)| json!({"health": health, "food": food, "x": x}))
            .collect();
        let decline = of(&["health", "food"], &states);
        let names: Vec<&str> = decline.fallen.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["health"], "{decline:?}");
        assert!(of(&[], &[]).fallen.is_empty());
        assert!(of(&[], &[json!({"up": 1}), json!({"up": 2})]).fallen.is_empty());
    }
}
