//! Laws of the state machine, for any sequence of events: it never panics, it is deterministic, and it always
//! asks for something that will be answered until it finishes.

use super::whims::{
    Whim, answer, continue_by, core, core_in, drive, drive_in, lucky, memories, observation, pages, report,
    trials, whims,
};
use proptest::prelude::*;
use sojourn_core::{
    Budgets, ConsolidationConfig, ControlRecord, Core, Edit, Effect, Event, ExplorationConfig, FinishReason,
    Milestone, Purpose, ReflexConfig, ReflexTrialPlan, RunConfig, TimedControl,
};
use sojourn_memory::EventSeq;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_same_events_give_the_same_effects(whims in whims(), seed in any::<u64>()) {
        let reflexes = Some(ReflexConfig::default());
        let consolidation = Some(ConsolidationConfig { importance: 20.0, ..ConsolidationConfig::default() });
        let config = RunConfig { seed, reflexes, consolidation, ..RunConfig::default() };
        prop_assert_eq!(drive(config.clone(), &whims), drive(config, &whims));
    }

    #[test]
    fn an_episode_is_only_asked_for_its_own_tasks(whims in whims(), seed in any::<u64>()) {
        let spec = pages();
        let is_in = |name: &str, seed: u64| spec.tasks.iter().find(|task| task.name == name).is_none_or(|task| task.is_in(seed));
        let (mut episode, mut seen): (u64, Option<Vec<u64>>) = (0, None);
        let config = RunConfig { seed, explore: Some(ExplorationConfig::default()), ..RunConfig::default() };
        for effect in drive_in(spec.clone(), config, &whims) {
            match effect {
                Effect::StartEpisode { seed } => episode = seed,
                Effect::ReportMilestone { milestone: Milestone::TaskChosen { task, .. } } => {
                    prop_assert!(is_in(&task, episode));
                    seen = None;
                }
                Effect::ObserveStarts { task, seeds } => {
                    prop_assert!(is_in(&task, episode) && seeds.iter().all(|seed| is_in(&task, *seed)));
                    seen = Some(seeds);
                }
                Effect::Explore { plan } => {
                    prop_assert!(plan.seeds.iter().all(|seed| is_in(&plan.task, *seed)));
                    prop_assert!(!plan.known_skills.contains(&plan.task));
                    seen = Some(plan.seeds);
                }
                // Candidates are tried where nothing was seen before they were written, on what they are about.
                Effect::TryCandidates { plan } => {
                    let seen = seen.as_ref().expect("other beginnings were looked at first");
                    prop_assert!(plan.seeds.iter().all(|seed| is_in(&plan.task, *seed) && !seen.contains(seed)));
                }
                Effect::Act { call, .. } => prop_assert!(is_in(&call.name, episode)),
                _ => {}
            }
        }
    }

    #[test]
    fn a_run_that_is_out_of_time_ends_anywhere_and_can_go_on(whims in whims(), question in any::<bool>()) {
        let config = RunConfig {
            reflexes: Some(ReflexConfig::default()),
            consolidation: Some(ConsolidationConfig { importance: 20.0, ..ConsolidationConfig::default() }),
            explore: question.then(ExplorationConfig::default),
            ..RunConfig::default()
        };
        let mut core = if question { core_in(pages(), config) } else { core(config) };
        let first = core.start(0);
        let (open, _) = continue_by(&mut core, first, &whims);
        let short = matches!(open.last(), Some(Effect::Finish { .. }) | None);
        // Lessons are recalled on the way to a question to the controller, which may take long.
        let perhaps_short = matches!(open.last(), Some(Effect::Recall { .. }));
        let ended = core.apply(1_000_000, Event::OutOfTime {});
        prop_assert!(perhaps_short || ended.is_empty() == short, "{:?}", open.last());
        if !ended.is_empty() {
            let time = Effect::Finish { reason: FinishReason::Time };
            prop_assert_eq!(ended.last(), Some(&time));
            let next = core.reopen(1_000_001);
            let goes_on = next.last().is_some_and(|effect| !matches!(effect, Effect::Finish { .. }));
            prop_assert!(goes_on, "{:?}", next);
            continue_by(&mut core, next, &lucky()[..60]);
        }
    }

    #[test]
    fn budgets_end_a_run(whims in whims(), limit in 1..200_u64) {
        let mut config = RunConfig::default();
        config.budgets.steps = Some(limit);
        let effects = drive(config, &whims);
        let acted: Vec<u32> = effects.iter().filter_map(|e| match e { Effect::Act { max_steps, .. } => Some(*max_steps), _ => None }).collect();
        prop_assert!(acted.iter().all(|max| u64::from(*max) <= limit));
    }

    #[test]
    fn lessons_rest_on_what_happened_since_the_last_ones(whims in whims(), importance in 0..100_u8) {
        let consolidation = ConsolidationConfig { importance: f32::from(importance), ..ConsolidationConfig::default() };
        let config = RunConfig { consolidation: Some(consolidation.clone()), ..RunConfig::default() };
        let mut asked = 0;
        let mut last = EventSeq(0);
        let mut written = Vec::new();
        for effect in drive(config, &whims) {
            match effect {
                Effect::AskController { purpose: Purpose::Consolidate, request } => {
                    asked += 1;
                    let told = request.messages[1].text();
                    prop_assert!(told.lines().count() > 3, "{told}");
                    prop_assert!(written.iter().all(|text| !told.contains(text)), "a lesson is no event: {told}");
                }
                Effect::Consolidate { edits } => {
                    asked -= 1;
                    let mut texts = std::collections::BTreeSet::new();
                    let mut merged = std::collections::BTreeSet::new();
                    let mut newest = last;
                    for edit in &edits {
                        match edit {
                            Edit::Add { text, importance, sources, .. } => {
                                prop_assert!(!text.trim().is_empty() && texts.insert(text.to_lowercase()));
                                prop_assert!((1.0..=10.0).contains(importance) && !sources.is_empty());
                                prop_assert!(sources.iter().all(|seq| *seq > last), "{sources:?} after {last:?}");
                                newest = newest.max(sources.iter().copied().max().unwrap_or(last));
                                written.push(text.clone());
                            }
                            Edit::Merge { added, .. } => prop_assert!(*added < texts.len() && merged.insert(*added)),
                            Edit::Close { added, .. } => prop_assert!(*added < texts.len()),
                        }
                    }
                    prop_assert!((1..=consolidation.lessons as usize).contains(&texts.len()));
                    last = newest;
                }
                _ => {}
            }
        }
        prop_assert!(asked >= 0);
    }

    #[test]
    fn an_unlocked_achievement_is_not_chosen_again_in_its_episode(whims in whims()) {
        let mut core = core(RunConfig::default());
        let mut effects = core.start(0);
        let mut unlocked = std::collections::BTreeSet::new();
        for whim in &whims {
            for effect in &effects {
                if let Effect::ReportMilestone { milestone: Milestone::TaskChosen { task, learning: false } } = effect {
                    prop_assert!(!unlocked.contains(task), "{task} was chosen again");
                }
            }
            let event = match effects.last() {
                Some(Effect::StartEpisode { seed }) => {
                    unlocked.clear();
                    Event::EpisodeStarted { seed: *seed, observation: observation(whim) }
                }
                Some(Effect::Recall { .. }) => Event::Recalled { memories: Vec::new(), tools: Vec::new() },
                Some(Effect::AskController { request, .. }) => answer(request, whim),
                Some(Effect::TryCandidates { plan }) => trials(plan, whim),
                Some(Effect::Act { call, .. }) => {
                    if whim.lucky {
                        unlocked.insert(call.name.clone());
                    }
                    report(&call.name, whim)
                }
                _ => break,
            };
            effects = core.apply(0, event);
        }
    }
}

