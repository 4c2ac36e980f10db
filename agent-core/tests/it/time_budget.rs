//! The time budget ends a run also within an effect that takes long, and the log replays and resumes from there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use async_trait::async_trait;
use serde_json::json;
use sojourn_controller::{
    Cancel, Completion, Constraint, Controller, ControllerError, Finish, ModelInfo, RecordedController,
    Reply, Request, Timing, Usage,
};
use sojourn_core::{
    Budgets, Clock, ControlRecord, Driver, DriverDeps, FinishReason, ForkChanges, Journal, LOG_VERSION,
    LongWork, Notice, Observer, Outcome, RecordedRun, Redactor, ReplayPosition, RunConfig, RunOrigin,
    Started, StuckConfig, TimeSource,
};
use sojourn_crafter::CrafterEnvironment;
use sojourn_memory::{
    EventSeq, ForkPoint, Hash, NewRun, Record, RecordQuery, RunId, RunStatus, Store, Writer,
};
use sojourn_sandbox::{Sandbox, SandboxConfig, engine_sha256};
use sojourn_skills::LibraryState;
use sojourn_tools::{
    Action, Environment, EnvironmentError, EnvironmentSpec, Observation, Progress, StepOutcome, ToolCall,
};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

/// A program that walks as long as it may.
const WALK: &str = "  for (let i = 0; i < 90; i++) {\n    explore(10);\n  }\n}";
const BUDGET_MS: u64 = 20_000;

/// A clock that only the test moves: by a model that thinks, and a little at each reading.
#[derive(Default)]
struct Hand {
    ms: AtomicI64,
    per_reading: AtomicI64,
}

impl TimeSource for Hand {
    fn wall_ms(&self) -> i64 {
        1_700_000_000_000 + self.ms.load(Ordering::SeqCst)
    }

    fn running_ms(&self) -> i64 {
        self.ms.fetch_add(self.per_reading.load(Ordering::SeqCst), Ordering::SeqCst)
    }
}

/// A model that answers at once, or thinks until its request is dropped.
struct Model {
    info: ModelInfo,
    hand: Arc<Hand>,
    answers: bool,
}

#[async_trait]
impl Controller for Model {
    fn model(&self) -> &ModelInfo {
        &self.info
    }

    async fn complete(&self, request: &Request, _cancel: &Cancel) -> Result<Reply, ControllerError> {
        assert!(matches!(request.constraint, Constraint::Lark(_)), "only programs are asked for");
        if !self.answers {
            self.hand.ms.fetch_add(BUDGET_MS as i64 + 1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        let candidates = vec![Completion::new(WALK.to_owned(), 7, Finish::Complete)];
        Ok(Reply::new(candidates, Usage::default(), Timing::default()))
    }
}

/// Keeps what long phases report.
#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Observer for Seen {
    fn notice(&self, notice: &Notice<'_>) {
        let mut seen = self.0.lock().unwrap();
        match notice {
            Notice::AskingController { round, .. } => seen.push(format!("round {round:?}")),
            Notice::Advanced { work: LongWork::SkillTrials, number, of } => {
                seen.push(format!("world {number} of {of}"));
            }
            _ => {}
        }
    }
}

/// Where a world hangs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hang {
    Never,
    Reset,
    Step,
}

/// Crafter that hangs, after more time than a run may take. Its practice worlds do not.
struct Hanging {
    inner: CrafterEnvironment,
    hang: Hang,
    hand: Arc<Hand>,
    cancel: Cancel,
}

