//! Expressions that find one of the things: what each finds here, and how it is written in a program.

use super::scene::{Scene, group as group_of, number, ordinals, quoted, text};
use super::text::{Text, quote};
use serde_json::Value;
use sojourn_tools::Play;

/// Things around one that it is found by.
const ANCHORS: usize = 3;
/// Things of a kind that one must stand out from to be the greatest.
const FIELD: usize = 3;

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
    /// This text is part of its words.
    Containing(Text),
    /// These fields of it stand in the question; that of which most does.
    Mentioned(Vec<String>),
    /// The question's number of a place, the first or a later one, is its place among them.
    Ordinal(usize),
    /// Its place among them.
    Place(usize),
    /// It is the last of them.
    Last,
    /// The greatest number stands on it, or the least.
    Most { greatest: bool },
    /// It belongs to the same group as another; among those that do it has this place, and where there are such, these words.
    Beside { group: String, anchor: Box<Pick>, label: String, place: usize },
    /// It is the first after another.
    After(Box<Pick>),
}

impl Pick {
    /// Ways to find the thing at this place, those that say most about it first.
    pub(super) fn all(scene: &Scene<'_>, place: usize, with_kind: bool) -> Vec<Self> {
        let (mut ways, plain) = (Vec::new(), Self::plain(scene, place, with_kind));
        let (by_words, fixed): (Vec<Self>, Vec<Self>) = plain.into_iter().partition(Self::depends);
        ways.extend(by_words);
        let (beside, beside_fixed) = Self::beside(scene, place, with_kind);
        ways.extend(beside);
        ways.extend(fixed);
        ways.extend(beside_fixed);
        ways
    }

    /// Ways that do not need another thing, the best first.
    pub(super) fn plain(scene: &Scene<'_>, place: usize, with_kind: bool) -> Vec<Self> {
        let taken = &scene.things[place];
        let kind = with_kind.then(|| scene.kind(taken).to_owned());
        let of_kind = |thing: &&Value| kind.as_deref().is_none_or(|kind| scene.kind(thing) == kind);
        let all: Vec<&Value> = scene.things.iter().filter(of_kind).collect();
        let among = scene.things[..place].iter().filter(of_kind).count();
        let label = scene.label(taken);
        let mut ways = Vec::new();
        let mut said = if label.is_empty() { Vec::new() } else { Text::said(scene.question, label) };
        said.sort_by_key(|text| !matches!(text, Text::Quoted(_)));
        let marked = said.iter().filter(|text| matches!(text, Text::Quoted(_))).count();
        let unmarked = said.split_off(marked);
        ways.extend(said.into_iter().map(By::Label));
        let fields: Vec<String> = scene.said_fields(taken).map(str::to_owned).collect();
        ways.extend(fields.iter().map(|field| By::Mentioned(vec![field.clone()])));
        if fields.len() > 1 {
            ways.push(By::Mentioned(fields));
        }
        ways.extend(unmarked.into_iter().map(By::Label));
        let places = ordinals(scene.question);
        ways.extend(places.iter().position(|&one| one == among + 1).map(By::Ordinal));
        if all.len() >= FIELD && all.iter().all(|thing| number(scene.label(thing)).is_some()) {
            for greatest in [true, false] {
                ways.push(By::Most { greatest });
            }
        }
        if !label.is_empty() {
            let part = |said: &str| said.len() > 1 && label != said && label.contains(said);
            let within = quoted(scene.question).enumerate().filter(|(_, said)| part(said));
            ways.extend(within.map(|(place, _)| By::Containing(Text::Quoted(place))));
            ways.push(By::Label(Text::Fixed(label.to_owned())));
        }
        ways.push(By::Place(among));
        if among > 0 && among + 1 == all.len() {
            ways.push(By::Last);
        }
        ways.into_iter()
            .map(|by| Self { kind: kind.clone(), by })
            .filter(|pick| pick.finds(scene, taken))
            .collect()
    }

