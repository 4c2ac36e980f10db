//! Every call ends, and reports why.

use crate::common::{World, error, run_in};
use sojourn_sandbox::{CallError, LimitKind, Limits};
use std::sync::Arc;
use std::time::Duration;

fn small() -> Limits {
    Limits { fuel: 200_000_000, wall: Duration::from_mins(2), ..Limits::default() }
}

async fn limited(source: &str, limits: &Limits) -> (LimitKind, String, u32) {
    match run_in(&Arc::default(), source, &[], limits).await.result {
        Err(CallError::Limit { which, message, line }) => (which, message, line),
        other => panic!("{other:?}\n{source}"),
    }
}

#[tokio::test]
async fn an_endless_computation_exhausts_the_fuel() {
    let sources = [
        "function main() {\n  let i = 0;\n  while (true) { i++ }\n}",
        "function main() {\n  for (;;) { try { while (true) {} } catch {} finally {} }\n}",
        "async function main() {\n  for (;;) await null;\n}",
        "async function main() {\n  const spin = async () => { for (;;) {} };\n  for (;;) try { await spin() } catch {}\n}",
        "function main() {\n  return /^(a+)+$/.test('a'.repeat(40) + 'b');\n}",
        "function main() {\n  for (;;) observe().health;\n}",
        "function main() {\n  for (;;) [3, 1, 2].sort();\n}",
        "function main() {\n  const f = () => { queueMicrotask(f) }; f();\n  return new Promise(() => {});\n}",
        "while (true) {}\nfunction main() {}",
        "function main() {\n  for (;;) new Array(50000).fill(1).sort(() => 1);\n}",
        "function main() {\n  return { toJSON() { for (;;) {} } };\n}",
        "function main() {\n  throw { get message() { for (;;) {} } };\n}",
    ];
    for source in sources {
        let (which, message, _) = limited(source, &small()).await;
        assert_eq!(which, LimitKind::Fuel, "{source}");
        assert_eq!(message, "the skill computed too long without finishing; a loop may never end");
    }
}

#[tokio::test]
async fn an_endless_loop_is_located() {
    let (_, _, line) = limited(
        "function idle() {\n  while (true) observe();\n}\n\nfunction main() {\n  idle();\n}",
        &small(),
    )
    .await;
    assert_eq!(line, 2);
}

#[tokio::test]
async fn memory_is_bounded() {
    let sources = [
        "function main() {\n  const a = [];\n  for (;;) a.push(new Array(1000).fill('x'.repeat(100)));\n}",
        "function main() {\n  return new ArrayBuffer(1 << 30).byteLength;\n}",
        "function main() {\n  const a = new Array(1e9).fill(0);\n  return a.length;\n}",
    ];
    for source in sources {
        let (which, message, _) = limited(source, &Limits::default()).await;
        assert_eq!(which, LimitKind::Memory, "{source}");
        assert_eq!(message, "the skill used up its memory of 48 MiB");
    }
}

#[tokio::test]
async fn a_skill_may_recover_from_a_lack_of_memory() {
    let source = "function main() {
        let a = [];
        try { for (;;) a.push(new Array(1000).fill(1)) } catch { a = null }
        return 'went on';
    }";
    assert_eq!(crate::common::value(source).await, "went on");
}

#[tokio::test]
async fn excess_is_an_ordinary_javascript_error_where_one_exists() {
    let cases = [
        (
            "const f = n => 1 + f(n + 1);\nfunction main() { return f(0) }",
            "RangeError: Maximum call stack size exceeded",
        ),
        ("function main() { let s = 'x';\n for (;;) s += s }", "string too long"),
        (
            "function main() { return new Promise(() => {}) }",
            "awaits a promise that nothing will ever settle",
        ),
        ("function main() { const a = {}; a.a = a; return a }", "circular reference"),
        ("function main() { return JSON.parse('['.repeat(1e6)) }", ""),
        ("function main() { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a }", ""),
        (
            "function main() { return new RegExp('('.repeat(20000) + ')'.repeat(20000)).test('x') }",
            "too many captures",
        ),
        ("function main() { throw 'plain' }", "Thrown: plain"),
        ("function main() { throw null }", ""),
        ("function main() { throw new Error('x'.repeat(1e6)) }", ""),
        ("function main() { throw { get message() { throw 1 } } }", ""),
        ("function main() { throw new Proxy({}, { get() { throw 1 } }) }", ""),
        ("function main() { return 10n }", "BigInt"),
    ];
    for (source, expected) in cases {
        let error = error(source).await;
        assert!(error.to_string().contains(expected), "{source}\n{error}");
    }
}

#[tokio::test]
async fn a_result_that_is_nested_too_deeply_is_refused() {
    let source = "function main() { let a = []; for (let i = 0; i < 300; i++) a = [a]; return a }";
    let (which, message, _) = limited(source, &Limits::default()).await;
    assert_eq!(which, LimitKind::Output);
    assert!(message.contains("recursion limit"), "{message}");
}

#[tokio::test]
async fn the_number_of_host_calls_is_limited() {
    let limits = Limits { host_calls: 50, ..Limits::default() };
    let world = Arc::new(World::default());
    let source = "async function main() { for (;;) try { interact(); await tools.interact() } catch {} }";
    let report = run_in(&world, source, &[], &limits).await;
    assert!(
        matches!(report.result, Err(CallError::Limit { which: LimitKind::HostCalls, .. })),
        "{:?}",
        report.result
    );
    assert_eq!(world.log().len(), 50);
}

