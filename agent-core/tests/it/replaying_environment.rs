//! An environment that is not deterministic: a replay does not use it, and after a crash at any record no call that may
//! have taken effect is silently repeated.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use async_trait::async_trait;
use serde_json::{Map, json};
use sojourn_controller::{Cancel, ModelInfo, RecordedController};
use sojourn_core::{
    Budgets, Clock, ControlRecord, Driver, DriverDeps, Journal, LOG_VERSION, Outcome, Redactor, RunConfig,
    RunOrigin, Silent, Started,
};
use sojourn_memory::{NewRun, Record, RecordQuery, RunId, Store, Writer};
use sojourn_sandbox::{Sandbox, SandboxConfig, engine_sha256};
use sojourn_skills::{
    AdmissionRule, Compiled, Draft, Kind, LibraryEvent, LibraryState, Origin, TrialReport, WorldResult,
};
use sojourn_tools::{
    Action, Condition, Effects, Environment, EnvironmentError, EnvironmentSpec, EpisodePrefix, Observation,
    Progress, StepOutcome, TaskSpec, ToolCall, ToolOutcome, ToolSpec, Wording,
};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The world outside of every process: a pile of cards that nobody can put back.
#[derive(Clone, Default)]
pub struct Pile(Arc<Cards>);

#[derive(Default)]
struct Cards {
    pips: Mutex<u64>,
    drawn: AtomicU64,
    peeks: AtomicU64,
}

impl Pile {
    /// As it stands after so many draws that came to so many pips.
    pub fn standing(pips: u64, drawn: u64) -> Self {
        Self(Arc::new(Cards { pips: Mutex::new(pips), drawn: AtomicU64::new(drawn), ..Cards::default() }))
    }

    pub fn drawn(&self) -> u64 {
        self.0.drawn.load(Ordering::SeqCst)
    }
}

/// From the system: nobody can foretell it.
fn chance() -> u64 {
    std::hash::RandomState::new().build_hasher().finish() % 6 + 1
}

/// The effects of a tool that changes what nobody can put back.
pub const WRITES: Effects = Effects { write: true, network: false, irreversible: true, idempotent: false };

/// A player at the pile.
pub struct Table {
    spec: EnvironmentSpec,
    pile: Pile,
    /// Whether the pile is still there when another process comes.
    stays: bool,
    call: Option<String>,
    acted: bool,
}

impl Table {
    pub fn new(pile: Pile, stays: bool, effects: Effects) -> Self {
        let tool = |name: &str, effects| ToolSpec { effects, ..ToolSpec::new(name, name) };
        let reads = Effects::default();
        let spec = EnvironmentSpec {
            name: "cards".into(),
            version: "1".into(),
            deterministic: false,
            about: "A pile of cards.".into(),
            tools: vec![tool("observe", reads), tool("peek", reads), tool("draw", effects)],
            actions: vec!["draw".into()],
            controls: String::new(),
            tasks: vec![TaskSpec {
                name: "gather".into(),
                description: "gather pips".into(),
                parameters: Vec::new(),
                goal: Condition::Increased {
                    path: "/pips".parse().unwrap(),
                    by: sojourn_tools::Amount::Literal(20.0),
                    cap: None,
                },
                achievement: true,
                episodes: None,
            }],
            recipes: Vec::new(),
            examples: Vec::new(),
            vitals: Vec::new(),
            question: None,
            exploration: None,
            play: false,
            practice: true,
            episode_steps: None,
            wording: Wording::default(),
            untrusted: true,
        };
        Self { spec, pile, stays, call: None, acted: false }
    }

    fn state(&self) -> serde_json::Value {
        let drawn = self.pile.drawn();
        // What becomes `null`, and what looks like the log's own notation, must survive a crash at any record too.
        let card = match drawn % 3 {
            0 => json!({"suit": null, "back": {"$blob": "zz"}}),
            1 => json!(null),
            _ => json!({"$forgotten": true}),
        };
        json!({"pips": *self.pile.0.pips.lock().unwrap(), "drawn": drawn, "card": card})
    }
}

#[async_trait]
impl Environment for Table {
    fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    async fn reset(&mut self, _seed: u64) -> Result<(), EnvironmentError> {
        // It goes on with the pile that is there.
        self.call = None;
        Ok(())
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        // Even a look is never the same twice.
        Ok(Observation::new(format!("a card shines {}", chance()), self.state()))
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        (self.call, self.acted) = (Some(call.name.clone()), false);
        Ok(())
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        match self.call.as_deref() {
            Some("peek") => {
                self.pile.0.peeks.fetch_add(1, Ordering::SeqCst);
                let value = Some(json!(chance()));
                Ok(Progress::Done(ToolOutcome { value, ..ToolOutcome::done("a card") }))
            }
            Some(_) if self.acted => Ok(Progress::Done(ToolOutcome::done("drawn"))),
            Some(name) => Ok(Progress::Act(Action(name.to_owned()))),
            None => Err(EnvironmentError::NoCall),
        }
    }

