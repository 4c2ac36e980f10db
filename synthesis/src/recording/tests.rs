use super::*;
use crate::UiState;
use crate::fixtures::{SANDBOX, desk};
use serde_json::json;
use sojourn_tools::{ParameterKind, ToolCall};

fn parameter(name: &str, schema: Value) -> Parameter {
    Parameter { name: name.to_owned(), kind: ParameterKind::Schema(schema), default: None }
}

/// Calls on a desk with two fields, a knob and a button.
fn recorded(calls: &[(&str, Value)]) -> Vec<DemonstratedCall> {
    let things = json!([
        {"id": "e1", "kind": "field", "words": "User name"},
        {"id": "e2", "kind": "field", "words": "Password"},
        {"id": "e3", "kind": "knob", "words": "Land", "to": ["Peru", "Chad"]},
        {"id": "e4", "kind": "button", "words": "Log out ada"},
        {"id": "e5", "kind": "button", "words": "Log in"},
    ]);
    let state =
        UiState::read(&desk(), &json!({"wish": "Log in and say \"ada\"", "desk": {"things": things}}))
            .unwrap();
    let step = |(name, args): &(&str, Value)| DemonstratedCall {
        state: state.clone(),
        call: ToolCall { name: (*name).to_owned(), args: args.as_object().cloned().unwrap() },
    };
    calls.iter().map(step).collect()
}

fn log_in() -> Recording {
    Recording {
        parameters: vec![
            parameter("user", json!({"type": "string"})),
            Parameter {
                name: "password".to_owned(),
                kind: ParameterKind::Text,
                default: Some("${PASSWORD}".into()),
            },
            parameter("land", json!({"type": "string"})),
            parameter("age", json!({"type": "number"})),
        ],
        arguments: json!({"user": "ada", "password": "${PASSWORD}", "land": "Chad", "age": 36})
            .as_object()
            .cloned()
            .unwrap(),
        steps: recorded(&[
            ("fill", json!({"what": "e1", "words": "ada"})),
            ("fill", json!({"what": "e2", "words": "${PASSWORD}"})),
            ("turn", json!({"what": "e3", "to": "Chad"})),
            ("fill", json!({"what": "e1", "words": "36"})),
            ("push", json!({"what": "e4"})),
            ("push", json!({"what": "e5"})),
        ]),
    }
}

#[tokio::test]
async fn what_was_typed_becomes_arguments_and_elements_are_found_by_their_words() {
    let programs = log_in().programs(&desk(), "log_in", SANDBOX.clone(), 3).await;
    let expected = r#"function log_in(user, password = "${PASSWORD}", land, age) {
  const element1 = observe().desk.things.find(e => e.kind === "field" && e.words === "User name");
  if (!element1) return false;
  fill(element1.id, user);
  const element2 = observe().desk.things.find(e => e.kind === "field" && e.words === "Password");
  if (!element2) return false;
  fill(element2.id, password);
  const element3 = observe().desk.things.find(e => e.kind === "knob" && e.words === "Land");
  if (!element3) return false;
  turn(element3.id, land);
  const element4 = observe().desk.things.find(e => e.kind === "field" && e.words === "User name");
  if (!element4) return false;
  fill(element4.id, String(age));
  const element5 = observe().desk.things.find(e => e.kind === "button" && e.words.includes(user));
  if (!element5) return false;
  push(element5.id);
  const element6 = observe().desk.things.find(e => e.kind === "button" && e.words === "Log in");
  if (!element6) return false;
  return push(element6.id);
}"#;
    // The last button is found by its words, or by its place after the one that names the user: trials choose among the programs.
    let before = |program: &str| program.split("  const element6").next().map(str::to_owned);
    assert_eq!(before(&programs[0]), before(expected));
    assert!(programs[0].ends_with("  return push(element6.id);\n}"), "{}", programs[0]);
}

#[tokio::test]
async fn the_goal_of_the_recording_explains_nothing() {
    let programs = log_in().programs(&desk(), "log_in", SANDBOX.clone(), 20).await;
    assert!(!programs.is_empty());
    for program in programs {
        assert!(!program.contains("goal"), "{program}");
    }
}

#[test]
fn the_steps_are_kept_without_ids_and_without_values() {
    let steps: Vec<String> = log_in().recorded_steps(&desk()).iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        [
            "fill(field \"User name\", user)",
            "fill(field \"Password\", password)",
            "turn(knob \"Land\", land)",
            "fill(field \"User name\", age)",
            "push(button \"Log out ada\")",
            "push(button \"Log in\")",
        ]
    );
}

/// A text that happens to be the id of an element is a text.
#[test]
fn a_typed_text_is_no_element() {
    let mut recording = log_in();
    recording.steps = recorded(&[("fill", json!({"what": "e1", "words": "e5"}))]);
    let steps = recording.recorded_steps(&desk());
    assert_eq!(steps[0].to_string(), "fill(field \"User name\", \"e5\")");
}
