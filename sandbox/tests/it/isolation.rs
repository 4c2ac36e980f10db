//! No state passes between calls, and every input of a call is given explicitly.

use crate::common::{SANDBOX, World, bindings, error, program, run_in, value};
use serde_json::{Map, Value, json};
use sojourn_sandbox::{Binding, CallReport, Host, HostError, Invocation, Limits, Program, Sandbox};
use std::sync::Arc;

#[tokio::test]
async fn poisoned_prototypes_do_not_survive_a_call() {
    let poison =
        "Object.prototype.toJSON = () => 'poison'; Array.prototype.map = () => 'poison'; globalThis.left = 1;
        JSON.stringify = () => 'poison'; Object.keys = () => ['poison']; Promise.prototype.then = null;
        function main() { return [1] }";
    let _ = run_in(&Arc::default(), poison, &[], &Limits::default()).await;
    let clean = "function main() { return [typeof left, [1].map(x => x + 1), Object.keys(observe())[0]] }";
    assert_eq!(value(clean).await, json!(["undefined", [2], "health"]));
}

#[tokio::test]
async fn variables_of_the_module_do_not_survive_a_call() {
    let program = program("let count = 0; function main() { return ++count }").await;
    for _ in 0..3 {
        let report = call(&program, 0).await;
        assert_eq!(report.result, Ok(json!(1)));
    }
}

#[tokio::test]
async fn text_cannot_be_evaluated() {
    let attempts = [
        "eval('1')",
        "globalThis.eval('1')",
        "Function('return 7')()",
        "new Function('return 7')()",
        "(() => {}).constructor('return 7')()",
        "(async () => {}).constructor('return 7')()",
        "(function* () {}).constructor('return 7')()",
        "Reflect.construct(Function, ['return 7'])()",
    ];
    for attempt in attempts {
        let source = format!(
            "function main() {{ try {{ {attempt}; return 'ran' }} catch (e) {{ return 'refused' }} }}"
        );
        assert_eq!(value(&source).await, json!("refused"), "{attempt}");
    }
    let import =
        "async function main() { try { await import('fs'); return 'ran' } catch { return 'refused' } }";
    assert_eq!(value(import).await, json!("refused"));
}

#[tokio::test]
async fn clock_and_seed_come_from_the_caller() {
    let source = "function main() { return [Date.now(), new Date().toISOString(), new Date(0).getTimezoneOffset(), Math.random(), Math.random()] }";
    let program = program(source).await;
    let (one, two, other) = (call(&program, 1).await, call(&program, 1).await, call(&program, 2).await);
    assert_eq!(one, two);
    let (one, other) = (one.result.unwrap(), other.result.unwrap());
    assert_eq!(one[0], json!(1_700_000_000_000_i64));
    assert_eq!(one[1], json!("2023-11-14T22:13:20.000Z"));
    assert_eq!(one[2], json!(0));
    assert_ne!(one[3], one[4]);
    assert_ne!(one[3], other[3]);
    assert!((0.0..1.0).contains(&one[3].as_f64().unwrap()));
}

#[tokio::test]
async fn the_same_call_takes_the_same_fuel() {
    let source = "async function main() {
        const words = new Map();
        for (let i = 0; i < 300; i++) words.set('k' + Math.floor(Math.random() * 50), i);
        await Promise.all([tools.wait(3), tools.wait(1), tools.wait(2)]);
        while (observe().inventory.wood < 3) interact();
        return [...words].sort();
    }";
    let program = program(source).await;
    let (one, two) = (call(&program, 5).await, call(&program, 5).await);
    assert!(one.result.is_ok(), "{:?}", one.result);
    assert_eq!(one, two);
}

async fn call(program: &Program, seed: u64) -> CallReport {
    let invocation = Invocation {
        args: &[],
        bindings: &bindings(),
        host: Arc::new(World::default()),
        limits: &Limits::default(),
        seed,
        now_ms: 1_700_000_000_000,
    };
    SANDBOX.call(program, invocation).await
}

