//! Answers to a core that are chosen at random: good and bad ones, and some that no schema allows.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sojourn_controller::{Completion, Finish, Reply, Timing, Usage};
use sojourn_core::{
    ActReport, CandidateTrial, Core, DemonstratedCall, Demonstration, DiscoveryPlan, Effect, Event,
    ExplorationPlan, Moment, Recalled, ReflexCandidateTrial, ReflexTrialPlan, RunConfig, RunOrigin, SkillUse,
    TrialPlan, UiState, Unlocked,
};
use sojourn_crafter::CrafterEnvironment;
use sojourn_memory::EventSeq;
use sojourn_skills::{Arm, LibraryState, PairedEpisode, ReflexTrial, TrialReport, Wasm, WorldResult};
use sojourn_tools::{
    ActionTemplate, ArgumentSource, Ending, EndingKind, Environment, EnvironmentSpec, ExplorationSpec,
    Observation, Question, ResidueClass, ToolCall,
};

/// The next answer to a core, whatever it asked.
#[derive(Debug, Clone)]
pub(super) struct Whim {
    /// Chooses among options, texts and outcomes.
    pub(super) choice: usize,
    /// Whether things go well.
    pub(super) lucky: bool,
    /// Steps that an action takes.
    pub(super) steps: u32,
}

pub(super) fn whims() -> impl Strategy<Value = Vec<Whim>> {
    let whim = (0..64_usize, any::<bool>(), 0..60_u32).prop_map(|(choice, lucky, steps)| Whim {
        choice,
        lucky,
        steps,
    });
    prop::collection::vec(whim, 1..120)
}

pub(super) fn spec() -> EnvironmentSpec {
    CrafterEnvironment::default().spec().clone()
}

/// A world whose episodes are each about another task, seen in them.
pub(super) fn pages() -> EnvironmentSpec {
    let mut spec = spec();
    spec.question = Some(Question { path: "/goal".parse().unwrap(), differs: String::new(), fixed: false });
    spec.recipes.clear();
    let modulus = spec.tasks.len() as u64;
    for (remainder, task) in (0..).zip(&mut spec.tasks) {
        task.episodes = Some(ResidueClass { modulus, remainder });
    }
    let walk = ActionTemplate { tool: "go_to".into(), args: vec![ArgumentSource::GoalText], weight: 1 };
    spec.exploration = Some(ExplorationSpec {
        elements: "/elements".parse().unwrap(),
        kind: "kind".into(),
        label: "name".into(),
        groups: vec![],
        actions: vec![walk],
    });
    spec
}

/// The result of an exploration: sometimes demonstrations and a program.
pub(super) fn explored(plan: &ExplorationPlan, whim: &Whim) -> Event {
    let target = if whim.choice.is_multiple_of(2) { "tree" } else { "cow" };
    let step = DemonstratedCall {
        state: UiState { goal: format!("Walk to the {target} now"), ..UiState::default() },
        call: ToolCall {
            name: "go_to".into(),
            args: [("kind".to_owned(), json!(target))].into_iter().collect(),
        },
    };
    let one = |seed: &u64| Demonstration { seed: *seed, steps: vec![step.clone()] };
    let enough = if whim.lucky { plan.successes } else { 0 };
    let program = format!("function {}() {{\n  return go_to(\"{target}\");\n}}", plan.task);
    Event::Explored {
        demonstrations: plan.seeds.iter().take(enough).map(one).collect(),
        programs: vec![program; enough.min(1)],
    }
}

/// The result of a stage of discovery: nothing, or a task with a recipe; the whim says how many calls it rests on.
fn discovered(plan: &DiscoveryPlan, whim: &Whim) -> Event {
    let rule = json!({
        "effect": {"effect": "rises", "path": "/inventory/moss", "by": 1}, "call": {"name": "interact", "args": {}},
        "needs": [{"equals": {"path": "/facing", "value": "rock"}}], "evidence": {"worked": whim.choice, "failed": 1}, "unmet": 2,
    });
    let mut beliefs = plan.beliefs.clone();
    if whim.lucky {
        beliefs.rules = vec![serde_json::from_value(rule).unwrap()];
    }
    let found = beliefs.documentation(plan.tasks);
    Event::Discovered { beliefs, tasks: found.tasks, recipes: found.recipes }
}

pub(super) fn core(config: RunConfig) -> Core {
    core_in(spec(), config)
}

pub(super) fn core_in(spec: EnvironmentSpec, config: RunConfig) -> Core {
    let origin = RunOrigin { run: "test".parse().unwrap(), model: "test".into(), engine: "test".into() };
    Core::new(config, spec, LibraryState::default(), origin)
}

pub(super) fn observation(whim: &Whim) -> Observation {
    let wood = whim.choice % 10;
    Observation::new(format!("wood {wood}"), json!({"inventory": {"wood": wood}, "health": 9}))
}

fn reply(texts: Vec<String>) -> Reply {
    let candidates = texts.into_iter().map(|text| Completion::new(text, 7, Finish::Complete)).collect();
    let usage = Usage { prompt_tokens: 90, cached_tokens: 60, completion_tokens: 7, ..Usage::default() };
    Reply::new(candidates, usage, Timing::default())
}

