//! Models that llama.cpp runs in this process.
//!
//! One thread owns a model and makes all calls into C++ ([`engine`]). Requests wait in its [`queue`]. Every
//! batch holds the next token of each active answer and pieces of new prompts (continuous batching).
//!
//! Prompts are evaluated once and cached ([`kv_cache`]): in llama.cpp's context ([`prompt_slots`]), in host
//! memory ([`host_kv_cache`]) and on disk ([`disk_cache`]). [`grammar`] and [`sampler`] choose tokens.
//! [`prompt_lookup`] and [`draft_model`] propose tokens ahead (speculative decoding). [`sight`] turns pictures into rows of a prompt.

mod disk_cache;
mod draft_model;
mod embedder;
mod engine;
mod grammar;
mod host_kv_cache;
mod job;
mod kv_cache;
mod load;
mod options;
mod prompt_encoder;
mod prompt_lookup;
mod prompt_slots;
mod queue;
mod sampler;
mod sequence;
mod sight;
mod slowdown;
mod threads;

pub use embedder::LlamaEmbedder;
pub use options::LlamaOptions;

use crate::gguf::Header;
use crate::{
    Cancel, Constraint, Controller, ControllerError, Lens, Message, ModelInfo, Pieces, Reply, Request, Role,
};
use async_trait::async_trait;
use engine::Engine;
use grammar::GrammarCache;
use job::{Job, PromptParts};
use llama_cpp_2::token::LlamaToken;
use load::LoadedModel;
use prompt_encoder::{Encoded, PromptEncoder};
use sight::{PlacedPictures, Shown, Sight};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Number of requests that wait in the queue before callers wait.
const QUEUE: usize = 64;

/// A GGUF model with a chat template, run by llama.cpp in this process.
///
/// The engine decodes answers to several requests together. A request gives the same answer if the same
/// answers are decoded beside it; in another batch, floating-point sums may round differently.
#[derive(Debug)]
pub struct LlamaController {
    model: ModelInfo,
    options: LlamaOptions,
    prompt_encoder: PromptEncoder,
    grammars: Arc<GrammarCache>,
    /// The projector of a model that sees.
    sight: Option<Arc<Sight>>,
    /// Decodes pictures for it.
    lens: Option<Arc<dyn Lens>>,
    /// Channel to the thread that owns the model. Dropping it ends the thread.
    jobs: Option<mpsc::Sender<Job>>,
    /// The thread that owns the model, joined on drop.
    owner: Option<JoinHandle<()>>,
}

impl LlamaController {
    /// Loads the model at `path`. This takes seconds: reading the file, and measuring the fastest numbers of
    /// threads.
    ///
    /// # Errors
    /// Any error of reading or loading the file; [`ControllerError::BadRequest`] if an option is out of
    /// range; [`ControllerError::NoChatTemplate`].
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

    /// What the file at `path` says of its model, without loading it: as much of [`open`](Self::open) as takes no time.
    ///
    /// # Errors
    /// When one of the files cannot be read or is no complete GGUF file, or an option is out of range;
    /// [`ControllerError::NoChatTemplate`].
    pub fn describe(path: &Path, options: &LlamaOptions) -> Result<ModelInfo, ControllerError> {
        let header = Header::read(path)?;
        let others = options.draft_model.iter().chain(options.lora.iter().map(|lora| &lora.path));
        for other in others {
            Header::read(other)?;
        }
        if let Some(mmproj) = &options.mmproj {
            sight::check(mmproj, &Header::read(mmproj)?)?;
        }
        let model = ModelInfo { sees: options.mmproj.is_some(), ..load::describe(path, &header) };
        if !prompt_encoder::has_template(&header) {
            let reason = "its file has none".to_owned();
            return Err(ControllerError::NoChatTemplate { model: model.name, reason });
        }
        let trained = header.architecture_integer("context_length");
        let trained = trained.and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(u32::MAX);
        Ok(ModelInfo { context_tokens: Some(options.check(trained)?), ..model })
    }

    /// The options in effect, with the chosen numbers of threads.
    pub fn options(&self) -> &LlamaOptions {
        &self.options
    }

    /// Sets what decodes pictures. Without it, the model reads the texts that stand for them.
    #[must_use]
    pub fn with_lens(mut self, lens: Option<Arc<dyn Lens>>) -> Self {
        self.lens = lens;
        self
    }

    /// Sets the SHA-256 of the model file for [`ModelInfo`], in hexadecimal.
    #[must_use]
    pub fn with_sha256(mut self, sha256: impl Into<String>) -> Self {
        self.model.sha256 = Some(sha256.into());
        self
    }

