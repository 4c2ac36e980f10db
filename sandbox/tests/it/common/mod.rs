//! A small world for skills, and the sandbox that all tests share.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by tests, each of which uses a part")]

pub mod driver;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use sojourn_sandbox::{
    Binding, CallError, CallReport, Host, HostError, Invocation, Limits, Program, Sandbox, SandboxConfig,
    StopCause,
};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// Compiled once per machine; the cache is in the target folder.
pub static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    let cache_dir = Some(std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engine-cache"));
    Sandbox::new(SandboxConfig { cache_dir, ..SandboxConfig::default() }).unwrap()
});

/// A world with wood to collect.
#[derive(Default)]
pub struct World {
    pub calls: Mutex<Vec<(String, Value)>>,
    wood: Mutex<i64>,
}

impl World {
    pub fn log(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(name, args)| format!("{name} {args}")).collect()
    }

    fn state(&self) -> Value {
        let wood = *self.wood.lock().unwrap();
        json!({
            "health": 9,
            "inventory": {"sapling": 0, "wood": wood, "stone": 0},
            "nearby": [{"kind": "tree", "distance": 2 + wood}, {"kind": "cow", "distance": 5}],
            "facing": if wood == 0 { json!({"kind": "tree"}) } else { Value::Null },
            "position": [3, 4],
        })
    }
}

#[async_trait]
impl Host for World {
    async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, HostError> {
        self.calls.lock().unwrap().push((name.to_owned(), Value::Object(args.clone())));
        match name {
            "observe" => Ok(self.state()),
            "interact" => {
                *self.wood.lock().unwrap() += 1;
                Ok(json!(true))
            }
            "fail" => {
                Err(HostError::Failed(format!("no {} here", args["what"].as_str().unwrap_or("such thing"))))
            }
            "stop" => Err(HostError::Stop {
                cause: StopCause::EpisodeOver,
                reason: "the episode is over".to_owned(),
            }),
            "wait" => {
                tokio::time::sleep(Duration::from_millis(args["ms"].as_u64().unwrap_or(0))).await;
                Ok(args["ms"].clone())
            }
            "never" => std::future::pending().await,
            "big" => Ok(json!("x".repeat(args["bytes"].as_u64().unwrap_or(0) as usize))),
            _ => Ok(Value::Object(args)),
        }
    }
}

pub fn bindings() -> Vec<Binding> {
    vec![
        Binding::live("observe"),
        Binding::call("interact", Vec::<String>::new()),
        Binding::call("go_to", ["kind", "steps"]),
        Binding::call("fail", ["what"]),
        Binding::call("stop", Vec::<String>::new()),
        Binding::call("wait", ["ms"]),
        Binding::call("never", Vec::<String>::new()),
        Binding::call("big", ["bytes"]),
        Binding::call("place", ["where"]),
    ]
}

pub async fn program(source: &str) -> Program {
    let wasm = SANDBOX.compile("main", source).await.unwrap_or_else(|error| panic!("{error}\n{source}"));
    SANDBOX.load(&wasm).unwrap()
}

/// Calls `main` of `source` in `world`.
pub async fn run_in(world: &Arc<World>, source: &str, args: &[Value], limits: &Limits) -> CallReport {
    let program = program(source).await;
    let invocation = Invocation {
        args,
        bindings: &bindings(),
        host: world.clone(),
        limits,
        seed: 7,
        now_ms: 1_700_000_000_000,
    };
    SANDBOX.call(&program, invocation).await
}

/// Return value of `main` in `source`.
pub async fn value(source: &str) -> Value {
    let report = run_in(&Arc::default(), source, &[], &Limits::default()).await;
    report.result.unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// Error of `main` in `source`.
pub async fn error(source: &str) -> CallError {
    let report = run_in(&Arc::default(), source, &[], &Limits::default()).await;
    match report.result {
        Err(error) => error,
        Ok(value) => panic!("it returned {value}\n{source}"),
    }
}
