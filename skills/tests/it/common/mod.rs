//! Shared helpers for tests of events and of the library on disk.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![allow(dead_code, reason = "each test binary uses its part")]

use proptest::prelude::*;
use serde_json::Map;
use sojourn_skills::{
    AdmissionRule, CaseResult, Compiled, Demotion, Draft, Entry, Kind, LibraryEvent, LibraryState, Origin,
    Skill, SkillId, TrialReport, Use, WorldResult,
};

pub const NAMES: [&str; 3] = ["collect_wood", "place_table", "make_sword"];

pub fn draft(name: &str, body: &str) -> Draft {
    Draft {
        name: name.into(),
        description: format!("{name} for the test").replace('_', " "),
        parameters: Vec::new(),
        precondition: None,
        postcondition: None,
        origin: Origin::Human,
        kind: Kind::Skill,
        environment: "test".into(),
        created_ms: 1,
        source: format!("function {name}() {{ {body} }}"),
    }
}

pub fn prepare(state: &LibraryState, name: &str, body: &str) -> Skill {
    let compiled = Compiled { engine: "e".repeat(64), wasm: body.as_bytes().to_vec() };
    state.prepare(draft(name, body), compiled, ["go_to"])
}

pub fn world(seed: u64, verified: bool) -> WorldResult {
    WorldResult {
        seed,
        args: Map::new(),
        verified,
        returned: true,
        steps: 10,
        harm: 0.0,
        died: false,
        unrelated: Vec::new(),
        error: None,
    }
}

/// A report with `passes` passed worlds out of three.
pub fn report(state: &LibraryState, skill: &Skill, passes: u64) -> TrialReport {
    TrialReport {
        worlds: (0..3).map(|seed| world(seed, seed < passes)).collect(),
        prerequisites: state.prerequisites(&skill.manifest.calls),
        ..TrialReport::default()
    }
}

/// The events that draft and admit a skill.
pub fn admission(state: &LibraryState, name: &str, body: &str) -> [LibraryEvent; 3] {
    let skill = prepare(state, name, body);
    let id = skill.manifest.id.clone();
    let report = report(state, &skill, 3);
    [
        LibraryEvent::Drafted { skill: Box::new(skill) },
        LibraryEvent::TrialStarted { id: id.clone() },
        LibraryEvent::Admitted { id, report, rule: AdmissionRule::default() },
    ]
}

pub fn admit(state: &mut LibraryState, name: &str, body: &str) -> SkillId {
    let events = admission(state, name, body);
    for event in &events {
        state.apply(event).unwrap();
    }
    state.active(name).unwrap().id().clone()
}

/// An abstract action on the library, which becomes an event in a given state; the event may be illegal.
#[derive(Debug, Clone)]
pub enum Move {
    Draft { name: usize, calls: Option<usize>, salt: u8 },
    Start(usize),
    Admit { which: usize, passes: u64, lax: bool, stale: bool },
    Demote(usize),
    Retire(usize),
    Unretire(usize),
    RollBack { name: usize, to: u32 },
    Use { which: usize, success: bool, died: bool },
    Merge { name: usize, into: usize },
    Retest { which: usize, passed: bool, stale: bool },
    Switch { name: usize, enabled: bool },
    Repair { which: usize, salt: u8 },
    SetAside(usize),
}

pub fn moves() -> impl Strategy<Value = Vec<Move>> {
    let which = || 0..12_usize;
    let one = prop_oneof![
        4 => (0..3_usize, proptest::option::of(0..3_usize), 0..6_u8)
            .prop_map(|(name, calls, salt)| Move::Draft { name, calls, salt }),
        4 => which().prop_map(Move::Start),
        6 => (which(), 0..4_u64, proptest::bool::weighted(0.1), proptest::bool::weighted(0.1))
            .prop_map(|(which, passes, lax, stale)| Move::Admit { which, passes, lax, stale }),
        1 => which().prop_map(Move::Demote),
        1 => which().prop_map(Move::Retire),
        1 => which().prop_map(Move::Unretire),
        1 => (0..3_usize, 0..4_u32).prop_map(|(name, to)| Move::RollBack { name, to }),
        2 => (which(), any::<bool>(), any::<bool>())
            .prop_map(|(which, success, died)| Move::Use { which, success, died }),
        1 => (0..3_usize, 0..3_usize).prop_map(|(name, into)| Move::Merge { name, into }),
        1 => (which(), proptest::bool::weighted(0.8), proptest::bool::weighted(0.1))
            .prop_map(|(which, passed, stale)| Move::Retest { which, passed, stale }),
        1 => (0..3_usize, any::<bool>()).prop_map(|(name, enabled)| Move::Switch { name, enabled }),
        2 => (which(), 6..9_u8).prop_map(|(which, salt)| Move::Repair { which, salt }),
        1 => which().prop_map(Move::SetAside),
    ];
    proptest::collection::vec(one, 0..60)
}

