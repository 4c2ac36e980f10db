//! How the loop keeps its library sound: what does badly is demoted and repaired, what rests on a changed skill is tested
//! again, what does the same becomes one. The outside is scripted, the core and the library are real.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use serde_json::{Map, Value, json};
use sojourn_controller::{Completion, Finish, Reply, Timing, Usage};
use sojourn_core::{
    ActReport, AlikeTrial, CORE_RULES, CandidateTrial, Core, Effect, Event, Milestone, RunConfig, RunOrigin,
    Scrutiny, SkillRetest, SkillUse, TrialPlan,
};
use sojourn_crafter::CrafterEnvironment;
use sojourn_skills::{
    AdmissionRule, Case, CaseResult, Compiled, Demotion, Draft, Kind, LibraryEvent, LibraryState, Origin,
    SkillId, Status, TrialReport, Wasm, WorldResult,
};
use sojourn_tools::{Environment, EnvironmentSpec, Observation, TaskSpec};

const ENGINE: &str = "test";

fn spec() -> EnvironmentSpec {
    CrafterEnvironment::default().spec().clone()
}

fn task(name: &str) -> TaskSpec {
    spec().tasks.into_iter().find(|task| task.name == name).unwrap()
}

fn observation() -> Observation {
    Observation::new("grass", json!({"inventory": {"wood": 0}, "health": 9}))
}

fn world(seed: u64) -> WorldResult {
    WorldResult {
        seed,
        args: Map::new(),
        verified: true,
        returned: true,
        steps: 5,
        harm: 0.0,
        died: false,
        unrelated: Vec::new(),
        error: None,
    }
}

/// A report of three passes with a case for each, as practice records it.
fn report(plan: &TrialPlan, candidate: usize) -> TrialReport {
    let worlds: Vec<WorldResult> = plan.seeds.iter().take(plan.worlds).map(|seed| world(*seed)).collect();
    let case = |world: &WorldResult| Case {
        setup: plan.setup("crafter", world.seed, &plan.calls[0]),
        steps: world.steps,
        behaviour: Some(format!("{} {candidate}", world.seed)),
    };
    TrialReport { cases: worlds.iter().map(case).collect(), worlds, ..TrialReport::default() }
}

fn result(case: &Case, passed: bool) -> CaseResult {
    let behaviour = case.behaviour.clone();
    CaseResult { case: case.id(), reached: true, passed, steps: case.steps, error: None, behaviour }
}

fn passed(case: &Case) -> CaseResult {
    result(case, true)
}

/// Puts a skill for a task into a library, admitted, with cases.
fn admit(library: &mut LibraryState, name: &str, of: &TaskSpec, source: &str) {
    let draft = Draft {
        name: name.into(),
        description: of.description.clone(),
        parameters: of.parameters.clone(),
        precondition: None,
        postcondition: Some(of.goal.clone()),
        origin: Origin::Human,
        kind: Kind::Skill,
        environment: "crafter".into(),
        created_ms: 0,
        source: source.into(),
    };
    let compiled = Compiled { engine: ENGINE.into(), wasm: source.as_bytes().to_vec() };
    let skill = library.prepare(draft, compiled, ["go_to", "interact", "explore", "place"]);
    let id = skill.manifest.id.clone();
    let plan = TrialPlan {
        task: name.into(),
        parameters: Vec::new(),
        candidates: Vec::new(),
        granted: Vec::new(),
        seeds: vec![11, 12, 13],
        worlds: 3,
        needed: 2,
        prelude: Vec::new(),
        calls: vec![vec![Map::new()]],
        max_steps: 100,
        scrutiny: Scrutiny::default(),
    };
    let prerequisites = library.prerequisites(&skill.manifest.calls);
    let report = TrialReport { prerequisites, ..report(&plan, 0) };
    for event in [
        LibraryEvent::Drafted { skill: Box::new(skill) },
        LibraryEvent::TrialStarted { id: id.clone() },
        LibraryEvent::Admitted { id, report, rule: AdmissionRule::default() },
    ] {
        library.apply(&event).unwrap();
    }
}

