//! A decision tree over features that says which call to make: what was learned of single states, for states never met.

use super::experience::Lesson;
use super::features::{Features, Path, Paths, Scalar};
use crate::javascript::indented;
use std::collections::{BTreeMap, BTreeSet};

/// Questions in a row, at most.
const DEEPEST: usize = 12;
/// Values of one path that are asked about, at most.
const VALUES: usize = 24;
/// Numbers that are compared with each other, at most.
const COMPARED: usize = 8;
/// States that a tree is made of, at most.
const LESSONS: usize = 1500;

/// A question about a state. Where a value is absent, the answer is no.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Question {
    /// Whether the path is there.
    Has(usize),
    /// Whether the number is at most this.
    AtMost(usize, f64),
    /// Whether the value is this.
    Is(usize, Scalar),
    /// Whether the first number is less than the second.
    Less(usize, usize),
}

impl Question {
    fn is_so(&self, features: &Features) -> bool {
        let number = |path: &usize| features.get(*path).and_then(Scalar::number);
        match self {
            Self::Has(path) => features.get(*path).is_some(),
            Self::AtMost(path, most) => number(path).is_some_and(|number| number <= *most),
            Self::Is(path, value) => features.get(*path) == Some(value),
            Self::Less(a, b) => number(a).zip(number(b)).is_some_and(|(a, b)| a < b),
        }
    }

    fn javascript(&self, paths: &Paths) -> Option<String> {
        let text = |path: &usize| paths.path(*path).map(Path::javascript);
        let number = |path: &usize| paths.path(*path).map(Path::number);
        Some(match self {
            Self::Has(path) => paths.path(*path)?.presence(),
            Self::AtMost(path, most) => format!("{} <= {}", number(path)?, Scalar::Number(*most).json()),
            Self::Is(path, value) => format!("{} === {}", text(path)?, value.json()),
            Self::Less(a, b) => format!("{} < {}", number(a)?, number(b)?),
        })
    }
}

/// A tree of questions.
#[derive(Debug)]
pub(super) enum Tree {
    /// The number of the call to make.
    Call(usize),
    /// What to do if the answer is yes, and otherwise.
    Ask(Question, Box<Tree>, Box<Tree>),
}

