//! Playing in a world that declares nothing but its tools: random calls, then sequences that reached the goal.
//!
//! The search keeps the shortest way to each state that it saw. An episode goes back to a state from which little was tried, and
//! continues there at random (Ecoffet et al., "First return, then explore", Nature 590, 2021). A way that reaches the goal becomes
//! a program, and other episodes show whether it holds there.

use crate::exploration::Random;
use crate::javascript::quote;
use crate::plan::{DemonstratedCall, Demonstration, ExplorationPlan, Findings};
use crate::ui::UiState;
use crate::world::{ExplorationError, PracticeWorld};
use serde_json::{Map, Value};
use sojourn_sandbox::Sandbox;
use sojourn_tools::{EnvironmentSpec, Parameter, ParameterKind, TaskSpec, ToolCall};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Calls that an episode makes at random after it came back to a known state.
const NEW_CALLS: usize = 8;
/// Values that are drawn for one parameter, at most.
const VALUES: i64 = 8;
/// States whose ways are kept.
const KEPT: usize = 5_000;
/// Calls of one way, at most.
const LONGEST: usize = 60;
/// Programs that are tried and returned, at most.
const PROGRAMS: usize = 6;
/// Episodes that are left for programs: as many as this part of the plan.
const FOR_PROGRAMS: usize = 4;

/// Plays in an environment for one task.
pub struct NoveltySearch<'a> {
    /// The environment.
    pub environment: &'a EnvironmentSpec,
    /// The task whose goal is to be reached.
    pub task: &'a TaskSpec,
    /// The limits. `actions` does not count here: how far an episode goes depends on what is known.
    pub plan: &'a ExplorationPlan,
    /// Compiles programs.
    pub sandbox: Sandbox,
}

/// A state that was seen.
struct Place {
    way: Vec<ToolCall>,
    /// Episodes that continued from here.
    visits: usize,
    /// The calls made from here.
    tried: BTreeSet<String>,
}

/// The fields of a state that tell places apart: those that do not change with every call.
#[derive(Default)]
struct Clocks {
    calls: usize,
    changed: BTreeMap<String, usize>,
}

impl Clocks {
    fn add(&mut self, before: &Value, after: &Value) {
        self.calls += 1;
        let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else { return };
        for (name, value) in after.iter().filter(|(name, value)| before.get(*name) != Some(*value)) {
            if value.is_number() {
                *self.changed.entry(name.clone()).or_default() += 1;
            }
        }
    }

    /// The state without numbers that changed with every call so far.
    fn key(&self, state: &Value) -> String {
        let Some(fields) = state.as_object() else { return state.to_string() };
        let is_clock = |name: &String| self.calls > 0 && self.changed.get(name) == Some(&self.calls);
        let kept: BTreeMap<&String, &Value> = fields.iter().filter(|(name, _)| !is_clock(name)).collect();
        kept.iter().fold(String::new(), |mut key, (name, value)| {
            let _ = writeln!(key, "{name}={value}");
            key
        })
    }
}

