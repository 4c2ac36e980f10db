//! A recorded way through a world that has changed since.
//!
//! The search begins with the recorded steps and changes as little of them as reaches the goal: an element of other words, a step in
//! another place, one that is needed no more, one at an element that stands in the way. Each change has a cost, and ways are tried
//! from the cheapest (uniform-cost search). A world cannot be stepped back, so every way is walked from the start of an episode; from
//! its end on, recorded steps that are possible as they are cost nothing and are made at once.

mod moves;
#[cfg(test)]
mod tests;

use crate::plan::DemonstratedCall;
use crate::recording::{Recording, text};
use crate::ui::UiState;
use crate::world::{ExplorationError, PracticeWorld};
use moves::{Costed, Move, Options};
use serde_json::{Map, Value};
use sojourn_tools::{EnvironmentSpec, Parameter, RecordedStep, TaskSpec, ToolCall};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

/// The cost of the changes of a way, at most: about three of them.
const DEAREST: u32 = 60;

/// Looks for a way near a recorded one.
pub struct Healer<'a> {
    /// The environment; it declares what its elements are.
    pub environment: &'a EnvironmentSpec,
    /// The task whose goal is to be reached.
    pub task: &'a TaskSpec,
    /// What was recorded.
    pub recorded: &'a [RecordedStep],
    /// The parameters of the skill.
    pub parameters: &'a [Parameter],
    /// Values for them, with which the goal could be reached.
    pub arguments: &'a Map<String, Value>,
}

/// A way that reached the goal.
#[derive(Debug, Clone, PartialEq)]
pub struct Healed {
    /// The calls, with the arguments that they were made with.
    pub recording: Recording,
    /// How it differs from what was recorded, one sentence each. They quote words of the world.
    pub changes: Vec<String>,
    /// Episodes that it took to find.
    pub episodes: usize,
}

/// A way that may be walked.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    cost: u32,
    /// Ways of the same cost are walked in the order in which they were found.
    found: usize,
    moves: Vec<Move>,
}

/// How an episode ended.
enum Walked {
    Reached(Vec<DemonstratedCall>, Vec<Move>),
    Ended,
}

impl Healer<'_> {
    /// Looks for a way in at most `episodes` episodes with these seeds, one after the other. `None` where there is none so near.
    ///
    /// # Errors
    /// When the world fails, or a state is not what the environment declares.
    pub async fn heal<W: PracticeWorld>(
        &self,
        world: &mut W,
        seeds: &[u64],
    ) -> Result<Option<Healed>, ExplorationError<W::Error>> {
        let mut open: BinaryHeap<Reverse<Way>> = BinaryHeap::new();
        open.push(Reverse(Way { cost: 0, found: 0, moves: Vec::new() }));
        let (mut known, mut found) = (HashSet::new(), 0);
        for (episode, seed) in seeds.iter().enumerate() {
            let Some(Reverse(way)) = open.pop() else { break };
            let mut branches = Vec::new();
            let walked = self.walk(world, *seed, way, &mut branches).await?;
            if let Walked::Reached(steps, moves) = walked {
                return Ok(Some(self.healed(steps, &moves, episode + 1)));
            }
            for (cost, moves) in branches {
                if cost <= DEAREST && known.insert(moves.clone()) {
                    found += 1;
                    open.push(Reverse(Way { cost, found, moves }));
                }
            }
        }
        Ok(None)
    }

    /// Walks a way from the start of an episode, and on as the recording says. What else could be done at its end and after it goes
    /// into `branches`.
    async fn walk<W: PracticeWorld>(
        &self,
        world: &mut W,
        seed: u64,
        way: Way,
        branches: &mut Vec<(u32, Vec<Move>)>,
    ) -> Result<Walked, ExplorationError<W::Error>> {
        let first = world.reset(seed).await.map_err(ExplorationError::World)?;
        let mut state = first.clone();
        let (mut calls, mut moves) = (Vec::new(), Vec::new());
        let mut given = way.moves.into_iter();
        // Twice the recording is the longest way that few changes make of it.
        for _ in 0..2 * self.recorded.len() + 4 {
            let seen = UiState::read(self.environment, &state)?;
            let next = given.next().or_else(|| {
                let mut free = None;
                for Costed { cost, next } in self.options(&seen, &moves) {
                    if cost == 0 && free.is_none() {
                        free = Some(next);
                    } else {
                        branches.push((way.cost + cost, [&moves[..], &[next]].concat()));
                    }
                }
                free
            });
            let Some(next) = next else { return Ok(Walked::Ended) };
            if let Move::Leave { .. } = next {
                moves.push(next);
                continue;
            }
            let Some(call) = self.call(&seen, &next) else { return Ok(Walked::Ended) };
            let result = world.call(&call, u32::MAX).await.map_err(ExplorationError::World)?;
            calls.push(DemonstratedCall { state: seen, call });
            moves.push(next);
            if self.task.goal.holds(&first, &result.state, &Map::new()).unwrap_or(false) {
                return Ok(Walked::Reached(calls, moves));
            }
            // A call that failed changed nothing; the same way without it was branched off before.
            if !result.succeeded || result.ended {
                return Ok(Walked::Ended);
            }
            state = result.state;
        }
        Ok(Walked::Ended)
    }

    fn options(&self, seen: &UiState, moves: &[Move]) -> Vec<Costed> {
        let Some(spec) = &self.environment.exploration else { return Vec::new() };
        Options { spec, environment: self.environment, recorded: self.recorded, seen, moves }.all()
    }

    /// The call that a move is in this state; `None` where its element is not there.
    fn call(&self, seen: &UiState, next: &Move) -> Option<ToolCall> {
        let mut args = Map::new();
        for (name, argument) in next.step(self.recorded)?.args {
            args.insert(name, moves::value(&argument, seen, self.arguments)?);
        }
        Some(ToolCall { name: next.step(self.recorded)?.tool, args })
    }

    fn healed(&self, steps: Vec<DemonstratedCall>, moves: &[Move], episodes: usize) -> Healed {
        let used = |name: &String| {
            let given = self.arguments.get(name).map(text);
            steps.iter().any(|step| step.call.args.values().any(|value| Some(text(value)) == given))
        };
        let change = |(at, one): (usize, &Move)| one.change(self.recorded, &moves[at + 1..]);
        let mut changes: Vec<String> = moves.iter().enumerate().filter_map(change).collect();
        let made: Vec<usize> = moves.iter().filter_map(Move::recorded).collect();
        let left = (0..self.recorded.len()).filter(|at| !made.contains(at));
        changes.extend(left.map(|at| format!("{} is not needed any more", self.recorded[at])));
        // A parameter stays, so that calls of the skill stay right; one that nothing uses is said.
        let unused = self.parameters.iter().filter(|one| !used(&one.name));
        changes.extend(unused.map(|one| format!("the argument `{}` is not used any more", one.name)));
        let recording =
            Recording { parameters: self.parameters.to_vec(), arguments: self.arguments.clone(), steps };
        Healed { recording, changes, episodes }
    }
}
