//! Expressions that find one element, and those that find several.

use super::text::TextExpression;
use super::values::View;
use crate::javascript::{member, quote};
use crate::ui::UiElement;
use sojourn_tools::ExplorationSpec;

/// Elements of the same group that serve as an anchor, at most.
const ANCHORS: usize = 3;
/// Elements of a kind from which the greatest or the least can stand out, at least.
const COMPARED: usize = 3;

/// How one element is found in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    /// Only elements of this kind are considered; any where there is none.
    kind: Option<String>,
    strategy: Strategy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Strategy {
    /// The first whose label is this text.
    Label(TextExpression),
    /// The first whose label contains this text.
    LabelContains(TextExpression),
    /// The one with the longest text in these fields that the goal contains.
    Mentioned(Vec<String>),
    /// The one at the place that the goal's ordinal number of this position states.
    Ordinal(usize),
    /// The one at this place, from 0.
    Place(usize),
    /// The last.
    Last,
    /// The one whose label is the greatest number, or the least.
    Extreme { greatest: bool },
    /// The one at this place among those in the same group as the anchor, and with this label where it is not empty.
    Beside { group: String, anchor: Box<Selector>, label: String, place: usize },
    /// The first after the anchor.
    After(Box<Selector>),
}

impl Selector {
    /// Selectors that find the element at `place`, the most specific first. `with_kind` restricts them to elements of its kind.
    pub(super) fn all(view: View<'_>, place: usize, with_kind: bool) -> Vec<Self> {
        let (mut all, fixed): (Vec<Self>, Vec<Self>) =
            Self::plain(view, place, with_kind).into_iter().partition(Self::depends_on_goal);
        let (anchored, anchored_fixed) = Self::anchored(view, place, with_kind);
        all.extend(anchored);
        all.extend(fixed);
        all.extend(anchored_fixed);
        all
    }

    /// Those selectors that need no anchor.
    pub(super) fn plain(view: View<'_>, place: usize, with_kind: bool) -> Vec<Self> {
        let elements = &view.state.elements;
        let element = &elements[place];
        let kind = with_kind.then(|| element.kind.clone());
        let of_kind = |other: &UiElement| kind.as_ref().is_none_or(|kind| other.kind == *kind);
        let alike: Vec<usize> = (0..elements.len()).filter(|&at| of_kind(&elements[at])).collect();
        let before = alike.iter().filter(|&&at| at < place).count();
        let mut strategies = Vec::new();

        let texts = if element.label.is_empty() {
            Vec::new()
        } else {
            TextExpression::from_goal(view, &element.label)
        };
        let (quoted, unquoted): (Vec<_>, Vec<_>) = texts
            .into_iter()
            .partition(|text| matches!(text, TextExpression::Quoted(_) | TextExpression::Argument(_)));
        strategies.extend(quoted.into_iter().map(Strategy::Label));
        let fields = view.mentioned_fields(place);
        strategies.extend(fields.iter().map(|field| Strategy::Mentioned(vec![field.clone()])));
        if fields.len() > 1 {
            strategies.push(Strategy::Mentioned(fields));
        }
        strategies.extend(unquoted.into_iter().map(Strategy::Label));
        let ordinal = view.ordinals().iter().position(|&ordinal| ordinal == before as u64 + 1);
        strategies.extend(ordinal.map(Strategy::Ordinal));
        if alike.len() >= COMPARED && alike.iter().all(|&at| view.is_number(at)) {
            strategies.extend([true, false].map(|greatest| Strategy::Extreme { greatest }));
        }
        if !element.label.is_empty() {
            let within = |text: &str| text.len() > 1 && element.label != text && element.label.contains(text);
            strategies
                .extend(TextExpression::arguments(view, within).into_iter().map(Strategy::LabelContains));
            for (position, quoted) in view.quoted().iter().enumerate() {
                if quoted.len() > 1 && element.label != *quoted {
                    strategies.push(Strategy::LabelContains(TextExpression::Quoted(position)));
                }
            }
            strategies.push(Strategy::Label(TextExpression::Fixed(element.label.clone())));
        }
        strategies.push(Strategy::Place(before));
        if before > 0 && before + 1 == alike.len() {
            strategies.push(Strategy::Last);
        }
        let selectors = strategies.into_iter().map(|strategy| Self { kind: kind.clone(), strategy });
        selectors.filter(|selector| view.finds(selector, element)).collect()
    }