/// Whether an event answers it.
fn answered(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::StartEpisode { .. }
            | Effect::Recall { .. }
            | Effect::AskController { .. }
            | Effect::ObserveStarts { .. }
            | Effect::Explore { .. }
            | Effect::Discover { .. }
            | Effect::TryCandidates { .. }
            | Effect::TryReflexes { .. }
            | Effect::Act { .. }
    )
}

#[test]
fn after_a_death_a_reflex_is_written_confirmed_in_other_episodes_and_admitted() {
    let config = RunConfig { reflexes: Some(ReflexConfig::default()), ..RunConfig::default() };
    let effects = drive(config, &lucky());
    let plans: Vec<&ReflexTrialPlan> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::TryReflexes { plan } => Some(plan),
            _ => None,
        })
        .collect();
    let [screening, confirming, ..] = plans.as_slice() else { panic!("{} trials", plans.len()) };
    assert!(
        !confirming.seeds.iter().any(|seed| screening.seeds.contains(seed)),
        "the same episodes decide twice"
    );
    assert_eq!(confirming.candidates.len(), 1);
    let admitted = effects.iter().find_map(|effect| match effect {
        Effect::ReportMilestone { milestone: Milestone::ReflexAdmitted { reflex, figures, .. } } => {
            Some((reflex, figures))
        }
        _ => None,
    });
    let (reflex, figures) = admitted.expect("a reflex that doubles life is admitted");
    assert_eq!(
        (reflex.as_str(), figures.steps.with, figures.steps.without),
        ("against_a_zombie", 200.0, 100.0)
    );
    let most = ReflexConfig::default().most;
    let count = effects.iter().filter(|effect| {
        matches!(effect, Effect::ReportMilestone { milestone: Milestone::ReflexAdmitted { .. } })
    });
    assert!(count.count() <= most);
}

