//! Play: short episodes in practice worlds in which things are done by chance, until something reaches the goal; then
//! programs that do the same, run in other worlds, until it is clear which of them was meant.

mod chance;
mod explain;
mod pick;
mod program;
mod scene;
#[cfg(test)]
mod tests;
mod text;

use super::executor::ExecutorError;
use super::trials::TrialRunner;
use crate::core::task_head;
use crate::model::{Demonstration, ExplorationPlan, Shown};
use chance::{Chance, Experience};
use futures_util::future::join_all;
use program::{Run, Step};
use scene::Scene;
use serde_json::{Map, Value};
use sojourn_controller::Cancel;
use sojourn_tools::{Environment, EnvironmentSpec, Play, TaskSpec, ToolCall};
use std::collections::VecDeque;

/// Programs that are made at once of what was seen.
const IDEAS: usize = 60;
/// Programs that are run in the same world.
const AT_ONCE: usize = 6;
/// Demonstrations that programs are made of.
const KEPT: usize = 6;
/// Programs that are handed on.
const PROGRAMS: usize = 6;

/// Plays in practice worlds.
pub(super) struct Player<'a> {
    pub runner: TrialRunner,
    pub spec: &'a EnvironmentSpec,
    pub play: &'a Play,
    pub task: &'a TaskSpec,
    pub plan: &'a ExplorationPlan,
    pub cancel: &'a Cancel,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// What reached the goal by chance.
    pub shown: Vec<Demonstration>,
    /// Programs that did, the best first.
    pub programs: Vec<String>,
}

/// What may reach the goal, and how it did.
struct Idea {
    way: Way,
    source: String,
    won: usize,
    lost: usize,
}

enum Way {
    /// As a program.
    Program(Vec<Step>),
    /// As a skill of another task.
    Skill(String),
}

impl Idea {
    /// Whether it may still be the one.
    fn is_open(&self, wanted: usize) -> bool {
        let chances = if matches!(self.way, Way::Skill(_)) { 1 } else { 2 };
        self.lost < chances + self.won / 2 && self.won < wanted
    }

    /// Less for those that won more.
    fn balance(&self) -> i64 {
        self.lost as i64 - self.won as i64
    }

    fn is_found(&self, wanted: usize) -> bool {
        self.won >= wanted && self.lost * 4 <= self.won
    }
}

/// A practice world.
pub(super) type World = Box<dyn Environment>;
/// An episode that was lived.
struct Lived {
    /// Where it was.
    world: World,
    /// What was done in it.
    steps: Vec<Shown>,
    /// Whether that reached the goal.
    reached: bool,
    /// Whether its last step ended it.
    over: bool,
}