    /// Ways by what belongs to it: those by what the question speaks of, and the others.
    fn beside(scene: &Scene<'_>, place: usize, with_kind: bool) -> (Vec<Self>, Vec<Self>) {
        let taken = &scene.things[place];
        let kind = with_kind.then(|| scene.kind(taken).to_owned());
        let label = scene.label(taken).to_owned();
        let (mut spoken, mut others) = (Vec::new(), Vec::new());
        for group in &scene.play.groups {
            let Some(number) = group_of(taken, group) else { continue };
            let near = scene.things.iter().enumerate().filter(|(at, thing)| {
                *at != place && group_of(thing, group) == Some(number) && !scene.label(thing).is_empty()
            });
            // Those first that the question says most of.
            let mut near: Vec<usize> = near.map(|(at, _)| at).collect();
            let said = |at: &usize| {
                let label = scene.label(&scene.things[*at]);
                if scene.says(label) { label.len() } else { 0 }
            };
            near.sort_by_key(|at| std::cmp::Reverse(said(at)));
            for at in near.into_iter().take(ANCHORS) {
                let is_said = said(&at) > 0;
                for anchor in Self::plain(scene, at, false) {
                    let by_words = anchor.depends();
                    if by_words != is_said || matches!(anchor.by, By::Place(_) | By::Last | By::Ordinal(_)) {
                        continue;
                    }
                    let alike = scene.things[..place].iter().filter(|thing| {
                        group_of(thing, group) == Some(number)
                            && kind.as_deref().is_none_or(|kind| scene.kind(thing) == kind)
                            && (label.is_empty() || scene.label(thing) == label)
                    });
                    let by = By::Beside {
                        group: group.clone(),
                        anchor: Box::new(anchor),
                        label: label.clone(),
                        place: alike.count(),
                    };
                    let ways = if by_words { &mut spoken } else { &mut others };
                    ways.push(Self { kind: kind.clone(), by });
                }
            }
        }
        // The nearest words before it that are not its own.
        let before = (0..place).rev().find(|&at| {
            let words = scene.label(&scene.things[at]);
            !words.is_empty() && words != label
        });
        if let Some(at) = before.filter(|_| with_kind) {
            for anchor in Self::plain(scene, at, false)
                .into_iter()
                .filter(|pick| !matches!(pick.by, By::Place(_) | By::Last))
            {
                let ways = if anchor.depends() { &mut spoken } else { &mut others };
                ways.push(Self { kind: kind.clone(), by: By::After(Box::new(anchor)) });
            }
        }
        let fits = |ways: Vec<Self>| ways.into_iter().filter(|pick| pick.finds(scene, taken)).collect();
        (fits(spoken), fits(others))
    }

    /// Whether what is found hangs on what is asked, or on all that is seen, and not on a place or fixed words.
    pub(super) fn depends(&self) -> bool {
        match &self.by {
            By::Label(text) => !matches!(text, Text::Fixed(_)),
            By::Containing(_) | By::Mentioned(_) | By::Ordinal(_) | By::Most { .. } => true,
            By::Place(_) | By::Last => false,
            By::Beside { anchor, .. } | By::After(anchor) => anchor.depends(),
        }
    }

    fn finds(&self, scene: &Scene<'_>, thing: &Value) -> bool {
        self.find(scene).is_some_and(|found| found["id"] == thing["id"])
    }

