//! Who writes a skill: first the recipe where the run follows it, then the controller, one candidate before several.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::whims::{Whim, answer, core, report, trials};
use serde_json::json;
use sojourn_controller::Constraint;
use sojourn_core::{ActorConfig, Effect, Event, Milestone, RunConfig};
use sojourn_skills::{LibraryEvent, Origin};
use sojourn_tools::Observation;

const TASK: &str = "collect_wood";

/// What a run does with the first attempt at the task, whose candidates pass where `passes` says so.
fn attempt(config: RunConfig, passes: impl Fn(&str) -> bool) -> Vec<Effect> {
    let whim = Whim { choice: 1, lucky: true, steps: 5 };
    let observation = || Observation::new("a meadow", json!({"inventory": {"wood": 0}, "health": 9}));
    let config = RunConfig { memory: false, deliberate: false, tasks: vec![TASK.to_owned()], ..config };
    let mut core = core(config);
    let mut effects = core.start(0);
    let mut all = effects.clone();
    for round in 1..40 {
        let event = match effects.last().unwrap() {
            Effect::StartEpisode { seed } => {
                Event::EpisodeStarted { seed: *seed, observation: observation() }
            }
            Effect::AskController { request, .. } => answer(request, &Whim { choice: round, ..whim.clone() }),
            Effect::TryCandidates { plan } => {
                trials(plan, &Whim { lucky: passes(&plan.candidates[0]), ..whim.clone() })
            }
            Effect::Act { call, .. } => report(&call.name, &whim),
            other => panic!("{other:?}"),
        };
        effects = core.apply(0, event);
        all.extend(effects.iter().cloned());
        let over = |effect: &Effect| {
            matches!(
                effect,
                Effect::ReportMilestone {
                    milestone: Milestone::SkillGivenUp { .. } | Milestone::SkillAdmitted { .. }
                }
            )
        };
        // What follows is the next attempt.
        if let Some(end) = all.iter().position(over) {
            all.truncate(end + 1);
            return all;
        }
    }
    panic!("neither learned nor given up");
}

/// How many candidates each request for a skill asked for.
fn asked(effects: &[Effect]) -> Vec<u32> {
    let requests = effects.iter().filter_map(|effect| match effect {
        Effect::AskController { request, .. } if matches!(request.constraint, Constraint::Lark(_)) => {
            Some(request.candidates)
        }
        _ => None,
    });
    requests.collect()
}

/// Who wrote the skill that was drafted.
fn author(effects: &[Effect]) -> Option<&Origin> {
    effects.iter().find_map(|effect| match effect {
        Effect::ChangeLibrary { change: LibraryEvent::Drafted { skill } } => Some(&skill.manifest.origin),
        _ => None,
    })
}

fn following() -> RunConfig {
    let actor = ActorConfig { follow_recipes: true, ..ActorConfig::default() };
    RunConfig { actor, ..RunConfig::default() }
}

/// The programs of recipes use the largest count that the game allows; the model's answers here do not.
fn is_printed(source: &str) -> bool {
    source.contains("Math.min")
}

#[test]
fn a_recipe_is_followed_without_asking_the_controller() {
    let effects = attempt(following(), is_printed);
    assert!(asked(&effects).is_empty());
    assert!(matches!(author(&effects), Some(Origin::Recipe { .. })));
}

#[test]
fn what_recipes_cannot_do_the_controller_writes() {
    let effects = attempt(following(), |source| !is_printed(source));
    assert_eq!(asked(&effects), [1]);
    assert!(matches!(author(&effects), Some(Origin::Model { .. })));
}

#[test]
fn a_run_that_does_not_follow_recipes_tries_none() {
    let effects = attempt(RunConfig::default(), |source| !is_printed(source));
    assert_eq!(asked(&effects), [1]);
    let printed = |effect: &Effect| matches!(effect, Effect::TryCandidates { plan } if plan.candidates.iter().any(|source| is_printed(source)));
    assert!(!effects.iter().any(printed));
}

#[test]
fn one_candidate_comes_first_and_a_hopeless_task_is_left_after_two_rounds() {
    assert_eq!(asked(&attempt(RunConfig::default(), |_| false)), [1, 4]);
    let earlier = RunConfig { rules: 3, ..RunConfig::default() };
    assert_eq!(asked(&attempt(earlier, |_| false)), [4, 4, 4, 4], "as logs of then were decided");
}