    /// Selectors by an anchor: those whose anchor depends on the goal, and the others.
    fn anchored(view: View<'_>, place: usize, with_kind: bool) -> (Vec<Self>, Vec<Self>) {
        let elements = &view.state.elements;
        let element = &elements[place];
        let kind = with_kind.then(|| element.kind.clone());
        let (mut by_goal, mut fixed) = (Vec::new(), Vec::new());
        let said_length = |at: usize| if view.is_mentioned(at) { elements[at].label.len() } else { 0 };
        for group in &view.spec.groups {
            let Some(number) = element.group(group) else { continue };
            let in_group = |other: &UiElement| other.group(group) == Some(number);
            let mut near: Vec<usize> = (0..elements.len())
                .filter(|&at| at != place && in_group(&elements[at]) && !elements[at].label.is_empty())
                .collect();
            near.sort_by_key(|&at| std::cmp::Reverse(said_length(at)));
            for at in near.into_iter().take(ANCHORS) {
                let is_said = said_length(at) > 0;
                for anchor in Self::plain(view, at, false) {
                    let depends = anchor.depends_on_goal();
                    let by_place =
                        matches!(anchor.strategy, Strategy::Place(_) | Strategy::Last | Strategy::Ordinal(_));
                    if depends != is_said || by_place {
                        continue;
                    }
                    let alike = elements[..place].iter().filter(|other| {
                        in_group(other)
                            && kind.as_ref().is_none_or(|kind| other.kind == *kind)
                            && (element.label.is_empty() || other.label == element.label)
                    });
                    let strategy = Strategy::Beside {
                        group: group.clone(),
                        anchor: Box::new(anchor),
                        label: element.label.clone(),
                        place: alike.count(),
                    };
                    let selectors = if depends { &mut by_goal } else { &mut fixed };
                    selectors.push(Self { kind: kind.clone(), strategy });
                }
            }
        }
        // The nearest label before the element that is not its own.
        let differs = |at: &usize| !elements[*at].label.is_empty() && elements[*at].label != element.label;
        if let Some(at) = (0..place).rev().find(differs).filter(|_| with_kind) {
            for anchor in Self::plain(view, at, false) {
                if matches!(anchor.strategy, Strategy::Place(_) | Strategy::Last) {
                    continue;
                }
                let selectors = if anchor.depends_on_goal() { &mut by_goal } else { &mut fixed };
                selectors.push(Self { kind: kind.clone(), strategy: Strategy::After(Box::new(anchor)) });
            }
        }
        let finding = |selectors: Vec<Self>| {
            selectors.into_iter().filter(|selector| view.finds(selector, element)).collect()
        };
        (finding(by_goal), finding(fixed))
    }

    /// Whether the goal, or a comparison of all elements, decides which element it finds. Otherwise a place or fixed words do.
    pub(super) fn depends_on_goal(&self) -> bool {
        match &self.strategy {
            Strategy::Label(text) => !matches!(text, TextExpression::Fixed(_)),
            Strategy::LabelContains(_)
            | Strategy::Mentioned(_)
            | Strategy::Ordinal(_)
            | Strategy::Extreme { .. } => true,
            Strategy::Place(_) | Strategy::Last => false,
            Strategy::Beside { anchor, .. } | Strategy::After(anchor) => anchor.depends_on_goal(),
        }
    }

