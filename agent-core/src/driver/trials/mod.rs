//! Trials: skills and reflexes run in practice worlds, apart from the run's own episodes.
//!
//! [`TrialRunner`] tries candidates for skills and runs regression cases, [`ReflexTrialRunner`] tries candidates for
//! reflexes. Both serve the core's effects here, and people's commands outside of any run ([`StandaloneTrials`],
//! [`run_once`]). Verdicts are logged, steps in practice worlds are not: a replay runs the trials again.

mod attempt;
mod candidates;
mod exploration;
mod healing;
mod reflexes;
mod single_run;
mod standalone;
mod survey;

pub(super) use candidates::TrialRunner;
pub use healing::{HealingPlan, heal_recording};
pub use single_run::{SingleRun, run_once};
pub use standalone::StandaloneTrials;
pub use survey::{SurveyPlan, survey};

use super::executor::{ExecutorError, LiveReflex};
use super::journal::JournalError;
use super::time_limit::WorkWatch;
use super::{DriveError, Driver, Notice, Step};
use crate::model::{
    CandidateTrial, DiscoveryPlan, Event, ExplorationPlan, LogRecord, Payload as _, RecordKind,
    ReflexCandidateTrial, ReflexTrialPlan, TrialPlan,
};
use exploration::{EpisodeCount, ExploredWorld};
use reflexes::ReflexTrialRunner;
use sojourn_skills::SkillId;
use sojourn_synthesis::{Beliefs, Documentation, Explorer, Findings, FrontierExplorer, StateExplorer};
use sojourn_tools::Environment;
use std::num::NonZero;
use std::sync::Arc;

/// The largest number of worlds in which candidates are tried at the same time.
const WORLDS_AT_ONCE: usize = 4;
/// The largest number of worlds that are explored at the same time.
const EXPLORED_WORLDS: usize = 4;

impl Driver {
    /// The result of a trial from the log, where it is recorded and need not be checked.
    async fn recorded_trial(&self, kind: RecordKind) -> Result<Option<Step>, DriveError> {
        let out_of_time = self.journal.lock().await.peek(RecordKind::OutOfTime).await?;
        if out_of_time.is_some() {
            return self.recorded(&[RecordKind::OutOfTime]).await;
        }
        // The answers of other tools in a trial are not logged, so such a trial cannot be repeated.
        let repeatable = self.core.spec().deterministic && self.toolkit.is_none();
        if repeatable && !self.journal.lock().await.trusts_trials() {
            let journal = self.journal.lock().await;
            // A replay repeats what it can compare.
            if !journal.writes() && journal.peek(kind).await?.is_none() {
                return Err(JournalError::End.into());
            }
            return Ok(None);
        }
        if let Some(step) = self.recorded(&[kind]).await? {
            return Ok(Some(step));
        }
        // A crash replay has neither the world nor the tools for trials that cannot be repeated.
        self.journal.lock().await.repeat_trial_calls().await?;
        let result = self.journal.lock().await.trial_result().cloned();
        match result {
            Some(LogRecord::Event(event)) if !repeatable && event.kind() == kind => {
                Ok(Some(self.derived(*event).await?))
            }
            // Without a writer no trial runs.
            _ if !self.journal.lock().await.writes() => Err(JournalError::End.into()),
            _ => Ok(None),
        }
    }

    /// Whether practice worlds are programs of their own, which take long to start and can run at the same time. Worlds within this
    /// process are tried one after the other, as their replays try them; and so are programs that may call other tools, because the
    /// order of these calls is logged.
    fn keeps_practice_worlds(&self) -> Result<bool, DriveError> {
        let spec = self.environment()?.spec();
        Ok(spec.play && !spec.deterministic && self.toolkit.is_none())
    }

    /// The worlds of the next trials: those of the trials before, or new ones; none where practice is not allowed.
    fn practice_worlds(&mut self) -> Result<Vec<Box<dyn Environment>>, DriveError> {
        let most = if self.keeps_practice_worlds()? {
            std::thread::available_parallelism().map_or(1, NonZero::get).min(WORLDS_AT_ONCE)
        } else {
            1
        };
        let mut worlds = std::mem::take(&mut self.practice_worlds);
        let environment = self.environment()?;
        worlds.extend((worlds.len()..most).map_while(|_| environment.practice()));
        Ok(worlds)
    }