/// An answer to a request: sometimes what was asked for, sometimes cut short.
pub(super) fn answer(request: &sojourn_controller::Request, whim: &Whim) -> Event {
    if !whim.lucky && whim.choice.is_multiple_of(7) {
        return Event::ControllerFailed { error: "the model is gone".into() };
    }
    let text = match &request.constraint {
        sojourn_controller::Constraint::JsonSchema(schema) if schema.get("anyOf").is_none() => {
            lessons(schema, whim)
        }
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
    Event::ControllerAnswered { reply: reply(vec![text; request.candidates as usize]) }
}

/// New lessons, or how older ones stand to them; sometimes what no schema allows.
fn lessons(schema: &Value, whim: &Whim) -> String {
    let number = whim.choice as u64;
    if schema["properties"].get("lessons").is_some() {
        let lesson = |n: u64| json!({"lesson": format!("lesson {}", n % 5), "because": [n % 9, 1 + n % 3]});
        return json!({"lessons": [lesson(number), lesson(number + 1), lesson(number), {"lesson": " "}]})
            .to_string();
    }
    let answers = schema["properties"].as_object().cloned().unwrap_or_default();
    let chosen = answers.into_iter().map(|(older, options)| {
        let options = options["enum"].as_array().cloned().unwrap_or_default();
        (older, options[whim.choice % options.len()].clone())
    });
    Value::Object(chosen.collect()).to_string()
}

/// What is recalled: older lessons, one of which may have the text of a new one.
pub(super) fn memories(whim: &Whim) -> Event {
    let memory = |n: usize| Recalled {
        id: format!("00000000-0000-0000-0000-{:012}", n % 7).parse().unwrap(),
        text: format!("Lesson  {}", n % 7),
        kind: ["reflection", "episode"][n % 2].to_owned(),
        why: String::new(),
        untrusted: false,
    };
    let memories = (whim.choice..whim.choice + whim.choice % 4).map(memory).collect();
    Event::Recalled { memories, tools: Vec::new() }
}

pub(super) fn trials(plan: &TrialPlan, whim: &Whim) -> Event {
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
            ..TrialReport::default()
        },
        failure: None,
        alike: Vec::new(),
        untrusted: false,
    };
    Event::CandidatesTried { trials: vec![trial; plan.candidates.len()] }
}

pub(super) fn report(name: &str, whim: &Whim) -> Event {
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
            calls: 1,
            consulted: 0,
            moments: vec![Moment { state: observation(whim).state, action: "noop".into() }],
            ended,
        },
    }
}

/// Practice lives that are longer with the first candidate where the whim is lucky.
fn lives(plan: &ReflexTrialPlan, whim: &Whim) -> Event {
    let arm = |steps| Arm { steps, died: true, achievements: 2 };
    let episode = |seed: &u64| PairedEpisode {
        seed: *seed,
        with: arm(if whim.lucky { 200 } else { 90 }),
        without: arm(100),
    };
    let trial = ReflexCandidateTrial {
        compile_error: None,
        wasm: Some(Wasm(vec![whim.choice as u8])),
        acts: true,
        trial: ReflexTrial { episodes: plan.seeds.iter().map(episode).collect() },
    };
    Event::ReflexesTried { trials: vec![trial; plan.candidates.len()] }
}

/// Drives a core by whims; gives everything it asked for.
pub(super) fn drive(config: RunConfig, whims: &[Whim]) -> Vec<Effect> {
    drive_in(spec(), config, whims)
}

pub(super) fn drive_in(spec: EnvironmentSpec, config: RunConfig, whims: &[Whim]) -> Vec<Effect> {
    let mut core = core_in(spec, config);
    let effects = core.start(0);
    continue_by(&mut core, effects, whims).1
}

/// Answers the last of `effects` and what follows by whims; gives the effects that are not answered yet, and all of them.
pub(super) fn continue_by(
    core: &mut Core,
    mut effects: Vec<Effect>,
    whims: &[Whim],
) -> (Vec<Effect>, Vec<Effect>) {
    let mut all = effects.clone();
    for (position, whim) in whims.iter().enumerate() {
        let Some(last) = effects.last() else { panic!("the core asked for nothing after {all:?}") };
        let event = match last {
            Effect::StartEpisode { seed } => {
                Event::EpisodeStarted { seed: *seed, observation: observation(whim) }
            }
            Effect::Recall { .. } => memories(whim),
            Effect::AskController { request, .. } => answer(request, whim),
            Effect::ObserveStarts { seeds, .. } => Event::StartsObserved {
                seen: seeds.iter().map(|seed| format!("goal: number {seed}")).collect(),
            },
            Effect::Explore { plan } => explored(plan, whim),
            Effect::Discover { plan } => discovered(plan, whim),
            Effect::TryCandidates { plan } => trials(plan, whim),
            Effect::TryReflexes { plan } => lives(plan, whim),
            Effect::Act { call, .. } => report(&call.name, whim),
            Effect::Finish { .. } => break,
            other => panic!("{other:?} is not answered and must not be last"),
        };
        core.at_record(EventSeq(position as u64 + 1));
        effects = core.apply(position as i64 * 100, event);
        all.extend(effects.iter().cloned());
    }
    (effects, all)
}

/// An endless supply of good luck, with a death now and then.
pub(super) fn lucky() -> Vec<Whim> {
    (0..600).map(|choice| Whim { choice, lucky: true, steps: 5 }).collect()
}
