//! A desk with elements, for tests.

use crate::{DemonstratedCall, Demonstration, UiState};
use serde_json::{Value, json};
use sojourn_primitives::JsonPointer;
use sojourn_sandbox::{Sandbox, SandboxConfig};
use sojourn_tools::{
    ActionTemplate, Amount, ArgumentSource, Condition, Effects, EnvironmentSpec, ExplorationSpec, Parameter,
    ParameterKind, Question, TaskSpec, ToolCall, ToolSpec, Wording,
};
use std::sync::LazyLock;

pub(crate) static SANDBOX: LazyLock<Sandbox> =
    LazyLock::new(|| Sandbox::new(SandboxConfig::default()).unwrap());

pub(crate) fn desk() -> EnvironmentSpec {
    let text = |name: &str| Parameter { name: name.into(), kind: ParameterKind::Text, default: None };
    let tool = |name: &str, parameters: Vec<Parameter>| ToolSpec {
        parameters,
        effects: Effects { write: true, ..Effects::default() },
        ..ToolSpec::new(name, name)
    };
    let action =
        |tool: &str, args: Vec<ArgumentSource>| ActionTemplate { tool: tool.into(), args, weight: 1 };
    EnvironmentSpec {
        name: "desk".into(),
        version: "1".into(),
        deterministic: true,
        about: String::new(),
        tools: vec![
            tool("observe", vec![]),
            tool("push", vec![text("what")]),
            tool("fill", vec![text("what"), text("words")]),
            tool("turn", vec![text("what"), text("to")]),
        ],
        actions: vec![],
        controls: String::new(),
        tasks: vec![],
        recipes: vec![],
        examples: vec![],
        vitals: vec![],
        question: Some(Question { path: JsonPointer::of(["wish"]), differs: String::new(), fixed: false }),
        exploration: Some(ExplorationSpec {
            elements: JsonPointer::of(["desk", "things"]),
            kind: "kind".into(),
            label: "words".into(),
            groups: vec!["row".into()],
            actions: vec![
                action("push", vec![ArgumentSource::Element(vec![])]),
                action("fill", vec![ArgumentSource::Element(vec!["field".into()]), ArgumentSource::GoalText]),
                action(
                    "turn",
                    vec![ArgumentSource::Element(vec!["knob".into()]), ArgumentSource::OptionOf("to".into())],
                ),
            ],
        }),
        play: false,
        practice: true,
        episode_steps: None,
        wording: Wording::default(),
        untrusted: false,
    }
}

pub(crate) fn task() -> TaskSpec {
    TaskSpec {
        name: "work".into(),
        description: "work".into(),
        parameters: vec![],
        goal: Condition::AtLeast { path: JsonPointer::of(["done"]), value: Amount::Literal(1.0) },
        achievement: true,
        episodes: None,
    }
}

/// Calls on a desk on which nothing changes.
pub(crate) fn demonstration(goal: &str, elements: &Value, calls: &[(&str, Value)]) -> Demonstration {
    let state = UiState::read(&desk(), &json!({"wish": goal, "desk": {"things": elements}})).unwrap();
    let step = |(tool, args): &(&str, Value)| DemonstratedCall {
        state: state.clone(),
        call: ToolCall { name: (*tool).into(), args: args.as_object().unwrap().clone() },
    };
    Demonstration { seed: 1, steps: calls.iter().map(step).collect() }
}
