//! Trials of candidates for a skill: each runs in the same practice worlds from the same starting points.

use super::super::executor::{
    ExecutorError, LiveReflex, LoadedSkill, SkillExecutor, SkillRun, ToolReach, Unrecorded,
};
use super::super::observer::LongWork;
use super::super::time_limit::WorkWatch;
use super::super::toolkit::Toolkit;
use super::attempt::{Subject, Tally};
use crate::model::{AlikeTrial, CandidateTrial, Failure, Scrutiny, SkillRetest, TrialPlan, as_javascript};
use futures_util::future::try_join_all;
use serde_json::{Map, Value};
use sojourn_sandbox::{Limits, Program, Sandbox};
use sojourn_skills::{Case, SkillId, TrialReport, Wasm, WorldResult};
use sojourn_tools::{Condition, Environment, EnvironmentError, Snapshot, ToolCall};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Runs trials of skills.
#[derive(Clone)]
pub struct TrialRunner {
    /// Runs the skills.
    pub sandbox: Sandbox,
    /// The admitted skills, by name.
    pub library: Arc<BTreeMap<String, LoadedSkill>>,
    /// The reflexes that act in every world.
    pub reflexes: Vec<LiveReflex>,
    /// Limits of one call.
    pub limits: Limits,
    /// Tools that do not belong to the environment.
    pub toolkit: Option<Toolkit>,
    /// Stops the trials early, and learns how far they are.
    pub(in crate::driver) watch: WorkWatch,
}

/// The starting point of a world: its prelude has been run.
struct Prepared {
    seed: u64,
    start: Start,
}

/// How a starting point is reached again.
enum Start {
    /// By restoring a snapshot.
    Snapshot(Snapshot),
    /// By the same seed and the same calls.
    Repeat,
}

/// The trial of one candidate in one world.
struct WorldTrial {
    result: WorldResult,
    behaviour: String,
    failure: Option<Failure>,
    from_outside: bool,
}

impl TrialRunner {
    /// Tries every candidate of `plan` in the same practice worlds, as many at once as there are `environments`, which are left for
    /// further trials; after an error they are gone.
    ///
    /// A world in which the prelude fails is replaced by the next seed. If there are too few seeds, the reports have fewer
    /// worlds, and the admission rule refuses them.
    ///
    /// # Errors
    /// When the environment fails.
    pub async fn try_all(
        &self,
        plan: &TrialPlan,
        goal: &Condition,
        environments: &mut Vec<Box<dyn Environment>>,
    ) -> Result<Vec<CandidateTrial>, ExecutorError> {
        let mut programs = Vec::new();
        for source in &plan.candidates {
            self.watch.check()?;
            programs.push(self.compile(&plan.task, source).await);
        }
        let mut trials: Vec<CandidateTrial> = programs
            .iter()
            .map(|program| CandidateTrial {
                compile_error: program.as_ref().err().cloned(),
                wasm: program.as_ref().ok().map(|(_, wasm)| wasm.clone()),
                report: TrialReport::default(),
                failure: None,
                alike: Vec::new(),
                untrusted: false,
            })
            .collect();
        if programs.iter().all(Result::is_err) {
            return Ok(trials);
        }

        let mut used = 0;
        let mut seeds = plan.seeds.iter().copied();
        while used < plan.worlds {
            self.watch.check()?;
            self.watch.begin(LongWork::SkillTrials, used + 1, plan.worlds);
            // As many worlds at once as there are environments.
            let wave: Vec<u64> = seeds.by_ref().take(environments.len().min(plan.worlds - used)).collect();
            if wave.is_empty() {
                break;
            }
            let hopeful: Vec<Option<LoadedSkill>> = programs
                .iter()
                .zip(&trials)
                .map(|(program, trial)| {
                    let (program, _) = program.as_ref().ok()?;
                    let can_pass = trial.report.passes() + plan.worlds - used >= plan.needed;
                    can_pass.then(|| candidate(plan, goal, program))
                })
                .collect();
            let preparing = wave.iter().zip(environments.drain(..wave.len()));
            let preparing = preparing.map(|(seed, environment)| self.prepare(plan, *seed, environment));
            let mut places = used..;
            let mut lives = Vec::new();
            for (environment, prepared) in try_join_all(preparing).await? {
                match prepared {
                    Some(prepared) => {
                        let calls = &plan.calls[places.next().unwrap_or(0) % plan.calls.len().max(1)];
                        lives.push(self.try_in(plan, &hopeful, calls, prepared, environment));
                    }
                    None => environments.push(environment),
                }
            }
            used += lives.len();
            for (environment, results) in try_join_all(lives).await? {
                environments.push(environment);
                for (trial, tried) in trials.iter_mut().zip(results) {
                    let Some((world, case)) = tried else { continue };
                    trial.report.cases.extend(case);
                    trial.untrusted |= world.from_outside;
                    trial.report.worlds.push(world.result);
                    if trial.failure.is_none() {
                        trial.failure = world.failure;
                    }
                }
            }
        }
        let Some(mut environment) = environments.pop() else { return Ok(trials) };
        for (program, trial) in programs.iter().zip(&mut trials) {
            let Ok((program, _)) = program else { continue };
            if trial.report.passes() >= plan.needed {
                let skill = candidate(plan, goal, program);
                environment = self.scrutinise(&plan.scrutiny, &skill, trial, environment).await?;
            }
        }
        environments.push(environment);
        Ok(trials)
    }

