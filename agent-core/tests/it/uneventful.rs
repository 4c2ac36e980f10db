//! What an agent can do already is not lived again and again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::whims::{Whim, answer, core, report, trials};
use serde_json::json;
use sojourn_core::{Effect, Event, FinishReason, Milestone, RunConfig};
use sojourn_tools::Observation;

/// Lives by good luck, except that no candidate for `unlearnable` passes. At most 400 events.
fn live(config: RunConfig, unlearnable: &str) -> Vec<Effect> {
    let whim = Whim { choice: 1, lucky: true, steps: 5 };
    let observed = |wood: u64| {
        let text = format!("wood {wood}");
        Observation::new(text, json!({"inventory": {"wood": wood}, "health": 9}))
    };
    let mut core = core(config);
    let mut effects = core.start(0);
    let mut all = effects.clone();
    for number in 1..400 {
        let event = match effects.last().unwrap() {
            Effect::StartEpisode { seed } => Event::EpisodeStarted { seed: *seed, observation: observed(0) },
            Effect::AskController { request, .. } => {
                answer(request, &Whim { choice: number, ..whim.clone() })
            }
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
