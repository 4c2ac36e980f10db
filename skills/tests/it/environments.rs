//! One library with skills of several environments, some under the same name.

use crate::common::{draft, report};
use sojourn_skills::{
    AdmissionRule, Compiled, Demotion, Entry, IllegalEvent, LibraryEvent, LibraryState, Skill, SkillId,
    Status,
};

/// Admits a version of `name` in `environment`, drafted in the library as a run there sees it.
fn admit(state: &mut LibraryState, environment: &str, name: &str, body: &str) -> SkillId {
    let own = state.of_environment(environment);
    let skill = prepared(&own, environment, name, body);
    let id = skill.manifest.id.clone();
    let report = report(&own, &skill, 3);
    for event in [
        LibraryEvent::Drafted { skill: Box::new(skill) },
        LibraryEvent::TrialStarted { id: id.clone() },
        LibraryEvent::Admitted { id: id.clone(), report, rule: AdmissionRule::default() },
    ] {
        state.apply(&event).unwrap();
    }
    id
}

/// The skill as a run in `environment` drafts it.
fn prepared(state: &LibraryState, environment: &str, name: &str, body: &str) -> Skill {
    let compiled = Compiled { engine: "e".repeat(64), wasm: body.as_bytes().to_vec() };
    let drafted = sojourn_skills::Draft { environment: environment.to_owned(), ..draft(name, body) };
    state.with_own_address(state.prepare(drafted, compiled, ["go_to"]))
}

fn in_use(state: &LibraryState) -> Vec<(&str, u32)> {
    state.all_active().map(|entry| (entry.environment(), entry.skill.manifest.version)).collect()
}

#[test]
fn equal_names_of_two_worlds_do_not_replace_each_other() {
    let mut state = LibraryState::default();
    let keys = admit(&mut state, "keys", "succeed", "go_to(1)");
    let farm = admit(&mut state, "farm", "succeed", "go_to(2)");
    assert_eq!(in_use(&state), [("keys", 1), ("farm", 2)]);
    assert_eq!(state.environments_of("succeed"), ["farm", "keys"]);

    for (environment, id) in [("keys", &keys), ("farm", &farm)] {
        assert_eq!(state.active_in("succeed", environment).map(Entry::id), Some(id));
        let own = state.of_environment(environment);
        assert_eq!(own.active("succeed").map(Entry::id), Some(id), "{environment}");
        assert_eq!(own.callables().count(), 1);
        assert_eq!(own.next_version("succeed"), 3, "versions keep their numbers");
    }
    let other = state.of_environment("elsewhere");
    assert_eq!(other.callables().count(), 0);
    assert!(other.all_active().next().is_none() && other.stale().is_empty());
}

#[test]
fn a_call_is_of_the_skill_of_its_own_world() {
    let mut state = LibraryState::default();
    let walk = admit(&mut state, "keys", "walk", "go_to(1)");
    admit(&mut state, "farm", "walk", "go_to(2)");
    // It calls the `walk` of its own world, though the other one was admitted later.
    let fetch = admit(&mut state, "keys", "fetch", "walk()");
    let entry = state.entry(&fetch).unwrap();
    assert_eq!(entry.report.as_ref().unwrap().prerequisites, std::slice::from_ref(&walk));
    assert_eq!(state.stale_callee(entry), None);
    // In a third world `walk` is no skill, so a function of this name is none of the library's.
    let alone = admit(&mut state, "sea", "swim", "walk()");
    assert!(state.entry(&alone).unwrap().skill.manifest.calls.is_empty());

    let demoted = LibraryEvent::Demoted { id: walk, reason: Demotion::ByHand { note: "test".into() } };
    state.apply(&demoted).unwrap();
    assert_eq!(state.stale().iter().map(|(entry, _)| entry.name()).collect::<Vec<_>>(), ["fetch"]);
    assert_eq!(in_use(&state).iter().filter(|(environment, _)| *environment == "farm").count(), 1);
}

