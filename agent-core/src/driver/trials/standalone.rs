//! Trials outside of any run: regression cases, and trials for admission.

use super::super::DriveError;
use super::super::executor::{LiveReflex, LoadedSkill};
use super::super::loaded_skills::{load_skills, tool_reach};
use super::super::time_limit::WorkWatch;
use super::TrialRunner;
use super::attempt::{MAX_STEPS, Subject, prelude};
use super::reflexes::ReflexTrialRunner;
use crate::config::{CORE_RULES, RunConfig};
use crate::core::planner::Planner;
use crate::core::{seeds, trial_calls};
use crate::model::{ReflexSource, ReflexTrialPlan, RunOrigin};
use sojourn_memory::RunId;
use sojourn_sandbox::{Limits, Program, Sandbox};
use sojourn_skills::{
    AdmissionRule, Case, CaseResult, Kind, LibraryState, PairedEpisode, ReflexTrial, Setup, Skill,
    TrialReport, WorldResult,
};
use sojourn_tools::{Condition, Environment, with_examples};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Seeds for each world that a trial needs, because not every world can be brought to the start.
const SPARE_WORLDS: usize = 4;

/// Runs single versions of skills, which may call the other skills of a library.
pub struct StandaloneTrials {
    runner: TrialRunner,
    library: LibraryState,
}

impl StandaloneTrials {
    /// Loads the skills of a library, its reflexes if `own_reflexes` is set, and the reflexes `more`.
    ///
    /// # Errors
    /// When a module cannot be loaded.
    pub async fn new(
        sandbox: Sandbox,
        library: &LibraryState,
        own_reflexes: bool,
        more: &[ReflexSource],
        limits: Limits,
    ) -> Result<Self, DriveError> {
        let skills = Arc::new(load_skills(&sandbox, library, CORE_RULES, false, &mut BTreeMap::new())?);
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
        let runner = TrialRunner {
            sandbox,
            library: skills,
            reflexes,
            limits,
            toolkit: None,
            watch: WorkWatch::idle(),
        };
        Ok(Self { runner, library: library.clone() })
    }

    /// Runs a version in one of its cases, or in a case of another version.
    ///
    /// # Errors
    /// When the module cannot be loaded or the environment fails. A skill that fails is no error.
    pub async fn case(
        &self,
        skill: &Skill,
        case: &Case,
        environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, CaseResult), DriveError> {
        let loaded = self.load(skill, skill.manifest.postcondition.clone())?;
        let precondition = skill.manifest.precondition.as_ref();
        let subject = Subject { skill: &loaded, precondition, fresh: false, unrelated: &[] };
        Ok(self.runner.case(subject, case, environment).await?)
    }

    /// Tries a version in fresh practice worlds, with the same calls and the same kind of start as a candidate of a run.
    /// Where the environment has a task of its name, the goal of the task must hold too. A world in which the
    /// post-condition holds before the call does not count.
    ///
    /// # Errors
    /// Those of [`case`](Self::case), and when the skill has neither a post-condition nor a task of its name.
    pub async fn admission(
        &self,
        skill: &Skill,
        rule: &AdmissionRule,
        seed: u64,
        mut environment: Box<dyn Environment>,
        mut report_world: impl FnMut(&WorldResult),
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
        let mut calls = trial_calls(&manifest.parameters, &goal);
        for args in calls.iter_mut().flatten() {
            *args = with_examples(&manifest.parameters, std::mem::take(args));
        }
        // Where episodes are about different tasks, only those of its own can show anything.
        let episodes = planner.task(&manifest.name).and_then(|task| task.episodes);
        let prelude = prelude(&planner, &manifest.name);
        let unrelated = planner.unrelated(&manifest.name, &goal);
        let loaded = self.load(skill, Some(goal))?;
        let subject = Subject {
            skill: &loaded,
            precondition: manifest.precondition.as_ref(),
            fresh: true,
            unrelated: &unrelated,
        };
        let mut report =
            TrialReport { prerequisites: self.library.prerequisites(&manifest.calls), ..Default::default() };
        let purpose = format!("admission of {}", manifest.name);
        let drawn = |index: usize| seeds::world(seed, &purpose, index as u64);
        for index in 0..rule.worlds * SPARE_WORLDS {
            if report.worlds.len() == rule.worlds {
                break;
            }
            let setup = Setup {
                environment: manifest.environment.clone(),
                seed: episodes.map_or_else(|| drawn(index), |class| class.at_or_before(drawn(index))),
                prelude: Some(prelude.clone()),
                calls: calls[report.worlds.len() % calls.len().max(1)].clone(),
                max_steps: Some(MAX_STEPS),
            };
            let done = self.runner.attempt(subject, &setup, environment).await?;
            environment = done.environment;
            let Ok((world, behaviour)) = done.outcome else { continue };
            report_world(&world);
            if world.passed() {
                report.cases.push(Case { setup, steps: world.steps, behaviour: Some(behaviour) });
            }
            report.worlds.push(world);
        }
        Ok((environment, report))
    }

