//! Reflexes decide on every observation.

use crate::common::{SANDBOX, program};
use serde_json::json;
use sojourn_sandbox::{CallError, LimitKind, Limits};

#[tokio::test]
async fn a_reflex_maps_a_state_to_an_action() {
    let program =
        program("function main(state) { if (state.health < 3 && state.inventory.food > 0) return 'eat' }")
            .await;
    let mut reflex = SANDBOX.reflex(&program, &Limits::reflex());
    let state = |health: i32| json!({"health": health, "inventory": {"food": 1}});
    assert_eq!(reflex.tick(&state(2)).await, Ok(json!("eat")));
    assert_eq!(reflex.tick(&state(9)).await, Ok(json!(null)));
}

#[tokio::test]
async fn ticks_share_no_state() {
    let program = program("let n = 0; function main() { return [++n, Date.now(), Math.random()] }").await;
    let mut reflex = SANDBOX.reflex(&program, &Limits::reflex());
    let first = reflex.tick(&json!({})).await.unwrap();
    assert_eq!(first[0], json!(1));
    assert_eq!(reflex.tick(&json!({})).await.unwrap(), first);
}

#[tokio::test]
async fn a_reflex_keeps_working_after_an_error() {
    let source = "function main(state) {\n  if (state.n === 1) for (;;) {}\n  if (state.n === 2) return state.missing;\n  return state.n;\n}";
    let program = program(source).await;
    let mut reflex = SANDBOX.reflex(&program, &Limits::reflex());
    assert!(matches!(
        reflex.tick(&json!({"n": 1})).await,
        Err(CallError::Limit { which: LimitKind::Fuel, .. })
    ));
    let CallError::Exception { message, line, .. } = reflex.tick(&json!({"n": 2})).await.unwrap_err() else {
        panic!("not an exception")
    };
    assert_eq!((message.as_str(), line), ("state.missing does not exist; there are: n", 3));
    assert_eq!(reflex.tick(&json!({"n": 3})).await, Ok(json!(3)));
}

#[tokio::test]
async fn a_reflex_has_no_bindings() {
    let program = program("function main() { return go_to('tree') }").await;
    let error = SANDBOX.reflex(&program, &Limits::reflex()).tick(&json!({})).await.unwrap_err();
    assert!(
        error.to_string().starts_with("ReferenceError: go_to is not defined; this skill may call no other"),
        "{error}"
    );
}
