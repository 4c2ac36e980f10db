//! What came of the calls in each state, and what is best to do next.
//!
//! States with equal keys are one state. Their values are computed from how often each call led where (R-max: Brafman and
//! Tennenholtz, JMLR 3, 2002): a call that was never made in a state counts as a chance of something new, so that an episode
//! walks to the nearest place where little was tried; a known way to the goal is worth more than that.

use super::features::{Features, Paths};
use crate::exploration::Random;
use sojourn_tools::ToolCall;
use std::collections::{BTreeMap, BTreeSet};

/// States that are kept.
const STATES: usize = 20_000;
/// Worth of a goal that is one call further away.
const DISCOUNT: f64 = 0.98;
/// Worth of a call that was never made, if calls of its family always led to something new.
const NEW: f64 = 0.5;
/// For each so many states, worths are computed one call later.
const PLACES_A_CALL: u32 = 64;
/// Sweeps over all states at once, at most.
const SWEEPS: usize = 60;
/// Calls that were made again in a state before it is said whether they always lead to the same.
const REPEATED: usize = 40;
/// What the latest episode counts among all, at least.
const LATE: f64 = 0.1;
/// Less worth is none.
const LITTLE: f64 = 1e-6;
/// Calls whose records are kept until it is clear which paths tell states apart.
const EARLY: usize = 600;

/// What came of one call in one state.
#[derive(Debug, Default)]
struct Tried {
    times: u32,
    goals: u32,
    next: BTreeMap<usize, u32>,
    /// What episodes brought from here on, in which it was made: how many, and the mean, of late ones more.
    episodes: u32,
    brought: f64,
}

#[derive(Debug)]
struct Place {
    features: Features,
    /// Numbers of the calls that are possible here, as far as is known.
    options: BTreeSet<usize>,
    /// Those that were possible when it was met last.
    offered: Vec<usize>,
    tried: BTreeMap<usize, Tried>,
    /// How many of these calls of each family were never made here.
    untried: BTreeMap<usize, usize>,
    /// Worth of being here, chances of something new included.
    hoped: f64,
    /// Worth of being here by what is known.
    known: f64,
}

/// What counts as worth.
#[derive(Clone, Copy)]
enum Worth {
    /// Known ways to the goal.
    Known,
    /// Those, and calls that were never made.
    Hoped,
}

/// How calls of one family turned out.
#[derive(Debug, Default)]
struct Family {
    calls: u32,
    /// Calls that changed the state.
    changed: u32,
}

/// A call that was made, with the states around it.
struct Transition {
    before: Features,
    options: Vec<usize>,
    call: usize,
    succeeded: bool,
    after: Features,
    after_options: Vec<usize>,
    outcome: Outcome,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The goal was reached.
    Goal,
    /// The episode ended without it.
    End,
    /// The episode goes on.
    On,
}

/// The states of a world and what is known of them.
#[derive(Default)]
pub(super) struct Experience {
    pub(super) paths: Paths,
    places: Vec<Place>,
    by_key: BTreeMap<String, usize>,
    calls: Vec<ToolCall>,
    families: Vec<usize>,
    by_text: BTreeMap<String, usize>,
    by_family: BTreeMap<String, usize>,
    family: Vec<Family>,
    early: Vec<Transition>,
    steps: usize,
    /// Calls that led to a state that was never seen before.
    news: usize,
    /// Whether calls are worth what episodes brought after them, and not what the states are worth to which they led. States that differ
    /// and look alike promise what only some of them keep.
    by_episodes: bool,
}

/// What is best in a state.
pub(super) struct Lesson<'a> {
    pub(super) features: &'a Features,
    /// Numbers of the calls that are equally good.
    pub(super) best: BTreeSet<usize>,
    /// How often the state was met.
    pub(super) visits: u32,
}

