//! Expressions that find a thing, or a text, from what is to be done: what each gives here, and how it is written in a
//! program.

use crate::event::Shown;
use serde_json::Value;
use sojourn_tools::Play;

/// What is to be done, and the things that are seen.
pub(super) struct Scene<'a> {
    pub question: &'a str,
    pub things: &'a [Value],
    play: &'a Play,
}

impl<'a> Scene<'a> {
    pub(super) fn new(play: &'a Play, shown: &'a Shown) -> Self {
        Self { question: &shown.question, things: &shown.things, play }
    }

    fn kind(&self, thing: &'a Value) -> &'a str {
        thing.get(&self.play.kind).and_then(Value::as_str).unwrap_or_default()
    }

    fn label(&self, thing: &'a Value) -> &'a str {
        thing.get(&self.play.label).and_then(Value::as_str).unwrap_or_default()
    }
}

/// A text out of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    /// What stands in quotation marks, the first or a later one.
    Quoted(usize),
    /// What stands after one text and before another; to the end where that is empty.
    Between(String, String),
    /// Always the same.
    Fixed(String),
}

impl Text {
    /// Ways to get `word` out of `question`, the best first.
    pub(super) fn all(question: &str, word: &str) -> Vec<Self> {
        let mut all: Vec<Self> = quoted(question)
            .enumerate()
            .filter(|(_, said)| *said == word)
            .map(|(place, _)| Self::Quoted(place))
            .collect();
        if !word.is_empty() {
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
        }
        all.push(Self::Fixed(word.to_owned()));
        all
    }

    /// The text that it is in this question.
    pub(super) fn find<'a>(&'a self, question: &'a str) -> Option<&'a str> {
        match self {
            Self::Quoted(place) => quoted(question).nth(*place),
            Self::Between(before, after) => {
                let (_, rest) = question.split_once(before.as_str())?;
                Some(if after.is_empty() { rest } else { rest.split(after.as_str()).next()? })
            }
            Self::Fixed(text) => Some(text),
        }
    }

    /// The same in a program that has the question as `question`.
    pub(super) fn expression(&self, question: &str) -> String {
        match self {
            Self::Quoted(place) => format!("{question}.split(\"\\\"\")[{}]", 2 * place + 1),
            Self::Between(before, after) if after.is_empty() => {
                let before = quote(before);
                format!("{question}.slice({question}.indexOf({before}) + {before}.length)")
            }
            Self::Between(before, after) => {
                let before = quote(before);
                format!(
                    "{question}.slice({question}.indexOf({before}) + {before}.length).split({})[0]",
                    quote(after)
                )
            }
            Self::Fixed(text) => quote(text),
        }
    }
}

/// How one of the things is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pick {
    /// Only things of this kind are looked at, where there is one.
    kind: Option<String>,
    by: By,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    /// Its words are this text.
    Label(Text),
    /// This field of it stands in the question; the longest that does.
    Mentioned(String),
    /// Its place among them.
    Place(usize),
}

