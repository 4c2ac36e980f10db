//! An episode in which no task is left goes on, and habits are found by search where a death shows what is missing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::whims::{Whim, core, report, trials};
use serde_json::{Value, json};
use sojourn_core::{
    Effect, Event, Milestone, Moment, ReflexCandidateTrial, ReflexConfig, ReflexTrialPlan, RunConfig,
};
use sojourn_skills::{Arm, LibraryEvent, Origin, PairedEpisode, ReflexRule, ReflexTrial, Wasm};
use sojourn_tools::{Ending, EndingKind, Observation};

/// A life with good luck.
struct Life {
    config: RunConfig,
    /// Steps of each call that only lets time pass.
    steps: u32,
    /// A task whose skill never reaches its goal.
    failing: &'static str,
    /// The step of the run's calls from which on each one ends with a death.
    dies_from: usize,
    /// Which habits prolong practice episodes.
    helps: fn(&str) -> bool,
}

impl Life {
    fn of(config: RunConfig) -> Self {
        Self { config, steps: 10, failing: "", dies_from: usize::MAX / 2, helps: |_| false }
    }

    /// All effects of at most 600 events.
    fn live(&self) -> Vec<Effect> {
        let mut core = core(self.config.clone());
        let mut effects = core.start(0);
        let mut all = effects.clone();
        let (mut drink, mut acts, mut time) = (9_u64, 0, 0);
        for _ in 0..600 {
            let event = match effects.last().unwrap() {
                Effect::StartEpisode { seed } => {
                    drink = 9;
                    Event::EpisodeStarted { seed: *seed, observation: observed(9, time, false) }
                }
                Effect::TryCandidates { plan } => trials(plan, &Whim { choice: 1, lucky: true, steps: 5 }),
                Effect::TryReflexes { plan } => self.tried(plan),
                Effect::Act { call, .. } => {
                    acts += 1;
                    time += 1;
                    let task = call.name.contains('_') && call.name != "go_to";
                    let lucky = task && call.name != self.failing;
                    let steps = if task { 10 } else { self.steps };
                    drink = if call.name == "collect_drink" { 9 } else { drink.saturating_sub(1) };
                    match report(&call.name, &Whim { choice: 1, lucky, steps }) {
                        Event::Acted { mut report } => {
                            let dies = acts >= self.dies_from;
                            let achieved = if lucky { call.name.as_str() } else { "" };
                            let dark = acts + 3 >= self.dies_from;
                            report.observation = observed(drink, time, dark);
                            report.observation.state["achievements"][achieved] = json!(1);
                            let state = report.observation.state.clone();
                            report.moments = vec![Moment { state, action: "noop".into() }];
                            let cause = "struck by lightning".to_owned();
                            report.ended = dies.then_some(Ending { kind: EndingKind::Died, cause });
                            Event::Acted { report }
                        }
                        other => other,
                    }
                }
                Effect::Finish { .. } => break,
                other => panic!("{other:?}"),
            };
            effects = core.apply(0, event);
            all.extend(effects.iter().cloned());
        }
        all
    }

    fn tried(&self, plan: &ReflexTrialPlan) -> Event {
        let arm = |steps| Arm { steps, died: true, achievements: 2 };
        let trial = |source: &String| {
            let with = arm(if (self.helps)(source) { 200 } else { 100 });
            let episode = |seed: &u64| PairedEpisode { seed: *seed, with, without: arm(100) };
            ReflexCandidateTrial {
                compile_error: None,
                wasm: Some(Wasm(source.clone().into_bytes())),
                acts: true,
                trial: ReflexTrial { episodes: plan.seeds.iter().map(episode).collect() },
            }
        };
        Event::ReflexesTried { trials: plan.candidates.iter().map(trial).collect() }
    }
}

fn observed(drink: u64, time: u64, dark: bool) -> Observation {
    let state = json!({
        "drink": drink, "dark": dark, "health": 9, "achievements": {},
        "inventory": {"wood": 3 + time, "stone": 0, "sapling": 0},
    });
    Observation::new(format!("moment {time}, drink {drink}"), state)
}

fn config(tasks: &[&str]) -> RunConfig {
    RunConfig {
        memory: false,
        deliberate: false,
        tasks: tasks.iter().map(|&task| task.to_owned()).collect(),
        episodes: vec![1],
        episode_steps: 500,
        live_on: true,
        ..RunConfig::default()
    }
    .with_recipes()
}

trait WithRecipes {
    fn with_recipes(self) -> Self;
}

impl WithRecipes for RunConfig {
    fn with_recipes(mut self) -> Self {
        self.actor.follow_recipes = true;
        self.actor.rounds = 0;
        self
    }
}

fn calls(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Act { call, .. } => Some(call.name.as_str()),
            _ => None,
        })
        .collect()
}

