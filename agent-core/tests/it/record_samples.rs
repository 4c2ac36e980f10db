//! One record of every kind. The tests of the program and the fuzzer use this file too.

use serde_json::{Map, Value, json};
use sojourn_controller::{Completion, Constraint, Finish, Message, ModelInfo, Reply, Request, Timing, Usage};
use sojourn_core::{
    ActReport, Beliefs, ControlRecord, Demonstration, DiscoveryPlan, Edit, Effect, Event, ExplorationPlan,
    FinishReason, ForkChanges, LessonKind, LogRecord, Milestone, NewLesson, Payload as _, Purpose, Recalled,
    ReflexTrialPlan, RunConfig, RunOrigin, SkillEvent, StepRecord, ToolDecision, TrialPlan,
};
use sojourn_crafter::CrafterEnvironment;
use sojourn_memory::{EventSeq, ForkPoint, Hash, RunId};
use sojourn_skills::{LibraryEvent, LibraryState};
use sojourn_tools::{Action, Environment as _, Media, Observation, ToolCall, ToolOutcome, ToolSpec};
use std::collections::BTreeMap;

/// Records of all kinds, the first one first.
pub fn records() -> Vec<LogRecord> {
    let mut records = vec![started(), decision()];
    records.extend(effects().into_iter().map(|effect| LogRecord::Effect(Box::new(effect))));
    records.extend(events().into_iter().map(|event| LogRecord::Event(Box::new(event))));
    records.extend(skill_events().into_iter().map(|event| LogRecord::SkillEvent(Box::new(event))));
    records.extend(controls().into_iter().map(|control| LogRecord::ControlRecord(Box::new(control))));
    records
}

/// A record's payload as the log stores it.
pub fn payload(record: &LogRecord) -> Value {
    match record {
        LogRecord::Started(payload) => payload.to_payload(),
        LogRecord::ToolDecision(payload) => payload.to_payload(),
        LogRecord::Effect(payload) => payload.to_payload(),
        LogRecord::Event(payload) => payload.to_payload(),
        LogRecord::SkillEvent(payload) => payload.to_payload(),
        LogRecord::ControlRecord(payload) => payload.to_payload(),
    }
    .unwrap()
}

fn model() -> ModelInfo {
    serde_json::from_value(json!({"name": "scripted", "source": "test"})).unwrap()
}

fn call() -> ToolCall {
    ToolCall { name: "collect_wood".into(), args: json!({"n": 2}).as_object().cloned().unwrap_or_default() }
}

fn observation() -> Observation {
    Observation::new("You see a tree.", json!({"inventory": {"wood": 1}}))
}

fn started() -> LogRecord {
    LogRecord::Started(Box::new(sojourn_core::Started {
        log_version: sojourn_core::LOG_VERSION,
        config: RunConfig::default(),
        environment: CrafterEnvironment::default().spec().clone(),
        model: model(),
        library: LibraryState::default(),
        reflexes: Vec::new(),
        origin: RunOrigin { run: "run".parse().unwrap(), model: "scripted".into(), engine: "engine".into() },
        by: None,
    }))
}

fn decision() -> LogRecord {
    let (tool, by) = ("bank_pay".into(), "rule 1".into());
    LogRecord::ToolDecision(Box::new(ToolDecision {
        tool,
        granted: true,
        by,
        shown: Some("5e".into()),
        approval: None,
    }))
}

fn beliefs() -> Beliefs {
    let path = "/inventory/rope";
    let rule = serde_json::from_value(serde_json::json!({
        "effect": {"effect": "rises", "path": path, "by": 1.0}, "call": call(),
        "needs": [{"at_least": {"path": "/inventory/reed", "value": 2.0}}], "uses": [{"path": "/inventory/reed", "by": 2.0}],
        "evidence": {"worked": 3, "failed": 1}, "unmet": 5,
    }));
    Beliefs { calls: 100, episodes: 2, rules: vec![rule.unwrap()] }
}

fn effects() -> Vec<Effect> {
    let constraint = Constraint::choice(["collect_wood", "drink"]);
    vec![
        Effect::StartEpisode { seed: 7 },
        Effect::Recall { query: "wood".into(), limit: 3, lessons: true, tools: Some(2) },
        Effect::Look {},
        Effect::CallTool { call: call(), untrusted: true },
        Effect::AskController {
            purpose: Purpose::Choose,
            request: Request::new(vec![Message::user("What next?")], constraint, 20),
        },
        Effect::ObserveStarts { task: "collect_wood".into(), seeds: vec![1, 2] },
        Effect::Explore {
            plan: ExplorationPlan {
                task: "collect_wood".into(),
                seeds: vec![1, 2, 3],
                actions: 5,
                steps: 40,
                successes: 2,
                known_skills: vec!["drink".into()],
                quiet: None,
                play_rules: 0,
            },
        },
        Effect::Discover {
            plan: DiscoveryPlan {
                seeds: vec![1, 2],
                calls: 100,
                episode_calls: 50,
                steps: 40,
                tasks: 4,
                beliefs: beliefs(),
            },
        },
        Effect::TryCandidates {
            plan: TrialPlan {
                task: "collect_wood".into(),
                parameters: Vec::new(),
                candidates: vec!["function collect_wood() {}".into()],
                granted: Vec::new(),
                seeds: vec![1, 2],
                worlds: 1,
                needed: 1,
                prelude: Vec::new(),
                calls: vec![vec![Map::new()]],
                max_steps: 40,
                scrutiny: sojourn_core::Scrutiny::default(),
            },
        },
        Effect::RetestSkills { skills: Vec::new() },
        Effect::TryReflexes {
            plan: ReflexTrialPlan {
                granted: vec![],
                live_on: false,
                name: "flee".into(),
                candidates: vec!["function flee() { return null; }".into()],
                seeds: vec![1],
                steps: 60,
                moments: Vec::new(),
            },
        },
        Effect::Act { call: call(), max_steps: 40 },
        Effect::ChangeLibrary { change: LibraryEvent::RolledBack { name: "collect_wood".into(), to: 1 } },
        Effect::Remember {
            memory: NewLesson {
                text: "Trees give wood.".into(),
                kind: LessonKind::Reflection,
                importance: 8.0,
                untrusted: true,
            },
        },
        Effect::Consolidate {
            edits: vec![Edit::Add {
                text: "Zombies bite.".into(),
                importance: 6.0,
                sources: vec![EventSeq(3)],
                untrusted: true,
            }],
        },
        Effect::CreditMemories {
            memories: vec![sojourn_memory::MemoryId::from_bytes([1; 16])],
            helped: false,
        },
        Effect::ReportMilestone {
            milestone: Milestone::TaskDone { task: "drink".into(), verified: true, steps: 9 },
        },
        Effect::Finish { reason: FinishReason::Steps },
    ]
}

