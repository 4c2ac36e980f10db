use super::load::LoadedModel;
use crate::ControllerError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Number of repetitions; the fastest counts.
const REPEATED: usize = 3;
/// Batch sizes for measuring the decoding of several answers, and prefill.
const TOGETHER: usize = 4;
const READ: usize = 32;

/// Numbers of threads for the two kinds of work that llama.cpp distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Threads {
    /// For batches of one token.
    pub single: u32,
    /// For larger batches: prefill, and several answers.
    pub several: u32,
}

/// Number of threads that the machine runs at once.
pub(super) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// Measures whether all cores, half of them or one thread is fastest at present.
///
/// Threads synchronise after every operation, hundreds of times per token. If another process occupies a
/// core, all threads wait for the one that lacks it, and a single thread can be many times faster.
pub(super) fn fastest(loaded: &LoadedModel) -> Result<Threads, ControllerError> {
    let cores = cores();
    let mut choices = vec![cores, cores.div_ceil(2), 1];
    choices.dedup();
    let mut single = (Duration::MAX, cores);
    let mut several = (Duration::MAX, cores);
    if choices.len() > 1 {
        for threads in choices {
            let (one, more) = measure(loaded, threads)?;
            tracing::debug!(threads, ?one, ?more, "measured");
            single = single.min((one, threads));
            several = several.min((more, threads));
        }
    }
    Ok(Threads { single: single.1, several: several.1 })
}

/// Times for a single token, and for a weighted mix of prefill and decoding several answers.
fn measure(loaded: &LoadedModel, threads: u32) -> Result<(Duration, Duration), ControllerError> {
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(256))
        .with_n_batch(READ as u32)
        .with_n_threads(threads as i32)
        .with_n_threads_batch(threads as i32);
    let mut context = loaded.model.new_context(loaded.backend, params).map_err(failed)?;
    // The first run loads the weights into memory.
    time(&mut context, 1, 1)?;
    let single = time(&mut context, 1, REPEATED)?;
    let together = time(&mut context, TOGETHER, REPEATED)?;
    let read = time(&mut context, READ, 1)?;
    // Weighted like a prompt of a few hundred tokens and an answer of some dozens.
    Ok((single, together * 8 + read * 2))
}

/// Shortest time to evaluate a batch of `tokens` tokens.
fn time(context: &mut LlamaContext, tokens: usize, repeated: usize) -> Result<Duration, ControllerError> {
    let mut batch = LlamaBatch::new(tokens, 1);
    let mut shortest = Duration::MAX;
    for _ in 0..repeated {
        context.clear_kv_cache();
        batch.clear();
        for position in 0..tokens as i32 {
            batch.add(LlamaToken(position), position, &[0], true).map_err(failed)?;
        }
        let start = Instant::now();
        context.decode(&mut batch).map_err(failed)?;
        context.synchronize();
        shortest = shortest.min(start.elapsed());
    }
    Ok(shortest)
}

fn failed(error: impl std::fmt::Display) -> ControllerError {
    ControllerError::Failed { reason: format!("cannot measure its speed: {error}") }
}
