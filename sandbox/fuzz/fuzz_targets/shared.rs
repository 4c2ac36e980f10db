//! A sandbox, and a host that answers everything.

use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_sandbox::{
    Binding, Host, HostError, Invocation, Limits, Program, Sandbox, SandboxConfig,
};
use std::sync::{Arc, LazyLock};

pub static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    let config = SandboxConfig { instances: 8, ..SandboxConfig::default() };
    Sandbox::new(config).expect("a sandbox")
});

struct Echo;

#[async_trait]
impl Host for Echo {
    async fn call(&self, _: &str, args: Map<String, Value>) -> Result<Value, HostError> {
        Ok(Value::Object(args))
    }
}

/// Calls a program with little to spend.
pub fn call(program: &Program) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
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
    let _ = runtime.block_on(SANDBOX.call(program, invocation));
}
