//! What an agent can do already is not lived again and again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::whims::{Whim, answer, core, core_in, drive_in, explored, report, spec, trials};
use serde_json::json;
use sojourn_core::{Core, Effect, Event, ExplorationConfig, FinishReason, Milestone, RunConfig};
use sojourn_tools::Observation;

/// Lives by good luck, except that no candidate for `unlearnable` passes. At most 400 events.
fn live(config: RunConfig, unlearnable: &str) -> Vec<Effect> {
    live_in(core(config), unlearnable)
}

fn live_in(mut core: Core, unlearnable: &str) -> Vec<Effect> {
    let whim = Whim { choice: 1, lucky: true, steps: 5 };
    let observed = |wood: u64| {
        let text = format!("wood {wood}");
        Observation::new(text, json!({"inventory": {"wood": wood}, "health": 9}))
    };
    let mut effects = core.start(0);
    let mut all = effects.clone();
    for number in 1..400 {
        let event = match effects.last().unwrap() {
            Effect::StartEpisode { seed } => Event::EpisodeStarted { seed: *seed, observation: observed(0) },
            Effect::AskController { request, .. } => {
                answer(request, &Whim { choice: number, ..whim.clone() })
            }
            Effect::Explore { plan } => explored(plan, &whim),
            Effect::TryCandidates { plan } => {
                trials(plan, &Whim { lucky: plan.task != unlearnable, ..whim.clone() })
            }
            Effect::Act { call, .. } => match report(&call.name, &whim) {
                Event::Acted { mut report } => {
                    report.observation = observed(1);
                    Event::Acted { report }
                }
                other => other,
            },
            Effect::Finish { .. } => break,
            other => panic!("{other:?}"),
        };
        effects = core.apply(0, event);
        all.extend(effects.iter().cloned());
    }
    all
}

fn config(tasks: &[&str]) -> RunConfig {
    RunConfig {
        memory: false,
        deliberate: false,
        tasks: tasks.iter().map(|&task| task.to_owned()).collect(),
        uneventful_episodes: Some(5),
        ..RunConfig::default()
    }
}

fn episodes(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::StartEpisode { .. })).count()
}

/// How often a skill for a task was to be written.
fn attempts(effects: &[Effect], task: &str) -> usize {
    let wanted = |effect: &&Effect| matches!(effect, Effect::ReportMilestone { milestone: Milestone::TaskChosen { task: chosen, learning: true } } if chosen == task);
    effects.iter().filter(wanted).count()
}

#[test]
fn a_learned_task_is_not_lived_for_ever() {
    let effects = live(config(&["collect_wood"]), "");
    let reason = FinishReason::NothingNew { episodes: 5 };
    assert_eq!(effects.last(), Some(&Effect::Finish { reason }));
    assert_eq!(episodes(&effects), 6, "one that learned it, and five without news");
}

#[test]
fn a_run_goes_on_as_before_where_its_settings_say_so() {
    for config in [
        RunConfig { uneventful_episodes: Some(0), ..config(&["collect_wood"]) },
        // A log that was recorded before there was the setting.
        RunConfig { uneventful_episodes: None, ..config(&["collect_wood"]) },
        RunConfig { episodes: (0..20).collect(), ..config(&["collect_wood"]) },
    ] {
        let effects = live(config.clone(), "");
        let nothing_new =
            matches!(effects.last(), Some(Effect::Finish { reason: FinishReason::NothingNew { .. } }));
        assert!(!nothing_new && episodes(&effects) >= 20, "{config:?}: {} episodes", episodes(&effects));
    }
}

#[test]
fn where_all_else_is_learned_a_task_that_was_left_for_later_is_tried_again() {
    let tasks = ["collect_wood", "collect_drink"];
    let now = live(config(&tasks), "collect_drink");
    let before = live(RunConfig { uneventful_episodes: None, ..config(&tasks) }, "collect_drink");
    let (now, before) = (attempts(&now, "collect_drink"), attempts(&before, "collect_drink"));
    assert!(now > before && before > 0, "{now} attempts, {before} without the setting");
}

#[test]
fn a_world_that_must_not_be_practised_in_is_acted_in_step_by_step() {
    let mut spec = super::whims::pages();
    (spec.deterministic, spec.practice) = (false, false);
    let config = RunConfig { memory: false, ..RunConfig::default() };
    let effects = drive_in(spec, config, &vec![Whim { choice: 1, lucky: true, steps: 5 }; 60]);
    let tried = |effect: &Effect| {
        matches!(
            effect,
            Effect::Explore { .. }
                | Effect::Discover { .. }
                | Effect::ObserveStarts { .. }
                | Effect::TryCandidates { .. }
                | Effect::RetestSkills { .. }
                | Effect::TryReflexes { .. }
        )
    };
    assert!(!effects.iter().any(tried), "something was practised");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Act { .. })), "nothing was done");
}

#[test]
fn a_world_of_others_that_nobody_explores_is_not_left_unused() {
    let acts = |rules| {
        let mut spec = spec();
        spec.deterministic = false;
        let config = RunConfig { rules, deliberate: true, ..config(&["collect_wood"]) };
        let effects = live_in(core_in(spec, config), "collect_wood");
        effects.iter().filter(|effect| matches!(effect, Effect::Act { .. })).count()
    };
    assert_eq!(acts(1), 0, "logs of earlier rules");
    assert!(acts(2) > 0, "no action was chosen where no skill could be learned");
}

#[test]
fn play_that_found_ways_and_no_program_has_twice_as_many_episodes_the_next_time() {
    let episodes = |rules| -> Vec<usize> {
        let mut spec = spec();
        spec.play = true;
        spec.recipes.clear();
        let mut config = RunConfig { rules, ..config(&["collect_drink", "collect_wood"]) };
        config.explore = Some(ExplorationConfig { episodes: 10, ..ExplorationConfig::default() });
        config.actor.rounds = 0;
        let explored = |effect: &Effect| match effect {
            Effect::Explore { plan } if plan.task == "collect_drink" => Some(plan.seeds.len()),
            _ => None,
        };
        live_in(core_in(spec, config), "collect_drink").iter().filter_map(explored).take(5).collect()
    };
    assert_eq!(episodes(7), [10, 20, 40, 80, 80]);
    assert_eq!(episodes(6), [10; 5], "logs of earlier rules");
}
