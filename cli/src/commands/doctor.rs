use crate::args::Doctor;
use crate::home::Home;
use crate::{models, output};
use anyhow::Result;
use serde::Serialize;
use sojourn_controller::models::{ModelKind, Models};
#[cfg(feature = "llama")]
use sojourn_controller::{Cancel, Constraint, Controller, Message, Request, Sampling};
use std::path::{Path, PathBuf};

/// The report on this machine.
#[derive(Debug, Serialize)]
struct Health {
    version: &'static str,
    home: PathBuf,
    models_directory: PathBuf,
    cores: usize,
    memory_bytes: Option<u64>,
    disk_free_bytes: Option<u64>,
    engine_sha256: &'static str,
    /// Whether llama.cpp is built in.
    llama: bool,
    controller: Option<ModelHealth>,
    embedding: Option<ModelHealth>,
    python3: Option<PathBuf>,
    node: Option<PathBuf>,
    chromium: Option<PathBuf>,
    /// Why a browser has no network of its own; absent where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_own_network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<Speed>,
}

#[derive(Debug, Serialize)]
struct ModelHealth {
    name: String,
    present: bool,
}

/// The speed of the default model on this machine.
#[derive(Debug, Serialize)]
struct Speed {
    quantisation: Option<String>,
    parameters: Option<u64>,
    file_bytes: Option<u64>,
    /// The model's context: tokens of prompt and answers together.
    context_tokens: Option<u32>,
    /// The fastest number of threads for generation, and for prompts.
    threads: Option<u32>,
    prefill_threads: Option<u32>,
    /// Tokens of prompts read and of answers generated per second.
    read: Option<f64>,
    write: Option<f64>,
    /// The share that a schema adds to the time of a token, in percent.
    grammar_percent: Option<f64>,
    /// What would make the model faster on this machine.
    advice: Vec<String>,
}

/// Reports what this machine has and what is missing.
pub async fn doctor(home: &Home, args: Doctor) -> Result<()> {
    let models = models::open()?;
    let mut health = examine(home, &models);
    health.no_own_network = sojourn_browser::check_own_network().await.err();
    if args.measure {
        health.speed = Some(measure(&models).await?);
    }
    if args.json {
        return Ok(output::json(&health)?);
    }
    print(&health)
}

fn examine(home: &Home, models: &Models) -> Health {
    let model = |kind| {
        let entry = models.catalogue().default_of(kind)?;
        let status = models.list().into_iter().find(|status| status.entry.name == entry.name)?;
        Some(ModelHealth { name: entry.name.clone(), present: status.present })
    };
    Health {
        version: env!("CARGO_PKG_VERSION"),
        home: home.path().to_owned(),
        models_directory: models.cache_dir().to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory_bytes(),
        disk_free_bytes: free_bytes(home.path()),
        engine_sha256: sojourn_sandbox::engine_sha256(),
        llama: cfg!(feature = "llama"),
        controller: model(ModelKind::Chat),
        embedding: model(ModelKind::Embedding),
        python3: find_program("python3"),
        node: find_program("node"),
        chromium: sojourn_browser::find_chromium(),
        no_own_network: None,
        speed: None,
    }
}

fn print(health: &Health) -> Result<()> {
    let or_none = |text: Option<String>, otherwise: &str| text.unwrap_or_else(|| otherwise.to_owned());
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let rows = [
        ("version", health.version.to_owned()),
        ("home", health.home.display().to_string()),
        ("models in", health.models_directory.display().to_string()),
        ("cores", health.cores.to_string()),
        ("memory", or_none(health.memory_bytes.map(output::bytes), "unknown")),
        ("disk free", or_none(health.disk_free_bytes.map(output::bytes), "unknown")),
        ("engine", format!("QuickJS-NG, sha256 {}", health.engine_sha256)),
        (
            "llama.cpp",
            if health.llama { "built in" } else { "not built in: models run on a server only" }.to_owned(),
        ),
        ("controller", model_line(health.controller.as_ref())),
        ("embedding", model_line(health.embedding.as_ref())),
        ("python3", or_none(path(&health.python3), "not found (only needed to fetch some models)")),
        ("node", or_none(path(&health.node), "not found (only needed for tools written for it)")),
        (
            "chromium",
            or_none(
                path(&health.chromium),
                "not found (only needed for web pages; on Debian and Ubuntu: apt-get install chromium)",
            ),
        ),
        (
            "network",
            health.no_own_network.as_ref().map_or_else(
                || "a browser gets one of its own, with the proxy only".to_owned(),
                |reason| format!("a browser gets none of its own: {reason}"),
            ),
        ),
    ];
    for (name, value) in rows {
        output::line(format!("{name:<11} {value}"))?;
    }
    if let Some(speed) = &health.speed {
        for (name, value) in speed.rows() {
            output::line(format!("{name:<11} {value}"))?;
        }
    }
    Ok(())
}

impl Speed {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let rate =
            |rate: Option<f64>| rate.map_or("unknown".to_owned(), |rate| format!("{rate:.1} tokens/s"));
        let number = |number: Option<u32>| number.map_or("unknown".to_owned(), |number| number.to_string());
        let mut rows = vec![
            (
                "model",
                format!(
                    "{}, {}, {}, context of {} tokens",
                    self.parameters.map_or("unknown size".to_owned(), |weights| format!(
                        "{:.2} billion weights",
                        weights as f64 / 1e9
                    )),
                    self.quantisation.as_deref().unwrap_or("unknown quantisation"),
                    self.file_bytes.map_or("unknown".to_owned(), output::bytes),
                    number(self.context_tokens)
                ),
            ),
            (
                "threads",
                format!(
                    "{} for one token, {} for several",
                    number(self.threads),
                    number(self.prefill_threads)
                ),
            ),
            ("speed", format!("reads {}, writes {}", rate(self.read), rate(self.write))),
        ];
        if let Some(percent) = self.grammar_percent {
            // Tokens that the schema forces are evaluated like a prompt, in one batch.
            let does = if percent < 0.0 { "saves" } else { "adds" };
            rows.push(("grammar", format!("a schema {does} {:.1} % of the time of a token", percent.abs())));
        }
        rows.extend(self.advice.iter().map(|advice| ("faster", advice.clone())));
        rows
    }
}