impl Hanging {
    async fn wait(&self, at: Hang) {
        if self.hang == at {
            self.hand.ms.fetch_add(3 * BUDGET_MS as i64, Ordering::SeqCst);
            self.cancel.cancel();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Environment for Hanging {
    fn spec(&self) -> &EnvironmentSpec {
        self.inner.spec()
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        self.wait(Hang::Reset).await;
        self.inner.reset(seed).await
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        self.inner.observe()
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.inner.begin(call)
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        self.inner.advance()
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        self.wait(Hang::Step).await;
        self.inner.step(action).await
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        self.inner.practice()
    }
}

struct Lab {
    hang: Hang,
    /// Whether a person stops the run while its world hangs.
    stops: bool,
    sandbox: Sandbox,
    started: Started,
    hand: Arc<Hand>,
    seen: Arc<Seen>,
}

impl Lab {
    fn new(per_reading_ms: i64) -> Self {
        let config = RunConfig {
            memory: false,
            deliberate: false,
            tasks: vec!["collect_wood".to_owned()],
            budgets: Budgets { time_ms: Some(BUDGET_MS), ..Budgets::default() },
            ..RunConfig::default()
        };
        let started = Started {
            log_version: LOG_VERSION,
            config,
            model: serde_json::from_value(json!({"name": "scripted", "source": ""})).unwrap(),
            library: LibraryState::default(),
            environment: CrafterEnvironment::default().spec().clone(),
            reflexes: Vec::new(),
            origin: RunOrigin { run: new_run().id, model: "scripted".into(), engine: engine_sha256().into() },
            by: None,
        };
        let hand = Arc::new(Hand::default());
        hand.per_reading.store(per_reading_ms, Ordering::SeqCst);
        let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
        Self { hang: Hang::Never, stops: false, sandbox, started, hand, seen: Arc::default() }
    }

    /// A lab in which skills are printed from recipes, and no model is asked.
    fn with_recipes(hang: Hang) -> Self {
        let mut lab = Self { hang, ..Self::new(0) };
        lab.started.config.actor.follow_recipes = true;
        lab.started.config.actor.rounds = 0;
        lab
    }

    fn model(&self, answers: bool) -> Arc<dyn Controller> {
        Arc::new(Model { info: self.started.model.clone(), hand: Arc::clone(&self.hand), answers })
    }

    fn journal(&self, store: &Store, records: Vec<Record>, writer: Option<Writer>) -> Journal {
        Journal::new(store.clone(), records, writer).with_clock(Clock::Live(self.hand.clone()))
    }

    async fn drive(&self, controller: Arc<dyn Controller>, journal: Journal) -> Outcome {
        self.drive_until(Cancel::new(), controller, journal).await
    }

    async fn drive_until(
        &self,
        cancel: Cancel,
        controller: Arc<dyn Controller>,
        journal: Journal,
    ) -> Outcome {
        let inner = CrafterEnvironment::default();
        // Only the person of the test that waits for it stops the run.
        let stop = if self.stops { cancel.clone() } else { Cancel::new() };
        let world = Hanging { inner, hang: self.hang, hand: Arc::clone(&self.hand), cancel: stop };
        let deps = DriverDeps {
            environment: Box::new(world),
            controller,
            sandbox: self.sandbox.clone(),
            journal,
            memory: None,
            library: None,
            tools: None,
            observer: self.seen.clone(),
            cancel,
            redactor: Redactor::default(),
        };
        let (driver, started_ms) = Driver::new(self.started.clone(), deps).await.unwrap();
        driver.run(started_ms).await.unwrap().0
    }

    /// Replays all records without a clock, and repeats the trials that were carried out to their end.
    async fn verify(&self, store: &Store) {
        let records = records(store).await;
        let all = records.len() as u64;
        let recorded = Arc::new(RecordedController::new(self.started.model.clone(), []));
        let journal = Journal::new(store.clone(), records, None);
        let outcome = self.drive(recorded, journal).await;
        let whole = matches!(outcome, Outcome::Finished(FinishReason::Time | FinishReason::Steps));
        assert!(whole || outcome == Outcome::Replayed { matched: all }, "{outcome:?}");
    }
}

fn new_run() -> NewRun {
    NewRun::new(RunId::new(1, 1), "crafter", "scripted")
}

async fn records(store: &Store) -> Vec<Record> {
    store.records(&new_run().id, &RecordQuery::all()).await.unwrap()
}

/// The kinds of the last records.
fn last(records: &[Record], count: usize) -> Vec<&str> {
    records[records.len() - count..].iter().map(|record| record.kind.as_str()).collect()
}

#[tokio::test]
async fn the_time_of_a_run_ends_while_a_program_is_written_and_a_resume_goes_on() {
    let lab = Lab::new(0);
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let writer = store.create_run(new_run()).await.unwrap();
    let outcome = lab.drive(lab.model(false), lab.journal(&store, Vec::new(), Some(writer))).await;
    assert_eq!(outcome, Outcome::Finished(FinishReason::Time));
    let first = records(&store).await;
    assert_eq!(last(&first, 3), ["ask_controller", "out_of_time", "finish"]);
    assert_eq!(*lab.seen.0.lock().unwrap(), ["round Some((1, 4))"]);
    lab.verify(&store).await;

    // With more time the program is asked for again, and again the time holds.
    let writer = store.resume_run(&new_run().id).await.unwrap();
    let more = Some(Budgets { time_ms: Some(BUDGET_MS), ..Budgets::default() });
    let resumed = ControlRecord::Resumed {
        budgets: more,
        policy: None,
        untrusted: false,
        foreign: false,
        confined: false,
        by: None,
    };
    let journal = lab.journal(&store, first.clone(), Some(writer)).with_pending_control(resumed);
    let outcome = lab.drive(lab.model(false), journal).await;
    assert_eq!(outcome, Outcome::Finished(FinishReason::Time));
    let all = records(&store).await;
    assert!(all.len() > first.len() + 3, "the resumed run did nothing");
    assert_eq!(last(&all, 3), ["ask_controller", "out_of_time", "finish"]);
    lab.verify(&store).await;
}

#[tokio::test]
async fn a_model_that_does_not_answer_pauses_a_run_that_must_not_be_stuck() {
    let mut lab = Lab::new(0);
    lab.started.config.budgets = Budgets::default();
    lab.started.config.stuck = Some(StuckConfig { after_ms: BUDGET_MS / 3 });
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let writer = store.create_run(new_run()).await.unwrap();
    let outcome = lab.drive(lab.model(false), lab.journal(&store, Vec::new(), Some(writer))).await;
    let Outcome::Finished(FinishReason::Stuck { quiet_ms, tried }) = outcome else { panic!("{outcome:?}") };
    assert!(quiet_ms >= BUDGET_MS / 3 * 3 && tried == "collect_wood ×1", "{quiet_ms} {tried}");
    assert_eq!(store.run(new_run().id.as_str()).await.unwrap().status, RunStatus::Paused);

    let all = records(&store).await;
    assert_eq!(last(&all, 3), ["ask_controller", "out_of_time", "finish"]);
    let recorded = Arc::new(RecordedController::new(lab.started.model.clone(), []));
    let replayed = lab.drive(recorded, Journal::new(store.clone(), all, None)).await;
    assert_eq!(replayed, Outcome::Finished(FinishReason::Stuck { quiet_ms, tried }));
}

/// A model that never answers and does not see that its request was cancelled, as one that reads a long prompt.
struct Busy(ModelInfo, Cancel);

#[async_trait]
impl Controller for Busy {
    fn model(&self) -> &ModelInfo {
        &self.0
    }

    async fn complete(&self, _request: &Request, _cancel: &Cancel) -> Result<Reply, ControllerError> {
        self.1.cancel();
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_run_that_is_interrupted_does_not_wait_for_a_busy_model() {
    let lab = Lab::new(0);
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let writer = store.create_run(new_run()).await.unwrap();
    let cancel = Cancel::new();
    let busy = Arc::new(Busy(lab.started.model.clone(), cancel.clone()));
    let outcome = lab.drive_until(cancel, busy, lab.journal(&store, Vec::new(), Some(writer))).await;
    assert_eq!(outcome, Outcome::Interrupted);
    assert_eq!(last(&records(&store).await, 1), ["ask_controller"]);
}

#[tokio::test]
async fn the_time_of_a_run_ends_while_its_world_hangs() {
    for (hang, expected) in [(Hang::Reset, "start_episode"), (Hang::Step, "called")] {
        let mut lab = Lab::with_recipes(hang);
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).await.unwrap();
        let writer = store.create_run(new_run()).await.unwrap();
        let outcome = lab.drive(lab.model(true), lab.journal(&store, Vec::new(), Some(writer))).await;
        assert_eq!(outcome, Outcome::Finished(FinishReason::Time), "{expected}");
        let first = records(&store).await;
        let ending = first.iter().position(|record| record.kind == "out_of_time").unwrap();
        assert_eq!(first[ending - 1].kind, expected, "{:?}", last(&first, 4));
        assert_eq!(last(&first, 1), ["finish"]);
        lab.hang = Hang::Never;
        lab.verify(&store).await;

        // With more time it lives on: an episode that never began begins, and one that was cut off is over.
        let writer = store.resume_run(&new_run().id).await.unwrap();
        let more = Some(Budgets { time_ms: Some(BUDGET_MS), steps: Some(50), ..Budgets::default() });
        let resumed = ControlRecord::Resumed {
            budgets: more,
            policy: None,
            untrusted: false,
            foreign: false,
            confined: false,
            by: None,
        };
        let journal = lab.journal(&store, first.clone(), Some(writer)).with_pending_control(resumed);
        lab.drive(lab.model(true), journal).await;
        let all = records(&store).await;
        let starts: Vec<_> = all.iter().filter(|record| record.kind == "start_episode").collect();
        assert_eq!(starts[0].payload == starts[1].payload, hang == Hang::Reset);
        assert!(all.iter().skip(first.len()).any(|record| record.kind == "stepped"), "{:?}", last(&all, 6));
        lab.verify(&store).await;
    }
}

#[tokio::test]
async fn a_run_that_is_interrupted_does_not_wait_for_a_world_that_begins() {
    let mut lab = Lab { stops: true, ..Lab::with_recipes(Hang::Reset) };
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let writer = store.create_run(new_run()).await.unwrap();
    // Without a budget its time never ends.
    lab.started.config.budgets = Budgets::default();
    let outcome = lab.drive(lab.model(true), lab.journal(&store, Vec::new(), Some(writer))).await;
    assert_eq!(outcome, Outcome::Interrupted);
}

#[tokio::test]
async fn the_time_of_a_run_ends_within_trials_and_says_how_far_they_are() {
    // A trial of 400 steps reads the clock at least as often, so it takes longer than the budget.
    let lab = Lab::new(100);
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let writer = store.create_run(new_run()).await.unwrap();
    let outcome = lab.drive(lab.model(true), lab.journal(&store, Vec::new(), Some(writer))).await;
    assert_eq!(outcome, Outcome::Finished(FinishReason::Time));
    let all = records(&store).await;
    assert_eq!(last(&all, 3), ["try_candidates", "out_of_time", "finish"]);
    let seen = lab.seen.0.lock().unwrap().clone();
    assert_eq!(seen.first().map(String::as_str), Some("round Some((1, 4))"));
    assert!(seen.iter().any(|line| line == "world 1 of 5"), "{seen:?}");
    assert!(lab.hand.ms.load(Ordering::SeqCst) < 2 * BUDGET_MS as i64, "the trial went on after the time");
    lab.verify(&store).await;

    // A crash replay, which has another clock, stops at the same place.
    let recorded = RecordedRun::read(&store, &all, &lab.started.environment).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let copy = Store::open(home.path()).await.unwrap();
    let writer = copy.create_run(new_run()).await.unwrap();
    let answers = recorded.answers(ReplayPosition::default());
    let controller = Arc::new(RecordedController::new(lab.started.model.clone(), answers));
    let journal = Journal::new(copy.clone(), Vec::new(), Some(writer)).with_clock(recorded.clock(None));
    assert_eq!(lab.drive(controller, journal).await, Outcome::Finished(FinishReason::Time));
    let replayed = records(&copy).await;
    let payloads = |records: &[Record]| records.iter().map(|r| r.payload.clone()).collect::<Vec<_>>();
    assert_eq!(payloads(&replayed), payloads(&all));
}

#[tokio::test]
async fn the_time_of_a_fork_ends_within_an_effect_too() {
    let lab = Lab::new(0);
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let writer = store.create_run(new_run()).await.unwrap();
    lab.drive(lab.model(false), lab.journal(&store, Vec::new(), Some(writer))).await;
    let prefix: Vec<Record> =
        records(&store).await.into_iter().take_while(|record| record.kind != "out_of_time").collect();

    let (_home, copy, writer) = crate::replaying_environment::cut_as(&store, &prefix, new_run()).await;
    let mut changes = ForkChanges::new(new_run().id);
    changes.budgets = Some(Budgets { time_ms: Some(BUDGET_MS), ..Budgets::default() });
    let forked = ControlRecord::Forked {
        forked_from: ForkPoint { run: new_run().id, seq: EventSeq(1), hash: Hash::of(b"record") },
        changes,
    };
    let before_ms = lab.hand.ms.fetch_add(3_600_000, Ordering::SeqCst) + 3_600_000;
    let journal = lab.journal(&copy, prefix, Some(writer)).with_pending_control(forked);
    assert_eq!(lab.drive(lab.model(false), journal).await, Outcome::Finished(FinishReason::Time));
    let took_ms = lab.hand.ms.load(Ordering::SeqCst) - before_ms;
    assert!((BUDGET_MS as i64..2 * BUDGET_MS as i64).contains(&took_ms), "{took_ms} ms");
    assert_eq!(last(&records(&copy).await, 2), ["out_of_time", "finish"]);
    lab.verify(&copy).await;
}
