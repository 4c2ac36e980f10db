//! Expressions that give a text: what each gives here, and how it is written in a program.

use super::pick::Pick;
use super::scene::{Scene, calculated, ordinals, quoted, text, words};
use serde_json::Value;
use sojourn_tools::Play;

/// Things that are tried as where a text comes from.
const SOURCES: usize = 3;
/// Ways to each of them.
const WAYS: usize = 3;

/// A text out of what is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    /// What stands in quotation marks, the first or a later one.
    Quoted(usize),
    /// What stands after one text and before another; to the end where that is empty.
    Between(String, String),
    /// A word of the question, by its place.
    Word(usize),
    /// In capitals, or without any.
    Cased(Box<Self>, Case),
    /// What stands on a thing, in this field.
    On(Box<Pick>, String),
    /// The word of it whose place is the question's first number of a place.
    WordOn(Box<Pick>, String),
    /// What the calculation comes to that stands on a thing.
    Calculated(Box<Pick>, String),
    /// Always the same.
    Fixed(String),
}

/// How letters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
}

impl Case {
    fn of(self, text: &str) -> String {
        match self {
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
        }
    }
}

impl Text {
    /// Ways to get `word` out of the question, the best first; always the same is not among them.
    pub(super) fn said(question: &str, word: &str) -> Vec<Self> {
        let mut all: Vec<Self> = quoted(question)
            .enumerate()
            .filter(|(_, said)| *said == word)
            .map(|(place, _)| Self::Quoted(place))
            .collect();
        if word.is_empty() {
            return all;
        }
        for (at, _) in question.match_indices(word).take(2) {
            let (before, after) = (&question[..at], &question[at + word.len()..]);
            for words in [2, 1] {
                let start = start_of_last(before, words);
                if start < at {
                    for until in ends(after) {
                        all.push(Self::Between(before[start..].to_owned(), until));
                    }
                }
            }
        }
        all.extend(words(question).position(|one| one == word).map(Self::Word));
        for case in [Case::Upper, Case::Lower] {
            let other =
                quoted(question).chain(words(question)).find(|one| *one != word && case.of(one) == word);
            let ways = other.map(|one| Self::said(question, one)).unwrap_or_default();
            all.extend(ways.into_iter().take(WAYS).map(|way| Self::Cased(Box::new(way), case)));
        }
        all
    }

    /// Ways to get `word` out of all that is seen, the best first.
    pub(super) fn all(scene: &Scene<'_>, word: &str) -> Vec<Self> {
        let mut all = Self::said(scene.question, word);
        let on = |from: fn(Box<Pick>, String) -> Self, fits: &dyn Fn(&str) -> bool| {
            let mut found = Vec::new();
            for (place, thing) in scene.things.iter().enumerate() {
                for (field, value) in thing.as_object().into_iter().flatten() {
                    let stands = field != "id" && *field != scene.play.kind;
                    if stands && value.as_str().is_some_and(fits) {
                        found.push((place, field.clone()));
                    }
                }
            }
            let ways = move |(place, field): (usize, String)| {
                let picks = Pick::plain(scene, place, true).into_iter().take(WAYS);
                picks.map(move |pick| from(Box::new(pick), field.clone()))
            };
            found.into_iter().take(SOURCES).flat_map(ways).collect::<Vec<_>>()
        };
        if !word.is_empty() {
            all.extend(on(Self::On, &|text| text == word));
            if let Some(&place) = ordinals(scene.question).first() {
                let nth = |text: &str| place > 0 && words(text).nth(place - 1) == Some(word);
                all.extend(on(Self::WordOn, &nth));
            }
            if let Ok(result) = word.parse::<i64>() {
                all.extend(on(Self::Calculated, &|text| calculated(text) == Some(result)));
            }
        }
        all.push(Self::Fixed(word.to_owned()));
        all
    }

