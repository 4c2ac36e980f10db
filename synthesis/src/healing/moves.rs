//! What can be done at one point of a recorded way, and what it costs.

use crate::recording::text;
use crate::ui::{UiElement, UiState};
use serde_json::{Map, Value};
use sojourn_tools::{ArgumentSource, EnvironmentSpec, ExplorationSpec, RecordedArgument, RecordedStep};
use std::collections::BTreeSet;

/// Elements that may take the place of a recorded one, and elements that may stand in the way, at most.
const SUBSTITUTES: usize = 8;
const OBSTACLES: usize = 12;
/// The costs of changes. A substitute costs up to [`UNLIKE`] more, by its words: one of the same kind comes before a new step, since what
/// was renamed looks like a step that is new and another that is gone.
const SUBSTITUTE: u32 = 10;
const OTHER_KIND: u32 = 10;
const UNLIKE: u32 = 10;
const MOVED: u32 = 21;
const OBSTACLE: u32 = 22;
const LEFT: u32 = 24;

/// One step of a way. Elements are named by kind and words, because ids are those of one episode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Move {
    /// A recorded step as it was, in its place or before it.
    Recorded { at: usize, moved: bool },
    /// A recorded step at another element.
    Substituted { at: usize, kind: String, label: String },
    /// A recorded step is left out.
    Leave { at: usize },
    /// A call that was not recorded, at an element.
    Inserted { tool: String, parameter: String, kind: String, label: String },
}

/// A move and its cost.
pub(super) struct Costed {
    pub cost: u32,
    pub next: Move,
}

impl Move {
    /// The recorded step that it makes.
    pub fn recorded(&self) -> Option<usize> {
        match self {
            Self::Recorded { at, .. } | Self::Substituted { at, .. } => Some(*at),
            Self::Leave { .. } | Self::Inserted { .. } => None,
        }
    }

    /// The recorded step that it makes or leaves out.
    fn settles(&self) -> Option<usize> {
        match self {
            Self::Leave { at } => Some(*at),
            other => other.recorded(),
        }
    }

    /// What is done; `None` where nothing is.
    pub fn step(&self, recorded: &[RecordedStep]) -> Option<RecordedStep> {
        let element = |kind: &String, label: &String| RecordedArgument::Element {
            kind: kind.clone(),
            label: label.clone(),
        };
        match self {
            Self::Recorded { at, .. } => recorded.get(*at).cloned(),
            Self::Substituted { at, kind, label } => {
                let mut step = recorded.get(*at)?.clone();
                *target(&mut step)? = element(kind, label);
                Some(step)
            }
            Self::Leave { .. } => None,
            Self::Inserted { tool, parameter, kind, label } => {
                let args = vec![(parameter.clone(), element(kind, label))];
                Some(RecordedStep { tool: tool.clone(), args })
            }
        }
    }

    /// The move as a difference from the recording; `None` where it is none. `later` are the moves after it.
    pub fn change(&self, recorded: &[RecordedStep], later: &[Self]) -> Option<String> {
        match self {
            Self::Recorded { moved: false, .. } | Self::Leave { .. } => None,
            Self::Recorded { at, moved: true } => {
                // Where the steps before it are never made, it has not moved.
                let overtook = later.iter().filter_map(Self::recorded).any(|other| other < *at);
                overtook.then(|| recorded.get(*at).map(|step| format!("{step} comes earlier")))?
            }
            Self::Substituted { at, .. } => {
                let (mut was, mut is) = (recorded.get(*at)?.clone(), self.step(recorded)?);
                Some(format!("{} is now {}", target(&mut was)?, target(&mut is)?))
            }
            Self::Inserted { .. } => Some(format!("{} is new", self.step(recorded)?)),
        }
    }
}

/// The element that a step is about.
fn target(step: &mut RecordedStep) -> Option<&mut RecordedArgument> {
    let first = step.args.first_mut().map(|(_, argument)| argument);
    first.filter(|argument| matches!(argument, RecordedArgument::Element { .. }))
}

/// The value of an argument in a state; `None` where its element is not there, or cannot be acted on.
pub(super) fn value(
    argument: &RecordedArgument,
    seen: &UiState,
    arguments: &Map<String, Value>,
) -> Option<Value> {
    match argument {
        RecordedArgument::Element { kind, label } => {
            let is_it = |one: &&UiElement| one.kind == *kind && one.label == *label && !one.disabled;
            seen.elements.iter().find(is_it).map(|one| Value::from(&one.id))
        }
        RecordedArgument::Parameter(name) => arguments.get(name).map(|value| text(value).into()),
        RecordedArgument::Fixed(value) => Some(value.clone()),
    }
}

/// What can be done after some moves.
pub(super) struct Options<'a> {
    pub spec: &'a ExplorationSpec,
    pub environment: &'a EnvironmentSpec,
    pub recorded: &'a [RecordedStep],
    pub seen: &'a UiState,
    pub moves: &'a [Move],
}