#[test]
fn a_reflex_that_shortens_life_is_not_admitted() {
    let mut whims = lucky();
    // Skills are learned by luck; then lives with a candidate are short.
    whims.iter_mut().skip(60).for_each(|whim| whim.lucky = false);
    let config = RunConfig { reflexes: Some(ReflexConfig::default()), ..RunConfig::default() };
    let effects = drive(config, &whims);
    let tried = effects.iter().position(|effect| matches!(effect, Effect::TryReflexes { .. }));
    let after = &effects[tried.unwrap_or(0)..];
    let late = after.iter().skip_while(|effect| {
        !matches!(effect, Effect::ReportMilestone { milestone: Milestone::ReflexGivenUp { .. } })
    });
    assert!(!late.clone().any(|effect| matches!(
        effect,
        Effect::ReportMilestone { milestone: Milestone::ReflexAdmitted { .. } }
    )),);
}

#[test]
fn lessons_that_were_recalled_are_credited_when_the_task_is_over() {
    let config = RunConfig { consolidation: Some(ConsolidationConfig::default()), ..RunConfig::default() };
    let mut recalled = std::collections::BTreeSet::new();
    let mut verdicts = std::collections::BTreeSet::new();
    let mut whims = lucky();
    whims.iter_mut().skip(200).for_each(|whim| whim.lucky = whim.choice % 2 == 0);
    let mut position = 0;
    for effect in drive(config, &whims) {
        let answers = usize::from(answered(&effect));
        match effect {
            Effect::Recall { .. } => {
                let Event::Recalled { memories, .. } = memories(&whims[position]) else { continue };
                recalled.extend(memories.into_iter().filter(|m| m.kind == "reflection").map(|m| m.id));
            }
            Effect::CreditMemories { memories, helped } => {
                assert!(!memories.is_empty() && memories.iter().all(|id| recalled.contains(id)));
                verdicts.insert(helped);
            }
            _ => {}
        }
        position += answers;
    }
    assert_eq!(verdicts.len(), 2, "some helped and some did not");
}

#[test]
fn without_consolidation_no_lessons_are_drawn_or_credited() {
    let effects = drive(RunConfig::default(), &lucky());
    let of_it = |effect: &Effect| {
        matches!(effect, Effect::Consolidate { .. } | Effect::CreditMemories { .. })
            || matches!(
                effect,
                Effect::AskController { purpose: Purpose::Consolidate | Purpose::Compare, .. }
            )
    };
    assert!(!effects.iter().any(of_it));
    let config = serde_json::to_value(RunConfig::default()).unwrap();
    assert!(config.get("consolidation").is_none(), "the settings of older logs are as they were");
}

