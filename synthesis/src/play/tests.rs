//! Worlds that are played in.

mod alike;
mod orders;

use super::*;
use crate::fixtures::{SANDBOX, desk, task};
use crate::world::{CallResult, RunResult};
use crate::{PLAY_RULES, QUIET_EPISODES};
use async_trait::async_trait;
use serde_json::json;
use sojourn_sandbox::{Binding, Host, HostError, Invocation, Limits, Program};
use sojourn_tools::{Effects, ToolSpec};
use sojourn_tools::{Parameter, ParameterKind};
use std::sync::{Arc, Mutex};

/// A plan with as many episodes, by today's rules.
pub(super) fn plan(episodes: u64) -> ExplorationPlan {
    ExplorationPlan {
        task: "work".into(),
        seeds: (1..=episodes).collect(),
        actions: 5,
        steps: 50,
        successes: 3,
        known_skills: vec![],
        quiet: None,
        play_rules: PLAY_RULES,
    }
}

/// A corridor of six rooms with a door in the third, which `open` unlocks; the goal is in the last.
#[derive(Clone, Default)]
struct Corridor(Arc<Mutex<Value>>);

impl Corridor {
    fn act(&self, name: &str, args: &Map<String, Value>) {
        let mut state = self.0.lock().unwrap();
        let (room, open) = (state["room"].as_i64().unwrap(), state["open"] == true);
        let to = match (name, args.get("to").and_then(Value::as_str)) {
            ("go", Some("east")) if room != 2 || open => (room + 1).min(5),
            ("go", Some("west")) => (room - 1).max(0),
            _ => room,
        };
        let open = open || (name == "open" && room == 2);
        let steps = state["steps"].as_i64().unwrap() + 1;
        *state = json!({"room": to, "open": open, "steps": steps, "done": i64::from(to == 5)});
    }
}

#[async_trait]
impl PracticeWorld for Corridor {
    type Error = std::convert::Infallible;

    async fn reset(&mut self, _seed: u64) -> Result<Value, Self::Error> {
        *self.0.lock().unwrap() = json!({"room": 0, "open": false, "steps": 0, "done": 0});
        Ok(self.0.lock().unwrap().clone())
    }

    async fn call(&mut self, call: &ToolCall, _max_steps: u32) -> Result<CallResult, Self::Error> {
        self.act(&call.name, &call.args);
        Ok(CallResult {
            state: self.0.lock().unwrap().clone(),
            reward: 0.0,
            succeeded: true,
            ended: false,
            lost: false,
            steps: 1,
        })
    }

    async fn run(
        &mut self,
        seed: u64,
        program: &Program,
        _granted: &[String],
        _max_steps: u32,
    ) -> Result<RunResult, Self::Error> {
        let before = self.reset(seed).await?;
        let bindings = [Binding::call("go", ["to"]), Binding::call("open", [""; 0])];
        let (limits, host) = (Limits::default(), Arc::new(self.clone()));
        let invocation =
            Invocation { args: &[], bindings: &bindings, host, limits: &limits, seed, now_ms: 0 };
        let _ = SANDBOX.call(program, invocation).await;
        Ok(RunResult { before, after: self.0.lock().unwrap().clone() })
    }
}

#[async_trait]
impl Host for Corridor {
    async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, HostError> {
        self.act(name, &args);
        Ok(json!(true))
    }
}

#[tokio::test]
async fn a_way_that_no_short_random_walk_finds_is_found_from_known_places() {
    let effects = Effects { write: true, ..Effects::default() };
    let directions = ParameterKind::Choice(vec!["west".into(), "east".into()]);
    let to = Parameter { name: "to".into(), kind: directions, default: None };
    let mut environment = desk();
    environment.exploration = None;
    environment.tools = vec![
        ToolSpec { parameters: vec![to], effects, ..ToolSpec::new("go", "goes") },
        ToolSpec { effects, ..ToolSpec::new("open", "opens the door") },
    ];
    let plan = ExplorationPlan {
        task: "work".into(),
        seeds: (1..=200).collect(),
        actions: 5,
        steps: 50,
        successes: 3,
        known_skills: vec![],
        quiet: None,
        play_rules: 0,
    };
    let task = task();
    let explorer =
        StateExplorer { environment: &environment, task: &task, plan: &plan, sandbox: SANDBOX.clone() };
    let findings = explorer.play(vec![Corridor::default()]).await.unwrap();
    let go = "  go(\"east\");\n";
    let expected = format!("function work() {{\n{go}{go}  open();\n{go}{go}{go}  return true;\n}}");
    assert_eq!(findings.programs, [expected]);
    assert_eq!(explorer.play(vec![Corridor::default()]).await.unwrap(), findings, "seeds decide everything");
}