/// A library with `collect_wood`.
fn wood() -> LibraryState {
    let mut library = LibraryState::default();
    admit(&mut library, "collect_wood", &task("collect_wood"), "function collect_wood(n) { interact(); }");
    library
}

/// A core that knows nothing but how to live on this library, and may only collect wood.
struct Life {
    core: Core,
    effects: Vec<Effect>,
    all: Vec<Effect>,
    /// How many programs were written; each differs from those before.
    written: usize,
}

impl Life {
    fn new(library: LibraryState, tasks: &[&str]) -> Self {
        let config = RunConfig {
            memory: false,
            tasks: tasks.iter().map(|&task| task.to_owned()).collect(),
            ..RunConfig::default()
        };
        let origin = RunOrigin { run: "test".parse().unwrap(), model: "test".into(), engine: ENGINE.into() };
        let mut core = Core::new(config, spec(), library, origin);
        let effects = core.start(0);
        Self { core, all: effects.clone(), effects, written: 0 }
    }

    /// Goes on until `done`, with the outside given: how practice and the episode answer.
    fn until(
        &mut self,
        mut practice: impl FnMut(&TrialPlan) -> Vec<CandidateTrial>,
        mut acts: impl FnMut(&str) -> SkillUse,
        done: impl Fn(&Effect) -> bool,
    ) {
        for _ in 0..200 {
            let event = match self.effects.last().unwrap() {
                Effect::StartEpisode { seed } => {
                    Event::EpisodeStarted { seed: *seed, observation: observation() }
                }
                Effect::AskController { request, .. } => self.answer(&request.clone()),
                Effect::TryCandidates { plan } => Event::CandidatesTried { trials: practice(plan) },
                Effect::RetestSkills { skills } => {
                    let retest = |id: &SkillId| SkillRetest {
                        id: id.clone(),
                        results: self.core.library().entry(id).unwrap().cases().iter().map(passed).collect(),
                    };
                    Event::SkillsRetested { retests: skills.iter().map(retest).collect() }
                }
                Effect::Act { call, .. } => acted(acts(&call.name)),
                other => panic!("{other:?} was not expected"),
            };
            self.effects = self.core.apply(0, event);
            self.all.extend(self.effects.iter().cloned());
            if self.effects.iter().any(&done) {
                return;
            }
        }
        panic!("it never happened: {:#?}", self.all.last());
    }

    fn answer(&mut self, request: &sojourn_controller::Request) -> Event {
        let text = match &request.constraint {
            sojourn_controller::Constraint::JsonSchema(schema) => {
                let option = schema.pointer("/anyOf/0/properties").cloned().unwrap_or_default();
                let fields = option.as_object().into_iter().flatten();
                let field = |(key, schema): (&String, &Value)| {
                    (key.clone(), schema.get("const").cloned().unwrap_or(json!(1)))
                };
                Value::Object(fields.map(field).collect()).to_string()
            }
            sojourn_controller::Constraint::Lark(_) => {
                self.written += 1;
                format!("  explore({});\n}}", self.written)
            }
        };
        let completion = Completion::new(text, 7, Finish::Complete);
        let candidates = vec![completion; request.candidates as usize];
        Event::ControllerAnswered { reply: Reply::new(candidates, Usage::default(), Timing::default()) }
    }

    fn plans(&self) -> Vec<&TrialPlan> {
        let mut plans = Vec::new();
        for effect in &self.all {
            if let Effect::TryCandidates { plan } = effect {
                plans.push(plan);
            }
        }
        plans
    }

    fn changes(&self) -> Vec<&'static str> {
        let kind = |effect: &Effect| match effect {
            Effect::ChangeLibrary { change } => Some(change.kind()),
            _ => None,
        };
        self.all.iter().filter_map(kind).collect()
    }
}

fn acted(used: SkillUse) -> Event {
    Event::Acted {
        report: ActReport {
            observation: observation(),
            error: None,
            steps: used.steps,
            reflex_steps: 0,
            unlocked: Vec::new(),
            skills: vec![used],
            trace: Vec::new(),
            calls: 0,
            consulted: 0,
            moments: Vec::new(),
            ended: None,
        },
    }
}

