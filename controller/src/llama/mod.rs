//! Models that llama.cpp runs in this process.
//!
//! One thread owns a model and everything that C++ does with it ([`engine`]). Requests of any number of callers wait
//! in its [`queue`]. Each batch that the model reads has the next token of every answer at hand and, beside them, a
//! piece of the prompts that are new. Prompts are read once and kept ([`memory`]): in llama.cpp's own memory while they
//! are at work ([`cache`]), in ordinary memory ([`shelf`]) and on the disk ([`prefixes`]). What an answer may say next is
//! decided by its [`grammar`] and its [`sampler`], and may be guessed beforehand ([`lookup`],
//! [`draft`]).

mod cache;
mod draft;
mod embedder;
mod engine;
mod grammar;
mod job;
mod lane;
mod load;
mod lookup;
mod memory;
mod options;
mod pace;
mod prefixes;
mod prompt;
mod queue;
mod sampler;
mod shelf;
mod threads;

pub use embedder::LlamaEmbedder;
pub use options::LlamaOptions;

use crate::gguf::Header;
use crate::{Cancel, Controller, ControllerError, Message, ModelInfo, Reply, Request};
use async_trait::async_trait;
use engine::Engine;
use grammar::Grammars;
use job::{Job, Ledger};
use llama_cpp_2::token::LlamaToken;
use load::Loaded;
use prompt::Prompter;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How many requests may wait for the model before their callers wait too.
const QUEUE: usize = 64;

/// A GGUF model with a chat template, run by llama.cpp in this process.
///
/// Answers to several requests are written at the same time. The same request gives the same answer as long as
/// the same answers are written beside it: in another batch the last bits of a sum may differ.
#[derive(Debug)]
pub struct LlamaController {
    model: ModelInfo,
    options: LlamaOptions,
    prompter: Prompter,
    grammars: Arc<Grammars>,
    /// To the thread that owns the model; taken when the controller is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    /// That thread; joined when the controller is dropped.
    owner: Option<JoinHandle<()>>,
}

impl LlamaController {
    /// Loads the model at `path`, which takes seconds, mostly to read the file and to measure how many threads
    /// write fastest.
    pub async fn open(path: impl AsRef<Path>, options: LlamaOptions) -> Result<Self, ControllerError> {
        let path = path.as_ref().to_path_buf();
        let (ready, opened) = oneshot::channel();
        let owner = std::thread::Builder::new()
            .name("llama".into())
            .spawn(move || own(&path, options, ready))
            .map_err(|error| ControllerError::Failed { reason: error.to_string() })?;
        let (mut controller, jobs) = opened.await.map_err(|_| ControllerError::Stopped)??;
        controller.jobs = Some(jobs);
        controller.owner = Some(owner);
        Ok(controller)
    }

    /// The options as they turned out: with the numbers of threads that were chosen.
    pub fn options(&self) -> &LlamaOptions {
        &self.options
    }

    /// The same, of a file that is known to have this SHA-256.
    #[must_use]
    pub fn with_sha256(mut self, sha256: impl Into<String>) -> Self {
        self.model.sha256 = Some(sha256.into());
        self
    }

    /// The prompt of `request` with `forced` after it; without its spare parts, as many as it takes, if it is too long.
    fn fit(
        &self,
        request: &Request,
        forced: &[LlamaToken],
    ) -> Result<(Vec<LlamaToken>, Ledger), ControllerError> {
        let mut spare = spare_parts(&request.messages);
        let mut left_out = Vec::new();
        loop {
            let (mut prompt, part_tokens) =
                self.prompter.tokens(&request.messages, &request.prefill, &left_out)?;
            prompt.extend(forced);
            let excess = cells(prompt.len(), request).saturating_sub(self.options.context_tokens);
            if excess == 0 {
                return Ok((prompt, Ledger { part_tokens, left_out }));
            }
            if spare.is_empty() {
                return Err(ControllerError::ContextOverflow {
                    prompt_tokens: prompt.len() as u32,
                    candidates: request.candidates,
                    max_tokens: request.max_tokens,
                    context_tokens: self.options.context_tokens,
                });
            }
            let mut gained = 0;
            while gained < excess
                && let Some((message, part)) = spare.pop()
            {
                gained += part_tokens[message as usize][part as usize];
                left_out.push((message, part));
            }
        }
    }

    fn check(&self, request: &Request) -> Result<(), ControllerError> {
        let most = self.options.max_candidates;
        let reason = if request.messages.is_empty() {
            "it has no messages".to_owned()
        } else if request.candidates == 0 || request.candidates > most {
            format!("it asks for {} candidates; 1 to {most} can be written", request.candidates)
        } else if request.max_tokens == 0 {
            "its answers may have no tokens".to_owned()
        } else {
            return Ok(());
        };
        Err(ControllerError::BadRequest { reason })
    }
}

