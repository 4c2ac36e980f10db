use super::kv_cache::{BATCH, failed};
use super::load::LoadedModel;
use super::options::LlamaOptions;
use super::prompt_slots::common_length;
use crate::ControllerError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

/// The only sequence of the draft model's context.
const SEQUENCE: i32 = 0;
/// One answer in this many uses the slower mode, to measure it again.
const PROBE: u32 = 16;
/// Decay factor of the measurements per batch.
const DECAY: f32 = 0.99;
/// Number of tokens that must be measured before a speed is used.
const MIN_TOKENS: f32 = 16.0;

/// A small model that proposes tokens for the large one (speculative decoding, after Leviathan, Kalman and
/// Matias, "Fast inference from transformers via speculative decoding", 2023).
///
/// The draft model proposes its most likely tokens. The large model evaluates the proposal in one batch and
/// accepts it up to the first token that it would not have chosen. As with [`super::prompt_lookup`], answers
/// come sooner and their distribution does not change.
///
/// Whether drafting is faster depends on both models and on the machine. Answers that are decoded alone are
/// therefore measured, and use the faster mode.
pub(super) struct DraftModel<'model> {
    loaded: &'model LoadedModel,
    context: LlamaContext<'model>,
    batch: LlamaBatch<'static>,
    /// The tokens in the draft model's context.
    read: Vec<LlamaToken>,
    speeds: Speeds,
}

impl<'model> DraftModel<'model> {
    pub(super) fn new(loaded: &'model LoadedModel, options: &LlamaOptions) -> Result<Self, ControllerError> {
        Ok(Self {
            loaded,
            context: context(loaded, options)?,
            batch: LlamaBatch::new(BATCH, 1),
            read: Vec::new(),
            speeds: Speeds::default(),
        })
    }

    /// Creates a new context with other numbers of threads.
    pub(super) fn renew(&mut self, options: &LlamaOptions) -> Result<(), ControllerError> {
        self.context = context(self.loaded, options)?;
        self.read.clear();
        Ok(())
    }

    pub(super) fn speeds(&mut self) -> &mut Speeds {
        &mut self.speeds
    }

    /// Proposes at most `most` tokens to follow `text`. The proposal is empty while more than one batch of
    /// `text` is unread, and if `text` does not fit the context.
    pub(super) fn propose(
        &mut self,
        text: &[LlamaToken],
        most: usize,
    ) -> Result<Vec<LlamaToken>, ControllerError> {
        let mut proposal = Vec::new();
        if text.is_empty() || text.len() + most > self.context.n_ctx() as usize {
            return Ok(proposal);
        }
        // The last token is always evaluated, for its logits.
        let known = common_length(&self.read, text).min(text.len() - 1);
        if known < self.read.len() {
            self.context.kv_cache_seq_rm(SEQUENCE, Some(known as u32), None).map_err(failed)?;
            self.read.truncate(known);
        }
        let upto = text.len().min(known + BATCH);
        self.read(&text[known..upto])?;
        if upto < text.len() {
            return Ok(proposal);
        }
        while let Some(token) = self.most_likely() {
            if self.loaded.model.vocab().is_eog(token) {
                break;
            }
            proposal.push(token);
            if proposal.len() >= most {
                break;
            }
            self.read(&[token])?;
        }
        Ok(proposal)
    }

    fn read(&mut self, tokens: &[LlamaToken]) -> Result<(), ControllerError> {
        self.batch.clear();
        for (at, &token) in tokens.iter().enumerate() {
            let position = (self.read.len() + at) as i32;
            self.batch.add(token, position, &[SEQUENCE], at + 1 == tokens.len()).map_err(failed)?;
        }
        self.context.decode(&mut self.batch).map_err(failed)?;
        self.read.extend_from_slice(tokens);
        Ok(())
    }

    /// The most likely next token.
    fn most_likely(&self) -> Option<LlamaToken> {
        let logits = self.context.get_logits_ith(self.batch.n_tokens() - 1);
        let most_likely = (0..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1));
        most_likely.map(|(token, _)| LlamaToken(token))
    }
}