    /// The selector in JavaScript, where `elements` is the text of an expression for the list of elements. Its value is the
    /// element, or undefined where there is none.
    pub(crate) fn expression(&self, spec: &ExplorationSpec, elements: &str) -> String {
        let kind = self.kind.as_ref().map(|kind| format!("{} === {}", member("e", &spec.kind), quote(kind)));
        let label = |element: &str| member(element, &spec.label);
        let all = |more: Option<String>| {
            let conditions: Vec<String> = kind.iter().cloned().chain(more).collect();
            conditions.join(" && ")
        };
        let of_kind = if kind.is_some() {
            format!("{elements}.filter(e => {})", all(None))
        } else {
            elements.to_owned()
        };
        match &self.strategy {
            Strategy::Label(text) => {
                let wanted = format!("{} === {}", label("e"), text.expression(spec, elements));
                format!("{elements}.find(e => {})", all(Some(wanted)))
            }
            Strategy::LabelContains(text) => {
                let wanted = format!("{}.includes({})", label("e"), text.expression(spec, elements));
                format!("{elements}.find(e => {})", all(Some(wanted)))
            }
            Strategy::Mentioned(fields) if fields.len() == 1 => {
                let field = |element: &str| member(element, &fields[0]);
                let said = all(Some(format!("said({})", field("e"))));
                format!(
                    "{elements}.filter(e => {said}).sort((a, b) => {}.length - {}.length)[0]",
                    field("b"),
                    field("a")
                )
            }
            Strategy::Mentioned(fields) => {
                let texts = |element: &str| {
                    let fields: Vec<String> = fields.iter().map(|field| member(element, field)).collect();
                    format!("[{}].filter(said).join(\"\").length", fields.join(", "))
                };
                let said = all(Some(format!("{} > 0", texts("e"))));
                format!("{elements}.filter(e => {said}).sort((a, b) => {} - {})[0]", texts("b"), texts("a"))
            }
            Strategy::Ordinal(position) => format!("{of_kind}[places[{position}] - 1]"),
            Strategy::Place(place) => format!("{of_kind}[{place}]"),
            Strategy::Last => format!("{of_kind}.slice(-1)[0]"),
            Strategy::Extreme { greatest } => {
                let (a, b) = if *greatest { ("b", "a") } else { ("a", "b") };
                let numbers = all(Some(format!("isNumber({})", label("e"))));
                format!("{elements}.filter(e => {numbers}).sort((a, b) => {} - {})[0]", label(a), label(b))
            }
            Strategy::Beside { group, anchor, label: words, place } => {
                let (own, near) = (member("e", group), member("near", group));
                let mut condition = format!("{own} === {near}");
                if !words.is_empty() {
                    condition = format!("{condition} && {} === {}", label("e"), quote(words));
                }
                let condition = all(Some(condition));
                format!(
                    "(near => near && {near} >= 0 && {elements}.filter(e => {condition})[{place}])({})",
                    anchor.expression(spec, elements)
                )
            }
            Strategy::After(anchor) => format!(
                "((all, near) => near && all.slice(all.findIndex(e => e.id === near.id) + 1).find(e => {}))({elements}, {})",
                if kind.is_some() { all(None) } else { "true".to_owned() },
                anchor.expression(spec, elements)
            ),
        }
    }
}

/// Several elements of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub kind: String,
    pub filter: Filter,
    pub order: Order,
}

/// What the elements of a [`Selection`] have in common besides their kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Nothing.
    All,
    /// The goal contains the text in this field.
    Mentioned(String),
    /// This label.
    Label(String),
    /// An element in the same group whose label the goal contains; and this label, where it is not empty.
    Beside { group: String, label: String },
}

/// Which element of a [`Selection`] comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As in the state.
    AsSeen,
    /// The least number in its label; labels that are no numbers come last.
    Ascending,
    /// The greatest number in its label; labels that are no numbers come last.
    Descending,
}

impl Selection {
    /// The ids of the elements in JavaScript; `elements` as in [`Selector::expression`].
    pub(crate) fn expression(&self, spec: &ExplorationSpec, elements: &str) -> String {
        let condition = self.condition(spec, elements);
        let label = |element: &str| member(element, &spec.label);
        let or = |element: &str, last: &str| {
            let label = label(element);
            format!("(isNumber({label}) ? +{label} : {last})")
        };
        let order = match self.order {
            Order::AsSeen => String::new(),
            Order::Ascending => format!(".sort((a, b) => {} - {})", or("a", "Infinity"), or("b", "Infinity")),
            Order::Descending => {
                format!(".sort((a, b) => {} - {})", or("b", "-Infinity"), or("a", "-Infinity"))
            }
        };
        format!("{elements}.filter(e => {condition}){order}.map(e => e.id)")
    }

    fn condition(&self, spec: &ExplorationSpec, elements: &str) -> String {
        let kind = format!("{} === {}", member("e", &spec.kind), quote(&self.kind));
        let label = member("e", &spec.label);
        match &self.filter {
            Filter::All => kind,
            Filter::Mentioned(field) => format!("{kind} && said({})", member("e", field)),
            Filter::Label(words) => format!("{kind} && {label} === {}", quote(words)),
            Filter::Beside { group, label: words } => {
                let words = if words.is_empty() {
                    String::new()
                } else {
                    format!(" && {label} === {}", quote(words))
                };
                let (own, other) = (member("e", group), member("o", group));
                let near =
                    format!("{elements}.some(o => {other} === {own} && said({}))", member("o", &spec.label));
                format!("{kind}{words} && {own} >= 0 && {near}")
            }
        }
    }
}
