//! A run as a sequence of frames: for each record the view, the task, the decision and the memories.

use crate::{ReadError, Reading, RunClock, Teller, milestone_line, purpose_name};
use serde::Serialize;
use sojourn_core::{ControlRecord, Effect, Event, LogRecord, Milestone, SkillEvent, as_javascript};
use sojourn_memory::{Record, RecordQuery, RunInfo, Store};
use sojourn_tools::{Ending, EndingKind, Environment, EnvironmentRegistry, Media};
use std::collections::VecDeque;
use std::sync::Arc;

/// The longest text that a frame keeps, in characters: more than a screen shows. A film has a frame for each record.
const LONGEST: usize = 20_000;
/// The most open calls that a frame keeps.
const DEEPEST: usize = 64;
/// The most steps that are shown at the end of an episode.
const LAST_STEPS: usize = 8;

/// The frames of a run.
pub struct Film {
    /// One frame for each record, in order.
    pub frames: Vec<Frame>,
    /// The run's own time.
    pub clock: RunClock,
}

/// One record with the state of the agent and its environment.
#[derive(Debug, Clone, Serialize)]
pub struct Frame {
    /// The record's sequence number.
    pub seq: u64,
    /// The record's time, milliseconds since 1970.
    pub at_ms: i64,
    /// The record in one line.
    pub line: String,
    /// The episode, from 1; 0 before the first.
    pub episode: u64,
    /// Environment steps in the episode.
    pub step: u64,
    /// The environment's text.
    pub view: Arc<str>,
    /// The current task.
    pub task: Arc<str>,
    /// The last request to the controller, or its answer.
    pub decision: Arc<str>,
    /// Open calls, outermost first, and the last one that returned.
    pub calls: Arc<[String]>,
    /// The memories recalled last.
    pub memories: Arc<[String]>,
    /// How the episode ended: the cause, the last actions and the vitals; empty while it goes on.
    pub ending: Arc<[String]>,
    /// The latest picture of the world; `None` where the episode has none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<Arc<Picture>>,
    /// Whether the record reports a failure.
    pub failure: bool,
    /// Whether the record unlocks an achievement.
    pub achievement: bool,
    /// Whether the agent dies with the record.
    pub death: bool,
}

/// A picture of the world, and the record that shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Picture {
    /// The record's sequence number.
    pub seq: u64,
    /// The picture.
    #[serde(flatten)]
    pub media: Media,
}

/// Builds the frames record by record, from the start of the run or of any episode.
pub struct Camera {
    /// The environment, stepped along with the log to show every step; `None` where it is not built in or has diverged.
    world: Option<Box<dyn Environment>>,
    /// The state according to the log.
    state: serde_json::Value,
    now: Frame,
    open: Vec<String>,
    teller: Teller,
    /// The latest steps of the episode, the latest last.
    steps: VecDeque<String>,
}

impl Film {
    /// Reads a run and builds its frames.
    ///
    /// # Errors
    /// When the run cannot be read.
    pub async fn of(
        store: &Store,
        info: &RunInfo,
        environments: &EnvironmentRegistry,
    ) -> Result<Self, ReadError> {
        let mut reading = Reading::new(store, info, RecordQuery::all()).await?;
        let mut camera = Camera::new();
        let (mut frames, mut clock) = (Vec::new(), RunClock::default());
        while let Some((record, content)) = reading.next().await? {
            clock.enter(record.seq.0, record.at_ms, content.as_ref());
            if let Some(LogRecord::Started(started)) = &content {
                camera.world = environments.in_process(&started.environment.name);
            }
            frames.push(camera.take(&record, content.as_ref()).await);
        }
        Ok(Self { frames, clock })
    }

    /// The first frame after `from` that matches.
    pub fn next(&self, from: usize, matches: impl Fn(&Frame) -> bool) -> Option<usize> {
        (from + 1..self.frames.len()).find(|&index| matches(&self.frames[index]))
    }
}

impl Default for Camera {
    fn default() -> Self {
        Self::new()
    }
}

