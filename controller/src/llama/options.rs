use super::load::LoadedModel;
use super::threads;
use crate::{ControllerError, Lora};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Options for running a model in process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LlamaOptions {
    /// Size of the context in tokens. A prompt and its answers must fit; the rest caches earlier prompts. It
    /// is lowered to the model's trained context length.
    pub context_tokens: u32,
    /// Number of threads for decoding one answer. `None`: measured when the model is loaded.
    pub threads: Option<u32>,
    /// Number of threads for prefill and for decoding several answers. `None`: measured when the model is
    /// loaded.
    pub prefill_threads: Option<u32>,
    /// Largest number of answers decoded at once, over all requests.
    pub max_candidates: u32,
    /// Whether to propose tokens by prompt lookup (speculative decoding).
    pub speculate: bool,
    /// GGUF file of a smaller model with the same vocabulary. It proposes tokens where prompt lookup finds
    /// none, as long as that is faster.
    pub draft_model: Option<PathBuf>,
    /// Number of layers to offload to the GPU, in builds with GPU support. `None`: all.
    pub gpu_layers: Option<u32>,
    /// A LoRA adapter to apply to the model.
    pub lora: Option<Lora>,
    /// GGUF file of the model's projector (`mmproj`): with it, the model sees. `None`: it does not.
    pub mmproj: Option<PathBuf>,
    /// Longest side of the pictures that the model is shown, in pixels. Larger ones are scaled down.
    pub picture_side: u32,
    /// Memory budget for offloaded prompts, in MiB.
    pub host_cache_mib: u32,
    /// Directory of the prefix cache. `None`: prefixes are not saved to disk.
    pub prefix_cache: Option<PathBuf>,
}

impl Default for LlamaOptions {
    fn default() -> Self {
        Self {
            context_tokens: 8192,
            threads: None,
            prefill_threads: None,
            max_candidates: 8,
            speculate: true,
            draft_model: None,
            gpu_layers: None,
            lora: None,
            mmproj: None,
            picture_side: 1024,
            host_cache_mib: 1024,
            prefix_cache: None,
        }
    }
}

/// Smallest accepted context, in tokens.
const LEAST_CONTEXT: u32 = 64;
/// llama.cpp supports a limited number of sequences, some of which hold prompts.
const MOST_CANDIDATES: u32 = 64;

impl LlamaOptions {
    /// Checks the options for a model that was trained with a context of this many tokens. Returns the size of its context.
    pub(super) fn check(&self, trained_tokens: u32) -> Result<u32, ControllerError> {
        let bad = |reason: String| Err(ControllerError::BadRequest { reason });
        if self.max_candidates == 0 || self.max_candidates > MOST_CANDIDATES {
            return bad(format!(
                "`max_candidates` is {}; choose 1 to {MOST_CANDIDATES}",
                self.max_candidates
            ));
        }
        let context_tokens = self.context_tokens.min(trained_tokens);
        if context_tokens < LEAST_CONTEXT {
            return bad(format!("`context_tokens` is {context_tokens}; choose at least {LEAST_CONTEXT}"));
        }
        Ok(context_tokens)
    }

    /// Checks the options and fills in missing numbers. The flag says whether the numbers of threads were
    /// measured.
    pub(super) fn settle(mut self, loaded: &LoadedModel) -> Result<(Self, bool), ControllerError> {
        self.context_tokens = self.check(loaded.model.n_ctx_train())?;
        let tuned = self.threads.is_none() && self.prefill_threads.is_none();
        if self.threads.is_none() || self.prefill_threads.is_none() {
            let fastest = threads::fastest(loaded)?;
            self.threads.get_or_insert(fastest.single);
            self.prefill_threads.get_or_insert(fastest.several);
        }
        self.threads = self.threads.map(|threads| threads.max(1));
        self.prefill_threads = self.prefill_threads.map(|threads| threads.max(1));
        Ok((self, tuned))
    }
}
