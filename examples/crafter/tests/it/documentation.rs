//! The specification is complete, consistent with the game, and contains no solutions.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use serde_json::Map;
use sojourn_crafter::CrafterEnvironment;
use sojourn_crafter::game::Achievement;
use sojourn_tools::{Environment, recipes_by_task, with_defaults};
use std::collections::BTreeSet;

#[test]
fn every_achievement_is_a_task_with_a_recipe() {
    let crafter = CrafterEnvironment::new();
    let spec = crafter.spec();
    let recipes = recipes_by_task(&spec.recipes);
    let names: Vec<&str> = spec.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, Achievement::ALL.iter().map(|a| a.name()).collect::<Vec<_>>());
    assert_eq!(recipes.keys().copied().collect::<BTreeSet<_>>(), names.into_iter().collect());
    assert_eq!(spec.recipes.len(), 22);
    assert_eq!(spec.actions.len(), 17);
}

#[test]
fn every_requirement_of_a_recipe_is_provided_by_another() {
    let crafter = CrafterEnvironment::new();
    let recipes = &crafter.spec().recipes;
    let provided: BTreeSet<&str> =
        recipes.iter().flat_map(|recipe| &recipe.provides).map(|item| item.item.as_str()).collect();
    for recipe in recipes {
        let consumed = recipe.consumes.iter().map(|ingredient| &ingredient.item);
        for need in consumed.chain(&recipe.tools).chain(&recipe.nearby) {
            assert!(provided.contains(need.as_str()), "{} needs {need}", recipe.task);
        }
    }
}

#[test]
fn the_examples_solve_no_task() {
    let crafter = CrafterEnvironment::new();
    let spec = crafter.spec();
    for example in &spec.examples {
        for task in &spec.tasks {
            assert!(!example.source.contains(&task.name), "{}", task.name);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn goals_refer_to_existing_state() {
    let mut crafter = CrafterEnvironment::new();
    crafter.reset(1).await.unwrap();
    let state = crafter.observe().unwrap().state;
    for task in &crafter.spec().tasks {
        let args = with_defaults(&task.parameters, Map::new());
        assert_eq!(task.goal.holds(&state, &state, &args), Ok(false), "{}", task.name);
        for path in task.goal.paths() {
            let section = path.names().next().unwrap();
            assert!(state.get(section.as_ref()).is_some(), "{path}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_first_observation_reads_well() {
    let mut crafter = CrafterEnvironment::new();
    crafter.reset(1).await.unwrap();
    let observation = crafter.observe().unwrap();
    insta::assert_snapshot!(observation.text);
    insta::assert_json_snapshot!(observation.state);
}
