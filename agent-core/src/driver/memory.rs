//! Memory as a run uses it: what the loop keeps is embedded and stored, and looked up again by meaning and words.

use super::DriveError;
use super::journal::{Noted, now_ms};
use crate::event::{LessonKind, NewLesson, Recalled};
use sojourn_controller::Embedder;
use sojourn_memory::{Embedding, Hit, Memories, MemoryKind, NewMemory, Query, RunId, Tenant};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// What recalled memories may take of a prompt, in tokens.
const TOKEN_BUDGET: usize = 160;

/// One agent's memory.
pub struct Recollection {
    memories: Memories,
    tenant: Tenant,
    environment: String,
    /// Without one, memories are found by their words alone.
    embedder: Option<Arc<dyn Embedder>>,
    /// What is answered before anything is looked up.
    answers: Mutex<VecDeque<Vec<Recalled>>>,
}

impl Recollection {
    /// The memory of `tenant`'s agent in `environment`.
    pub fn new(
        memories: Memories,
        tenant: Tenant,
        environment: String,
        embedder: Option<Arc<dyn Embedder>>,
    ) -> Self {
        Self { memories, tenant, environment, embedder, answers: Mutex::default() }
    }

    /// Answers from another log first: what was recalled there, in order.
    #[must_use]
    pub fn answering(mut self, answers: impl IntoIterator<Item = Vec<Recalled>>) -> Self {
        self.answers = Mutex::new(answers.into_iter().collect());
        self
    }

    /// What answers `query` best.
    pub(super) async fn recall(&self, query: &str, limit: usize) -> Result<Vec<Recalled>, DriveError> {
        if let Some(answer) = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            return Ok(answer);
        }
        let vector = self.embed(query).await?;
        let query = Query {
            vectors: vector
                .iter()
                .map(|embedding| (embedding.model.as_str(), embedding.vector.as_slice()))
                .collect(),
            environment: Some(&self.environment),
            k: limit,
            token_budget: TOKEN_BUDGET,
            now_ms: now_ms(),
            kinds: &[MemoryKind::Reflection, MemoryKind::Episode, MemoryKind::Knowledge],
            ..Query::new(&self.tenant, query)
        };
        let hits = self.memories.recall(&query).await.map_err(failed)?;
        Ok(hits.into_iter().map(recalled).collect())
    }

    /// Keeps a lesson, with the record it was made of as its source. Keeping the same record's again changes nothing.
    pub(super) async fn keep(&self, lesson: &NewLesson, run: &str, noted: Noted) -> Result<(), DriveError> {
        let kind = match lesson.kind {
            LessonKind::Episode => MemoryKind::Episode,
            LessonKind::Reflection => MemoryKind::Reflection,
        };
        let run: RunId = run.parse().map_err(failed)?;
        let memory = NewMemory {
            importance: lesson.importance,
            event_time_ms: noted.at_ms,
            environment: Some(self.environment.clone()),
            run: Some(run),
            seq: noted.seq,
            ..NewMemory::new(self.tenant.clone(), kind, lesson.text.clone())
        };
        if noted.replayed && self.memories.show(&self.tenant, &memory.id()).await.map_err(failed)?.is_some() {
            return Ok(());
        }
        let vectors: Vec<Embedding> = self.embed(&lesson.text).await?.into_iter().collect();
        self.memories.remember(&memory, &vectors).await.map_err(failed)?;
        Ok(())
    }

    async fn embed(&self, text: &str) -> Result<Option<Embedding>, DriveError> {
        let Some(embedder) = &self.embedder else { return Ok(None) };
        let vectors = embedder.embed(&[text.to_owned()]).await.map_err(failed)?;
        let model = embedder.model().name.clone();
        Ok(vectors.into_iter().next().map(|vector| Embedding { model, vector }))
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
    let _ = write!(
        why,
        "bm25 {:.2}, recency {:.2}, importance {:.2}",
        hit.why.bm25, hit.why.recency, hit.why.importance
    );
    Recalled {
        id: hit.memory.id.to_string(),
        text: hit.memory.text,
        kind: hit.memory.kind.as_str().to_owned(),
        why,
    }
}

fn failed(error: impl std::fmt::Display) -> DriveError {
    DriveError::Memory(error.to_string())
}
