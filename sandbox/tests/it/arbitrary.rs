//! Arbitrary modules and host calls are rejected or contained. `fuzz/` runs the same checks for longer.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::common::{SANDBOX, World, bindings, driver};
use proptest::prelude::*;
use serde_json::json;
use sojourn_sandbox::{CallError, CallReport, Invocation, LimitKind, Limits, Program};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap());

fn call(program: &Program) -> CallReport {
    let limits = Limits {
        fuel: 1_000_000,
        wall: Duration::from_secs(5),
        memory_bytes: 1 << 20,
        host_calls: 20,
        ..Limits::default()
    };
    let bindings: Vec<_> =
        bindings().into_iter().filter(|binding| !matches!(&*binding.name, "never" | "wait")).collect();
    let invocation = Invocation {
        args: &[json!("x")],
        bindings: &bindings,
        host: Arc::new(World::default()),
        limits: &limits,
        seed: 0,
        now_ms: 0,
    };
    RUNTIME.block_on(SANDBOX.call(program, invocation))
}

/// Number of cases: `PROPTEST_CASES`, or as many as take about a second.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150)
}

/// A number that is likely to matter: small, at a boundary, or any.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..80_u32,
        (0..20_u32).prop_map(|n| driver::MEMORY_BYTES - 10 + n),
        (0..20_u32).prop_map(|n| u32::MAX - n),
        any::<u32>(),
    ]
}

/// Bytes that are often names and JSON.
fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        prop::sample::select(vec![
            "interact{}",
            "place{\"where\":1}",
            "[]{}observe",
            "stop{}\u{0}",
            "nullbig{\"bytes\":9e9}"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

const SCRIPT: &str = "function main(x) { return [x, interact()] }";

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_host_calls_are_contained(
        data in data(),
        asks in prop::collection::vec((any::<u8>(), [number(), number(), number(), number()]), 0..12),
    ) {
        let wasm = driver::module(&data, asks);
        let program = SANDBOX.load(&wasm).unwrap();
        let report = call(&program);
        prop_assert!(report.fuel_used <= 1_000_000);
        prop_assert!(report.host_calls <= 21);
        // The same call again gives the same report, whatever ran in between.
        prop_assert_eq!(call(&program), report);
    }

    #[test]
    fn damaged_modules_are_rejected_or_contained(
        prebuilt: bool, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut wasm = if prebuilt {
            driver::module(b"place{}", [(0, [32, 0, 0, 0]), (2, [0, 5, 5, 2]), (1, [64, 0, 0, 0]), (7, [0, 64, 2, 0])])
        } else {
            RUNTIME.block_on(SANDBOX.compile("main", SCRIPT)).unwrap()
        };
        for (at, byte) in damage {
            let at = at.index(wasm.len());
            wasm[at] = byte;
        }
        if cut.index(4) == 0 {
            wasm.truncate(cut.index(wasm.len()));
        }
        if let Ok(program) = SANDBOX.load(&wasm) {
            let result = call(&program).result;
            // No previous call may occupy an instance permanently.
            let full = matches!(result, Err(CallError::Limit { which: LimitKind::Instances, .. }));
            prop_assert!(!full);
        }
    }

    #[test]
    fn random_bytes_are_not_a_module(bytes: Vec<u8>, magic: bool) {
        let mut wasm = if magic { b"\0asm\x01\0\0\0".to_vec() } else { Vec::new() };
        wasm.extend(bytes);
        if !wasm.is_empty() {
            prop_assert!(SANDBOX.load(&wasm).is_err());
        }
    }
}
