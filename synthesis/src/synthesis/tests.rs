//! Programs that are made of demonstrations on a desk, and the law that ties them to the evaluator.

use super::program::{Argument, Step, write};
use super::text::TextExpression;
use super::values::{Values, View};
use super::{Evaluator, Synthesizer};
use crate::fixtures::{SANDBOX, demonstration, desk, task};
use crate::{Demonstration, UiState};
use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sojourn_sandbox::{Binding, Host, HostError, Invocation, Limits};
use sojourn_skills::{Callable, static_check};
use std::sync::{Arc, Mutex};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn steps_for(demonstrations: &[Demonstration]) -> Vec<Vec<Step>> {
    let (environment, task) = (desk(), task());
    let mut synthesizer = Synthesizer::new(&environment, &task, SANDBOX.clone());
    synthesizer.extend(demonstrations.to_vec());
    block_on(synthesizer.steps(usize::MAX, 40))
}

fn source_of(steps: &[Step]) -> String {
    write(&desk(), "function work() {\n", steps, true)
}

fn sources_for(demonstrations: &[Demonstration]) -> Vec<String> {
    let callables: Vec<Callable> = desk().tools.iter().map(Callable::from).collect();
    let sources: Vec<String> = steps_for(demonstrations).iter().map(|steps| source_of(steps)).collect();
    for source in &sources {
        static_check(source, "work", &[""; 0], &callables).unwrap();
    }
    sources
}

#[test]
fn a_text_in_quotation_marks_selects_an_element() {
    let elements = json!([
        {"id": "a", "kind": "button", "words": "Go"},
        {"id": "b", "kind": "button", "words": "Stop"},
        {"id": "c", "kind": "label", "words": "Stop"},
    ]);
    let sources = sources_for(&[
        demonstration("Push the \"Stop\" button.", &elements, &[("push", json!({"what": "b"}))]),
        demonstration("Push the \"Go\" button.", &elements, &[("push", json!({"what": "a"}))]),
    ]);
    insta::assert_snapshot!(sources[0]);
    // A fixed word or a place does not explain both.
    assert!(
        sources.iter().all(|source| !source.contains("\"Stop\"") && !source.contains(")[1];")),
        "{sources:#?}"
    );
}

#[test]
fn words_between_others_are_copied_and_constant_elements_are_named() {
    let elements = json!([
        {"id": "a", "kind": "field", "words": ""},
        {"id": "b", "kind": "button", "words": "Send"},
    ]);
    let calls =
        |words: &str| [("fill", json!({"what": "a", "words": words})), ("push", json!({"what": "b"}))];
    let sources = sources_for(&[
        demonstration("Write the word apple into the field.", &elements, &calls("apple")),
        demonstration("Write the word pear into the field.", &elements, &calls("pear")),
    ]);
    insta::assert_snapshot!(sources[0]);
}

#[test]
fn the_option_that_the_goal_mentions_is_chosen() {
    let elements = json!([{"id": "a", "kind": "knob", "words": "mode", "to": ["low", "high"]}]);
    let sources = sources_for(&[
        demonstration("Set it to high.", &elements, &[("turn", json!({"what": "a", "to": "high"}))]),
        demonstration("Set it to low.", &elements, &[("turn", json!({"what": "a", "to": "low"}))]),
    ]);
    insta::assert_snapshot!(sources[0]);
}

#[test]
fn all_elements_that_the_goal_mentions_are_looped_over() {
    let elements = json!([
        {"id": "a", "kind": "box", "words": "fern"},
        {"id": "b", "kind": "box", "words": "ivy"},
        {"id": "c", "kind": "box", "words": "rose"},
        {"id": "d", "kind": "button", "words": "Done"},
    ]);
    let calls = |ids: &[&str]| ids.iter().map(|id| ("push", json!({"what": id}))).collect::<Vec<_>>();
    let sources = sources_for(&[
        demonstration("Water fern and rose, then press the button.", &elements, &calls(&["c", "a", "d"])),
        demonstration("Water ivy, then press the button.", &elements, &calls(&["b", "d"])),
    ]);
    let looped = sources.iter().find(|source| source.contains("for (")).unwrap();
    insta::assert_snapshot!(looped);
    // A demonstration that left one out is no loop.
    let partly = sources_for(&[demonstration("Water fern and rose.", &elements, &calls(&["c"]))]);
    assert!(partly.iter().all(|source| !source.contains("for (")), "{partly:#?}");
}