    async fn step(&mut self, _action: &Action) -> Result<StepOutcome, EnvironmentError> {
        *self.pile.0.pips.lock().unwrap() += chance();
        self.pile.0.drawn.fetch_add(1, Ordering::SeqCst);
        self.acted = true;
        Ok(StepOutcome { state: self.state(), reward: 0.0, unlocked: Vec::new(), ended: None })
    }

    async fn rejoin(&mut self, _past: &EpisodePrefix) -> Result<bool, EnvironmentError> {
        Ok(self.stays)
    }
}

const GATHER: &str = "function gather() {
  const enough = observe().pips + 20;
  for (let i = 0; i < 30 && observe().pips < enough; i++) {
    if (peek() > 2) draw();
  }
}";

/// A library with the one skill.
async fn library(sandbox: &Sandbox, spec: &EnvironmentSpec) -> LibraryState {
    let mut library = LibraryState::default();
    let draft = Draft {
        name: "gather".into(),
        description: "gather pips".into(),
        parameters: Vec::new(),
        precondition: None,
        postcondition: Some(spec.tasks[0].goal.clone()),
        origin: Origin::Human,
        kind: Kind::Skill,
        environment: "cards".into(),
        created_ms: 1,
        source: GATHER.into(),
    };
    let wasm = sandbox.compile("gather", GATHER).await.unwrap();
    let skill = library.prepare(
        draft,
        Compiled { engine: engine_sha256().into(), wasm },
        ["peek", "draw", "observe"],
    );
    let id = skill.manifest.id.clone();
    let passed = |seed| WorldResult {
        seed,
        args: Map::new(),
        verified: true,
        returned: true,
        steps: 6,
        harm: 0.0,
        died: false,
        unrelated: Vec::new(),
        error: None,
    };
    let report = TrialReport { worlds: (0..3).map(passed).collect(), ..TrialReport::default() };
    for event in [
        LibraryEvent::Drafted { skill: Box::new(skill) },
        LibraryEvent::TrialStarted { id: id.clone() },
        LibraryEvent::Admitted { id, report, rule: AdmissionRule::default() },
    ] {
        library.apply(&event).unwrap();
    }
    library
}

fn new_run() -> NewRun {
    NewRun::new(RunId::new(1, 1), "cards", "none")
}

pub struct Lab {
    sandbox: Sandbox,
    /// Those of drawing a card.
    effects: Effects,
    pub started: Started,
    pub clock: Clock,
    /// Written where a process resumes a run.
    pub resumed: ControlRecord,
}

impl Lab {
    pub async fn new(effects: Effects) -> Self {
        let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
        let spec = Table::new(Pile::default(), true, effects).spec;
        let config = RunConfig {
            learning: false,
            memory: false,
            deliberate: false,
            repeat_tasks: true,
            episodes: vec![1, 2],
            budgets: Budgets { steps: Some(12), ..Budgets::default() },
            ..RunConfig::default()
        };
        let started = Started {
            log_version: LOG_VERSION,
            config,
            model: serde_json::from_value::<ModelInfo>(json!({"name": "none", "source": ""})).unwrap(),
            library: library(&sandbox, &spec).await,
            environment: spec,
            reflexes: Vec::new(),
            origin: RunOrigin {
                run: "cards".parse().unwrap(),
                model: "none".into(),
                engine: engine_sha256().into(),
            },
            by: None,
        };
        Self { sandbox, effects, started, clock: Clock::default(), resumed: ControlRecord::resumed() }
    }

    pub async fn run(
        &self,
        table: Table,
        store: &Store,
        records: Vec<Record>,
        writer: Option<Writer>,
    ) -> Outcome {
        let resumed = !records.is_empty() && writer.is_some();
        let mut journal = Journal::new(store.clone(), records, writer).with_clock(self.clock.clone());
        if resumed {
            journal = journal.with_pending_control(self.resumed.clone());
        }
        let deps = DriverDeps {
            environment: Box::new(table),
            controller: Arc::new(RecordedController::new(self.started.model.clone(), [])),
            sandbox: self.sandbox.clone(),
            journal,
            memory: None,
            library: None,
            tools: None,
            observer: Arc::new(Silent),
            cancel: Cancel::new(),
            redactor: Redactor::default(),
        };
        let (driver, started_ms) = Driver::new(self.started.clone(), deps).await.unwrap();
        driver.run(started_ms).await.unwrap().0
    }

    /// A whole run: its store and records.
    pub async fn first(&self, pile: &Pile) -> (tempfile::TempDir, Store, Vec<Record>) {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).await.unwrap();
        let writer = store.create_run(new_run()).await.unwrap();
        self.run(Table::new(pile.clone(), true, self.effects), &store, Vec::new(), Some(writer)).await;
        let records = store.records(&new_run().id, &RecordQuery::all()).await.unwrap();
        (home, store, records)
    }

    /// Replays a run's records against a table that nobody may touch.
    pub async fn verify(&self, store: &Store) {
        let records = store.records(&new_run().id, &RecordQuery::all()).await.unwrap();
        let all = records.len() as u64;
        let pile = Pile::standing(900, 0);
        let outcome = self.run(Table::new(pile.clone(), true, self.effects), store, records, None).await;
        match outcome {
            Outcome::Replayed { matched } => assert_eq!(matched, all),
            Outcome::Finished(_) => {}
            Outcome::Interrupted => panic!("nobody interrupted it"),
        }
        assert_eq!(pile.drawn(), 0, "a replay drew a card");
    }
}

