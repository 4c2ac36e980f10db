//! Models that llama.cpp runs in this process.
//!
//! One thread owns a model and everything that C++ does with it ([`engine`]). It decodes the candidates of all
//! requests at hand in one batch per token, from prompts that are read once and kept ([`cache`]); what a candidate
//! may say next is decided by its grammar ([`grammar`]) and its [`sampler`].

mod cache;
mod embedder;
mod engine;
mod grammar;
mod lane;
mod load;
mod options;
mod prompt;
mod sampler;
mod threads;

pub use embedder::LlamaEmbedder;
pub use options::LlamaOptions;

use crate::{Cancel, Controller, ControllerError, ModelInfo, Reply, Request};
use async_trait::async_trait;
use engine::{Engine, Job};
use grammar::Grammars;
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
        let mut prompt = self.prompter.tokens(&request.messages, &request.prefill)?;
        let matcher = Grammars::matcher(&self.grammars, &request.constraint).await?;
        let (matcher, forced) = grammar::forced_start(matcher, request.max_tokens)?;
        prompt.extend(&forced);
        let prompt_tokens = prompt.len() as u32;
        let cells = prompt_tokens.saturating_add(request.candidates.saturating_mul(request.max_tokens));
        if cells > self.options.context_tokens {
            return Err(ControllerError::ContextOverflow {
                prompt_tokens,
                candidates: request.candidates,
                max_tokens: request.max_tokens,
                context_tokens: self.options.context_tokens,
            });
        }
        let (reply, answered) = oneshot::channel();
        let job = Job {
            prompt,
            forced,
            matcher,
            candidates: request.candidates,
            sampling: request.sampling,
            max_tokens: request.max_tokens,
            stop: request.stop.clone(),
            cells,
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

type Ready = oneshot::Sender<Result<(LlamaController, mpsc::Sender<Job>), ControllerError>>;

/// The life of the thread that owns the model.
fn own(path: &Path, options: LlamaOptions, ready: Ready) {
    let loaded = match Loaded::open(path) {
        Ok(loaded) => loaded,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let opened = options.settle(&loaded).and_then(|options| {
        let prompter = Prompter::new(&loaded)?;
        let grammars = Arc::new(Grammars::new(&loaded.model)?);
        let engine = Engine::new(&loaded, &options, grammars.vocabulary())?;
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
