//! What is made of what was shown, on a desk with things.

use super::explain::ideas;
use super::program::{Run, Step, write};
use super::scene::Scene;
use crate::core::task_head;
use crate::model::{Demonstration, Shown};
use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::Map;
use serde_json::{Value, json};
use sojourn_sandbox::{Binding, Host, HostError, Invocation, Limits, Sandbox, SandboxConfig};
use sojourn_skills::{Callable, static_check};
use sojourn_tools::{
    Amount, Condition, Effects, EnvironmentSpec, Move, Parameter, ParameterKind, Play, Question, Stuff,
    TaskSpec, ToolCall, ToolSpec,
};
use std::sync::{Arc, LazyLock, Mutex};

fn spec() -> EnvironmentSpec {
    let text = |name: &str| Parameter { name: name.into(), kind: ParameterKind::Text, default: None };
    let tool = |name: &str, parameters: Vec<Parameter>| ToolSpec {
        parameters,
        effects: Effects { write: true, ..Effects::default() },
        ..ToolSpec::new(name, name)
    };
    let chance = |tool: &str, args: Vec<Stuff>| Move { tool: tool.into(), args, often: 1 };
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
        question: Some(Question { path: "/wish".into(), differs: String::new() }),
        play: Some(Play {
            things: "/desk/things".into(),
            kind: "kind".into(),
            label: "words".into(),
            groups: vec!["row".into()],
            moves: vec![
                chance("push", vec![Stuff::Thing(vec![])]),
                chance("fill", vec![Stuff::Thing(vec!["field".into()]), Stuff::Said]),
                chance("turn", vec![Stuff::Thing(vec!["knob".into()]), Stuff::Option("to".into())]),
            ],
        }),
    }
}

fn task() -> TaskSpec {
    TaskSpec {
        name: "work".into(),
        description: "work".into(),
        parameters: vec![],
        goal: Condition::AtLeast { path: "/done".into(), value: Amount::Literal(1.0) },
        achievement: true,
        episodes: None,
    }
}

fn shown(question: &str, things: &Value, calls: &[(&str, Value)]) -> Demonstration {
    let step = |(tool, args): &(&str, Value)| Shown {
        question: question.into(),
        things: things.as_array().unwrap().clone(),
        call: ToolCall { name: (*tool).into(), args: args.as_object().unwrap().clone() },
    };
    Demonstration { seed: 1, steps: calls.iter().map(step).collect() }
}

fn found(shown: &[Demonstration]) -> Vec<String> {
    let (spec, task) = (spec(), task());
    let callables: Vec<Callable> = spec.tools.iter().map(Callable::from).collect();
    let head = task_head(&task);
    let play = spec.play.as_ref().unwrap();
    let ideas = ideas(&spec, play, shown, 40);
    let sources: Vec<String> = ideas.iter().map(|steps| write(&spec, &head, steps)).collect();
    for source in &sources {
        static_check(source, "work", &[""; 0], &callables).unwrap();
    }
    sources
}

#[test]
fn what_is_said_in_quotation_marks_is_looked_for() {
    let things = json!([
        {"id": "a", "kind": "button", "words": "Go"},
        {"id": "b", "kind": "button", "words": "Stop"},
        {"id": "c", "kind": "label", "words": "Stop"},
    ]);
    let sources = found(&[
        shown("Push the \"Stop\" button.", &things, &[("push", json!({"what": "b"}))]),
        shown("Push the \"Go\" button.", &things, &[("push", json!({"what": "a"}))]),
    ]);
    insta::assert_snapshot!(sources[0]);
    // A word that always stood there, or a place, does not explain both.
    assert!(
        sources.iter().all(|source| !source.contains("\"Stop\"") && !source.contains(")[1];")),
        "{sources:#?}"
    );
}

#[test]
fn words_are_taken_from_between_others_and_what_is_always_the_same_is_named() {
    let things = json!([
        {"id": "a", "kind": "field", "words": ""},
        {"id": "b", "kind": "button", "words": "Send"},
    ]);
    let calls =
        |words: &str| [("fill", json!({"what": "a", "words": words})), ("push", json!({"what": "b"}))];
    let sources = found(&[
        shown("Write the word apple into the field.", &things, &calls("apple")),
        shown("Write the word pear into the field.", &things, &calls("pear")),
    ]);
    insta::assert_snapshot!(sources[0]);
}

