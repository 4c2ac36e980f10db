//! What the core has tried in practice worlds: candidates for skills and reflexes, and skills whose callees changed.

use super::play::{Found, Player};
use super::practice::Gym;
use super::proving::ProvingGround;
use super::stage::{LiveReflex, StageError};
use super::toolkit::Toolkit;
use super::{DriveError, Driver, Notice, Step, kind_of_event};
use crate::event::Event;
use sojourn_skills::SkillId;
use std::sync::Arc;

/// Worlds that are played in at once.
const PLAYGROUNDS: usize = 4;

impl Driver {
    /// What came of practice, where it is recorded and need not be checked.
    pub(super) async fn trusted(&self, kind: &str) -> Result<Option<Step>, DriveError> {
        // What other tools say in practice is not in the log.
        let again = self.core.spec().deterministic && self.toolkit.is_none();
        if again && !self.journal.lock().await.trusting() {
            return Ok(None);
        }
        if let Some(step) = self.recorded(&[kind]).await? {
            return Ok(Some(step));
        }
        let practised = self.journal.lock().await.practised().cloned();
        match practised.map(serde_json::from_value::<Event>) {
            // Where a run is lived again, neither its world nor its tools are here to practise with.
            Some(Ok(event)) if !again && kind_of_event(&event) == kind => {
                Ok(Some(self.derived(event).await?))
            }
            _ => Ok(None),
        }
    }

    /// Looks at how episodes of a task begin.
    pub(super) async fn survey(&self, task: &str, seeds: &[u64]) -> Result<Event, DriveError> {
        let environment = self.environment.as_ref().ok_or(StageError::Busy)?;
        let mut seen = Vec::new();
        if let Some(mut world) = environment.practice() {
            self.observer.notice(&Notice::Practising { task, candidates: 0 });
            for seed in seeds {
                world.reset(*seed).await.map_err(StageError::from)?;
                let observation = world.observe().map_err(StageError::from)?;
                seen.push(self.redactor.any(observation).text);
            }
        }
        Ok(Event::Surveyed { seen })
    }

    /// Does things by chance in practice worlds.
    pub(super) async fn play(&self, plan: &crate::event::PlayPlan) -> Result<Event, DriveError> {
        let environment = self.environment.as_ref().ok_or(StageError::Busy)?;
        let spec = environment.spec();
        let task = spec.tasks.iter().find(|task| task.name == plan.task);
        let worlds: Vec<_> = (0..PLAYGROUNDS).map_while(|_| environment.practice()).collect();
        let (false, Some(play), Some(task)) = (worlds.is_empty(), &spec.play, task) else {
            return Ok(Event::Played { shown: Vec::new(), programs: Vec::new() });
        };
        self.observer.notice(&Notice::Practising { task: &plan.task, candidates: 0 });
        let player = Player { gym: self.gym(), spec, play, task, plan, cancel: &self.cancel };
        let Found { shown, programs } = player.find(worlds).await?;
        Ok(Event::Played { shown: self.redactor.any(shown), programs: self.redactor.any(programs) })
    }

    /// Has candidates for a skill tried.
    pub(super) async fn practise(&self, plan: &crate::event::TrialPlan) -> Result<Event, DriveError> {
        let environment = self.environment.as_ref().ok_or(StageError::Busy)?;
        let Some(world) = environment.practice() else {
            let reason =
                "this environment has no practice worlds: skills cannot be learned in it yet".to_owned();
            return Err(DriveError::Unusable(reason));
        };
        let task = environment.spec().tasks.iter().find(|task| task.name == plan.task);
        let goal = task
            .map(|task| task.goal.clone())
            .ok_or_else(|| DriveError::Unusable(format!("no task `{}`", plan.task)))?;
        self.observer.notice(&Notice::Practising { task: &plan.task, candidates: plan.candidates.len() });
        let trials = self.gym().try_all(plan, &goal, world).await?;
        Ok(Event::Tried { trials })
    }

    /// Runs skills of the library in their cases again.
    pub(super) async fn retest(&self, skills: &[SkillId]) -> Result<Event, DriveError> {
        let environment = self.environment.as_ref().ok_or(StageError::Busy)?;
        let Some(world) = environment.practice() else {
            let reason = "this environment has no practice worlds: skills cannot be tested again in it";
            return Err(DriveError::Unusable(reason.to_owned()));
        };
        let mut subjects = Vec::new();
        for entry in skills.iter().filter_map(|id| self.core.library().entry(id)) {
            let Some(runnable) = self.runnables.get(entry.name()) else { continue };
            self.observer.notice(&Notice::Practising { task: entry.name(), candidates: 1 });
            subjects.push((entry.id().clone(), runnable.clone(), entry.cases()));
        }
        Ok(Event::Retested { retests: self.gym().retest(&subjects, world).await? })
    }

    /// Where skills are tried, as things stand.
    fn gym(&self) -> Gym {
        Gym {
            sandbox: self.sandbox.clone(),
            library: Arc::clone(&self.runnables),
            reflexes: self.reflexes.iter().map(LiveReflex::rested).collect(),
            limits: self.core.config().actor.limits.clone(),
            toolkit: self.toolkit.as_ref().map(Toolkit::in_practice),
        }
    }

    /// Has candidates for a reflex tried.
    pub(super) async fn prove(&self, plan: &crate::event::ReflexPlan) -> Result<Event, DriveError> {
        let environment = self.environment.as_ref().ok_or(StageError::Busy)?;
        let Some(world) = environment.practice() else {
            let reason = "this environment has no practice worlds: reflexes cannot be tried in it".to_owned();
            return Err(DriveError::Unusable(reason));
        };
        let ground = ProvingGround {
            sandbox: self.sandbox.clone(),
            runnables: Arc::clone(&self.runnables),
            library: self.core.library().clone(),
            reflexes: self.reflexes.clone(),
            spec: environment.spec().clone(),
            origin: self.core.origin().clone(),
            actor: self.core.config().actor.clone(),
            seed: self.core.config().seed,
            cancel: self.cancel.clone(),
        };
        self.observer.notice(&Notice::Practising { task: &plan.name, candidates: plan.candidates.len() });
        Ok(Event::ReflexesTried { trials: ground.try_all(plan, world).await? })
    }
}
