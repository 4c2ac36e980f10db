//! The cost of calls, beside alternatives: `cargo bench --workspace --profile dev --bench call [-- --json]`.
//!
//! All figures are measured in one run on one thread, so that other load does not change the ratios. Each
//! figure is measured in five rounds; the table shows the median of their medians, that of their 99th percentiles, and the
//! lowest and highest median.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark may panic and speaks to people")]

mod raw;
mod table;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use sojourn_sandbox::{Binding, Host, HostError, Invocation, Limits, Program, Sandbox, SandboxConfig};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::{Sample, Table, sample};
use tokio::runtime::Runtime;

/// A skill that makes one tool call, with JSON in and out.
const SKILL: &str = "function main(kind) { return { there: go_to(kind) } }";
const REFLEX: &str = "function main(state) { if (state.health < 3) return 'flee' }";

struct World;

#[async_trait]
impl Host for World {
    async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, HostError> {
        if name == "wait" {
            tokio::time::sleep(Duration::from_millis(args["ms"].as_u64().unwrap_or(0))).await;
        }
        Ok(json!(true))
    }
}

/// The fixtures of all calls.
struct Bench {
    runtime: Runtime,
    sandbox: Sandbox,
    bindings: Vec<Binding>,
    limits: Limits,
    host: Arc<dyn Host>,
}

impl Bench {
    fn new(config: SandboxConfig) -> Self {
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"),
            sandbox: Sandbox::new(config).expect("a sandbox"),
            bindings: vec![Binding::call("go_to", ["kind"]), Binding::call("wait", ["ms"])],
            limits: Limits::default(),
            host: Arc::new(World),
        }
    }

    fn program(&self, entry: &str, source: &str) -> Program {
        let wasm = self.runtime.block_on(self.sandbox.compile(entry, source)).expect("it compiles");
        self.sandbox.load(&wasm).expect("it loads")
    }

    async fn call(&self, program: &Program, args: &[Value]) -> Value {
        let invocation = Invocation {
            args,
            bindings: &self.bindings,
            host: Arc::clone(&self.host),
            limits: &self.limits,
            seed: 1,
            now_ms: 0,
        };
        self.sandbox.call(program, invocation).await.result.expect("a result")
    }

    fn calls(&self) -> Sample {
        let (program, args) = (self.program("main", SKILL), [json!("tree")]);
        sample(4000, || {
            self.runtime.block_on(self.call(&program, &args));
        })
    }

    fn ticks(&self) -> Sample {
        let mut reflex = self.sandbox.reflex(&self.program("main", REFLEX), &Limits::reflex());
        let state = json!({"health": 2, "inventory": {"wood": 1, "stone": 2}, "nearby": ["zombie"]});
        sample(4000, || {
            self.runtime.block_on(reflex.tick(&state)).expect("a decision");
        })
    }

    fn compilations(&self) -> Sample {
        let mut n = 0;
        sample(100, || {
            n += 1;
            self.program("collect_wood", &format!("{} // {n}", include_str!("skill.js")));
        })
    }

    /// Milliseconds for `size` skills at once on this thread, each waiting 50 ms for its tool.
    fn crowd(&self, size: usize) -> f64 {
        let program = self.program("main", "async function main(ms) { return await tools.wait(ms) }");
        let args = [json!(50)];
        let start = Instant::now();
        self.runtime.block_on(futures_util::future::join_all((0..size).map(|_| self.call(&program, &args))));
        start.elapsed().as_secs_f64() * 1e3
    }

    /// Memory of each of `size` waiting skills, in KiB.
    fn memory_of_one(&self, size: usize) -> Option<f64> {
        let program = self.program("main", "function main(ms) { return wait(ms) }");
        let args = [json!(400)];
        self.runtime.block_on(self.call(&program, &[json!(0)]));
        let before = resident_kib()?;
        let crowd = futures_util::future::join_all((0..size).map(|_| self.call(&program, &args)));
        let look = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            resident_kib()
        };
        let (_, during) = self.runtime.block_on(futures_util::future::join(crowd, look));
        Some((during? - before) / size as f64)
    }
}

/// Resident memory of this process, shared pages included.
fn resident_kib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The same skill in a new process of node, which is given its argument and prints its result.
fn node() -> Option<Sample> {
    let script = format!(
        "const go_to = () => true; {SKILL}; console.log(JSON.stringify(main(JSON.parse(process.argv[1]))))"
    );
    let run = || {
        let mut command = Command::new("node");
        command.args(["-e", &script, "\"tree\""]).stdin(Stdio::null()).stderr(Stdio::null()).output()
    };
    let output = run().ok()?;
    (output.stdout == b"{\"there\":true}\n").then(|| {
        sample(8, || {
            run().expect("node runs");
        })
    })
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = SandboxConfig { cache_dir: Some(folder.path().join("cache")), ..SandboxConfig::default() };
    let bench = Bench::new(config.clone());
    let mut table = Table::new();

    let call = bench.calls();
    table.time("call of a skill with one tool call", &call, Some(("p50 ≤ 45 µs, p99 ≤ 150 µs", 45.0, 150.0)));
    match raw::calls(SKILL) {
        Some(raw) => {
            table.time("the same in raw QuickJS, not pre-initialised", &raw, None);
            table.ratio("  times slower", raw.p50 / call.p50, 5.0);
        }
        None => table.absent("the same in raw QuickJS", "run `cargo xtask engine --check` first"),
    }
    match node() {
        Some(node) => {
            table.time("the same in a new process of node", &node, None);
            table.ratio("  times slower", node.p50 / call.p50, 100.0);
        }
        None => table.absent("the same in a new process of node", "node cannot be run"),
    }
    table.time("tick of a warm reflex", &bench.ticks(), Some(("p50 ≤ 15 µs", 15.0, f64::INFINITY)));
    table.time("source to loaded skill", &bench.compilations(), Some(("≤ 5 ms", 5000.0, f64::INFINITY)));
    let start = sample(10, || drop(Sandbox::new(config.clone()).expect("a sandbox")));
    table.time("start with the engine in the cache", &start, None);
    table.at_most("1000 skills that wait 50 ms, one thread", bench.crowd(1000), "ms", 1000.0);
    // Instances that were not used before, so that all their memory counts.
    let fresh = Bench::new(config);
    match fresh.memory_of_one(500) {
        Some(kib) => table.at_most("memory of a live instance", kib, "KiB", 400.0),
        None => table.absent("memory of a live instance", "the system does not tell"),
    }
    if std::env::args().any(|argument| argument == "--json") {
        println!("{}", table.json());
    } else {
        println!("{table}");
    }
}
