use super::load::LoadedModel;
use crate::ControllerError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Repetitions of which the fastest counts.
const REPEATED: usize = 3;
/// Answers written together, and the tokens of a prompt read together, that a number of threads is judged by.
const TOGETHER: usize = 4;
const READ: usize = 32;

/// Numbers of threads for the two kinds of work that llama.cpp tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Threads {
    /// For a single token.
    pub single: u32,
    /// For several tokens: prompts, and answers written together.
    pub several: u32,
}

/// How many threads this machine runs at once.
pub(super) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// How many threads are fastest now, of all cores, half of them and one.
///
/// Threads meet at a barrier after every operation, and a token has hundreds. Where another process holds one of the
/// cores, all threads wait for the one that lacks it, and a single thread can be many times faster.
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

/// The times that `threads` need for a single token, and for a short prompt and some tokens of several answers.
fn measure(loaded: &LoadedModel, threads: u32) -> Result<(Duration, Duration), ControllerError> {
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(256))
        .with_n_batch(READ as u32)
        .with_n_threads(threads as i32)
        .with_n_threads_batch(threads as i32);
    let mut context = loaded.model.new_context(loaded.backend, params).map_err(failed)?;
    // The first time pays for what is not yet in memory.
    time(&mut context, 1, 1)?;
    let single = time(&mut context, 1, REPEATED)?;
    let together = time(&mut context, TOGETHER, REPEATED)?;
    let read = time(&mut context, READ, 1)?;
    // As much as a few hundred tokens of prompt weigh against some dozens of tokens written.
    Ok((single, together * 8 + read * 2))
}

/// The shortest time, of some repetitions, in which the model reads this many tokens.
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
    ControllerError::Failed { reason: format!("measuring its speed: {error}") }
}
