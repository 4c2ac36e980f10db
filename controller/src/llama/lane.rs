use super::grammar::{failed, token};
use super::sampler::Sampler;
use crate::{Completion, ControllerError, Finish};
use llama_cpp_2::token::LlamaToken;
use llguidance::Matcher;
use llguidance::toktrie::TokTrie;

/// One answer being written.
pub(super) struct Lane {
    /// The llama.cpp sequence that holds it.
    pub sequence: i32,
    /// Where its next token goes in that sequence.
    pub position: i32,
    /// Tokens chosen but not yet read by the model; they end where the next choice is to be made.
    pub pending: Vec<LlamaToken>,
    /// Why it ended, once it has.
    pub finish: Option<Finish>,
    matcher: Matcher,
    sampler: Sampler,
    /// What was written.
    bytes: Vec<u8>,
    /// How much was written, in tokens.
    tokens: u32,
    max_tokens: u32,
    stop: Vec<String>,
}

impl Lane {
    /// An answer in `sequence`, which holds the prompt up to `position`.
    pub(super) fn new(
        sequence: i32,
        position: usize,
        matcher: Matcher,
        sampler: Sampler,
        max_tokens: u32,
        stop: Vec<String>,
    ) -> Self {
        Self {
            sequence,
            position: position as i32,
            pending: Vec::new(),
            finish: None,
            matcher,
            sampler,
            bytes: Vec::new(),
            tokens: 0,
            max_tokens,
            stop,
        }
    }

    /// Takes note of the tokens that the model has read with the prompt.
    pub(super) fn begin(&mut self, forced: &[LlamaToken], vocabulary: &TokTrie) {
        for &token in forced {
            self.write(token, vocabulary);
        }
        self.pending.clear();
        if self.matcher.is_stopped() && !matches!(self.finish, Some(Finish::Stopped(_))) {
            self.finish = Some(Finish::Complete);
        }
    }

    /// Chooses the next token by `logits`, and takes all tokens that must follow it.
    ///
    /// Most of the time the token that the model wants is one that the grammar allows, and asking about one token
    /// is much cheaper than finding all that are allowed. Only when it is refused is the choice made again among
    /// those. For plain temperature sampling this does not change the odds; with `top_p` or `min_p` it slightly
    /// favours tokens that survived the first cut.
    pub(super) fn choose(&mut self, logits: &[f32], vocabulary: &TokTrie) -> Result<(), ControllerError> {
        let no_choice = || ControllerError::Failed { reason: "the model has nothing to say".into() };
        let mut choice = self.sampler.draw(logits, |_| true).ok_or_else(no_choice)?;
        let taken = self.matcher.validate_tokens(&[choice]).map_err(|error| failed(&error))?;
        if taken == 0 {
            let mask = self.matcher.compute_mask_or_eos().map_err(|error| failed(&error))?;
            choice = self.sampler.draw(logits, |token| mask.is_allowed(token)).ok_or_else(no_choice)?;
        }
        if vocabulary.eos_tokens().contains(&choice) {
            self.finish = Some(Finish::Complete);
            return Ok(());
        }
        self.matcher.consume_token(choice).map_err(|error| failed(&error))?;
        self.write(token(choice), vocabulary);
        let mut dropped = false;
        if self.finish.is_none() && !self.matcher.is_stopped() {
            for forced in self.matcher.consume_ff_tokens() {
                dropped = self.finish.is_some();
                if dropped {
                    break;
                }
                self.write(token(forced), vocabulary);
            }
        }
        if self.matcher.is_stopped() {
            if let Some(error) = self.matcher.get_error() {
                return Err(failed(&error));
            }
            // The grammar's end counts, even when it comes with the last token that there is room for.
            if !dropped && !matches!(self.finish, Some(Finish::Stopped(_))) {
                self.finish = Some(Finish::Complete);
            }
        }
        Ok(())
    }

    /// What has been written so far, with the end it came to.
    pub(super) fn completion(self) -> Completion {
        let mut bytes = self.bytes;
        // A cut may go through a character: only what is whole counts.
        if let Err(error) = std::str::from_utf8(&bytes)
            && error.error_len().is_none()
        {
            bytes.truncate(error.valid_up_to());
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Completion { text, tokens: self.tokens, finish: self.finish.unwrap_or(Finish::Cancelled) }
    }

    /// Adds `token` to the answer, and ends it at a stop string or its greatest length.
    fn write(&mut self, token: LlamaToken, vocabulary: &TokTrie) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&vocabulary.decode(&[token.0.cast_unsigned()]));
        self.tokens += 1;
        self.pending.push(token);
        if let Some((at, stop)) = first_stop(&self.bytes, before, &self.stop) {
            self.bytes.truncate(at);
            self.finish = Some(Finish::Stopped(stop));
        } else if self.tokens >= self.max_tokens {
            self.finish = Some(Finish::Length);
        }
    }
}

/// The first of `stops` in `bytes` that ends after `before`, and where it begins.
fn first_stop(bytes: &[u8], before: usize, stops: &[String]) -> Option<(usize, String)> {
    stops
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| {
            let from = before.saturating_sub(stop.len() - 1);
            let at = bytes.get(from..)?.windows(stop.len()).position(|window| window == stop.as_bytes())?;
            Some((from + at, stop.clone()))
        })
        .min_by_key(|hit| hit.0)
}
