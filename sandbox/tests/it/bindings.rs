//! Calls of granted functions.

use crate::common::{SANDBOX, World, error, program, run_in, value};
use serde_json::{Value, json};
use sojourn_sandbox::{Binding, CallError, Invocation, Limits, StopCause};
use std::sync::Arc;

#[tokio::test]
async fn arguments_reach_the_host_by_name() {
    let cases = [
        ("go_to('tree')", json!({"kind": "tree"})),
        ("go_to('tree', 3)", json!({"kind": "tree", "steps": 3})),
        ("go_to({kind: 'tree', steps: 3})", json!({"kind": "tree", "steps": 3})),
        ("go_to({steps: 3})", json!({"steps": 3})),
        ("go_to(undefined, 3)", json!({"steps": 3})),
        ("go_to('tree', undefined)", json!({"kind": "tree"})),
        ("go_to()", json!({})),
        ("go_to('tree', undefined, undefined)", json!({"kind": "tree"})),
        ("go_to({x: 1, y: 2})", json!({"kind": {"x": 1, "y": 2}})),
        ("go_to(['a'])", json!({"kind": ["a"]})),
        ("go_to(null)", json!({"kind": null})),
        ("go_to(observe().nearby[0])", json!({"kind": {"kind": "tree", "distance": 2}})),
    ];
    for (call, expected) in cases {
        let answered = value(&format!("function main() {{ return {call} }}")).await;
        assert_eq!(answered, expected, "{call}");
    }
}

#[tokio::test]
async fn too_many_arguments_name_the_signature() {
    let cases = [
        ("go_to('tree', 1, 2)", "TypeError: go_to(kind, steps) takes 2 arguments, not 3"),
        ("wait(1, 2)", "TypeError: wait(ms) takes 1 argument, not 2"),
        ("interact(1)", "TypeError: interact() takes no arguments, not 1"),
    ];
    for (call, expected) in cases {
        let error = error(&format!("function main() {{ {call} }}")).await.to_string();
        assert_eq!(error.lines().next(), Some(expected), "{call}");
    }
}

#[tokio::test]
async fn a_failure_of_the_host_can_be_caught() {
    let source = "function main() {
        try { fail('tree') } catch (e) { return [e instanceof Error, e.name, e.message] }
    }";
    assert_eq!(value(source).await, json!([true, "Error", "no tree here"]));
}

#[tokio::test]
async fn an_uncaught_host_error_names_the_line_of_the_call() {
    let source = "function main() {\n  const what = 'tree';\n  go_to(what);\n  return fail(what);\n}";
    assert_eq!(
        error(source).await,
        CallError::Exception {
            name: "Error".to_owned(),
            message: "no tree here".to_owned(),
            line: 4,
            column: 10,
            source_line: "  return fail(what);".to_owned(),
        }
    );
}

#[tokio::test]
async fn after_a_stop_no_code_runs() {
    for source in [
        "function main() { try { stop() } catch { interact() } finally { interact() } interact() }",
        "async function main() { try { await tools.stop() } catch { interact() } finally { interact() } }",
        "function main() { return [1].map(() => stop()) }",
    ] {
        let world = Arc::new(World::default());
        let report = run_in(&world, source, &[], &Limits::default()).await;
        assert_eq!(
            report.result,
            Err(CallError::Stopped {
                cause: StopCause::EpisodeOver,
                reason: "the episode is over".to_owned()
            }),
            "{source}"
        );
        assert_eq!(world.log(), ["stop {}"], "{source}");
    }
}

#[tokio::test]
async fn log_lines_before_a_stop_are_kept() {
    let source = "function main() { console.log('on my way'); stop() }";
    let report = run_in(&Arc::default(), source, &[], &Limits::default()).await;
    assert_eq!(report.logs[0].text, "on my way");
}

#[tokio::test]
async fn an_unknown_name_lists_the_existing_names() {
    let CallError::Exception { name, message, line, column, source_line } =
        error("function main() {\n  goto_('tree');\n}").await
    else {
        panic!("not an exception")
    };
    assert_eq!((name.as_str(), line, column), ("ReferenceError", 2, 3));
    assert!(
        message.starts_with("goto_ is not defined; did you mean `go_to`? there are: observe(), "),
        "{message}"
    );
    assert_eq!(source_line, "  goto_('tree');");
}