/// Tokens per second of answers that are decoded alone, with and without the draft model.
#[derive(Debug, Default)]
pub(super) struct Speeds {
    with: Speed,
    without: Speed,
    answers: u32,
}

#[derive(Debug, Default)]
struct Speed {
    tokens: f32,
    seconds: f32,
}

impl Speeds {
    /// Whether the next answer uses the draft model.
    pub(super) fn choose(&mut self) -> bool {
        self.answers += 1;
        match (self.with.per_second(), self.without.per_second()) {
            (None, _) => true,
            (_, None) => false,
            (Some(with), Some(without)) => (with > without) != self.answers.is_multiple_of(PROBE),
        }
    }

    /// Records a batch: how many tokens it added to the answer, and its time including drafting.
    pub(super) fn note(&mut self, drafted: bool, tokens: usize, took: Duration) {
        let speed = if drafted { &mut self.with } else { &mut self.without };
        speed.tokens = speed.tokens * DECAY + tokens as f32;
        speed.seconds = speed.seconds * DECAY + took.as_secs_f32();
    }
}

impl Speed {
    fn per_second(&self) -> Option<f32> {
        (self.tokens >= MIN_TOKENS).then(|| self.tokens / self.seconds.max(f32::MIN_POSITIVE))
    }
}

/// Loads a draft model for `large`.
///
/// # Errors
/// [`ControllerError::Unloadable`] if the file cannot be loaded, the model is recurrent, or its vocabulary
/// differs.
pub(super) fn load(path: &Path, large: &LoadedModel) -> Result<LoadedModel, ControllerError> {
    let small = LoadedModel::open(path)?;
    let cannot = |reason: &str| ControllerError::Unloadable {
        path: path.to_path_buf(),
        reason: format!("it cannot be the draft model of `{}`: {reason}", large.info.name),
    };
    if small.model.is_recurrent() || small.model.is_hybrid() {
        return Err(cannot("recurrent models cannot discard rejected tokens"));
    }
    // Vocabularies of one family differ only in padding at the end.
    if small.model.tokens(false).zip(large.model.tokens(false)).any(|(small, large)| small != large) {
        return Err(cannot("its vocabulary differs; choose a smaller model of the same family"));
    }
    Ok(small)
}

/// Creates the context of a draft model, which holds one sequence.
fn context<'model>(
    loaded: &'model LoadedModel,
    options: &LlamaOptions,
) -> Result<LlamaContext<'model>, ControllerError> {
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(options.context_tokens))
        .with_n_batch(BATCH as u32)
        .with_n_ubatch(BATCH as u32)
        .with_n_threads(options.threads.unwrap_or(1) as i32)
        .with_n_threads_batch(options.prefill_threads.unwrap_or(1) as i32);
    let no_memory = |_| ControllerError::NoMemory { context_tokens: options.context_tokens };
    loaded.model.new_context(loaded.backend, params).map_err(no_memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faster_mode_is_used_and_the_slower_one_probed() {
        for with_is_faster in [true, false] {
            let mut speeds = Speeds::default();
            let (mut with, mut without) = (0, 0);
            for _ in 0..320 {
                let drafted = speeds.choose();
                *(if drafted { &mut with } else { &mut without }) += 1;
                for _ in 0..20 {
                    let took = if drafted == with_is_faster { 50 } else { 70 };
                    speeds.note(drafted, 1, Duration::from_millis(took));
                }
            }
            let slower = if with_is_faster { without } else { with };
            assert!((15..=25).contains(&slower), "{with} with and {without} without");
        }
    }

    #[test]
    fn speed_changes_are_detected() {
        let mut speeds = Speeds::default();
        let mut write = |answers: u32, with: u64| {
            (0..answers)
                .filter(|_| {
                    let drafted = speeds.choose();
                    for _ in 0..40 {
                        speeds.note(drafted, 1, Duration::from_millis(if drafted { with } else { 70 }));
                    }
                    drafted
                })
                .count()
        };
        assert!(write(100, 100) < 15);
        assert!(write(400, 40) > 200);
    }
}
