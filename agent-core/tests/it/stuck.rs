//! A run without progress: the controller is warned, gets another task, and the run is paused at last.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::whims::{Whim, answer, core, report, trials};
use serde_json::json;
use sojourn_core::{
    ControlRecord, Core, Effect, Event, FinishReason, Milestone, RunConfig, StuckConfig, TimedControl,
};
use sojourn_tools::Observation;

const MINUTE: i64 = 60_000;

/// Lives for at most 400 events, each a minute after the one before; what it does goes well from event `luck` on.
fn live(core: &mut Core, mut at_ms: i64, luck: usize) -> Vec<(i64, Effect)> {
    let mut effects = if at_ms == 0 { core.start(0) } else { core.reopen(at_ms) };
    let mut all: Vec<_> = effects.iter().map(|effect| (at_ms, effect.clone())).collect();
    for number in 1..400 {
        at_ms += MINUTE;
        let whim = Whim { choice: 1, lucky: number >= luck, steps: 5 };
        let observation = Observation::new(format!("wood {number}"), json!({"inventory": {}, "health": 9}));
        let event = match effects.last().unwrap() {
            Effect::StartEpisode { seed } => Event::EpisodeStarted { seed: *seed, observation },
            Effect::AskController { request, .. } => answer(request, &whim),
            Effect::TryCandidates { plan } => trials(plan, &whim),
            Effect::Act { call, .. } => match report(&call.name, &whim) {
                Event::Acted { mut report } => {
                    report.observation = observation;
                    Event::Acted { report }
                }
                other => other,
            },
            Effect::Finish { .. } => break,
            other => panic!("{other:?}"),
        };
        effects = core.apply(at_ms, event);
        all.extend(effects.iter().map(|effect| (at_ms, effect.clone())));
    }
    all
}

fn config(stuck: Option<StuckConfig>) -> RunConfig {
    RunConfig { memory: false, deliberate: false, stuck, ..RunConfig::default() }
}

/// Minutes at which the run was helped, with the task that was left.
fn helped(effects: &[(i64, Effect)]) -> Vec<(i64, bool)> {
    let of = |(at_ms, effect): &(i64, Effect)| match effect {
        Effect::ReportMilestone { milestone: Milestone::NoProgress { left, .. } } => {
            Some((at_ms / MINUTE, left.is_some()))
        }
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

#[test]
fn a_run_without_progress_is_nudged_given_another_task_and_paused_with_a_report() {
    let mut core = core(config(Some(StuckConfig { after_ms: 20 * MINUTE as u64 })));
    let effects = live(&mut core, 0, usize::MAX);
    let helped = helped(&effects);
    assert_eq!(helped.iter().map(|(_, left)| *left).collect::<Vec<_>>(), [false, true]);
    assert!((20..40).contains(&helped[0].0) && (40..60).contains(&helped[1].0), "{helped:?}");
    let Some((at_ms, Effect::Finish { reason: FinishReason::Stuck { quiet_ms, tried } })) = effects.last()
    else {
        panic!("{:?}", effects.last());
    };
    assert!((60..90).contains(&(at_ms / MINUTE)) && *quiet_ms == u64::try_from(*at_ms).unwrap(), "{at_ms}");
    assert!(tried.contains('×'), "the report says what it tried: {tried}");

    // A person resumes it a day later: it has all the time again.
    let (before_ms, at_ms) = (*at_ms, at_ms + 1440 * MINUTE);
    core.apply_control(&TimedControl { record: ControlRecord::resumed(), before_ms, at_ms });
    let effects = live(&mut core, at_ms, usize::MAX);
    let paused_ms = effects.last().unwrap().0;
    assert!((60..90).contains(&((paused_ms - at_ms) / MINUTE)), "{paused_ms} {at_ms}");
}

#[test]
fn progress_starts_the_time_again_and_a_run_without_the_setting_is_never_stuck() {
    let mut lucky = core(config(Some(StuckConfig { after_ms: 20 * MINUTE as u64 })));
    let effects = live(&mut lucky, 0, 45);
    let helped = helped(&effects);
    let early: Vec<bool> = helped.iter().filter(|(minute, _)| *minute < 45).map(|(_, left)| *left).collect();
    assert_eq!(early, [false, true], "{helped:?}");
    let paused_at = effects
        .iter()
        .rfind(|(_, effect)| matches!(effect, Effect::Finish { reason: FinishReason::Stuck { .. } }));
    assert!(paused_at.is_none_or(|(at_ms, _)| *at_ms > 105 * MINUTE), "{paused_at:?}");

    let mut patient = core(config(None));
    let effects = live(&mut patient, 0, usize::MAX);
    assert!(self::helped(&effects).is_empty());
    let stuck =
        |(_, effect): &(i64, Effect)| matches!(effect, Effect::Finish { reason: FinishReason::Stuck { .. } });
    assert!(!effects.iter().any(stuck));
}
