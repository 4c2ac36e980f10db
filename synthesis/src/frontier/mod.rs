//! Finding out what can be done in a world whose effects need other effects before them.
//!
//! An episode goes to where something known can be brought about, by the rules that are known so far, and tries from there what was
//! seldom tried in such a state: first return, then explore (Go-Explore: Ecoffet et al., Nature 590, 2021), with rules instead of
//! recorded ways, so that it works in worlds that begin differently each time. From the calls with and without an effect
//! [`induction`] makes rules: what must be faced, held or nearby, what is used up, what comes of it. New rules reach new states.
//! [`Beliefs`] are the rules with their evidence; tasks and recipes are made of them.

mod beliefs;
mod evidence;
mod induction;
#[cfg(test)]
mod tests;
mod way;

pub use beliefs::{Beliefs, Documentation, Rule, Use};

use crate::exploration::Random;
use crate::play::{Features, Scalar, candidates};
use crate::world::{ExplorationError, PracticeWorld};
use evidence::{Change, Evidence};
use induction::{Known, Test};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_tools::EnvironmentSpec;
use std::collections::BTreeMap;
use std::sync::Arc;
use way::Way;

/// Calls after which rules are made again.
const REVIEW: u64 = 500;
/// Calls towards one goal, at most.
const TOWARDS: u32 = 60;
/// Calls in a row that try what was seldom tried.
const TRIES: [u32; 4] = [5, 10, 20, 30];
/// How often a goal is pursued in a row.
const TIMES: [u32; 5] = [1, 1, 2, 3, 5];
/// The largest number of something that tells states apart.
const COUNTED: f64 = 9.0;

/// How much of a world is looked at in one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiscoveryPlan {
    /// Seeds of the practice worlds, one for each episode.
    pub seeds: Vec<u64>,
    /// Calls in all episodes after which no further one is made.
    pub calls: u64,
    /// Calls in one episode at most.
    pub episode_calls: u32,
    /// Environment steps that one call may take.
    pub steps: u32,
    /// The largest number of discovered tasks.
    pub tasks: usize,
    /// What earlier stages found out.
    #[serde(default)]
    pub beliefs: Beliefs,
}

/// Looks for what can be done in a world.
pub struct FrontierExplorer<'a> {
    /// The environment.
    pub environment: &'a EnvironmentSpec,
    /// The limits.
    pub plan: &'a DiscoveryPlan,
}

impl FrontierExplorer<'_> {
    /// Plays the episodes of the plan; returns the beliefs at their end.
    ///
    /// # Errors
    /// When the world fails.
    pub async fn explore<W: PracticeWorld>(
        &self,
        world: &mut W,
    ) -> Result<Beliefs, ExplorationError<W::Error>> {
        let mut evidence = Evidence::default();
        let known = induction::recall(&mut evidence, &self.plan.beliefs.rules);
        let mut frontier = Frontier {
            explorer: self,
            random: Random::new(self.plan.seeds.first().copied().unwrap_or_default()),
            evidence,
            recalled: known.len(),
            known,
            tried: BTreeMap::new(),
            features: BTreeMap::new(),
            pursued: BTreeMap::new(),
            way: Way::default(),
            calls: 0,
            episodes: 0,
        };
        for seed in &self.plan.seeds {
            if frontier.calls >= self.plan.calls {
                break;
            }
            frontier.episode(world, *seed).await?;
        }
        Ok(frontier.conclude())
    }
}

/// The exploration under way.
struct Frontier<'a> {
    explorer: &'a FrontierExplorer<'a>,
    random: Random,
    evidence: Evidence,
    /// Rules to go by: those that the evidence supports, and those of earlier stages about which nothing is known yet.
    known: Vec<Known>,
    /// How many of them come from earlier stages, before the first review.
    recalled: usize,
    /// How often each call was made in states with each feature.
    tried: BTreeMap<(usize, usize), u32>,
    /// The numbers of the features.
    features: BTreeMap<(usize, String), usize>,
    /// How often each change was pursued.
    pursued: BTreeMap<Change, u32>,
    way: Way,
    calls: u64,
    episodes: u64,
}

/// What an episode is about to do.
#[derive(Clone, Copy)]
enum Aim {
    /// Bring a change about, so often.
    Pursue { known: usize, times: u32, left: u32 },
    /// Try what was seldom tried.
    Try { left: u32 },
}