#[test]
fn the_option_that_the_question_has_is_chosen() {
    let things = json!([{"id": "a", "kind": "knob", "words": "mode", "to": ["low", "high"]}]);
    let sources = found(&[
        shown("Set it to high.", &things, &[("turn", json!({"what": "a", "to": "high"}))]),
        shown("Set it to low.", &things, &[("turn", json!({"what": "a", "to": "low"}))]),
    ]);
    insta::assert_snapshot!(sources[0]);
}

#[test]
fn as_many_as_the_question_speaks_of_are_done() {
    let things = json!([
        {"id": "a", "kind": "box", "words": "fern"},
        {"id": "b", "kind": "box", "words": "ivy"},
        {"id": "c", "kind": "box", "words": "rose"},
        {"id": "d", "kind": "button", "words": "Done"},
    ]);
    let calls = |ids: &[&str]| ids.iter().map(|id| ("push", json!({"what": id}))).collect::<Vec<_>>();
    let sources = found(&[
        shown("Water fern and rose, then press the button.", &things, &calls(&["c", "a", "d"])),
        shown("Water ivy, then press the button.", &things, &calls(&["b", "d"])),
    ]);
    let looped = sources.iter().find(|source| source.contains("for (")).unwrap();
    insta::assert_snapshot!(looped);
    // Who left one out did not do them all.
    let partly = found(&[shown("Water fern and rose.", &things, &calls(&["c"]))]);
    assert!(partly.iter().all(|source| !source.contains("for (")), "{partly:#?}");
}

#[test]
fn luck_that_fits_nothing_else_is_left_out() {
    let things = json!([{"id": "a", "kind": "x", "words": "1"}, {"id": "b", "kind": "x", "words": "2"}]);
    let sources = found(&[
        shown("Push one.", &things, &[("push", json!({"what": "a"}))]),
        shown("Push one.", &things, &[("push", json!({"what": "b"}))]),
    ]);
    assert!(!sources.is_empty());
    assert!(found(&[]).is_empty());
    assert!(found(&[Demonstration { seed: 1, steps: vec![] }]).is_empty());
}

#[test]
fn what_belongs_together_is_found_by_what_the_question_speaks_of() {
    let things = json!([
        {"id": "a", "kind": "name", "words": "fern", "row": 0},
        {"id": "b", "kind": "button", "words": "Water", "row": 0},
        {"id": "c", "kind": "name", "words": "ivy", "row": 1},
        {"id": "d", "kind": "button", "words": "Water", "row": 1},
    ]);
    let sources = found(&[
        shown("Give the ivy a drink.", &things, &[("push", json!({"what": "d"}))]),
        shown("Give the fern a drink.", &things, &[("push", json!({"what": "b"}))]),
    ]);
    insta::assert_snapshot!(sources[0]);
}

#[test]
fn one_is_opened_after_the_other_until_it_is_there() {
    let chests =
        json!([{"id": "a", "kind": "chest", "words": "I"}, {"id": "b", "kind": "chest", "words": "II"}]);
    let open = json!([
        {"id": "a", "kind": "chest", "words": "I"}, {"id": "b", "kind": "chest", "words": "II"},
        {"id": "c", "kind": "jewel", "words": "ruby"}
    ]);
    let mut demonstration = shown("Take the ruby.", &chests, &[("push", json!({"what": "b"}))]);
    demonstration.steps.extend(shown("Take the ruby.", &open, &[("push", json!({"what": "c"}))]).steps);
    let sources = found(&[demonstration]);
    let searching = sources.iter().find(|source| source.contains("break;")).unwrap();
    insta::assert_snapshot!(searching);
}

#[test]
fn texts_are_copied_counted_off_and_worked_out() {
    let things = json!([
        {"id": "a", "kind": "note", "words": "6 x 7 ="},
        {"id": "b", "kind": "field", "words": "answer"},
    ]);
    let sources = found(&[shown("Work it out.", &things, &[("fill", json!({"what": "b", "words": "42"}))])]);
    assert!(sources.iter().any(|source| source.contains("calculated(")), "{sources:#?}");
    let sources =
        found(&[shown("Copy the 2nd word.", &things, &[("fill", json!({"what": "b", "words": "x"}))])]);
    assert!(sources.iter().any(|source| source.contains("places[0] - 1")), "{sources:#?}");
    let sources =
        found(&[shown("Write \"go\" large.", &things, &[("fill", json!({"what": "b", "words": "GO"}))])]);
    assert!(sources.iter().any(|source| source.contains("toUpperCase()")), "{sources:#?}");
}