impl Experience {
    /// The number of a call.
    pub(super) fn number(&mut self, call: &ToolCall) -> usize {
        let text = format!("{} {}", call.name, serde_json::Value::Object(call.args.clone()));
        if let Some(number) = self.by_text.get(&text) {
            return *number;
        }
        let number = self.calls.len();
        let next = self.family.len();
        let family = *self.by_family.entry(super::calls::family(call)).or_insert(next);
        if family == next {
            self.family.push(Family::default());
        }
        self.by_text.insert(text, number);
        self.calls.push(call.clone());
        self.families.push(family);
        number
    }

    pub(super) fn call(&self, number: usize) -> &ToolCall {
        &self.calls[number]
    }

    /// All calls that were considered so far.
    pub(super) fn calls(&self) -> &[ToolCall] {
        &self.calls
    }

    /// The states that were met.
    pub(super) fn states(&self) -> Vec<&Features> {
        self.places.iter().map(|place| &place.features).collect()
    }

    /// How many different calls were made in different states.
    pub(super) fn tried(&self) -> usize {
        self.places.iter().map(|place| place.tried.len()).sum()
    }

    /// Whether states hardly ever repeat, so that nothing is learned about them one by one.
    pub(super) fn is_scattered(&self) -> bool {
        self.steps >= 100 && self.news * 10 > self.steps * 6
    }

    /// Notes how an episode ended in which these calls were made in these states (Monte Carlo control: Sutton and Barto, 2018, section 5.3).
    pub(super) fn conclude(&mut self, made: &[(Features, usize)], reached: bool) {
        if !self.by_episodes {
            return;
        }
        let mut met = BTreeSet::new();
        for (at, (features, call)) in made.iter().enumerate() {
            let Some(place) = self.by_key.get(&self.paths.key(features)) else { continue };
            let Some(tried) = self.places[*place].tried.get_mut(call) else { continue };
            if !met.insert((*place, *call)) {
                continue;
            }
            let left = (made.len() - 1 - at) as i32;
            let brought = if reached { DISCOUNT.powi(left) } else { 0.0 };
            tried.episodes += 1;
            tried.brought += (brought - tried.brought) * LATE.max(1.0 / f64::from(tried.episodes));
        }
    }

    /// Whether states that differ look alike: one call led from one state to others, and often.
    pub(super) fn is_ambiguous(&self) -> bool {
        let tried =
            self.places.iter().flat_map(|place| place.tried.values()).filter(|tried| tried.times >= 2);
        let (mut all, mut ambiguous) = (0, 0);
        for tried in tried {
            all += 1;
            ambiguous += usize::from(tried.next.len() > 1);
        }
        all >= REPEATED && ambiguous * 10 >= all
    }

    /// The state's number, if it may be kept.
    fn place(&mut self, features: &Features, options: &[usize]) -> Option<usize> {
        let key = self.paths.key(features);
        if let Some(place) = self.by_key.get(&key) {
            let known = &mut self.places[*place];
            // What was possible at another time may not be now, and promises nothing.
            if known.offered != options {
                known.offered = options.to_vec();
                known.options.extend(options);
                known.untried.clear();
                for option in options.iter().filter(|option| !known.tried.contains_key(option)) {
                    *known.untried.entry(self.families[*option]).or_default() += 1;
                }
            }
            return Some(*place);
        }
        let number = self.places.len();
        if number >= STATES {
            return None;
        }
        self.by_key.insert(key, number);
        self.places.push(Place {
            features: features.clone(),
            options: BTreeSet::new(),
            offered: Vec::new(),
            tried: BTreeMap::new(),
            untried: BTreeMap::new(),
            hoped: NEW,
            known: 0.0,
        });
        self.place(features, options)
    }

    /// The call to make in a state; of equally good ones, any.
    pub(super) fn choose(
        &mut self,
        features: &Features,
        options: &[usize],
        random: &mut Random,
    ) -> Option<usize> {
        let Some(place) = self.place(features, options) else { return random.one(options).copied() };
        // Calls that were possible here at another time may not be now.
        let worth: Vec<(usize, f64)> =
            options.iter().map(|call| (*call, self.promise(place, *call))).collect();
        let best = worth.iter().map(|(_, worth)| *worth).fold(f64::MIN, f64::max);
        let best: Vec<usize> =
            worth.into_iter().filter(|(_, worth)| best - worth < 1e-9).map(|(call, _)| call).collect();
        random.one(&best).copied()
    }

