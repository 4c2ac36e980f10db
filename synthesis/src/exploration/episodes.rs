//! Single episodes: of the random policy, of a demonstration with a call left out, and of a program.

use super::Hypothesis;
use super::experience::Experience;
use super::policy::RandomPolicy;
use super::reading::Reader;
use crate::plan::{DemonstratedCall, Demonstration, ExplorationPlan};
use crate::ui::{LeftOut, UiState};
use crate::world::{ExplorationError, PracticeWorld};
use futures_util::future::try_join_all;
use serde_json::{Map, Value};
use sojourn_tools::{EnvironmentSpec, ExplorationSpec, TaskSpec, ToolCall};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often the policy draws again when it drew calls that were all made before.
const REDRAWS: usize = 4;

/// Runs episodes of one task.
pub(super) struct Episodes<'a> {
    pub environment: &'a EnvironmentSpec,
    pub spec: &'a ExplorationSpec,
    pub task: &'a TaskSpec,
    pub plan: &'a ExplorationPlan,
    pub reader: Reader,
    /// Whether a malformed state was reported.
    pub warned: AtomicBool,
}

/// What came of an episode.
struct Episode {
    steps: Vec<DemonstratedCall>,
    goal_reached: bool,
    /// Whether the last call ended the episode.
    ended: bool,
}

/// Where the calls of an episode come from.
enum Source<'a> {
    Random(RandomCalls<'a>),
    Given(VecDeque<ToolCall>),
}

/// The calls of a random policy.
struct RandomCalls<'a> {
    policy: RandomPolicy<'a>,
    /// Actions that may still be drawn.
    actions_left: usize,
    /// Calls of the last action that are still to be made.
    pending: VecDeque<ToolCall>,
    /// All calls so far.
    made: Vec<ToolCall>,
    /// The goal that the first state stated.
    goal: Option<String>,
}