/// A world that shows one state and notes the first call.
#[derive(Clone)]
struct Still {
    state: Value,
    called: Arc<Mutex<Option<String>>>,
}

#[async_trait]
impl Host for Still {
    async fn call(&self, name: &str, _args: Map<String, Value>) -> Result<Value, HostError> {
        if name == "observe" {
            return Ok(self.state.clone());
        }
        self.called.lock().unwrap().get_or_insert_with(|| name.to_owned());
        Ok(json!(true))
    }
}

impl Still {
    /// The call that a program makes first in this state.
    async fn choice(state: &Value, source: &str) -> String {
        let still = Self { state: state.clone(), called: Arc::default() };
        let program = SANDBOX.compile_program("work", source).await.unwrap();
        let calls = ["a", "b", "c"].map(|name| Binding::call(name, [""; 0]));
        let bindings: Vec<Binding> = std::iter::once(Binding::live("observe")).chain(calls).collect();
        let (limits, host) = (Limits::default(), Arc::new(still.clone()));
        let invocation =
            Invocation { args: &[], bindings: &bindings, host, limits: &limits, seed: 1, now_ms: 0 };
        SANDBOX.call(&program, invocation).await.result.unwrap();
        still.called.lock().unwrap().take().unwrap()
    }
}

/// A state whose fields have any kind of value, or are absent.
fn any_state(random: &mut Random) -> Value {
    let values = [
        json!(null),
        json!(-2),
        json!(0),
        json!(1.5),
        json!(3),
        json!(true),
        json!("3"),
        json!("key"),
        json!(["key"]),
        json!(["door", "key"]),
        json!({"at": 1}),
    ];
    let mut state = json!({});
    for name in ["x", "y", "holds", "two words"] {
        if random.below(5) > 0 {
            state[name] = random.one(&values).unwrap().clone();
        }
    }
    state
}

#[tokio::test]
async fn a_program_chooses_what_the_tree_and_the_weights_that_it_was_made_of_choose() {
    let mut random = Random::new(7);
    let environment = desk();
    let task = task();
    let writer =
        Programmer { environment: &environment, task: &task, rounds: 1, chance: true, remembers: false };
    for _ in 0..40 {
        let mut experience = Experience::default();
        let calls: Vec<usize> = ["a", "b", "c"]
            .map(|name| experience.number(&ToolCall { name: name.into(), args: Map::new() }))
            .into();
        let states: Vec<Value> = (0..24).map(|_| any_state(&mut random)).collect();
        let features: Vec<Features> = states.iter().map(|state| experience.paths.read(state)).collect();
        let lessons: Vec<experience::Lesson<'_>> = features[..16]
            .iter()
            .map(|features| experience::Lesson { features, best: [random.below(3)].into(), visits: 1 })
            .collect();
        let tree = Tree::of(&lessons, &experience.paths.telling().collect::<Vec<_>>(), 1).unwrap();
        let from_tree = writer.tree(&experience, &tree).unwrap();
        let seen: Vec<&Features> = features.iter().collect();
        let weights = Search::new(&seen, &experience.paths, calls.len(), &mut random)
            .and_then(|mut search| search.next(&mut random));
        let from_weights = weights.map(|weights| (writer.linear(&experience, &weights), weights));
        for (state, features) in states.iter().zip(&features).skip(12) {
            let expected = &experience.call(tree.call(features)).name;
            assert_eq!(&Still::choice(state, &from_tree).await, expected, "{state}\n{from_tree}");
            if let Some((source, weights)) = &from_weights {
                let expected = &experience.call(weights.call(features)).name;
                assert_eq!(&Still::choice(state, source).await, expected, "{state}\n{source}");
            }
        }
    }
}

/// A world in which every call ends the episode; it counts its episodes.
#[derive(Clone, Default)]
struct Cliff(Arc<Mutex<usize>>);

#[async_trait]
impl PracticeWorld for Cliff {
    type Error = std::convert::Infallible;

    async fn reset(&mut self, _seed: u64) -> Result<Value, Self::Error> {
        *self.0.lock().unwrap() += 1;
        Ok(json!({"x": 0}))
    }

    async fn call(&mut self, _call: &ToolCall, _max_steps: u32) -> Result<CallResult, Self::Error> {
        Ok(CallResult {
            state: json!({"x": 1}),
            reward: 0.0,
            succeeded: true,
            ended: true,
            lost: false,
            steps: 1,
        })
    }