/// The first records as a process that was killed leaves them.
pub async fn cut(store: &Store, records: &[Record]) -> (tempfile::TempDir, Store, Writer) {
    cut_as(store, records, new_run()).await
}

/// As [`cut`], for the records of another run.
pub async fn cut_as(store: &Store, records: &[Record], run: NewRun) -> (tempfile::TempDir, Store, Writer) {
    let home = tempfile::tempdir().unwrap();
    let copy = Store::open(home.path()).await.unwrap();
    let id = run.id.clone();
    let mut writer = copy.create_run(run).await.unwrap();
    for record in records {
        for blob in &record.blobs {
            writer.put_blob(&store.blob(blob).await.unwrap()).await.unwrap();
        }
        writer
            .append(&record.kind, record.at_ms, record.payload.clone(), record.blobs.clone())
            .await
            .unwrap();
    }
    writer.close(sojourn_memory::RunStatus::Running).await.unwrap();
    let writer = copy.resume_run(&id).await.unwrap();
    (home, copy, writer)
}

pub fn count(records: &[Record], kind: &str) -> u64 {
    records.iter().filter(|record| record.kind == kind).count() as u64
}

#[tokio::test]
async fn a_replay_does_not_touch_it() {
    let lab = Lab::new(WRITES).await;
    let pile = Pile::default();
    let (_home, store, records) = lab.first(&pile).await;
    assert_eq!(pile.drawn(), 12, "the steps that it was given");
    assert_eq!(count(&records, "stepped"), 12);
    lab.verify(&store).await;
}

/// Kills it after every record, once before and once after the world did what had been asked of it.
#[tokio::test]
async fn no_call_is_silently_repeated() {
    Box::pin(kill_everywhere(WRITES)).await;
}

/// What cannot be undone is not repeated either, whether or not the tool says that it writes.
#[tokio::test]
async fn an_irreversible_call_is_not_repeated_either() {
    Box::pin(kill_everywhere(Effects { irreversible: true, ..Effects::default() })).await;
}

async fn kill_everywhere(effects: Effects) {
    let lab = Lab::new(effects).await;
    let (_home, store, records) = lab.first(&Pile::default()).await;
    let mut unknown = 0;
    for at in 2..records.len() {
        let before = &records[..at];
        let last = before.last().unwrap();
        let asked = last.kind == "called" && last.payload["call"]["name"] == "draw";
        for slipped in if asked { vec![0, 1] } else { vec![0] } {
            for stays in [true, false] {
                let place =
                    format!("cut after record {at} (`{}`), {slipped} slipped, stays {stays}", last.kind);
                let stood = count(before, "stepped") + slipped;
                let pile = Pile::standing(100 + stood, stood);
                let (_copy_home, copy, writer) = cut(&store, before).await;
                lab.run(Table::new(pile.clone(), stays, effects), &copy, before.to_vec(), Some(writer)).await;
                let all = copy.records(&new_run().id, &RecordQuery::all()).await.unwrap();
                assert_eq!(
                    &all[..at].iter().map(|r| (&r.kind, &r.payload)).collect::<Vec<_>>(),
                    &before.iter().map(|r| (&r.kind, &r.payload)).collect::<Vec<_>>(),
                    "{place}"
                );
                let after = &all[at..];
                assert_eq!(pile.drawn(), stood + count(after, "stepped"), "{place}");
                if asked {
                    unknown += 1;
                    let told = after.iter().find(|record| record.kind == "returned").unwrap();
                    let failure = if stays { "effect_unknown" } else { "environment_lost" };
                    assert_eq!(told.payload["outcome"]["failure"], failure, "{place}");
                    let message = told.payload["outcome"]["message"].as_str().unwrap();
                    let says = if stays { "nobody knows whether" } else { "effect of the call is unknown" };
                    assert!(message.contains(says), "{place}: {message}");
                    assert!(
                        after.iter().take_while(|record| record.seq < told.seq).all(|r| r.kind != "stepped")
                    );
                }
                if !stays {
                    // Until another episode begins nothing happens, and whoever asks for something is told why.
                    let rest: Vec<&Record> =
                        after.iter().take_while(|record| record.kind != "episode_started").collect();
                    assert!(rest.iter().all(|record| record.kind != "stepped"), "{place}");
                    let open = ["called", "stepped"].contains(&last.kind.as_str());
                    let asks =
                        if open { Some(0) } else { rest.iter().position(|record| record.kind == "called") };
                    if let Some(asks) = asks {
                        let acted = rest[asks..].iter().find(|record| record.kind == "acted");
                        let ended = &acted.unwrap_or_else(|| panic!("{place}")).payload["report"]["ended"];
                        assert_eq!(ended["kind"], "lost", "{place}");
                    }
                }
                lab.verify(&copy).await;
            }
        }
    }
    assert!(unknown >= 12, "{unknown}");
}
