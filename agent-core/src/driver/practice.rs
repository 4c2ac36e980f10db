//! Practice: candidates tried in worlds of their own, each from the same starting points.

use super::stage::{LiveReflex, Performance, Runnable, Stage, StageError, Unrecorded};
use crate::event::{CandidateTrial, Failure, TrialPlan};
use serde_json::{Map, Value};
use sojourn_sandbox::{Limits, Program, Sandbox};
use sojourn_skills::{TrialReport, Wasm, WorldResult};
use sojourn_tools::{Condition, Environment, EnvironmentError, Snapshot, ToolCall};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What practice needs besides the plan.
pub struct Gym {
    /// Runs the skills.
    pub sandbox: Sandbox,
    /// The admitted skills.
    pub library: Arc<BTreeMap<String, Runnable>>,
    /// The reflexes that act in every world.
    pub reflexes: Vec<LiveReflex>,
    /// Limits of one call.
    pub limits: Limits,
}

/// A world whose preconditions have been brought about.
struct Prepared {
    seed: u64,
    start: Start,
}

/// How to get to the starting point again.
enum Start {
    /// By restoring it.
    Snapshot(Snapshot),
    /// By the same seed and the same calls.
    Again,
}

/// How many calls make up each world's trial, and how it went.
struct WorldTrial {
    result: WorldResult,
    failure: Option<Failure>,
}

impl Gym {
    /// Tries every candidate of `plan` in the same practice worlds.
    ///
    /// Worlds in which the prelude fails are replaced by the next seed; if there are not enough, the reports
    /// hold fewer worlds and the admission rule says so.
    ///
    /// # Errors
    /// When the environment breaks.
    pub async fn try_all(
        &self,
        plan: &TrialPlan,
        goal: &Condition,
        mut environment: Box<dyn Environment>,
    ) -> Result<Vec<CandidateTrial>, StageError> {
        let mut programs = Vec::new();
        for source in &plan.candidates {
            programs.push(self.compile(&plan.task, source).await);
        }
        let mut trials: Vec<CandidateTrial> = programs
            .iter()
            .map(|program| CandidateTrial {
                compile_error: program.as_ref().err().cloned(),
                wasm: program.as_ref().ok().map(|(_, wasm)| wasm.clone()),
                report: TrialReport::default(),
                failure: None,
            })
            .collect();
        if programs.iter().all(Result::is_err) {
            return Ok(trials);
        }

        let mut used = 0;
        for seed in &plan.seeds {
            if used == plan.worlds {
                break;
            }
            let (back, prepared) = self.prepare(plan, *seed, environment).await?;
            environment = back;
            let Some(prepared) = prepared else { continue };
            let calls = &plan.calls[used % plan.calls.len().max(1)];
            used += 1;
            for (program, trial) in programs.iter().zip(&mut trials) {
                let Ok((program, _)) = program else { continue };
                // `used` counts this world already.
                if trial.report.passes() + plan.worlds - (used - 1) < plan.needed {
                    continue;
                }
                let runnable = Runnable {
                    name: plan.task.clone(),
                    parameters: plan.parameters.clone(),
                    goal: Some(goal.clone()),
                    program: program.clone(),
                    grants: plan.granted.iter().cloned().collect(),
                };
                environment = self.go_to_start(plan, &prepared, environment).await?;
                let (back, world) = self.try_one(plan, &runnable, calls, prepared.seed, environment).await?;
                environment = back;
                trial.report.worlds.push(world.result);
                if trial.failure.is_none() {
                    trial.failure = world.failure;
                }
            }
        }
        Ok(trials)
    }

    async fn compile(&self, entry: &str, source: &str) -> Result<(Program, Wasm), String> {
        let wasm = self.sandbox.compile(entry, source).await.map_err(|error| error.to_string())?;
        let program = self.sandbox.load(&wasm).map_err(|error| error.to_string())?;
        Ok((program, Wasm(wasm)))
    }

