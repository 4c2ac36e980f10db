//! Choosing the numbers of threads again while the engine runs.

use super::Engine;
use crate::llama::options::LlamaOptions;
use crate::llama::threads::{self, Threads};
use std::time::Instant;

impl Engine<'_> {
    /// Measures the numbers of threads again when due. The model must be idle.
    pub(super) fn tune_if_due(&mut self) {
        let Some(slowdown) = &self.slowdown else { return };
        if !self.running.is_empty() || !(self.tune || slowdown.is_stale(Instant::now())) {
            return;
        }
        self.tune = false;
        match threads::fastest(self.loaded) {
            Ok(fastest) => self.use_threads(fastest),
            Err(error) => tracing::warn!(%error, "cannot measure the numbers of threads"),
        }
        let slow = self.options.threads != Some(threads::cores());
        if let Some(slowdown) = &mut self.slowdown {
            slowdown.restart(Instant::now(), slow);
        }
    }

    /// Creates new contexts with other numbers of threads.
    fn use_threads(&mut self, fastest: Threads) {
        let Threads { single, several } = fastest;
        if (self.options.threads, self.options.prefill_threads) == (Some(single), Some(several)) {
            return;
        }
        let options =
            LlamaOptions { threads: Some(single), prefill_threads: Some(several), ..self.options.clone() };
        let drafting = self.draft.as_mut().map(|draft| draft.renew(&options)).transpose();
        match drafting.and_then(|_| self.memory.renew(&options)) {
            Ok(()) => {
                tracing::info!(single, several, "changed the numbers of threads");
                self.options = options;
            }
            Err(error) => tracing::warn!(%error, "cannot change the numbers of threads"),
        }
    }
}
