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

use super::practice::Gym;
use super::stage::StageError;
use crate::core::task_head;
use crate::event::{Demonstration, PlayPlan, Shown};
use chance::{Chance, Questions};
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
    pub gym: Gym,
    pub spec: &'a EnvironmentSpec,
    pub play: &'a Play,
    pub task: &'a TaskSpec,
    pub plan: &'a PlayPlan,
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

/// A program, and how it did.
struct Idea {
    steps: Vec<Step>,
    source: String,
    won: usize,
    lost: usize,
}

impl Idea {
    /// Whether it may still be the one.
    fn is_open(&self, wanted: usize) -> bool {
        self.lost < 2 + self.won / 2 && self.won < wanted
    }

    fn is_found(&self, wanted: usize) -> bool {
        self.won >= wanted && self.lost * 4 <= self.won
    }
}

/// A world, and what was done in it if that reached the goal.
type Lived = (Box<dyn Environment>, Option<Vec<Shown>>);

impl Player<'_> {
    /// Plays until a program was found that reaches the goal again and again, or all episodes are over.
    ///
    /// # Errors
    /// When the environment breaks, or somebody wants to stop.
    pub async fn find(&self, mut world: Box<dyn Environment>) -> Result<Found, StageError> {
        let wanted = self.plan.wanted;
        let (mut shown, mut ideas) = (Vec::<Demonstration>::new(), Vec::<Idea>::new());
        let mut questions = Questions::default();
        let mut left = self.plan.seeds.len();
        for &seed in &self.plan.seeds {
            if left == 0 || ideas.iter().any(|idea| idea.is_found(wanted)) {
                break;
            }
            if self.cancel.is_cancelled() {
                return Err(StageError::Interrupted);
            }
            // The most promising of those that it may be.
            let mut open: Vec<&mut Idea> = ideas.iter_mut().filter(|idea| idea.is_open(wanted)).collect();
            open.sort_by_key(|idea| idea.lost as i64 - idea.won as i64);
            open.truncate(AT_ONCE.min(left));
            if !open.is_empty() {
                left -= open.len();
                for idea in open {
                    let mut run = Run::new(self.spec, &idea.steps);
                    let (back, done) = self.act(seed, world, |scene| run.next(scene)).await?;
                    world = back;
                    if done.is_some() {
                        idea.won += 1;
                    } else {
                        idea.lost += 1;
                    }
                }
                continue;
            }
            left -= 1;
            let (back, done) = self.by_chance(seed, &mut questions, world).await?;
            world = back;
            let Some(done) = done else { continue };
            let (back, steps) = self.shorten(seed, done, world).await?;
            world = back;
            shown.push(Demonstration { seed, steps });
            let from = shown.len().saturating_sub(KEPT);
            for steps in explain::ideas(self.spec, self.play, &shown[from..], IDEAS) {
                let source = program::write(self.play, &task_head(self.task), &steps);
                if ideas.iter().all(|idea| idea.source != source) {
                    ideas.push(Idea { steps, source, won: 0, lost: 0 });
                }
            }
        }
        // Those that nobody had the time to run are better than nothing.
        ideas.retain(|idea| idea.won > 0 || idea.lost == 0);
        ideas.sort_by_key(|idea| idea.lost as i64 - idea.won as i64);
        shown.truncate(KEPT);
        Ok(Found { shown, programs: ideas.into_iter().take(PROGRAMS).map(|idea| idea.source).collect() })
    }

    /// One episode by chance.
    async fn by_chance(
        &self,
        seed: u64,
        questions: &mut Questions,
        world: Box<dyn Environment>,
    ) -> Result<Lived, StageError> {
        let mut heard = None;
        let mut chance = Chance::new(seed, questions);
        let mut done: Vec<ToolCall> = Vec::new();
        let mut moves = 0;
        let mut rest: VecDeque<ToolCall> = VecDeque::new();
        let lived = self
            .act(seed, world, |scene| {
                heard.get_or_insert_with(|| scene.question.to_owned());
                if rest.is_empty() {
                    if moves >= self.plan.moves {
                        return None;
                    }
                    moves += 1;
                    // The same again does nothing new.
                    rest = (0..4).find_map(|_| {
                        let (chance, calls) = chance.draw(scene)?;
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
        questions.hear(heard.as_deref().unwrap_or_default());
        Ok(lived)
    }

    /// Leaves out what is not needed, as far as that can be seen in the world that it was done in.
    async fn shorten(
        &self,
        seed: u64,
        mut done: Vec<Shown>,
        mut world: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, Vec<Shown>), StageError> {
        let mut at = 0;
        while at < done.len() && done.len() > 1 {
            let mut rest =
                done.iter().enumerate().filter(|(step, _)| *step != at).map(|(_, shown)| shown.call.clone());
            let (back, shorter) = self.act(seed, world, |_| rest.next()).await?;
            world = back;
            match shorter {
                Some(shorter) => done = shorter,
                None => at += 1,
            }
        }
        Ok((world, done))
    }

    /// Makes the calls that `next` says, one after the other, until the goal is reached or the episode over.
    async fn act(
        &self,
        seed: u64,
        mut world: Box<dyn Environment>,
        mut next: impl FnMut(&Scene<'_>) -> Option<ToolCall>,
    ) -> Result<Lived, StageError> {
        world.reset(seed).await?;
        let mut state = world.observe()?.state;
        let first = state.clone();
        let mut stage = self.gym.stage(world)?;
        let mut done = Vec::new();
        let mut reached = false;
        for _ in 0..self.plan.steps {
            let scene = Scene::of(self.play, &state);
            let Some(call) = next(&scene) else { break };
            let shown = Shown {
                question: scene.question.to_owned(),
                things: scene.things.to_vec(),
                call: call.clone(),
            };
            let performed = stage.improvise(&call, self.plan.steps).await?;
            state = performed.after.clone();
            reached = self.task.goal.holds(&first, &state, &Map::new()).unwrap_or(false);
            // What could not be done is no part of what was.
            if performed.verified || reached {
                done.push(shown);
            }
            if reached || performed.ended.is_some() {
                break;
            }
        }
        Ok((stage.into_environment()?, reached.then_some(done)))
    }
}
