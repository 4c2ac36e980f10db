//! Prebuilt WebAssembly skills behave like scripts.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic")]

use crate::common::SANDBOX;
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use sojourn_sandbox::{Binding, CallError, CallReport, Host, HostError, Invocation, Limits, Program};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

struct Polisher;

#[async_trait]
impl Host for Polisher {
    async fn call(&self, _: &str, args: Map<String, Value>) -> Result<Value, HostError> {
        match args["text"].as_str() {
            Some(text) if text.contains("nobody") => Err(HostError::Failed("whom?".to_owned())),
            Some(text) => Ok(json!({ "text": text.to_uppercase() })),
            None => Err(HostError::Failed("no text".to_owned())),
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prebuilt")
}

/// The hand-written module, and the one in Rust if a compiler for it is installed.
fn modules() -> Vec<Vec<u8>> {
    let mut modules = vec![wat::parse_file(folder().join("greet.wat")).unwrap()];
    let wasm = Path::new(env!("CARGO_TARGET_TMPDIR")).join("greet.wasm");
    let target = ["--target", "wasm32-unknown-unknown"];
    let installed = Command::new("rustc").args(["--print", "target-libdir"]).args(target).output();
    let installed = installed
        .is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).read_dir().is_ok());
    if installed {
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "-O", "--crate-type", "cdylib"]).args(target);
        let done = rustc.arg(folder().join("greet.rs")).arg("-o").arg(&wasm).status().unwrap();
        assert!(done.success());
        modules.push(std::fs::read(wasm).unwrap());
    } else {
        eprintln!("no Rust for wasm32-unknown-unknown is installed: only the hand-written module is tried");
    }
    modules
}

async fn call(program: &Program, args: &[Value], bindings: &[Binding]) -> CallReport {
    let limits = Limits::default();
    let invocation =
        Invocation { args, bindings, host: Arc::new(Polisher), limits: &limits, seed: 1, now_ms: 0 };
    SANDBOX.call(program, invocation).await
}

#[tokio::test]
async fn a_prebuilt_skill_calls_tools_and_returns() {
    let polish = [Binding::call("polish", ["text"])];
    for wasm in modules() {
        let program = SANDBOX.load(&wasm).unwrap();
        assert!(program.is_prebuilt());
        assert_eq!((program.entry(), program.source()), ("sojourn_call", ""));
        let report = call(&program, &[json!("Ada")], &polish).await;
        assert_eq!(report.result, Ok(json!({"text": "HELLO, ADA!"})));
        assert_eq!(report.host_calls, 1);
        assert!(report.fuel_used > 0);
        assert_eq!(call(&program, &[json!("Ada")], &polish).await, report);

        let refused = call(&program, &[json!("Ada")], &[]).await.result.unwrap_err().to_string();
        assert_eq!(refused, "ToolError: `polish` is not granted to this skill");
        let failed = call(&program, &[json!("nobody")], &polish).await.result.unwrap_err().to_string();
        assert_eq!(failed, "ToolError: whom?");
    }
}

#[tokio::test]
async fn a_prebuilt_skill_can_be_a_reflex() {
    let wasm = wat::parse_str(
        r#"(module
            (import "host" "finish" (func $finish (param i32 i32 i32)))
            (memory (export "memory") 1)
            (global $n (mut i32) (i32.const 48))
            (func (export "sojourn_call")
                (global.set $n (i32.add (global.get $n) (i32.const 1)))
                (i32.store8 (i32.const 0) (global.get $n))
                (call $finish (i32.const 0) (i32.const 0) (i32.const 1))))"#,
    )
    .unwrap();
    let program = SANDBOX.load(&wasm).unwrap();
    let mut reflex = SANDBOX.reflex(&program, &Limits::reflex());
    for _ in 0..3 {
        assert_eq!(reflex.tick(&json!({"n": 1})).await, Ok(json!(1)));
    }
}

#[tokio::test]
async fn the_fuel_of_a_prebuilt_skill_is_counted_exactly() {
    let wasm = wat::parse_str(
        r#"(module (memory (export "memory") 1) (func (export "sojourn_call") (loop (br 0))))"#,
    )
    .unwrap();
    let program = SANDBOX.load(&wasm).unwrap();
    let report = call(&program, &[], &[]).await;
    assert!(matches!(report.result, Err(CallError::Limit { .. })), "{:?}", report.result);
    assert_eq!(report.fuel_used, Limits::default().fuel);
}

#[test]
fn equal_bytes_give_equal_ids() {
    let [first, ..] = &modules()[..] else { panic!("there is a hand-written module") };
    let (one, two) = (SANDBOX.load(first).unwrap(), SANDBOX.load(first).unwrap());
    assert_eq!((one.id().len(), one.id()), (64, two.id()));
}

#[test]
fn a_function_that_takes_for_ever_to_compile_is_refused() {
    let locals = format!("(local{})", " i64".repeat(40_000));
    let long = "(drop (i32.const 1))".repeat(100_000);
    // Each loop keeps every variable alive.
    let keep: Vec<String> = (0..150)
        .map(|local| format!("(local.set {local} (i64.add (local.get {local}) (i64.const 1)))"))
        .collect();
    let keep = keep.concat();
    let nested =
        (0..150).fold(String::new(), |inner, _| format!("(loop {keep} {inner} (br_if 0 (i32.const 0)))"));
    let nested = format!("(local{}) {nested}", " i64".repeat(150));
    for (body, says) in [
        (locals, "a function with 40000 local variables"),
        (long, "a function of 300"),
        (nested, "150 loops within each other around 150 local variables"),
    ] {
        let text = format!(r#"(module (memory (export "memory") 1) (func (export "sojourn_call") {body}))"#);
        let refused = SANDBOX.load(&wat::parse_str(&text).unwrap()).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}