    /// The text that it is here.
    pub(super) fn find(&self, scene: &Scene<'_>) -> Option<String> {
        let on = |pick: &Pick, field: &str| pick.find(scene).map(|thing| text(thing, field));
        match self {
            Self::Quoted(place) => quoted(scene.question).nth(*place).map(str::to_owned),
            Self::Between(before, after) => {
                let (_, rest) = scene.question.split_once(before.as_str())?;
                let text = if after.is_empty() { rest } else { rest.split(after.as_str()).next()? };
                Some(text.to_owned())
            }
            Self::Word(place) => words(scene.question).nth(*place).map(str::to_owned),
            Self::Cased(text, case) => Some(case.of(&text.find(scene)?)),
            Self::On(pick, field) => on(pick, field).map(str::to_owned),
            Self::WordOn(pick, field) => {
                let place = ordinals(scene.question).first()?.checked_sub(1)?;
                words(on(pick, field)?).nth(place).map(str::to_owned)
            }
            Self::Calculated(pick, field) => calculated(on(pick, field)?).map(|result| result.to_string()),
            Self::Fixed(text) => Some(text.clone()),
        }
    }

    /// The same in a program that has the question as `goal` and the things as `things`; undefined where there is none.
    pub(super) fn expression(&self, play: &Play, things: &str) -> String {
        let on = |pick: &Pick, field: &str| format!("({} || {{}}).{field}", pick.expression(play, things));
        match self {
            Self::Quoted(place) => format!("goal.split(\"\\\"\")[{}]", 2 * place + 1),
            Self::Between(before, after) => format!("between({}, {})", quote(before), quote(after)),
            Self::Word(place) => format!("words(goal)[{place}]"),
            Self::Cased(text, Case::Upper) => format!("{}?.toUpperCase()", text.expression(play, things)),
            Self::Cased(text, Case::Lower) => format!("{}?.toLowerCase()", text.expression(play, things)),
            Self::On(pick, field) => on(pick, field),
            Self::WordOn(pick, field) => format!("words({})[places[0] - 1]", on(pick, field)),
            Self::Calculated(pick, field) => format!("calculated({})", on(pick, field)),
            Self::Fixed(text) => quote(text),
        }
    }
}

/// Where the last `words` words of `text` start, the space after them included.
fn start_of_last(text: &str, words: usize) -> usize {
    let body = text.trim_end();
    let starts = body.char_indices().filter(|&(at, letter)| {
        !letter.is_whitespace() && body[..at].chars().next_back().is_none_or(char::is_whitespace)
    });
    let starts: Vec<usize> = starts.map(|(at, _)| at).collect();
    starts.len().checked_sub(words).map_or(0, |first| starts[first])
}

/// Texts that may end what stands before `after`: its next word, its next letter, or nothing at its end.
fn ends(after: &str) -> Vec<String> {
    let Some(first) = after.chars().next() else { return vec![String::new()] };
    let word = after.trim_start().split(char::is_whitespace).next().unwrap_or_default();
    let lead = after.len() - after.trim_start().len();
    let mut ends = vec![after[..lead + word.len()].to_owned(), first.to_string()];
    ends.dedup();
    ends
}

/// A text as a literal of a program.
pub(super) fn quote(text: &str) -> String {
    // Line separators are letters in JSON and in today's JavaScript.
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever way there is to a word gives something, and one gives the word itself.
        #[test]
        fn a_word_is_found_where_it_stands(
            before in "[a-c \"]{0,12}", word in "[a-c]{1,4}", after in "[a-c .\"]{0,12}",
        ) {
            let question = format!("{before}{word}{after}");
            let play = Play { kind: "kind".into(), label: "words".into(), ..Play::default() };
            let scene = Scene { question: &question, things: &[], play: &play };
            let ways = Text::all(&scene, &word);
            prop_assert!(ways.iter().any(|way| way.find(&scene).as_deref() == Some(word.as_str())));
            for way in &ways {
                prop_assert!(!way.expression(&play, "things").is_empty());
            }
        }
    }
}
