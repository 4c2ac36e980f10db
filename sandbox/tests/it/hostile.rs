//! Skills that mean harm. Each file of `hostile/` says in its first lines what comes of it:
//!
//! ```text
//! // What it tries.
//! // expect: value JSON | exception TEXT | limit KIND | trap TEXT | stopped | refused TEXT | contained
//! // limits: {"wall": 0.03}     what it may use, where that is not the ordinary
//! // logs: 3                    how many lines it leaves behind
//! ```
//!
//! TEXT is a part of the message. `contained` is any of them: what matters is that it ends and harms nobody. A
//! `.wat` file is a WebAssembly module, in which `{ENGINE}` stands for the engine's hash.
//!
//! While each of them runs, another skill runs beside it, which must notice nothing. Afterwards the process must hold
//! no more memory than before.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::common::{SANDBOX, World, bindings};
use serde_json::{Value, json};
use sojourn_sandbox::{CallError, CallReport, Invocation, LimitSettings, Limits, Program, engine_sha256};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Limits for the corpus, small enough that a thousand rounds take minutes.
fn limits() -> Limits {
    Limits {
        fuel: 20_000_000,
        wall: Duration::from_secs(30),
        memory_bytes: 16 << 20,
        js_heap_bytes: 8 << 20,
        host_calls: 200,
        ..Limits::default()
    }
}

struct Case {
    name: String,
    /// Source, or the module's bytes.
    body: Body,
    expect: String,
    limits: Limits,
    logs: usize,
}

enum Body {
    Script(String),
    Module(Vec<u8>),
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let script = path.extension().is_some_and(|extension| extension == "js");
        let comment = if script { "// " } else { ";; " };
        let said = |key: &str| {
            let mut header = text.lines().map_while(|line| line.strip_prefix(comment));
            header.find_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).map(str::to_owned)
        };
        let settings: LimitSettings =
            said("limits").map_or_else(LimitSettings::default, |json| serde_json::from_str(&json).unwrap());
        let body = if script {
            Body::Script(text.clone())
        } else {
            let text = text.replace("{ENGINE}", engine_sha256());
            Body::Module(wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
        };
        Self {
            expect: said("expect").unwrap_or_else(|| panic!("{name} does not say what to expect")),
            limits: settings.skill(&limits()).unwrap(),
            logs: said("logs").map_or(0, |count| count.parse().unwrap()),
            body,
            name,
        }
    }

    async fn load(&self) -> Result<Program, String> {
        let wasm = match &self.body {
            Body::Module(wasm) => wasm.clone(),
            Body::Script(source) => {
                SANDBOX.compile("main", source).await.map_err(|error| error.to_string())?
            }
        };
        SANDBOX.load(&wasm).map_err(|error| error.to_string())
    }

    /// Runs the case. Returns how the result differs from the expected one.
    async fn run(&self) -> Option<String> {
        let came = match self.load().await {
            Err(refused) => format!("refused {refused}"),
            Ok(program) => {
                let (report, ()) = tokio::join!(call(&program, &self.limits), witness());
                let lines = report.logs.len();
                if lines != self.logs {
                    return Some(format!(
                        "{}: expected {} lines, but there were {lines}",
                        self.name, self.logs
                    ));
                }
                assert!(report.fuel_used <= self.limits.fuel + 100_000_000, "{}", self.name);
                outcome(report)
            }
        };
        let (kind, text) = self.expect.split_once(' ').unwrap_or((&self.expect, ""));
        let as_expected = match kind {
            "contained" => true,
            "value" | "limit" | "stopped" => came == self.expect,
            _ => came.strip_prefix(kind).is_some_and(|rest| rest.contains(text)),
        };
        (!as_expected).then(|| format!("{}: expected {}, but it was {came}", self.name, self.expect))
    }
}

fn outcome(report: CallReport) -> String {
    match report.result {
        Ok(value) => format!("value {value}"),
        Err(CallError::Exception { name, message, .. }) => format!("exception {name}: {message}"),
        Err(CallError::Limit { which, .. }) => {
            format!("limit {}", serde_json::to_value(which).unwrap().as_str().unwrap())
        }
        Err(CallError::Trap { message }) => format!("trap {message}"),
        Err(CallError::Stopped { .. }) => "stopped".to_owned(),
    }
}

