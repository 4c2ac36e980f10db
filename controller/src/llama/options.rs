use super::load::LoadedModel;
use super::threads;
use crate::{ControllerError, Lora};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a model is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LlamaOptions {
    /// How many tokens are held at once: a prompt and its answers have to fit, and what is left keeps earlier prompts.
    /// It is lowered to what the model was trained for.
    pub context_tokens: u32,
    /// Threads that write a single answer. Without a number the fastest is measured when the model is loaded.
    pub threads: Option<u32>,
    /// Threads that read prompts and write several answers together. Without a number the fastest is measured too.
    pub prefill_threads: Option<u32>,
    /// How many answers can be written at the same time, by one request or by several.
    pub max_candidates: u32,
    /// Whether what an answer says next is guessed by what its prompt says, and checked by the model (speculative decoding
    /// by prompt lookup).
    pub speculate: bool,
    /// A smaller model with the same vocabulary, which guesses where the prompt does not help. It is used while answers come
    /// sooner for it.
    pub draft_model: Option<PathBuf>,
    /// How many layers are put on a graphics processor, where the program was built for one; all without a number.
    pub gpu_layers: Option<u32>,
    /// A low-rank adapter that is added to the model's weights.
    pub lora: Option<Lora>,
    /// How much ordinary memory may hold prompts that are not at work now, in MiB.
    pub host_cache_mib: u32,
    /// Where beginnings of prompts are kept between processes, with what the model made of them; nowhere without it.
    pub prefix_dir: Option<PathBuf>,
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
            host_cache_mib: 1024,
            prefix_dir: None,
        }
    }
}

/// Least context that is any use.
const LEAST_CONTEXT: u32 = 64;
/// More sequences than this llama.cpp does not tell apart; some are kept for prompts.
const MOST_CANDIDATES: u32 = 64;

impl LlamaOptions {
    /// The options with every number filled in and checked, and whether the numbers of threads were measured.
    pub(super) fn settle(mut self, loaded: &LoadedModel) -> Result<(Self, bool), ControllerError> {
        if self.max_candidates == 0 || self.max_candidates > MOST_CANDIDATES {
            let reason =
                format!("`max_candidates` is {}; choose 1 to {MOST_CANDIDATES}", self.max_candidates);
            return Err(ControllerError::BadRequest { reason });
        }
        self.context_tokens = self.context_tokens.min(loaded.model.n_ctx_train());
        if self.context_tokens < LEAST_CONTEXT {
            let reason = format!(
                "a context of {} tokens is too small; choose at least {LEAST_CONTEXT}",
                self.context_tokens
            );
            return Err(ControllerError::BadRequest { reason });
        }
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
