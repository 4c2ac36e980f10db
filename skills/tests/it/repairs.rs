//! Evidence that events must carry: cases, repairs, retests, merges and reflexes.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use crate::common::{admission, admit, prepare, world};
use sojourn_skills::{
    AdmissionRule, Arm, Case, CaseResult, IllegalEvent, Kind, LibraryEvent, LibraryState, MAX_CASES,
    PairedEpisode, ReflexRule, ReflexTrial, Setup, SkillId, Status, TrialReport, behaviour,
};

fn case(seed: u64, did: &str) -> Case {
    let setup = Setup {
        environment: "test".into(),
        seed,
        prelude: Some(Vec::new()),
        calls: vec![serde_json::Map::new()],
        max_steps: Some(100),
    };
    let behaviour = behaviour([(did, true)], 10, &serde_json::Value::Null);
    Case { setup, steps: 10, behaviour: Some(behaviour) }
}

fn result(case: &Case, passed: bool) -> CaseResult {
    CaseResult {
        case: case.id(),
        reached: true,
        passed,
        steps: 10,
        error: None,
        behaviour: case.behaviour.clone(),
    }
}

fn not_started(case: &Case) -> CaseResult {
    CaseResult { reached: false, passed: false, behaviour: None, ..result(case, false) }
}

/// A report with a case for each of its worlds.
fn report(state: &LibraryState, calls: &[String], seeds: std::ops::Range<u64>, did: &str) -> TrialReport {
    TrialReport {
        worlds: seeds.clone().map(|seed| world(seed, true)).collect(),
        prerequisites: state.prerequisites(calls),
        cases: seeds.map(|seed| case(seed, did)).collect(),
        regressions: Vec::new(),
    }
}

/// Admits a skill with cases in three worlds, with seeds from `seed` on.
fn admit_with_cases(state: &mut LibraryState, name: &str, body: &str, seed: u64, did: &str) -> SkillId {
    let skill = prepare(state, name, body);
    let id = skill.manifest.id.clone();
    let report = report(state, &skill.manifest.calls, seed..seed + 3, did);
    for event in [
        LibraryEvent::Drafted { skill: Box::new(skill) },
        LibraryEvent::TrialStarted { id: id.clone() },
        LibraryEvent::Admitted { id: id.clone(), report, rule: AdmissionRule::default() },
    ] {
        state.apply(&event).unwrap();
    }
    id
}

/// A repair of `old` in trial, and the event that would admit it with these regressions.
fn repair(state: &mut LibraryState, old: &SkillId, regressions: Vec<CaseResult>) -> LibraryEvent {
    let skill = prepare(state, "collect_wood", "go_to(2);").repairing(old);
    let id = skill.manifest.id.clone();
    let fresh = report(state, &skill.manifest.calls, 50..53, "go_to");
    if state.entry(&id).is_none() {
        state.apply(&LibraryEvent::Drafted { skill: Box::new(skill) }).unwrap();
        state.apply(&LibraryEvent::TrialStarted { id: id.clone() }).unwrap();
    }
    LibraryEvent::Admitted {
        id,
        report: TrialReport { regressions, ..fresh },
        rule: AdmissionRule::default(),
    }
}

#[test]
fn a_repair_must_pass_every_case_of_the_repaired_version() {
    let mut state = LibraryState::default();
    let old = admit_with_cases(&mut state, "collect_wood", "go_to(1);", 0, "go_to");
    let cases = state.entry(&old).unwrap().cases();
    assert_eq!(cases.len(), 3);
    let all =
        |passed: [bool; 3]| cases.iter().zip(passed).map(|(case, passed)| result(case, passed)).collect();

    for regressions in [Vec::new(), all([true, true, false]), vec![result(&cases[0], true)]] {
        let event = repair(&mut state, &old, regressions);
        let refused = state.apply(&event).unwrap_err();
        assert!(matches!(refused, IllegalEvent::CaseFailed { version: 2, of: Some(1), .. }), "{refused}");
        assert_eq!(state.active("collect_wood").unwrap().id(), &old);
    }
    let event = repair(&mut state, &old, all([true; 3]));
    state.apply(&event).unwrap();
    let repaired = state.active("collect_wood").unwrap();
    assert_eq!(repaired.skill.manifest.version, 2);
    assert_eq!(repaired.cases().len(), 6, "its own cases and those it inherits");
    state.apply(&LibraryEvent::RolledBack { name: "collect_wood".into(), to: 1 }).unwrap();
    assert_eq!(state.active("collect_wood").unwrap().id(), &old);
}

