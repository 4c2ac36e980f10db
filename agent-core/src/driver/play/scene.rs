//! What is seen while playing: what is to be done, and things with words on them.

use crate::model::Shown;
use serde_json::Value;
use sojourn_tools::{EnvironmentSpec, Play};

/// What is to be done, and the things that are seen.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub question: &'a str,
    pub things: &'a [Value],
    pub play: &'a Play,
}

impl<'a> Scene<'a> {
    pub(super) fn new(play: &'a Play, shown: &'a Shown) -> Self {
        Self { question: &shown.question, things: &shown.things, play }
    }

    /// As it is in a state of a world that can be played with.
    pub(super) fn of(spec: &'a EnvironmentSpec, state: &'a Value) -> Option<Self> {
        let play = spec.play.as_ref()?;
        let question = state.pointer(&spec.question.as_ref()?.path).and_then(Value::as_str);
        let things = state.pointer(&play.things).and_then(Value::as_array);
        Some(Self {
            question: question.unwrap_or_default(),
            things: things.map_or(&[][..], Vec::as_slice),
            play,
        })
    }

    pub(super) fn kind(&self, thing: &'a Value) -> &'a str {
        text(thing, &self.play.kind)
    }

    pub(super) fn label(&self, thing: &'a Value) -> &'a str {
        text(thing, &self.play.label)
    }

    /// The thing with this id.
    pub(super) fn thing(&self, id: &Value) -> Option<&'a Value> {
        self.things.iter().find(|thing| thing["id"] == *id)
    }

    /// Whether the question has this text, in whatever case; a colon after it does not count.
    pub(super) fn says(&self, text: &str) -> bool {
        let bare = text.strip_suffix(':').unwrap_or(text);
        !bare.is_empty() && self.question.to_lowercase().contains(&bare.to_lowercase())
    }

    /// The fields of a thing whose text the question has; its id is none.
    pub(super) fn said_fields<'t>(&self, thing: &'t Value) -> impl Iterator<Item = &'t str> {
        let fields = thing.as_object().into_iter().flatten();
        let said = fields.filter(|(field, value)| {
            *field != "id" && *field != &self.play.kind && value.as_str().is_some_and(|text| self.says(text))
        });
        said.map(|(field, _)| field.as_str())
    }

    /// Whether the question speaks of a thing.
    pub(super) fn speaks_of(&self, thing: &Value) -> bool {
        self.said_fields(thing).next().is_some()
    }
}

/// The number that a thing has in common with those it belongs to.
pub(super) fn group(thing: &Value, field: &str) -> Option<i64> {
    thing.get(field)?.as_i64().filter(|number| *number >= 0)
}

/// A field of a thing that is a text.
pub(super) fn text<'a>(thing: &'a Value, field: &str) -> &'a str {
    thing.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The number that a text is.
pub(super) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let bare = text.strip_prefix('-').unwrap_or(text);
    let plain = bare.split_once('.').map_or(digits(bare), |(whole, part)| digits(whole) && digits(part));
    text.parse().ok().filter(|_| plain)
}

/// What stands in quotation marks, in order.
pub(super) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

/// Runs of letters and digits.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// The numbers that say a place: 2 in "the 2nd".
pub(super) fn ordinals(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let tail = &rest[start..];
        let length = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        if ["st", "nd", "rd", "th"].iter().any(|end| tail[length..].starts_with(end)) {
            found.extend(tail[..length].parse::<usize>());
        }
        rest = &tail[length..];
    }
    found
}

/// The result of a calculation with two numbers that a text begins with.
pub(super) fn calculated(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let first = digits(text);
    let a: i64 = text[..first].parse().ok()?;
    let rest = text[first..].trim_start();
    let sign = rest.chars().next()?;
    let rest = rest[sign.len_utf8()..].trim_start();
    let b: i64 = rest[..digits(rest)].parse().ok()?;
    match sign {
        '+' => a.checked_add(b),
        '-' => a.checked_sub(b),
        'x' | '*' | '×' => a.checked_mul(b),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_quotation_marks_is_told_apart() {
        let of = |text| quoted(text).collect::<Vec<_>>();
        assert_eq!(of("say \"a\" and \"b c\"."), ["a", "b c"]);
        assert_eq!(of("none"), [""; 0]);
        assert_eq!(of("an \"open one"), ["open one"]);
        assert_eq!(of("\"\" \"x"), ["", "x"]);
    }

    #[test]
    fn places_and_calculations_are_read() {
        assert_eq!(ordinals("the 2nd of 3 and the 11th, 1st"), [2, 11, 1]);
        assert_eq!(ordinals("none, 5"), [0; 0]);
        assert_eq!(calculated("7 x 6 ="), Some(42));
        assert_eq!(calculated("10-12"), Some(-2));
        assert_eq!(calculated("9223372036854775807 + 1"), None);
        assert_eq!(calculated("7 apples"), None);
        assert_eq!(number("-3.5"), Some(-3.5));
        assert_eq!((number("inf"), number(""), number("3rd")), (None, None, None));
    }
}