    /// Encodes the prompt of `request`, followed by `forced`. If the prompt is too long, parts are dropped by
    /// their rank.
    fn fit(
        &self,
        request: &Request,
        shown: &BTreeMap<String, Arc<Shown>>,
        forced: &[LlamaToken],
    ) -> Result<(Vec<LlamaToken>, PlacedPictures, PromptParts), ControllerError> {
        let mut droppable = droppable_parts(&request.messages);
        let mut dropped_parts = Vec::new();
        loop {
            let Encoded { tokens: mut prompt, pictures, part_tokens } =
                self.prompt_encoder.tokens(&request.messages, shown, &request.prefill, &dropped_parts)?;
            prompt.extend(forced);
            let excess = cells(prompt.len(), request).saturating_sub(self.options.context_tokens);
            if excess == 0 {
                return Ok((prompt, pictures, PromptParts { part_tokens, dropped_parts }));
            }
            if droppable.is_empty() {
                return Err(ControllerError::ContextOverflow {
                    prompt_tokens: prompt.len() as u32,
                    candidates: request.candidates,
                    max_tokens: request.max_tokens,
                    context_tokens: self.options.context_tokens,
                });
            }
            let mut gained = 0;
            while gained < excess
                && let Some((message, part)) = droppable.pop()
            {
                gained += part_tokens[message as usize][part as usize];
                dropped_parts.push((message, part));
            }
        }
    }

    fn check(&self, request: &Request) -> Result<(), ControllerError> {
        let most = self.options.max_candidates;
        let reason = if request.messages.is_empty() {
            "the request has no messages".to_owned()
        } else if request.scored.len() > Request::MAX_SCORED {
            format!("{} texts are to be scored; the limit is {}", request.scored.len(), Request::MAX_SCORED)
        } else if request.scored.iter().any(String::is_empty) {
            "an empty text has no score".to_owned()
        } else if request.candidates == 0 || request.candidates > most {
            format!("{} candidates were requested; choose 1 to {most}", request.candidates)
        } else if request.max_tokens == 0 {
            "`max_tokens` is 0; choose at least 1".to_owned()
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
        self.answer_or_score(request, cancel, None).await
    }

    async fn complete_in_pieces(
        &self,
        request: &Request,
        cancel: &Cancel,
        pieces: Pieces,
    ) -> Result<Reply, ControllerError> {
        self.answer_or_score(request, cancel, Some(pieces)).await
    }
}

impl LlamaController {
    /// The pictures of a request as the model reads them, by their addresses. One that cannot be shown is left out, so the text of
    /// its part stands for it.
    async fn prepare_pictures(&self, request: &Request) -> BTreeMap<String, Arc<Shown>> {
        let mut shown = BTreeMap::new();
        let (Some(sight), Some(lens)) = (&self.sight, &self.lens) else { return shown };
        let users = request.messages.iter().filter(|message| message.role == Role::User);
        for picture in users.flat_map(|message| &message.parts).filter_map(|part| part.picture.as_ref()) {
            let Some(bytes) =
                request.pictures.get(&picture.blob).filter(|_| !shown.contains_key(&picture.blob))
            else {
                continue;
            };
            let (sight, lens, bytes) = (Arc::clone(sight), Arc::clone(lens), Arc::clone(bytes));
            let preparing =
                tokio::task::spawn_blocking(move || sight.prepare(lens.pixels(&bytes, sight.most)?));
            match preparing.await.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(prepared) => drop(shown.insert(picture.blob.clone(), Arc::new(prepared))),
                Err(reason) => tracing::warn!(%reason, "a picture is not shown to the model"),
            }
        }
        shown
    }

    async fn answer_or_score(
        &self,
        request: &Request,
        cancel: &Cancel,
        pieces: Option<Pieces>,
    ) -> Result<Reply, ControllerError> {
        if request.scored.is_empty() {
            self.answer(request, cancel, pieces).await
        } else {
            self.score(request, cancel).await
        }
    }

    /// The tokens of a text within an answer.
    fn text_tokens(&self, text: &str) -> Vec<LlamaToken> {
        self.grammars.vocabulary().tokenize_bytes(text.as_bytes()).into_iter().map(grammar::token).collect()
    }

    /// The scores of the texts, as many at a time as there may be answers; the prompt is evaluated once.
    async fn score(&self, request: &Request, cancel: &Cancel) -> Result<Reply, ControllerError> {
        self.check(request)?;
        let mut whole: Option<Reply> = None;
        for texts in request.scored.chunks(self.options.max_candidates as usize) {
            let longest = texts.iter().map(|text| self.text_tokens(text).len()).max().unwrap_or(1);
            let some = Request {
                constraint: Constraint::text(),
                candidates: texts.len() as u32,
                max_tokens: u32::try_from(longest).unwrap_or(u32::MAX),
                stop: Vec::new(),
                scored: texts.to_vec(),
                ..request.clone()
            };
            let reply = self.answer(&some, cancel, None).await?;
            if reply.log_probabilities.is_empty() {
                return Ok(reply);
            }
            whole = Some(match whole {
                None => reply,
                Some(mut first) => {
                    first.log_probabilities.extend(reply.log_probabilities);
                    first.timing.queue_ms += reply.timing.queue_ms;
                    first.timing.prefill_ms += reply.timing.prefill_ms;
                    first.timing.decode_ms += reply.timing.decode_ms;
                    first
                }
            });
        }
        whole.ok_or(ControllerError::Stopped)
    }

