//! One version of a skill in its regression cases, or in fresh worlds to earn its admission: outside of any run.

use super::stage::{LiveReflex, Performance, Runnable, Stage, StageError, Unrecorded, as_javascript};
use super::{DriveError, ReflexSource, programs_of};
use crate::core::planner::Planner;
use crate::core::{seeds, trial_calls};
use serde_json::{Map, Value};
use sojourn_sandbox::{Limits, Sandbox};
use sojourn_skills::{
    AdmissionRule, Case, CaseResult, LibraryState, Setup, Skill, TrialReport, WorldResult, behaviour,
};
use sojourn_tools::{Condition, EndingKind, Environment, ToolCall, with_defaults};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Environment steps that a call may take where a case does not say.
const MAX_STEPS: u32 = 400;
/// Seeds that are tried for each world that a trial needs: not every world can be brought to the start.
const SPARE_WORLDS: usize = 4;

/// Runs single versions of skills, with the rest of a library at hand.
pub struct Examiner {
    sandbox: Sandbox,
    library: LibraryState,
    runnables: Arc<BTreeMap<String, Runnable>>,
    reflexes: Vec<LiveReflex>,
    limits: Limits,
}

/// A world after the calls of a case, and what they came to.
struct Examined {
    environment: Box<dyn Environment>,
    /// None where the starting point was not reached, with the reason.
    outcome: Result<WorldResult, String>,
    behaviour: Option<String>,
}

impl Examiner {
    /// Prepares the skills of a library, its reflexes where `own_reflexes` says so, and further ones.
    ///
    /// # Errors
    /// When something does not load.
    pub async fn new(
        sandbox: Sandbox,
        library: &LibraryState,
        own_reflexes: bool,
        more: &[ReflexSource],
        limits: Limits,
    ) -> Result<Self, DriveError> {
        let runnables = Arc::new(programs_of(&sandbox, library, &mut BTreeMap::new())?);
        let mut reflexes = Vec::new();
        let broken = |name: &str, error: &dyn std::fmt::Display| {
            DriveError::Unusable(format!("reflex `{name}`: {error}"))
        };
        let mut modules = Vec::new();
        for entry in library.reflexes().into_iter().filter(|_| own_reflexes) {
            modules.push((entry.skill.manifest.name.clone(), entry.skill.wasm.0.clone()));
        }
        for reflex in more {
            let module = sandbox.compile(&reflex.name, &reflex.source).await;
            modules.push((reflex.name.clone(), module.map_err(|error| broken(&reflex.name, &error))?));
        }
        for (name, module) in modules {
            let program = sandbox.load(&module).map_err(|error| broken(&name, &error))?;
            reflexes.push(LiveReflex::new(&name, sandbox.reflex(&program, &Limits::reflex()), 0));
        }
        Ok(Self { sandbox, library: library.clone(), runnables, reflexes, limits })
    }

    /// Runs a version in one of its cases, or in one of another version's.
    ///
    /// # Errors
    /// When the module cannot be loaded or the environment breaks; a skill that fails is no error.
    pub async fn case(
        &self,
        skill: &Skill,
        case: &Case,
        environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, CaseResult), DriveError> {
        let runnable = self.runnable(skill, skill.manifest.postcondition.clone())?;
        let done = self.run(&runnable, skill, &case.setup, environment, false).await?;
        let id = case.id();
        let result = match done.outcome {
            Ok(world) => CaseResult {
                case: id,
                reached: true,
                passed: world.passed(),
                steps: world.steps,
                error: world.error,
                behaviour: done.behaviour,
            },
            Err(reason) => CaseResult {
                case: id,
                reached: false,
                passed: false,
                steps: 0,
                error: Some(reason),
                behaviour: None,
            },
        };
        Ok((done.environment, result))
    }

    /// Tries a version in fresh practice worlds, as its author's candidates were tried: the same calls, brought to
    /// the same kind of start by the learned skills. Where the environment has a task of its name, that task's
    /// goal counts too, whatever the manifest promises; and a promise that holds before the skill is called is none.
    ///
    /// # Errors
    /// As [`case`](Self::case), and when nothing says what the skill is for.
    pub async fn admission(
        &self,
        skill: &Skill,
        rule: &AdmissionRule,
        seed: u64,
        mut environment: Box<dyn Environment>,
        mut told: impl FnMut(&WorldResult),
    ) -> Result<(Box<dyn Environment>, TrialReport), DriveError> {
        let manifest = &skill.manifest;
        let planner = Planner::new(environment.spec());
        let task = planner.task(&manifest.name).map(|task| task.goal.clone());
        let goal = match (manifest.postcondition.clone(), task) {
            (Some(promise), Some(task)) if promise != task => Condition::All(vec![task, promise]),
            (Some(goal), _) | (None, Some(goal)) => goal,
            (None, None) => {
                let reason = format!(
                    "`{}` has no post-condition and no task bears its name: nothing can be verified",
                    manifest.name
                );
                return Err(DriveError::Unusable(reason));
            }
        };
        let calls = trial_calls(&manifest.parameters, &goal);
        let prelude = self.prelude(&planner, &manifest.name);
        let runnable = self.runnable(skill, Some(goal))?;
        let mut report =
            TrialReport { prerequisites: self.library.prerequisites(&manifest.calls), ..Default::default() };
        let purpose = format!("admission of {}", manifest.name);
        for index in 0..rule.worlds * SPARE_WORLDS {
            if report.worlds.len() == rule.worlds {
                break;
            }
            let setup = Setup {
                environment: manifest.environment.clone(),
                seed: seeds::world(seed, &purpose, index as u64),
                prelude: Some(prelude.clone()),
                calls: calls[report.worlds.len() % calls.len().max(1)].clone(),
                max_steps: Some(MAX_STEPS),
            };
            let done = self.run(&runnable, skill, &setup, environment, true).await?;
            environment = done.environment;
            let Ok(world) = done.outcome else { continue };
            told(&world);
            if world.passed() {
                report.cases.push(Case { setup, steps: world.steps, behaviour: done.behaviour });
            }
            report.worlds.push(world);
        }
        Ok((environment, report))
    }