impl Options<'_> {
    /// All moves, the cheapest first. At most one costs nothing.
    pub fn all(&self) -> Vec<Costed> {
        let settled: BTreeSet<usize> = self.moves.iter().filter_map(Move::settles).collect();
        let left: Vec<usize> = (0..self.recorded.len()).filter(|at| !settled.contains(at)).collect();
        let mut all = Vec::new();
        if let Some(&at) = left.first() {
            if self.is_possible(&self.recorded[at]) {
                all.push(Costed { cost: 0, next: Move::Recorded { at, moved: false } });
            }
            all.extend(self.substitutes(at));
            all.push(Costed { cost: LEFT, next: Move::Leave { at } });
        }
        for &at in left.iter().skip(1).filter(|&&at| self.is_possible(&self.recorded[at])) {
            all.push(Costed { cost: MOVED, next: Move::Recorded { at, moved: true } });
        }
        all.extend(self.obstacles());
        all.sort_by_key(|one| one.cost);
        all
    }

    fn is_possible(&self, step: &RecordedStep) -> bool {
        step.args.iter().all(|(_, argument)| match argument {
            RecordedArgument::Element { .. } => value(argument, self.seen, &Map::new()).is_some(),
            _ => true,
        })
    }

    /// The recorded step at other elements that its tool takes, those with similar words first.
    fn substitutes(&self, at: usize) -> Vec<Costed> {
        let mut step = self.recorded[at].clone();
        let tool = step.tool.clone();
        let Some(RecordedArgument::Element { kind, label }) = target(&mut step) else { return Vec::new() };
        let kinds = self.kinds(&tool);
        let mut found: Vec<Costed> = Vec::new();
        for one in self.operable() {
            if one.kind == *kind && one.label == *label {
                continue;
            }
            // Where the environment names the kinds that a tool is for, others are left alone.
            if one.kind != *kind && !kinds.contains(one.kind.as_str()) {
                continue;
            }
            let other = if one.kind == *kind { 0 } else { OTHER_KIND };
            let unlike = ((1.0 - likeness(label, &one.label)) * f64::from(UNLIKE)).round() as u32;
            let next = Move::Substituted { at, kind: one.kind.clone(), label: one.label.clone() };
            found.push(Costed { cost: SUBSTITUTE + other + unlike, next });
        }
        found.sort_by_key(|one| one.cost);
        found.truncate(SUBSTITUTES);
        found
    }

    /// Calls at elements that the recording does not know, as a dialog has them. The last elements of a state come first: what is
    /// laid over others usually comes after them.
    fn obstacles(&self) -> Vec<Costed> {
        let Some((tool, parameter, kinds)) = self.plain_tool() else { return Vec::new() };
        let known = |one: &UiElement| {
            self.recorded.iter().chain(&self.made()).any(|step| {
                step.args.iter().any(|(_, argument)| {
                    matches!(argument, RecordedArgument::Element { kind, label } if *kind == one.kind && *label == one.label)
                })
            })
        };
        let unknown = self.operable().filter(|one| kinds.contains(one.kind.as_str()) && !known(one));
        let unknown: Vec<&UiElement> = unknown.collect();
        let inserted = |one: &UiElement| Move::Inserted {
            tool: tool.to_owned(),
            parameter: parameter.to_owned(),
            kind: one.kind.clone(),
            label: one.label.clone(),
        };
        let last = unknown.iter().rev().take(OBSTACLES);
        last.zip(0..).map(|(one, rank)| Costed { cost: OBSTACLE + rank / 2, next: inserted(one) }).collect()
    }

    /// The steps of the moves so far.
    fn made(&self) -> Vec<RecordedStep> {
        self.moves.iter().filter_map(|one| one.step(self.recorded)).collect()
    }

    fn operable(&self) -> impl Iterator<Item = &UiElement> {
        let mut seen = BTreeSet::new();
        self.seen.elements.iter().filter(move |one| !one.disabled && seen.insert((&one.kind, &one.label)))
    }

    /// The kinds of elements that the environment names for a tool.
    fn kinds(&self, tool: &str) -> BTreeSet<&str> {
        let actions = self.spec.actions.iter().filter(|action| action.tool == tool);
        let kinds = actions.filter_map(|action| match action.args.first() {
            Some(ArgumentSource::Element(kinds)) => Some(kinds),
            _ => None,
        });
        kinds.flatten().map(String::as_str).collect()
    }

    /// The likeliest tool that takes one element and nothing else, its parameter, and the kinds that it is mostly for.
    fn plain_tool(&self) -> Option<(&str, &str, BTreeSet<&str>)> {
        let plain = self.spec.actions.iter().filter(
            |action| matches!(action.args.as_slice(), [ArgumentSource::Element(kinds)] if !kinds.is_empty()),
        );
        let tool = plain.max_by_key(|action| action.weight)?.tool.as_str();
        let parameter = self.environment.tools.iter().find(|one| one.name == tool)?.parameters.first()?;
        Some((tool, &parameter.name, self.kinds(tool)))
    }
}

/// How much two texts have in common, from 0 to 1: the Dice coefficient of their pairs of letters.
fn likeness(one: &str, other: &str) -> f64 {
    let pairs = |text: &str| {
        let letters: Vec<char> =
            text.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect();
        letters.windows(2).map(|pair| (pair[0], pair[1])).collect::<BTreeSet<_>>()
    };
    let (one, other) = (pairs(one), pairs(other));
    let both = one.len() + other.len();
    if both == 0 { 0.0 } else { 2.0 * one.intersection(&other).count() as f64 / both as f64 }
}