    /// Notes what came of a call.
    pub(super) fn add(
        &mut self,
        (before, options): (&Features, &[usize]),
        (call, succeeded): (usize, bool),
        (after, after_options): (&Features, &[usize]),
        outcome: Outcome,
    ) {
        let transition = Transition {
            before: before.clone(),
            options: options.to_vec(),
            call,
            succeeded,
            after: after.clone(),
            after_options: after_options.to_vec(),
            outcome,
        };
        self.learn(&transition);
        if self.early.len() < EARLY {
            self.early.push(transition);
        }
    }

    fn learn(&mut self, transition: &Transition) {
        let Some(from) = self.place(&transition.before, &transition.options) else { return };
        let states = self.places.len();
        let to = self.place(&transition.after, &transition.after_options);
        self.steps += 1;
        self.news += usize::from(self.places.len() > states);
        let family = &mut self.family[self.families[transition.call]];
        family.calls += 1;
        family.changed += u32::from(transition.succeeded && to != Some(from));
        let place = &mut self.places[from];
        if !place.tried.contains_key(&transition.call) && place.offered.contains(&transition.call) {
            let family = self.families[transition.call];
            place.untried.entry(family).and_modify(|left| *left = left.saturating_sub(1));
        }
        let tried = place.tried.entry(transition.call).or_default();
        tried.times += 1;
        match (transition.outcome, to) {
            (Outcome::Goal, _) => tried.goals += 1,
            (Outcome::On, Some(to)) => *tried.next.entry(to).or_default() += 1,
            _ => {}
        }
        self.places[from].hoped = self.best(from, Worth::Hoped);
    }

    /// Forgets all states; what is known of paths and calls stays. `general`: from now on only what holds of whatever a text names tells
    /// states apart.
    /// `remember`: the call before tells them apart too.
    pub(super) fn begin(&mut self, general: bool, remember: bool) {
        self.paths.generalise(general, remember);
        self.by_episodes = remember;
        self.places.clear();
        self.by_key.clear();
        self.early.clear();
        self.family.iter_mut().for_each(|family| *family = Family::default());
        (self.steps, self.news) = (0, 0);
    }

    /// Whether what states are worth should be computed again after this many calls: the oftener, the cheaper it is.
    pub(super) fn is_due(&self, step: u32) -> bool {
        step.is_multiple_of((self.places.len() as u32 / PLACES_A_CALL + 1).clamp(4, 64))
    }

    /// Decides again what tells states apart, as long as that is cheap, and computes what each state is worth.
    pub(super) fn review(&mut self) {
        if self.early.len() < EARLY && self.paths.choose() {
            self.places.clear();
            self.by_key.clear();
            self.family.iter_mut().for_each(|family| *family = Family::default());
            (self.steps, self.news) = (0, 0);
            let early = std::mem::take(&mut self.early);
            for transition in &early {
                self.learn(transition);
            }
            self.early = early;
        }
        // From nothing: what places promise each other in a circle would fade a little with each sweep only.
        for number in 0..self.places.len() {
            let untried = self.untried(number);
            let place = &mut self.places[number];
            (place.hoped, place.known) = (untried, 0.0);
        }
        for _ in 0..SWEEPS {
            let mut change: f64 = 0.0;
            // Goals are reached late, so worth spreads from the latest states.
            for number in (0..self.places.len()).rev() {
                let hoped = self.best(number, Worth::Hoped);
                let known = self.best(number, Worth::Known);
                let place = &mut self.places[number];
                change = change.max((place.hoped - hoped).abs()).max((place.known - known).abs());
                (place.hoped, place.known) = (hoped, known);
            }
            if change < 1e-4 {
                break;
            }
        }
    }

    /// Worth of the best call in a state.
    fn best(&self, place: usize, worth: Worth) -> f64 {
        let tried = self.places[place].tried.values();
        let tried = tried.map(|tried| self.worth_of(place, tried, worth)).fold(0.0, f64::max);
        match worth {
            Worth::Known => tried,
            Worth::Hoped => tried.max(self.untried(place)),
        }
    }

