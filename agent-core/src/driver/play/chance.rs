//! What is done by chance.

use super::scene::{Scene, calculated, group as group_of, number, ordinals, quoted, text, words};
use crate::core::seeds;
use crate::model::Shown;
use serde_json::Value;
use sojourn_tools::{Move, Play, Stuff};
use std::collections::{BTreeMap, BTreeSet};

/// The same is done to so many things at most.
const SEVERAL: usize = 10;

/// What the episodes so far have shown.
#[derive(Default)]
pub(super) struct Experience {
    asked: usize,
    /// Words of the questions: those that differ from world to world say what is to be done in this one.
    words: BTreeMap<String, usize>,
    /// What was done to which kind of thing with which words: how often, and how often it was the last.
    done: BTreeMap<(String, String, String), (usize, usize)>,
}

impl Experience {
    /// Takes in one; `over` says whether its last call ended it.
    pub(super) fn take_in(&mut self, play: &Play, question: &str, steps: &[Shown], over: bool) {
        self.asked += 1;
        for word in spoken(question).collect::<BTreeSet<_>>() {
            *self.words.entry(word.to_owned()).or_default() += 1;
        }
        for (at, step) in steps.iter().enumerate() {
            let scene = Scene::new(play, step);
            let Some(thing) = step.call.args.values().next().and_then(|id| scene.thing(id)) else { continue };
            let sign = sign(&step.call.name, &scene, thing);
            let (times, last) = self.done.entry(sign).or_default();
            *times += 1;
            *last += usize::from(over && at + 1 == steps.len());
        }
    }

    /// Whether this has always ended an episode.
    fn ends(&self, tool: &str, scene: &Scene<'_>, thing: &Value) -> bool {
        self.done.get(&sign(tool, scene, thing)).is_some_and(|(times, last)| *times > 1 && times == last)
    }

    /// Whether a word is not in most questions.
    fn differs(&self, word: &str) -> bool {
        self.asked > 3 && self.words.get(word).is_none_or(|times| times * 2 < self.asked)
    }
}

fn sign(tool: &str, scene: &Scene<'_>, thing: &Value) -> (String, String, String) {
    let of = |field: &str| text(thing, field).to_owned();
    (tool.to_owned(), of(&scene.play.kind), of(&scene.play.label))
}

/// What stands between blanks, without the signs around it.
fn spoken(question: &str) -> impl Iterator<Item = &str> {
    let bare = |word: &'_ str| -> Option<(usize, usize)> {
        let start = word.find(char::is_alphanumeric)?;
        let end = word
            .rfind(char::is_alphanumeric)
            .map(|at| at + word[at..].chars().next().map_or(1, char::len_utf8))?;
        Some((start, end))
    };
    question.split_whitespace().filter_map(move |word| bare(word).map(|(start, end)| &word[start..end]))
}

/// An episode of chance.
pub(super) struct Chance<'a> {
    pub dice: Dice,
    pub experience: &'a Experience,
    /// Ids of things that were seen before the last move; nothing at first.
    known: BTreeSet<String>,
    /// Ids of things that something was done to.
    used: BTreeSet<String>,
}

impl<'a> Chance<'a> {
    pub(super) fn new(seed: u64, experience: &'a Experience) -> Self {
        Self { dice: Dice { seed, throws: 0 }, experience, known: BTreeSet::new(), used: BTreeSet::new() }
    }

