//! Every sentence of the grammars is JavaScript for the engine that runs it.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use serde_json::json;
use sojourn_sandbox::{Sandbox, SandboxConfig};
use sojourn_skills::grammar::{GrammarSpec, Language, View, javascript_subset};
use sojourn_skills::{Callable, Compiled, LibraryEvent, LibraryState, called_names};
use sojourn_tools::{Parameter, ParameterKind};
use std::collections::BTreeSet;

fn spec() -> GrammarSpec {
    let kinds = [
        ParameterKind::Choice(vec!["tree".into(), "with \"quotes\"".into()]),
        ParameterKind::Integer { min: 0, max: 9 },
        ParameterKind::Text,
        ParameterKind::Boolean,
        ParameterKind::Schema(json!({})),
    ];
    let functions = kinds.into_iter().enumerate().map(|(number, kind)| {
        let parameter = |name: &str, default| Parameter { name: name.into(), kind: kind.clone(), default };
        let parameters = vec![parameter("a", None), parameter("b", Some(json!(1)))];
        Callable { name: format!("tool_{number}"), parameters }
    });
    GrammarSpec {
        name: "wander".into(),
        parameters: vec!["n".into()],
        functions: functions.collect(),
        view: Some(View {
            name: "observe".into(),
            sample: json!({"health": 9, "inventory": {"wood": 0, "stone": 0}}),
            nulls: true,
        }),
    }
}

/// Whether a source declares a name twice, which a context-free grammar cannot forbid.
fn declares_twice(source: &str) -> bool {
    let words: Vec<&str> = source.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let mut seen = BTreeSet::new();
    words.windows(2).any(|pair| matches!(pair[0], "const" | "let") && !seen.insert(pair[1]))
}

/// Pseudo-random functions for a grammar, one parameter of each kind.
fn drawn(number: u64) -> GrammarSpec {
    let mut spec = spec();
    spec.functions.retain(|function| {
        let bit = function.name.trim_start_matches("tool_").parse::<u32>().unwrap_or(0);
        number >> bit & 1 == 1
    });
    let names = ["go to", "if", "wander", "Math", "$x", "ok_1"];
    let kind = ParameterKind::Choice(vec!["\n".into(), "\\".into(), "ä".into(), "</script>".into()]);
    let parameters = vec![Parameter { name: "a".into(), kind, default: None }];
    spec.functions.push(Callable { name: names[number as usize % names.len()].into(), parameters });
    if number.is_multiple_of(3) {
        spec.view = None;
    }
    spec
}

#[tokio::test]
async fn sentences_for_any_grants_compile_and_call_only_granted_functions() {
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    let mut compiled = 0;
    for number in 0..192_u64 {
        let spec = drawn(number);
        let granted: BTreeSet<&str> = spec
            .functions
            .iter()
            .map(|f| f.name.as_str())
            .chain(spec.view.as_ref().map(|_| "observe"))
            .collect();
        let body = Language::Subset.grammar(&spec).sample(number, 5 + (number % 16) as u32);
        let source = format!("function wander(n = 1) {{\n{body}");
        for name in called_names(&body) {
            assert!(granted.contains(name.as_str()) && name != "wander", "calls `{name}`:\n{source}");
        }
        assert!(!body.contains("while") && !body.contains("function"), "{source}");
        if declares_twice(&source) {
            continue;
        }
        if let Err(error) = Compiled::from_source(&sandbox, "wander", &source).await {
            panic!("{number}: {error}\n{source}");
        }
        compiled += 1;
    }
    assert!(compiled > 96, "only {compiled} sentences declare every name once");
}

#[tokio::test]
async fn free_javascript_compiles_or_fails_with_a_position() {
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    let grammar = Language::JavaScript.grammar(&spec());
    for seed in 0..60 {
        let source = format!("function wander(n = 1) {{\n{}", grammar.sample(seed, 4 + (seed % 8) as u32));
        // The text contains arbitrary characters, so most of it is not JavaScript; the error must name a
        // position. The engine gives none for the flags of a regular expression.
        if let Err(error) = Compiled::from_source(&sandbox, "wander", &source).await {
            let error = error.to_string();
            let located = error.contains("line") || error.contains("invalid regular expression flags");
            assert!(located, "{seed}: {error}\n{source}");
        }
    }
}

#[tokio::test]
async fn every_sentence_of_the_grammar_compiles() {
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    let grammar = javascript_subset(&spec());
    let mut compiled = 0;
    for seed in 0..400 {
        let source = format!("function wander(n = 1) {{\n{}", grammar.sample(seed, 6 + (seed % 20) as u32));
        if declares_twice(&source) {
            continue;
        }
        if let Err(error) = Compiled::from_source(&sandbox, "wander", &source).await {
            panic!("seed {seed}: {error}\n{source}");
        }
        compiled += 1;
    }
    assert!(compiled > 200, "only {compiled} sentences declare every name once");
}

#[tokio::test]
async fn the_sandbox_loads_skills_from_the_library() {
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    let draft = crate::common::draft("collect_wood", "return go_to(\"tree\");");
    let compiled = Compiled::from_source(&sandbox, &draft.name, &draft.source).await.unwrap();
    let mut state = LibraryState::default();
    let skill = state.prepare(draft, compiled, ["go_to"]);
    assert_eq!(skill.manifest.calls, ["go_to"]);
    state.apply(&LibraryEvent::Drafted { skill: Box::new(skill) }).unwrap();

    let stored = &state.history("collect_wood").unwrap().version(1).unwrap().skill;
    let program = sandbox.load(&stored.wasm.0).unwrap();
    assert_eq!((program.entry(), program.source()), ("collect_wood", stored.source.as_str()));
}
