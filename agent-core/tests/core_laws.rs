//! Laws of the state machine, for any sequence of events: it never panics, it is deterministic, and it always
//! asks for something that will be answered until it finishes.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sojourn_controller::{Completion, Finish, Reply, Timing, Usage};
use sojourn_core::{
    ActReport, CandidateTrial, Core, Effect, Event, FinishReason, Milestone, RunConfig, RunOrigin, SkillUse,
    TrialPlan, Unlocked,
};
use sojourn_crafter::CrafterEnvironment;
use sojourn_skills::{LibraryState, TrialReport, Wasm, WorldResult};
use sojourn_tools::{Ending, EndingKind, Environment, EnvironmentSpec, Observation};

/// What the outside does next, whatever it was asked.
#[derive(Debug, Clone)]
struct Whim {
    /// Chooses among options, texts and outcomes.
    choice: usize,
    /// Whether things go well.
    lucky: bool,
    /// Steps that an action takes.
    steps: u32,
}

fn whims() -> impl Strategy<Value = Vec<Whim>> {
    let whim = (0..64_usize, any::<bool>(), 0..60_u32).prop_map(|(choice, lucky, steps)| Whim {
        choice,
        lucky,
        steps,
    });
    prop::collection::vec(whim, 1..120)
}

fn spec() -> EnvironmentSpec {
    CrafterEnvironment::default().spec().clone()
}

fn core(config: RunConfig) -> Core {
    let origin = RunOrigin { run: "test".into(), model: "test".into(), engine: "test".into() };
    Core::new(config, spec(), LibraryState::default(), origin)
}

fn observation(whim: &Whim) -> Observation {
    let wood = whim.choice % 10;
    Observation { text: format!("wood {wood}"), state: json!({"inventory": {"wood": wood}, "health": 9}) }
}

fn reply(texts: Vec<String>) -> Reply {
    let candidates =
        texts.into_iter().map(|text| Completion { text, tokens: 7, finish: Finish::Complete }).collect();
    Reply {
        candidates,
        usage: Usage { prompt_tokens: 90, cached_tokens: 60, completion_tokens: 7 },
        timing: Timing::default(),
    }
}

/// An answer to a request: sometimes what was asked for, sometimes cut short.
fn answer(request: &sojourn_controller::Request, whim: &Whim) -> Event {
    if !whim.lucky && whim.choice.is_multiple_of(7) {
        return Event::ThoughtFailed { error: "the model is gone".into() };
    }
    let text = match &request.constraint {
        sojourn_controller::Constraint::JsonSchema(schema) => {
            let options = schema["anyOf"].as_array().cloned().unwrap_or_default();
            match options.get(whim.choice % options.len().max(1)) {
                Some(option) => {
                    let fields: Map<String, Value> = option["properties"]
                        .as_object()
                        .map(|properties| {
                            properties
                                .iter()
                                .map(|(key, schema)| {
                                    (key.clone(), schema.get("const").cloned().unwrap_or(json!(1)))
                                })
                                .collect()
                        })
                        .unwrap_or_default();
                    Value::Object(fields).to_string()
                }
                None => String::new(),
            }
        }
        sojourn_controller::Constraint::Lark(_) => format!("  interact(); explore({});\n}}", whim.choice + 1),
    };
    Event::Thought { reply: reply(vec![text; request.candidates as usize]) }
}

fn trials(plan: &TrialPlan, whim: &Whim) -> Event {
    let world = |seed: &u64| WorldResult {
        seed: *seed,
        args: Map::new(),
        verified: whim.lucky,
        returned: true,
        steps: whim.steps,
        harm: 0.0,
        died: false,
        unrelated: Vec::new(),
        error: None,
    };
    let trial = CandidateTrial {
        compile_error: None,
        wasm: Some(Wasm(vec![whim.choice as u8])),
        report: TrialReport {
            worlds: plan.seeds.iter().take(plan.worlds).map(world).collect(),
            prerequisites: vec![],
        },
        failure: None,
    };
    Event::Tried { trials: vec![trial; plan.candidates.len()] }
}

fn report(name: &str, whim: &Whim) -> Event {
    let unlocked = if whim.lucky { vec![Unlocked { task: name.to_owned(), step: 3 }] } else { Vec::new() };
    let ended =
        whim.choice.is_multiple_of(11).then(|| Ending { kind: EndingKind::Died, cause: "a zombie".into() });
    let skills = vec![SkillUse { name: name.to_owned(), verified: whim.lucky, steps: whim.steps }];
    Event::Acted {
        report: ActReport {
            observation: observation(whim),
            error: None,
            steps: whim.steps,
            reflex_steps: 0,
            unlocked,
            skills,
            trace: Vec::new(),
            ended,
        },
    }
}

/// Drives a core by whims; gives everything it asked for.
fn drive(config: RunConfig, whims: &[Whim]) -> Vec<Effect> {
    let mut core = core(config);
    let mut effects = core.start(0);
    let mut all = effects.clone();
    for (position, whim) in whims.iter().enumerate() {
        let Some(last) = effects.last() else { panic!("the core asked for nothing after {all:?}") };
        let event = match last {
            Effect::Reset { seed } => Event::EpisodeStarted { seed: *seed, observation: observation(whim) },
            Effect::Recall { .. } => Event::Recalled { memories: Vec::new() },
            Effect::Think { request, .. } => answer(request, whim),
            Effect::Try { plan } => trials(plan, whim),
            Effect::Act { call, .. } => report(&call.name, whim),
            Effect::Finish { .. } => break,
            other => panic!("{other:?} is not answered and must not be last"),
        };
        effects = core.apply(position as i64 * 100, event);
        all.extend(effects.iter().cloned());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_same_events_give_the_same_effects(whims in whims(), seed in any::<u64>()) {
        let config = RunConfig { seed, ..RunConfig::default() };
        prop_assert_eq!(drive(config.clone(), &whims), drive(config, &whims));
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
    fn what_was_unlocked_in_an_episode_is_not_chosen_again_in_it(whims in whims()) {
        let mut core = core(RunConfig::default());
        let mut effects = core.start(0);
        let mut unlocked = std::collections::BTreeSet::new();
        for whim in &whims {
            for effect in &effects {
                if let Effect::Tell { milestone: Milestone::TaskChosen { task, learning: false } } = effect {
                    prop_assert!(!unlocked.contains(task), "{task} was chosen again");
                }
            }
            let event = match effects.last() {
                Some(Effect::Reset { seed }) => {
                    unlocked.clear();
                    Event::EpisodeStarted { seed: *seed, observation: observation(whim) }
                }
                Some(Effect::Recall { .. }) => Event::Recalled { memories: Vec::new() },
                Some(Effect::Think { request, .. }) => answer(request, whim),
                Some(Effect::Try { plan }) => trials(plan, whim),
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
            Effect::Reset { seed } => Some(*seed),
            _ => None,
        })
        .collect();
    assert_eq!(seeds, [5, 7]);
    assert_eq!(effects.last(), Some(&Effect::Finish { reason: FinishReason::Episodes }));
}