/// A use that never reaches its goal.
fn useless(name: &str) -> SkillUse {
    SkillUse { name: name.to_owned(), verified: false, steps: 50 }
}

/// What practice says of candidates that do their task; `regressed` of the old cases are failed.
fn practice(plan: &TrialPlan, regressed: usize) -> Vec<CandidateTrial> {
    let trial = |candidate: usize| {
        let scrutiny = &plan.scrutiny;
        let cases = scrutiny.regressions.iter().enumerate();
        let regressions = cases.map(|(at, case)| result(case, at >= regressed)).collect();
        let alike = scrutiny.alike.iter().map(|alike| AlikeTrial {
            name: alike.name.clone(),
            results: alike.cases.iter().map(|case| result(case, true)).collect(),
        });
        CandidateTrial {
            compile_error: None,
            wasm: Some(Wasm(plan.candidates[candidate].as_bytes().to_vec())),
            report: TrialReport { regressions, ..report(plan, candidate) },
            failure: None,
            alike: alike.collect(),
            untrusted: false,
        }
    };
    (0..plan.candidates.len()).map(trial).collect()
}

fn admitted(effect: &Effect) -> bool {
    matches!(effect, Effect::ReportMilestone { milestone: Milestone::SkillAdmitted { .. } })
}

#[test]
fn a_skill_that_fails_in_use_is_demoted_and_repaired() {
    let mut life = Life::new(wood(), &["collect_wood"]);
    // The first repair fails one of the cases that the old version passed; the second passes all.
    let mut round = 0;
    let practise = |plan: &TrialPlan| {
        round += 1;
        practice(plan, usize::from(round == 1))
    };
    life.until(practise, useless, admitted);
    let versions = &life.core.library().history("collect_wood").unwrap().versions;
    assert_eq!(
        versions.iter().map(|entry| entry.status).collect::<Vec<_>>(),
        [Status::Trial, Status::Admitted]
    );
    let (old, new) = (&versions[0], &versions[1]);
    assert_eq!(new.skill.manifest.repairs.as_ref(), Some(old.id()));
    for case in old.cases() {
        assert!(new.cases().contains(&case), "a repair takes the cases over");
    }
    let plans = life.plans();
    assert_eq!(plans.len(), 2, "the first repair was refused");
    assert!(plans.iter().all(|plan| plan.scrutiny.regressions == old.cases()));
    let asked: Vec<String> = life
        .all
        .iter()
        .filter_map(|effect| match effect {
            Effect::AskController { request, .. } => {
                Some(request.messages.last()?.parts.last()?.text.clone())
            }
            _ => None,
        })
        .filter(|text| text.contains("collect n more wood"))
        .collect();
    assert!(asked[0].contains("given up, because it succeeded in 0 of 4 uses"), "{}", asked[0]);
    assert!(asked[1].contains("failed in 1 of 3 worlds in which the one before it had"), "{}", asked[1]);
}

#[test]
fn callers_of_a_repaired_skill_are_retested() {
    for passes in [true, false] {
        let mut library = wood();
        let table = task("place_table");
        admit(
            &mut library,
            "place_table",
            &table,
            "function place_table() { collect_wood(2); place(\"table\"); }",
        );
        admit(
            &mut library,
            "collect_wood",
            &task("collect_wood"),
            "function collect_wood(n) { explore(n); }",
        );
        let caller = library.active("place_table").unwrap().id().clone();
        assert_eq!(library.stale().len(), 1);

        let mut life = Life::new(library, &["collect_wood", "place_table"]);
        life.effects = life.core.apply(0, Event::EpisodeStarted { seed: 1, observation: observation() });
        let Some(Effect::RetestSkills { skills }) = life.effects.last() else { panic!("{:?}", life.effects) };
        assert_eq!(skills, std::slice::from_ref(&caller));
        let cases = life.core.library().entry(&caller).unwrap().cases();
        let results = cases.iter().map(|case| result(case, passes)).collect();
        let retests = vec![SkillRetest { id: caller.clone(), results }];
        let effects = life.core.apply(0, Event::SkillsRetested { retests });
        let entry = life.core.library().entry(&caller).unwrap();
        if passes {
            assert_eq!(entry.status, Status::Admitted);
            assert!(life.core.library().stale().is_empty());
        } else {
            assert_eq!(entry.status, Status::Trial);
            let change = effects.iter().find_map(|effect| match effect {
                Effect::ChangeLibrary { change } => Some(change),
                _ => None,
            });
            let reason = Demotion::Regressed { failed: 3, cases: 3 };
            assert_eq!(change, Some(&LibraryEvent::Demoted { id: caller, reason }));
        }
        assert!(
            !effects.iter().any(|effect| matches!(effect, Effect::RetestSkills { .. })),
            "once is enough"
        );
    }
}

