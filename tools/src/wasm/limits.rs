//! Bounds the memory of one call of a component, over all its memories and tables.

use wasmtime::{ResourceLimiter, Result, format_err};

/// Limit on instances, tables and memories of one call, each; a component consists of several modules.
const MAX_PARTS: usize = 64;
/// Bytes that one element of a table occupies in the host, at most.
const ELEMENT_BYTES: usize = 16;

/// What one call of a component may still use.
pub(super) struct ComponentLimits {
    /// Bytes of memories and tables left.
    left: usize,
    memory_mib: usize,
}

impl ComponentLimits {
    /// At most `memory_mib` MiB, counted over all memories and tables of all instances.
    pub(super) fn new(memory_mib: usize) -> Self {
        Self { left: memory_mib.saturating_mul(1 << 20), memory_mib }
    }

    /// Takes `bytes`. An error ends the call.
    fn take(&mut self, bytes: usize) -> Result<bool> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| {
            format_err!(
                "the component needs more memory than `memory_mib = {}` in all its memories and tables",
                self.memory_mib
            )
        })?;
        Ok(true)
    }
}

impl ResourceLimiter for ComponentLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.take(desired.saturating_sub(current))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.take(desired.saturating_sub(current).saturating_mul(ELEMENT_BYTES))
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_memories_have_one_limit() {
        let mut limits = ComponentLimits::new(64);
        for memory in 0..40 {
            let grown = limits.memory_growing(0, 56 << 20, None);
            assert_eq!(grown.is_ok(), memory == 0, "{memory}");
        }
        assert!(limits.memory_growing(0, 8 << 20, None).unwrap());
        assert!(limits.table_growing(0, 1, None).is_err(), "tables count too");
    }

    #[test]
    fn huge_tables_count_as_memory() {
        let mut limits = ComponentLimits::new(64);
        assert!(limits.table_growing(0, 4 << 20, None).unwrap());
        assert!(limits.table_growing(0, 1, None).is_err());
        assert!(limits.table_growing(0, usize::MAX, None).is_err());
        assert!(!limits.table_growing(0, 10, Some(9)).unwrap());
    }
}
