//! Bounds memories, tables and instances of one store.

use crate::Limits;
use crate::budget::Budget;
use crate::limits::{MAX_MEMORY_BYTES, MAX_TABLE_ELEMENTS};
use std::sync::Arc;
use wasmtime::{ResourceLimiter, Result};

/// Limits of a store with one engine or prebuilt instance. Memory also counts against the call's [`Budget`].
pub(crate) struct MemoryLimits {
    memory: usize,
    /// Bytes taken from the budget, returned on drop.
    taken: u64,
    budget: Arc<Budget>,
    /// Whether the budget refused memory.
    pub(crate) exhausted: bool,
}

impl MemoryLimits {
    pub(crate) fn new(limits: &Limits, budget: Arc<Budget>) -> Self {
        let memory = limits.memory_bytes.min(MAX_MEMORY_BYTES) as usize;
        Self { memory, taken: 0, budget, exhausted: false }
    }
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if desired > self.memory || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current) as u64;
        if !self.budget.take_memory(more) {
            self.exhausted = true;
            return Ok(false);
        }
        self.taken += more;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS && maximum.is_none_or(|maximum| desired <= maximum))
    }

    /// The engine and the skill's module.
    fn instances(&self) -> usize {
        2
    }

    fn tables(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }
}

impl Drop for MemoryLimits {
    fn drop(&mut self) {
        self.budget.return_memory(self.taken);
    }
}
