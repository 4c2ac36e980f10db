//! A call and the skills that it calls have one budget.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::common::{SANDBOX, program};
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use sojourn_sandbox::{
    Binding, CallError, CallReport, Host, HostError, Invocation, LimitKind, Limits, Program,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// Answers every call by running the callee, which calls the same host.
#[derive(Clone)]
struct Nested {
    callee: Program,
    limits: Limits,
    runs: Arc<AtomicU32>,
    reports: Arc<Mutex<Vec<CallReport>>>,
}

impl Nested {
    async fn new(callee: &str, limits: &Limits) -> Self {
        let callee = program(callee).await;
        Self { callee, limits: limits.clone(), runs: Arc::default(), reports: Arc::default() }
    }

    async fn run(&self, program: &Program) -> CallReport {
        let bindings = [Binding::call("again", ["n"]), Binding::call("idle", ["n"])];
        let invocation = Invocation {
            args: &[],
            bindings: &bindings,
            host: Arc::new(self.clone()),
            limits: &self.limits,
            seed: 1,
            now_ms: 0,
        };
        SANDBOX.call(program, invocation).await
    }
}

#[async_trait]
impl Host for Nested {
    async fn call(&self, name: &str, _args: Map<String, Value>) -> Result<Value, HostError> {
        if name == "idle" {
            return Ok(Value::Null);
        }
        self.runs.fetch_add(1, Ordering::Relaxed);
        let report = self.run(&self.callee).await;
        let ok = report.result.is_ok();
        self.reports.lock().unwrap().push(report);
        Ok(json!(ok))
    }
}

const WORKER: &str = "function main() { let s = 0; for (let i = 0; i < 50000; i++) s += i; return s }";

#[tokio::test]
async fn callees_share_the_fuel_of_their_caller() {
    let limits = Limits { fuel: 200_000_000, host_calls: 1_000_000, ..Limits::default() };
    let nested = Nested::new(WORKER, &limits).await;
    let alone = nested.run(&nested.callee).await;
    assert!(alone.result.is_ok(), "{alone:?}");
    let possible = limits.fuel / alone.fuel_used + 1;
    for source in [
        "function main() { for (;;) again() }",
        "async function main() { for (;;) await tools.again() }",
        "async function main() { for (;;) await Promise.all([tools.again(), tools.again()]) }",
    ] {
        nested.runs.store(0, Ordering::Relaxed);
        let report = nested.run(&program(source).await).await;
        assert!(
            matches!(report.result, Err(CallError::Limit { which: LimitKind::Fuel, .. })),
            "{source}: {:?}",
            report.result
        );
        let runs = u64::from(nested.runs.load(Ordering::Relaxed));
        // The engine notices that its fuel is used up only every ten thousand iterations.
        assert!(runs <= possible + 12_000, "{source}: {runs} runs, and fuel for {possible}");
        let used: u64 = nested.reports.lock().unwrap().drain(..).map(|report| report.fuel_used).sum();
        assert!(used <= 2 * limits.fuel, "{source}: {used}");
        assert!(report.fuel_used <= limits.fuel + 100_000_000);
    }
}

#[tokio::test]
async fn callees_share_the_host_calls_of_their_caller() {
    let limits = Limits { host_calls: 50, ..Limits::default() };
    let nested =
        Nested::new("function main() { for (let i = 0; i < 9; i++) idle(); return 1 }", &limits).await;
    let report = nested.run(&program("function main() { for (;;) again() }").await).await;
    assert!(
        matches!(report.result, Err(CallError::Limit { which: LimitKind::HostCalls, .. })),
        "{:?}",
        report.result
    );
    assert_eq!(
        nested.runs.load(Ordering::Relaxed),
        5,
        "each uses ten calls, one of its caller's and nine of its own"
    );
}

#[tokio::test]
async fn callees_share_the_memory_of_their_caller() {
    let limits = Limits { memory_bytes: 8 << 20, js_heap_bytes: 8 << 20, ..Limits::default() };
    let nested = Nested::new("function main() { return again() }", &Limits { depth: 64, ..limits }).await;
    let report = nested.run(&nested.callee).await;
    assert!(report.result.is_ok());
    let ended = nested.reports.lock().unwrap().iter().filter(|report| report.result.is_err()).count();
    assert_eq!(ended, 1, "the innermost call found no room");
    let runs = nested.runs.load(Ordering::Relaxed);
    assert!((2..32).contains(&runs), "{runs} calls of 1.3 MiB or more in 32 MiB");
}

#[tokio::test]
async fn a_callee_ends_at_its_callers_deadline() {
    let wall = std::time::Duration::from_millis(200);
    let limits = Limits { wall, fuel: u64::MAX / 4, ..Limits::default() };
    let nested = Nested::new("function main() { for (;;) {} }", &limits).await;
    let report = nested.run(&program("function main() { for (;;) again() }").await).await;
    assert!(
        matches!(report.result, Err(CallError::Limit { which: LimitKind::Wall, .. })),
        "{:?}",
        report.result
    );
    // Until the caller ends in order, it may ask again, and finds that its time is up.
    let ran = nested.reports.lock().unwrap().iter().filter(|report| report.fuel_used > 0).count();
    assert_eq!(ran, 1, "a callee has what is left of its caller's time, not time of its own");
}

#[tokio::test]
async fn a_call_alone_has_all_of_its_budget() {
    let limits = Limits { fuel: 200_000_000, ..Limits::default() };
    let nested = Nested::new(WORKER, &limits).await;
    let reports = [nested.run(&nested.callee).await, nested.run(&nested.callee).await];
    assert_eq!(reports[0], reports[1], "a call takes nothing from the next one");
    let calling = program("function main() { again(); return 1 }").await;
    let (with, without) = (nested.run(&calling).await, program("function main() { idle(); return 1 }").await);
    assert_eq!(with.result, Ok(json!(1)));
    let without = nested.run(&without).await;
    assert!(
        with.fuel_used.abs_diff(without.fuel_used) < 100_000,
        "the fuel of a callee is in its own report"
    );
}
