//! The run's episodes: their start, and the skills and tools that are run in them.

use super::executor::{ExecutorError, LiveReflex, SkillExecutor, SkillRun};
use super::frames::{FrameMoment, FrameSettings};
use super::journal_recorder::JournalRecorder;
use super::observer::Notice;
use super::{DriveError, Driver, Step, spans};
use crate::model::{ActReport, Event, RecordKind};
use sojourn_tools::{EndingKind, ToolCall};
use std::sync::Arc;
use tracing::Instrument as _;

impl Driver {
    pub(super) async fn start_episode(&mut self, seed: u64) -> Result<Step, DriveError> {
        self.take_frame(FrameMoment::End).await?;
        let limit = self.time_limit().await?.with_grace();
        let given_up = self.journal.lock().await.peek(RecordKind::OutOfTime).await?.is_some();
        if given_up || limit.is_over() {
            return self.in_time(Err(DriveError::OutOfTime)).await;
        }
        let mut environment = self.environment.take().ok_or(ExecutorError::Busy)?;
        // The state of a world that is given up is unknown, so it is dropped.
        tokio::select! {
            biased;
            reset = environment.reset(seed) => reset.map_err(ExecutorError::from)?,
            () = limit.over() => return self.in_time(Err(DriveError::OutOfTime)).await,
            () = self.cancel.cancelled() => return Err(DriveError::Interrupted),
        }
        let observation = environment.observe().map_err(ExecutorError::from)?;
        self.environment = Some(environment);
        self.episode_step = 0;
        self.reflexes = self.reflexes.iter().map(LiveReflex::rested).collect();
        self.observer.notice(&Notice::Episode { seed });
        let started = self.derived(Event::EpisodeStarted { seed, observation }).await?;
        self.take_frame(FrameMoment::Start).await?;
        Ok(started)
    }

    /// Takes a picture of the world, if one is due.
    pub(super) async fn take_frame(&mut self, moment: FrameMoment) -> Result<(), DriveError> {
        let settings = FrameSettings::of(self.core.config());
        match &mut self.environment {
            Some(environment) => Ok(self.frames.take(settings, environment.as_mut(), moment).await?),
            None => Ok(()),
        }
    }

    /// Runs a skill of the library, or a tool of the environment where there is no skill of that name.
    pub(super) async fn act(&mut self, call: &ToolCall, max_steps: u32) -> Result<Step, DriveError> {
        let mut executor = self.executor().await?;
        let seed = self.core.config().seed;
        let is_skill = self.skills.contains_key(&call.name);
        let span = if self.journal.lock().await.replaying() {
            tracing::Span::none()
        } else {
            spans::tool(call, if is_skill { "extension" } else { "function" })
        };
        let result = if is_skill {
            executor.run_skill(call, max_steps, seed).instrument(span.clone()).await
        } else {
            executor.call_tool(call, max_steps).instrument(span.clone()).await
        };
        if let Ok(SkillRun { error: Some(error), .. }) = &result {
            spans::failed(&span, &self.redactor.text(&error.to_string()));
        }
        let environment;
        (environment, self.reflexes) = executor.into_parts()?;
        let observation = environment.observe().map_err(ExecutorError::from);
        self.environment = Some(environment);
        let run = match result {
            Ok(run) => run,
            Err(ExecutorError::OutOfTime) => return self.in_time(Err(DriveError::OutOfTime)).await,
            Err(error) => return Err(error.into()),
        };
        self.episode_step += u64::from(run.steps);
        let mut report = ActReport::of(run, observation?);
        if self.core.config().reflexes.is_none() || !died(&report) {
            report.moments.clear();
        }
        self.derived(Event::Acted { report }).await
    }

    /// An executor that holds the run's environment and reflexes until they are taken back.
    async fn executor(&mut self) -> Result<SkillExecutor, DriveError> {
        let limit = self.time_limit().await?;
        let recorder = JournalRecorder {
            journal: Arc::clone(&self.journal),
            observer: Arc::clone(&self.observer),
            cancel: self.cancel.clone(),
            redactor: self.redactor.clone(),
            restrictions: self.restrictions.clone(),
            durable: !self.core.spec().deterministic,
            limit: limit.clone().with_grace(),
            frames: Arc::clone(&self.frames),
            frame_settings: FrameSettings::of(self.core.config()),
        };
        let mut executor = SkillExecutor::new(
            self.sandbox.clone(),
            self.environment.take().ok_or(ExecutorError::Busy)?,
            Arc::clone(&self.skills),
            std::mem::take(&mut self.reflexes),
            Box::new(recorder),
            self.core.config().actor.limits.clone(),
        )?;
        executor.set_episode_step(self.episode_step).await;
        if let Some(toolkit) = &self.toolkit {
            executor.lend(toolkit.within(limit), self.core.tainted()).await;
        }
        Ok(executor)
    }
}

fn died(report: &ActReport) -> bool {
    report.ended.as_ref().is_some_and(|ending| ending.kind == EndingKind::Died)
}