#[test]
fn a_new_duplicate_skill_becomes_an_alias() {
    let mut library = LibraryState::default();
    admit(&mut library, "get_wood", &task("collect_wood"), "function get_wood(n) { interact(); }");
    let mut life = Life::new(library, &["collect_wood"]);
    let merged = |effect: &Effect| {
        matches!(effect, Effect::ReportMilestone { milestone: Milestone::SkillMerged { .. } })
    };
    life.until(|plan| practice(plan, 0), useless, merged);
    assert_eq!(life.changes(), ["drafted", "trial_started", "admitted", "merged"]);
    assert_eq!(life.core.library().resolve("collect_wood"), "get_wood");
    // The alias is used for its task, and not written again.
    assert!(
        matches!(life.effects.last(), Some(Effect::Act { call, .. }) if call.name == "collect_wood"),
        "{:?}",
        life.effects.last()
    );
}

#[test]
fn a_task_is_not_charged_for_its_prerequisites() {
    let planner = sojourn_core::Planner::new(&spec());
    let unrelated = |name: &str| -> Vec<String> {
        planner.unrelated(name, &task(name).goal).iter().map(ToString::to_string).collect()
    };
    let (wood, pickaxe) = (unrelated("collect_wood"), unrelated("make_wood_pickaxe"));
    assert!(wood.contains(&"/achievements/place_table".to_owned()), "{wood:?}");
    assert!(!wood.contains(&"/inventory/stone".to_owned()), "it is gathered on the way");
    assert!(!wood.contains(&"/inventory/wood".to_owned()));
    for needed in ["/inventory/wood", "/achievements/place_table", "/inventory/wood_pickaxe"] {
        assert!(!pickaxe.contains(&needed.to_owned()), "{needed}");
    }
    assert!(pickaxe.contains(&"/achievements/place_plant".to_owned()), "it costs a sapling");
    assert!(!wood.iter().any(|path| path == "/health" || path == "/food"), "what time takes is no effect");
}

/// The first question for a choice in a run that starts with this library.
fn first_choice(library: LibraryState, rules: u32) -> String {
    let config = RunConfig { memory: false, rules, ..RunConfig::default() };
    let origin = RunOrigin { run: "test".parse().unwrap(), model: "test".into(), engine: ENGINE.into() };
    let mut core = Core::new(config, spec(), library, origin);
    core.start(0);
    let started = Event::EpisodeStarted { seed: 1, observation: observation() };
    match core.apply(0, started).pop() {
        Some(Effect::AskController { request, .. }) => {
            request.messages.iter().map(sojourn_controller::Message::text).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_chooser_is_told_how_often_a_skill_worked_in_all_runs() {
    let mut library = wood();
    let told = first_choice(library.clone(), CORE_RULES);
    assert!(told.contains("You know how; it worked in 3 of 3 practice worlds."), "{told}");
    let id = library.active("collect_wood").unwrap().id().clone();
    for success in [true, false, true] {
        let usage =
            sojourn_skills::Use { context: "task".into(), success, died: false, steps: 5, error: None };
        library.apply(&LibraryEvent::Used { id: id.clone(), usage }).unwrap();
    }
    let told = first_choice(library.clone(), CORE_RULES);
    assert!(told.contains("You know how; it worked 2 of 3 times."), "{told}");
    // A log that was recorded by the earlier rules replays with its own words.
    assert!(first_choice(library, 0).contains("You know how; it worked 0 of 0 times."));
    let old: RunConfig = serde_json::from_value(json!({"seed": 1})).unwrap();
    assert_eq!(old.rules, 0);
}