    async fn answer(
        &self,
        request: &Request,
        cancel: &Cancel,
        pieces: Option<Pieces>,
    ) -> Result<Reply, ControllerError> {
        self.check(request)?;
        let queued = Instant::now();
        let matcher = GrammarCache::matcher(&self.grammars, &request.constraint).await?;
        let (matcher, forced) = if request.scored.is_empty() {
            grammar::forced_start(matcher, request.max_tokens)?
        } else {
            (matcher, Vec::new())
        };
        let shown = self.prepare_pictures(request).await;
        let (prompt, pictures, parts) = self.fit(request, &shown, &forced)?;
        let cells = cells(prompt.len(), request);
        let (reply, answered) = oneshot::channel();
        let job = Job {
            prompt,
            pictures,
            forced,
            matcher,
            candidates: request.candidates,
            scored: request.scored.iter().map(|text| self.text_tokens(text)).collect(),
            sampling: request.sampling,
            max_tokens: request.max_tokens,
            stop: request.stop.clone(),
            priority: request.priority,
            cells,
            parts,
            queued,
            deadline: request.deadline_ms.and_then(|limit| queued.checked_add(Duration::from_millis(limit))),
            cancel: cancel.clone(),
            pieces,
            reply,
        };
        let jobs = self.jobs.as_ref().ok_or(ControllerError::Stopped)?;
        jobs.send(job).await.map_err(|_| ControllerError::Stopped)?;
        answered.await.map_err(|_| ControllerError::Stopped)?
    }
}

impl Drop for LlamaController {
    fn drop(&mut self) {
        // Closing the channel ends the thread. Joining it ensures that no C++ code runs at process exit.
        self.jobs.take();
        if let Some(owner) = self.owner.take() {
            let _ = owner.join();
        }
    }
}

/// Context tokens that a prompt of this length and its answers may use.
fn cells(prompt: usize, request: &Request) -> u32 {
    (prompt as u32).saturating_add(request.candidates.saturating_mul(request.max_tokens))
}

/// Message and part of everything that may be dropped; the last one is dropped first.
fn droppable_parts(messages: &[Message]) -> Vec<(u32, u32)> {
    let mut droppable = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        for (number, part) in message.parts.iter().enumerate().filter(|(_, part)| part.drop_rank > 0) {
            droppable.push((part.drop_rank, at as u32, number as u32));
        }
    }
    droppable.sort_unstable();
    droppable.into_iter().map(|(_, message, part)| (message, part)).collect()
}

type Ready = oneshot::Sender<Result<(LlamaController, mpsc::Sender<Job>), ControllerError>>;

/// Body of the thread that owns the model.
fn own(path: &Path, options: LlamaOptions, ready: Ready) {
    let (loaded, grammars) = match load(path, &options) {
        Ok(loaded) => loaded,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let small = options.draft_model.as_deref().map(|path| draft_model::load(path, &loaded)).transpose();
    let small = match small {
        Ok(small) => small,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let opened = options.settle(&loaded).and_then(|(options, tuned)| {
        let prompt_encoder = PromptEncoder::new(&loaded, &grammars.vocabulary())?;
        let sight = Sight::open(&loaded, &options)?.map(Arc::new);
        let engine =
            Engine::new(&loaded, small.as_ref(), sight.clone(), &options, tuned, grammars.vocabulary())?;
        let model = ModelInfo {
            context_tokens: Some(options.context_tokens),
            sees: sight.is_some(),
            ..loaded.info.clone()
        };
        let controller = LlamaController {
            model,
            options,
            prompt_encoder,
            grammars,
            sight,
            lens: None,
            jobs: None,
            owner: None,
        };
        Ok((controller, engine))
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

/// Loads the model at `path`. Its vocabulary is read for grammars while the weights load.
fn load(path: &Path, options: &LlamaOptions) -> Result<(LoadedModel, Arc<GrammarCache>), ControllerError> {
    let header = Header::read(path)?;
    // Models without a chat template may have vocabularies that llguidance does not support.
    let speaks = prompt_encoder::has_template(&header);
    let vocabulary = path.to_path_buf();
    let grammars = speaks.then(|| std::thread::spawn(move || GrammarCache::read(&vocabulary)));
    let loaded = LoadedModel::open_with(path, header, options);
    // The thread is always joined, so that no C++ code runs at process exit.
    let grammars = grammars.map(|thread| {
        let panicked = |_| ControllerError::Failed { reason: "reading the vocabulary panicked".into() };
        thread.join().map_err(panicked).flatten()
    });
    let loaded = loaded?;
    prompt_encoder::template(&loaded)?;
    let grammars = grammars.unwrap_or_else(|| GrammarCache::read(path))?;
    grammars.use_model(&loaded.model);
    Ok((loaded, Arc::new(grammars)))
}