/// A desk on which nothing changes; it notes what is called.
struct Desk {
    state: Value,
    calls: Mutex<Vec<(String, Value)>>,
}

#[async_trait]
impl Host for Desk {
    async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, HostError> {
        if name == "observe" {
            return Ok(self.state.clone());
        }
        let mut calls = self.calls.lock().unwrap();
        calls.push((name.to_owned(), Value::Object(args)));
        Ok(json!(true))
    }
}

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::new(SandboxConfig::default()).unwrap());

/// The calls that a program makes on a desk.
fn calls_of(source: &str, state: &Value) -> Vec<(String, Value)> {
    let desk = Arc::new(Desk { state: state.clone(), calls: Mutex::default() });
    let bindings: Vec<Binding> = spec()
        .tools
        .iter()
        .map(|tool| match tool.name.as_str() {
            "observe" => Binding::live("observe"),
            name => Binding::call(name, tool.parameters.iter().map(|parameter| parameter.name.clone())),
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let wasm = SANDBOX.compile("work", source).await.unwrap();
        let program = SANDBOX.load(&wasm).unwrap();
        let invocation = Invocation {
            args: &[],
            bindings: &bindings,
            host: Arc::<Desk>::clone(&desk),
            limits: &Limits::default(),
            seed: 0,
            now_ms: 0,
        };
        SANDBOX.call(&program, invocation).await
    });
    report.result.unwrap_or_else(|error| panic!("{error}\n{source}\n{state}"));
    std::mem::take(&mut *desk.calls.lock().unwrap())
}

/// The calls that play makes of it.
fn calls_in_play(program: &[Step], state: &Value) -> Vec<(String, Value)> {
    let spec = spec();
    let scene = Scene::of(&spec, state).unwrap();
    let mut run = Run::new(&spec, program);
    std::iter::from_fn(|| run.next(&scene)).map(|call| (call.name, Value::Object(call.args))).collect()
}

prop_compose! {
    fn thing()(kind in "button|field|knob", words in "go|stop|7|12|Go on|a:|", row in -1..2i64, to in "go|stop") -> Value {
        json!({"kind": kind, "words": words, "row": row, "color": "red", "to": ["go", to]})
    }
}

prop_compose! {
    fn desk()(mut things in proptest::collection::vec(thing(), 1..6), question in "(Push|the|2nd|red|go|\"stop\"|7|12|Go on| ){1,7}") -> Value {
        for (at, thing) in things.iter_mut().enumerate() {
            thing["id"] = json!(format!("e{at}"));
        }
        json!({"wish": question, "desk": {"things": things}})
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What play found to work, the program does: on the same desk, and on another.
    #[test]
    fn a_program_calls_what_play_called(
        here in desk(), there in desk(), moves in proptest::collection::vec((0..3usize, any::<prop::sample::Index>()), 1..4),
    ) {
        let things = here["desk"]["things"].clone();
        let list = things.as_array().unwrap();
        let calls: Vec<(&str, Value)> = moves
            .iter()
            .map(|(tool, at)| {
                let id = list[at.index(list.len())]["id"].clone();
                match tool {
                    0 => ("push", json!({"what": id})),
                    1 => ("fill", json!({"what": id, "words": "go"})),
                    _ => ("turn", json!({"what": id, "to": "go"})),
                }
            })
            .collect();
        let demonstration = shown(here["wish"].as_str().unwrap(), &things, &calls);
        let (spec, task) = (spec(), task());
        let play = spec.play.as_ref().unwrap();
        for program in ideas(&spec, play, &[demonstration], 40).iter().step_by(4) {
            let source = write(&spec, &task_head(&task), program);
            for desk in [&here, &there] {
                prop_assert_eq!(calls_of(&source, desk), calls_in_play(program, desk), "{}\n{}", source, desk);
            }
        }
    }
}
