//! Acting at random in practice worlds, and finding out which programs repeat what worked.

mod episodes;
mod experience;
mod policy;
mod random;
mod reading;
#[cfg(test)]
mod tests;

use crate::UiStateError;
use crate::plan::{ExplorationPlan, Findings};
use crate::synthesis::{Evaluator, Synthesizer};
use crate::world::{ExplorationError, PracticeWorld};
use episodes::Episodes;
use experience::Experience;
pub(crate) use random::Random;
use reading::Reader;
use sojourn_sandbox::{Program, Sandbox};
use sojourn_tools::{EnvironmentSpec, TaskSpec};
use std::sync::atomic::AtomicBool;

/// Programs that are made of the demonstrations at once, at most.
const PROPOSED: usize = 60;
/// Programs that are run in the same world, at most.
const AT_ONCE: usize = 6;
/// Demonstrations that programs are made of: the latest ones.
const EXPLAINED: usize = 6;
/// Programs and demonstrations that an exploration returns, at most.
const RETURNED: usize = 6;

/// Explores an environment for one task.
pub struct Explorer<'a> {
    /// The environment; it declares how it may be explored.
    pub environment: &'a EnvironmentSpec,
    /// The task whose goal is to be reached.
    pub task: &'a TaskSpec,
    /// The limits.
    pub plan: &'a ExplorationPlan,
    /// Compiles programs and evaluates expressions.
    pub sandbox: Sandbox,
}

/// A program that may be the one, and what came of running it.
struct Hypothesis {
    source: String,
    /// The compiled program, once it was run.
    program: Option<Program>,
    /// Whether it only calls an admitted skill of another task.
    is_skill: bool,
    won: usize,
    lost: usize,
}

impl Hypothesis {
    fn new(source: String, is_skill: bool) -> Self {
        Self { source, program: None, is_skill, won: 0, lost: 0 }
    }

    /// Whether it is worth running once more.
    fn is_open(&self, successes: usize) -> bool {
        let chances = if self.is_skill { 1 } else { 2 };
        self.lost < chances + self.won / 2 && self.won < successes
    }

    /// Less for those that won more.
    fn balance(&self) -> i64 {
        self.lost as i64 - self.won as i64
    }

    fn is_confirmed(&self, successes: usize) -> bool {
        self.won >= successes && self.lost * 4 <= self.won
    }
}

impl Explorer<'_> {
    /// Explores until a program has reached the goal again and again, or all episodes of the plan are over. Each run of a program
    /// counts as an episode. All `worlds` are used at the same time; the findings do not depend on which is the quickest.
    ///
    /// # Errors
    /// When a world fails, or a state is not what the environment declares.
    pub async fn explore<W: PracticeWorld>(
        &self,
        mut worlds: Vec<W>,
    ) -> Result<Findings, ExplorationError<W::Error>> {
        let Some(spec) = &self.environment.exploration else {
            let environment = self.environment.name.clone();
            return Err(UiStateError::NotDeclared { environment }.into());
        };
        let episodes = Episodes {
            environment: self.environment,
            spec,
            task: self.task,
            plan: self.plan,
            reader: Reader::new(Evaluator::new(self.sandbox.clone())).await,
            warned: AtomicBool::new(false),
        };
        let mut synthesizer = Synthesizer::new(self.environment, self.task, self.sandbox.clone());
        let skills = self.plan.known_skills.iter();
        let mut hypotheses: Vec<Hypothesis> =
            skills.map(|name| Hypothesis::new(synthesizer.calling(name), true)).collect();
        let mut experience = Experience::default();
        let mut seeds = self.plan.seeds.iter().copied();
        let mut left = if worlds.is_empty() { 0 } else { self.plan.seeds.len() };
        let successes = self.plan.successes;
        while left > 0 && !hypotheses.iter().any(|one| one.is_confirmed(successes)) {
            let mut open: Vec<&mut Hypothesis> =
                hypotheses.iter_mut().filter(|one| one.is_open(successes)).collect();
            open.sort_by_key(|one| one.balance());
            open.truncate(AT_ONCE.min(left));
            if !open.is_empty() {
                let Some(seed) = seeds.next() else { break };
                left -= open.len();
                self.compile(&mut open).await;
                episodes.run_all(&mut open, seed, &mut worlds).await?;
                continue;
            }
            let batch: Vec<u64> = seeds.by_ref().take(worlds.len().min(left)).collect();
            if batch.is_empty() {
                break;
            }
            left -= batch.len();
            let new = episodes.at_random(&batch, &mut experience, &mut worlds).await?;
            if new.is_empty() {
                continue;
            }
            synthesizer.extend(new);
            for source in synthesizer.programs(EXPLAINED, PROPOSED).await {
                if hypotheses.iter().all(|one| one.source != source) {
                    hypotheses.push(Hypothesis::new(source, false));
                }
            }
        }
        // Programs that were never run are better than none.
        hypotheses.retain(|one| one.won > 0 || one.lost == 0);
        hypotheses.sort_by_key(Hypothesis::balance);
        let mut demonstrations = synthesizer.into_demonstrations();
        demonstrations.truncate(RETURNED);
        let programs = hypotheses.into_iter().take(RETURNED).map(|one| one.source).collect();
        Ok(Findings { demonstrations, programs })
    }

    /// Compiles the programs that were not run yet.
    async fn compile(&self, hypotheses: &mut [&mut Hypothesis]) {
        for one in hypotheses.iter_mut().filter(|one| one.program.is_none()) {
            let compiled = self.sandbox.compile_program(&self.task.name, &one.source).await;
            one.program =
                compiled.inspect_err(|error| tracing::warn!(%error, "a candidate does not compile")).ok();
        }
    }
}