#[test]
fn numbers_are_looped_over_in_their_order() {
    let elements = json!([
        {"id": "a", "kind": "button", "words": "12"},
        {"id": "b", "kind": "button", "words": "3"},
        {"id": "c", "kind": "button", "words": "7"},
    ]);
    let calls = |ids: [&str; 3]| ids.map(|id| ("push", json!({"what": id})));
    let sources = sources_for(&[demonstration("In ascending order.", &elements, &calls(["b", "c", "a"]))]);
    assert!(sources.iter().any(|source| source.contains("+a.words : Infinity")), "{sources:#?}");
    let sources = sources_for(&[demonstration("In descending order.", &elements, &calls(["a", "c", "b"]))]);
    assert!(sources.iter().any(|source| source.contains("+b.words : -Infinity")), "{sources:#?}");
}

#[test]
fn demonstrations_without_a_common_explanation_are_explained_alone() {
    let elements = json!([{"id": "a", "kind": "x", "words": "1"}, {"id": "b", "kind": "x", "words": "2"}]);
    let sources = sources_for(&[
        demonstration("Push one.", &elements, &[("push", json!({"what": "a"}))]),
        demonstration("Push one.", &elements, &[("push", json!({"what": "b"}))]),
    ]);
    assert!(!sources.is_empty());
    assert!(sources_for(&[]).is_empty());
    assert!(sources_for(&[Demonstration { seed: 1, steps: vec![] }]).is_empty());
}

#[test]
fn an_element_is_found_beside_another_that_the_goal_mentions() {
    let elements = json!([
        {"id": "a", "kind": "name", "words": "fern", "row": 0},
        {"id": "b", "kind": "button", "words": "Water", "row": 0},
        {"id": "c", "kind": "name", "words": "ivy", "row": 1},
        {"id": "d", "kind": "button", "words": "Water", "row": 1},
    ]);
    let sources = sources_for(&[
        demonstration("Give the ivy a drink.", &elements, &[("push", json!({"what": "d"}))]),
        demonstration("Give the fern a drink.", &elements, &[("push", json!({"what": "b"}))]),
    ]);
    insta::assert_snapshot!(sources[0]);
}

#[test]
fn elements_are_acted_on_until_another_appears() {
    let chests =
        json!([{"id": "a", "kind": "chest", "words": "I"}, {"id": "b", "kind": "chest", "words": "II"}]);
    let open = json!([
        {"id": "a", "kind": "chest", "words": "I"}, {"id": "b", "kind": "chest", "words": "II"},
        {"id": "c", "kind": "jewel", "words": "ruby"}
    ]);
    let mut opened = demonstration("Take the ruby.", &chests, &[("push", json!({"what": "b"}))]);
    opened.steps.extend(demonstration("Take the ruby.", &open, &[("push", json!({"what": "c"}))]).steps);
    let sources = sources_for(&[opened]);
    let searching = sources.iter().find(|source| source.contains("break;")).unwrap();
    insta::assert_snapshot!(searching);
}

#[test]
fn texts_are_copied_counted_off_and_calculated() {
    let elements = json!([
        {"id": "a", "kind": "note", "words": "6 x 7 ="},
        {"id": "b", "kind": "field", "words": "answer"},
    ]);
    let filled = |goal: &str, words: &str| {
        sources_for(&[demonstration(goal, &elements, &[("fill", json!({"what": "b", "words": words}))])])
    };
    for (goal, words, part) in [
        ("Work it out.", "42", "calculated("),
        ("Copy the 2nd word.", "x", "places[0] - 1"),
        ("Copy the note.", "6 x 7 =", "|| {}).words"),
        ("Write \"go\" large.", "GO", "toUpperCase()"),
    ] {
        let sources = filled(goal, words);
        assert!(sources.iter().any(|source| source.contains(part)), "{part}: {sources:#?}");
    }
}

/// A desk on which nothing changes; it notes the calls.
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

/// The calls that a program makes on a desk.
async fn calls_of(source: &str, state: &Value) -> Vec<(String, Value)> {
    let host = Arc::new(Desk { state: state.clone(), calls: Mutex::default() });
    let binding = |tool: &sojourn_tools::ToolSpec| match tool.name.as_str() {
        "observe" => Binding::live("observe"),
        name => Binding::call(name, tool.parameters.iter().map(|parameter| parameter.name.clone())),
    };
    let bindings: Vec<Binding> = desk().tools.iter().map(binding).collect();
    let wasm = SANDBOX.compile("work", source).await.unwrap();
    let program = SANDBOX.load(&wasm).unwrap();
    let limits = Limits::default();
    let invocation = Invocation {
        args: &[],
        bindings: &bindings,
        host: Arc::<Desk>::clone(&host),
        limits: &limits,
        seed: 0,
        now_ms: 0,
    };
    let result = SANDBOX.call(&program, invocation).await.result;
    result.unwrap_or_else(|error| panic!("{error}\n{source}\n{state}"));
    std::mem::take(&mut *host.calls.lock().unwrap())
}

