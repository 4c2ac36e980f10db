//! Pictures of the world: taken as often as the settings say, kept as media of the run, and never taken again by a replay.

use super::journal::{Journal, JournalError};
use super::observer::{Notice, Observer};
use super::run_media::{FrameRefused, RunMedia};
use crate::config::{FrameRate, RunConfig};
use crate::model::ControlRecord;
use sojourn_tools::{Environment, Frame, Media, MediaError, MediaStore};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long the world may take to give a picture.
const WITHIN: Duration = Duration::from_secs(10);
/// Bytes of all different pictures of a run, where `budgets.frame_bytes` gives no limit.
const DEFAULT_BUDGET: u64 = 256 << 20;
/// Pictures in a row that the world does not give before it is not asked any more.
const MOST_FAILURES: u32 = 3;

/// When a picture may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameMoment {
    /// An episode began.
    Start,
    /// A step was taken.
    Step,
    /// The episode is over, or is about to be left.
    End,
}

/// How often pictures are taken, and their limit in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameSettings {
    rate: FrameRate,
    budget: u64,
}

impl FrameSettings {
    pub(super) fn of(config: &RunConfig) -> Self {
        Self { rate: config.frames, budget: config.budgets.frame_bytes.unwrap_or(DEFAULT_BUDGET) }
    }
}

/// Takes pictures of a run's world.
pub(super) struct Frames {
    journal: Arc<Mutex<Journal>>,
    media: Arc<RunMedia>,
    observer: Arc<dyn Observer>,
    /// Name of the world.
    world: String,
    state: std::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Address of the latest picture of the episode.
    last: Option<String>,
    /// Whether the episode's end has no picture yet.
    open: bool,
    failures: u32,
    /// Looks of the controller in a row that got no picture.
    blind: u32,
    /// Whether the budget was reported as used up.
    reported: bool,
}

impl Frames {
    pub(super) fn new(
        journal: Arc<Mutex<Journal>>,
        media: Arc<RunMedia>,
        observer: Arc<dyn Observer>,
        world: &str,
    ) -> Self {
        Self { journal, media, observer, world: world.to_owned(), state: std::sync::Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a picture and records it, if one is due. A world that gives none changes nothing.
    pub(super) async fn take(
        &self,
        settings: FrameSettings,
        environment: &mut dyn Environment,
        moment: FrameMoment,
    ) -> Result<(), JournalError> {
        if !self.is_due(settings.rate, moment) {
            return Ok(());
        }
        let mut journal = self.journal.lock().await;
        if journal.replaying() || !journal.writes() {
            return Ok(());
        }
        // The log says that another process resumes the run before that process does anything.
        journal.read_controls().await?;
        drop(journal);
        // Where the run was resumed within the episode, the log has its latest picture.
        let recorded = match moment {
            FrameMoment::Start => None,
            FrameMoment::Step | FrameMoment::End => self.media.frame().map(|frame| frame.blob),
        };
        let Some(frame) = self.ask(environment).await else { return Ok(()) };
        let Some(frame) = self.keep(frame, settings.budget) else { return Ok(()) };
        let last = self.state().last.replace(frame.blob.clone()).or(recorded);
        if last.as_ref() == Some(&frame.blob) {
            return Ok(());
        }
        let shown = frame.clone();
        self.journal.lock().await.append_control(ControlRecord::FrameTaken { frame }).await?;
        self.media.frame_recorded(&shown);
        Ok(())
    }

    /// The agent acts: pictures from before show nothing of what comes of it.
    pub(super) fn begin_act(&self) {
        self.media.begin_act();
    }

    /// The latest picture of what came of the last act; `None` where the log has none.
    pub(super) fn outcome(&self) -> Option<Media> {
        self.media.outcome()
    }

    /// The picture of the world for the controller; `None` where the world gives none, or one that cannot be kept.
    pub(super) async fn look(
        &self,
        settings: FrameSettings,
        environment: &mut dyn Environment,
    ) -> Option<Media> {
        if self.state().blind >= MOST_FAILURES {
            return None;
        }
        let frame = tokio::time::timeout(WITHIN, environment.frame()).await.ok().flatten();
        {
            let mut state = self.state();
            state.blind = if frame.is_some() { 0 } else { state.blind + 1 };
        }
        let media = self.keep(frame?, settings.budget)?;
        // The look records it, so it is not recorded once more after the same step.
        self.state().last = Some(media.blob.clone());
        Some(media)
    }

    /// The bytes of a picture of the run, by its whole address.
    pub(super) async fn bytes(&self, blob: &str) -> Result<Arc<[u8]>, MediaError> {
        let media = self.media.find(&format!("media:{blob}"))?;
        self.media.bytes(&media).await
    }

    fn is_due(&self, rate: FrameRate, moment: FrameMoment) -> bool {
        let mut state = self.state();
        let due = match (rate, moment) {
            (FrameRate::Off, _) | (FrameRate::Episode, FrameMoment::Step) => false,
            (_, FrameMoment::Start) => true,
            (FrameRate::Step, _) | (FrameRate::Episode, FrameMoment::End) => state.open,
        };
        state.open = moment != FrameMoment::End;
        if moment == FrameMoment::Start {
            (state.last, state.failures, state.blind) = (None, 0, 0);
        }
        due && state.failures < MOST_FAILURES
    }

    async fn ask(&self, environment: &mut dyn Environment) -> Option<Frame> {
        let frame = tokio::time::timeout(WITHIN, environment.frame()).await.ok().flatten();
        let mut state = self.state();
        state.failures = if frame.is_some() { 0 } else { state.failures + 1 };
        frame
    }

    /// Takes a picture in; `None` where the budget is used up, which is reported once, and where it is unusable.
    fn keep(&self, frame: Frame, budget: u64) -> Option<Media> {
        match self.media.put_frame(frame, &self.world, budget) {
            Ok(frame) => Some(frame),
            Err(FrameRefused::Unusable) => None,
            Err(FrameRefused::OverBudget) => {
                if !std::mem::replace(&mut self.state().reported, true) {
                    self.observer.notice(&Notice::BudgetNearlyUsed {
                        budget: "bytes of pictures",
                        share: 1.0,
                        noted: None,
                    });
                }
                None
            }
        }
    }
}
