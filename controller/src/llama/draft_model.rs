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

/// The only sequence of a draft model's memory.
const SEQUENCE: i32 = 0;
/// One answer in so many is written the slower way, to see whether it still is.
const PROBE: u32 = 16;
/// How much of what was measured is still believed after another batch.
const MEMORY: f32 = 0.99;
/// So many tokens have to be measured before they are believed at all.
const ENOUGH: f32 = 16.0;

/// A small model that says what the large one may say next (speculative decoding, after Leviathan, Kalman and Matias,
/// "Fast inference from transformers via speculative decoding", 2023; what it says is always its likeliest token). The large
/// model reads the guess with the token before it, and it is kept up to where the large one would have said something else:
/// as with [`super::prompt_lookup`] an answer comes sooner, and its odds do not change.
///
/// Whether that is faster depends on both models and on the machine, so it is measured all the while: answers that are
/// written alone are written the faster way.
pub(super) struct DraftModel<'model> {
    loaded: &'model LoadedModel,
    context: LlamaContext<'model>,
    batch: LlamaBatch<'static>,
    /// What it has read.
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

    /// Goes on with other numbers of threads.
    pub(super) fn renew(&mut self, options: &LlamaOptions) -> Result<(), ControllerError> {
        self.context = context(self.loaded, options)?;
        self.read.clear();
        Ok(())
    }

    /// How fast answers are with it and without.
    pub(super) fn speeds(&mut self) -> &mut Speeds {
        &mut self.speeds
    }

    /// At most `most` tokens that may come after `text`; none while there is too much of it to be read at once, and
    /// none where it does not fit.
    pub(super) fn after(
        &mut self,
        text: &[LlamaToken],
        most: usize,
    ) -> Result<Vec<LlamaToken>, ControllerError> {
        let mut guess = Vec::new();
        if text.is_empty() || text.len() + most > self.context.n_ctx() as usize {
            return Ok(guess);
        }
        // The last token is always read, for its logits.
        let known = common_length(&self.read, text).min(text.len() - 1);
        if known < self.read.len() {
            self.context.kv_cache_seq_rm(SEQUENCE, Some(known as u32), None).map_err(failed)?;
            self.read.truncate(known);
        }
        let upto = text.len().min(known + BATCH);
        self.read(&text[known..upto])?;
        if upto < text.len() {
            return Ok(guess);
        }
        while let Some(token) = self.likeliest() {
            if self.loaded.model.vocab().is_eog(token) {
                break;
            }
            guess.push(token);
            if guess.len() >= most {
                break;
            }
            self.read(&[token])?;
        }
        Ok(guess)
    }

    /// Reads so many tokens more.
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

    /// What it would say now.
    fn likeliest(&self) -> Option<LlamaToken> {
        let logits = self.context.get_logits_ith(self.batch.n_tokens() - 1);
        let likeliest = (0..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1));
        likeliest.map(|(token, _)| LlamaToken(token))
    }
}

/// How many tokens a second answers get that are written alone, with a draft and without.
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
    /// Whether the next answer is to be written with a draft.
    pub(super) fn choose(&mut self) -> bool {
        self.answers += 1;
        match (self.with.per_second(), self.without.per_second()) {
            (None, _) => true,
            (_, None) => false,
            (Some(with), Some(without)) => (with > without) != self.answers.is_multiple_of(PROBE),
        }
    }

    /// Takes note of the tokens that a batch brought, and of how long it took, its draft included.
    pub(super) fn note(&mut self, drafted: bool, tokens: usize, took: Duration) {
        let speed = if drafted { &mut self.with } else { &mut self.without };
        speed.tokens = speed.tokens * MEMORY + tokens as f32;
        speed.seconds = speed.seconds * MEMORY + took.as_secs_f32();
    }
}

impl Speed {
    fn per_second(&self) -> Option<f32> {
        (self.tokens >= ENOUGH).then(|| self.tokens / self.seconds.max(f32::MIN_POSITIVE))
    }
}

/// The model in the file at `path`, if it can draft for `large`: both have to mean the same by a token.
///
/// # Errors
/// When it cannot be loaded, or speaks in other tokens.
pub(super) fn load(path: &Path, large: &LoadedModel) -> Result<LoadedModel, ControllerError> {
    let small = LoadedModel::open(path)?;
    let cannot = |reason: &str| ControllerError::Unloadable {
        path: path.to_path_buf(),
        reason: format!("it cannot draft for `{}`: {reason}", large.info.name),
    };
    if small.model.is_recurrent() || small.model.is_hybrid() {
        return Err(cannot("it is a recurrent model, which cannot take a guess back"));
    }
    // What lies beyond the smaller of two vocabularies only fills them up.
    if small.model.tokens(false).zip(large.model.tokens(false)).any(|(small, large)| small != large) {
        return Err(cannot("its vocabulary is another one; take a smaller model of the same family"));
    }
    Ok(small)
}

/// The memory of a draft model, which holds one text at a time.
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
    fn the_faster_way_is_taken_and_the_other_one_looked_at_now_and_then() {
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
    fn a_machine_that_changes_is_noticed() {
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
