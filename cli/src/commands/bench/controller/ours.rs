//! The measurements of this program's own controller.

use super::Setting;
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;
use sojourn_controller::llama::{LlamaController, LlamaOptions};
use sojourn_controller::{Cancel, Constraint, Controller, Message, Reply, Request, Sampling};
use std::path::Path;
use std::time::Instant;

/// About so many tokens are common to the steps of a run.
const KNOWN: u32 = 2000;
/// Long texts of which no token has to be refused; the least length keeps the model from ending early.
const ANY_TEXT: &str = "start: /(.|\\n){600,}/";

/// With what a prompt ends at a run's first step, and at its next one.
pub const FIRST: &str = "Tell what happens next, at length.";
pub const NEXT: &str = "The cow has left. Wood 3, health 8, a zombie is 4 south. What is to be done now?";

/// What is asked to see that a model was loaded. Ours is read with the marks of its template around it.
pub const GREETING: &str = "Trees stand north and west of the river, and a cow grazes between them.";

/// A program, and the wish for another one.
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
    /// How many tokens were read.
    pub tokens: u32,
}

/// What the runs ask that ask at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompts {
    /// Each its first question: all of its prompt has to be read.
    New,
    /// Each its next question: its prompt was read before, up to the last words.
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

    /// One run alone: how fast about `read` tokens are read and `write` written.
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

    /// Tokens written per second by so many runs that ask at the same time.
    pub async fn together(&mut self, runs: u32, write: u32, prompts: Prompts) -> Result<f64> {
        let requests = self.requests(runs, write, prompts).await?;
        let start = Instant::now();
        try_join_all(requests.iter().map(|request| ask(&self.controller, request))).await?;
        Ok(f64::from(runs * write) / start.elapsed().as_secs_f64())
    }

    /// The same, one after the other.
    pub async fn in_turn(&mut self, runs: u32, write: u32, prompts: Prompts) -> Result<f64> {
        let requests = self.requests(runs, write, prompts).await?;
        let start = Instant::now();
        for request in &requests {
            ask(&self.controller, request).await?;
        }
        Ok(f64::from(runs * write) / start.elapsed().as_secs_f64())
    }

    /// One request for each run, of a prompt of its own.
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

    /// Tokens per second without a constraint to speak of, and under a schema.
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

    /// A request with a prompt of about so many tokens that begins like no other.
    fn request(&mut self, read: u32, constraint: Constraint, write: u32) -> Request {
        self.asked += 1;
        request(self.asked, read, constraint, write)
    }
}

/// Milliseconds to the first token of a run's first step; and of its next one in another process's place, with what
/// the first had left on the disk.
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
    ensure!(reply.usage.cached_tokens > KNOWN / 2, "nothing was found on the disk: {:?}", reply.usage);
    Ok((cold, reply_start.elapsed().as_secs_f64() * 1000.0))
}

/// Tokens per second of a program that is like one in the prompt: with guesses by the prompt, and without.
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

/// Loads the model and has it write one token.
pub async fn load(setting: &Setting) -> Result<()> {
    let controller = open(setting, None).await?;
    let request = Request::new(vec![Message::user(GREETING)], any_text(), 1);
    ask(&controller, &request).await?;
    Ok(())
}

/// Milliseconds that a process of its own needs for [`load`], from its start to its end.
pub async fn load_in_a_process(setting: &Setting, model: &str) -> Result<f64> {
    let program = std::env::current_exe().context("where this program is")?;
    let start = Instant::now();
    let status = tokio::process::Command::new(program)
        .args(["bench", "controller", "--load-only", "--model", model, "--threads"])
        .arg(setting.threads.to_string())
        .status()
        .await?;
    ensure!(status.success(), "loading in a process of its own failed");
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

async fn open(setting: &Setting, prefixes: Option<&Path>) -> Result<LlamaController> {
    // The story that is read elsewhere repeats itself, and so does what is written about it: guesses would be right too
    // often.
    Ok(LlamaController::open(&setting.model, options(setting, false, prefixes)).await?)
}

fn options(setting: &Setting, speculate: bool, prefixes: Option<&Path>) -> LlamaOptions {
    LlamaOptions {
        threads: Some(setting.threads),
        prefill_threads: Some(setting.threads),
        max_candidates: setting.runs.max(1),
        speculate,
        prefixes: prefixes.map(Path::to_path_buf),
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

/// A list that is longer than any answer here.
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
