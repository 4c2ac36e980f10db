//! Properties of the lifecycle for any sequence of events.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use crate::common::{admission, admit, event, moves, prepare, report};
use proptest::prelude::*;
use sojourn_skills::{
    AdmissionRule, Demotion, DemotionRule, Entry, IllegalEvent, LibraryEvent, LibraryState, Skill, SkillId,
    Status, TrialReport, Use,
};

fn demoted(id: &SkillId) -> LibraryEvent {
    LibraryEvent::Demoted { id: id.clone(), reason: Demotion::ByHand { note: "test".into() } }
}

/// Asserts the invariants of every reachable state.
fn check(state: &LibraryState) {
    for (name, history) in state.histories() {
        for (position, entry) in history.versions.iter().enumerate() {
            let manifest = &entry.skill.manifest;
            assert_eq!(manifest.name, name);
            assert_eq!(manifest.version as usize, position + 1, "versions have no gaps");
            assert!(entry.skill.is_intact());
            if entry.status == Status::Admitted {
                let passes = entry.report.as_ref().map(TrialReport::passes);
                assert!(passes >= Some(1), "admitted without a pass");
            }
        }
        let last = history.versions.iter().rfind(|entry| entry.status == Status::Admitted);
        match state.aliases().into_iter().find(|(alias, ..)| *alias == name) {
            None => assert_eq!(state.active(name).map(Entry::id), last.map(Entry::id)),
            Some((_, environment, other)) => {
                assert!(last.is_none(), "an alias has an admitted version of its own");
                assert_eq!(state.active(name).map(Entry::id), state.active(other).map(Entry::id));
                assert_eq!(
                    state.active_in(name, environment).map(Entry::id),
                    state.active(other).map(Entry::id)
                );
                assert_ne!(state.resolve(name), name);
            }
        }
    }
}

proptest! {
    #[test]
    fn every_reachable_state_satisfies_the_invariants(moves in moves()) {
        let (mut state, mut log) = (LibraryState::default(), Vec::new());
        for one in &moves {
            let Some(event) = event(&state, one) else { continue };
            let before = state.clone();
            if state.apply(&event).is_err() {
                prop_assert_eq!(&before, &state, "an illegal event changed the state");
            } else {
                if let LibraryEvent::Admitted { id, report, rule } = &event {
                    prop_assert!(rule.judge(report).admitted);
                    let repairs = state.entry(id).and_then(|entry| entry.skill.manifest.repairs.clone());
                    for case in repairs.iter().filter_map(|id| before.entry(id)).flat_map(Entry::cases) {
                        let passed = |one: &sojourn_skills::CaseResult| one.case == case.id() && one.passed;
                        prop_assert!(report.regressions.iter().any(passed), "a repair lost a case");
                    }
                }
                if let LibraryEvent::RolledBack { name, to } = &event {
                    let active = state.active(name).unwrap();
                    prop_assert_eq!(active.skill.manifest.version, *to);
                    let was = before.history(name).and_then(|history| history.version(*to)).unwrap();
                    prop_assert_eq!(&active.skill, &was.skill);
                }
                log.push(event);
            }
            check(&state);
            for (name, history) in before.histories() {
                for (version, entry) in history.versions.iter().enumerate() {
                    let now = state.history(name).and_then(|history| history.versions.get(version));
                    prop_assert_eq!(now.map(|now| &now.skill), Some(&entry.skill), "content changed");
                }
            }
        }
        let replayed = LibraryState::replay(&log);
        prop_assert_eq!(replayed.as_ref(), Ok(&state));

        let json = serde_json::to_string(&log).unwrap();
        let read: Vec<LibraryEvent> = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&read, &log, "events survive JSON");
        let json = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(&serde_json::from_str::<LibraryState>(&json).unwrap(), &state);
    }
}

#[test]
fn a_failing_report_admits_nothing() {
    let mut state = LibraryState::default();
    let skill = prepare(&state, "collect_wood", "go_to(1);");
    let id = skill.manifest.id.clone();
    let failing = LibraryEvent::Admitted {
        id: id.clone(),
        report: report(&state, &skill, 1),
        rule: AdmissionRule::default(),
    };
    state.apply(&LibraryEvent::Drafted { skill: Box::new(skill) }).unwrap();
    assert!(matches!(state.apply(&failing), Err(IllegalEvent::WrongStatus { status: Status::Draft, .. })));
    state.apply(&LibraryEvent::TrialStarted { id }).unwrap();
    let refused = state.apply(&failing).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`collect_wood` version 1 does not meet the admission rule: passed in 1 worlds, 2 are needed"
    );
    assert!(state.active("collect_wood").is_none());
}

#[test]
fn a_rollback_restores_the_exact_content() {
    let mut state = LibraryState::default();
    let first = admit(&mut state, "collect_wood", "go_to(1);");
    let content = state.active("collect_wood").unwrap().skill.clone();
    let second = admit(&mut state, "collect_wood", "go_to(2);");
    assert_eq!(state.active("collect_wood").unwrap().id(), &second);

    state.apply(&LibraryEvent::RolledBack { name: "collect_wood".into(), to: 1 }).unwrap();
    let active = state.active("collect_wood").unwrap();
    assert_eq!((active.id(), &active.skill), (&first, &content));
    assert_eq!(state.entry(&second).unwrap().status, Status::Trial);
}