/// The calls that a program of single calls makes according to the evaluator.
async fn evaluated_calls(program: &[Step], state: &Value) -> Vec<(String, Value)> {
    let environment = desk();
    let spec = environment.exploration.as_ref().unwrap();
    let state = UiState::read(&environment, state).unwrap();
    let mut values = Values::default();
    loop {
        let view = View { spec, state: &state, index: 0, values: &values, given: &[] };
        let calls = calls_by_value(program, view);
        if !values.is_missing_any() {
            return calls;
        }
        Evaluator::new(SANDBOX.clone()).complete(&mut values, spec, &[&state]).await;
    }
}

fn calls_by_value(program: &[Step], view: View<'_>) -> Vec<(String, Value)> {
    let environment = desk();
    let mut calls = Vec::new();
    for step in program {
        let Step::Call { tool, args } = step else { panic!("{step:?} is no single call") };
        let (mut given, mut element) = (Vec::new(), None);
        for argument in args {
            let value = match argument {
                Argument::Element(selector) => {
                    let id = view.find(selector).cloned();
                    element = id.as_ref().and_then(|id| view.state.element(id));
                    id
                }
                Argument::Text(TextExpression::Fixed(text)) => Some(json!(text)),
                Argument::Text(text) => view.text(text).map(Value::from),
                Argument::OptionOf(field) => {
                    element.and_then(|element| view.first_option(element, field)).map(Value::from)
                }
                Argument::Fixed(value) => Some(value.clone()),
            };
            let Some(value) = value else { return calls };
            given.push(value);
        }
        let spec = environment.tools.iter().find(|spec| spec.name == *tool).unwrap();
        let names = spec.parameters.iter().map(|parameter| parameter.name.clone());
        calls.push((tool.clone(), Value::Object(names.zip(given).collect())));
    }
    calls
}

fn sorted(calls: &[(String, Value)]) -> Vec<String> {
    let mut calls: Vec<String> = calls.iter().map(|(tool, args)| format!("{tool} {args}")).collect();
    calls.sort();
    calls.dedup();
    calls
}

prop_compose! {
    fn element()(
        kind in "button|field|knob", words in "go|stop|7|12|Go on|a:|", row in -1..2i64, to in "go|stop",
    ) -> Value {
        json!({"kind": kind, "words": words, "row": row, "color": "red", "to": ["go", to]})
    }
}

prop_compose! {
    fn any_desk()(
        mut elements in proptest::collection::vec(element(), 1..6),
        goal in "(Push|the|2nd|red|go|\"stop\"|7|12|Go on| ){1,7}",
    ) -> Value {
        for (at, element) in elements.iter_mut().enumerate() {
            element["id"] = json!(format!("e{at}"));
        }
        json!({"wish": goal, "desk": {"things": elements}})
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The law of the crate. A program does on the desk where it was demonstrated what was demonstrated there: a program of
    /// single calls in the same order, a loop perhaps in another. On any other desk it does what the evaluator says.
    #[test]
    fn a_program_does_what_was_demonstrated_and_elsewhere_what_the_evaluator_says(
        here in any_desk(),
        there in any_desk(),
        acts in proptest::collection::vec((0..3usize, any::<prop::sample::Index>()), 1..4),
    ) {
        let elements = here["desk"]["things"].clone();
        let list = elements.as_array().unwrap();
        let call = |(tool, at): &(usize, prop::sample::Index)| {
            let id = list[at.index(list.len())]["id"].clone();
            match tool {
                0 => ("push", json!({"what": id})),
                1 => ("fill", json!({"what": id, "words": "go"})),
                _ => ("turn", json!({"what": id, "to": "go"})),
            }
        };
        let calls: Vec<(&str, Value)> = acts.iter().map(call).collect();
        let demonstrated: Vec<(String, Value)> =
            calls.iter().map(|(tool, args)| ((*tool).to_owned(), args.clone())).collect();
        let one = demonstration(here["wish"].as_str().unwrap(), &elements, &calls);
        let programs = steps_for(&[one]);
        block_on(async {
            for program in programs.iter().step_by(4) {
                let source = source_of(program);
                let made = calls_of(&source, &here).await;
                if program.iter().all(|step| matches!(step, Step::Call { .. })) {
                    prop_assert_eq!(&made, &demonstrated, "{}\n{}", source, here);
                    let elsewhere = (calls_of(&source, &there).await, evaluated_calls(program, &there).await);
                    prop_assert_eq!(elsewhere.0, elsewhere.1, "{}\n{}", source, there);
                } else {
                    prop_assert_eq!(sorted(&made), sorted(&demonstrated), "{}\n{}", source, here);
                }
            }
            Ok(())
        })?;
    }
}