async fn call(program: &Program, limits: &Limits) -> CallReport {
    let invocation = Invocation {
        args: &[],
        bindings: &bindings(),
        host: Arc::new(World::default()),
        limits,
        seed: 7,
        now_ms: 0,
    };
    SANDBOX.call(program, invocation).await
}

/// Runs an honest skill that relies on everything the hostile ones try to damage.
async fn witness() {
    let source = "const seen = [];
        async function main() {
            interact();
            seen.push(...Object.keys(observe().inventory), JSON.stringify([1, { a: [2] }]), typeof left);
            const there = await Promise.all([tools.wait(2), tools.wait(1)]);
            return [seen, there.map((ms) => ms + 1), place('here'), observe().inventory.wood, Math.random()];
        }";
    let report = call(&crate::common::program(source).await, &Limits::default()).await;
    let seen = json!(["sapling", "wood", "stone", "[1,{\"a\":[2]}]", "undefined"]);
    let value = report.result.unwrap();
    assert_eq!(value[0], seen);
    assert_eq!(value[1], json!([3, 2]));
    assert_eq!(value[2], json!({"where": "here"}));
    assert_eq!(value[3], 1);
    assert_eq!(value[4].as_f64().map(f64::to_bits), Some(first_random().to_bits()));
}

/// First value of `Math.random()` for the seed of these calls.
fn first_random() -> f64 {
    static FIRST: std::sync::OnceLock<f64> = std::sync::OnceLock::new();
    *FIRST.get_or_init(|| {
        let mut z = 7_u64.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mut state = z ^ (z >> 31);
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    })
}

fn corpus() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| Case::read(path)).collect()
}

/// Resident private memory of this process in bytes, if the system reports it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Runs the corpus `rounds` times.
fn rounds(runtime: &tokio::runtime::Runtime, corpus: &[Case], count: u32) {
    for _ in 0..count {
        let differences: Vec<_> = corpus.iter().filter_map(|case| runtime.block_on(case.run())).collect();
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}

/// Runs the corpus again and again; memory is measured of the whole process, so that nothing else of it may run meanwhile.
fn contained(count: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let corpus = corpus();
    assert!(corpus.len() >= 60, "{} files", corpus.len());
    // Memory that is allocated only once does not count.
    rounds(&runtime, &corpus, 3);
    // A pool slot keeps its memory after its first use, which looks like growth, but only once. A leak grows
    // every time.
    let mut grown = Vec::new();
    for _ in 0..5 {
        let before = resident_bytes();
        rounds(&runtime, &corpus, count);
        let (Some(before), Some(after)) = (before, resident_bytes()) else { return };
        if after <= before + (1 << 20) {
            return;
        }
        grown.push(after - before);
    }
    panic!("{count} rounds leave bytes behind every time: {grown:?}");
}

#[test]
fn hostile() {
    sojourn_testkit::alone!("hostile", || contained(3));
}

/// The same for longer; `HOSTILE_ROUNDS=100` runs a tenth of it.
#[test]
#[ignore = "takes a quarter of an hour"]
fn hostile_for_a_thousand_rounds() {
    let rounds = std::env::var("HOSTILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    sojourn_testkit::alone!("hostile_for_a_thousand_rounds", || contained(rounds.unwrap_or(1000)));
}

/// Concurrent hostile skills, with honest ones among them.
#[test]
fn hostile_all_at_once() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let runs: Vec<_> =
        corpus().into_iter().map(|case| runtime.spawn(async move { case.run().await })).collect();
    for run in runs {
        assert_eq!(runtime.block_on(run).unwrap(), None);
    }
}

/// Every case has a valid header.
#[test]
fn every_case_has_a_description() {
    for case in corpus() {
        let kind = case.expect.split(' ').next().unwrap_or_default();
        let kinds = ["value", "exception", "limit", "trap", "stopped", "refused", "contained"];
        assert!(kinds.contains(&kind), "{}: {}", case.name, case.expect);
        if kind == "value" {
            serde_json::from_str::<Value>(&case.expect[6..])
                .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        }
    }
}