#[test]
fn after_a_demotion_the_previous_version_is_active() {
    let mut state = LibraryState::default();
    let first = admit(&mut state, "collect_wood", "go_to(1);");
    let second = admit(&mut state, "collect_wood", "go_to(2);");
    state.apply(&demoted(&second)).unwrap();
    assert_eq!(state.active("collect_wood").unwrap().id(), &first);
    state.apply(&LibraryEvent::Retired { id: first.clone(), reason: "test".into() }).unwrap();
    assert!(state.active("collect_wood").is_none());
    state.apply(&LibraryEvent::Unretired { id: first.clone() }).unwrap();
    assert_eq!(state.entry(&first).unwrap().status, Status::Trial);
}

#[test]
fn a_trial_must_use_the_active_callees() {
    let mut state = LibraryState::default();
    admit(&mut state, "collect_wood", "go_to(1);");
    let [drafted, started, admitted] = admission(&state, "place_table", "collect_wood();");
    state.apply(&drafted).unwrap();
    state.apply(&started).unwrap();

    // The callee is replaced between trial and admission.
    admit(&mut state, "collect_wood", "go_to(2);");
    let refused = state.apply(&admitted).unwrap_err();
    let chain = IllegalEvent::UntriedChain { name: "place_table".into(), callee: "collect_wood".into() };
    assert_eq!(refused, chain);

    let LibraryEvent::Admitted { id, report, rule } = admitted else { unreachable!() };
    let prerequisites = state.prerequisites(&["collect_wood".into()]);
    let report = TrialReport { prerequisites, ..report };
    state.apply(&LibraryEvent::Admitted { id, report, rule }).unwrap();
    assert_eq!(state.stale(), []);

    admit(&mut state, "collect_wood", "go_to(3);");
    let stale: Vec<_> =
        state.stale().iter().map(|(entry, callee)| (entry.skill.manifest.name.clone(), *callee)).collect();
    assert_eq!(stale, [("place_table".to_owned(), "collect_wood")]);
}

#[test]
fn call_cycles_are_rejected() {
    let mut state = LibraryState::default();
    admit(&mut state, "collect_wood", "go_to(1);");
    admit(&mut state, "place_table", "collect_wood();");
    let [drafted, started, admitted] = admission(&state, "collect_wood", "place_table();");
    state.apply(&drafted).unwrap();
    state.apply(&started).unwrap();
    let circle = IllegalEvent::Cycle { name: "collect_wood".into(), callee: "place_table".into() };
    assert_eq!(state.apply(&admitted), Err(circle));
}

#[test]
fn invalid_drafts_are_rejected() {
    let mut state = LibraryState::default();
    let skill = prepare(&state, "collect_wood", "go_to(1);");
    let drafted = |skill: &Skill| LibraryEvent::Drafted { skill: Box::new(skill.clone()) };
    state.apply(&drafted(&skill)).unwrap();

    let duplicate = IllegalEvent::Duplicate { name: "collect_wood".into(), version: 1 };
    assert_eq!(state.apply(&drafted(&skill)), Err(duplicate));

    let mut skipped = prepare(&state, "collect_wood", "go_to(2);");
    skipped.manifest.version = 3;
    assert!(matches!(state.apply(&drafted(&skipped)), Err(IllegalEvent::WrongVersion { expected: 2, .. })));

    let mut altered = prepare(&state, "collect_wood", "go_to(2);");
    altered.source.push(' ');
    assert!(matches!(state.apply(&drafted(&altered)), Err(IllegalEvent::WrongHash { .. })));
    let mut altered = prepare(&state, "collect_wood", "go_to(2);");
    altered.wasm.0.push(0);
    assert!(matches!(state.apply(&drafted(&altered)), Err(IllegalEvent::WrongHash { .. })));

    for name in ["../escape", "", "if", "1st", "a b", "ä"] {
        let bad = prepare(&state, name, "");
        assert!(matches!(state.apply(&drafted(&bad)), Err(IllegalEvent::BadName { .. })), "{name}");
    }
}

#[test]
fn an_admission_resets_the_uses_since_admission() {
    let mut state = LibraryState::default();
    let id = admit(&mut state, "collect_wood", "go_to(1);");
    let failed = Use { context: "night".into(), success: false, died: true, steps: 9, error: None };
    for _ in 0..2 {
        state.apply(&LibraryEvent::Used { id: id.clone(), usage: failed.clone() }).unwrap();
    }
    let rule = DemotionRule::default();
    let reason = state.entry(&id).unwrap().should_demote(&rule).unwrap();
    assert_eq!(reason, Demotion::Kills { deaths: 2, uses: 2 });

    let LibraryEvent::Admitted { report, rule: admission, .. } = &admission(&state, "x", "go_to(1);")[2]
    else {
        unreachable!()
    };
    state.apply(&LibraryEvent::Demoted { id: id.clone(), reason }).unwrap();
    let again = LibraryEvent::Admitted { id: id.clone(), report: report.clone(), rule: *admission };
    state.apply(&again).unwrap();
    let entry = state.entry(&id).unwrap();
    assert_eq!(entry.should_demote(&rule), None);
    assert_eq!(entry.total_usage().deaths, 2, "the history is kept");
}