impl Player<'_> {
    /// Plays until a program was found that reaches the goal again and again, or all episodes are over. Episodes are lived
    /// in all `worlds` at once; what comes of them does not hang on which is quickest.
    ///
    /// # Errors
    /// When the environment breaks, or somebody wants to stop.
    pub async fn find(&self, mut worlds: Vec<World>) -> Result<Found, ExecutorError> {
        let wanted = self.plan.wanted;
        let mut ideas: Vec<Idea> = self.plan.known.iter().map(|name| self.of_skill(name)).collect();
        let mut shown = Vec::<Demonstration>::new();
        let mut experience = Experience::default();
        let mut seeds = self.plan.seeds.iter().copied();
        // An idea that is run costs an episode too.
        let mut left = self.plan.seeds.len();
        while left > 0 && !ideas.iter().any(|idea| idea.is_found(wanted)) {
            if self.cancel.is_cancelled() {
                return Err(ExecutorError::Interrupted);
            }
            // The most promising of those that it may be.
            let mut open: Vec<&mut Idea> = ideas.iter_mut().filter(|idea| idea.is_open(wanted)).collect();
            open.sort_by_key(|idea| idea.balance());
            open.truncate(AT_ONCE.min(left));
            if !open.is_empty() {
                let Some(seed) = seeds.next() else { break };
                left -= open.len();
                self.try_ideas(&mut open, seed, &mut worlds).await?;
                continue;
            }
            let batch: Vec<u64> = seeds.by_ref().take(worlds.len().min(left)).collect();
            if batch.is_empty() {
                break;
            }
            left -= batch.len();
            let new = self.try_chance(&batch, &mut experience, &mut worlds).await?;
            if new.is_empty() {
                continue;
            }
            shown.extend(new);
            let from = shown.len().saturating_sub(KEPT);
            for idea in self.of_demonstrations(&shown[from..]) {
                if ideas.iter().all(|other| other.source != idea.source) {
                    ideas.push(idea);
                }
            }
        }
        // Those that nobody had the time to run are better than nothing.
        ideas.retain(|idea| idea.won > 0 || idea.lost == 0);
        ideas.sort_by_key(Idea::balance);
        shown.truncate(KEPT);
        Ok(Found { shown, programs: ideas.into_iter().take(PROGRAMS).map(|idea| idea.source).collect() })
    }

    /// Runs ideas, each in an episode of this seed.
    async fn try_ideas(
        &self,
        ideas: &mut [&mut Idea],
        seed: u64,
        worlds: &mut Vec<World>,
    ) -> Result<(), ExecutorError> {
        for ideas in ideas.chunks_mut(worlds.len()) {
            let runs = ideas.iter().zip(worlds.drain(..ideas.len()));
            let lives = join_all(runs.map(|(idea, world)| self.run(idea, seed, world))).await;
            for (idea, lived) in ideas.iter_mut().zip(lives) {
                let (world, reached) = lived?;
                worlds.push(world);
                *(if reached { &mut idea.won } else { &mut idea.lost }) += 1;
            }
        }
        Ok(())
    }

    /// Plays an episode of each of these seeds by chance, no more than there are worlds: what reached the goal.
    async fn try_chance(
        &self,
        seeds: &[u64],
        experience: &mut Experience,
        worlds: &mut Vec<World>,
    ) -> Result<Vec<Demonstration>, ExecutorError> {
        let before = &*experience;
        let lives = seeds.iter().zip(worlds.drain(..seeds.len()));
        let lives = join_all(lives.map(|(seed, world)| self.by_chance(*seed, before, world))).await;
        let mut reached = Vec::new();
        for (&seed, lived) in seeds.iter().zip(lives) {
            let (lived, question) = lived?;
            worlds.push(lived.world);
            experience.take_in(self.play, &question, &lived.steps, lived.over);
            if lived.reached {
                reached.push((seed, lived.steps));
            }
        }
        let mut shown = Vec::new();
        for (seed, steps) in reached {
            let Some(world) = worlds.pop() else { break };
            let (world, steps) = self.shorten(seed, steps, world).await?;
            worlds.push(world);
            shown.push(Demonstration { seed, steps });
        }
        Ok(shown)
    }

    fn of_skill(&self, name: &str) -> Idea {
        let source = format!("{}  return {name}();\n}}", task_head(self.task));
        Idea { way: Way::Skill(name.to_owned()), source, won: 0, lost: 0 }
    }

    fn of_demonstrations(&self, shown: &[Demonstration]) -> impl Iterator<Item = Idea> {
        let head = task_head(self.task);
        explain::ideas(self.spec, self.play, shown, IDEAS).into_iter().map(move |steps| {
            let source = program::write(self.spec, &head, &steps);
            Idea { way: Way::Program(steps), source, won: 0, lost: 0 }
        })
    }

    /// Whether an idea reaches the goal in a world.
    async fn run(&self, idea: &Idea, seed: u64, world: World) -> Result<(World, bool), ExecutorError> {
        match &idea.way {
            Way::Program(steps) => {
                let mut run = Run::new(self.spec, steps);
                let lived = self.act(seed, world, |scene| run.next(scene)).await?;
                Ok((lived.world, lived.reached))
            }
            Way::Skill(name) => self.use_skill(seed, name, world).await,
        }
    }

    /// Runs a skill of another task.
    async fn use_skill(
        &self,
        seed: u64,
        name: &str,
        mut world: World,
    ) -> Result<(World, bool), ExecutorError> {
        world.reset(seed).await?;
        let mut executor = self.runner.executor(world)?;
        let call = ToolCall { name: name.to_owned(), args: Map::new() };
        let done = executor.run_skill(&call, self.plan.steps, seed).await?;
        let reached = self.task.goal.holds(&done.before, &done.after, &Map::new()).unwrap_or(false);
        Ok((executor.into_environment()?, reached))
    }

    /// One episode by chance, and what was to be done in it.
    async fn by_chance(
        &self,
        seed: u64,
        experience: &Experience,
        world: World,
    ) -> Result<(Lived, String), ExecutorError> {
        let mut heard = None;
        let mut chance = Chance::new(seed, experience);
        let mut done: Vec<ToolCall> = Vec::new();
        // Not always as many, so that what comes last comes early too.
        let mut moves = 1 + chance.dice.below(self.plan.moves as usize);
        let mut rest: VecDeque<ToolCall> = VecDeque::new();
        let lived = self
            .act(seed, world, |scene| {
                heard.get_or_insert_with(|| scene.question.to_owned());
                if rest.is_empty() {
                    moves = moves.checked_sub(1)?;
                    // The same again does nothing new.
                    rest = (0..4).find_map(|_| {
                        let (chance, calls) = chance.draw(scene, moves == 0)?;
                        let tool = self.spec.tools.iter().find(|tool| tool.name == chance.tool)?;
                        let call = |given: Vec<Value>| {
                            let names = tool.parameters.iter().map(|parameter| parameter.name.clone());
                            ToolCall { name: tool.name.clone(), args: names.zip(given).collect() }
                        };
                        let calls: VecDeque<ToolCall> = calls.into_iter().map(call).collect();
                        Some(calls).filter(|calls| calls.iter().any(|call| !done.contains(call)))
                    })?;
                }
                let call = rest.pop_front()?;
                done.push(call.clone());
                Some(call)
            })
            .await?;
        Ok((lived, heard.unwrap_or_default()))
    }

    /// Leaves out what is not needed, as far as that can be seen in the world that it was done in.
    async fn shorten(
        &self,
        seed: u64,
        mut done: Vec<Shown>,
        mut world: World,
    ) -> Result<(World, Vec<Shown>), ExecutorError> {
        let mut at = 0;
        while at < done.len() && done.len() > 1 {
            let mut rest =
                done.iter().enumerate().filter(|(step, _)| *step != at).map(|(_, shown)| shown.call.clone());
            let lived = self.act(seed, world, |_| rest.next()).await?;
            world = lived.world;
            if lived.reached {
                done = lived.steps;
            } else {
                at += 1;
            }
        }
        Ok((world, done))
    }

    /// Makes the calls that `next` says, one after the other, until the goal is reached or the episode over.
    async fn act(
        &self,
        seed: u64,
        mut world: World,
        mut next: impl FnMut(&Scene<'_>) -> Option<ToolCall>,
    ) -> Result<Lived, ExecutorError> {
        world.reset(seed).await?;
        let mut state = world.observe()?.state;
        let first = state.clone();
        let mut executor = self.runner.executor(world)?;
        let mut done = Vec::new();
        let (mut reached, mut over) = (false, false);
        for _ in 0..self.plan.steps {
            let Some(scene) = Scene::of(self.spec, &state) else { break };
            let Some(call) = next(&scene) else { break };
            let shown = Shown {
                question: scene.question.to_owned(),
                things: scene.things.to_vec(),
                call: call.clone(),
            };
            let performed = executor.call_tool(&call, self.plan.steps).await?;
            state = performed.after.clone();
            reached = self.task.goal.holds(&first, &state, &Map::new()).unwrap_or(false);
            over = performed.ended.is_some();
            // What could not be done is no part of what was.
            if performed.verified || reached || over {
                done.push(shown);
            }
            if reached || over {
                break;
            }
        }
        Ok(Lived { world: executor.into_environment()?, steps: done, reached, over })
    }
}