impl Tree {
    /// The tree for these lessons. It asks about the paths `asked`, and only what at least `least` lessons answer with yes and as many
    /// with no. `None` without lessons.
    pub(super) fn of(lessons: &[Lesson<'_>], asked: &[usize], least: usize) -> Option<Self> {
        // The states that were met most matter most.
        let mut kept: Vec<&Lesson<'_>> = lessons.iter().filter(|lesson| !lesson.best.is_empty()).collect();
        kept.sort_by_key(|lesson| std::cmp::Reverse(lesson.visits));
        kept.truncate(LESSONS);
        if kept.is_empty() { None } else { Some(Self::grow(&kept, (asked, least), 0)) }
    }

    fn grow(lessons: &[&Lesson<'_>], limits: (&[usize], usize), depth: usize) -> Self {
        let (asked, least) = limits;
        let (call, good) = most_often_good(lessons);
        if good == lessons.len() || depth >= DEEPEST {
            return Self::Call(call);
        }
        let whole = impurity(lessons.iter().copied());
        let mut best: Option<(f64, Question)> = None;
        for question in questions(lessons, asked) {
            let yes = || lessons.iter().copied().filter(|lesson| question.is_so(lesson.features));
            let count = yes().count();
            if count < least || lessons.len() - count < least {
                continue;
            }
            let no = lessons.iter().copied().filter(|lesson| !question.is_so(lesson.features));
            let left = impurity(yes()) + impurity(no);
            if best.as_ref().is_none_or(|(least, _)| left < least - 1e-9) {
                best = Some((left, question));
            }
        }
        match best.filter(|(left, _)| *left < whole - 1e-9) {
            None => Self::Call(call),
            Some((_, question)) => {
                let (yes, no): (Vec<&Lesson<'_>>, Vec<&Lesson<'_>>) =
                    lessons.iter().copied().partition(|lesson| question.is_so(lesson.features));
                let grow = |lessons: &[&Lesson<'_>]| Box::new(Self::grow(lessons, limits, depth + 1));
                Self::Ask(question, grow(&yes), grow(&no))
            }
        }
    }

    /// The number of calls in the tree.
    pub(super) fn leaves(&self) -> usize {
        match self {
            Self::Call(_) => 1,
            Self::Ask(_, yes, no) => yes.leaves() + no.leaves(),
        }
    }

    /// The call for a state.
    pub(super) fn call(&self, features: &Features) -> usize {
        match self {
            Self::Call(call) => *call,
            Self::Ask(question, yes, no) => if question.is_so(features) { yes } else { no }.call(features),
        }
    }

    /// The tree as statements; `call` writes a call.
    pub(super) fn javascript(&self, paths: &Paths, depth: usize, call: &dyn Fn(usize) -> String) -> String {
        let indent = "  ".repeat(depth);
        match self {
            Self::Call(number) => indented(&format!("{indent}{}", call(*number))),
            Self::Ask(question, yes, no) => {
                let Some(asked) = question.javascript(paths) else {
                    return no.javascript(paths, depth, call);
                };
                let mut text = indented(&format!("{indent}if ({asked}) {{"));
                text.push_str(&yes.javascript(paths, depth + 1, call));
                text.push_str(&indented(&format!("{indent}}} else {{")));
                text.push_str(&no.javascript(paths, depth + 1, call));
                text.push_str(&indented(&format!("{indent}}}")));
                text
            }
        }
    }
}

/// The call that is good in most of these states, and in how many.
fn most_often_good(lessons: &[&Lesson<'_>]) -> (usize, usize) {
    let mut good: BTreeMap<usize, usize> = BTreeMap::new();
    for call in lessons.iter().flat_map(|lesson| &lesson.best) {
        *good.entry(*call).or_default() += 1;
    }
    good.into_iter().max_by_key(|(call, times)| (*times, std::cmp::Reverse(*call))).unwrap_or((0, 0))
}

/// Gini impurity times the number of states; a state in which several calls are good counts for each in part.
fn impurity<'a>(lessons: impl Iterator<Item = &'a Lesson<'a>>) -> f64 {
    let (mut shares, mut whole): (BTreeMap<usize, f64>, f64) = (BTreeMap::new(), 0.0);
    for lesson in lessons {
        whole += 1.0;
        for call in &lesson.best {
            *shares.entry(*call).or_default() += 1.0 / lesson.best.len() as f64;
        }
    }
    if whole == 0.0 { 0.0 } else { whole - shares.values().map(|share| share * share).sum::<f64>() / whole }
}

/// Questions that tell these states apart.
fn questions(lessons: &[&Lesson<'_>], paths: &[usize]) -> Vec<Question> {
    let mut asked = Vec::new();
    let mut numbers = Vec::new();
    for &path in paths {
        let values: Vec<&Scalar> = lessons.iter().filter_map(|lesson| lesson.features.get(path)).collect();
        if values.is_empty() {
            continue;
        }
        if values.len() < lessons.len() {
            asked.push(Question::Has(path));
        }
        let mut counted: Vec<f64> = values.iter().filter_map(|value| value.number()).collect();
        counted.sort_by(f64::total_cmp);
        counted.dedup();
        if counted.len() > 1 {
            numbers.push(path);
            let step = counted.len().div_ceil(VALUES);
            let pairs = counted.windows(2).step_by(step);
            // Half-way between two values; between whole numbers the lower one says the same.
            let between = |pair: &[f64]| {
                let whole = pair[0].fract() == 0.0 && pair[1].fract() == 0.0;
                if whole { pair[0] } else { f64::midpoint(pair[0], pair[1]) }
            };
            asked.extend(pairs.map(|pair| Question::AtMost(path, between(pair))));
        }
        let others: BTreeSet<String> = values
            .iter()
            .filter(|value| value.number().is_none())
            .map(|value| value.json().to_string())
            .collect();
        if others.len() > 1 {
            let mut seen = BTreeSet::new();
            let distinct = values.iter().filter(|value| value.number().is_none());
            let distinct = distinct.filter(|value| seen.insert(value.json().to_string())).take(VALUES);
            asked.extend(distinct.map(|value| Question::Is(path, (*value).clone())));
        }
    }
    for a in numbers.iter().take(COMPARED) {
        for b in numbers.iter().take(COMPARED).filter(|b| *b != a) {
            asked.push(Question::Less(*a, *b));
        }
    }
    asked
}