    async fn run(
        &mut self,
        _seed: u64,
        _program: &Program,
        _granted: &[String],
        _max_steps: u32,
    ) -> Result<RunResult, Self::Error> {
        Ok(RunResult { before: json!({"x": 0}), after: json!({"x": 1}) })
    }
}

#[tokio::test]
async fn a_world_in_which_nothing_is_left_to_try_is_not_played_to_the_last_episode() {
    let mut environment = desk();
    environment.exploration = None;
    let effects = Effects { write: true, ..Effects::default() };
    environment.tools =
        ["left", "right"].map(|name| ToolSpec { effects, ..ToolSpec::new(name, "goes") }).to_vec();
    let plan = ExplorationPlan {
        task: "work".into(),
        seeds: (1..=200).collect(),
        actions: 5,
        steps: 50,
        successes: 3,
        known_skills: vec![],
        quiet: Some(QUIET_EPISODES),
        play_rules: 0,
    };
    let task = task();
    let explorer =
        StateExplorer { environment: &environment, task: &task, plan: &plan, sandbox: SANDBOX.clone() };
    let cliff = Cliff::default();
    let findings = explorer.play(vec![cliff.clone()]).await.unwrap();
    assert_eq!(findings, Findings::default());
    let played = *cliff.0.lock().unwrap();
    assert!((30..50).contains(&played), "{played} episodes");

    let unbounded = ExplorationPlan { quiet: None, ..plan };
    let explorer =
        StateExplorer { environment: &environment, task: &task, plan: &unbounded, sandbox: SANDBOX.clone() };
    let cliff = Cliff::default();
    explorer.play(vec![cliff.clone()]).await.unwrap();
    let played = *cliff.0.lock().unwrap();
    assert!(played >= 150, "an older log's play goes on: {played} episodes");
}

/// Two places between which the calls lead around, while a clock runs; `a` in the second place is what is wanted.
#[derive(Clone)]
struct Circle(Arc<Mutex<Value>>);

#[async_trait]
impl Host for Circle {
    async fn call(&self, name: &str, _args: Map<String, Value>) -> Result<Value, HostError> {
        let mut state = self.0.lock().unwrap();
        let at = state["at"] == 1;
        match name {
            "observe" => return Ok(state.clone()),
            "a" if at => state["done"] = json!(1),
            "a" => state["at"] = json!(1),
            _ => state["at"] = json!(0),
        }
        state["clock"] = json!(state["clock"].as_u64().unwrap() + 1);
        Ok(json!(true))
    }
}

#[tokio::test]
async fn a_policy_leaves_a_circle_although_a_clock_runs() {
    let (environment, task) = (desk(), task());
    let mut experience = Experience::default();
    let [a, b] = ["a", "b"].map(|name| experience.number(&ToolCall { name: name.into(), args: Map::new() }));
    let states: Vec<Features> = (0..12)
        .map(|clock| experience.paths.read(&json!({"at": clock % 2, "clock": clock, "done": 0})))
        .collect();
    for pair in states.windows(2) {
        experience.paths.observe(&pair[0], &pair[1], 0.0, 0.0);
    }
    experience.paths.choose();
    let lesson = |features, call| experience::Lesson { features, best: [call].into(), visits: 1 };
    let lessons = [lesson(&states[0], a), lesson(&states[1], b)];
    let tree = Tree::of(&lessons, &experience.paths.telling().collect::<Vec<_>>(), 1).unwrap();
    let acts = [(&states[0], a), (&states[1], b)];
    for (features, call) in acts {
        experience.add((features, &[a, b]), (call, true), (features, &[a, b]), experience::Outcome::Goal);
    }
    experience.review();
    let mut done = Vec::new();
    for chance in [true, false] {
        let writer =
            Programmer { environment: &environment, task: &task, rounds: 60, chance, remembers: false };
        let source = writer.tree(&experience, &tree).unwrap();
        let program = SANDBOX.compile_program("work", &source).await.unwrap();
        let circle = Circle(Arc::new(Mutex::new(json!({"at": 0, "clock": 0, "done": 0}))));
        let calls = ["a", "b"].map(|name| Binding::call(name, [""; 0]));
        let bindings: Vec<Binding> = std::iter::once(Binding::live("observe")).chain(calls).collect();
        let (limits, host) = (Limits::default(), Arc::new(circle.clone()));
        let invocation =
            Invocation { args: &[], bindings: &bindings, host, limits: &limits, seed: 1, now_ms: 0 };
        SANDBOX.call(&program, invocation).await.result.unwrap();
        done.push(circle.0.lock().unwrap()["done"].clone());
    }
    assert_eq!(done, [1, 0], "with the rules of today, and with those of older logs");
}
