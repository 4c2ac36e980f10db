//! Turns the effects on memory into changes of the store. A run and a rebuild from its log use the same code.

use super::journal::Noted;
use crate::model::{Edit, LessonKind, NewLesson};
use sojourn_memory::{
    Attachment, Credit, Delta, Error, Memories, MemoryId, MemoryKind, NewMemory, RunId, Source, Tenant,
};
use sojourn_tools::Media;

/// The origin of a run's memories.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The tenant that owns the memories.
    pub tenant: Tenant,
    /// The environment's name.
    pub environment: String,
    /// The run's id.
    pub run: RunId,
}

impl Provenance {
    /// The memory of a `remember` record.
    pub fn memory(&self, lesson: &NewLesson, noted: Noted) -> NewMemory {
        let kind = match lesson.kind {
            LessonKind::Episode => MemoryKind::Episode,
            LessonKind::Reflection => MemoryKind::Reflection,
        };
        NewMemory { untrusted: lesson.untrusted, ..self.made(kind, &lesson.text, lesson.importance, noted) }
    }

    /// Applies the edits of a record, once. Returns whether they were applied now.
    ///
    /// A memory that somebody has removed or pinned stays as it is. So does a contradicted one that was not counted as
    /// harmful more often than as helpful.
    ///
    /// # Errors
    /// When the tables cannot be read or written, or a lesson is too long or blank.
    pub async fn consolidate(
        &self,
        memories: &Memories,
        edits: &[Edit],
        noted: Noted,
    ) -> Result<bool, Error> {
        let mut deltas = Vec::new();
        let mut added: Vec<MemoryId> = Vec::new();
        for edit in edits {
            if let Edit::Add { text, importance, sources, untrusted } = edit {
                let ordinal = u32::try_from(added.len()).unwrap_or(u32::MAX);
                let source = |seq: &_| Source { run: self.run.clone(), seq: *seq };
                let memory = NewMemory {
                    ordinal,
                    sources: sources.iter().map(source).collect(),
                    untrusted: *untrusted,
                    ..self.made(MemoryKind::Reflection, text, *importance, noted)
                };
                added.push(memory.id());
                deltas.push(Delta::Remember { memory: Box::new(memory) });
            }
        }
        for edit in edits {
            let (Edit::Merge { older, added: place } | Edit::Close { older, added: place }) = edit else {
                continue;
            };
            let Some(newer) = added.get(*place) else { continue };
            let Some(known) = memories.get(&self.tenant, older).await? else { continue };
            // A memory that was replaced is not merged or closed again.
            if known.valid_to_ms.is_some() || added.contains(older) {
                continue;
            }
            match edit {
                Edit::Merge { .. } => deltas.push(Delta::Merge { keep: *older, duplicate: *newer }),
                // Small models see contradictions everywhere, so the counters of the lesson must speak against it too.
                _ if known.pinned || known.harmful <= known.helpful => {}
                _ => deltas.push(Delta::Contradict { older: *older, newer: *newer }),
            }
        }
        self.carry_out(memories, deltas, noted).await
    }

    /// Counts memories as helpful or harmful, once. Returns whether they were counted now.
    ///
    /// # Errors
    /// When the tables cannot be read or written.
    pub async fn credit(
        &self,
        memories: &Memories,
        ids: &[MemoryId],
        helped: bool,
        noted: Noted,
    ) -> Result<bool, Error> {
        let credit = if helped { Credit::Helpful } else { Credit::Harmful };
        self.carry_out(memories, ids.iter().map(|&id| Delta::Credit { id, credit }).collect(), noted).await
    }

    fn made(&self, kind: MemoryKind, text: &str, importance: f32, noted: Noted) -> NewMemory {
        NewMemory {
            importance,
            event_time_ms: noted.at_ms,
            environment: Some(self.environment.clone()),
            run: Some(self.run.clone()),
            seq: noted.seq,
            ..NewMemory::new(self.tenant.clone(), kind, text)
        }
    }

    /// Applies `deltas`, without those on memories that no longer exist.
    async fn carry_out(
        &self,
        memories: &Memories,
        mut deltas: Vec<Delta>,
        noted: Noted,
    ) -> Result<bool, Error> {
        loop {
            let source = (&self.run, noted.seq);
            match memories.consolidate(&self.tenant, source, &deltas, noted.at_ms).await {
                Err(Error::NoSuchMemory { id }) => {
                    let all = deltas.len();
                    deltas.retain(|delta| !names(delta, &id));
                    if deltas.len() == all {
                        return Err(Error::NoSuchMemory { id });
                    }
                }
                done => return done,
            }
        }
    }
}

/// The picture of the world as what belongs to the memory of an event. Lessons are about more than what a picture shows.
pub fn attachment(lesson: &NewLesson, picture: &Media) -> Option<Attachment> {
    let is_event = lesson.kind == LessonKind::Episode && picture.is_picture();
    let blob = picture.blob.parse().ok().filter(|_| is_event)?;
    Some(Attachment { blob, media_type: picture.mime.clone() })
}

fn names(delta: &Delta, memory: &MemoryId) -> bool {
    match delta {
        Delta::Remember { .. } => false,
        Delta::Credit { id, .. } => id == memory,
        Delta::Contradict { older, newer } => older == memory || newer == memory,
        Delta::Merge { keep, duplicate } => keep == memory || duplicate == memory,
    }
}