impl Pick {
    /// Ways to find the things with these ids, one in each scene; only the first scene is looked at for them.
    pub(super) fn all(scenes: &[Scene<'_>], ids: &[&Value]) -> Vec<Self> {
        let thing = |scene: &Scene<'_>, id: &Value| scene.things.iter().position(|thing| thing["id"] == *id);
        let Some(places) =
            scenes.iter().zip(ids).map(|(scene, id)| thing(scene, id)).collect::<Option<Vec<_>>>()
        else {
            return Vec::new();
        };
        let (scene, taken) = (&scenes[0], &scenes[0].things[places[0]]);
        let kind = scene.kind(taken);
        let same_kind =
            scenes.iter().zip(&places).all(|(other, &place)| other.kind(&other.things[place]) == kind);
        let kind = same_kind.then(|| kind.to_owned());
        let label = scene.label(taken);
        let mut ways = Vec::new();
        if !label.is_empty() {
            let said = Text::all(scene.question, label);
            ways.extend(said.into_iter().filter(|text| !matches!(text, Text::Fixed(_))).map(By::Label));
        }
        for (field, value) in taken.as_object().into_iter().flatten() {
            let says =
                value.as_str().is_some_and(|value| !value.is_empty() && scene.question.contains(value));
            if says && field != "id" && *field != scene.play.kind {
                ways.push(By::Mentioned(field.clone()));
            }
        }
        if !label.is_empty() {
            ways.push(By::Label(Text::Fixed(label.to_owned())));
        }
        let of_kind = |thing: &&Value| kind.as_deref().is_none_or(|kind| scene.kind(thing) == kind);
        ways.push(By::Place(scene.things[..places[0]].iter().filter(of_kind).count()));
        ways.into_iter().map(|by| Self { kind: kind.clone(), by }).collect()
    }

    /// The thing that it is in this scene.
    pub(super) fn find<'a>(&self, scene: &Scene<'a>) -> Option<&'a Value> {
        let of_kind = |thing: &&'a Value| self.kind.as_deref().is_none_or(|kind| scene.kind(thing) == kind);
        let mut things = scene.things.iter().filter(of_kind);
        match &self.by {
            By::Label(text) => {
                let wanted = text.find(scene.question)?;
                things.find(|thing| scene.label(thing) == wanted)
            }
            By::Mentioned(field) => {
                let said = |thing: &&Value| {
                    thing.get(field).and_then(Value::as_str).map_or(0, |value| {
                        if scene.question.contains(value) { value.encode_utf16().count() } else { 0 }
                    })
                };
                // The first of the longest, as the program has it.
                let things: Vec<&'a Value> = things.collect();
                let most = things.iter().map(said).max().filter(|most| *most > 0)?;
                things.into_iter().find(|thing| said(thing) == most)
            }
            By::Place(place) => things.nth(*place),
        }
    }

    /// The same in a program that has the things as `things` and the question as `question`.
    pub(super) fn expression(&self, play: &Play, things: &str, question: &str) -> String {
        let kind = self.kind.as_ref().map(|kind| format!("e.{} === {}", play.kind, quote(kind)));
        let all = |more: Option<String>| {
            let conditions: Vec<String> = kind.iter().cloned().chain(more).collect();
            conditions.join(" && ")
        };
        match &self.by {
            By::Label(text) => {
                let wanted = format!("e.{} === {}", play.label, text.expression(question));
                format!("{things}.find(e => {})", all(Some(wanted)))
            }
            By::Mentioned(field) => {
                let said = format!("e.{field} && {question}.includes(e.{field})");
                format!(
                    "{things}.filter(e => {}).sort((a, b) => b.{field}.length - a.{field}.length)[0]",
                    all(Some(said))
                )
            }
            By::Place(place) => match &kind {
                Some(_) => format!("{things}.filter(e => {})[{place}]", all(None)),
                None => format!("{things}[{place}]"),
            },
        }
    }
}

/// What stands in quotation marks, in order.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
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
fn quote(text: &str) -> String {
    // Line separators are letters in JSON and in today's JavaScript.
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_stands_in_quotation_marks_is_told_apart() {
        let of = |text| quoted(text).collect::<Vec<_>>();
        assert_eq!(of("say \"a\" and \"b c\"."), ["a", "b c"]);
        assert_eq!(of("none"), [""; 0]);
        assert_eq!(of("an \"open one"), ["open one"]);
        assert_eq!(of("\"\" \"x"), ["", "x"]);
    }

    proptest! {
        /// Whatever way there is to a word gives something, and one gives the word itself.
        #[test]
        fn a_word_is_found_where_it_stands(
            before in "[a-c \"]{0,12}", word in "[a-c]{1,4}", after in "[a-c .\"]{0,12}",
        ) {
            let question = format!("{before}{word}{after}");
            let ways = Text::all(&question, &word);
            prop_assert!(ways.iter().any(|way| way.find(&question) == Some(&word)));
            for way in &ways {
                prop_assert!(!way.expression("goal").is_empty());
            }
        }
    }
}