#[tokio::test]
async fn results_arguments_and_answers_are_size_limited() {
    let (which, message, _) =
        limited("function main() { return 'x'.repeat(300000) }", &Limits::default()).await;
    assert_eq!(which, LimitKind::Output);
    assert_eq!(message, "the skill's result is 300002 bytes of JSON; at most 262144 are allowed");

    let caught = "function main() { try { return CALL } catch (e) { return e.message } }";
    let limits = Limits { args_bytes: 10_000, ..Limits::default() };
    for (call, expected) in [
        ("big(20000)", "the answer of `big` is 20002 bytes; at most 10000 are allowed"),
        ("place('x'.repeat(20000))", "the arguments of `place` are 20012 bytes; at most 10000 are allowed"),
    ] {
        let report = run_in(&Arc::default(), &caught.replace("CALL", call), &[], &limits).await;
        assert_eq!(report.result.unwrap(), expected);
    }

    let report = run_in(&Arc::default(), "function main() {}", &["x".repeat(20_000).into()], &limits).await;
    assert!(
        matches!(report.result, Err(CallError::Limit { which: LimitKind::Args, .. })),
        "{:?}",
        report.result
    );
}

#[tokio::test]
async fn the_number_of_log_lines_is_limited() {
    let limits = Limits { log_lines: 10, ..Limits::default() };
    let source =
        "function main() { for (let i = 0; i < 1000; i++) console.log('ü'.repeat(5000)); return 'done' }";
    let report = run_in(&Arc::default(), source, &[], &limits).await;
    assert_eq!(report.result.unwrap(), "done");
    assert_eq!((report.logs.len(), report.logs_dropped), (10, 990));
    assert!(report.logs.iter().all(|line| line.text.len() <= 2004));
}

#[tokio::test]
async fn the_wall_limit_covers_a_silent_host() {
    let limits = Limits { wall: Duration::from_millis(50), ..Limits::default() };
    for source in [
        "function main() { console.log('x'); never() }",
        "async function main() { console.log('x'); await tools.never() }",
    ] {
        let report = run_in(&Arc::default(), source, &[], &limits).await;
        assert!(
            matches!(report.result, Err(CallError::Limit { which: LimitKind::Wall, .. })),
            "{:?}",
            report.result
        );
        assert_eq!(report.logs.len(), 1);
    }
}

#[tokio::test]
async fn the_wall_limit_covers_a_computing_skill() {
    let limits = Limits { wall: Duration::from_millis(50), fuel: u64::MAX / 4, ..Limits::default() };
    let (which, message, _) = limited("function main() {\n  while (true) {}\n}", &limits).await;
    assert_eq!((which, message.as_str()), (LimitKind::Wall, "the skill took longer than 0.05 s"));
}

#[tokio::test]
async fn a_deterministic_call_ends_only_by_counted_limits() {
    let limits = Limits { wall: Duration::ZERO, fuel: 50_000_000, deterministic: true, ..Limits::default() };
    let (which, ..) = limited("function main() {\n  while (true) {}\n}", &limits).await;
    assert_eq!(which, LimitKind::Fuel);
    let source = "async function main() { return await Promise.all([tools.wait(20), tools.wait(10)]) }";
    let report = run_in(&Arc::default(), source, &[], &limits).await;
    assert_eq!(report.result, Ok(serde_json::json!([20, 10])));
    let timed = Limits { deterministic: false, ..limits };
    let (which, ..) = limited("async function main() { await tools.wait(300) }", &timed).await;
    assert_eq!(which, LimitKind::Wall);
}

#[tokio::test]
async fn fuel_is_counted() {
    let limits = Limits::default();
    let source =
        |n: u32| format!("function main() {{ let s = 0; for (let i = 0; i < {n}; i++) s += i; return s }}");
    let mut used = Vec::new();
    for n in [1000, 2000, 3000] {
        used.push(run_in(&Arc::default(), &source(n), &[], &limits).await.fuel_used);
    }
    let (first, second) = (used[1] - used[0], used[2] - used[1]);
    assert!(first > 0 && first.abs_diff(second) * 100 < first, "{used:?}");
}

#[tokio::test]
async fn extreme_limits_are_enforced() {
    let none = Limits {
        wall: Duration::ZERO,
        fuel: 0,
        memory_bytes: 0,
        js_heap_bytes: 0,
        host_calls: 0,
        output_bytes: 0,
        log_lines: 0,
        args_bytes: 0,
        depth: 0,
        deterministic: false,
    };
    let one_missing = [
        Limits { fuel: 0, ..Limits::default() },
        Limits { memory_bytes: 0, ..Limits::default() },
        Limits { js_heap_bytes: 0, ..Limits::default() },
        Limits { output_bytes: 0, ..Limits::default() },
        Limits { args_bytes: 0, ..Limits::default() },
        Limits { depth: 0, ..Limits::default() },
        none,
    ];
    for limits in one_missing {
        let report =
            run_in(&Arc::default(), "function main() { return [1, 2].map(String) }", &[], &limits).await;
        // Too little fuel is detected only by calls that compute for long.
        assert!(report.result.is_err() || limits.fuel == 0, "{limits:?}");
    }
    let all = Limits {
        wall: Duration::MAX,
        fuel: u64::MAX,
        memory_bytes: u64::MAX,
        js_heap_bytes: u64::MAX,
        host_calls: u32::MAX,
        output_bytes: u64::MAX,
        log_lines: u32::MAX,
        args_bytes: u64::MAX,
        depth: u32::MAX,
        deterministic: false,
    };
    let report = run_in(&Arc::default(), "function main() { return 1 }", &[], &all).await;
    assert_eq!(report.result.unwrap(), 1);
}
