//! The measurements of this program's own controller.

use super::Setting;
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;
use sojourn_controller::llama::{LlamaController, LlamaOptions};
use sojourn_controller::{Cancel, Constraint, Controller, Message, Reply, Request, Sampling};
use std::path::Path;
use std::time::Instant;

/// The approximate number of tokens that the steps of a run share.
const KNOWN: u32 = 2000;
/// Any text; the minimum length keeps the model from ending early.
const ANY_TEXT: &str = "start: /(.|\\n){600,}/";

/// The ends of the prompts of a run's first step, and of its next one.
pub const FIRST: &str = "Tell what happens next, at length.";
pub const NEXT: &str = "The cow has left. Wood 3, health 8, a zombie is 4 south. What is to be done now?";

/// The prompt of the first token after loading. The controller adds the template's marks.
pub const GREETING: &str = "Trees stand north and west of the river, and a cow grazes between them.";

/// A program, and the request for another one.
const PROGRAM: &str = "You write small programs in JavaScript for an agent. This one gathers wood:

async function main({ wanted }) {
  let state = await observe();
  while (state.inventory.wood < wanted) {
    const tree = nearest(state, \"tree\");
    if (!tree) return { done: false, why: \"no tree is near\" };
    await walk_to(tree.position);
    const result = await act(\"collect\", { what: \"wood\" });
    if (!result.ok) return { done: false, why: result.why };
    state = await observe();
  }
  return { done: true, wood: state.inventory.wood };
}
";
const ANOTHER: &str = "Write one that mines iron. It needs a stone pickaxe, rests when health is below 4, and gives up after 100 steps.";

/// Tokens per second.
pub struct Speed {
    pub read: f64,
    pub write: f64,
    /// The number of tokens of the prompt.
    pub tokens: u32,
}

/// The prompts of concurrent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompts {
    /// The first request of each run: the whole prompt must be evaluated.
    New,
    /// The next request of each run: its prompt is cached up to the last words.
    Known,
}

/// A controller, and a count that makes every prompt a new one.
pub struct Ours {
    controller: LlamaController,
    asked: u32,
}

impl Ours {
    pub async fn open(setting: &Setting) -> Result<Self> {
        Ok(Self { controller: open(setting, None).await?, asked: 0 })
    }

    /// The speed of one run alone, with a prompt of about `read` tokens and `write` generated tokens.
    pub async fn speed(&mut self, read: u32, write: u32) -> Result<Speed> {
        let request = self.request(read, any_text(), write);
        let reply = ask(&self.controller, &request).await?;
        ensure!(reply.usage.completion_tokens == write, "an answer ended early");
        let tokens = reply.usage.prompt_tokens - reply.usage.cached_tokens;
        Ok(Speed {
            tokens,
            read: rate(tokens, reply.timing.prefill_ms),
            // The first token comes with the prompt.
            write: rate(write - 1, reply.timing.decode_ms),
        })
    }

    /// Generated tokens per second of this many concurrent runs.
    pub async fn together(&mut self, runs: u32, write: u32, prompts: Prompts) -> Result<f64> {
        let requests = self.requests(runs, write, prompts).await?;
        let start = Instant::now();
        try_join_all(requests.iter().map(|request| ask(&self.controller, request))).await?;
        Ok(f64::from(runs * write) / start.elapsed().as_secs_f64())
    }

    /// Generated tokens per second of the same runs, one after the other.
    pub async fn in_turn(&mut self, runs: u32, write: u32, prompts: Prompts) -> Result<f64> {
        let requests = self.requests(runs, write, prompts).await?;
        let start = Instant::now();
        for request in &requests {
            ask(&self.controller, request).await?;
        }
        Ok(f64::from(runs * write) / start.elapsed().as_secs_f64())
    }

    /// One request for each run, each with its own prompt.
    async fn requests(&mut self, runs: u32, write: u32, prompts: Prompts) -> Result<Vec<Request>> {
        let mut requests = Vec::new();
        for _ in 0..runs {
            let first = self.request(256, any_text(), write);
            if prompts == Prompts::Known {
                ask(&self.controller, &Request { max_tokens: 1, ..first.clone() }).await?;
                requests.push(next_of(&first));
            } else {
                requests.push(first);
            }
        }
        Ok(requests)
    }

    /// Milliseconds to the first token of a run's first step, and of its next one.
    pub async fn next_step(&mut self) -> Result<(f64, f64)> {
        let first = self.request(KNOWN, any_text(), 1);
        let cold = timed(&self.controller, &first).await?;
        let warm = timed(&self.controller, &next_of(&first)).await?;
        Ok((cold, warm))
    }

    /// Tokens per second with any text, and under a schema.
    pub async fn constrained(&mut self, write: u32) -> Result<(f64, f64)> {
        let free = self.request(64, any_text(), write);
        let strict = self.request(64, Constraint::JsonSchema(steps_schema()), write);
        let mut rates = Vec::new();
        for request in [&free, &strict] {
            let reply = ask(&self.controller, request).await?;
            rates.push(rate(reply.usage.completion_tokens.saturating_sub(1), reply.timing.decode_ms));
        }
        Ok((rates[0], rates[1]))
    }

    /// A request with a prompt of about this many tokens, whose beginning is unique.
    fn request(&mut self, read: u32, constraint: Constraint, write: u32) -> Request {
        self.asked += 1;
        request(self.asked, read, constraint, write)
    }
}

/// Milliseconds to the first token of a run's first step, and of its next one by another controller that has only the
/// prefix cache on disk.
pub async fn resume(setting: &Setting) -> Result<(f64, f64)> {
    let directory = tempfile::tempdir()?;
    let first = request(0, KNOWN, any_text(), 1);
    let controller = open(setting, Some(directory.path())).await?;
    let cold = timed(&controller, &first).await?;
    ask(&controller, &next_of(&first)).await?;
    drop(controller);
    let controller = open(setting, Some(directory.path())).await?;
    let mut other = next_of(&first);
    other.messages.push(Message::user("And then?"));
    let reply_start = Instant::now();
    let reply = ask(&controller, &other).await?;
    ensure!(reply.usage.cached_tokens > KNOWN / 2, "the prefix was not found on disk: {:?}", reply.usage);
    Ok((cold, reply_start.elapsed().as_secs_f64() * 1000.0))
}

/// Tokens per second of a program that resembles one in the prompt, with speculative decoding and without.
pub async fn guessing(setting: &Setting) -> Result<(f64, f64)> {
    let messages = vec![Message::system(PROGRAM), Message::user(ANOTHER)];
    let mut request = Request::new(messages, any_text(), 192);
    request.sampling = Sampling::varied(0.3, 1);
    let mut rates = [0.0; 2];
    for (speculate, speed) in [true, false].into_iter().zip(&mut rates) {
        let controller = LlamaController::open(&setting.model, options(setting, speculate, None)).await?;
        let reply = ask(&controller, &request).await?;
        *speed = rate(reply.usage.completion_tokens.saturating_sub(1), reply.timing.decode_ms);
    }
    Ok(rates.into())
}

/// Loads the model and generates one token.
pub async fn load(setting: &Setting) -> Result<()> {
    let controller = open(setting, None).await?;
    let request = Request::new(vec![Message::user(GREETING)], any_text(), 1);
    ask(&controller, &request).await?;
    Ok(())
}

/// Milliseconds of a process that does [`load`], from its start to its end.
pub async fn load_in_a_process(setting: &Setting, model: &str) -> Result<f64> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let start = Instant::now();
    let status = tokio::process::Command::new(program)
        .args(["controller", "--load-only", "--model", model, "--threads"])
        .arg(setting.threads.to_string())
        .status()
        .await?;
    ensure!(status.success(), "the process that loads the model failed");
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

async fn open(setting: &Setting, prefixes: Option<&Path>) -> Result<LlamaController> {
    // The other prompts repeat themselves, and so do their answers: speculation would succeed too often.
    Ok(LlamaController::open(&setting.model, options(setting, false, prefixes)).await?)
}

fn options(setting: &Setting, speculate: bool, prefixes: Option<&Path>) -> LlamaOptions {
    LlamaOptions {
        threads: Some(setting.threads),
        prefill_threads: Some(setting.threads),
        max_candidates: setting.runs.max(1),
        speculate,
        prefix_cache: prefixes.map(Path::to_path_buf),
        ..LlamaOptions::default()
    }
}

fn request(number: u32, read: u32, constraint: Constraint, write: u32) -> Request {
    // Each sentence has 17 tokens or so.
    let story = "Trees stand north and west of the river, and a cow grazes between them. ";
    let text = format!("Day {number} of the journey. {}", story.repeat((read / 17).max(1) as usize));
    let messages = vec![Message::system(text), Message::user(FIRST)];
    let mut request = Request::new(messages, constraint, write);
    request.sampling = Sampling::varied(0.8, u64::from(number));
    request
}

/// The same beginning with another ending.
fn next_of(first: &Request) -> Request {
    let mut next = first.clone();
    next.messages[1] = Message::user(NEXT);
    next
}

fn any_text() -> Constraint {
    Constraint::Lark(ANY_TEXT.into())
}

/// A schema of a list that is longer than any answer here.
fn steps_schema() -> serde_json::Value {
    json!({
        "type": "array",
        "minItems": 60,
        "items": {
            "type": "object",
            "properties": {
                "step": {"type": "string", "enum": ["collect_wood", "place_table", "make_pickaxe", "sleep", "drink"]},
                "count": {"type": "integer", "minimum": 1, "maximum": 9},
                "why": {"type": "string", "maxLength": 60}
            },
            "required": ["step", "count", "why"],
            "additionalProperties": false
        }
    })
}

async fn ask(controller: &LlamaController, request: &Request) -> Result<Reply> {
    Ok(controller.complete(request, &Cancel::new()).await?)
}

/// Milliseconds until `request` is answered.
async fn timed(controller: &LlamaController, request: &Request) -> Result<f64> {
    let start = Instant::now();
    ask(controller, request).await?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

fn rate(tokens: u32, milliseconds: u64) -> f64 {
    f64::from(tokens) * 1000.0 / milliseconds.max(1) as f64
}
