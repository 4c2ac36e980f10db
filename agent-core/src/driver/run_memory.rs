//! Memory of a run: lessons are stored, embedded in the background, and recalled by meaning and words.

use super::DriveError;
use super::journal::{Noted, now_ms};
use super::provenance::{Provenance, attachment};
use crate::model::{Edit, NewLesson, Recalled};
use async_trait::async_trait;
use sojourn_controller::Embedder;
use sojourn_memory::{Hit, Memories, MemoryId, MemoryKind, Query, RunId, Tenant, TextEmbedder};
use sojourn_tools::Media;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The largest size of all recalled memories together, in tokens.
const TOKEN_BUDGET: usize = 160;
/// Kinds that are recalled. Recalling lessons only takes the first.
const KINDS: [MemoryKind; 4] =
    [MemoryKind::Reflection, MemoryKind::Fact, MemoryKind::Episode, MemoryKind::Knowledge];

/// The memory that one run reads and writes.
pub struct RunMemory {
    memories: Memories,
    tenant: Tenant,
    environment: String,
    /// Without one, memories are found by words alone.
    embedder: Option<Arc<dyn Embedder>>,
    /// Answers of another log, used before anything is looked up: memories, and the tools that fit best.
    recorded: Mutex<VecDeque<(Vec<Recalled>, Vec<String>)>>,
    /// The tools of the last recorded answer.
    recorded_tools: Mutex<Option<Vec<String>>>,
    background: Option<Background>,
}

/// Embeds stored memories in the background. Until then they are found by words.
struct Background {
    /// Wakes the worker. One message is enough, because the worker embeds everything that is missing.
    wake: mpsc::Sender<()>,
    worker: JoinHandle<()>,
}

/// Adapts a controller's embedder to memory's trait.
pub struct Texts(pub Arc<dyn Embedder>);

#[async_trait]
impl TextEmbedder for Texts {
    fn model(&self) -> &str {
        &self.0.model().name
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String> {
        self.0.embed(texts).await.map_err(|error| error.to_string())
    }
}

impl RunMemory {
    /// The memory of `tenant`'s agent in `environment`.
    pub fn new(
        memories: Memories,
        tenant: Tenant,
        environment: String,
        embedder: Option<Arc<dyn Embedder>>,
    ) -> Self {
        Self {
            memories,
            tenant,
            environment,
            embedder,
            background: None,
            recorded: Mutex::default(),
            recorded_tools: Mutex::default(),
        }
    }

    /// Answers first what another log has, in order: recalled memories, and the tools that fit best.
    #[must_use]
    pub fn with_recorded(mut self, answers: impl IntoIterator<Item = (Vec<Recalled>, Vec<String>)>) -> Self {
        self.recorded = Mutex::new(answers.into_iter().collect());
        self
    }

    /// Waits for the background work. Memories that could not be embedded are embedded the next time.
    pub(super) async fn finish(&mut self) {
        if let Some(Background { wake, worker }) = self.background.take() {
            drop(wake);
            // The worker returns nothing; a panic in it must not end the run.
            let _ = worker.await;
        }
    }

    fn embed_soon(&mut self) {
        let Some(embedder) = &self.embedder else { return };
        let background = self.background.get_or_insert_with(|| {
            let (wake, mut woken) = mpsc::channel(1);
            let texts = Texts(Arc::clone(embedder));
            let (memories, tenant) = (self.memories.clone(), self.tenant.clone());
            let worker = tokio::spawn(async move {
                while woken.recv().await.is_some() {
                    // After a failure memories are found by words; the next wake-up retries all of them.
                    let _ = memories.embed_missing(&tenant, &texts, &|_| ()).await;
                }
            });
            Background { wake, worker }
        });
        // A full channel means that the worker will look anyway.
        let _ = background.wake.try_send(());
    }

    /// The memories that answer `query` best, best first.
    pub(super) async fn recall(
        &self,
        query: &str,
        limit: usize,
        lessons: bool,
    ) -> Result<Vec<Recalled>, DriveError> {
        let answer = self.recorded.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some((memories, tools)) = answer {
            *self.recorded_tools.lock().unwrap_or_else(PoisonError::into_inner) = Some(tools);
            return Ok(memories);
        }
        let vector = match &self.embedder {
            Some(embedder) => {
                let vectors = embedder.embed(&[query.to_owned()]).await.map_err(failed)?;
                vectors.into_iter().next().map(|vector| (embedder.model().name.clone(), vector))
            }
            None => None,
        };
        let query = Query {
            vectors: vector.iter().map(|(model, vector)| (model.as_str(), vector.as_slice())).collect(),
            environment: Some(&self.environment),
            k: limit,
            token_budget: TOKEN_BUDGET,
            now_ms: now_ms(),
            kinds: if lessons { &KINDS[..1] } else { &KINDS },
            ..Query::new(&self.tenant, query)
        };
        let hits = self.memories.recall(&query).await.map_err(failed)?;
        Ok(hits.into_iter().map(recalled).collect())
    }

