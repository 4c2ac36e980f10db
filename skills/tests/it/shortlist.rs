//! Retrieval of skills for a task.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use crate::common::{admit, draft};
use sojourn_skills::{
    ACTIVE_SKILLS, AdmissionRule, Compiled, Index, LibraryEvent, LibraryState, Query, SkillId, Use,
};
use std::collections::BTreeMap;

fn library(skills: &[(&str, &str)]) -> LibraryState {
    let mut state = LibraryState::default();
    for (name, description) in skills {
        let mut about = draft(name, "");
        about.description = (*description).into();
        let compiled = Compiled { engine: "e".into(), wasm: Vec::new() };
        let skill = state.prepare(about, compiled, []);
        let (id, report) = (skill.manifest.id.clone(), crate::common::report(&state, &skill, 3));
        for event in [
            LibraryEvent::Drafted { skill: Box::new(skill) },
            LibraryEvent::TrialStarted { id: id.clone() },
            LibraryEvent::Admitted { id, report, rule: AdmissionRule::default() },
        ] {
            state.apply(&event).unwrap();
        }
    }
    state
}

fn survival() -> LibraryState {
    library(&[
        ("collect_wood", "collect n more wood from trees"),
        ("collect_stone", "collect n more stone with a pickaxe"),
        ("make_wood_pickaxe", "make a wood pickaxe next to a table"),
        ("place_table", "place a table, which takes wood"),
        ("drink_water", "drink until not thirsty"),
        ("sleep_safely", "sleep behind stones until rested"),
    ])
}

fn names(state: &LibraryState, text: &str, k: usize, threshold: f64) -> Vec<String> {
    let query = Query { text, vector: None, context: None };
    Index::new(state).shortlist(&query, k, threshold).into_iter().map(|hit| hit.name).collect()
}

fn used(state: &mut LibraryState, name: &str, success: bool, times: usize) {
    let id = state.active(name).unwrap().id().clone();
    for _ in 0..times {
        let usage = Use { context: String::new(), success, died: false, steps: 1, error: None };
        state.apply(&LibraryEvent::Used { id: id.clone(), usage }).unwrap();
    }
}

#[test]
fn the_skill_named_by_the_task_ranks_first() {
    let state = survival();
    for (task, first) in [
        ("make a wood pickaxe", "make_wood_pickaxe"),
        ("collect wood", "collect_wood"),
        ("Drink water!", "drink_water"),
        ("place a table", "place_table"),
        ("sleep", "sleep_safely"),
    ] {
        assert_eq!(names(&state, task, 5, 0.0).first().map(String::as_str), Some(first), "{task}");
    }
}

#[test]
fn an_unrelated_task_finds_no_skill() {
    let state = survival();
    assert_eq!(names(&state, "defeat the skeleton", 5, 0.2), [""; 0]);
    assert_eq!(names(&state, "", 5, 0.0), [""; 0]);
    assert_eq!(names(&LibraryState::default(), "collect wood", 5, 0.0), [""; 0]);
}

#[test]
fn at_most_k_skills_are_returned() {
    assert_eq!(names(&survival(), "wood stone table", 2, 0.0).len(), 2);
}

#[test]
fn a_failing_skill_ranks_below_an_equal_one() {
    let mut state = library(&[("gather_wood_a", "gather wood"), ("gather_wood_b", "gather wood")]);
    assert_eq!(names(&state, "gather wood", 2, 0.0), ["gather_wood_a", "gather_wood_b"]);
    used(&mut state, "gather_wood_a", false, 3);
    used(&mut state, "gather_wood_b", true, 3);
    assert_eq!(names(&state, "gather wood", 2, 0.0), ["gather_wood_b", "gather_wood_a"]);
}

#[test]
fn success_in_a_similar_context_weighs_more() {
    let mut state = library(&[("gather_wood_a", "gather wood"), ("gather_wood_b", "gather wood")]);
    for (name, by_day) in [("gather_wood_a", true), ("gather_wood_b", false)] {
        let id = state.active(name).unwrap().id().clone();
        for (context, success) in [("forest day", by_day), ("forest night", !by_day)] {
            for _ in 0..4 {
                let usage = Use { context: context.into(), success, died: false, steps: 1, error: None };
                state.apply(&LibraryEvent::Used { id: id.clone(), usage }).unwrap();
            }
        }
    }
    let first = |context| {
        let query = Query { text: "gather wood", vector: None, context };
        Index::new(&state).shortlist(&query, 5, 0.0).remove(0).name
    };
    assert_eq!(first(Some("forest day")), "gather_wood_a");
    assert_eq!(first(Some("forest night")), "gather_wood_b");
    assert_eq!(first(Some("caves at night")), "gather_wood_b", "a word in common is enough");
    assert_eq!(first(None), "gather_wood_a", "without a context they are equal, and the name decides");
}

#[test]
fn a_shortlist_has_a_maximum_length() {
    let list: Vec<String> = (0..9).map(|number| format!("gather_{number}")).collect();
    let pairs: Vec<(&str, &str)> = list.iter().map(|name| (name.as_str(), "gather wood")).collect();
    let state = library(&pairs);
    assert_eq!(names(&state, "gather wood", 100, 0.0).len(), sojourn_skills::SHORTLIST);
    assert_eq!(Index::with_cap(&state, 3).ids().count(), 3);
}

#[test]
fn the_number_of_indexed_skills_is_bounded() {
    let list: Vec<String> = (0..ACTIVE_SKILLS + 6).map(|number| format!("skill_{number}")).collect();
    let pairs: Vec<(&str, &str)> = list.iter().map(|name| (name.as_str(), "skill")).collect();
    let mut state = library(&pairs);
    used(&mut state, "skill_0", false, 9);
    let bad = state.active("skill_0").unwrap().id().clone();
    let index = Index::new(&state);
    assert_eq!(index.ids().count(), ACTIVE_SKILLS);
    assert!(index.ids().all(|id| *id != bad));
}

#[test]
fn vectors_of_another_model_are_ignored() {
    let mut state = LibraryState::default();
    let near = admit(&mut state, "collect_wood", "1;");
    let far = admit(&mut state, "place_table", "2;");
    let vectors: BTreeMap<SkillId, Vec<f32>> =
        [(near.clone(), vec![1.0, 0.0]), (far, vec![0.0, 1.0])].into_iter().collect();
    let index = Index::new(&state).with_vectors("small", &vectors);
    let find = |model, vector: &[f32]| {
        let query = Query { text: "fell something tall", vector: Some((model, vector)), context: None };
        index.shortlist(&query, 5, 0.3).into_iter().map(|hit| hit.id).collect::<Vec<_>>()
    };
    assert_eq!(find("small", &[2.0, 0.1]), [near]);
    assert_eq!(find("large", &[2.0, 0.1]), []);
    assert_eq!(find("small", &[2.0]), [], "a vector of another length says nothing");
    assert_eq!(find("small", &[0.0, 0.0]), []);
}
