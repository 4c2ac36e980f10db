//! How fast a model reads and writes on this machine.
//!
//! ```text
//! cargo run -p sojourn-controller --features llama --example throughput -- MODEL.gguf [THREADS [PREFILL-THREADS]]
//! ```
//!
//! With `RUST_LOG=sojourn_controller=debug` it also tells how long the choice of tokens takes.

use serde_json::json;
use sojourn_controller::llama::{LlamaController, LlamaOptions};
use sojourn_controller::{Cancel, Constraint, Controller, Message, Reply, Request, Sampling};
use std::error::Error;
use std::io::Write;
use std::time::Instant;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the path of a GGUF model")?;
    let threads = arguments.next().map(|threads| threads.parse()).transpose()?;
    let prefill_threads = arguments.next().map(|threads| threads.parse()).transpose()?;
    let mut out = std::io::stdout();

    let start = Instant::now();
    let controller =
        LlamaController::open(path, LlamaOptions { threads, prefill_threads, ..LlamaOptions::default() })
            .await?;
    let options = controller.options();
    writeln!(
        out,
        "{}: loaded in {:.1} s; {} threads for one token, {} for several",
        controller.model().name,
        start.elapsed().as_secs_f64(),
        options.threads.unwrap_or_default(),
        options.prefill_threads.unwrap_or_default()
    )?;

    let rules =
        "A player in a survival game gathers wood, stone, coal and iron, and drinks, eats and sleeps. ";
    let free = Constraint::Lark("start: /(.|\\n)*/".into());
    let strict = Constraint::JsonSchema(json!({
        "type": "array",
        "minItems": 30,
        "items": {
            "type": "object",
            "properties": {
                "step": {"type": "string", "enum": ["collect_wood", "place_table", "make_pickaxe", "sleep", "drink"]},
                "count": {"type": "integer", "minimum": 1, "maximum": 9},
                "why": {"type": "string", "maxLength": 40}
            },
            "required": ["step", "count", "why"],
            "additionalProperties": false
        }
    }));
    let line = Constraint::line(1000);
    for (name, constraint) in [("any text", free), ("one line", line), ("JSON", strict)] {
        for candidates in [1, 4] {
            let mut request = Request::new(
                vec![
                    // A new beginning each time, so that all of it has to be read.
                    Message::system(format!("{name}, {candidates}. {}", rules.repeat(20))),
                    Message::user("Write a very long plan for the first day."),
                ],
                constraint.clone(),
                64,
            );
            request.candidates = candidates;
            request.sampling = Sampling::varied(0.8, 1);
            let start = Instant::now();
            let reply = controller.complete(&request, &Cancel::new()).await?;
            report(&mut out, name, candidates, &reply, start)?;
            let start = Instant::now();
            let reply = controller.complete(&request, &Cancel::new()).await?;
            report(&mut out, &format!("{name}, again"), candidates, &reply, start)?;
        }
    }
    Ok(())
}

/// Prints one line about `reply`.
fn report(
    out: &mut impl Write,
    name: &str,
    candidates: u32,
    reply: &Reply,
    start: Instant,
) -> std::io::Result<()> {
    let rate = |tokens: u32, ms: u64| f64::from(tokens) * 1000.0 / ms.max(1) as f64;
    let (usage, timing) = (reply.usage, reply.timing);
    writeln!(
        out,
        "{name:16} × {candidates}: read {:4} of {:4} tokens in {:5} ms ({:6.1}/s), wrote {:4} in {:5} ms ({:5.1}/s), all in {:5} ms",
        usage.prompt_tokens - usage.cached_tokens,
        usage.prompt_tokens,
        timing.prefill_ms,
        rate(usage.prompt_tokens - usage.cached_tokens, timing.prefill_ms),
        usage.completion_tokens,
        timing.decode_ms,
        rate(usage.completion_tokens, timing.decode_ms),
        start.elapsed().as_millis(),
    )
}