impl Episodes<'_> {
    /// Runs each program in an episode of this seed and counts whether it reached the goal.
    pub(super) async fn run_all<W: PracticeWorld>(
        &self,
        hypotheses: &mut [&mut Hypothesis],
        seed: u64,
        worlds: &mut [W],
    ) -> Result<(), ExplorationError<W::Error>> {
        for chunk in hypotheses.chunks_mut(worlds.len()) {
            let runs = chunk.iter().zip(worlds.iter_mut()).map(|(one, world)| self.run(one, seed, world));
            let reached = try_join_all(runs).await?;
            for (one, reached) in chunk.iter_mut().zip(reached) {
                *(if reached { &mut one.won } else { &mut one.lost }) += 1;
            }
        }
        Ok(())
    }

    async fn run<W: PracticeWorld>(
        &self,
        hypothesis: &Hypothesis,
        seed: u64,
        world: &mut W,
    ) -> Result<bool, ExplorationError<W::Error>> {
        let Some(program) = &hypothesis.program else { return Ok(false) };
        let granted = if hypothesis.is_skill { self.plan.known_skills.as_slice() } else { &[] };
        let result =
            world.run(seed, program, granted, self.plan.steps).await.map_err(ExplorationError::World)?;
        Ok(self.reaches(&result.before, &result.after))
    }

    /// Acts at random in an episode of each seed, no more than there are worlds, and returns what reached the goal, shortened.
    pub(super) async fn at_random<W: PracticeWorld>(
        &self,
        seeds: &[u64],
        experience: &mut Experience,
        worlds: &mut [W],
    ) -> Result<Vec<Demonstration>, ExplorationError<W::Error>> {
        let before = &*experience;
        let runs = seeds.iter().zip(worlds.iter_mut()).map(|(&seed, world)| async move {
            let mut policy = RandomPolicy::new(seed, self.spec, before);
            // Fewer actions at times, so that what usually comes last also comes early.
            let actions_left = 1 + policy.random.below(self.plan.actions as usize);
            let (pending, made) = (VecDeque::new(), Vec::new());
            let mut source = Source::Random(RandomCalls { policy, actions_left, pending, made, goal: None });
            let episode = self.act(seed, world, &mut source).await?;
            let Source::Random(RandomCalls { goal, .. }) = source else { return Ok((episode, None)) };
            Ok::<_, ExplorationError<W::Error>>((episode, goal))
        });
        let mut reached = Vec::new();
        for (&seed, (episode, goal)) in seeds.iter().zip(try_join_all(runs).await?) {
            experience.add(&goal.unwrap_or_default(), &episode.steps, episode.ended);
            if episode.goal_reached {
                reached.push((seed, episode.steps));
            }
        }
        let mut demonstrations = Vec::new();
        if let Some(world) = worlds.first_mut() {
            for (seed, steps) in reached {
                let steps = self.shorten(seed, steps, world).await?;
                demonstrations.push(Demonstration { seed, steps });
            }
        }
        Ok(demonstrations)
    }

    /// Leaves out the calls without which the goal is reached all the same.
    async fn shorten<W: PracticeWorld>(
        &self,
        seed: u64,
        mut steps: Vec<DemonstratedCall>,
        world: &mut W,
    ) -> Result<Vec<DemonstratedCall>, ExplorationError<W::Error>> {
        let mut at = 0;
        while at < steps.len() && steps.len() > 1 {
            let mut calls: VecDeque<ToolCall> = steps.iter().map(|step| step.call.clone()).collect();
            calls.remove(at);
            let episode = self.act(seed, world, &mut Source::Given(calls)).await?;
            if episode.goal_reached {
                steps = episode.steps;
            } else {
                at += 1;
            }
        }
        Ok(steps)
    }

    /// Makes calls until the goal is reached, the episode ends, or there are no more.
    async fn act<W: PracticeWorld>(
        &self,
        seed: u64,
        world: &mut W,
        source: &mut Source<'_>,
    ) -> Result<Episode, ExplorationError<W::Error>> {
        let mut state = world.reset(seed).await.map_err(ExplorationError::World)?;
        let first = state.clone();
        let mut episode = Episode { steps: Vec::new(), goal_reached: false, ended: false };
        for step in 0..self.plan.steps {
            let seen = match UiState::read(self.environment, &state) {
                Ok(seen) => seen,
                // A declaration that fits the first state is right; a later state without elements ends the episode.
                Err(error) if step > 0 => {
                    self.warn(&error);
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            if seen.left_out.count > 0 {
                let LeftOut { count, first, field } = &seen.left_out;
                self.warn(&format!("{count} elements are left out; the first, at {first} of `{}`, has no text in its field `{field}`", self.spec.elements));
            }
            let call = match source {
                Source::Random(random) => self.next(random, &seen).await,
                Source::Given(calls) => calls.pop_front(),
            };
            let Some(call) = call else { break };
            let result = world.call(&call, self.plan.steps).await.map_err(ExplorationError::World)?;
            state = result.state;
            episode.goal_reached = self.reaches(&first, &state);
            episode.ended = result.ended;
            let over = episode.goal_reached || episode.ended;
            // A call that failed changed nothing, so a program need not repeat it.
            if result.succeeded || over {
                episode.steps.push(DemonstratedCall { state: seen, call });
            }
            if over {
                break;
            }
        }
        Ok(episode)
    }

    /// Logs that a state is malformed, once in an exploration.
    fn warn(&self, what: &dyn std::fmt::Display) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(environment = %self.environment.name, "a state is not as declared: {what}");
        }
    }

    /// The next call of the random policy.
    async fn next(&self, random: &mut RandomCalls<'_>, seen: &UiState) -> Option<ToolCall> {
        random.goal.get_or_insert_with(|| seen.goal.clone());
        if random.pending.is_empty() {
            random.actions_left = random.actions_left.checked_sub(1)?;
            let reading = self.reader.read(self.spec, seen).await;
            random.pending = (0..REDRAWS).find_map(|_| {
                let (template, calls) = random.policy.draw(seen, &reading, random.actions_left == 0)?;
                let tool = self.environment.tools.iter().find(|tool| tool.name == template.tool)?;
                let call = |args: Vec<Value>| {
                    let names = tool.parameters.iter().map(|parameter| parameter.name.clone());
                    ToolCall { name: tool.name.clone(), args: names.zip(args).collect() }
                };
                let calls: VecDeque<ToolCall> = calls.into_iter().map(call).collect();
                calls.iter().any(|call| !random.made.contains(call)).then_some(calls)
            })?;
        }
        let call = random.pending.pop_front()?;
        random.made.push(call.clone());
        Some(call)
    }

    fn reaches(&self, before: &Value, after: &Value) -> bool {
        self.task.goal.holds(before, after, &Map::new()).unwrap_or(false)
    }
}