impl Frontier<'_> {
    async fn episode<W: PracticeWorld>(
        &mut self,
        world: &mut W,
        seed: u64,
    ) -> Result<(), ExplorationError<W::Error>> {
        self.episodes += 1;
        let first = world.reset(seed).await.map_err(ExplorationError::World)?;
        let mut state = Arc::new(self.read(&first));
        self.evidence.begin(&state);
        self.way = Way::default();
        let mut aim = self.aim(&state);
        for _ in 0..self.explorer.plan.episode_calls {
            if self.calls >= self.explorer.plan.calls {
                return Ok(());
            }
            let options = self.options(world, &state).await?;
            let towards = match &aim {
                Aim::Pursue { known, .. } => {
                    self.way.next(*known, &self.known, &self.evidence, &state, &options)
                }
                Aim::Try { .. } => None,
            };
            let Some(chosen) = towards.or_else(|| self.seldom(&state, &options)) else { return Ok(()) };
            if towards.is_none() && matches!(aim, Aim::Pursue { .. }) {
                aim = Aim::Try { left: 1 };
            }
            let call = self.evidence.calls[chosen].call.clone();
            let result =
                world.call(&call, self.explorer.plan.steps).await.map_err(ExplorationError::World)?;
            self.calls += 1;
            let after = Arc::new(self.read(&result.state));
            self.note(chosen, &state);
            let changes = self.evidence.add(chosen, (&state, &after), result.steps, &mut self.random);
            self.way.made(chosen, &after);
            state = after;
            if self.calls.is_multiple_of(REVIEW) {
                self.review();
                aim = self.aim(&state);
            }
            if result.ended {
                return Ok(());
            }
            aim = self.then(aim, &changes, &state);
        }
        Ok(())
    }

    /// What to do after a call.
    fn then(&mut self, aim: Aim, changes: &[Change], state: &Features) -> Aim {
        match aim {
            Aim::Pursue { known, times, left } => {
                let reached = self.known.get(known).is_some_and(|known| changes.contains(&known.change));
                match (reached, times, left) {
                    (true, 0 | 1, _) | (false, _, 0) => Aim::Try { left: self.tries() },
                    (true, times, _) => Aim::Pursue { known, times: times - 1, left: TOWARDS },
                    (false, times, left) => Aim::Pursue { known, times, left: left - 1 },
                }
            }
            Aim::Try { left: 0 } => self.aim(state),
            Aim::Try { left } => Aim::Try { left: left - 1 },
        }
    }

    fn tries(&mut self) -> u32 {
        self.random.one(&TRIES).copied().unwrap_or(1)
    }

    /// Chooses a change to bring about, rather one that was seldom pursued.
    fn aim(&mut self, state: &Features) -> Aim {
        let weights: Vec<f64> = self
            .known
            .iter()
            .map(|known| {
                let full = match &known.change {
                    Change::Rose(path) => self.evidence.ceiling(*path).is_some_and(|ceiling| {
                        state.get(*path).and_then(Scalar::number).is_some_and(|number| number >= ceiling)
                    }),
                    _ => false,
                };
                if full || known.rule.closed {
                    return 0.0;
                }
                let pursued = self.pursued.get(&known.change).copied().unwrap_or(0);
                1.0 / f64::from(1 + pursued).sqrt()
            })
            .collect();
        match self.draw(&weights) {
            // One time in four it starts from wherever it is.
            Some(known) if !self.random.once_in(4) => {
                *self.pursued.entry(self.known[known].change.clone()).or_default() += 1;
                let times = self.random.one(&TIMES).copied().unwrap_or(1);
                Aim::Pursue { known, times, left: TOWARDS }
            }
            _ => Aim::Try { left: self.tries() },
        }
    }

    /// One of the options, rather one that was seldom made in states like this one.
    fn seldom(&mut self, state: &Features, options: &[usize]) -> Option<usize> {
        let features = self.features(state);
        let weights: Vec<f64> = options
            .iter()
            .map(|call| {
                let new = |feature: &usize| {
                    let times = self.tried.get(&(*call, *feature)).copied().unwrap_or(0);
                    1.0 / f64::from(1 + times)
                };
                let novelty: f64 = features.iter().map(new).sum::<f64>() + 0.01;
                let tested = &self.evidence.calls[*call];
                // What never did anything may lack something; what only moves is known.
                let promise = if self.may_do_more(*call, state) {
                    4.0
                } else if tested.counts.is_empty() {
                    2.0
                } else if tested.counts.keys().all(|change| self.evidence.ambient.contains(change)) {
                    0.5
                } else {
                    1.0
                };
                (promise * novelty).powi(2)
            })
            .collect();
        self.draw(&weights).and_then(|at| options.get(at).copied())
    }

    /// Whether what the call does depends on the value of some field, and nothing is known of it for the value that is there now: what
    /// brings one thing about at one place may bring about another at another.
    fn may_do_more(&self, call: usize, state: &Features) -> bool {
        let needs = self.known.iter().filter(|known| known.call == call).flat_map(|known| &known.needs);
        let values = needs.filter_map(|need| match need {
            Test::Is(path, value @ Scalar::Text(_)) => Some((*path, value)),
            _ => None,
        });
        let mut known: BTreeMap<usize, bool> = BTreeMap::new();
        for (path, value) in values {
            *known.entry(path).or_default() |= state.get(path) == Some(value);
        }
        known.into_values().any(|known| !known)
    }

    /// An index, each with a probability in proportion to its weight; `None` where all are 0.
    fn draw(&mut self, weights: &[f64]) -> Option<usize> {
        let total: f64 = weights.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return None;
        }
        let mut left = self.random.unit() * total;
        let positive = |at: &usize| weights[*at] > 0.0;
        for (at, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 && *weight > 0.0 {
                return Some(at);
            }
        }
        (0..weights.len()).rev().find(positive)
    }

    /// The features of a state that may matter for what a call does.
    fn features(&mut self, state: &Features) -> Vec<usize> {
        let feature = |(path, value): (usize, &Scalar)| match value {
            Scalar::Number(number) if self.evidence.is_counter(path) && *number > 0.0 => {
                Some((path, number.min(COUNTED).floor().to_string()))
            }
            Scalar::Number(_) | Scalar::Null => None,
            Scalar::Bool(_) | Scalar::Text(_) if value.is_prose() => None,
            Scalar::Bool(_) | Scalar::Text(_) => Some((path, value.json().to_string())),
        };
        let mut found: Vec<(usize, String)> = state.iter().filter_map(feature).collect();
        // A call that did nothing at a thing may do something there once something else is held.
        let held: Vec<usize> = state
            .iter()
            .filter(|(path, value)| {
                self.evidence.is_counter(*path) && value.number().is_some_and(|number| number > 0.0)
            })
            .map(|(path, _)| path)
            .collect();
        for (path, value) in state.iter() {
            if matches!(value, Scalar::Text(_)) && !value.is_prose() {
                found.extend(held.iter().map(|held| (path, format!("{} with {held}", value.json()))));
            }
        }
        let number = |feature| {
            let next = self.features.len();
            *self.features.entry(feature).or_insert(next)
        };
        found.into_iter().map(number).collect()
    }

    fn note(&mut self, call: usize, state: &Features) {
        for feature in self.features(state) {
            *self.tried.entry((call, feature)).or_default() += 1;
        }
    }

    fn read(&mut self, state: &Value) -> Features {
        self.evidence.paths.read(state)
    }

    async fn options<W: PracticeWorld>(
        &mut self,
        world: &mut W,
        state: &Features,
    ) -> Result<Vec<usize>, ExplorationError<W::Error>> {
        let offered = world.available().await.map_err(ExplorationError::World)?;
        let shown = self.evidence.paths.texts(state);
        let calls = candidates(self.explorer.environment, &offered, &shown, &mut self.random);
        Ok(calls.iter().map(|call| self.evidence.number(call)).collect())
    }

    /// Makes the rules again.
    fn review(&mut self) {
        self.evidence.review();
        let found = induction::induce(&self.evidence);
        let is_new = |old: &Known| !found.iter().any(|new| new.change == old.change && new.call == old.call);
        let mut kept: Vec<Known> =
            self.known.drain(..).take(self.recalled).filter(|old| is_new(old)).collect();
        for old in &mut kept {
            induction::confront(&self.evidence, old);
        }
        self.recalled = kept.len();
        kept.extend(found);
        self.known = kept;
        self.way = Way::default();
    }

    fn conclude(mut self) -> Beliefs {
        self.review();
        let mut beliefs = self.explorer.plan.beliefs.clone();
        beliefs.calls += self.calls;
        beliefs.episodes += self.episodes;
        beliefs.merge(self.known.into_iter().map(|known| known.rule).collect());
        beliefs
    }
}
