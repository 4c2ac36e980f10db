//! Messages for the author of a skill: the mistake, its position and line, the granted functions, and the
//! nearest existing name.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::common::{SANDBOX, World, run_in};
use sojourn_sandbox::{CallError, Limits};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Scripts with one mistake each.
const MISTAKES: [(&str, &str); 24] = [
    ("a name that is nearly right", "function main() {\n  interakt();\n}"),
    ("a name that is nothing like any", "function main() {\n  return zzz + 1;\n}"),
    ("a tool by the wrong name, in parallel", "async function main() {\n  await tools.intract();\n}"),
    ("a property that does not exist", "function main() {\n  return observe().helth;\n}"),
    ("a property of what is not there", "function main() {\n  return observe().nearby[9].kind;\n}"),
    ("a property of what is null", "function main() {\n  interact();\n  return observe().facing.kind;\n}"),
    ("a call of what is no function", "function main() {\n  const wood = 3;\n  wood();\n}"),
    ("a write into the world", "function main() {\n  observe().health = 9;\n}"),
    ("too many arguments", "function main() {\n  go_to('tree', 1, 2);\n}"),
    ("a tool that fails", "function main() {\n  fail('water');\n}"),
    (
        "a tool that fails, in parallel",
        "async function main() {\n  await Promise.all([tools.fail('iron')]);\n}",
    ),
    ("a variable that was not declared", "function main() {\n  count = 1;\n}"),
    ("a constant that is set again", "function main() {\n  const n = 1;\n  n = 2;\n}"),
    ("a function that calls itself", "function main() {\n  return main();\n}"),
    ("something thrown that is no error", "function main() {\n  throw 'plain';\n}"),
    ("a result that JSON does not have", "function main() {\n  return 10n;\n}"),
    ("a promise that nobody settles", "function main() {\n  return new Promise(() => {});\n}"),
    ("an entry that is no function", "const main = 5;"),
    ("a loop that never ends", "function main() {\n  while (true) {}\n}"),
    ("too much memory", "function main() {\n  return new ArrayBuffer(1 << 30);\n}"),
    ("too many calls", "function main() {\n  for (;;) interact();\n}"),
    ("too long a result", "function main() {\n  return 'x'.repeat(300000);\n}"),
    ("too long a wait", "function main() {\n  never();\n}"),
    ("the host's word", "function main() {\n  stop();\n}"),
];

#[tokio::test]
async fn mistakes_are_explained() {
    let mut told = String::new();
    for (mistake, source) in MISTAKES {
        // Only who waits for ever runs out of time, however slow the machine is.
        let wall = Duration::from_millis(if mistake == "too long a wait" { 300 } else { 60_000 });
        let limits = Limits { fuel: 50_000_000, host_calls: 50, wall, ..Limits::default() };
        let report = run_in(&Arc::new(World::default()), source, &[], &limits).await;
        let error = report.result.expect_err(mistake);
        writeln!(told, "## {mistake}\n{error}\n").unwrap();
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn sources_that_do_not_compile_are_explained() {
    let mut told = String::new();
    for (mistake, source) in [
        ("an expression that is missing", "function main() {\n  const x = ;\n}"),
        (
            "a bracket that is not closed",
            "function main() {\n  if (observe().health > 3) {\n    interact();\n}",
        ),
        ("a text that is not closed", "function main() {\n  go_to('tree);\n}"),
        ("the entry under another name", "function mian() {\n  interact();\n}"),
        ("a module that there is not", "import fs from 'fs';\nfunction main() {}"),
    ] {
        let error = SANDBOX.compile("main", source).await.expect_err(mistake);
        writeln!(told, "## {mistake}\n{error}\n").unwrap();
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn the_nearest_name_is_extracted_from_a_list() {
    for (expression, nearest) in [
        ("observe().helth", Some("health")),
        ("observe().inventory.wod", Some("wood")),
        ("observe().xyz", None),
        ("tools.intract()", Some("interact")),
        ("skills.zzz()", None),
        ("null.x", None),
    ] {
        let error =
            crate::common::error(&format!("async function main() {{ return await {expression} }}")).await;
        assert_eq!(error.nearest_name(), nearest, "{error}");
    }
}

/// Traps are explained in sentences, whatever language the skill was written in.
#[tokio::test]
async fn traps_are_plain_sentences() {
    let mut told = String::new();
    for (what, body) in [
        ("a panic", "unreachable"),
        ("a division by zero", "(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
        ("an address outside the memory", "(drop (i32.load (i32.const 65536)))"),
        ("a function that is not there", "(call_indirect (i32.const 0))"),
        ("a recursion", "(call 1)"),
        ("a number that does not fit", "(drop (i32.trunc_f64_s (f64.const 1e300)))"),
        (
            "an address outside the memory, given to the host",
            "(call 0 (i32.const 0) (i32.const -1) (i32.const 9))",
        ),
        ("no result", ""),
    ] {
        let module = format!(
            r#"(module (import "host" "finish" (func (param i32 i32 i32))) (table 1 funcref)
                (memory (export "memory") 1) (func (export "sojourn_call") {body}))"#
        );
        let program = SANDBOX.load(&wat::parse_str(module).unwrap()).unwrap();
        let limits = Limits::default();
        let invocation = sojourn_sandbox::Invocation {
            args: &[],
            bindings: &[],
            host: Arc::new(World::default()),
            limits: &limits,
            seed: 0,
            now_ms: 0,
        };
        let error = SANDBOX.call(&program, invocation).await.result.expect_err(what);
        assert!(matches!(error, CallError::Trap { .. }), "{what}: {error:?}");
        writeln!(told, "## {what}\n{error}\n").unwrap();
    }
    insta::assert_snapshot!(told);
}
