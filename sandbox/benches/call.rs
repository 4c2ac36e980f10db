//! What a call costs: `cargo bench -p sojourn-sandbox`.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::expect_used, reason = "a benchmark may panic")]

use async_trait::async_trait;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Map, Value, json};
use sojourn_sandbox::{Binding, Host, HostError, Invocation, Limits, Sandbox, SandboxConfig};
use std::hint::black_box;
use std::sync::Arc;

struct World;

#[async_trait]
impl Host for World {
    async fn call(&self, name: &str, _: Map<String, Value>) -> Result<Value, HostError> {
        Ok(match name {
            "observe" => json!({"health": 9, "inventory": {"wood": 1}, "nearby": ["tree", "cow"]}),
            _ => json!(true),
        })
    }
}

fn benchmarks(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let sandbox = Sandbox::new(SandboxConfig::default()).expect("a sandbox");
    let bindings = [Binding::call("go_to", ["kind"]), Binding::live("observe")];
    let limits = Limits::default();
    let host: Arc<dyn Host> = Arc::new(World);
    let program = |source: &str| {
        let wasm = runtime.block_on(sandbox.compile("main", source)).expect("it compiles");
        sandbox.load(&wasm).expect("it loads")
    };

    let folder = tempfile::tempdir().expect("a folder");
    let cached = SandboxConfig { cache_dir: Some(folder.path().join("cache")), ..SandboxConfig::default() };
    criterion.bench_function("start with the engine in the cache", |bencher| {
        bencher.iter(|| Sandbox::new(cached.clone()).expect("a sandbox"));
    });

    for (name, source) in [
        ("call that does nothing", "function main() {}"),
        ("call with one tool call", "function main(kind) { return { there: go_to(kind) } }"),
        (
            "call that looks, acts and looks",
            "function main(k) { const i = observe().inventory; const n = i.wood; go_to(k); return i.wood - n }",
        ),
        (
            "call with one parallel tool call",
            "async function main(kind) { return { there: await tools.go_to(kind) } }",
        ),
        (
            "call that loops a million times",
            "function main() { let s = 0; for (let i = 0; i < 1e6; i++) s += i; return s }",
        ),
    ] {
        let program = program(source);
        let args = [json!("tree")];
        criterion.bench_function(name, |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let invocation = Invocation {
                    args: &args,
                    bindings: &bindings,
                    host: host.clone(),
                    limits: &limits,
                    seed: 1,
                    now_ms: 0,
                };
                sandbox.call(&program, invocation).await.result.expect("a result")
            });
        });
    }

    let reflex = program("function main(state) { if (state.health < 3) return 'flee' }");
    let state = json!({"health": 2, "inventory": {"wood": 1, "stone": 2}, "nearby": ["zombie"]});
    criterion.bench_function("tick of a reflex", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let mut reflex = sandbox.reflex(&reflex, &limits);
            reflex.tick(black_box(&state)).await.expect("a decision")
        });
    });

    let source = include_str!("skill.js");
    criterion.bench_function("compile", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(|| async { sandbox.compile("collect_wood", source).await.expect("it compiles") });
    });
    let mut n = 0;
    criterion.bench_function("compile and load a new skill", |bencher| {
        bencher.iter(|| {
            n += 1;
            let source = format!("{source} // {n}");
            let wasm = runtime.block_on(sandbox.compile("collect_wood", &source)).expect("it compiles");
            sandbox.load(&wasm).expect("it loads")
        });
    });
}

criterion_group!(benches, benchmarks);
criterion_main!(benches);
