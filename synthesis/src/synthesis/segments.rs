//! A demonstration taken apart into segments, each of which becomes one step of a program.

use super::explain::Explainer;
use super::selector::{Filter, Order, Selection};
use crate::ui::{ElementId, UiElement, UiState};
use serde_json::Value;
use sojourn_tools::ToolCall;
use std::collections::BTreeSet;

/// A demonstrated call with the state before it.
#[derive(Clone, Copy)]
pub(super) struct IndexedCall<'a> {
    pub call: &'a ToolCall,
    pub state: &'a UiState,
    /// The index of the state in the table of values.
    pub index: usize,
}

/// How a demonstration is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Segmentation {
    /// Call by call.
    Plain,
    /// Calls that do the same to several elements belong together.
    Loops,
    /// Calls after which an element is there that was not there before are a search for it.
    Search,
}

/// The kind of step that a segment becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form<'a> {
    Call,
    /// A loop over elements of this kind.
    ForEach(&'a str),
    ForEachOption,
    /// A search among elements of this kind.
    Search(&'a str),
}

/// Calls of a demonstration that belong together.
pub(super) struct Segment<'a> {
    pub form: Form<'a>,
    pub steps: &'a [IndexedCall<'a>],
    /// The call after them.
    pub then: Option<IndexedCall<'a>>,
}

impl<'a> IndexedCall<'a> {
    /// The first argument.
    pub(super) fn target(&self) -> Option<&'a Value> {
        self.call.args.values().next()
    }

    /// The element in the first argument.
    pub(super) fn target_element(&self) -> Option<&'a UiElement> {
        self.state.element(self.target()?)
    }

    /// The element in the only argument.
    fn only_element(&self) -> Option<&'a UiElement> {
        self.target_element().filter(|_| self.call.args.len() == 1)
    }

    fn kind(&self) -> Option<&'a str> {
        self.only_element().map(|element| element.kind.as_str())
    }
}

impl Explainer<'_> {
    /// Takes the calls of a demonstration apart.
    pub(super) fn segments<'a>(
        &self,
        steps: &'a [IndexedCall<'a>],
        segmentation: Segmentation,
    ) -> Vec<Segment<'a>> {
        let mut segments = Vec::new();
        let mut rest = steps;
        while !rest.is_empty() {
            let (form, length) = match segmentation {
                Segmentation::Plain => (Form::Call, 1),
                Segmentation::Loops => self.loop_at(rest),
                Segmentation::Search => search_at(rest),
            };
            segments.push(Segment { form, steps: &rest[..length], then: rest.get(length).copied() });
            rest = &rest[length..];
        }
        segments
    }

    /// The loop that the first calls are, and how many they are.
    fn loop_at<'a>(&self, steps: &[IndexedCall<'a>]) -> (Form<'a>, usize) {
        if let Some(kind) = steps[0].kind() {
            let length = run_length(steps, kind);
            if !self.selections(&steps[..length], kind).is_empty() {
                return (Form::ForEach(kind), length);
            }
        }
        let target = steps[0].target();
        let same = |step: &&IndexedCall<'_>| step.call.name == steps[0].call.name && step.target() == target;
        let length = steps.iter().take_while(same).count();
        if self.looped_lists(&steps[..length]).is_empty() {
            (Form::Call, 1)
        } else {
            (Form::ForEachOption, length)
        }
    }

    /// The selections that yield the elements of these calls and no others, those by number first.
    pub(super) fn selections(&self, steps: &[IndexedCall<'_>], kind: &str) -> Vec<Selection> {
        let view = self.view(steps[0]);
        let done: Vec<&UiElement> = steps.iter().filter_map(IndexedCall::only_element).collect();
        let Some(first) = done.first() else { return Vec::new() };
        let Some(place) = view.state.elements.iter().position(|element| element.id == first.id) else {
            return Vec::new();
        };
        let mut filters: Vec<Filter> =
            view.mentioned_fields(place).into_iter().map(Filter::Mentioned).collect();
        let label = &first.label;
        filters.extend(
            self.spec
                .groups
                .iter()
                .map(|group| Filter::Beside { group: group.clone(), label: label.clone() }),
        );
        if done.len() > 1 {
            if !label.is_empty() {
                filters.push(Filter::Label(label.clone()));
            }
            filters.push(Filter::All);
        }
        let wanted: BTreeSet<&str> = done.iter().map(|element| element.id.as_str()).collect();
        let in_order: Vec<&str> = done.iter().map(|element| element.id.as_str()).collect();
        let numbers = done.len() > 1
            && done.iter().all(|element| {
                let place = view.state.position(&Value::from(&element.id));
                place.is_some_and(|place| view.is_number(place))
            });
        let mut found = Vec::new();
        for filter in filters {
            let selection = |order| Selection { kind: kind.to_owned(), filter: filter.clone(), order };
            let seen = selection(Order::AsSeen);
            if view.selected(&seen).into_iter().collect::<BTreeSet<_>>() != wanted {
                continue;
            }
            // Calls in any order may be repeated in the order of the state, unless their order was that of numbers.
            found.push(seen);
            if numbers {
                let sorted = [Order::Ascending, Order::Descending].map(selection);
                found.extend(sorted.into_iter().filter(|sorted| view.selected(sorted) == in_order));
            }
        }
        found.sort_by_key(|selection| selection.order == Order::AsSeen);
        found
    }

    /// The lists of the element of these calls of which all texts that the goal contains were given.
    pub(super) fn looped_lists(&self, steps: &[IndexedCall<'_>]) -> Vec<String> {
        let (Some(element), 2) = (steps[0].target_element(), steps[0].call.args.len()) else {
            return Vec::new();
        };
        let view = self.view(steps[0]);
        let given: BTreeSet<&str> =
            steps.iter().filter_map(|step| step.call.args.values().nth(1)?.as_str()).collect();
        let fits = |field: &str| {
            view.mentioned_options(element, field).into_iter().collect::<BTreeSet<_>>() == given
        };
        element.lists().map(|(field, _)| field).filter(|field| fits(field)).map(str::to_owned).collect()
    }
}

/// The search that the first calls are, and how many they are.
fn search_at<'a>(steps: &[IndexedCall<'a>]) -> (Form<'a>, usize) {
    let Some(kind) = steps[0].kind() else { return (Form::Call, 1) };
    let first = steps[0].state;
    let several = first.elements.iter().filter(|element| element.kind == kind).count() > 1;
    for length in (1..=run_length(steps, kind)).rev() {
        let next = steps.get(length).and_then(IndexedCall::target);
        if next.is_some_and(|id| first.element(id).is_none()) && (length > 1 || several) {
            return (Form::Search(kind), length);
        }
    }
    (Form::Call, 1)
}

/// How many calls from the first on use the same tool, each on one element of this kind.
fn run_length(steps: &[IndexedCall<'_>], kind: &str) -> usize {
    let alike = |step: &&IndexedCall<'_>| step.call.name == steps[0].call.name && step.kind() == Some(kind);
    steps.iter().take_while(alike).count()
}

/// The ids of the elements of `after` that were not there before.
pub(super) fn appeared<'a>(before: &UiState, after: &'a UiState) -> Vec<(usize, &'a ElementId)> {
    let ids: BTreeSet<&ElementId> = before.elements.iter().map(|element| &element.id).collect();
    let new = after.elements.iter().enumerate().filter(|(_, element)| !ids.contains(&element.id));
    new.map(|(place, element)| (place, &element.id)).collect()
}
