//! The random policy: which call to make next, and with which arguments.

use super::experience::{Experience, bare_words};
use super::random::Random;
use super::reading::Reading;
use crate::ui::{ElementId, UiElement, UiState};
use serde_json::Value;
use sojourn_tools::{ActionTemplate, ArgumentSource, ExplorationSpec};
use std::collections::BTreeSet;

/// One action calls a tool for this many elements, at most.
const SEVERAL: usize = 10;

/// Acts at random in one episode.
pub(super) struct RandomPolicy<'a> {
    pub random: Random,
    spec: &'a ExplorationSpec,
    experience: &'a Experience,
    /// The elements that were there before the last action; none at first.
    known: BTreeSet<ElementId>,
    /// The elements that were acted on.
    used: BTreeSet<ElementId>,
}

/// The arguments of calls to the tool of one template.
pub(super) type Action<'a> = (&'a ActionTemplate, Vec<Vec<Value>>);

/// The input for drawing an action: a state, the reading of its texts, and the elements that can be acted on.
struct PolicyInput<'s> {
    state: &'s UiState,
    reading: &'s Reading,
    available: Vec<&'s UiElement>,
}

impl<'a> RandomPolicy<'a> {
    pub(super) fn new(seed: u64, spec: &'a ExplorationSpec, experience: &'a Experience) -> Self {
        let (known, used) = (BTreeSet::new(), BTreeSet::new());
        Self { random: Random::new(seed), spec, experience, known, used }
    }