    /// A move, and what its parameters are given, call by call; none where nothing can be done. What is known to end
    /// episodes is rather done as the `last`.
    pub(super) fn draw<'s>(&mut self, scene: &Scene<'s>, last: bool) -> Option<(&'s Move, Vec<Vec<Value>>)> {
        let set = |thing: &Value, flag: &str| thing.get(flag) == Some(&Value::Bool(true));
        let there: Vec<&'s Value> = scene
            .things
            .iter()
            .filter(|thing| thing.get("id").is_some() && !set(thing, "disabled"))
            .filter(|thing| !set(thing, "hidden") || scene.speaks_of(thing))
            .collect();
        let of = |kinds: &[String]| -> Vec<&'s Value> {
            let is =
                |thing: &&&'s Value| kinds.is_empty() || kinds.iter().any(|kind| kind == scene.kind(thing));
            there.iter().filter(is).copied().collect()
        };
        let possible = |chance: &&Move| {
            let mut stuff = chance.args.iter();
            stuff.all(|stuff| !matches!(stuff, Stuff::Thing(kinds) if of(kinds).is_empty()))
        };
        let moves: Vec<&'s Move> = scene
            .play
            .moves
            .iter()
            .filter(possible)
            .flat_map(|chance| std::iter::repeat_n(chance, chance.often as usize))
            .collect();
        if last && self.dice.below(4) > 0 {
            let mut ending: Vec<(&'s Move, Vec<Vec<Value>>)> = Vec::new();
            for chance in &moves {
                let [Stuff::Thing(kinds)] = chance.args.as_slice() else { continue };
                let all = of(kinds).into_iter();
                let ends = all.filter(|thing| self.experience.ends(&chance.tool, scene, thing));
                ending.extend(ends.map(|thing| (*chance, vec![vec![thing["id"].clone()]])));
            }
            if !ending.is_empty() {
                let place = self.dice.below(ending.len());
                return Some(ending.swap_remove(place));
            }
        }
        let chance = *self.dice.one(&moves)?;
        let mut given: Vec<Value> = Vec::new();
        let mut thing = &Value::Null;
        for stuff in &chance.args {
            given.push(match stuff {
                Stuff::Thing(kinds) => {
                    let mut all = of(kinds);
                    if !last && self.dice.below(8) > 0 {
                        let experience = self.experience;
                        let others = all.iter().copied();
                        let others = others.filter(|thing| !experience.ends(&chance.tool, scene, thing));
                        all = others.collect();
                    }
                    thing = self.thing(scene, all, given.is_empty())?;
                    thing["id"].clone()
                }
                Stuff::Option(field) => {
                    let texts: Vec<&Value> = thing.get(field)?.as_array()?.iter().collect();
                    let said = |text: &&&Value| text.as_str().is_some_and(|text| scene.says(text));
                    let spoken: Vec<&Value> = texts.iter().filter(said).copied().collect();
                    if spoken.len() > 1 && self.dice.below(2) == 0 {
                        let id = thing["id"].clone();
                        let each =
                            spoken.into_iter().take(SEVERAL).map(|text| vec![id.clone(), text.clone()]);
                        return Some((chance, each.collect()));
                    }
                    (*self.dice.one(if spoken.is_empty() { &texts } else { &spoken })?).clone()
                }
                Stuff::Said => self.said(scene.question)?.into(),
                Stuff::Seen(field) => self.seen(scene, &there, field)?.into(),
                Stuff::OneOf(values) => self.dice.one(values)?.clone(),
            });
        }
        let calls = match chance.args.as_slice() {
            [Stuff::Thing(_)] => self.several(scene, &there, thing),
            _ => vec![given],
        };
        self.known = scene.things.iter().map(|thing| thing["id"].to_string()).collect();
        self.used.extend(calls.iter().filter_map(|call| call.first()).map(Value::to_string));
        Some((chance, calls))
    }

    /// One of these things. What the question speaks of is more likely to be what it is about, and so is what has just
    /// come up, and what nothing was done to yet.
    fn thing<'s>(&mut self, scene: &Scene<'s>, mut all: Vec<&'s Value>, first: bool) -> Option<&'s Value> {
        let narrow = |all: &mut Vec<&'s Value>, to: &dyn Fn(&Value) -> bool| {
            let some: Vec<&'s Value> = all.iter().filter(|thing| to(thing)).copied().collect();
            if !some.is_empty() {
                *all = some;
            }
        };
        if first && self.dice.below(4) > 0 {
            let used = &self.used;
            narrow(&mut all, &|thing| !used.contains(&thing["id"].to_string()));
        }
        if !self.known.is_empty() && self.dice.below(2) == 0 {
            let known = &self.known;
            narrow(&mut all, &|thing| !known.contains(&thing["id"].to_string()));
        }
        if self.dice.below(2) == 0 {
            narrow(&mut all, &|thing| scene.speaks_of(thing));
        }
        self.dice.one(&all).copied()
    }

    /// The thing alone, or all that have the same in common with it.
    fn several(&mut self, scene: &Scene<'_>, there: &[&Value], thing: &Value) -> Vec<Vec<Value>> {
        let alone = vec![vec![thing["id"].clone()]];
        if self.dice.below(4) > 0 {
            return alone;
        }
        let (kind, label) = (text(thing, &scene.play.kind), text(thing, &scene.play.label));
        let all: Vec<&Value> =
            there.iter().filter(|one| text(one, &scene.play.kind) == kind).copied().collect();
        let like: Vec<&Value> = all
            .iter()
            .filter(|one| match scene.play.groups.as_slice() {
                _ if label.is_empty() || text(one, &scene.play.label) != label => false,
                [] => true,
                groups => groups.iter().any(|group| {
                    group_of(one, group).is_some_and(|number| {
                        let near = |other: &&&Value| group_of(other, group) == Some(number);
                        there.iter().filter(near).any(|other| scene.says(text(other, &scene.play.label)))
                    })
                }),
            })
            .copied()
            .collect();
        let said: Vec<&Value> = all.iter().filter(|one| scene.speaks_of(one)).copied().collect();
        let mut sets: Vec<Vec<&Value>> = [like, said, all].into_iter().filter(|set| set.len() > 1).collect();
        let Some(place) = (!sets.is_empty()).then(|| self.dice.below(sets.len())) else { return alone };
        let mut set = sets.swap_remove(place);
        if set.len() > SEVERAL {
            return alone;
        }
        let number = |thing: &&Value| number(text(thing, &scene.play.label));
        if set.iter().all(|thing| number(thing).is_some()) && self.dice.below(2) == 0 {
            set.sort_by(|a, b| number(a).unwrap_or(0.0).total_cmp(&number(b).unwrap_or(0.0)));
            if self.dice.below(2) == 0 {
                set.reverse();
            }
        }
        set.into_iter().map(|thing| vec![thing["id"].clone()]).collect()
    }

    /// Words of the question.
    fn said(&mut self, question: &str) -> Option<String> {
        let marked: Vec<&str> = quoted(question).filter(|text| !text.is_empty()).collect();
        let all: Vec<&str> = spoken(question).collect();
        let telling: Vec<&str> = all.iter().filter(|word| self.experience.differs(word)).copied().collect();
        let pool = if !marked.is_empty() && self.dice.below(4) > 0 {
            marked
        } else if !telling.is_empty() && self.dice.below(4) > 0 {
            telling
        } else {
            all
        };
        let word = *self.dice.one(&pool)?;
        Some(match self.dice.below(8) {
            0 => word.to_uppercase(),
            1 => word.to_lowercase(),
            _ => word.to_owned(),
        })
    }

    /// Words that stand on a thing, or what comes of them.
    fn seen(&mut self, scene: &Scene<'_>, there: &[&Value], field: &str) -> Option<String> {
        let texts: Vec<&str> =
            there.iter().map(|thing| text(thing, field)).filter(|text| !text.is_empty()).collect();
        let text = *self.dice.one(&texts)?;
        if let Some(result) = calculated(text).filter(|_| self.dice.below(2) == 0) {
            return Some(result.to_string());
        }
        let nth = ordinals(scene.question).first().and_then(|place| words(text).nth(place.checked_sub(1)?));
        Some(nth.filter(|_| self.dice.below(2) == 0).unwrap_or(text).to_owned())
    }
}

/// Chance that a seed repeats.
pub(super) struct Dice {
    seed: u64,
    throws: u64,
}

impl Dice {
    pub(super) fn below(&mut self, sides: usize) -> usize {
        self.throws += 1;
        (seeds::draw(self.seed, "play", self.throws) % sides.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let place = self.below(of.len());
        of.get(place)
    }
}