    /// The tools of the last recorded answer, once.
    pub(super) fn recorded_tools(&self) -> Option<Vec<String>> {
        self.recorded_tools.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The indices of `texts`, those nearest to `query` in meaning first; `None` without an embedder.
    pub(super) async fn rank(&self, query: &str, texts: &[String]) -> Result<Option<Vec<usize>>, DriveError> {
        let Some(embedder) = &self.embedder else { return Ok(None) };
        let wanted: Vec<String> = std::iter::once(query.to_owned()).chain(texts.iter().cloned()).collect();
        let vectors = embedder.embed(&wanted).await.map_err(failed)?;
        let Some((query, rest)) = vectors.split_first() else { return Ok(None) };
        // Embedders give vectors of length 1.
        let likeness = |vector: &[f32]| -> f32 { vector.iter().zip(query).map(|(a, b)| a * b).sum() };
        let mut order: Vec<(usize, f32)> = rest.iter().map(|vector| likeness(vector)).enumerate().collect();
        order.sort_by(|one, other| other.1.total_cmp(&one.1));
        Ok(Some(order.into_iter().map(|(index, _)| index).collect()))
    }

    /// Stores a lesson with its record as the source, and an event with the `picture` of what came of it. Storing the lesson of the same record again changes nothing, also
    /// after somebody has forgotten the lesson.
    pub(super) async fn keep(
        &mut self,
        lesson: &NewLesson,
        picture: Option<&Media>,
        run: &RunId,
        noted: Noted,
    ) -> Result<(), DriveError> {
        let mut memory = self.provenance(run).memory(lesson, noted);
        if noted.replayed {
            let id = memory.id();
            let known = self.memories.get(&self.tenant, &id).await.map_err(failed)?.is_some();
            if known || self.memories.was_forgotten(&id).await.map_err(failed)? {
                return Ok(());
            }
        }
        memory.attachment = picture.and_then(|picture| attachment(lesson, picture));
        if let Some(attached) = &memory.attachment
            && !self.memories.store().has_blob(&attached.blob).await.map_err(failed)?
        {
            // It was forgotten since.
            memory.attachment = None;
        }
        self.memories.remember(&memory, &[]).await.map_err(failed)?;
        self.embed_soon();
        Ok(())
    }

    /// Applies the edits of a record.
    pub(super) async fn consolidate(
        &mut self,
        edits: &[Edit],
        run: &RunId,
        noted: Noted,
    ) -> Result<(), DriveError> {
        let provenance = self.provenance(run);
        if provenance.consolidate(&self.memories, edits, noted).await.map_err(failed)? {
            self.embed_soon();
        }
        Ok(())
    }

    /// Counts lessons as helpful or harmful.
    pub(super) async fn credit(
        &self,
        ids: &[MemoryId],
        helped: bool,
        run: &RunId,
        noted: Noted,
    ) -> Result<(), DriveError> {
        let provenance = self.provenance(run);
        provenance.credit(&self.memories, ids, helped, noted).await.map_err(failed)?;
        Ok(())
    }

    fn provenance(&self, run: &RunId) -> Provenance {
        Provenance { tenant: self.tenant.clone(), environment: self.environment.clone(), run: run.clone() }
    }
}

fn recalled(hit: Hit) -> Recalled {
    let mut why = format!("score {:.2}: ", hit.score);
    if hit.why.exact {
        why.push_str("the very text, ");
    }
    if let Some(cosine) = hit.why.cosine {
        let _ = write!(why, "cosine {cosine:.2}, ");
    }
    // A word that most memories have scores a little below 0; adding 0 makes `-0.00` of that `0.00`.
    let hundredths = |number: f64| (number * 100.0).round() / 100.0 + 0.0;
    let _ = write!(why, "bm25 {:.2}, ", hundredths(hit.why.bm25));
    if hit.why.neighbours > 0.0 {
        let _ = write!(why, "beside {:.2}, ", hit.why.neighbours);
    }
    let _ = write!(why, "recency {:.2}, importance {:.2}", hit.why.recency, hit.why.importance);
    Recalled {
        id: hit.memory.id,
        text: hit.memory.text,
        kind: hit.memory.kind.as_str().to_owned(),
        why,
        untrusted: hit.memory.untrusted,
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> DriveError {
    DriveError::Memory(Box::new(error))
}
