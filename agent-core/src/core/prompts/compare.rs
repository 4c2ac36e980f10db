//! Comparing new lessons with older ones.

use super::{message, prompt, push_line, request};
use serde_json::{Map, Value, json};
use sojourn_controller::{Request, Role};

/// Most lessons that are compared at once: one for each letter.
pub(in crate::core) const MOST_LESSONS: u32 = 26;
/// The labels of the new lessons.
const LETTERS: std::ops::RangeInclusive<char> = 'A'..='Z';

/// Asks how older lessons relate to new ones: one of the given answers for each older lesson.
pub(in crate::core) fn compare<T: AsRef<str>>(new: &[T], older: &[T], seed: u64) -> Request {
    let mut user = String::new();
    for (letter, text) in LETTERS.zip(new) {
        push_line(&mut user, &prompt!("compare", "lesson", label = letter, lesson = text.as_ref()));
    }
    for (number, text) in (1..).zip(older) {
        push_line(&mut user, &prompt!("compare", "lesson", label = number, lesson = text.as_ref()));
    }
    let answers: Vec<String> = std::iter::once(prompt!("compare", "different"))
        .chain((0..new.len()).flat_map(|place| [same_as(place), contradicted_by(place)]))
        .collect();
    let numbers: Vec<String> = (1..=older.len()).map(|number| number.to_string()).collect();
    let properties: Map<String, Value> =
        numbers.iter().map(|number| (number.clone(), json!({"enum": answers}))).collect();
    let schema = json!({
        "type": "object", "properties": properties, "required": numbers, "additionalProperties": false,
    });
    let max_tokens = 8 + 16 * u32::try_from(older.len()).unwrap_or(u32::MAX / 32);
    let messages = vec![message(Role::System, prompt!("compare", "system")), message(Role::User, user)];
    request(messages, schema, seed, max_tokens)
}

/// The answer that an older lesson means the same as the new lesson at this place.
pub(in crate::core) fn same_as(place: usize) -> String {
    prompt!("compare", "same", letter = letter(place))
}

/// The answer that the new lesson at this place contradicts an older lesson.
pub(in crate::core) fn contradicted_by(place: usize) -> String {
    prompt!("compare", "contradicted", letter = letter(place))
}

fn letter(place: usize) -> char {
    LETTERS.clone().nth(place).unwrap_or('Z')
}
