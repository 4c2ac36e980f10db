//! Random schemas: each compiles to a grammar that admits only valid values, or is rejected with a reason.

#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sojourn_controller::Constraint;
use std::cell::Cell;

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b-c".to_owned()), Just("ü".to_owned()), "[a-z]{1,6}"]
}

/// Keywords that are valid, of the wrong type, contradictory, or unknown.
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

/// An object schema, as for the arguments of a tool.
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
fn grammar_admits_only_valid_values() {
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
                TestCaseError::fail(format!("supported, but not a schema: {schema}: {error}"))
            })?;
            let constraint = Constraint::JsonSchema(schema.clone());
            for draw in 0..4 {
                // A grammar may exceed its limits during generation. No answer is generated then.
                if let Ok(Some(text)) = constraint.random_answer(seed.wrapping_add(draw), 400) {
                    let value: Value = match serde_json::from_str(&text) {
                        Ok(value) => value,
                        // JSON allows numbers that no floating-point type can represent.
                        Err(error) if error.to_string().starts_with("number out of range") => continue,
                        Err(error) => return Err(TestCaseError::fail(format!("{text}: {error}"))),
                    };
                    prop_assert!(validator.is_valid(&value), "{text} violates {schema}");
                    drawn.set(drawn.get() + 1);
                }
            }
            Ok(())
        })
        .unwrap();
    // The generator must produce enough cases of both kinds.
    let (refused, drawn) = (refused.get(), drawn.get());
    assert!(refused > CASES / 10 && drawn > CASES / 4, "{refused} refused, {drawn} drawn");
}

#[tokio::test]
async fn unsupported_schemas_are_rejected_with_a_reason() {
    let deep = (0..200).fold(json!({"type": "string"}), |inner, _| json!({"type": "array", "items": inner}));
    let huge: Vec<String> = (0..20_000).map(|i| format!("choice {i}")).collect();
    for (schema, part) in [
        (json!({"enum": huge}), "bytes; at most"),
        (json!({"type": "dict"}), "dict"),
        (json!({"$ref": "https://example.org/schema.json"}), "example.org"),
        (json!({"type": "string", "pattern": "(?=look)ahead"}), ""),
    ] {
        let reason = Constraint::check_supported(schema.clone()).await.unwrap_err();
        assert!(reason.to_string().contains(part), "{schema}: {reason}");
    }
    // A deep schema may be accepted or rejected.
    let _ = Constraint::check_supported(deep).await;
}