    fn environment(&self) -> Result<&dyn Environment, DriveError> {
        Ok(self.environment.as_deref().ok_or(ExecutorError::Busy)?)
    }

    /// Watches the trials of the effect that is about to be carried out.
    async fn work_watch(&mut self) -> Result<WorkWatch, DriveError> {
        let time = self.time_limit().await?;
        Ok(WorkWatch { cancel: self.cancel.clone(), time, observer: Arc::clone(&self.observer) })
    }

    pub(super) async fn observe_starts(&mut self, task: &str, seeds: &[u64]) -> Result<Step, DriveError> {
        if let Some(step) = self.recorded_trial(RecordKind::StartsObserved).await? {
            return Ok(step);
        }
        let watch = self.work_watch().await?;
        let mut seen = Vec::new();
        if let Some(mut world) = self.environment()?.practice() {
            self.observer.notice(&Notice::Trials { task, candidates: 0 });
            for seed in seeds {
                if let Err(stopped) = watch.check() {
                    return self.in_time(Err(stopped.into())).await;
                }
                if let Err(stopped) = watch.within(world.reset(*seed)).await {
                    return self.in_time(Err(stopped.into())).await;
                }
                let observation = world.observe().map_err(ExecutorError::from)?;
                seen.push(observation.text);
            }
        }
        self.derived(Event::StartsObserved { seen }).await
    }

    pub(super) async fn explore(&mut self, plan: &ExplorationPlan) -> Result<Step, DriveError> {
        if let Some(step) = self.recorded_trial(RecordKind::Explored).await? {
            return Ok(step);
        }
        let watch = self.work_watch().await?;
        let environment = self.environment()?;
        let spec = environment.spec();
        let practice = (0..EXPLORED_WORLDS).map_while(|_| environment.practice());
        let episodes = EpisodeCount::new(plan.seeds.len());
        let runner = self.trial_runner(&watch);
        let world = |world| ExploredWorld::new(world, runner.clone(), episodes.clone());
        let worlds: Vec<ExploredWorld> = practice.map(world).collect();
        let task = self.core.spec().tasks.iter().find(|task| task.name == plan.task);
        let explorable = spec.exploration.is_some() || spec.play;
        let (Some(task), true, false) = (task, explorable, worlds.is_empty()) else {
            return self.derived(Event::Explored { demonstrations: Vec::new(), programs: Vec::new() }).await;
        };
        self.observer.notice(&Notice::Trials { task: &plan.task, candidates: 0 });
        let sandbox = self.sandbox.clone();
        let found = if spec.exploration.is_some() {
            Explorer { environment: spec, task, plan, sandbox }.explore(worlds).await
        } else {
            StateExplorer { environment: spec, task, plan, sandbox }.play(worlds).await
        };
        let event = found
            .map(|Findings { demonstrations, programs }| Event::Explored { demonstrations, programs })
            .map_err(DriveError::from);
        self.in_time(event).await
    }

    pub(super) async fn discover(&mut self, plan: &DiscoveryPlan) -> Result<Step, DriveError> {
        if let Some(step) = self.recorded_trial(RecordKind::Discovered).await? {
            return Ok(step);
        }
        let watch = self.work_watch().await?;
        let environment = self.environment()?;
        let Some(world) = environment.practice() else {
            let beliefs = plan.beliefs.clone();
            return self.derived(discovered(beliefs, plan.tasks)).await;
        };
        let episodes = EpisodeCount::new(plan.seeds.len());
        let mut world = ExploredWorld::new(world, self.trial_runner(&watch), episodes);
        self.observer.notice(&Notice::Trials { task: "discovery", candidates: 0 });
        let found = FrontierExplorer { environment: environment.spec(), plan }.explore(&mut world).await;
        let event = found.map(|beliefs| discovered(beliefs, plan.tasks)).map_err(DriveError::from);
        self.in_time(event).await
    }