    /// Tries every candidate that can still pass in one prepared world. With each result comes the case that it makes, if it passed.
    async fn try_in(
        &self,
        plan: &TrialPlan,
        candidates: &[Option<LoadedSkill>],
        calls: &[Map<String, Value>],
        prepared: Prepared,
        mut environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, Vec<Option<(WorldTrial, Option<Case>)>>), ExecutorError> {
        let mut results = Vec::with_capacity(candidates.len());
        // For the first candidate the world was just brought there.
        let mut at_start = true;
        for skill in candidates {
            let Some(skill) = skill else {
                results.push(None);
                continue;
            };
            if !std::mem::take(&mut at_start) {
                environment = self.go_to_start(plan, &prepared, environment).await?;
            }
            let (back, world) = self.try_one(plan, skill, calls, prepared.seed, environment).await?;
            environment = back;
            let case = world.result.passed().then(|| Case {
                setup: plan.setup(&environment.spec().name, prepared.seed, calls),
                steps: world.result.steps,
                behaviour: Some(world.behaviour.clone()),
            });
            results.push(Some((world, case)));
        }
        Ok((environment, results))
    }

    /// Runs a candidate in the cases of the version that it repairs, and in those of skills with the same post-condition.
    async fn scrutinise(
        &self,
        scrutiny: &Scrutiny,
        skill: &LoadedSkill,
        trial: &mut CandidateTrial,
        mut environment: Box<dyn Environment>,
    ) -> Result<Box<dyn Environment>, ExecutorError> {
        let subject = Subject { skill, precondition: None, fresh: false, unrelated: &[] };
        (environment, trial.report.regressions) =
            self.cases(subject, &scrutiny.regressions, environment).await?;
        for alike in &scrutiny.alike {
            let (back, results) = self.cases(subject, &alike.cases, environment).await?;
            environment = back;
            trial.alike.push(AlikeTrial { name: alike.name.clone(), results });
        }
        Ok(environment)
    }

    /// Runs skills of the library in their own cases.
    ///
    /// # Errors
    /// When the environment fails.
    pub async fn retest(
        &self,
        skills: &[(SkillId, LoadedSkill, Vec<Case>)],
        mut environment: Box<dyn Environment>,
    ) -> Result<Vec<SkillRetest>, ExecutorError> {
        let mut retests = Vec::new();
        for (id, skill, cases) in skills {
            let subject = Subject { skill, precondition: None, fresh: false, unrelated: &[] };
            let (back, results) = self.cases(subject, cases, environment).await?;
            environment = back;
            retests.push(SkillRetest { id: id.clone(), results });
        }
        Ok(retests)
    }

