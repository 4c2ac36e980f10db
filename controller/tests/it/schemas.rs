//! Schemas that peers may send: each becomes a grammar that admits only valid values, or is refused with a reason.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sojourn_controller::Constraint;
use std::cell::Cell;

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b-c".to_owned()), Just("ü".to_owned()), "[a-z]{1,6}"]
}

/// Keywords that are right, wrong for their type, contradictory, or of no draft.
fn leaf() -> impl Strategy<Value = Value> {
    let bound = -20i64..20;
    prop_oneof![
        Just(json!(true)),
        Just(json!({})),
        Just(json!({"type": "null"})),
        Just(json!({"type": "boolean"})),
        (bound.clone(), bound.clone())
            .prop_map(|(a, b)| json!({"type": "integer", "minimum": a, "maximum": b})),
        (bound.clone(), 1..4i64).prop_map(
            |(a, m)| json!({"type": "number", "exclusiveMinimum": a, "maximum": 1000, "multipleOf": m})
        ),
        (0u8..5, 0u8..5).prop_map(|(a, b)| json!({"type": "string", "minLength": a, "maxLength": b})),
        Just(json!({"type": "string", "pattern": "^[a-f0-9]{2,4}$"})),
        Just(json!({"type": "string", "pattern": "(?=look)ahead"})),
        Just(json!({"type": "string", "format": "date"})),
        Just(json!({"type": "string", "format": "no-such-format"})),
        Just(json!({"$ref": "#"})),
        Just(json!({"$ref": "#/$defs/nowhere"})),
        Just(json!({"$ref": "https://example.org/schema.json"})),
        Just(json!({"type": ["string", "null"], "default": 7})),
        Just(json!({"type": "dict"})),
        Just(json!({"type": "string", "unheardOf": [1, 2]})),
        prop::collection::vec(word(), 1..4).prop_map(|words| json!({"enum": words})),
        (1usize..3000)
            .prop_map(|n| json!({"enum": (0..n).map(|i| format!("choice {i}")).collect::<Vec<_>>()})),
    ]
}

fn schema() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let properties = prop::collection::btree_map(word(), inner.clone(), 0..4).boxed();
        prop_oneof![
            (properties.clone(), any::<bool>(), any::<bool>()).prop_map(|(properties, closed, required)| {
                let names: Vec<_> = if required { properties.keys().cloned().collect() } else { Vec::new() };
                json!({"type": "object", "properties": properties, "required": names, "additionalProperties": !closed})
            }),
            (inner.clone(), 0u8..3, 0u8..4).prop_map(|(items, min, max)| {
                json!({"type": "array", "items": items, "minItems": min, "maxItems": max})
            }),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|any| json!({"anyOf": any})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"allOf": all})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|one| json!({"oneOf": one})),
            inner.clone().prop_map(|not| json!({"not": not})),
            (properties, inner).prop_map(|(definitions, body)| json!({"$defs": definitions, "properties": {"x": body}, "type": "object"})),
        ]
    })
}

/// As a tool's: an object at its root.
fn arguments() -> impl Strategy<Value = Value> {
    (schema(), schema()).prop_map(|(one, other)| {
        json!({
            "type": "object",
            "properties": {"one": one, "other": other},
            "required": ["one"],
            "additionalProperties": false,
            "$defs": {"tree": {"type": "object", "properties": {"child": {"$ref": "#/$defs/tree"}}}},
        })
    })
}

#[test]
fn what_the_grammar_admits_is_valid_or_the_schema_is_refused() {
    const CASES: u32 = 400;
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (refused, drawn) = (Cell::new(0), Cell::new(0));
    TestRunner::new(config)
        .run(&(arguments(), any::<u64>()), |(schema, seed)| {
            if runtime.block_on(Constraint::check_supported(schema.clone())).is_err() {
                refused.set(refused.get() + 1);
                return Ok(());
            }
            let validator = jsonschema::validator_for(&schema).map_err(|error| {
                TestCaseError::fail(format!("expressible, but no schema: {schema}: {error}"))
            })?;
            let constraint = Constraint::JsonSchema(schema.clone());
            for draw in 0..4 {
                // A grammar may outgrow its limits on the way: then there is no answer, and no wrong one.
                if let Ok(Some(text)) = constraint.random_answer(seed.wrapping_add(draw), 400) {
                    let value: Value = match serde_json::from_str(&text) {
                        Ok(value) => value,
                        // JSON has numbers that no machine number is near to.
                        Err(error) if error.to_string().starts_with("number out of range") => continue,
                        Err(error) => return Err(TestCaseError::fail(format!("{text}: {error}"))),
                    };
                    prop_assert!(validator.is_valid(&value), "{text} does not fit {schema}");
                    drawn.set(drawn.get() + 1);
                }
            }
            Ok(())
        })
        .unwrap();
    // Or it would show nothing.
    let (refused, drawn) = (refused.get(), drawn.get());
    assert!(refused > CASES / 10 && drawn > CASES / 4, "{refused} refused, {drawn} drawn");
}

#[tokio::test]
async fn what_cannot_be_expressed_is_refused_with_a_reason() {
    let deep = (0..200).fold(json!({"type": "string"}), |inner, _| json!({"type": "array", "items": inner}));
    let huge: Vec<String> = (0..20_000).map(|i| format!("choice {i}")).collect();
    for (schema, part) in [
        (json!({"enum": huge}), "bytes, of at most"),
        (json!({"type": "dict"}), "dict"),
        (json!({"$ref": "https://example.org/schema.json"}), "example.org"),
        (json!({"type": "string", "pattern": "(?=look)ahead"}), ""),
    ] {
        let reason = Constraint::check_supported(schema.clone()).await.unwrap_err();
        assert!(reason.contains(part), "{schema}: {reason}");
    }
    // Depth alone is no reason.
    let _ = Constraint::check_supported(deep).await;
}
