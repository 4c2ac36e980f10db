//! Handlers of the effects on memory.

use super::journal::Noted;
use super::{DriveError, Driver, Step};
use crate::model::{Edit, Event, NewLesson, RecordKind};
use sojourn_memory::MemoryId;

impl Driver {
    pub(super) async fn recall(
        &self,
        query: &str,
        limit: usize,
        lessons: bool,
        tools: Option<usize>,
    ) -> Result<Step, DriveError> {
        if let Some(step) = self.recorded(&[RecordKind::Recalled]).await? {
            return Ok(step);
        }
        let memories = match &self.memory {
            Some(memory) if limit > 0 => memory.recall(query, limit, lessons).await?,
            _ => Vec::new(),
        };
        let tools = match tools {
            Some(most) => self.fitting_tools(query, most).await?,
            None => Vec::new(),
        };
        self.derived(Event::Recalled { memories, tools }).await
    }

    pub(super) async fn remember(&mut self, lesson: &NewLesson, noted: Noted) -> Result<(), DriveError> {
        if noted.foreign {
            return Ok(());
        }
        // The intent is durable before memory has it, here and below.
        if self.memory.is_some() {
            self.commit().await?;
        }
        match &mut self.memory {
            Some(memory) => memory.keep(lesson, self.frames.outcome().as_ref(), &self.run, noted).await,
            None => Ok(()),
        }
    }

    pub(super) async fn consolidate(&mut self, edits: &[Edit], noted: Noted) -> Result<(), DriveError> {
        if noted.foreign {
            return Ok(());
        }
        if self.memory.is_some() {
            self.commit().await?;
        }
        match &mut self.memory {
            Some(memory) => memory.consolidate(edits, &self.run, noted).await,
            None => Ok(()),
        }
    }

    pub(super) async fn credit_memories(
        &mut self,
        ids: &[MemoryId],
        helped: bool,
        noted: Noted,
    ) -> Result<(), DriveError> {
        let Some(memory) = self.memory.as_ref().filter(|_| !noted.foreign) else { return Ok(()) };
        self.commit().await?;
        memory.credit(ids, helped, &self.run, noted).await
    }
}