    /// Runs practice episodes with a reflex and without it, as a run does before it admits one.
    ///
    /// # Errors
    /// Those of [`case`](Self::case).
    pub async fn reflex(
        &self,
        skill: &Skill,
        config: &RunConfig,
        seed: u64,
        environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, ReflexTrial), DriveError> {
        let manifest = &skill.manifest;
        let program = self.program(skill)?;
        let cooldown = match manifest.kind {
            Kind::Reflex { cooldown, .. } => cooldown,
            Kind::Skill => 0,
        };
        let candidate = if manifest.calls.is_empty() {
            let reflex = self.runner.sandbox.reflex(&program, &config.actor.tick_limits());
            LiveReflex::new(&manifest.name, reflex, cooldown)
        } else {
            let grants = manifest.calls.iter().cloned().collect();
            LiveReflex::habit(&manifest.name, program, grants, cooldown)
        };
        let trials = ReflexTrialRunner {
            sandbox: self.runner.sandbox.clone(),
            skills: Arc::clone(&self.runner.library),
            library: self.library.clone(),
            reflexes: self.runner.reflexes.clone(),
            spec: environment.spec().clone(),
            origin: RunOrigin {
                run: RunId::new(0, 0),
                model: String::new(),
                engine: sojourn_sandbox::engine_sha256().to_owned(),
            },
            actor: config.actor.clone(),
            seed,
            watch: WorkWatch::idle(),
        };
        let purpose = format!("admission of {}", manifest.name);
        let rule = config.reflexes.clone().unwrap_or_default();
        let plan = ReflexTrialPlan {
            name: manifest.name.clone(),
            candidates: Vec::new(),
            seeds: Vec::new(),
            steps: rule.steps,
            moments: Vec::new(),
            granted: Vec::new(),
            live_on: config.live_on,
        };
        let seeds = (0..rule.confirming).map(|index| seeds::world(seed, &purpose, index.into()));
        let (mut world, mut trial) = (environment, ReflexTrial::default());
        for seed in seeds {
            let (without, with);
            (world, without) = trials.run_episode(&plan, seed, None, world).await?;
            (world, with) = trials.run_episode(&plan, seed, Some(candidate.clone()), world).await?;
            trial.episodes.push(PairedEpisode { seed, with, without });
        }
        Ok((world, trial))
    }

    fn program(&self, skill: &Skill) -> Result<Program, DriveError> {
        let loaded = self.runner.sandbox.load(&skill.wasm.0);
        loaded.map_err(|error| DriveError::Sandbox(format!("`{}`: {error}", skill.manifest.name)))
    }

    fn load(&self, skill: &Skill, goal: Option<Condition>) -> Result<LoadedSkill, DriveError> {
        let manifest = &skill.manifest;
        Ok(LoadedSkill {
            name: manifest.name.clone(),
            parameters: manifest.parameters.clone(),
            goal,
            program: self.program(skill)?,
            grants: manifest.calls.iter().cloned().collect(),
            tools: tool_reach(&manifest.origin, CORE_RULES, false),
            untrusted: manifest.is_untrusted(),
        })
    }
}
