use super::load::LoadedModel;
use crate::{ControllerError, Embedder, EmbedderInfo, Embeddings};
use async_trait::async_trait;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_batch::LlamaBatch;
use std::num::NonZeroU32;
use std::path::Path;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Largest number of tokens per text. Sentence encoders such as `all-MiniLM-L6-v2` were trained on this
/// length, although they can read more.
const MAX_TOKENS: u32 = 256;
/// Number of requests that wait in the queue before callers wait.
const QUEUE: usize = 64;

/// An embedding model: a BERT-like GGUF file, run by llama.cpp in this process.
///
/// The vector of a text is the mean of its token vectors, scaled to length 1. One thread embeds texts one by
/// one, so the same text always has bit-identical vectors on one machine. Tokens past
/// [`EmbedderInfo::max_tokens`] are ignored.
#[derive(Debug)]
pub struct LlamaEmbedder {
    model: EmbedderInfo,
    /// Channel to the thread that owns the model. Dropping it ends the thread.
    jobs: Option<mpsc::Sender<Job>>,
    /// The thread that owns the model, joined on drop.
    owner: Option<JoinHandle<()>>,
}

struct Job {
    texts: Vec<String>,
    reply: oneshot::Sender<Result<Embeddings, ControllerError>>,
}

impl LlamaEmbedder {
    /// Loads the model at `path`.
    ///
    /// # Errors
    /// Any error of reading or loading the file; [`ControllerError::Unloadable`] if it is not an embedding
    /// model.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, ControllerError> {
        let path = path.as_ref().to_path_buf();
        let (ready, opened) = oneshot::channel();
        let owner = std::thread::Builder::new()
            .name("llama-embed".into())
            .spawn(move || own(&path, ready))
            .map_err(|error| ControllerError::Failed { reason: error.to_string() })?;
        let (model, jobs) = opened.await.map_err(|_| ControllerError::Stopped)??;
        Ok(Self { model, jobs: Some(jobs), owner: Some(owner) })
    }
}

#[async_trait]
impl Embedder for LlamaEmbedder {
    fn model(&self) -> &EmbedderInfo {
        &self.model
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ControllerError> {
        Ok(self.embed_counted(texts).await?.vectors)
    }

    async fn embed_counted(&self, texts: &[String]) -> Result<Embeddings, ControllerError> {
        let (reply, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(ControllerError::Stopped)?;
        let job = Job { texts: texts.to_vec(), reply };
        jobs.send(job).await.map_err(|_| ControllerError::Stopped)?;
        answered.await.map_err(|_| ControllerError::Stopped)?
    }
}

impl Drop for LlamaEmbedder {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(owner) = self.owner.take() {
            let _ = owner.join();
        }
    }
}

type Ready = oneshot::Sender<Result<(EmbedderInfo, mpsc::Sender<Job>), ControllerError>>;

/// Body of the thread that owns the model.
fn own(path: &Path, ready: Ready) {
    let loaded = match LoadedModel::open(path) {
        Ok(loaded) => loaded,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let mut encoder = match Encoder::new(path, &loaded) {
        Ok(encoder) => encoder,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let info = EmbedderInfo {
        name: loaded.info.name.clone(),
        dimensions: loaded.model.n_embd_out().unsigned_abs(),
        max_tokens: encoder.max_tokens as u32,
    };
    let (jobs, mut inbox) = mpsc::channel(QUEUE);
    if ready.send(Ok((info, jobs))).is_err() {
        return;
    }
    while let Some(job) = inbox.blocking_recv() {
        let embedded = encoder.encode_all(&job);
        // The caller may have stopped waiting.
        let _ = job.reply.send(embedded);
    }
}

/// Embeds one text at a time.
struct Encoder<'model> {
    loaded: &'model LoadedModel,
    context: LlamaContext<'model>,
    batch: LlamaBatch<'static>,
    max_tokens: usize,
}

impl<'model> Encoder<'model> {
    fn new(path: &Path, loaded: &'model LoadedModel) -> Result<Self, ControllerError> {
        let unloadable = |reason: &str| ControllerError::Unloadable {
            path: path.to_path_buf(),
            reason: reason.to_owned(),
        };
        // llama.cpp would run other models too and return meaningless vectors.
        if loaded.header.architecture_integer("pooling_type").is_none() {
            return Err(unloadable("it is not an embedding model: its header has no pooling type"));
        }
        let max_tokens = loaded.model.n_ctx_train().min(MAX_TOKENS);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(max_tokens))
            .with_n_batch(max_tokens)
            .with_n_ubatch(max_tokens)
            .with_embeddings(true)
            .with_pooling_type(LlamaPoolingType::Unspecified)
            .with_n_threads(1)
            .with_n_threads_batch(1);
        let context = loaded
            .model
            .new_context(loaded.backend, params)
            .map_err(|_| unloadable("llama.cpp cannot create a context for it"))?;
        let max_tokens = max_tokens as usize;
        Ok(Self { loaded, context, batch: LlamaBatch::new(max_tokens, 1), max_tokens })
    }

    /// Embeds the texts of a job, until its caller stops waiting.
    fn encode_all(&mut self, job: &Job) -> Result<Embeddings, ControllerError> {
        let (mut vectors, mut lengths) = (Vec::with_capacity(job.texts.len()), Vec::new());
        for text in job.texts.iter().take_while(|_| !job.reply.is_closed()) {
            let (vector, length) = self.encode(text)?;
            vectors.push(vector);
            lengths.push(length);
        }
        Ok(Embeddings { vectors, tokens: Some(lengths) })
    }

    /// The vector of a text, and its length in tokens.
    fn encode(&mut self, text: &str) -> Result<(Vec<f32>, u32), ControllerError> {
        let failed = |reason: String| ControllerError::Failed { reason };
        let mut tokens = self.loaded.model.vocab().tokenize(text.as_bytes(), true, false);
        let counted = tokens.len() as u32;
        if tokens.len() > self.max_tokens {
            // The last token marks the end of the text and is kept.
            let end = tokens.last().copied();
            tokens.truncate(self.max_tokens - 1);
            tokens.extend(end);
        }
        self.batch.clear();
        for (position, &token) in (0..).zip(&tokens) {
            self.batch.add(token, position, &[0], true).map_err(|error| failed(error.to_string()))?;
        }
        self.context.decode(&mut self.batch).map_err(|error| failed(error.to_string()))?;
        let vector = self.context.embeddings_seq_ith(0).map_err(|error| failed(error.to_string()))?;
        let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if !length.is_finite() || length == 0.0 {
            return Err(failed("the model returned a zero vector".into()));
        }
        Ok((vector.iter().map(|x| (f64::from(*x) / length) as f32).collect(), counted))
    }
}
