//! Worlds that are played in.

use super::*;
use crate::fixtures::{SANDBOX, desk, task};
use crate::world::{CallResult, RunResult};
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
        Ok(CallResult { state: self.0.lock().unwrap().clone(), reward: 0.0, succeeded: true, ended: false })
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
    let player = Player { environment: &environment, task: &task, plan: &plan, sandbox: SANDBOX.clone() };
    let findings = player.play(vec![Corridor::default()]).await.unwrap();
    let go = "  go(\"east\");\n";
    let expected = format!("function work() {{\n{go}{go}  open();\n{go}{go}{go}  return true;\n}}");
    assert_eq!(findings.programs, [expected]);
    assert_eq!(player.play(vec![Corridor::default()]).await.unwrap(), findings, "seeds decide everything");
}