fn events() -> Vec<Event> {
    let answer = Completion::new("\"drink\"".into(), 3, Finish::Complete);
    let memory = Recalled {
        id: sojourn_memory::MemoryId::from_bytes([1; 16]),
        text: "Trees give wood.".into(),
        kind: "reflection".into(),
        why: "score 1.00".into(),
        untrusted: true,
    };
    vec![
        Event::EpisodeStarted { seed: 7, observation: observation() },
        Event::Recalled { memories: vec![memory], tools: vec!["bank_read".into()] },
        Event::ToolAnswered { outcome: ToolOutcome::done("paid"), trusted: true },
        Event::ControllerAnswered { reply: Reply::new(vec![answer], Usage::default(), Timing::default()) },
        Event::ControllerFailed { error: "no  answer\n".into() },
        Event::StartsObserved { seen: vec!["Order three pears.\nThe page is open.".into()] },
        Event::Discovered {
            beliefs: beliefs(),
            tasks: beliefs().documentation(4).tasks,
            recipes: beliefs().documentation(4).recipes,
        },
        Event::Explored {
            demonstrations: vec![Demonstration { seed: 1, steps: Vec::new() }],
            programs: vec!["function order() {}".into()],
        },
        Event::CandidatesTried { trials: Vec::new() },
        Event::SkillsRetested { retests: Vec::new() },
        Event::ReflexesTried { trials: Vec::new() },
        Event::OutOfTime {},
        Event::Looked {
            picture: Some(sojourn_tools::media::described(b"GIF89a\x03\0\x02\0\0\0\0;", "", "crafter")),
            shown: true,
            trusted: false,
        },
        Event::Acted {
            report: ActReport {
                observation: observation(),
                error: None,
                steps: 4,
                reflex_steps: 1,
                unlocked: Vec::new(),
                skills: Vec::new(),
                trace: Vec::new(),
                calls: 2,
                consulted: 0,
                moments: Vec::new(),
                ended: None,
            },
        },
    ]
}

fn skill_events() -> Vec<SkillEvent> {
    vec![
        SkillEvent::Called { depth: 0, call: call() },
        SkillEvent::Stepped(StepRecord {
            action: Action("noop".into()),
            reflex: Some("flee".into()),
            change: Some(json!({"health": 8})),
            nulls: vec!["/target".to_owned()],
            reward: 0.0,
            unlocked: Vec::new(),
            ended: None,
        }),
        SkillEvent::Returned { depth: 0, outcome: ToolOutcome::failed("no tree") },
    ]
}

fn controls() -> Vec<ControlRecord> {
    let parent = RunId::new(1, 1);
    vec![
        ControlRecord::Resumed {
            budgets: None,
            policy: Some(Box::default()),
            untrusted: true,
            foreign: false,
            confined: false,
            by: None,
        },
        ControlRecord::Forked {
            forked_from: ForkPoint { run: parent, seq: EventSeq(5), hash: Hash::of(b"record") },
            changes: ForkChanges {
                model: Some(Box::new(model())),
                ..ForkChanges::new("run".parse().unwrap())
            },
        },
        ControlRecord::Paused { by: Some("a person in the studio".into()) },
        ControlRecord::GoalAdded {
            goal: "light the lamp".into(),
            task: serde_json::from_value(json!({
                "name": "light_the_lamp", "description": "light the lamp", "parameters": [],
                "goal": {"equals": {"path": "/lit", "value": true}}, "achievement": true,
            }))
            .unwrap(),
            only: vec!["light_the_lamp".into()],
            by: "a person in the studio".into(),
        },
        ControlRecord::ToolsChanged {
            appeared: vec![ToolSpec::new("bank_pay", "Pay somebody.")],
            unconstrained: BTreeMap::new(),
            vanished: vec!["bank_lend".into()],
            notices: vec!["the bank has moved".into()],
        },
        ControlRecord::ClockChanged { by_ms: -3_600_000 },
        ControlRecord::FrameTaken {
            frame: Media {
                blob: "0123456789abcdef".repeat(4),
                mime: "image/png".into(),
                bytes: 900,
                width: Some(288),
                height: Some(288),
                duration_ms: None,
                source: "hall".into(),
            },
        },
        ControlRecord::TrialCall {
            call: ToolCall { name: "maps_find".into(), args: Map::new() },
            by: "rule 2".into(),
        },
    ]
}