    /// The thing that it is here.
    pub(super) fn find<'a>(&self, scene: &Scene<'a>) -> Option<&'a Value> {
        let of_kind = |thing: &&'a Value| self.kind.as_deref().is_none_or(|kind| scene.kind(thing) == kind);
        let mut things = scene.things.iter().filter(of_kind);
        match &self.by {
            By::Label(text) => {
                let wanted = text.find(scene)?;
                things.find(|thing| scene.label(thing) == wanted)
            }
            By::Containing(text) => {
                let wanted = text.find(scene)?;
                things.find(|thing| scene.label(thing).contains(&wanted))
            }
            By::Mentioned(fields) => {
                let said = |thing: &&'a Value| -> usize {
                    let texts = fields.iter().map(|field| text(thing, field)).filter(|text| scene.says(text));
                    texts.map(|text| text.encode_utf16().count()).sum()
                };
                // The first of the longest, as the program has it.
                let things: Vec<&'a Value> = things.collect();
                let most = things.iter().map(said).max().filter(|most| *most > 0)?;
                things.into_iter().find(|thing| said(thing) == most)
            }
            By::Ordinal(which) => things.nth(ordinals(scene.question).get(*which)?.checked_sub(1)?),
            By::Place(place) => things.nth(*place),
            By::Last => things.next_back(),
            By::Most { greatest } => {
                let numbered = things.filter_map(|thing| Some((number(scene.label(thing))?, thing)));
                let better = |a: f64, b: f64| if *greatest { b > a } else { b < a };
                numbered
                    .reduce(|best, one| if better(best.0, one.0) { one } else { best })
                    .map(|(_, thing)| thing)
            }
            By::Beside { group, anchor, label, place } => {
                let number = group_of(anchor.find(scene)?, group)?;
                let near = things.filter(|thing| group_of(thing, group) == Some(number));
                near.filter(|thing| label.is_empty() || scene.label(thing) == label).nth(*place)
            }
            By::After(anchor) => {
                let anchor = anchor.find(scene)?;
                let at = scene.things.iter().position(|thing| thing["id"] == anchor["id"])?;
                scene.things[at + 1..].iter().find(of_kind)
            }
        }
    }

    /// The same in a program that has the question as `goal` and the things as `things`.
    pub(super) fn expression(&self, play: &Play, things: &str) -> String {
        let label = &play.label;
        let kind = self.kind.as_ref().map(|kind| format!("e.{} === {}", play.kind, quote(kind)));
        let all = |more: Option<String>| {
            let conditions: Vec<String> = kind.iter().cloned().chain(more).collect();
            conditions.join(" && ")
        };
        let of_kind =
            if kind.is_some() { format!("{things}.filter(e => {})", all(None)) } else { things.to_owned() };
        match &self.by {
            By::Label(text) => {
                let wanted = format!("e.{label} === {}", text.expression(play, things));
                format!("{things}.find(e => {})", all(Some(wanted)))
            }
            By::Containing(text) => {
                let wanted = format!("e.{label}.includes({})", text.expression(play, things));
                format!("{things}.find(e => {})", all(Some(wanted)))
            }
            By::Mentioned(fields) if fields.len() == 1 => {
                let field = &fields[0];
                let said = all(Some(format!("said(e.{field})")));
                format!("{things}.filter(e => {said}).sort((a, b) => b.{field}.length - a.{field}.length)[0]")
            }
            By::Mentioned(fields) => {
                let texts = |e: &str| {
                    let fields: Vec<String> = fields.iter().map(|field| format!("{e}.{field}")).collect();
                    format!("[{}].filter(said).join(\"\").length", fields.join(", "))
                };
                let said = all(Some(format!("{} > 0", texts("e"))));
                format!("{things}.filter(e => {said}).sort((a, b) => {} - {})[0]", texts("b"), texts("a"))
            }
            By::Ordinal(which) => format!("{of_kind}[places[{which}] - 1]"),
            By::Place(place) => format!("{of_kind}[{place}]"),
            By::Last => format!("{of_kind}.slice(-1)[0]"),
            By::Most { greatest } => {
                let (a, b) = if *greatest { ("b", "a") } else { ("a", "b") };
                let numbers = all(Some(format!("isNumber(e.{label})")));
                format!("{things}.filter(e => {numbers}).sort((a, b) => {a}.{label} - {b}.{label})[0]")
            }
            By::Beside { group, anchor, label: words, place } => {
                let mut near = format!("e.{group} === near.{group}");
                if !words.is_empty() {
                    near = format!("{near} && e.{label} === {}", quote(words));
                }
                let near = all(Some(near));
                format!(
                    "(near => near && near.{group} >= 0 && {things}.filter(e => {near})[{place}])({})",
                    anchor.expression(play, things)
                )
            }
            By::After(anchor) => format!(
                "((all, near) => near && all.slice(all.findIndex(e => e.id === near.id) + 1).find(e => {}))({things}, {})",
                if kind.is_some() { all(None) } else { "true".to_owned() },
                anchor.expression(play, things)
            ),
        }
    }
}
