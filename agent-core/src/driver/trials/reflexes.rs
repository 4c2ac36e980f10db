//! Trials of reflexes: the same practice episodes run with a candidate and without it.
//!
//! The agent of these episodes has no System 2: it takes the curriculum's first proposal, and skills of the library carry
//! it out. An episode lasts until death or until its steps are used up.

use super::super::DriveError;
use super::super::executor::{ExecutorError, LiveReflex, LoadedSkill, SkillExecutor, Unrecorded};
use super::super::observer::LongWork;
use super::super::time_limit::WorkWatch;
use crate::config::{ActorConfig, Budgets, RunConfig};
use crate::core::Core;
use crate::model::{ActReport, Effect, Event, ReflexCandidateTrial, ReflexTrialPlan, RunOrigin};
use sojourn_sandbox::Sandbox;
use sojourn_skills::{Arm, LibraryState, PairedEpisode, ReflexTrial, Wasm};
use sojourn_tools::{EndingKind, Environment, EnvironmentSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Calls in a row without a step, after which an episode ends.
const IDLE: u32 = 32;

/// Runs trials of reflexes.
pub struct ReflexTrialRunner {
    /// Runs skills and reflexes.
    pub sandbox: Sandbox,
    /// The admitted skills, ready to run.
    pub skills: Arc<BTreeMap<String, LoadedSkill>>,
    /// The library that the skills come from.
    pub library: LibraryState,
    /// The active reflexes; a candidate is asked after them.
    pub reflexes: Vec<LiveReflex>,
    /// The environment's description.
    pub spec: EnvironmentSpec,
    /// The run's origin.
    pub origin: RunOrigin,
    /// The run's settings for skills.
    pub actor: ActorConfig,
    /// The run's seed.
    pub seed: u64,
    /// Stops the trials early, and learns how far they are.
    pub(in crate::driver) watch: WorkWatch,
}

impl ReflexTrialRunner {
    /// Tries every candidate of `plan`.
    ///
    /// # Errors
    /// When the environment or the sandbox fails.
    pub async fn try_all(
        &self,
        plan: &ReflexTrialPlan,
        mut world: Box<dyn Environment>,
    ) -> Result<Vec<ReflexCandidateTrial>, DriveError> {
        let mut candidates = Vec::new();
        let mut trials = Vec::new();
        for source in &plan.candidates {
            let (reflex, trial) = self.prepare(plan, source).await?;
            candidates.push(reflex);
            trials.push(trial);
        }
        if candidates.iter().all(Option::is_none) {
            return Ok(trials);
        }
        for (index, seed) in plan.seeds.iter().enumerate() {
            self.watch.check()?;
            self.watch.begin(LongWork::ReflexTrials, index + 1, plan.seeds.len());
            let (back, without) = self.run_episode(plan, *seed, None, world).await?;
            world = back;
            for (reflex, trial) in candidates.iter().zip(&mut trials) {
                let Some(reflex) = reflex else { continue };
                let (back, with) = self.run_episode(plan, *seed, Some(reflex.clone()), world).await?;
                world = back;
                trial.trial.episodes.push(PairedEpisode { seed: *seed, with, without });
            }
        }
        Ok(trials)
    }

    /// Compiles a candidate and runs it on the moments of the plan. Only a candidate that would have acted is tried.
    async fn prepare(
        &self,
        plan: &ReflexTrialPlan,
        source: &str,
    ) -> Result<(Option<LiveReflex>, ReflexCandidateTrial), DriveError> {
        let mut trial = ReflexCandidateTrial {
            compile_error: None,
            wasm: None,
            acts: false,
            trial: ReflexTrial::default(),
        };
        let wasm = match self.sandbox.compile(&plan.name, source).await {
            Ok(wasm) => wasm,
            Err(error) => {
                trial.compile_error = Some(error.to_string());
                return Ok((None, trial));
            }
        };
        let program = self.sandbox.load(&wasm).map_err(|error| DriveError::Sandbox(error.to_string()))?;
        trial.wasm = Some(Wasm(wasm));
        if !plan.granted.is_empty() {
            trial.acts = true;
            let grants = plan.granted.iter().cloned().collect();
            return Ok((Some(LiveReflex::habit(&plan.name, program, grants, 0)), trial));
        }
        let mut live =
            LiveReflex::new(&plan.name, self.sandbox.reflex(&program, &self.actor.tick_limits()), 0);
        for moment in &plan.moments {
            if let Some(action) = live.answer(&moment.state).await {
                trial.acts |= action != moment.action && self.spec.actions.contains(&action);
            }
        }
        Ok((trial.acts.then_some(live), trial))
    }

    /// Runs one practice episode, with the candidate if there is one.
    ///
    /// # Errors
    /// When the environment or the sandbox fails.
    pub async fn run_episode(
        &self,
        plan: &ReflexTrialPlan,
        seed: u64,
        candidate: Option<LiveReflex>,
        mut world: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, Arm), DriveError> {
        let mut reflexes: Vec<LiveReflex> = self.reflexes.iter().map(LiveReflex::rested).collect();
        reflexes.extend(candidate.map(|candidate| candidate.rested()));
        let config = RunConfig {
            seed: self.seed,
            episodes: vec![seed],
            episode_steps: u64::from(plan.steps),
            learning: false,
            memory: false,
            deliberate: false,
            library: true,
            repeat_tasks: !plan.live_on,
            live_on: plan.live_on,
            budgets: Budgets::default(),
            actor: self.actor.clone(),
            ..RunConfig::default()
        };
        let mut core = Core::new(config, self.spec.clone(), self.library.clone(), self.origin.clone());
        let mut arm = Arm { steps: 0, died: false, achievements: 0 };
        let mut unlocked = BTreeSet::new();
        let mut idle = 0_u32;
        let mut effects = core.start(0);
        'episode: loop {
            // The last effect of a batch is the one that is answered.
            let Some(effect) = effects.pop() else { break };
            let event = match effect {
                Effect::StartEpisode { seed } => {
                    self.watch.within(world.reset(seed)).await?;
                    let observation = world.observe().map_err(ExecutorError::from)?;
                    Event::EpisodeStarted { seed, observation }
                }
                Effect::Act { call, max_steps } => {
                    let mut executor = SkillExecutor::new(
                        self.sandbox.clone(),
                        world,
                        Arc::clone(&self.skills),
                        reflexes,
                        Box::new(Unrecorded(self.watch.clone())),
                        self.actor.limits.clone(),
                    )?;
                    executor.set_episode_step(u64::from(arm.steps)).await;
                    let run = if self.skills.contains_key(&call.name) {
                        executor.run_skill(&call, max_steps, self.seed).await
                    } else {
                        executor.call_tool(&call, max_steps).await
                    };
                    (world, reflexes) = executor.into_parts()?;
                    let run = run?;
                    idle = if run.steps == 0 { idle + 1 } else { 0 };
                    arm.steps += run.steps;
                    unlocked.extend(run.unlocked.iter().map(|unlocked| unlocked.task.clone()));
                    arm.died |= run.ended.as_ref().is_some_and(|end| end.kind == EndingKind::Died);
                    let observation = world.observe().map_err(ExecutorError::from)?;
                    // Where nothing more can be gained, calls succeed without a step, and the episode would not end.
                    if idle == IDLE {
                        break 'episode;
                    }
                    Event::Acted { report: ActReport::of(run, observation) }
                }
                // There is no controller; the core ends the run where it cannot continue without one.
                Effect::AskController { .. } => Event::ControllerFailed { error: String::new() },
                _ => break 'episode,
            };
            effects = core.apply(0, event);
        }
        arm.achievements = unlocked.len() as u32;
        Ok((world, arm))
    }
}