#[async_trait]
impl Controller for LlamaController {
    fn model(&self) -> &ModelInfo {
        &self.model
    }

    async fn complete(&self, request: &Request, cancel: &Cancel) -> Result<Reply, ControllerError> {
        self.check(request)?;
        let queued = Instant::now();
        let matcher = Grammars::matcher(&self.grammars, &request.constraint).await?;
        let (matcher, forced) = grammar::forced_start(matcher, request.max_tokens)?;
        let (prompt, ledger) = self.fit(request, &forced)?;
        let cells = cells(prompt.len(), request);
        let (reply, answered) = oneshot::channel();
        let job = Job {
            prompt,
            forced,
            matcher,
            candidates: request.candidates,
            sampling: request.sampling,
            max_tokens: request.max_tokens,
            stop: request.stop.clone(),
            priority: request.priority,
            cells,
            ledger,
            queued,
            deadline: request.deadline_ms.and_then(|limit| queued.checked_add(Duration::from_millis(limit))),
            cancel: cancel.clone(),
            reply,
        };
        let jobs = self.jobs.as_ref().ok_or(ControllerError::Stopped)?;
        jobs.send(job).await.map_err(|_| ControllerError::Stopped)?;
        answered.await.map_err(|_| ControllerError::Stopped)?
    }
}

impl Drop for LlamaController {
    fn drop(&mut self) {
        // Closing the queue ends the thread. It is waited for, so that no C++ runs while the process exits.
        self.jobs.take();
        if let Some(owner) = self.owner.take() {
            let _ = owner.join();
        }
    }
}

/// How many tokens a prompt of this length and its answers may have together.
fn cells(prompt: usize, request: &Request) -> u32 {
    (prompt as u32).saturating_add(request.candidates.saturating_mul(request.max_tokens))
}

/// Message and part of what can be left out, what goes first last.
fn spare_parts(messages: &[Message]) -> Vec<(u32, u32)> {
    let mut spare = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        for (number, part) in message.parts.iter().enumerate().filter(|(_, part)| part.spare > 0) {
            spare.push((part.spare, at as u32, number as u32));
        }
    }
    spare.sort_unstable();
    spare.into_iter().map(|(_, message, part)| (message, part)).collect()
}

type Ready = oneshot::Sender<Result<(LlamaController, mpsc::Sender<Job>), ControllerError>>;

/// The life of the thread that owns the model.
fn own(path: &Path, options: LlamaOptions, ready: Ready) {
    let (loaded, grammars) = match load(path, &options) {
        Ok(loaded) => loaded,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let small = options.draft.as_deref().map(|path| draft::load(path, &loaded)).transpose();
    let small = match small {
        Ok(small) => small,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let opened = options.settle(&loaded).and_then(|(options, tuned)| {
        let prompter = Prompter::new(&loaded, &grammars.vocabulary())?;
        let engine = Engine::new(&loaded, small.as_ref(), &options, tuned, grammars.vocabulary())?;
        let model = ModelInfo { context_tokens: Some(options.context_tokens), ..loaded.info.clone() };
        Ok((LlamaController { model, options, prompter, grammars, jobs: None, owner: None }, engine))
    });
    match opened {
        Ok((controller, engine)) => {
            let (jobs, inbox) = mpsc::channel(QUEUE);
            if ready.send(Ok((controller, jobs))).is_ok() {
                engine.run(inbox);
            }
        }
        Err(error) => drop(ready.send(Err(error))),
    }
}

/// The model in the file at `path` and the grammars of its vocabulary, which are made ready while its weights are read.
fn load(path: &Path, options: &LlamaOptions) -> Result<(Loaded, Arc<Grammars>), ControllerError> {
    let header = Header::read(path)?;
    // A model without a template is of another kind, whose vocabulary may be one that grammars cannot be made for.
    let speaks = prompt::has_template(&header);
    let vocabulary = path.to_path_buf();
    let grammars = speaks.then(|| std::thread::spawn(move || Grammars::read(&vocabulary)));
    let loaded = Loaded::open_with(path, header, options);
    // It is waited for in any case, so that no C++ runs while the process exits.
    let grammars = grammars.map(|thread| {
        let panicked = |_| ControllerError::Failed { reason: "its vocabulary cannot be read".into() };
        thread.join().map_err(panicked).flatten()
    });
    let loaded = loaded?;
    prompt::template(&loaded)?;
    let grammars = grammars.unwrap_or_else(|| Grammars::read(path))?;
    grammars.use_model(&loaded.model);
    Ok((loaded, Arc::new(grammars)))
}
