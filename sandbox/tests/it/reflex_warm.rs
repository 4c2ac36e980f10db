//! A tick in a warm instance equals one in a fresh instance.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::common::{SANDBOX, program};
use proptest::prelude::*;
use serde_json::{Value, json};
use sojourn_sandbox::{CallError, LimitKind, Limits, Program};

/// Reflexes that store state wherever possible and return what they find.
const HOARDERS: [&str; 7] = [
    "let n = 0, seen = []; function main(s) { seen.push(s.n); return [++n, seen, Math.random(), Date.now()] }",
    "function main(s) { const old = globalThis.left; globalThis.left = s.n; return [old ?? 'none', s.n] }",
    "function main(s) { const old = Array.prototype.left; Array.prototype.left = s.n; return old ?? 'none' }",
    "const cache = new Map(); function main(s) { cache.set(s.n, s.text); return [...cache] }",
    "function main(s) { main.count = (main.count ?? 0) + 1; Object.defineProperty(Object.prototype, 'toJSON',
        { value: () => 'poison', configurable: true }); delete Object.prototype.toJSON; return main.count }",
    "const first = Math.random(); async function main(s) { Math.random(); await null;
        const old = JSON.left; JSON.left = 1; return [first, Math.random(), old ?? 'none'] }",
    "class Counter { static #n = 0; static next() { return ++Counter.#n } }
        const text = []; function main(s) { text.push(s.text.repeat(50)); Symbol.for(s.text);
        return [Counter.next(), text.length, text.join('').length, [...s.list].sort()] }",
];

fn state() -> impl Strategy<Value = Value> {
    (0..50u32, "\\PC{0,12}", prop::collection::vec(any::<i16>(), 0..20))
        .prop_map(|(n, text, list)| json!({"n": n, "text": text, "list": list, "deep": {"n2": n}}))
}

fn tick(program: &Program, state: &Value) -> Result<Value, CallError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(SANDBOX.reflex(program, &Limits::reflex()).tick(state))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// The decision depends on the state alone, not on earlier ticks.
    #[test]
    fn ticks_leave_no_trace(which in 0..HOARDERS.len(), states in prop::collection::vec(state(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let used = runtime.block_on(program(HOARDERS[which]));
        for state in &states {
            // A program that differs only in a comment shares no instance with the other. The state is
            // escaped, so it cannot end the comment.
            let source = format!("{} // {state:?}", HOARDERS[which]);
            let unused = runtime.block_on(program(&source));
            prop_assert_eq!(tick(&used, state), tick(&unused, state));
        }
    }
}

#[tokio::test]
async fn an_error_in_one_tick_does_not_affect_the_next() {
    let source = "let n = 0;\nfunction main(s) {\n  n++;\n  if (s.do === 'throw') throw new Error('no');\n  \
        if (s.do === 'spin') for (;;) n++;\n  if (s.do === 'grow') { globalThis.big = new Uint8Array(4 << 20) }\n  \
        if (s.do === 'fill') for (globalThis.a = [];;) a.push(new Array(1000).fill(n));\n  \
        if (s.do === 'dig') return main(s);\n  if (s.do === 'nest') return JSON.parse('['.repeat(1e5));\n  \
        if (s.do === 'read') return s.missing;\n  return [n, typeof big];\n}";
    let program = program(source).await;
    let mut reflex = SANDBOX.reflex(&program, &Limits::reflex());
    let well = Ok(json!([1, "undefined"]));
    for does in ["nothing", "throw", "spin", "fill", "dig", "nest", "read"] {
        let result = reflex.tick(&json!({"do": does})).await;
        assert_eq!(result.is_ok(), does == "nothing", "{does}: {result:?}");
        assert_eq!(reflex.tick(&json!({"do": "nothing"})).await, well, "after {does}");
    }
    assert_eq!(reflex.tick(&json!({"do": "grow"})).await, Ok(json!([1, "object"])));
    assert_eq!(reflex.tick(&json!({"do": "nothing"})).await, well, "after the memory grew");
}

#[tokio::test]
async fn warm_and_fresh_instances_report_equal_errors() {
    let program = program("function main(s) {\n  if (s.n > 1) return s.helth;\n  return null;\n}").await;
    let mut reflex = SANDBOX.reflex(&program, &Limits::reflex());
    for n in [0, 2, 1, 2] {
        match reflex.tick(&json!({"n": n, "health": 9})).await {
            Ok(value) => assert_eq!((n < 2, value), (true, Value::Null)),
            Err(error) => assert_eq!(
                error.to_string(),
                "Error: s.helth does not exist; there are: n, health\n  at line 2:23: if (s.n > 1) return s.helth;"
                    .replace("s.helth does", "state.helth does")
            ),
        }
    }
}

#[tokio::test]
async fn a_state_that_is_not_an_object_is_passed_unchanged() {
    let program = program("function main(s) { return Array.isArray(s) ? s.length : s }").await;
    let mut reflex = SANDBOX.reflex(&program, &Limits::reflex());
    for (state, decision) in [(json!([1, 2]), json!(2)), (json!(5), json!(5)), (json!(null), json!(null))] {
        assert_eq!(reflex.tick(&state).await, Ok(decision));
    }
}

#[tokio::test]
async fn a_reflex_that_fails_to_load_fails_every_tick() {
    let program = program("missing();\nfunction main() { return 1 }").await;
    let mut reflex = SANDBOX.reflex(&program, &Limits::reflex());
    for _ in 0..3 {
        let error = reflex.tick(&json!({})).await.unwrap_err().to_string();
        assert!(error.starts_with("ReferenceError: missing is not defined"), "{error}");
    }
}

#[tokio::test]
async fn instances_with_different_limits_are_separate() {
    let program = program("function main(s) { let n = 0; while (n < s.n) n++; return n }").await;
    let small = Limits { fuel: 1_000_000, ..Limits::reflex() };
    let mut wide = SANDBOX.reflex(&program, &Limits::reflex());
    let mut narrow = SANDBOX.reflex(&program, &small);
    for _ in 0..2 {
        assert_eq!(wide.tick(&json!({"n": 1000})).await, Ok(json!(1000)));
        assert!(matches!(
            narrow.tick(&json!({"n": 1_000_000})).await,
            Err(CallError::Limit { which: LimitKind::Fuel, .. })
        ));
        assert_eq!(narrow.tick(&json!({"n": 10})).await, Ok(json!(10)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_ticks_are_independent() {
    let program = program("let n = 0; function main(s) { n += s.n; return n }").await;
    let ticks: Vec<_> = (0..64)
        .map(|n| {
            let mut reflex = SANDBOX.reflex(&program, &Limits::reflex());
            tokio::spawn(async move {
                for _ in 0..20 {
                    assert_eq!(reflex.tick(&json!({"n": n})).await, Ok(json!(n)));
                }
            })
        })
        .collect();
    for tick in ticks {
        tick.await.unwrap();
    }
}