impl Camera {
    /// A camera before the first record of an episode: with the names and vitals that `teller` knows, the number of the episode
    /// before, and the world, where it can be executed again.
    pub fn before_episode(teller: Teller, episode: u64, world: Option<Box<dyn Environment>>) -> Self {
        let mut camera = Self::new();
        camera.now.episode = episode;
        Self { world, teller, ..camera }
    }

    /// Shows what was decided before the episode: the requests, answers and recalls that came last.
    pub async fn recollect(&mut self, content: &LogRecord) {
        self.turn(content).await;
    }

    /// The frame of the next record.
    pub async fn take(&mut self, record: &Record, content: Option<&LogRecord>) -> Frame {
        self.now.seq = record.seq.0;
        self.now.at_ms = record.at_ms;
        self.teller.enter(content);
        self.now.line = format!("{}  {}", record.kind, self.teller.line(content));
        self.now.failure = content.is_some_and(|record| self.teller.is_error(record));
        self.now.achievement = false;
        self.now.death = content.is_some_and(Teller::is_death);
        if let Some(content) = content {
            self.turn(content).await;
        }
        self.now.clone()
    }

    /// The state of the world after the record that was taken last.
    pub fn state(&self) -> &serde_json::Value {
        &self.state
    }

    /// A camera in the state before the first record.
    pub fn new() -> Self {
        let nothing: Arc<str> = "".into();
        let now = Frame {
            seq: 0,
            at_ms: 0,
            line: String::new(),
            episode: 0,
            step: 0,
            view: Arc::clone(&nothing),
            task: Arc::clone(&nothing),
            decision: nothing,
            calls: Arc::new([]),
            memories: Arc::new([]),
            ending: Arc::new([]),
            picture: None,
            failure: false,
            achievement: false,
            death: false,
        };
        Self {
            world: None,
            state: serde_json::Value::Null,
            now,
            open: Vec::new(),
            teller: Teller::default(),
            steps: VecDeque::new(),
        }
    }

    async fn turn(&mut self, record: &LogRecord) {
        match record {
            LogRecord::Started(_) | LogRecord::ToolDecision(_) => {}
            LogRecord::ControlRecord(control) => {
                if let ControlRecord::FrameTaken { frame } = &**control {
                    self.now.picture = Some(Arc::new(Picture { seq: self.now.seq, media: frame.clone() }));
                }
            }
            LogRecord::Effect(effect) => self.effect(effect),
            LogRecord::Event(event) => self.event(event).await,
            LogRecord::SkillEvent(event) => self.skill_event(record, event).await,
        }
    }

    fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::AskController { purpose, request } => {
                let asked =
                    request.messages.last().map(sojourn_controller::Message::text).unwrap_or_default();
                self.now.decision = shown(&format!("{}?\n{}", purpose_name(*purpose), asked.trim())).into();
            }
            Effect::Act { call, .. } | Effect::CallTool { call, .. } => {
                self.open = vec![shown(&as_javascript(call))];
                self.now.calls = self.open.clone().into();
            }
            Effect::ReportMilestone { milestone } => match milestone {
                Milestone::TaskChosen { .. } => self.now.task = milestone_line(milestone).into(),
                Milestone::TaskDone { .. }
                | Milestone::SkillGivenUp { .. }
                | Milestone::EpisodeEnded { .. } => {
                    self.now.task = "".into();
                }
                Milestone::SkillAdmitted { .. }
                | Milestone::SkillDemoted { .. }
                | Milestone::SkillMerged { .. }
                | Milestone::SkillRetested { .. }
                | Milestone::ReflexAdmitted { .. }
                | Milestone::ReflexGivenUp { .. }
                | Milestone::Nudged { .. }
                | Milestone::NoProgress { .. } => {}
            },
            _ => {}
        }
    }

    async fn event(&mut self, event: &Event) {
        match event {
            Event::EpisodeStarted { seed, observation } => {
                self.now.episode += 1;
                self.now.step = 0;
                self.now.picture = None;
                self.now.ending = Arc::new([]);
                self.steps.clear();
                self.open.clear();
                self.now.calls = Arc::new([]);
                self.now.view = shown(&observation.text).into();
                self.state = observation.state.clone();
                if let Some(world) = &mut self.world
                    && world.reset(*seed).await.is_err()
                {
                    self.world = None;
                }
            }
            Event::Recalled { memories, .. } => {
                self.now.memories = memories.iter().map(|memory| shown(&memory.text)).collect();
            }
            Event::ControllerAnswered { reply } => {
                let answers: Vec<&str> = reply.candidates.iter().map(|answer| answer.text.trim()).collect();
                self.now.decision = shown(&answers.join("\n— or —\n")).into();
            }
            Event::ToolAnswered { outcome, .. } => {
                let call = self.open.pop().unwrap_or_default();
                let sign = if outcome.ok { "→" } else { "✗" };
                self.now.calls = [shown(&format!("{call} {sign} {}", outcome.to_text()))].into();
            }
            Event::Looked { picture: Some(picture), .. } => {
                self.now.picture = Some(Arc::new(Picture { seq: self.now.seq, media: picture.clone() }));
            }
            Event::ControllerFailed { error } => {
                self.now.decision = shown(&format!("no answer: {error}")).into();
            }
            Event::Acted { report } => {
                self.now.view = shown(&report.observation.text).into();
                self.state = report.observation.state.clone();
                self.open.clear();
                self.now.calls = Arc::new([]);
            }
            _ => {}
        }
    }

    /// The end of an episode: its cause, the vitals and the last steps.
    fn ending(&self, ending: &Ending) -> Arc<[String]> {
        let how = match ending.kind {
            EndingKind::Died => "died",
            EndingKind::Succeeded => "reached the goal",
            EndingKind::TimeUp => "the time was up",
            EndingKind::Lost => "the world was lost",
        };
        let vitals = self.teller.vitals();
        let mut lines = vec![shown(&format!("{how}: {}", ending.cause))];
        if !vitals.is_empty() {
            lines.push(shown(&vitals.join(", ")));
        }
        lines.push("the last steps:".to_owned());
        lines.extend(self.steps.iter().map(|step| format!("· {step}")));
        lines.into()
    }

    async fn skill_event(&mut self, record: &LogRecord, event: &SkillEvent) {
        match event {
            SkillEvent::Called { depth, call } => {
                self.open.truncate((*depth as usize).saturating_add(1).min(DEEPEST));
                self.open.push(shown(&as_javascript(call)));
                self.now.calls = self.open.clone().into();
            }
            SkillEvent::Returned { depth, outcome } => {
                self.open.truncate((*depth as usize).saturating_add(2));
                let call = self.open.pop().unwrap_or_default();
                let reached = self.teller.reached(outcome).is_some();
                let sign = if outcome.ok || reached { "→" } else { "✗" };
                let mut calls = self.open.clone();
                calls.push(shown(&format!("{call} {sign} {}", outcome.message)));
                self.now.calls = calls.into();
            }
            SkillEvent::Stepped(step) => {
                self.now.step += 1;
                self.now.achievement = !step.unlocked.is_empty();
                step.apply(&mut self.state);
                if self.steps.len() == LAST_STEPS {
                    self.steps.pop_front();
                }
                self.steps.push_back(shown(&self.teller.line(Some(record))));
                if let Some(ending) = &step.ended {
                    self.now.ending = self.ending(ending);
                }
                let mut diverged = false;
                if let Some(world) = &mut self.world {
                    let stepped = world.step(&step.action).await;
                    match world.observe() {
                        Ok(seen) if stepped.is_ok() => {
                            self.now.view = shown(&seen.text).into();
                            diverged =
                                seen.state != self.state && stepped.is_ok_and(|out| out.state != self.state);
                        }
                        _ => diverged = true,
                    }
                }
                if diverged {
                    self.world = None;
                }
                if self.world.is_none() {
                    let state = serde_json::to_string_pretty(&self.state).unwrap_or_default();
                    self.now.view = shown(&state).into();
                }
            }
        }
    }
}

/// The part of a text that a frame keeps.
fn shown(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
