//! Skills as modules: any bytes, and any questions to the host.

#[path = "../../../sandbox/tests/it/common/driver.rs"]
mod driver;

use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_sandbox::{Binding, Host, HostError, Invocation, Limits, Program, Sandbox, SandboxConfig};
use std::sync::{Arc, LazyLock};

static SANDBOX: LazyLock<Option<Sandbox>> =
    LazyLock::new(|| Sandbox::new(SandboxConfig { instances: 8, ..SandboxConfig::default() }).ok());

/// The sandbox of all executions. Without one there is nothing to fuzz, which counts as a failure.
fn sandbox() -> Option<&'static Sandbox> {
    let sandbox = SANDBOX.as_ref();
    assert!(sandbox.is_some(), "the sandbox cannot be created");
    sandbox
}

/// Answers every call with its arguments.
struct Echo;

#[async_trait]
impl Host for Echo {
    async fn call(&self, _: &str, args: Map<String, Value>) -> Result<Value, HostError> {
        Ok(Value::Object(args))
    }
}

pub fn modules() -> Vec<Vec<u8>> {
    vec![driver::module_of_bytes(&[0; 100])]
}

/// Any bytes as a skill's module: refused, or contained when called.
pub fn module(input: &[u8]) {
    if let Some(sandbox) = sandbox()
        && let Ok(program) = sandbox.load(input)
    {
        call(sandbox, &program);
    }
}

pub fn calls() -> Vec<Vec<u8>> {
    vec![vec![7; 64 + 17 * 8], (0..=255).collect()]
}

/// Any questions to the host, in any order and with any numbers.
pub fn host(input: &[u8]) {
    let Some(sandbox) = sandbox() else { return };
    let program = sandbox.load(&driver::module_of_bytes(input));
    assert!(program.is_ok(), "a generated module is valid");
    if let Ok(program) = program {
        call(sandbox, &program);
    }
}

/// Calls a program with little to spend.
fn call(sandbox: &Sandbox, program: &Program) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    let limits = Limits {
        fuel: 1_000_000,
        memory_bytes: 4 << 20,
        js_heap_bytes: 2 << 20,
        host_calls: 50,
        deterministic: true,
        ..Limits::default()
    };
    let invocation = Invocation {
        args: &[Value::Null],
        bindings: &[Binding::call("act", ["how"]), Binding::live("observe")],
        host: Arc::new(Echo),
        limits: &limits,
        seed: 0,
        now_ms: 0,
    };
    let _ = runtime.block_on(sandbox.call(program, invocation));
}
