//! `observe()` shows the present world whenever it is read.

use crate::common::{World, error, run_in, value};
use serde_json::{Value, json};
use sojourn_sandbox::Limits;
use std::sync::Arc;

/// Each expression with its value in a fresh world.
#[tokio::test]
async fn reading() {
    let cases = [
        ("observe().health", json!(9)),
        ("observe().inventory.wood", json!(0)),
        ("'wood' in observe().inventory", json!(true)),
        ("'gold' in observe().inventory", json!(false)),
        ("Object.keys(observe().inventory)", json!(["sapling", "wood", "stone"])),
        ("Object.entries(observe().inventory).length", json!(3)),
        ("JSON.stringify(observe().inventory)", json!(r#"{"sapling":0,"wood":0,"stone":0}"#)),
        ("({...observe().inventory}).stone", json!(0)),
        ("observe().inventory", json!({"sapling": 0, "wood": 0, "stone": 0})),
        ("Array.isArray(observe().nearby)", json!(true)),
        ("Array.isArray(observe().inventory)", json!(false)),
        ("observe().nearby.map(thing => thing.kind)", json!(["tree", "cow"])),
        ("observe().nearby.find(thing => thing.kind === 'cow').distance", json!(5)),
        ("observe().nearby.filter(thing => thing.distance < 3).length", json!(1)),
        ("observe().nearby.sort((a, b) => b.distance - a.distance)[0].kind", json!("cow")),
        ("observe().position.includes(4)", json!(true)),
        ("[...observe().position, 5]", json!([3, 4, 5])),
        ("`${observe().inventory}`", json!("[object Object]")),
        ("observe().inventory.hasOwnProperty('wood')", json!(true)),
        ("typeof observe()", json!("object")),
        ("observe().inventory instanceof Object", json!(true)),
        ("Object.prototype.toString.call(observe())", json!("[object Object]")),
    ];
    for (expression, expected) in cases {
        assert_eq!(
            value(&format!("function main() {{ return {expression} }}")).await,
            expected,
            "{expression}"
        );
    }
}

#[tokio::test]
async fn a_kept_reference_shows_later_changes() {
    let source = "function main() {
        const inventory = observe().inventory;
        while (inventory.wood < 3) interact();
        return inventory.wood;
    }";
    assert_eq!(value(source).await, json!(3));
}

#[tokio::test]
async fn a_number_computed_from_a_view_is_constant() {
    let source = "function main(n = 2) {
        const target = observe().inventory.wood + n;
        for (let i = 0; i < 40 && observe().inventory.wood < target; i++) interact();
        return observe().inventory.wood;
    }";
    assert_eq!(value(source).await, json!(2));
}

#[tokio::test]
async fn a_list_is_a_snapshot() {
    let source = "function main() {
        const seen = [];
        for (const thing of observe().nearby) { seen.push(thing.distance); interact(); seen.push(thing.distance); }
        return seen;
    }";
    assert_eq!(value(source).await, json!([2, 2, 5, 5]));
}

#[tokio::test]
async fn the_host_is_asked_once_between_two_calls() {
    let world = Arc::new(World::default());
    let source = "function main() {
        for (let i = 0; i < 100; i++) observe().inventory.wood + observe().health;
        interact();
        return observe().inventory.wood;
    }";
    let report = run_in(&world, source, &[], &Limits::default()).await;
    assert_eq!(report.result, Ok(json!(1)));
    assert_eq!(world.log(), ["observe {}", "interact {}", "observe {}"]);
    assert_eq!(report.host_calls, 3);
}

#[tokio::test]
async fn a_parallel_call_updates_the_view() {
    let source = "async function main() {
        const inventory = observe().inventory;
        await Promise.all([tools.interact(), tools.interact()]);
        return inventory.wood;
    }";
    assert_eq!(value(source).await, json!(2));
}

#[tokio::test]
async fn a_property_one_level_off_is_found() {
    assert_eq!(
        value("function main() { return [observe().wood, observe().inventory.health] }").await,
        json!([0, 9])
    );
}

#[tokio::test]
async fn an_unknown_property_lists_the_existing_ones() {
    let cases = [
        (
            "observe().inventory.woood",
            "Error: observe().inventory.woood does not exist; there are: sapling, wood, stone",
        ),
        (
            "observe().hp",
            "Error: observe().hp does not exist; there are: health, inventory, nearby, facing, position",
        ),
        (
            "observe().kinds",
            "Error: observe().kinds does not exist; there are: health, inventory, nearby, facing, position",
        ),
        (
            "observe().nearby[0].dist",
            "Error: observe().nearby[0].dist does not exist; there are: kind, distance",
        ),
        (
            "(() => { const f = observe().facing; interact(); return f.kind })()",
            "Error: observe().facing is null now",
        ),
        (
            "observe().inventory.wood = 5",
            "TypeError: observe().inventory.wood cannot be set: it shows the world as it is",
        ),
        ("delete observe().health", "TypeError: observe().health cannot be set: it shows the world as it is"),
        ("observe(1)", "TypeError: observe() takes no arguments, not 1"),
    ];
    for (expression, expected) in cases {
        let error = error(&format!("function main() {{\n  return {expression}\n}}")).await.to_string();
        assert_eq!(error.lines().next(), Some(expected), "{expression}");
        assert!(error.contains("at line 2:"), "{error}");
    }
}

#[tokio::test]
async fn a_view_is_not_a_promise() {
    assert_eq!(value("async function main() { return (await observe()).health }").await, json!(9));
}

#[tokio::test]
async fn names_of_the_host_are_data_not_prototypes() {
    struct Odd;
    #[async_trait::async_trait]
    impl sojourn_sandbox::Host for Odd {
        async fn call(
            &self,
            _: &str,
            _: serde_json::Map<String, Value>,
        ) -> Result<Value, sojourn_sandbox::HostError> {
            Ok(serde_json::from_str(r#"{"__proto__": {"a": 1}, "constructor": 2, "length": 3}"#).unwrap())
        }
    }
    let program = crate::common::program(
        "function main() { const s = observe(); return [s.__proto__.a, s.constructor, s.length, Object.keys(s)] }",
    )
    .await;
    let report = crate::common::SANDBOX
        .call(
            &program,
            sojourn_sandbox::Invocation {
                args: &[],
                bindings: &crate::common::bindings(),
                host: Arc::new(Odd),
                limits: &Limits::default(),
                seed: 0,
                now_ms: 0,
            },
        )
        .await;
    assert_eq!(report.result, Ok(json!([1, 2, 3, ["__proto__", "constructor", "length"]])));
}