#[test]
fn the_time_between_two_processes_is_not_the_runs() {
    let config = RunConfig {
        budgets: Budgets { time_ms: Some(1000), ..Budgets::default() },
        memory: false,
        ..RunConfig::default()
    };
    let first = Whim { choice: 1, lucky: true, steps: 1 };
    for (gap, ends) in [(0, false), (5000, true)] {
        // A pause of 5 s: with a control record it does not count, without one it does.
        for told in [true, false] {
            let mut core = core(config.clone());
            core.start(0);
            if told {
                let record = ControlRecord::resumed();
                core.apply_control(&TimedControl { record, before_ms: 0, at_ms: gap });
            }
            let effects =
                core.apply(gap, Event::EpisodeStarted { seed: 1, observation: observation(&first) });
            let over = matches!(effects.last(), Some(Effect::Finish { reason: FinishReason::Time }));
            assert_eq!(over, ends && !told, "gap {gap}, told {told}: {effects:?}");
        }
    }
}

#[test]
fn a_run_with_exhausted_steps_resumes_with_a_larger_budget() {
    let config = RunConfig {
        budgets: Budgets { steps: Some(10), ..Budgets::default() },
        memory: false,
        ..RunConfig::default()
    };
    let mut core = core(config);
    let mut effects = core.start(0);
    let mut clock = 0;
    let mut live = |core: &mut Core, effects: &mut Vec<Effect>| {
        for whim in lucky() {
            let event = match effects.last() {
                Some(Effect::StartEpisode { seed }) => {
                    Event::EpisodeStarted { seed: *seed, observation: observation(&whim) }
                }
                Some(Effect::AskController { request, .. }) => answer(request, &whim),
                Some(Effect::TryCandidates { plan }) => trials(plan, &whim),
                Some(Effect::Act { call, .. }) => report(&call.name, &whim),
                _ => return,
            };
            clock += 1;
            *effects = core.apply(clock, event);
        }
    };
    live(&mut core, &mut effects);
    assert_eq!(effects.last(), Some(&Effect::Finish { reason: FinishReason::Steps }));
    let walked = core.totals().steps;
    let record = ControlRecord::Resumed {
        budgets: Some(Budgets { steps: Some(7), ..Budgets::default() }),
        policy: None,
        untrusted: false,
        foreign: false,
        confined: false,
        by: None,
    };
    core.apply_control(&TimedControl { record, before_ms: 0, at_ms: 0 });
    effects = core.reopen(0);
    live(&mut core, &mut effects);
    assert_eq!(effects.last(), Some(&Effect::Finish { reason: FinishReason::Steps }));
    assert!(core.totals().steps >= walked + 7, "{walked} and then {}", core.totals().steps);
}

#[test]
fn a_controller_that_stays_broken_ends_the_run() {
    let whims = vec![Whim { choice: 0, lucky: false, steps: 1 }; 60];
    let effects = drive(RunConfig { memory: false, ..RunConfig::default() }, &whims);
    assert!(
        matches!(effects.last(), Some(Effect::Finish { reason: FinishReason::Controller { .. } })),
        "{:?}",
        effects.last()
    );
}

#[test]
fn episodes_that_were_asked_for_are_run_in_order_and_then_it_ends() {
    let config = RunConfig { episodes: vec![5, 7], memory: false, ..RunConfig::default() };
    let whims = vec![Whim { choice: 11, lucky: true, steps: 5 }; 80];
    let effects = drive(config, &whims);
    let seeds: Vec<u64> = effects
        .iter()
        .filter_map(|e| match e {
            Effect::StartEpisode { seed } => Some(*seed),
            _ => None,
        })
        .collect();
    assert_eq!(seeds, [5, 7]);
    assert_eq!(effects.last(), Some(&Effect::Finish { reason: FinishReason::Episodes }));
}

#[test]
fn tasks_of_different_episodes_are_learned_in_turn() {
    let tasks = ["collect_wood", "collect_drink", "place_plant"].map(str::to_owned).to_vec();
    let config = RunConfig { tasks: tasks.clone(), ..RunConfig::default() };
    let mut learned = Vec::new();
    for effect in drive_in(pages(), config, &lucky()) {
        if let Effect::ReportMilestone { milestone: Milestone::SkillAdmitted { skill, .. } } = effect {
            learned.push(skill);
        }
    }
    learned.sort();
    let mut expected = tasks;
    expected.sort();
    assert_eq!(learned, expected);
}
