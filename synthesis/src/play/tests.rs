//! Worlds that are played in.

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
    let writer = Programmer { environment: &environment, task: &task, rounds: 1, chance: true };
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
        Ok(CallResult { state: json!({"x": 1}), reward: 0.0, succeeded: true, ended: true, steps: 1 })
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

/// Five places in a row with two things, of which an order names one. `take` where the other one is ends the episode.
#[derive(Clone, Default)]
struct Orders(Arc<Mutex<Value>>);

impl Orders {
    fn act(&self, name: &str) {
        let mut state = self.0.lock().unwrap();
        let at = state["at"].as_i64().unwrap();
        let to = match name {
            "east" => (at + 1).min(4),
            "west" => (at - 1).max(0),
            _ => at,
        };
        state["at"] = to.into();
        for thing in state["things"].as_object_mut().unwrap().values_mut() {
            thing["away"] = (thing["away"].as_i64().unwrap() + at - to).into();
        }
        let wanted = state["wanted"].as_str().unwrap().to_owned();
        if name == "take" {
            let has = |thing: &Value| thing["away"] == 0;
            let things = state["things"].as_object().unwrap();
            let done = i64::from(has(&things[&wanted]));
            let over = things.values().any(has);
            state["done"] = done.into();
            state["over"] = over.into();
        }
    }

    /// What the agent sees.
    fn shown(&self) -> Value {
        let mut state = self.0.lock().unwrap().clone();
        state.as_object_mut().unwrap().remove("wanted");
        state
    }
}

#[async_trait]
impl PracticeWorld for Orders {
    type Error = std::convert::Infallible;

    async fn reset(&mut self, seed: u64) -> Result<Value, Self::Error> {
        const COLOURS: [&str; 4] = ["red", "blue", "green", "grey"];
        const KINDS: [&str; 3] = ["key", "ball", "box"];
        let mut random = Random::new(seed);
        let mut one = |most: usize| random.below(most);
        let (colour, kind) = (one(4), one(3));
        let other = format!("{}_{}", COLOURS[(colour + 1 + one(3)) % 4], KINDS[(kind + 1 + one(2)) % 3]);
        let wanted = format!("{}_{}", COLOURS[colour], KINDS[kind]);
        let here = one(5);
        let there = (here + 1 + one(4)) % 5;
        let at = 2_i64;
        let mut things = Map::new();
        things.insert(wanted.clone(), json!({"away": here as i64 - at}));
        things.insert(other, json!({"away": there as i64 - at}));
        let order = format!("take the {}", wanted.replace('_', " "));
        *self.0.lock().unwrap() =
            json!({"order": order, "wanted": wanted, "at": at, "things": things, "done": 0, "over": false});
        Ok(self.shown())
    }

    async fn call(&mut self, call: &ToolCall, _max_steps: u32) -> Result<CallResult, Self::Error> {
        self.act(&call.name);
        let state = self.shown();
        let ended = state["over"] == true;
        Ok(CallResult { state, reward: 0.0, succeeded: true, ended, steps: 1 })
    }

    async fn run(
        &mut self,
        seed: u64,
        program: &Program,
        _granted: &[String],
        _max_steps: u32,
    ) -> Result<RunResult, Self::Error> {
        let before = self.reset(seed).await?;
        let calls = ["west", "east", "take"].map(|name| Binding::call(name, [""; 0]));
        let bindings: Vec<Binding> = std::iter::once(Binding::live("observe")).chain(calls).collect();
        let (limits, host) = (Limits::default(), Arc::new(self.clone()));
        let invocation =
            Invocation { args: &[], bindings: &bindings, host, limits: &limits, seed, now_ms: 0 };
        let _ = SANDBOX.call(program, invocation).await;
        Ok(RunResult { before, after: self.shown() })
    }
}

#[async_trait]
impl Host for Orders {
    async fn call(&self, name: &str, _args: Map<String, Value>) -> Result<Value, HostError> {
        if name == "observe" {
            return Ok(self.shown());
        }
        if self.0.lock().unwrap()["over"] == true {
            return Err(HostError::Failed("the episode is over".to_owned()));
        }
        self.act(name);
        Ok(json!(true))
    }
}

#[tokio::test]
async fn one_program_serves_whatever_an_order_names() {
    let mut environment = desk();
    environment.exploration = None;
    let effects = Effects { write: true, ..Effects::default() };
    environment.tools =
        ["west", "east", "take"].map(|name| ToolSpec { effects, ..ToolSpec::new(name, "acts") }).to_vec();
    let plan = ExplorationPlan {
        task: "work".into(),
        seeds: (1..=400).collect(),
        actions: 5,
        steps: 30,
        successes: 5,
        known_skills: vec![],
        quiet: None,
        play_rules: PLAY_RULES,
    };
    let task = task();
    let play = async |plan: &ExplorationPlan| {
        let explorer =
            StateExplorer { environment: &environment, task: &task, plan, sandbox: SANDBOX.clone() };
        explorer.play(vec![Orders::default()]).await.unwrap().programs
    };
    let found = play(&plan).await;
    let program = found.first().expect("a program");
    assert!(program.contains("mentioned("), "{program}");
    let compiled = SANDBOX.compile_program("work", program).await.unwrap();
    let mut done = 0;
    for seed in 1000..1100 {
        let run = Orders::default().run(seed, &compiled, &[], 30).await.unwrap();
        done += usize::from(run.after["done"] == 1);
    }
    assert!(done >= 95, "{done} of 100 orders, by\n{program}");
    let without = play(&ExplorationPlan { play_rules: 0, ..plan }).await;
    assert!(without.iter().all(|program| !program.contains("mentioned(")), "as older logs played");
}

proptest::proptest! {
    #[test]
    fn a_program_finds_the_entry_that_play_sees(
        entries in proptest::collection::btree_map("(red|Blue|grün)[_ ](key|ball)(_2)?", proptest::bool::ANY, 0..6),
        text in "(take|go to) (the )?(red|BLUE|Grün)?( key| ball)?( 2)?!?",
    ) {
        let entries: Map<String, Value> =
            entries.into_iter().map(|(name, there)| (name, if there { json!(1) } else { Value::Null })).collect();
        let state = json!({"text": text, "things": entries});
        let expected = mentions::read(&state).into_iter().next().map(|(_, mention, _)| mention);
        let mut paths = Paths::default();
        paths.mentions = true;
        let features = paths.read(&state);
        // Whether the program and play see the same value at the entry that is named.
        let named = features.iter().find_map(|(path, value)| {
            let path = paths.path(path)?;
            path.javascript().contains("mentioned(").then(|| (path.javascript(), value.json()))
        });
        proptest::prop_assert_eq!(expected.is_some(), named.is_some());
        let condition = named.map_or_else(
            || r#"mentioned(at("things"), at("text")) === undefined || at("text").split(" ").length < 2"#.to_owned(),
            |(path, value)| format!("{path} === {value}"),
        );
        let helpers = crate::javascript::FIELDS.join("\n") + crate::javascript::MENTIONED;
        let source = format!("function work() {{ {helpers}\n if ({condition}) a(); else b(); return true; }}");
        let chosen = tokio::runtime::Runtime::new().unwrap().block_on(Still::choice(&state, &source));
        proptest::prop_assert_eq!(chosen, "a", "{}", source);
    }
}
