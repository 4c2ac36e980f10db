//! Play in worlds that list the possible calls: a linear model learns which calls are worth making.
//!
//! A call has *traits* ([`memory`]): its words; what a line of the state's texts says of it ("roast the red pepper" and `cook red pepper in
//! oven` have `cook … in oven` and `roast the …` in common); whether it was made here before, and what came of it; where it leads. A
//! linear model of the traits ([`weights`]) learns what calls bring: their reward, something new, and the best of what they make
//! possible. A policy remembers what was offered at which place, and goes where the best call is. The program carries the weights and
//! the same policy (`policy.js`).

mod memory;
#[cfg(test)]
mod tests;
mod weights;

use super::program::Programmer;
use super::{Game, Tried};
use crate::world::{ExplorationError, PracticeWorld};
use memory::{Chance, Memory, Shape};
use serde_json::Value;
use sojourn_tools::{EnvironmentSpec, TaskSpec};
use std::collections::{BTreeMap, BTreeSet};
use weights::{Names, Sample, Weights};

/// The tool by which programs learn which calls are possible.
const AVAILABLE: &str = "available";
/// The field with the sum of an episode's rewards.
const RETURN: &str = "return";
/// Episodes in which chance alone chooses before a text is taken to say where the agent is, and before anything is learned.
const SCOUTED: usize = 3;
const RANDOM: usize = 5;
/// Episodes between two fits, and between two programs.
const FIT: usize = 5;
const ROUND: usize = 20;
/// How often chance chooses after them, of a thousand calls, and how bad a call may be that it chooses.
const SELDOM: usize = 80;
const BAD: f64 = -0.2;
/// Episodes in which a program is measured.
const MEASURED: usize = 10;
/// Programs in a row that are no better than an earlier one, after which no other is written.
const VAIN: usize = 3;
/// Worth of a place that the episode had not shown, of a line, and lines that count, where the largest reward is 1.
const PLACE: f64 = 0.1;
const LINE: f64 = 0.02;
const LINES: usize = 4;
/// Worth of what comes a call later.
const LATER: f64 = 0.8;
/// By how much a chance must have risen to be new.
const RISE: f64 = 0.05;
/// Weights that a program carries: how far from 0, and how many.
const LEAST: f64 = 0.004;
const CARRIED: usize = 2000;

/// A model of the possible calls of a world, and the samples it is fitted to.
#[derive(Default)]
struct Learner {
    shape: Shape,
    names: Names,
    weights: Weights,
    samples: Vec<Sample>,
    /// The largest reward, whatever its sign.
    largest: f64,
    scouts: BTreeMap<String, Scout>,
}

/// How the first line of a text behaves.
#[derive(Debug, Default)]
struct Scout {
    steps: usize,
    changes: usize,
    returns: usize,
    /// The lines of this episode.
    known: BTreeSet<Vec<String>>,
    latest: Vec<String>,
    most: usize,
}

impl Scout {
    fn see(&mut self, line: Vec<String>, is_first: bool) {
        if is_first {
            self.known.clear();
        } else {
            self.steps += 1;
            if line != self.latest {
                self.changes += 1;
                self.returns += usize::from(self.known.contains(&line));
            }
        }
        self.known.insert(line.clone());
        self.most = self.most.max(self.known.len());
        self.latest = line;
    }
}

impl Learner {
    fn new(environment: &EnvironmentSpec) -> Self {
        let acting: Vec<_> = environment.tools.iter().filter(|tool| tool.effects.write).collect();
        let only = matches!(acting[..], [tool] if tool.parameters.len() == 1);
        Self { shape: Shape { only, place: None }, ..Self::default() }
    }

    fn scout(&mut self, state: &Value, is_first: bool) {
        let mut texts = Vec::new();
        memory::texts_in(state, "", &mut texts, 0);
        let mut met = BTreeSet::new();
        for (field, text) in texts {
            if met.insert(field.clone()) {
                let line = memory::lines_of(text).into_iter().next().unwrap_or_default();
                self.scouts.entry(field).or_default().see(line, is_first);
            }
        }
    }

    /// Takes the text that says where the agent is: of those whose first line changes to one that was there before, the one that
    /// changes least often.
    fn settle(&mut self) {
        let is_place = |scout: &&Scout| scout.returns >= 2 && scout.most >= 2;
        let places = self.scouts.iter().filter(|(_, scout)| is_place(scout));
        let seldom = |scout: &Scout| scout.changes * 1000 / scout.steps.max(1);
        self.shape.place = places.min_by_key(|(_, scout)| seldom(scout)).map(|(field, _)| field.clone());
    }