#[test]
fn changes_by_name_leave_other_worlds_alone() {
    let mut state = LibraryState::default();
    admit(&mut state, "keys", "succeed", "go_to(1)");
    admit(&mut state, "farm", "succeed", "go_to(2)");
    admit(&mut state, "keys", "succeed", "go_to(3)");
    state.apply(&LibraryEvent::RolledBack { name: "succeed".into(), to: 1 }).unwrap();
    assert_eq!(in_use(&state), [("keys", 1), ("farm", 2)]);

    // The same program under another name, in the same world: one of them becomes an alias there.
    let mut state = LibraryState::default();
    admit(&mut state, "farm", "get", "go_to(9)");
    let take = admit(&mut state, "keys", "take", "go_to(1)");
    admit(&mut state, "keys", "get", "go_to(1)");
    let merge = |into: &str| merged("get", into, None);
    assert!(matches!(state.apply(&merge("gone")), Err(IllegalEvent::Unused { .. })));
    state.apply(&merge("take")).unwrap();
    assert_eq!(state.active_in("get", "keys").map(Entry::id), Some(&take));
    assert_eq!(state.of_environment("keys").active("get").map(Entry::id), Some(&take));
    assert_eq!(state.active_in("get", "farm").map(|entry| entry.status), Some(Status::Admitted));
    assert_eq!(state.of_environment("farm").active("get").map(Entry::environment), Some("farm"));
}

fn merged(name: &str, into: &str, environment: Option<&str>) -> LibraryEvent {
    let environment = environment.map(str::to_owned);
    LibraryEvent::Merged { name: name.into(), into: into.into(), evidence: Vec::new(), environment }
}

#[test]
fn an_alias_is_of_one_world() {
    let mut state = LibraryState::default();
    for environment in ["keys", "farm"] {
        admit(&mut state, environment, "take", &format!("go_to(1) /* {environment} */"));
        admit(&mut state, environment, "get", &format!("go_to(1) /* also {environment} */"));
    }
    admit(&mut state, "keys", "grab", "go_to(1) /* third */");
    // The world that the merge is about is named: it is not the one whose version is the latest.
    assert_eq!(state.environments_of("get"), ["farm", "keys"]);
    state.apply(&merged("get", "grab", Some("keys"))).unwrap();
    assert_eq!(state.aliases(), [("get", "keys", "grab")]);
    assert_eq!(state.active_in("get", "farm").map(Entry::name), Some("get"));
    assert!(matches!(state.apply(&merged("get", "take", Some("sea"))), Err(IllegalEvent::Unused { .. })));

    // The other world merges and learns the same name without a word about the first.
    state.apply(&merged("get", "take", Some("farm"))).unwrap();
    assert_eq!(state.aliases(), [("get", "farm", "take"), ("get", "keys", "grab")]);
    admit(&mut state, "farm", "get", "go_to(7)");
    assert_eq!(state.aliases(), [("get", "keys", "grab")]);
    for (environment, name) in [("keys", "grab"), ("farm", "get")] {
        assert_eq!(state.active_in("get", environment).map(Entry::name), Some(name));
        let own = state.of_environment(environment);
        assert_eq!(
            own.active("get").map(|entry| (entry.name(), entry.environment())),
            Some((name, environment))
        );
    }
    // A state goes through the first record of a run.
    let read: LibraryState = serde_json::from_value(serde_json::to_value(&state).unwrap()).unwrap();
    assert_eq!(read, state);
}

#[test]
fn equal_programs_of_two_worlds_are_two_skills() {
    let mut state = LibraryState::default();
    let keys = admit(&mut state, "keys", "succeed", "go_to(1)");
    let farm = admit(&mut state, "farm", "succeed", "go_to(1)");
    assert_ne!(keys, farm);
    assert_eq!(in_use(&state), [("keys", 1), ("farm", 2)]);
    assert!(
        state.histories().flat_map(|(_, history)| &history.versions).all(|entry| entry.skill.is_intact())
    );

    // Written again in either world, the program is the version that is there.
    for (environment, id) in [("keys", &keys), ("farm", &farm)] {
        let own = state.of_environment(environment);
        let again = prepared(&own, environment, "succeed", "go_to(1)");
        assert_eq!(&again.manifest.id, id, "{environment}");
    }
    let mut moved = prepared(&state, "farm", "succeed", "go_to(1)");
    moved.manifest.environment = "sea".to_owned();
    assert!(!moved.is_intact(), "an address of one world is none of another");
}

#[test]
fn a_state_of_an_older_run_keeps_its_aliases() {
    let mut state = LibraryState::default();
    let take = admit(&mut state, "keys", "take", "go_to(1)");
    admit(&mut state, "keys", "get", "go_to(1) /* too */");
    state.apply(&merged("get", "take", None)).unwrap();
    let mut old = serde_json::to_value(&state).unwrap();
    old["get"].as_object_mut().unwrap().remove("aliases").unwrap();
    old["get"]["alias"] = "take".into();
    let old_state: LibraryState = serde_json::from_value(old.clone()).unwrap();
    assert_eq!(old_state.active("get").map(Entry::id), Some(&take));
    assert_eq!(old_state.aliases(), [("get", "keys", "take")]);
    assert_eq!(serde_json::to_value(&old_state).unwrap(), old, "it is written as it was read");
}