    async fn compile(&self, entry: &str, source: &str) -> Result<(Program, Wasm), String> {
        let wasm = self.sandbox.compile(entry, source).await.map_err(|error| error.to_string())?;
        let program = self.sandbox.load(&wasm).map_err(|error| error.to_string())?;
        Ok((program, Wasm(wasm)))
    }

    /// Resets the world and runs the prelude in it; `None` where the prelude failed.
    async fn prepare(
        &self,
        plan: &TrialPlan,
        seed: u64,
        mut environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, Option<Prepared>), ExecutorError> {
        environment.reset(seed).await?;
        let (environment, ready) = self.run_prelude(plan, environment).await?;
        if !ready {
            return Ok((environment, None));
        }
        let start = environment.snapshot().map_or(Start::Repeat, Start::Snapshot);
        Ok((environment, Some(Prepared { seed, start })))
    }

    async fn run_prelude(
        &self,
        plan: &TrialPlan,
        environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, bool), ExecutorError> {
        if plan.prelude.is_empty() {
            return Ok((environment, true));
        }
        let mut executor = self.executor(environment)?;
        let ready = self.start(&mut executor, &plan.prelude, plan.max_steps).await?.is_none();
        let environment = executor.into_environment()?;
        Ok((environment, ready))
    }

    async fn go_to_start(
        &self,
        plan: &TrialPlan,
        prepared: &Prepared,
        mut environment: Box<dyn Environment>,
    ) -> Result<Box<dyn Environment>, ExecutorError> {
        match &prepared.start {
            Start::Snapshot(snapshot) => environment.restore(snapshot)?,
            Start::Repeat => {
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
        skill: &LoadedSkill,
        calls: &[Map<String, Value>],
        seed: u64,
        environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, WorldTrial), ExecutorError> {
        let mut executor = self.executor(environment)?;
        executor.watch(&plan.scrutiny.unrelated).await;
        let mut tally = Tally::new(seed, calls);
        let (mut failure, mut from_outside) = (None, false);
        for args in calls {
            let call = ToolCall { name: plan.task.clone(), args: args.clone() };
            let done = executor.run_loaded_skill(skill, &call, plan.max_steps, seed).await?;
            tally.add(&done);
            from_outside |= done.from_outside;
            let over = done.ended.is_some();
            if !tally.result.passed() {
                failure = Some(failure_of(&call, done));
            }
            if over || failure.is_some() {
                break;
            }
        }
        let environment = executor.into_environment()?;
        let (result, behaviour) = tally.conclude();
        Ok((environment, WorldTrial { result, behaviour, failure, from_outside }))
    }

    /// An executor with the runner's skills, reflexes and tools.
    pub(in crate::driver) fn executor(
        &self,
        environment: Box<dyn Environment>,
    ) -> Result<SkillExecutor, ExecutorError> {
        let (library, reflexes) = (Arc::clone(&self.library), self.reflexes.clone());
        let executor = SkillExecutor::new(
            self.sandbox.clone(),
            environment,
            library,
            reflexes,
            Box::new(Unrecorded(self.watch.clone())),
            self.limits.clone(),
        )?;
        Ok(match &self.toolkit {
            Some(toolkit) => executor.with_tools(toolkit.clone()),
            None => executor,
        })
    }
}

/// A candidate of `plan`, ready to run.
fn candidate(plan: &TrialPlan, goal: &Condition, program: &Program) -> LoadedSkill {
    LoadedSkill {
        name: plan.task.clone(),
        parameters: plan.parameters.clone(),
        goal: Some(goal.clone()),
        program: program.clone(),
        grants: plan.granted.iter().cloned().collect(),
        // What a program under trial is granted was chosen from tools that only read, and its toolkit calls no others.
        tools: ToolReach::Granted,
        untrusted: false,
    }
}

fn failure_of(call: &ToolCall, done: SkillRun) -> Failure {
    let died = done.ended.is_some_and(|ending| ending.kind == sojourn_tools::EndingKind::Died);
    Failure {
        call: as_javascript(call),
        before: done.before,
        after: done.after,
        error: done.error,
        died,
        trace: done.trace,
    }
}