    /// The program that plays by the strongest weights.
    fn program(&self, writer: &Programmer<'_>) -> (String, Weights) {
        let (strongest, weights) = self.weights.strongest(&self.names, LEAST, CARRIED);
        let for_rewards = is_for_rewards(writer.task);
        (writer.offered(&strongest, self.shape.only, self.shape.place.as_deref(), !for_rewards), weights)
    }
}

/// The sum of an episode's rewards, where the state shows it.
fn total(state: &Value) -> f64 {
    state.get(RETURN).and_then(Value::as_f64).unwrap_or(0.0)
}

/// Whether the task is done by getting rewards: then an episode goes on after the first one.
fn is_for_rewards(task: &TaskSpec) -> bool {
    task.goal.paths().iter().any(|path| path.names().eq([RETURN]))
}

impl<W: PracticeWorld> Game<'_, W> {
    /// Whether programs can read which calls are possible.
    pub(super) fn is_offered(&self) -> bool {
        let explorer = self.explorer;
        explorer.plan.play_rules >= 2 && explorer.environment.tools.iter().any(|tool| tool.name == AVAILABLE)
    }

    /// Learns what calls are worth until programs get no better. Returns whether one reached the goal.
    pub(super) async fn learn_offers(&mut self) -> Result<bool, ExplorationError<W::Error>> {
        let mut learner = Learner::new(self.explorer.environment);
        let mut best: Option<(f64, Tried)> = None;
        let (mut episodes, mut vain) = (0, 0);
        // What is for programs otherwise.
        let rest = if self.explorer.plan.play_rules >= 3 { self.left * 2 / 3 } else { 0 } + MEASURED;
        while self.left > rest && vain < VAIN {
            let Some(seed) = self.seeds.next() else { break };
            self.left -= 1;
            self.play_offers(seed, &mut learner, episodes).await?;
            episodes += 1;
            if episodes == SCOUTED {
                learner.settle();
                learner.samples.clear();
            }
            if episodes >= RANDOM && episodes % FIT == 0 {
                let traits = learner.names.count();
                learner.weights.fit(&learner.samples, traits, &mut self.random);
            }
            if episodes % ROUND != 0 && self.left > rest {
                continue;
            }
            let (source, _) = learner.program(&self.writer());
            let Some((mean, tried, is_perfect)) = self.measure(source).await? else { continue };
            if best.as_ref().is_none_or(|(most, _)| mean > *most) {
                (best, vain) = (Some((mean, tried)), 0);
            } else {
                vain += 1;
            }
            if is_perfect {
                break;
            }
        }
        let reached = best.as_ref().is_some_and(|(_, tried)| tried.won > tried.lost);
        self.programs.extend(best.map(|(_, tried)| tried));
        Ok(reached)
    }

    /// Plays one episode and learns of it.
    async fn play_offers(
        &mut self,
        seed: u64,
        learner: &mut Learner,
        episode: usize,
    ) -> Result<(), ExplorationError<W::Error>> {
        let explorer = self.explorer;
        let for_rewards = is_for_rewards(explorer.task);
        let before = self.world.reset(seed).await.map_err(ExplorationError::World)?;
        let shape = learner.shape.clone();
        let mut memory = Memory::new(&shape);
        if episode < SCOUTED {
            learner.scout(&before, true);
        }
        let offers = self.world.available().await.map_err(ExplorationError::World)?;
        memory.see(&before, &offers, &mut learner.names);
        let mut chances = memory.chances(&mut learner.names, &learner.weights.values);
        let mut shown = total(&before);
        let mut calls = Vec::new();
        let mut reached = false;
        for _ in 0..explorer.plan.steps {
            let by_chance = episode < RANDOM || self.random.below(1000) < SELDOM;
            let chosen =
                if by_chance { self.any_offer(&memory, &chances) } else { memory.choose(&chances, true) };
            let Some(call) = chosen else { break };
            let from = memory.here();
            let traits = memory.traits(from, call, &mut learner.names);
            learner.names.note(&traits);
            let made = memory.call(call).clone();
            let result = self.world.call(&made, explorer.plan.steps).await;
            let result = result.map_err(ExplorationError::World)?;
            calls.push(made);
            let is_goal = explorer.reaches(&before, &result.state);
            reached |= is_goal;
            let reward = if for_rewards { result.reward } else { f64::from(u8::from(is_goal)) };
            learner.largest = learner.largest.max(reward.abs());
            let (places, lines) = (memory.places(), memory.lines());
            let now = total(&result.state);
            memory.came(call, from, now - shown, &mut learner.names);
            shown = now;
            if episode < SCOUTED {
                learner.scout(&result.state, false);
            }
            let ended = result.ended || (is_goal && !for_rewards);
            let offers = if ended {
                Vec::new()
            } else {
                self.world.available().await.map_err(ExplorationError::World)?
            };
            memory.see(&result.state, &offers, &mut learner.names);
            memory.went(call, from);
            let news =
                PLACE * (memory.places() - places) as f64 + LINE * (memory.lines() - lines).min(LINES) as f64;
            let mut worth = news - f64::from(u8::from(result.lost));
            if learner.largest > 0.0 {
                worth += reward / learner.largest;
            }
            if ended {
                learner.samples.push(Sample { traits, worth });
                break;
            }
            let next = memory.chances(&mut learner.names, &learner.weights.values);
            worth += LATER * promise(&chances, &next, memory.here());
            learner.samples.push(Sample { traits, worth });
            chances = next;
        }
        if reached {
            self.demonstrate(seed, calls);
        }
        Ok(())
    }

    /// A call that was not made here, or any; none that is known to do harm, if there are others.
    fn any_offer(&mut self, memory: &Memory<'_>, chances: &[Chance]) -> Option<usize> {
        let here = chances.iter().filter(|chance| chance.place == memory.here());
        let safe: Vec<usize> = here.filter(|chance| chance.worth > BAD).map(|chance| chance.call).collect();
        let fresh: Vec<usize> = safe.iter().copied().filter(|call| !memory.was_tried(*call)).collect();
        let among = [&fresh[..], &safe[..], memory.offers()].into_iter().find(|calls| !calls.is_empty());
        self.random.one(among.unwrap_or_default()).copied()
    }

    /// Runs a program in further episodes: the mean of what they brought, how often it reached the goal, and whether all of them
    /// ended with success.
    async fn measure(
        &mut self,
        source: String,
    ) -> Result<Option<(f64, Tried, bool)>, ExplorationError<W::Error>> {
        let explorer = self.explorer;
        let for_rewards = is_for_rewards(explorer.task);
        let Ok(program) = explorer.sandbox.compile_program(&explorer.task.name, &source).await else {
            return Ok(None);
        };
        let mut tried = Tried { source, won: 0, lost: 0 };
        let (mut sum, mut successes) = (0.0, 0);
        while tried.won + tried.lost < MEASURED && self.left > 0 {
            let Some(seed) = self.seeds.next() else { break };
            self.left -= 1;
            let run = self.world.run(seed, &program, &[], explorer.plan.steps).await;
            let run = run.map_err(ExplorationError::World)?;
            let reached = explorer.reaches(&run.before, &run.after);
            tried.won += usize::from(reached);
            tried.lost += usize::from(!reached);
            sum += if for_rewards { total(&run.after) } else { f64::from(u8::from(reached)) };
            successes +=
                usize::from(run.after.get("success") == Some(&Value::Bool(true)) || !for_rewards && reached);
        }
        let runs = tried.won + tried.lost;
        let is_perfect = runs == MEASURED && successes == runs;
        Ok(Some((sum / runs.max(1) as f64, tried, is_perfect)))
    }
}

/// The best of the chances that a call made: those where it led, and those that it raised. A call of a kind that was seldom made counts as
/// one that may be worth something, so what makes it possible does too.
fn promise(before: &[Chance], after: &[Chance], here: usize) -> f64 {
    let known: BTreeMap<(usize, usize), f64> =
        before.iter().map(|chance| ((chance.place, chance.call), chance.worth + chance.hope)).collect();
    let gains = after.iter().filter_map(|chance| {
        let was = known.get(&(chance.place, chance.call)).copied();
        let is = chance.worth + chance.hope;
        let is_new = chance.place == here || was.is_none_or(|was| is > was + RISE);
        is_new.then(|| (is - was.unwrap_or(0.0).max(0.0)) * LATER.powi(chance.far))
    });
    gains.fold(0.0, f64::max)
}