#[tokio::test]
async fn functions_that_are_not_granted_do_not_exist() {
    let program =
        program("function main() { return [typeof go_to, typeof observe, typeof fetch, typeof setTimeout] }")
            .await;
    let invocation = Invocation {
        args: &[],
        bindings: &[Binding::live("observe")],
        host: Arc::new(World::default()),
        limits: &Limits::default(),
        seed: 0,
        now_ms: 0,
    };
    let report = SANDBOX.call(&program, invocation).await;
    assert_eq!(report.result, Ok(json!(["undefined", "function", "undefined", "undefined"])));
}

#[tokio::test]
async fn parallel_calls_run_at_the_same_time_and_settle_in_order() {
    let started = std::time::Instant::now();
    let source = "async function main() {
        const order = [];
        const wait = ms => tools.wait(ms).then(x => { order.push(x); return x });
        const values = await Promise.all([wait(300), wait(1), wait(200)]);
        return [values, order];
    }";
    assert_eq!(value(source).await, json!([[300, 1, 200], [300, 1, 200]]));
    let together = started.elapsed();
    assert!(together.as_millis() >= 300, "{together:?}");
}

#[tokio::test]
async fn a_parallel_call_that_fails_rejects_at_its_line() {
    let caught = "async function main() {
        const results = await Promise.allSettled([tools.fail('a'), skills.go_to('b')]);
        return results.map(r => r.status + ' ' + (r.reason?.message ?? r.value.kind));
    }";
    assert_eq!(value(caught).await, json!(["rejected no a here", "fulfilled b"]));
    let CallError::Exception { message, line, .. } =
        error("async function main() {\n  const p = tools.fail('a');\n  await p;\n}").await
    else {
        panic!("not an exception")
    };
    assert_eq!((message.as_str(), line), ("no a here", 2));
}

#[tokio::test]
async fn a_tool_that_does_not_exist_is_named() {
    let error = error("async function main() { await tools.shell('ls') }").await.to_string();
    assert!(
        error.starts_with("ReferenceError: tools.shell is not defined; there are: observe, interact,"),
        "{error}"
    );
}

#[tokio::test]
async fn more_than_64_calls_at_once_are_refused() {
    let source = "async function main() {
        const calls = Array.from({length: 70}, () => tools.go_to('x'));
        const results = await Promise.allSettled(calls);
        return results.filter(r => r.status === 'rejected').map(r => r.reason.message);
    }";
    let refused = "more than 64 calls at once; await some of them first";
    assert_eq!(value(source).await, json!(vec![refused; 6]));
}

#[tokio::test]
async fn arguments_of_the_entry_are_plain_values() {
    let source = "function main(n = 1, options = {}) { return [n, options.a ?? null, arguments.length] }";
    for (args, expected) in [
        (vec![], json!([1, null, 0])),
        (vec![json!(4)], json!([4, null, 1])),
        (vec![json!(4), json!({"a": [true]})], json!([4, [true], 2])),
    ] {
        let report = run_in(&Arc::default(), source, &args, &Limits::default()).await;
        assert_eq!(report.result, Ok(expected));
    }
}

#[tokio::test]
async fn results_are_converted_to_json() {
    let cases = [
        ("undefined", Value::Null),
        ("NaN", Value::Null),
        ("[undefined, () => 1]", json!([null, null])),
        ("new Map([[1, 2]])", json!({})),
        ("'ü\\u0000😀'", json!("ü\u{0}😀")),
        ("1e21", json!(1e21)),
        ("Promise.resolve(5)", json!(5)),
        ("(async () => { await null; return 6 })()", json!(6)),
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
async fn console_lines_are_captured() {
    let source = "function main() {
        console.log('wood', 3, {a: [1]}, null, undefined);
        console.error(new TypeError('no'));
        console.debug(observe().inventory);
    }";
    let report = run_in(&Arc::default(), source, &[], &Limits::default()).await;
    let lines: Vec<String> =
        report.logs.iter().map(|line| format!("{:?} {}", line.level, line.text)).collect();
    assert_eq!(
        lines,
        [
            r#"Log wood 3 {"a":[1]} null undefined"#,
            "Error TypeError: no",
            r#"Debug {"sapling":0,"wood":0,"stone":0}"#
        ]
    );
}

#[tokio::test]
async fn a_function_of_the_skill_hides_a_binding_of_that_name() {
    let source = "function go_to(kind) { return 'mine ' + kind } function main() { return go_to('x') }";
    assert_eq!(value(source).await, json!("mine x"));
}
