//! Tasks and recipes that the run finds out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::whims::{Whim, core_in, drive_in, report, spec, trials, whims};
use proptest::prelude::*;
use serde_json::json;
use sojourn_core::{ActorConfig, Beliefs, DiscoveryConfig, DiscoveryPlan, Effect, Event, RunConfig};
use sojourn_tools::{EnvironmentSpec, Observation};

/// The world without its documentation.
fn undocumented() -> EnvironmentSpec {
    EnvironmentSpec { tasks: Vec::new(), recipes: Vec::new(), examples: Vec::new(), ..spec() }
}

fn config() -> RunConfig {
    RunConfig {
        memory: false,
        deliberate: false,
        discovery: Some(DiscoveryConfig { stages: 2, calls: 100, ..DiscoveryConfig::default() }),
        actor: ActorConfig { follow_recipes: true, rounds: 0, ..ActorConfig::default() },
        ..RunConfig::default()
    }
}

fn beliefs(closed: bool) -> Beliefs {
    let rule = json!({
        "effect": {"effect": "rises", "path": "/inventory/wood", "by": 1}, "call": {"name": "interact", "args": {}},
        "needs": [{"equals": {"path": "/facing", "value": "tree"}}], "evidence": {"worked": 9, "failed": 1},
        "unmet": 2, "closed": closed,
    });
    Beliefs { calls: 100, episodes: 3, rules: vec![serde_json::from_value(rule).unwrap()] }
}

/// The effects of a run whose stages end with these beliefs, and whose candidates pass where `passes`.
fn live(stages: &[Beliefs], passes: bool) -> Vec<Effect> {
    let whim = Whim { choice: 1, lucky: passes, steps: 5 };
    let mut core = core_in(undocumented(), config());
    let mut effects = core.start(0);
    let (mut all, mut stages) = (effects.clone(), stages.iter());
    for _ in 0..30 {
        let event = match effects.last() {
            Some(Effect::StartEpisode { seed }) => Event::EpisodeStarted {
                seed: *seed,
                observation: Observation::new("a meadow", json!({"inventory": {"wood": 0}, "health": 9})),
            },
            Some(Effect::Discover { plan }) => {
                let beliefs = stages.next().unwrap_or(&plan.beliefs).clone();
                let found = beliefs.documentation(plan.tasks);
                Event::Discovered { beliefs, tasks: found.tasks, recipes: found.recipes }
            }
            Some(Effect::TryCandidates { plan }) => trials(plan, &whim),
            Some(Effect::Act { call, .. }) => report(&call.name, &whim),
            _ => break,
        };
        effects = core.apply(0, event);
        all.extend(effects.iter().cloned());
    }
    all
}

fn stages(effects: &[Effect]) -> Vec<&DiscoveryPlan> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Discover { plan } => Some(plan),
            _ => None,
        })
        .collect()
}

fn candidates(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::TryCandidates { plan } => plan.candidates.first().map(String::as_str),
            _ => None,
        })
        .collect()
}

#[test]
fn a_task_that_was_found_out_is_learned_by_its_recipe_and_the_next_stage_begins_with_it() {
    let effects = live(&[beliefs(false)], true);
    let [first, second] = stages(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!((first.beliefs.rules.len(), second.beliefs.rules.len()), (0, 1));
    assert_ne!(first.seeds, second.seeds);
    let tried = candidates(&effects);
    assert!(tried[0].contains(r#"if (go_to("tree")) interact();"#), "{tried:?}");
    assert!(tried[0].starts_with("function raise_inventory_wood() {"), "{tried:?}");
    let acted =
        |effect: &Effect| matches!(effect, Effect::Act { call, .. } if call.name == "raise_inventory_wood");
    assert!(effects.iter().any(acted));
}

#[test]
fn what_was_contradicted_since_is_not_tried_any_more() {
    let effects = live(&[beliefs(false), beliefs(true)], false);
    assert_eq!(stages(&effects).len(), 2);
    assert_eq!(candidates(&effects).len(), 1, "{effects:?}");
    assert_eq!(candidates(&live(&[beliefs(true)], true)).len(), 0);
}

#[test]
fn without_the_setting_nothing_is_found_out_during_the_run() {
    let effects =
        drive_in(spec(), RunConfig::default(), &vec![Whim { choice: 1, lucky: true, steps: 5 }; 60]);
    assert!(stages(&effects).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_run_that_finds_out_decides_the_same_again(whims in whims(), seed in any::<u64>()) {
        let config = RunConfig { seed, ..config() };
        prop_assert_eq!(drive_in(undocumented(), config.clone(), &whims), drive_in(undocumented(), config, &whims));
    }
}