/// Answers `again(n)` by calling the program itself.
struct Recursive {
    sandbox: Sandbox,
    program: Program,
}

#[async_trait::async_trait]
impl Host for Recursive {
    async fn call(&self, _: &str, args: Map<String, Value>) -> Result<Value, HostError> {
        let host = Arc::new(Self { sandbox: self.sandbox.clone(), program: self.program.clone() });
        nest(&host, args["n"].as_u64().unwrap_or(0))
            .await
            .result
            .map_err(|error| HostError::Failed(error.to_string()))
    }
}

async fn nest(host: &Arc<Recursive>, n: u64) -> CallReport {
    let invocation = Invocation {
        args: &[json!(n)],
        bindings: &[Binding::call("again", ["n"])],
        host: host.clone(),
        limits: &Limits::default(),
        seed: 0,
        now_ms: 0,
    };
    host.sandbox.call(&host.program, invocation).await
}

async fn recursive() -> Arc<Recursive> {
    let program = program("function main(n) { return n === 0 ? 0 : 1 + again(n - 1) }").await;
    Arc::new(Recursive { sandbox: SANDBOX.clone(), program })
}

#[tokio::test]
async fn skills_nest() {
    assert_eq!(nest(&recursive().await, 7).await.result, Ok(json!(7)));
}

#[tokio::test]
async fn nesting_depth_is_limited() {
    let error = nest(&recursive().await, 8).await.result.unwrap_err().to_string();
    assert!(error.contains("skills call each other more than 8 deep"), "{error}");
    // Only nested calls count.
    for _ in 0..10 {
        assert_eq!(nest(&recursive().await, 2).await.result, Ok(json!(2)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_nested_calls_run_at_once() {
    let host = recursive().await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let host = host.clone();
            tokio::spawn(async move { nest(&host, 4).await.result })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(json!(4)));
    }
}

#[tokio::test]
async fn a_call_beyond_the_instance_limit_fails_at_once() {
    let sandbox = Sandbox::new(sojourn_sandbox::SandboxConfig {
        cache_dir: Some(std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engine-cache")),
        instances: 3,
    })
    .unwrap();
    let wasm = sandbox.compile("main", "function main(n) { return 1 + again(n - 1) }").await.unwrap();
    let host = Arc::new(Recursive { program: sandbox.load(&wasm).unwrap(), sandbox });
    let error = nest(&host, 8).await.result.unwrap_err().to_string();
    assert!(error.contains("too many skills are running at once"), "{error}");
}

#[tokio::test]
async fn dropping_a_call_ends_it() {
    let program = program("function main() { never() }").await;
    let world = Arc::new(World::default());
    {
        let bindings = bindings();
        let limits = Limits::default();
        let invocation = Invocation {
            args: &[],
            bindings: &bindings,
            host: world.clone(),
            limits: &limits,
            seed: 0,
            now_ms: 0,
        };
        let call = SANDBOX.call(&program, invocation);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), call).await.is_err());
    }
    assert_eq!(Arc::strong_count(&world), 1);
}

#[tokio::test]
async fn the_usual_built_in_objects_exist() {
    let source = "function main() {
        const m = new Map([['a', 1]]), s = new Set([1, 1]);
        const {a, ...rest} = {a: 1, b: 2};
        return [m.get('a'), s.size, rest.b, [3, 1].toSorted()[0], 'x'.padStart(2, '-'), /(\\d+)/.exec('a12')[1],
            Object.fromEntries(m).a, [1, [2]].flat().length, Math.max(...[1, 2]), (2n ** 64n).toString(), null ?? 5];
    }";
    assert_eq!(value(source).await, json!([1, 1, 2, 1, "-x", "12", 1, 2, 2, "18446744073709551616", 5]));
}

#[tokio::test]
async fn skills_run_in_strict_mode() {
    let message = error("function main() {\n  undeclared = 1;\n}").await.to_string();
    assert!(message.starts_with("ReferenceError: undeclared is not defined"), "{message}");
}