impl NoveltySearch<'_> {
    /// Plays until a program has reached the goal again and again, or all episodes of the plan are over.
    ///
    /// # Errors
    /// When a world fails.
    pub async fn play<W: PracticeWorld>(
        &self,
        mut worlds: Vec<W>,
    ) -> Result<Findings, ExplorationError<W::Error>> {
        let (Some(world), Some(&first)) = (worlds.first_mut(), self.plan.seeds.first()) else {
            return Ok(Findings::default());
        };
        let mut random = Random::new(first);
        let mut clocks = Clocks::default();
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        let episodes = self.plan.seeds.len();
        let mut others = self.plan.seeds.iter().copied().skip(1);
        let mut findings = Findings::default();
        let mut left = episodes;
        let mut known: BTreeSet<String> = BTreeSet::new();
        while left > 0 && known.len() < PROGRAMS {
            left -= 1;
            let reached = self.episode(first, world, &mut places, &mut clocks, &mut random).await?;
            let Some(mut way) = reached else { continue };
            // A way may hold calls that it does not need.
            let mut at = 0;
            while at < way.len() && way.len() > 1 && left > episodes / FOR_PROGRAMS {
                let mut shorter = way.clone();
                shorter.remove(at);
                left -= 1;
                match self.follow(first, world, &shorter).await? {
                    Some(calls) => way = calls,
                    None => at += 1,
                }
            }
            let source = self.program(&way);
            if !known.insert(source.clone()) {
                continue;
            }
            let Ok(program) = self.sandbox.compile_program(&self.task.name, &source).await else { continue };
            let (mut won, mut lost) = (0, 0);
            while won < self.plan.successes && lost <= won && left > 0 {
                let Some(seed) = others.next() else { break };
                left -= 1;
                let run = world.run(seed, &program, &[], self.plan.steps).await;
                let run = run.map_err(ExplorationError::World)?;
                *(if self.reaches(&run.before, &run.after) { &mut won } else { &mut lost }) += 1;
            }
            let steps = way.into_iter().map(|call| DemonstratedCall { state: UiState::default(), call });
            findings.demonstrations.push(Demonstration { seed: first, steps: steps.collect() });
            if won > lost {
                findings.programs.push(source);
            }
            if won >= self.plan.successes {
                break;
            }
        }
        Ok(findings)
    }

    /// Goes back to a place from which little was tried, and continues at random. Returns the way to the goal, if it was reached.
    async fn episode<W: PracticeWorld>(
        &self,
        seed: u64,
        world: &mut W,
        places: &mut BTreeMap<String, Place>,
        clocks: &mut Clocks,
        random: &mut Random,
    ) -> Result<Option<Vec<ToolCall>>, ExplorationError<W::Error>> {
        let back = places.values_mut().min_by_key(|place| (place.visits, place.tried.len(), place.way.len()));
        let back = back.map_or_else(Vec::new, |place| {
            place.visits += 1;
            place.way.clone()
        });
        let mut state = world.reset(seed).await.map_err(ExplorationError::World)?;
        let before = state.clone();
        let mut way: Vec<ToolCall> = Vec::new();
        for step in 0..(back.len() + NEW_CALLS).min(LONGEST) {
            let key = clocks.key(&state);
            if places.len() < KEPT && !places.contains_key(&key) {
                let place = Place { way: way.clone(), visits: 0, tried: BTreeSet::new() };
                places.insert(key.clone(), place);
            }
            let call = if let Some(call) = back.get(step) {
                call.clone()
            } else {
                let offered = world.available().await.map_err(ExplorationError::World)?;
                let tried = places.get(&key).map(|place| &place.tried);
                let Some(call) = self.draw(&offered, tried, random) else { break };
                call
            };
            if let Some(place) = places.get_mut(&key) {
                place.tried.insert(text(&call));
            }
            let result = world.call(&call, self.plan.steps).await.map_err(ExplorationError::World)?;
            clocks.add(&state, &result.state);
            state = result.state;
            way.push(call);
            if self.reaches(&before, &state) {
                return Ok(Some(way));
            }
            if result.ended {
                break;
            }
        }
        Ok(None)
    }

    /// Makes these calls, and returns those that reached the goal.
    async fn follow<W: PracticeWorld>(
        &self,
        seed: u64,
        world: &mut W,
        calls: &[ToolCall],
    ) -> Result<Option<Vec<ToolCall>>, ExplorationError<W::Error>> {
        let before = world.reset(seed).await.map_err(ExplorationError::World)?;
        for (at, call) in calls.iter().enumerate() {
            let result = world.call(call, self.plan.steps).await.map_err(ExplorationError::World)?;
            if self.reaches(&before, &result.state) {
                return Ok(Some(calls[..=at].to_vec()));
            }
            if result.ended {
                break;
            }
        }
        Ok(None)
    }

    /// One of the offered calls, else a call of a tool that acts; one that was not tried here where the draw finds it.
    fn draw(
        &self,
        offered: &[ToolCall],
        tried: Option<&BTreeSet<String>>,
        random: &mut Random,
    ) -> Option<ToolCall> {
        let tools: Vec<_> = self.environment.tools.iter().filter(|tool| tool.effects.write).collect();
        let mut call = None;
        for _ in 0..4 {
            let drawn = if offered.is_empty() {
                let tool = random.one(&tools)?;
                let args = tool
                    .parameters
                    .iter()
                    .filter_map(|parameter| Some((parameter.name.clone(), value(parameter, random)?)));
                ToolCall { name: tool.name.clone(), args: args.collect() }
            } else {
                random.one(offered)?.clone()
            };
            let is_new = tried.is_none_or(|tried| !tried.contains(&text(&drawn)));
            call = Some(drawn);
            if is_new {
                break;
            }
        }
        call
    }

    /// The calls as a function that returns when they were made.
    fn program(&self, way: &[ToolCall]) -> String {
        let names: Vec<&str> = self.task.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let mut source = format!("function {}({}) {{\n", self.task.name, names.join(", "));
        for call in way {
            let tool = self.environment.tools.iter().find(|tool| tool.name == call.name);
            let parameters = tool.map_or(&[][..], |tool| tool.parameters.as_slice());
            let mut args: Vec<String> = parameters.iter().map(|p| literal(call.args.get(&p.name))).collect();
            while args.last().is_some_and(|last| last == "null") {
                args.pop();
            }
            let _ = writeln!(source, "  {}({});", call.name, args.join(", "));
        }
        source.push_str("  return true;\n}");
        source
    }

    fn reaches(&self, before: &Value, after: &Value) -> bool {
        self.task.goal.holds(before, after, &Map::new()).unwrap_or(false)
    }
}