#[test]
fn an_unreachable_case_neither_blocks_a_repair_nor_is_inherited() {
    let mut state = LibraryState::default();
    let old = admit_with_cases(&mut state, "collect_wood", "go_to(1);", 0, "go_to");
    let cases = state.entry(&old).unwrap().cases();
    let results = vec![result(&cases[0], true), result(&cases[1], true), not_started(&cases[2])];
    let event = repair(&mut state, &old, results);
    state.apply(&event).unwrap();
    let kept: Vec<_> = state.active("collect_wood").unwrap().cases().iter().map(Case::id).collect();
    assert!(kept.contains(&cases[0].id()) && !kept.contains(&cases[2].id()));
}

#[test]
fn a_repair_of_another_name_is_rejected() {
    let mut state = LibraryState::default();
    let other = admit(&mut state, "place_table", "go_to(1);");
    let skill = prepare(&state, "collect_wood", "go_to(2);").repairing(&other);
    let refused = state.apply(&LibraryEvent::Drafted { skill: Box::new(skill) }).unwrap_err();
    assert!(matches!(refused, IllegalEvent::NoSuchRepair { .. }));
}

#[test]
fn a_report_without_cases_uses_its_worlds() {
    let mut state = LibraryState::default();
    let id = admit(&mut state, "collect_wood", "go_to(1);");
    let cases = state.entry(&id).unwrap().cases();
    assert_eq!(cases.iter().map(|case| case.setup.seed).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(cases.iter().all(|case| case.setup.prelude.is_none() && case.behaviour.is_none()));
}

#[test]
fn the_number_of_cases_is_bounded() {
    let mut state = LibraryState::default();
    let id = admit_with_cases(&mut state, "collect_wood", "go_to(1);", 0, "go_to");
    for round in 1..12 {
        let reason = sojourn_skills::Demotion::ByHand { note: "again".into() };
        state.apply(&LibraryEvent::Demoted { id: id.clone(), reason }).unwrap();
        let report = report(&state, &[], round * 3..round * 3 + 3, "go_to");
        let rule = AdmissionRule::default();
        state.apply(&LibraryEvent::Admitted { id: id.clone(), report, rule }).unwrap();
    }
    let cases = state.entry(&id).unwrap().cases();
    assert_eq!(cases.len(), MAX_CASES);
    assert_eq!(cases.last().unwrap().setup.seed, 35, "the newest are kept");
}

#[test]
fn a_caller_is_stale_until_it_is_retested() {
    let mut state = LibraryState::default();
    admit(&mut state, "collect_wood", "go_to(1);");
    let table = admit_with_cases(&mut state, "place_table", "collect_wood();", 0, "collect_wood");
    assert_eq!(
        state.callers("collect_wood").map(sojourn_skills::Entry::name).collect::<Vec<_>>(),
        ["place_table"]
    );
    assert_eq!(state.stale(), []);
    admit(&mut state, "collect_wood", "go_to(2);");
    assert_eq!(state.stale().len(), 1);

    let cases = state.entry(&table).unwrap().cases();
    let prerequisites = state.prerequisites(&["collect_wood".into()]);
    let retested = |passed: bool, prerequisites: &[SkillId]| LibraryEvent::Retested {
        id: table.clone(),
        results: cases.iter().map(|case| result(case, passed)).collect(),
        prerequisites: prerequisites.to_vec(),
    };
    assert!(matches!(
        state.apply(&retested(false, &prerequisites)),
        Err(IllegalEvent::CaseFailed { of: None, .. })
    ));
    assert!(matches!(state.apply(&retested(true, &[])), Err(IllegalEvent::UntriedChain { .. })));
    let nothing_started = LibraryEvent::Retested {
        id: table.clone(),
        results: cases.iter().map(not_started).collect(),
        prerequisites: prerequisites.clone(),
    };
    assert!(matches!(state.apply(&nothing_started), Err(IllegalEvent::Untested { .. })));
    state.apply(&retested(true, &prerequisites)).unwrap();
    assert_eq!(state.stale(), []);

    // A retired callee counts as a change.
    let wood = state.active("collect_wood").unwrap().id().clone();
    state.apply(&LibraryEvent::RolledBack { name: "collect_wood".into(), to: 1 }).unwrap();
    let first = state.active("collect_wood").unwrap().id().clone();
    assert_ne!(wood, first);
    state.apply(&LibraryEvent::Retired { id: first, reason: "test".into() }).unwrap();
    let stale: Vec<_> = state.stale().into_iter().map(|(entry, callee)| (entry.name(), callee)).collect();
    assert_eq!(stale, [("place_table", "collect_wood")]);
}

fn merged(name: &str, into: &str, evidence: Vec<CaseResult>) -> LibraryEvent {
    LibraryEvent::Merged { name: name.into(), into: into.into(), evidence, environment: None }
}

#[test]
fn skills_with_equal_sources_can_be_merged() {
    let mut state = LibraryState::default();
    let wood = admit(&mut state, "collect_wood", "go_to(\"tree\"); /* near */");
    let sword = admit(&mut state, "make_sword", "go_to( 'tree' );");
    admit(&mut state, "place_table", "make_sword();");
    state.apply(&merged("make_sword", "collect_wood", Vec::new())).unwrap();
    assert_eq!(state.active("make_sword").unwrap().id(), &wood);
    assert_eq!(state.resolve("make_sword"), "collect_wood");
    assert_eq!(state.entry(&sword).unwrap().status, Status::Retired);
    let callable: Vec<_> = state.callables().map(|(name, entry)| (name, entry.name())).collect();
    assert_eq!(
        callable,
        [("collect_wood", "collect_wood"), ("make_sword", "collect_wood"), ("place_table", "place_table")]
    );
    assert_eq!(state.all_active().count(), 2, "an alias is no second skill");
    assert_eq!(state.stale().len(), 1, "who called it is tested again");
    assert_eq!(state.callers("collect_wood").count(), 1);

    // An admitted version of its own ends a name's alias.
    let [drafted, started, admitted] = admission(&state, "make_sword", "go_to(9);");
    for event in [drafted, started, admitted] {
        state.apply(&event).unwrap();
    }
    assert_eq!(state.resolve("make_sword"), "make_sword");
}

#[test]
fn skills_with_different_sources_need_equal_behaviour_to_be_merged() {
    let mut state = LibraryState::default();
    let wood = admit_with_cases(&mut state, "collect_wood", "go_to(1);", 0, "go_to");
    admit_with_cases(&mut state, "make_sword", "for (;;) { go_to(1); break; }", 9, "go_to");
    let cases = state.entry(&wood).unwrap().cases();
    let same: Vec<CaseResult> = cases.iter().map(|case| result(case, true)).collect();
    let mut other = same.clone();
    other[1].behaviour = Some(behaviour([("explore", true)], 10, &serde_json::Value::Null));
    let few = vec![same[0].clone(), not_started(&cases[1]), not_started(&cases[2])];
    for evidence in [Vec::new(), other, few] {
        let refused = state.apply(&merged("make_sword", "collect_wood", evidence)).unwrap_err();
        assert!(matches!(refused, IllegalEvent::Different { .. }), "{refused}");
    }
    state.apply(&merged("make_sword", "collect_wood", same.clone())).unwrap();
    // An alias cannot be merged again, in either direction.
    assert!(state.apply(&merged("make_sword", "collect_wood", same.clone())).is_err());
    assert!(state.apply(&merged("collect_wood", "make_sword", same)).is_err());
    assert!(state.apply(&merged("collect_wood", "collect_wood", Vec::new())).is_err());
}

#[test]
fn a_skill_cannot_become_an_alias_of_its_caller() {
    let mut state = LibraryState::default();
    admit(&mut state, "collect_wood", "go_to(1);");
    admit(&mut state, "place_table", "collect_wood();");
    let refused = state.apply(&merged("collect_wood", "place_table", Vec::new())).unwrap_err();
    assert!(matches!(refused, IllegalEvent::Different { .. }), "{refused}");
}

fn episodes(with: u32) -> ReflexTrial {
    let arm = |steps| Arm { steps, died: true, achievements: 3 };
    let pair = |seed| PairedEpisode { seed, with: arm(with), without: arm(100) };
    ReflexTrial { episodes: (0..6).map(pair).collect() }
}

#[test]
fn a_reflex_is_admitted_by_episodes_and_can_be_disabled() {
    let mut state = LibraryState::default();
    let mut ids = Vec::new();
    for (name, priority) in [("make_sword", 1), ("collect_wood", 9)] {
        let mut draft = crate::common::draft(name, "return null;");
        draft.kind = Kind::Reflex { priority, cooldown: 2 };
        let compiled = sojourn_skills::Compiled { engine: "e".into(), wasm: Vec::new() };
        let skill = state.prepare(draft, compiled, []);
        let id = skill.manifest.id.clone();
        state.apply(&LibraryEvent::Drafted { skill: Box::new(skill) }).unwrap();
        state.apply(&LibraryEvent::TrialStarted { id: id.clone() }).unwrap();
        let rule = ReflexRule::default();
        let admitted = |with| LibraryEvent::ReflexAdmitted { id: id.clone(), trial: episodes(with), rule };
        assert!(matches!(state.apply(&admitted(100)), Err(IllegalEvent::NoGain { .. })));
        let worlds = report(&state, &[], 0..3, "x");
        let as_skill =
            LibraryEvent::Admitted { id: id.clone(), report: worlds, rule: AdmissionRule::default() };
        assert!(matches!(state.apply(&as_skill), Err(IllegalEvent::WrongKind { kind: "a reflex", .. })));
        state.apply(&admitted(120)).unwrap();
        ids.push(id);
    }
    let acting = |state: &LibraryState| -> Vec<String> {
        state.reflexes().iter().map(|entry| entry.name().to_owned()).collect()
    };
    assert_eq!(acting(&state), ["collect_wood", "make_sword"], "the higher priority first");
    assert_eq!(state.callables().count(), 0, "nobody calls a reflex");
    let switched = |enabled| LibraryEvent::Switched { name: "collect_wood".into(), enabled };
    state.apply(&switched(false)).unwrap();
    assert_eq!(acting(&state), ["make_sword"]);
    state.apply(&switched(true)).unwrap();
    assert_eq!(acting(&state).len(), 2);
    admit(&mut state, "place_table", "go_to(1);");
    let skill = LibraryEvent::Switched { name: "place_table".into(), enabled: false };
    assert!(matches!(state.apply(&skill), Err(IllegalEvent::WrongKind { .. })));
}

#[test]
fn the_address_of_a_prebuilt_module_covers_its_bytes() {
    let state = LibraryState::default();
    let make = |wasm: &[u8]| {
        let compiled = sojourn_skills::Compiled { engine: "e".into(), wasm: wasm.to_vec() };
        let declared = vec!["go_to".to_owned(), "rm".to_owned(), "go_to".to_owned()];
        state.prepare_prebuilt(crate::common::draft("collect_wood", ""), compiled, declared, ["go_to"])
    };
    let (one, other) = (make(b"one"), make(b"other"));
    assert_ne!(one.manifest.id, other.manifest.id, "the same source, another module");
    assert!(one.is_intact());
    assert_eq!(one.manifest.calls, ["go_to"], "what is not known is not granted");
}

#[test]
fn an_event_set_aside_has_no_effect() {
    let mut state = LibraryState::default();
    let id = admit(&mut state, "collect_wood", "go_to(1);");
    let before = state.clone();
    let event = Box::new(LibraryEvent::Retired { id, reason: "test".into() });
    state.apply(&LibraryEvent::SetAside { event, reason: "another run was first".into() }).unwrap();
    assert_eq!(state, before);
}