fn model_line(model: Option<&ModelHealth>) -> String {
    match model {
        Some(ModelHealth { name, present: true }) => format!("{name}: on this machine"),
        Some(ModelHealth { name, present: false }) => {
            format!("{name}: missing; `sojourn models pull {name}`")
        }
        None => "the catalogue has no default".to_owned(),
    }
}

/// Generated tokens of one measurement, and the number of alternations between free text and schema.
const WRITTEN: u32 = 48;
const ROUNDS: u64 = 3;

/// Measures requests with a prompt of some hundred tokens and an answer of 48, with free text and with a schema.
#[cfg(feature = "llama")]
async fn measure(models: &Models) -> Result<Speed> {
    use sojourn_controller::llama::{LlamaController, LlamaOptions};
    let path = models::path(models, &models::default_name(models, ModelKind::Chat)?)?;
    let controller = LlamaController::open(&path, LlamaOptions::default()).await?;
    let free = Constraint::Lark("start: /(.|\\n){400,}/".into());
    let schema = serde_json::json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"do": {"type": "string", "enum": ["eat", "sleep", "dig"]}, "why": {"type": "string"}},
            "required": ["do", "why"],
            "additionalProperties": false
        },
        "minItems": 40
    });
    let schema = Constraint::JsonSchema(schema);
    let (mut read, mut texts, mut bound) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for (constraint, times) in [(&free, &mut texts), (&schema, &mut bound)] {
            let story = "Trees stand north and west of the river, and a cow grazes between them. ".repeat(16);
            let message = Message::user(format!(
                "Day {}. {story} What now?",
                2 * round + u64::from(constraint == &schema)
            ));
            let mut request = Request::new(vec![message], constraint.clone(), WRITTEN);
            request.sampling = Sampling::varied(0.8, round);
            let reply = controller.complete(&request, &Cancel::new()).await?;
            let fresh = reply.usage.prompt_tokens.saturating_sub(reply.usage.cached_tokens);
            if fresh > 100 && reply.timing.prefill_ms > 0 {
                read.push(f64::from(fresh) * 1000.0 / reply.timing.prefill_ms as f64);
            }
            let written = reply.usage.completion_tokens.saturating_sub(1);
            if written > 0 {
                times.push(reply.timing.decode_ms as f64 / f64::from(written));
            }
        }
    }
    let middle = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let (text, bound) = (middle(&mut texts), middle(&mut bound));
    let options = controller.options();
    let info = controller.model();
    Ok(Speed {
        quantisation: info.quantisation.clone(),
        parameters: info.parameters,
        file_bytes: std::fs::metadata(&path).ok().map(|file| file.len()),
        context_tokens: info.context_tokens,
        threads: options.threads,
        prefill_threads: options.prefill_threads,
        read: middle(&mut read),
        write: text.map(|time| 1000.0 / time),
        grammar_percent: text.zip(bound).map(|(text, bound)| 100.0 * (bound / text - 1.0)),
        advice: advice(options.threads.unwrap_or(1)),
    })
}

#[cfg(not(feature = "llama"))]
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
async fn measure(_models: &Models) -> Result<Speed> {
    Err(models::without_llama("measure your server with its own tools"))
}

/// What this machine has that the program does not use.
#[cfg(feature = "llama")]
fn advice(threads: u32) -> Vec<String> {
    let mut advice = Vec::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    #[cfg(target_arch = "x86_64")]
    {
        let unused = [
            ("AVX-512", std::arch::is_x86_feature_detected!("avx512f"), cfg!(target_feature = "avx512f")),
            ("AVX2", std::arch::is_x86_feature_detected!("avx2"), cfg!(target_feature = "avx2")),
        ];
        if let Some((name, ..)) = unused.iter().find(|(_, has, used)| *has && !used) {
            advice.push(format!(
                "this processor has {name}, but the program was built without it: build it with \
                 RUSTFLAGS=\"-C target-cpu=native\""
            ));
        }
    }
    if Path::new("/dev/nvidia0").exists() && !cfg!(feature = "cuda") {
        advice.push("this machine has an NVIDIA graphics processor: build with --features cuda".to_owned());
    } else if Path::new("/dev/dri/renderD128").exists() && !cfg!(feature = "vulkan") {
        advice.push("this machine has a graphics processor: build with --features vulkan".to_owned());
    }
    if (threads as usize) < cores {
        advice.push(format!(
            "{threads} of {cores} cores were fastest, because other programs use the rest; runs measure it again"
        ));
    }
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?.to_owned();
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    if available.is_some_and(|kibibytes| kibibytes < 512 * 1024) {
        advice.push("less than 512 MiB of memory are free: a smaller model, or a smaller context".to_owned());
    }
    advice
}

/// The machine's memory in bytes, from `/proc/meminfo`; `None` on other systems than Linux.
fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Free bytes on the disk of the home, or of its nearest existing parent.
fn free_bytes(home: &Path) -> Option<u64> {
    let there = home.ancestors().find(|path| path.is_dir())?;
    fs4::available_space(there).ok()
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}