fn text(call: &ToolCall) -> String {
    format!("{} {}", call.name, Value::Object(call.args.clone()))
}

fn literal(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => quote(text),
        Some(value) => value.to_string(),
        None => "null".to_owned(),
    }
}

/// A value for a parameter: its default, where it has one; otherwise one of a few. `None` for a text that nothing limits.
fn value(parameter: &Parameter, random: &mut Random) -> Option<Value> {
    if let Some(default) = &parameter.default {
        return Some(default.clone()).filter(|default| !default.is_null());
    }
    let between = |min: i64, max: i64, random: &mut Random| {
        let span = max.saturating_sub(min).clamp(0, VALUES - 1);
        Value::from(min.saturating_add(random.below(usize::try_from(span).unwrap_or(0) + 1) as i64))
    };
    match &parameter.kind {
        ParameterKind::Integer { min, max } => Some(between(*min, *max, random)),
        ParameterKind::Choice(choices) => random.one(choices).map(|choice| choice.as_str().into()),
        ParameterKind::Boolean => Some(random.once_in(2).into()),
        ParameterKind::Text => None,
        ParameterKind::Schema(schema) => {
            if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
                return random.one(choices).cloned();
            }
            let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
            let (min, max) = (bound("minimum")?, bound("maximum")?);
            // The ends and the points between them.
            let at = random.below(5) as f64 / 4.0;
            let number = min + (max - min) * at;
            let whole = schema.get("type").and_then(Value::as_str) == Some("integer");
            Some(if whole { Value::from(number.round() as i64) } else { Value::from(number) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{SANDBOX, desk, task};
    use crate::world::{CallResult, RunResult};
    use async_trait::async_trait;
    use serde_json::json;
    use sojourn_sandbox::{Binding, Host, HostError, Invocation, Limits, Program};
    use sojourn_tools::{Effects, ToolSpec};
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
            Ok(CallResult { state: self.0.lock().unwrap().clone(), succeeded: true, ended: false })
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
        };
        let task = task();
        let search =
            NoveltySearch { environment: &environment, task: &task, plan: &plan, sandbox: SANDBOX.clone() };
        let findings = search.play(vec![Corridor::default()]).await.unwrap();
        let go = "  go(\"east\");\n";
        let expected = format!("function work() {{\n{go}{go}  open();\n{go}{go}{go}  return true;\n}}");
        assert_eq!(findings.programs, [expected]);
        assert_eq!(
            search.play(vec![Corridor::default()]).await.unwrap(),
            findings,
            "seeds decide everything"
        );
    }
}
