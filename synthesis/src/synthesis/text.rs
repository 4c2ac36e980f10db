//! Expressions whose value is a text.

use super::selector::Selector;
use super::values::View;
use crate::javascript::{member, quote};
use sojourn_tools::ExplorationSpec;

/// Elements that are tried as the source of a text.
const SOURCES: usize = 3;
/// Expressions for each of them.
const WAYS: usize = 3;

/// A text that the goal or an element contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextExpression {
    /// An argument of the program: its name, or an expression that makes a text of it.
    Argument(String),
    /// The text in quotation marks at this position of the goal, from 0.
    Quoted(usize),
    /// The part of the goal between two texts; to its end where the second is empty.
    Between(String, String),
    /// The word at this position of the goal, from 0.
    Word(usize),
    /// Another text in capitals or in small letters.
    Cased(Box<Self>, Case),
    /// The text in this field of an element.
    FieldOf(Box<Selector>, String),
    /// That word of the text in this field of an element which the goal's first ordinal number states.
    WordOf(Box<Selector>, String),
    /// The result of the calculation in this field of an element.
    Calculated(Box<Selector>, String),
    /// Always this text.
    Fixed(String),
}

/// An argument of the program, as it was while the program's steps were demonstrated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// Its expression.
    pub expression: String,
    /// The text that the expression had.
    pub text: String,
}

/// The case of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Upper,
    Lower,
}

impl Case {
    /// A guess at the text in this case; the sandbox decides whether it is right.
    fn guess(self, text: &str) -> String {
        match self {
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
        }
    }
}

impl TextExpression {
    /// Expressions that may yield `word` from the goal, the most specific first. A fixed text is not among them.
    pub(super) fn from_goal(view: View<'_>, word: &str) -> Vec<Self> {
        let (quoted, words) = (view.quoted(), view.words());
        let same = |(position, text): (usize, &&str)| (*text == word).then_some(position);
        let mut all = Self::arguments(view, |given| given == word);
        all.extend(quoted.iter().enumerate().filter_map(same).map(Self::Quoted));
        if word.is_empty() {
            return all;
        }
        let goal = view.state.goal.as_str();
        for (at, _) in goal.match_indices(word).take(2) {
            let (before, after) = (&goal[..at], &goal[at + word.len()..]);
            for count in [2, 1] {
                let start = start_of_last(before, count);
                if start < at {
                    let between = |end| Self::Between(before[start..].to_owned(), end);
                    all.extend(ends(after).into_iter().map(between));
                }
            }
        }
        all.extend(words.iter().position(|one| *one == word).map(Self::Word));
        for case in [Case::Upper, Case::Lower] {
            let mut others = quoted.iter().chain(&words);
            let Some(other) = others.find(|one| **one != word && case.guess(one) == word) else { continue };
            let ways = Self::from_goal(view, other).into_iter().take(WAYS);
            all.extend(ways.map(|way| Self::Cased(Box::new(way), case)));
        }
        all
    }

    /// The arguments of whose texts `fits` holds.
    pub(super) fn arguments(view: View<'_>, fits: impl Fn(&str) -> bool) -> Vec<Self> {
        let given = view.given.iter().filter(|given| fits(&given.text));
        given.map(|given| Self::Argument(given.expression.clone())).collect()
    }

    /// Expressions that may yield `word` from the goal or from an element, the most specific first.
    pub(super) fn all(view: View<'_>, word: &str) -> Vec<Self> {
        let mut all = Self::from_goal(view, word);
        if !word.is_empty() {
            let stands = |place: usize, field: &str| view.text_of(place, field) == Some(word);
            all.extend(Self::on_elements(view, Self::FieldOf, stands));
            if !view.ordinals().is_empty() {
                let nth = |place: usize, field: &str| view.ordinal_word(place, field) == Some(word);
                all.extend(Self::on_elements(view, Self::WordOf, nth));
            }
            if word.parse::<i64>().is_ok() {
                let result = |place: usize, field: &str| view.calculated(place, field) == Some(word);
                all.extend(Self::on_elements(view, Self::Calculated, result));
            }
        }
        all.push(Self::Fixed(word.to_owned()));
        all
    }

    /// Expressions about those texts of elements for which `fits` holds.
    fn on_elements(
        view: View<'_>,
        expression: fn(Box<Selector>, String) -> Self,
        fits: impl Fn(usize, &str) -> bool,
    ) -> Vec<Self> {
        let mut sources = Vec::new();
        for (place, element) in view.state.elements.iter().enumerate() {
            let fields = element.texts(view.spec).map(|(field, _)| field);
            sources.extend(fields.filter(|field| fits(place, field)).map(|field| (place, field)));
        }
        let ways = |(place, field): (usize, &str)| {
            let selectors = Selector::plain(view, place, true).into_iter().take(WAYS);
            let one = |selector| expression(Box::new(selector), field.to_owned());
            selectors.map(one).collect::<Vec<_>>()
        };
        sources.into_iter().take(SOURCES).flat_map(ways).collect()
    }

    /// The expression in JavaScript, with the goal as `goal` and `elements` as in [`Selector::expression`]. Its value is
    /// undefined where there is no such text.
    pub(crate) fn expression(&self, spec: &ExplorationSpec, elements: &str) -> String {
        let of = |selector: &Selector, field: &str| {
            member(&format!("({} || {{}})", selector.expression(spec, elements)), field)
        };
        match self {
            Self::Argument(expression) => expression.clone(),
            Self::Quoted(position) => format!("goal.split(\"\\\"\")[{}]", 2 * position + 1),
            Self::Between(before, after) => format!("between({}, {})", quote(before), quote(after)),
            Self::Word(position) => format!("words(goal)[{position}]"),
            Self::Cased(text, Case::Upper) => format!("{}?.toUpperCase()", text.expression(spec, elements)),
            Self::Cased(text, Case::Lower) => format!("{}?.toLowerCase()", text.expression(spec, elements)),
            Self::FieldOf(selector, field) => of(selector, field),
            Self::WordOf(selector, field) => format!("words({})[places[0] - 1]", of(selector, field)),
            Self::Calculated(selector, field) => format!("calculated({})", of(selector, field)),
            Self::Fixed(text) => quote(text),
        }
    }
}

/// Where the last `count` words of `text` start, the space after them included.
fn start_of_last(text: &str, count: usize) -> usize {
    let body = text.trim_end();
    let starts = body.char_indices().filter(|&(at, letter)| {
        !letter.is_whitespace() && body[..at].chars().next_back().is_none_or(char::is_whitespace)
    });
    let starts: Vec<usize> = starts.map(|(at, _)| at).collect();
    starts.len().checked_sub(count).map_or(0, |first| starts[first])
}

/// Texts that may end the part of the goal before `after`: its next word, its next letter, or nothing at the goal's end.
fn ends(after: &str) -> Vec<String> {
    let Some(first) = after.chars().next() else { return vec![String::new()] };
    let word = after.trim_start().split(char::is_whitespace).next().unwrap_or_default();
    let space = after.len() - after.trim_start().len();
    let mut ends = vec![after[..space + word.len()].to_owned(), first.to_string()];
    ends.dedup();
    ends
}
