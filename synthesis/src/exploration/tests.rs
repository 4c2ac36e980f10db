//! Exploring desks on which the right button is the one that the goal has in quotation marks.

use super::*;
use crate::Findings;
use crate::fixtures::{SANDBOX, desk, task};
use crate::world::{CallResult, RunResult};
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use sojourn_sandbox::{Binding, Host, HostError, Invocation, Limits};
use sojourn_tools::ToolCall;
use std::sync::{Arc, Mutex};

const LABELS: [&str; 5] = ["Go", "Stop", "Left", "Right", "Back"];

/// A desk with five buttons in an order that differs from seed to seed.
#[derive(Clone, Default)]
struct Desk {
    state: Arc<Mutex<Value>>,
    /// Whether its elements lack ids.
    broken: bool,
    /// Whether there is something among its elements that is none.
    flawed: bool,
}

impl Desk {
    fn push(&self, call: &Map<String, Value>) -> bool {
        let mut state = self.state.lock().unwrap();
        let things = state["desk"]["things"].as_array().unwrap();
        let Some(pushed) = things.iter().find(|thing| thing["id"] == call["what"]) else { return false };
        let label = pushed["words"].as_str().unwrap().to_owned();
        let right = state["wish"].as_str().unwrap().contains(&format!("\"{label}\""));
        state["done"] = json!(i64::from(right));
        true
    }

    fn state(&self) -> Value {
        self.state.lock().unwrap().clone()
    }
}

#[async_trait]
impl PracticeWorld for Desk {
    type Error = std::io::Error;

    async fn reset(&mut self, seed: u64) -> Result<Value, Self::Error> {
        let seed = seed as usize;
        let mut things: Vec<Value> = (0..LABELS.len())
            .map(|at| {
                let label = LABELS[(at * (1 + seed % 4) + seed / 7) % LABELS.len()];
                let id = format!("e{at}");
                if self.broken {
                    json!({"kind": "button", "words": label})
                } else {
                    json!({"id": id, "kind": "button", "words": label, "row": -1})
                }
            })
            .collect();
        if self.flawed {
            things.insert(2, json!({"id": null, "kind": "button", "words": "", "row": -1}));
        }
        let wish = format!("Push \"{}\" now.", LABELS[seed % LABELS.len()]);
        *self.state.lock().unwrap() = json!({"wish": wish, "desk": {"things": things}, "done": 0});
        Ok(self.state())
    }

    async fn call(&mut self, call: &ToolCall, _max_steps: u32) -> Result<CallResult, Self::Error> {
        let succeeded = call.name == "push" && self.push(&call.args);
        Ok(CallResult { state: self.state(), reward: 0.0, succeeded, ended: false, lost: false, steps: 1 })
    }

    async fn run(
        &mut self,
        seed: u64,
        program: &Program,
        granted: &[String],
        _max_steps: u32,
    ) -> Result<RunResult, Self::Error> {
        let before = self.reset(seed).await?;
        let mut bindings = vec![
            Binding::live("observe"),
            Binding::call("push", ["what"]),
            Binding::call("fill", ["what", "words"]),
        ];
        bindings.extend(granted.iter().map(|name| Binding::call(name, [""; 0])));
        let limits = Limits::default();
        let host = Arc::new(self.clone());
        let invocation =
            Invocation { args: &[], bindings: &bindings, host, limits: &limits, seed, now_ms: 0 };
        let _ = SANDBOX.call(program, invocation).await;
        Ok(RunResult { before, after: self.state() })
    }
}

#[async_trait]
impl Host for Desk {
    async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, HostError> {
        match name {
            "observe" => Ok(self.state()),
            "push" => Ok(json!(self.push(&args))),
            "push_wanted" => {
                self.state.lock().unwrap()["done"] = json!(1);
                Ok(json!(true))
            }
            _ => Err(HostError::Failed(format!("`{name}` does nothing"))),
        }
    }
}

fn plan(episodes: u64) -> ExplorationPlan {
    ExplorationPlan {
        task: "work".into(),
        seeds: (1..=episodes).collect(),
        actions: 3,
        steps: 10,
        successes: 4,
        known_skills: vec![],
        quiet: None,
        play_rules: 0,
    }
}

async fn explore(
    plan: &ExplorationPlan,
    worlds: Vec<Desk>,
) -> Result<Findings, ExplorationError<std::io::Error>> {
    let (environment, task) = (desk(), task());
    let explorer = Explorer { environment: &environment, task: &task, plan, sandbox: SANDBOX.clone() };
    explorer.explore(worlds).await
}

#[tokio::test]
async fn what_worked_at_random_becomes_a_program_that_works_elsewhere() {
    let findings = explore(&plan(200), vec![Desk::default(), Desk::default()]).await.unwrap();
    let demonstration = &findings.demonstrations[0];
    assert_eq!(demonstration.steps.len(), 1, "calls that were not needed are left out: {demonstration:?}");
    let best = &findings.programs[0];
    assert!(best.contains("e.words === goal.split(\"\\\"\")[1]") || best.contains("said(e.words)"), "{best}");
    // Seeds decide everything: the same plan in as many worlds finds the same.
    assert_eq!(explore(&plan(200), vec![Desk::default(), Desk::default()]).await.unwrap(), findings);
}

#[tokio::test]
async fn skills_of_other_tasks_are_tried_first() {
    let plan = ExplorationPlan { known_skills: vec!["push_wanted".into()], ..plan(20) };
    let findings = explore(&plan, vec![Desk::default()]).await.unwrap();
    assert_eq!(findings.programs, ["function work() {\n  return push_wanted();\n}"]);
    assert!(findings.demonstrations.is_empty());
}

#[tokio::test]
async fn an_exploration_ends_where_there_is_nothing_to_explore() {
    assert_eq!(explore(&plan(50), vec![]).await.unwrap(), Findings::default());
    assert_eq!(explore(&plan(0), vec![Desk::default()]).await.unwrap(), Findings::default());
}

#[tokio::test]
async fn malformed_elements_do_not_end_an_exploration() {
    // None of the elements has an id, so nothing can be pushed; one that has none beside others costs only itself.
    let broken = Desk { broken: true, ..Desk::default() };
    assert_eq!(explore(&plan(5), vec![broken]).await.unwrap(), Findings::default());
    let flawed = Desk { flawed: true, ..Desk::default() };
    let findings = explore(&plan(200), vec![flawed]).await.unwrap();
    assert!(!findings.programs.is_empty());
    assert_eq!(findings.demonstrations[0].steps[0].state.left_out.count, 1);
}
