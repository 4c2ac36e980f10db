use crate::agent_file::AgentFile;
use crate::args::Doctor;
use crate::home::Home;
use crate::{models, output};
use anyhow::Result;
use serde::Serialize;
use sojourn_controller::models::{ModelKind, Models};
use sojourn_controller::{Cancel, Constraint, Message, Request};
use std::path::{Path, PathBuf};

/// What this machine has.
#[derive(Debug, Serialize)]
struct Health {
    version: &'static str,
    home: PathBuf,
    models_directory: PathBuf,
    cores: usize,
    memory_bytes: Option<u64>,
    disk_free_bytes: Option<u64>,
    engine_sha256: &'static str,
    /// Whether this program can run models itself.
    llama: bool,
    controller: Option<ModelHealth>,
    embedding: Option<ModelHealth>,
    python3: Option<PathBuf>,
    node: Option<PathBuf>,
    chromium: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<Speed>,
}

#[derive(Debug, Serialize)]
struct ModelHealth {
    name: String,
    present: bool,
}

/// How fast the default model is, in tokens per second.
#[derive(Debug, Serialize)]
struct Speed {
    read: Option<f64>,
    write: Option<f64>,
}

/// Says what is here and what is missing.
pub async fn doctor(home: &Home, args: Doctor) -> Result<()> {
    let models = models::open()?;
    let mut health = examine(home, &models);
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
        chromium: sojourn_browser::find(),
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
    ];
    for (name, value) in rows {
        output::line(format!("{name:<11} {value}"))?;
    }
    if let Some(speed) = &health.speed {
        let rate =
            |rate: Option<f64>| rate.map_or("unknown".to_owned(), |rate| format!("{rate:.1} tokens/s"));
        output::line(format!("{:<11} reads {}, writes {}", "speed", rate(speed.read), rate(speed.write)))?;
    }
    Ok(())
}

fn model_line(model: Option<&ModelHealth>) -> String {
    match model {
        Some(ModelHealth { name, present: true }) => format!("{name}: here"),
        Some(ModelHealth { name, present: false }) => {
            format!("{name}: missing; `sojourn models pull {name}`")
        }
        None => "the catalogue has no default".to_owned(),
    }
}

/// One request with a prompt of some hundred tokens and an answer of 48.
async fn measure(models: &Models) -> Result<Speed> {
    let agent = AgentFile::parse("environment = \"crafter\"", "doctor", Path::new(""), &[])?;
    let controller = models::controller(&agent, models, false).await?;
    let prompt = "Trees stand north and west of the river, and a cow grazes between them. ".repeat(16);
    let schema =
        serde_json::json!({"type": "array", "items": {"type": "integer"}, "minItems": 40, "maxItems": 40});
    let request = Request::new(vec![Message::user(prompt)], Constraint::JsonSchema(schema), 48);
    let reply = controller.complete(&request, &Cancel::new()).await?;
    let rate = |tokens: u32, milliseconds: u64| {
        (milliseconds > 0).then(|| f64::from(tokens) * 1000.0 / milliseconds as f64)
    };
    let read = reply.usage.prompt_tokens.saturating_sub(reply.usage.cached_tokens);
    Ok(Speed {
        read: rate(read, reply.timing.prefill_ms),
        write: rate(reply.usage.completion_tokens, reply.timing.decode_ms),
    })
}

/// The machine's memory where the system tells it in a file, as Linux does.
fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Room on the disk of the home, or of its nearest parent that is there.
fn free_bytes(home: &Path) -> Option<u64> {
    let there = home.ancestors().find(|path| path.is_dir())?;
    fs4::available_space(there).ok()
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}