    pub(super) async fn try_candidates(&mut self, plan: &TrialPlan) -> Result<Step, DriveError> {
        if let Some(step) = self.recorded_trial(RecordKind::CandidatesTried).await? {
            return Ok(step);
        }
        let watch = self.work_watch().await?;
        if let Err(stopped) = watch.check() {
            return self.in_time(Err(stopped.into())).await;
        }
        let mut worlds = self.practice_worlds()?;
        if worlds.is_empty() {
            // The agent file forbids practice since the run was started. Without trials no candidate is admitted.
            let trials = vec![CandidateTrial::default(); plan.candidates.len()];
            return self.derived(Event::CandidatesTried { trials }).await;
        }
        let task = self.core.spec().tasks.iter().find(|task| task.name == plan.task);
        let goal = task
            .map(|task| task.goal.clone())
            .ok_or_else(|| DriveError::Unusable(format!("no task `{}`", plan.task)))?;
        self.observer.notice(&Notice::Trials { task: &plan.task, candidates: plan.candidates.len() });
        let tried = self.trial_runner(&watch).try_all(plan, &goal, &mut worlds).await;
        if self.keeps_practice_worlds()? {
            self.practice_worlds = worlds;
        }
        self.in_time(tried.map(|trials| Event::CandidatesTried { trials }).map_err(DriveError::from)).await
    }

    pub(super) async fn retest_skills(&mut self, skills: &[SkillId]) -> Result<Step, DriveError> {
        if let Some(step) = self.recorded_trial(RecordKind::SkillsRetested).await? {
            return Ok(step);
        }
        let watch = self.work_watch().await?;
        if let Err(stopped) = watch.check() {
            return self.in_time(Err(stopped.into())).await;
        }
        let Some(world) = self.environment()?.practice() else {
            return self.derived(Event::SkillsRetested { retests: Vec::new() }).await;
        };
        let mut subjects = Vec::new();
        for entry in skills.iter().filter_map(|id| self.core.library().entry(id)) {
            let Some(skill) = self.skills.get(entry.name()) else { continue };
            self.observer.notice(&Notice::Trials { task: entry.name(), candidates: 1 });
            subjects.push((entry.id().clone(), skill.clone(), entry.cases()));
        }
        let retested = self.trial_runner(&watch).retest(&subjects, world).await;
        self.in_time(retested.map(|retests| Event::SkillsRetested { retests }).map_err(DriveError::from))
            .await
    }

    pub(super) async fn try_reflexes(&mut self, plan: &ReflexTrialPlan) -> Result<Step, DriveError> {
        if let Some(step) = self.recorded_trial(RecordKind::ReflexesTried).await? {
            return Ok(step);
        }
        let watch = self.work_watch().await?;
        if let Err(stopped) = watch.check() {
            return self.in_time(Err(stopped.into())).await;
        }
        let Some(world) = self.environment()?.practice() else {
            let trials = vec![ReflexCandidateTrial::default(); plan.candidates.len()];
            return self.derived(Event::ReflexesTried { trials }).await;
        };
        let runner = ReflexTrialRunner {
            sandbox: self.sandbox.clone(),
            skills: Arc::clone(&self.skills),
            library: self.core.library().clone(),
            reflexes: self.reflexes.clone(),
            spec: self.core.spec().clone(),
            origin: self.core.origin().clone(),
            actor: self.core.config().actor.clone(),
            seed: self.core.config().seed,
            watch,
        };
        self.observer.notice(&Notice::Trials { task: &plan.name, candidates: plan.candidates.len() });
        let tried = runner.try_all(plan, world).await;
        self.in_time(tried.map(|trials| Event::ReflexesTried { trials })).await
    }

    /// A runner with the run's skills and reflexes as they are now.
    fn trial_runner(&self, watch: &WorkWatch) -> TrialRunner {
        TrialRunner {
            sandbox: self.sandbox.clone(),
            library: Arc::clone(&self.skills),
            reflexes: self.reflexes.iter().map(LiveReflex::rested).collect(),
            limits: self.core.config().actor.limits.clone(),
            toolkit: self.toolkit.as_ref().map(|toolkit| {
                let most = self.core.config().budgets.tool_calls;
                let left = most.map(|most| most.saturating_sub(self.core.totals().tool_calls));
                toolkit.in_trial(left).within(watch.time.clone())
            }),
            watch: watch.clone(),
        }
    }
}

/// The event of a stage with these beliefs, and the tasks and recipes made of them.
fn discovered(beliefs: Beliefs, tasks: usize) -> Event {
    let Documentation { tasks, recipes } = beliefs.documentation(tasks);
    Event::Discovered { beliefs, tasks, recipes }
}