/// The event for an action in this state; `None` if it refers to nothing.
pub fn event(state: &LibraryState, one: &Move) -> Option<LibraryEvent> {
    let entries: Vec<&Entry> = state.histories().flat_map(|(_, history)| &history.versions).collect();
    let entry = |which: usize| (!entries.is_empty()).then(|| entries[which % entries.len()]);
    let id = |which: usize| entry(which).map(|entry| entry.id().clone());
    Some(match *one {
        Move::Draft { name, calls, salt } => {
            let call = calls.map(|callee| format!("{}();", NAMES[callee])).unwrap_or_default();
            let skill = prepare(state, NAMES[name], &format!("{call} go_to({salt});"));
            LibraryEvent::Drafted { skill: Box::new(skill) }
        }
        Move::Start(which) => LibraryEvent::TrialStarted { id: id(which)? },
        Move::Admit { which, passes, lax, stale } => {
            let skill = &entry(which)?.skill;
            let mut report = report(state, skill, passes);
            let repaired = skill.manifest.repairs.as_ref().and_then(|id| state.entry(id));
            report.regressions = repaired.map(|entry| results(entry, passes > 1)).unwrap_or_default();
            if stale {
                report.prerequisites.clear();
            }
            let mut rule = AdmissionRule::default();
            if lax {
                (rule.worlds, rule.needed) = (0, 0);
            }
            LibraryEvent::Admitted { id: id(which)?, report, rule }
        }
        Move::Demote(which) => {
            LibraryEvent::Demoted { id: id(which)?, reason: Demotion::ByHand { note: "test".into() } }
        }
        Move::Retire(which) => LibraryEvent::Retired { id: id(which)?, reason: "test".into() },
        Move::Unretire(which) => LibraryEvent::Unretired { id: id(which)? },
        Move::RollBack { name, to } => LibraryEvent::RolledBack { name: NAMES[name].into(), to },
        Move::Merge { name, into } => LibraryEvent::Merged {
            name: NAMES[name].into(),
            into: NAMES[into].into(),
            evidence: Vec::new(),
            environment: None,
        },
        Move::Retest { which, passed, stale } => {
            let entry = entry(which)?;
            let prerequisites =
                if stale { Vec::new() } else { state.prerequisites(&entry.skill.manifest.calls) };
            LibraryEvent::Retested { id: entry.id().clone(), results: results(entry, passed), prerequisites }
        }
        Move::Switch { name, enabled } => LibraryEvent::Switched { name: NAMES[name].into(), enabled },
        Move::Repair { which, salt } => {
            let entry = entry(which)?;
            let skill = prepare(state, entry.name(), &format!("go_to({salt});")).repairing(entry.id());
            LibraryEvent::Drafted { skill: Box::new(skill) }
        }
        Move::SetAside(which) => LibraryEvent::SetAside {
            event: Box::new(LibraryEvent::TrialStarted { id: id(which)? }),
            reason: "another run was first".into(),
        },
        Move::Use { which, success, died } => LibraryEvent::Used {
            id: id(which)?,
            usage: Use { context: NAMES[which % 3].into(), success, died, steps: 3, error: None },
        },
    })
}

/// Results for all cases of a version, all passed or all failed.
fn results(entry: &Entry, passed: bool) -> Vec<CaseResult> {
    let result = |case: &sojourn_skills::Case| CaseResult {
        case: case.id(),
        reached: true,
        passed,
        steps: 1,
        error: None,
        behaviour: None,
    };
    entry.cases().iter().map(result).collect()
}