    /// Worth of the best call that was never made in a state.
    fn untried(&self, place: usize) -> f64 {
        let untried = self.places[place].untried.iter().filter(|(_, left)| **left > 0);
        untried.map(|(family, _)| self.chance(*family)).fold(0.0, f64::max)
    }

    /// Worth of a call of this family that was never made in a state.
    fn chance(&self, family: usize) -> f64 {
        let family = &self.family[family];
        NEW * f64::from(family.changed + 1) / f64::from(family.calls + 2)
    }

    /// Worth of a call by what is known and hoped of it.
    fn promise(&self, place: usize, call: usize) -> f64 {
        let hoped = self.worth(place, call, Worth::Hoped);
        if self.by_episodes { hoped.max(self.worth(place, call, Worth::Known)) } else { hoped }
    }

    fn worth(&self, place: usize, call: usize, worth: Worth) -> f64 {
        match (self.places[place].tried.get(&call), worth) {
            (Some(tried), _) => self.worth_of(place, tried, worth),
            (None, Worth::Known) => 0.0,
            (None, Worth::Hoped) => self.chance(self.families[call]),
        }
    }

    /// Worth of a call that was made in `place`, if it is made until it leads somewhere else.
    fn worth_of(&self, place: usize, tried: &Tried, worth: Worth) -> f64 {
        if self.by_episodes && matches!(worth, Worth::Known) {
            return tried.brought;
        }
        let goals = if self.by_episodes { 0.0 } else { f64::from(tried.goals) };
        let of = |place: &Place| match worth {
            Worth::Known => place.known,
            Worth::Hoped => place.hoped,
        };
        let elsewhere = tried.next.iter().filter(|(to, _)| **to != place);
        let next: f64 = elsewhere.map(|(to, times)| f64::from(*times) * of(&self.places[*to])).sum();
        let stayed = f64::from(tried.next.get(&place).copied().unwrap_or(0));
        (goals + DISCOUNT * next) / (f64::from(tried.times) - DISCOUNT * stayed)
    }

    /// What is best in each state from which a way to the goal is known.
    pub(super) fn lessons(&self) -> Vec<Lesson<'_>> {
        let known = self.places.iter().enumerate().filter(|(_, place)| place.known > LITTLE);
        known
            .map(|(number, place)| {
                let worth = |call: &usize| self.worth(number, *call, Worth::Known);
                let best = place.options.iter().map(worth).fold(f64::MIN, f64::max);
                Lesson {
                    best: place.options.iter().copied().filter(|call| best - worth(call) < LITTLE).collect(),
                    features: &place.features,
                    visits: place.tried.values().map(|tried| tried.times).sum(),
                }
            })
            .collect()
    }

    /// The call by which a known way to the goal goes on from a state.
    pub(super) fn known(&self, features: &Features) -> Option<usize> {
        let number = *self.by_key.get(&self.paths.key(features))?;
        let place = self.places.get(number).filter(|place| place.known > LITTLE)?;
        let worth = |call: &usize| self.worth(number, *call, Worth::Known);
        let best = place.options.iter().map(worth).fold(f64::MIN, f64::max);
        place.options.iter().copied().find(|call| best - worth(call) < LITTLE)
    }

    /// The shortest way from a state to the goal that is known and certain.
    pub(super) fn way(&self, from: &Features, longest: usize) -> Option<Vec<usize>> {
        let mut at = *self.by_key.get(&self.paths.key(from))?;
        let mut way = Vec::new();
        while way.len() < longest {
            let place = &self.places[at];
            let worth = |call: &usize| self.worth(at, *call, Worth::Known);
            let call = place.options.iter().copied().max_by(|a, b| worth(a).total_cmp(&worth(b)))?;
            let tried = place.tried.get(&call)?;
            way.push(call);
            if tried.goals == tried.times {
                return Some(way);
            }
            let (to, times) = tried.next.iter().next()?;
            if *times != tried.times {
                return None;
            }
            at = *to;
        }
        None
    }
}