    /// Resets the world and runs the prelude in it; `None` where that failed.
    async fn prepare(
        &self,
        plan: &TrialPlan,
        seed: u64,
        mut environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, Option<Prepared>), StageError> {
        environment.reset(seed).await?;
        let (environment, ready) = self.run_prelude(plan, environment).await?;
        if !ready {
            return Ok((environment, None));
        }
        let start = environment.snapshot().map_or(Start::Again, Start::Snapshot);
        Ok((environment, Some(Prepared { seed, start })))
    }

    async fn run_prelude(
        &self,
        plan: &TrialPlan,
        environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, bool), StageError> {
        if plan.prelude.is_empty() {
            return Ok((environment, true));
        }
        let mut stage = self.stage(environment)?;
        let mut ready = true;
        for call in &plan.prelude {
            let done = stage.perform(call, plan.max_steps, 0).await?;
            if !done.verified || done.ended.is_some() {
                ready = false;
                break;
            }
        }
        let environment = stage.into_environment()?;
        Ok((environment, ready))
    }

    async fn go_to_start(
        &self,
        plan: &TrialPlan,
        prepared: &Prepared,
        mut environment: Box<dyn Environment>,
    ) -> Result<Box<dyn Environment>, StageError> {
        match &prepared.start {
            Start::Snapshot(snapshot) => environment.restore(snapshot)?,
            Start::Again => {
                environment.reset(prepared.seed).await?;
                let (back, ready) = self.run_prelude(plan, environment).await?;
                if !ready {
                    let reason = "the same seed and calls did not lead to the same state".to_owned();
                    return Err(EnvironmentError::Failed { reason }.into());
                }
                environment = back;
            }
        }
        Ok(environment)
    }

    async fn try_one(
        &self,
        plan: &TrialPlan,
        runnable: &Runnable,
        calls: &[Map<String, Value>],
        seed: u64,
        environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, WorldTrial), StageError> {
        let mut stage = self.stage(environment)?;
        let mut result = WorldResult {
            seed,
            args: calls.first().cloned().unwrap_or_default(),
            verified: true,
            returned: true,
            steps: 0,
            harm: 0.0,
            died: false,
            unrelated: Vec::new(),
            error: None,
        };
        let mut failure = None;
        for args in calls {
            let call = ToolCall { name: plan.task.clone(), args: args.clone() };
            let done = stage.perform_runnable(runnable, &call, plan.max_steps, seed).await?;
            add(&mut result, &done);
            if !result.passed() {
                failure = Some(failure_of(&call, done));
                break;
            }
        }
        let environment = stage.into_environment()?;
        Ok((environment, WorldTrial { result, failure }))
    }

    fn stage(&self, environment: Box<dyn Environment>) -> Result<Stage, StageError> {
        let (library, reflexes) = (Arc::clone(&self.library), self.reflexes.clone());
        Stage::new(
            self.sandbox.clone(),
            environment,
            library,
            reflexes,
            Box::new(Unrecorded),
            self.limits.clone(),
        )
    }
}

/// Adds one call to the result of its world.
fn add(result: &mut WorldResult, done: &Performance) {
    result.verified &= done.verified;
    result.returned &= done.error.is_none();
    result.steps += done.steps;
    result.harm += done.harm;
    result.died |= done.ended.as_ref().is_some_and(|ending| ending.kind == sojourn_tools::EndingKind::Died);
    if result.error.is_none() {
        result.error = done.error.as_ref().map(ToString::to_string);
    }
}

fn failure_of(call: &ToolCall, done: Performance) -> Failure {
    let died = done.ended.is_some_and(|ending| ending.kind == sojourn_tools::EndingKind::Died);
    Failure {
        call: super::stage::as_javascript(call),
        before: done.before,
        after: done.after,
        error: done.error.map(|error| error.to_string()),
        died,
        trace: done.trace,
    }
}