/// Why the first episode ended, and after how many steps.
fn ending(effects: &[Effect]) -> (String, u64) {
    let ended = effects.iter().find_map(|effect| match effect {
        Effect::ReportMilestone { milestone: Milestone::EpisodeEnded { cause, steps, .. } } => {
            Some((cause.clone(), *steps))
        }
        _ => None,
    });
    ended.unwrap()
}

#[test]
fn an_episode_without_open_tasks_goes_on_until_its_time_is_up() {
    let effects = Life::of(config(&["collect_wood"])).live();
    assert_eq!(ending(&effects), ("time is up".to_owned(), 500));
    let calls = calls(&effects);
    assert_eq!(
        calls.iter().filter(|call| **call == "collect_wood").count(),
        1,
        "what is done is not done again"
    );
    for pastime in ["explore", "noop"] {
        assert!(calls.contains(&pastime), "{calls:?}");
    }
    let without = Life::of(RunConfig { live_on: false, ..config(&["collect_wood"]) }).live();
    assert_eq!(ending(&without), ("nothing was left to do".to_owned(), 10));
}

#[test]
fn what_failed_is_tried_again_later_in_the_episode() {
    let life = |live_on| Life {
        failing: "collect_sapling",
        ..Life::of(RunConfig { live_on, ..config(&["collect_sapling", "collect_drink"]) })
    };
    let tries = |effects: &[Effect]| calls(effects).iter().filter(|call| **call == "collect_sapling").count();
    let (with, without) = (tries(&life(true).live()), tries(&life(false).live()));
    assert!(with > without && without > 0, "{with} and {without} tries");
}

#[test]
fn an_episode_in_which_nothing_takes_a_step_is_left() {
    let effects = Life { steps: 0, ..Life::of(config(&["collect_wood"])) }.live();
    assert_eq!(ending(&effects), ("nothing was left to do".to_owned(), 10));
}

fn searching(most: usize) -> RunConfig {
    let rule = ReflexRule { episodes: 12, margin: 0.1, errors: 0.0 };
    let reflexes = ReflexConfig {
        write: false,
        search: true,
        confirming: 12,
        rule,
        most,
        attempts: 9,
        ..ReflexConfig::default()
    };
    let tasks =
        ["collect_drink", "collect_wood", "place_table", "make_wood_pickaxe", "collect_stone", "place_stone"];
    RunConfig { episodes: Vec::new(), reflexes: Some(reflexes), ..config(&tasks) }
}

fn tried(effects: &[Effect]) -> Vec<&ReflexTrialPlan> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::TryReflexes { plan } => Some(plan),
            _ => None,
        })
        .collect()
}

#[test]
fn the_best_habit_of_a_search_is_admitted_with_what_it_may_call() {
    let life = Life {
        dies_from: 16,
        helps: |source| source.contains("dark === true") && source.contains("place("),
        ..Life::of(searching(1))
    };
    let effects = life.live();
    let plans = tried(&effects);
    assert!(plans[0].candidates.len() > plans[1].candidates.len(), "the first stage sifts");
    let last = plans.last().unwrap();
    assert_eq!((last.candidates.len(), last.seeds.len()), (1, 12), "the best one confirms its gain");
    assert!(plans.iter().all(|plan| plan.granted.contains(&"collect_stone".to_owned()) && plan.live_on));
    let drafted = effects.iter().find_map(|effect| match effect {
        Effect::ChangeLibrary { change: LibraryEvent::Drafted { skill } }
            if skill.manifest.name.starts_with("against") =>
        {
            Some(skill)
        }
        _ => None,
    });
    let manifest = &drafted.expect("nothing was admitted").manifest;
    assert!(matches!(manifest.origin, Origin::Exploration { .. }), "{:?}", manifest.origin);
    for call in ["collect_stone", "face", "observe", "place"] {
        assert!(manifest.calls.iter().any(|name| name == call), "{call}: {:?}", manifest.calls);
    }
}

#[test]
fn a_number_that_falls_is_met_by_the_skill_that_raises_it() {
    let life = Life { dies_from: 30, ..Life::of(searching(1)) };
    let effects = life.live();
    let plans = tried(&effects);
    let needs: Vec<_> =
        plans[0].candidates.iter().filter(|source| source.contains("observe().drink <=")).collect();
    assert!(!needs.is_empty(), "{:?}", plans[0].candidates);
    assert!(needs.iter().all(|source| source.contains("if (!collect_drink()) break;")), "{needs:?}");
    assert!(
        !plans[0].candidates.iter().any(|source| source.contains("health")),
        "what kills at zero is no need"
    );
}

#[test]
fn searches_that_find_nothing_end() {
    let effects = Life { dies_from: 16, ..Life::of(searching(8)) }.live();
    assert_eq!(tried(&effects).len(), 2, "no habit gained anything in two searches");
    assert!(matches!(Value::from(effects.len()).as_u64(), Some(50..)), "the run went on");
}