    fn runnable(&self, skill: &Skill, goal: Option<Condition>) -> Result<Runnable, DriveError> {
        let manifest = &skill.manifest;
        let program = self
            .sandbox
            .load(&skill.wasm.0)
            .map_err(|error| DriveError::Sandbox(format!("`{}`: {error}", manifest.name)))?;
        Ok(Runnable {
            name: manifest.name.clone(),
            parameters: manifest.parameters.clone(),
            goal,
            program,
            grants: manifest.calls.iter().cloned().collect(),
        })
    }

    /// The skills that bring about what a skill of this name needs, as practice does it.
    fn prelude(&self, planner: &Planner, name: &str) -> Vec<ToolCall> {
        let call = |name: String| {
            let args = planner
                .task(&name)
                .map(|task| with_defaults(&task.parameters, Map::new()))
                .unwrap_or_default();
            ToolCall { name, args }
        };
        planner.missing_tools(name, &Value::Null).into_iter().map(call).collect()
    }

    async fn run(
        &self,
        runnable: &Runnable,
        skill: &Skill,
        setup: &Setup,
        mut environment: Box<dyn Environment>,
        fresh: bool,
    ) -> Result<Examined, DriveError> {
        environment.reset(setup.seed).await.map_err(StageError::from)?;
        let prelude = match &setup.prelude {
            Some(calls) => calls.clone(),
            None => self.prelude(&Planner::new(environment.spec()), &skill.manifest.name),
        };
        let max_steps = setup.max_steps.unwrap_or(MAX_STEPS);
        let mut stage = Stage::new(
            self.sandbox.clone(),
            environment,
            Arc::clone(&self.runnables),
            self.reflexes.clone(),
            Box::new(Unrecorded),
            self.limits.clone(),
        )?;
        if let Some(reason) = self.start(&mut stage, &prelude, max_steps).await? {
            return Ok(Examined {
                environment: stage.into_environment()?,
                outcome: Err(reason),
                behaviour: None,
            });
        }
        let mut tally = Tally::new(setup);
        for args in &setup.calls {
            let call = ToolCall { name: skill.manifest.name.clone(), args: args.clone() };
            let args = with_defaults(&runnable.parameters, args.clone());
            let done = stage.perform_runnable(runnable, &call, max_steps, setup.seed).await?;
            let holds = |condition: &Option<Condition>| {
                condition.as_ref().map(|c| c.holds(&done.before, &done.before, &args).unwrap_or(false))
            };
            if tally.is_new() && holds(&skill.manifest.precondition) == Some(false) {
                let reason = "its pre-condition does not hold there".to_owned();
                return Ok(Examined {
                    environment: stage.into_environment()?,
                    outcome: Err(reason),
                    behaviour: None,
                });
            }
            if fresh && tally.is_new() && holds(&runnable.goal) == Some(true) {
                let reason = "what it promises holds there before it is called".to_owned();
                return Ok(Examined {
                    environment: stage.into_environment()?,
                    outcome: Err(reason),
                    behaviour: None,
                });
            }
            tally.add(done);
            if !tally.result.passed() {
                break;
            }
        }
        let environment = stage.into_environment()?;
        let (world, behaviour) = tally.conclude();
        Ok(Examined { environment, outcome: Ok(world), behaviour: Some(behaviour) })
    }

    /// Runs the prelude; says why the start was not reached, if it was not.
    async fn start(
        &self,
        stage: &mut Stage,
        prelude: &[ToolCall],
        max_steps: u32,
    ) -> Result<Option<String>, DriveError> {
        for call in prelude {
            if !self.runnables.contains_key(&call.name) {
                return Ok(Some(format!("no skill `{}` is in use to prepare it", call.name)));
            }
            let done = stage.perform(call, max_steps, 0).await?;
            if !done.verified || done.ended.is_some() {
                return Ok(Some(format!("`{}`, which prepares it, failed", as_javascript(call))));
            }
        }
        Ok(None)
    }
}

/// What the calls of one case add up to.
struct Tally {
    result: WorldResult,
    calls: Vec<(String, bool)>,
    after: Value,
}

impl Tally {
    fn new(setup: &Setup) -> Self {
        let result = WorldResult {
            seed: setup.seed,
            args: setup.calls.first().cloned().unwrap_or_default(),
            verified: true,
            returned: true,
            steps: 0,
            harm: 0.0,
            died: false,
            unrelated: Vec::new(),
            error: None,
        };
        Self { result, calls: Vec::new(), after: Value::Null }
    }

    /// Whether nothing was called yet.
    fn is_new(&self) -> bool {
        self.after.is_null()
    }

    fn add(&mut self, done: Performance) {
        let result = &mut self.result;
        result.verified &= done.verified;
        result.returned &= done.error.is_none();
        result.steps += done.steps;
        result.harm += done.harm;
        result.died |= done.ended.as_ref().is_some_and(|ending| ending.kind == EndingKind::Died);
        if result.error.is_none() {
            result.error = done.error.as_ref().map(ToString::to_string);
        }
        self.calls.extend(done.trace.into_iter().map(|call| (call.call, call.ok)));
        self.after = done.after;
    }

    fn conclude(self) -> (WorldResult, String) {
        let calls = self.calls.iter().map(|(call, ok)| (call.as_str(), *ok));
        let behaviour = behaviour(calls, self.result.steps, &self.after);
        (self.result, behaviour)
    }
}