    /// The next action; none where nothing can be done. An action that is known to end episodes is rather drawn as the `last`.
    pub(super) fn draw(&mut self, state: &UiState, reading: &Reading, last: bool) -> Option<Action<'a>> {
        let is_available = |element: &&UiElement| {
            !element.disabled && (!element.hidden || reading.mentions(self.spec, element))
        };
        let available = state.elements.iter().filter(is_available).collect();
        let input = PolicyInput { state, reading, available };
        let templates = self.templates(&input);
        if last
            && !self.random.once_in(4)
            && let Some(ending) = self.ending(&input, &templates)
        {
            return Some(ending);
        }
        let template = *self.random.one(&templates)?;
        let calls = self.arguments(&input, template, last)?;
        self.known = state.elements.iter().map(|element| element.id.clone()).collect();
        let targets = calls.iter().filter_map(|args| args.first()?.as_str());
        self.used.extend(targets.map(ElementId::from));
        Some((template, calls))
    }

    /// The templates that have an element to act on, each as often as its weight says.
    fn templates(&self, input: &PolicyInput<'_>) -> Vec<&'a ActionTemplate> {
        let is_possible = |template: &&ActionTemplate| {
            let mut sources = template.args.iter();
            sources
                .all(|source| !matches!(source, ArgumentSource::Element(kinds) if input.of(kinds).is_empty()))
        };
        let possible = self.spec.actions.iter().filter(is_possible);
        possible.flat_map(|template| std::iter::repeat_n(template, template.weight as usize)).collect()
    }

    /// An action that is known to end episodes.
    fn ending(&mut self, input: &PolicyInput<'_>, templates: &[&'a ActionTemplate]) -> Option<Action<'a>> {
        let mut endings = Vec::new();
        for template in templates {
            let [ArgumentSource::Element(kinds)] = template.args.as_slice() else { continue };
            let all = input.of(kinds).into_iter();
            let ending = all.filter(|element| self.experience.ends(&template.tool, element));
            endings.extend(ending.map(|element| (*template, vec![vec![Value::from(&element.id)]])));
        }
        self.random.one(&endings).cloned()
    }

    /// Arguments for a template, call by call.
    fn arguments(
        &mut self,
        input: &PolicyInput<'_>,
        template: &ActionTemplate,
        last: bool,
    ) -> Option<Vec<Vec<Value>>> {
        let mut args: Vec<Value> = Vec::new();
        let mut target: Option<&UiElement> = None;
        for source in &template.args {
            args.push(match source {
                ArgumentSource::Element(kinds) => {
                    let mut all = input.of(kinds);
                    if !last && !self.random.once_in(8) {
                        all.retain(|element| !self.experience.ends(&template.tool, element));
                    }
                    let element = self.element(input, all, args.is_empty())?;
                    target = Some(element);
                    Value::from(&element.id)
                }
                ArgumentSource::OptionOf(field) => {
                    let element = target?;
                    let options = element.list(field)?;
                    let is_mentioned = |option: &&String| input.reading.is_mentioned(option);
                    let mentioned: Vec<&String> = options.iter().filter(is_mentioned).collect();
                    if mentioned.len() > 1 && self.random.once_in(2) {
                        let call = |option: &String| vec![Value::from(&element.id), option.as_str().into()];
                        return Some(mentioned.into_iter().take(SEVERAL).map(call).collect());
                    }
                    let options = if mentioned.is_empty() { options.iter().collect() } else { mentioned };
                    self.random.one(&options)?.as_str().into()
                }
                ArgumentSource::GoalText => self.goal_text(input)?.into(),
                ArgumentSource::ElementText(field) => self.element_text(input, field)?.into(),
                ArgumentSource::OneOf(values) => self.random.one(values)?.clone(),
            });
        }
        match (template.args.as_slice(), target) {
            ([ArgumentSource::Element(_)], Some(element)) => Some(self.several(input, element)),
            _ => Some(vec![args]),
        }
    }

    /// One of these elements: more likely one that the goal mentions, that has just appeared, or that was not acted on yet.
    fn element<'s>(
        &mut self,
        input: &PolicyInput<'s>,
        mut all: Vec<&'s UiElement>,
        is_first: bool,
    ) -> Option<&'s UiElement> {
        if is_first && !self.random.once_in(4) {
            narrow(&mut all, |element| !self.used.contains(&element.id));
        }
        if !self.known.is_empty() && self.random.once_in(2) {
            narrow(&mut all, |element| !self.known.contains(&element.id));
        }
        if self.random.once_in(2) {
            narrow(&mut all, |element| input.reading.mentions(self.spec, element));
        }
        self.random.one(&all).copied()
    }

    /// The element alone, or all elements that have the same in common with it.
    fn several(&mut self, input: &PolicyInput<'_>, element: &UiElement) -> Vec<Vec<Value>> {
        let call = |element: &UiElement| vec![Value::from(&element.id)];
        let alone = vec![call(element)];
        if !self.random.once_in(4) {
            return alone;
        }
        let of_kind = input.available.iter().copied().filter(|other| other.kind == element.kind);
        let all: Vec<&UiElement> = of_kind.collect();
        let is_near_mentioned = |one: &UiElement| {
            let groups = &one.groups;
            self.spec.groups.is_empty()
                || groups.iter().any(|group| {
                    let mut near = input
                        .available
                        .iter()
                        .filter(|other| other.group(&group.field) == Some(group.number));
                    near.any(|other| input.reading.is_mentioned(&other.label))
                })
        };
        let alike = |one: &&&UiElement| {
            !element.label.is_empty() && one.label == element.label && is_near_mentioned(one)
        };
        let like: Vec<&UiElement> = all.iter().filter(alike).copied().collect();
        let is_mentioned = |one: &&&UiElement| input.reading.mentions(self.spec, one);
        let mentioned: Vec<&UiElement> = all.iter().filter(is_mentioned).copied().collect();
        let sets: Vec<Vec<&UiElement>> =
            [like, mentioned, all].into_iter().filter(|set| set.len() > 1).collect();
        let Some(mut set) = self.random.one(&sets).cloned().filter(|set| set.len() <= SEVERAL) else {
            return alone;
        };
        let number = |element: &UiElement| input.reading.number(&element.label);
        if set.iter().all(|element| number(element).is_some()) && self.random.once_in(2) {
            set.sort_by(|a, b| number(a).unwrap_or(0.0).total_cmp(&number(b).unwrap_or(0.0)));
            if self.random.once_in(2) {
                set.reverse();
            }
        }
        set.into_iter().map(call).collect()
    }

    /// Words of the goal: rather those in quotation marks, or those that differ from world to world.
    fn goal_text(&mut self, input: &PolicyInput<'_>) -> Option<String> {
        let quoted: Vec<&str> = input.reading.quoted.iter().map(String::as_str).collect();
        let all: Vec<&str> = bare_words(&input.state.goal).collect();
        let differing: Vec<&str> = all.iter().copied().filter(|word| self.experience.differs(word)).collect();
        let words = if !quoted.is_empty() && !self.random.once_in(4) {
            quoted
        } else if !differing.is_empty() && !self.random.once_in(4) {
            differing
        } else {
            all
        };
        let word = *self.random.one(&words)?;
        Some(match self.random.below(8) {
            0 => word.to_uppercase(),
            1 => word.to_lowercase(),
            _ => word.to_owned(),
        })
    }

    /// The text in this field of an element, the result of the calculation in it, or one of its words.
    fn element_text(&mut self, input: &PolicyInput<'_>, field: &str) -> Option<String> {
        let texts = input.available.iter().filter_map(|element| element.text(self.spec, field));
        let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
        let text = *self.random.one(&texts)?;
        if let Some(result) = input.reading.calculated(text).filter(|_| self.random.once_in(2)) {
            return Some(result.to_owned());
        }
        let word = input.reading.ordinal_word(text).filter(|_| self.random.once_in(2));
        Some(word.unwrap_or(text).to_owned())
    }
}

impl<'s> PolicyInput<'s> {
    /// The available elements of these kinds; all where no kind is given.
    fn of(&self, kinds: &[String]) -> Vec<&'s UiElement> {
        let is = |element: &&UiElement| kinds.is_empty() || kinds.contains(&element.kind);
        self.available.iter().copied().filter(is).collect()
    }
}

/// Leaves the elements for which `to` holds, where there are any.
fn narrow(all: &mut Vec<&UiElement>, to: impl Fn(&UiElement) -> bool) {
    if all.iter().any(|element| to(element)) {
        all.retain(|element| to(element));
    }
}
