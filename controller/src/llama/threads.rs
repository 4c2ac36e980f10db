use super::load::Loaded;
use crate::ControllerError;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Tokens written to measure one number of threads, after one to warm up.
const MEASURED: i32 = 4;

/// How many threads this machine runs at once.
pub(super) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// How many threads write fastest now, of all cores, half of them and one.
///
/// Threads meet at a barrier after every operation, and a token has hundreds. Where another process
/// holds one of the cores, all threads wait for the one that lacks it, and fewer threads are faster.
pub(super) fn fastest(loaded: &Loaded, cores: u32) -> Result<u32, ControllerError> {
    let mut choices = vec![cores, cores.div_ceil(2), 1];
    choices.dedup();
    if choices.len() == 1 {
        return Ok(cores);
    }
    let mut best = (Duration::MAX, cores);
    for threads in choices {
        let time = time_a_token(loaded, threads)?;
        tracing::debug!(threads, ?time, "time to write a token");
        best = best.min((time, threads));
    }
    Ok(best.1)
}

/// The shortest time in which `threads` write a token.
fn time_a_token(loaded: &Loaded, threads: u32) -> Result<Duration, ControllerError> {
    let failed = |reason: String| ControllerError::Failed { reason };
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(64))
        .with_n_batch(64)
        .with_n_threads(threads as i32)
        .with_n_threads_batch(threads as i32);
    let mut context = loaded
        .model
        .new_context(loaded.backend, params)
        .map_err(|_| failed("llama.cpp cannot make a context".into()))?;
    let mut batch = LlamaBatch::new(1, 1);
    let mut shortest = Duration::MAX;
    for position in 0..=MEASURED {
        batch.clear();
        batch.add(LlamaToken(0), position, &[0], true).map_err(|error| failed(error.to_string()))?;
        let start = Instant::now();
        context.decode(&mut batch).map_err(|error| failed(error.to_string()))?;
        context.synchronize();
        if position > 0 {
            shortest = shortest.min(start.elapsed());
        }
    }
    Ok(shortest)
}
