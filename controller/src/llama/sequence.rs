use super::draft_model::DraftModel;
use super::grammar::{failed, token};
use super::prompt_lookup::PromptLookup;
use super::prompt_slots::common_length;
use super::sampler::Sampler;
use crate::{Completion, ControllerError, Finish};
use llama_cpp_2::token::LlamaToken;
use llguidance::Matcher;
use llguidance::toktrie::TokTrie;

/// The source of proposed tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speculator {
    /// Earlier text of the prompt or the answer.
    PromptLookup,
    /// The draft model.
    DraftModel,
}

/// One answer in progress.
pub(super) struct Sequence {
    /// Id of the llama.cpp sequence.
    pub id: i32,
    /// Position of the next token in that sequence.
    pub position: i32,
    /// Chosen tokens that the model has not evaluated yet. The next choice follows the last one.
    pub pending: Vec<LlamaToken>,
    /// Proposed tokens, evaluated after the pending ones.
    proposal: Vec<LlamaToken>,
    /// The source of the latest proposal, if one was made.
    pub proposed_by: Option<Speculator>,
    /// Whether the draft model may propose tokens.
    pub drafted: bool,
    /// Number of accepted proposed tokens.
    pub accepted: u32,
    /// Why the answer ended; `None` while it is in progress.
    pub finish: Option<Finish>,
    /// Present if speculative decoding is on.
    lookup: Option<PromptLookup>,
    /// Present if a given text is scored instead of an answer written.
    score: Option<Score>,
    matcher: Matcher,
    sampler: Sampler,
    /// Text of the answer.
    bytes: Vec<u8>,
    /// Number of bytes of the text that [`Self::take_piece`] has returned.
    taken: usize,
    /// Length of the answer, in tokens.
    tokens: u32,
    max_tokens: u32,
    stop: Vec<String>,
}

impl Sequence {
    /// An answer in the sequence `id`, which holds the prompt up to `position`.
    pub(super) fn new(
        id: i32,
        position: i32,
        matcher: Matcher,
        sampler: Sampler,
        max_tokens: u32,
        stop: Vec<String>,
    ) -> Self {
        Self {
            id,
            position,
            pending: Vec::new(),
            proposal: Vec::new(),
            proposed_by: None,
            drafted: false,
            accepted: 0,
            finish: None,
            lookup: None,
            score: None,
            matcher,
            sampler,
            bytes: Vec::new(),
            taken: 0,
            tokens: 0,
            max_tokens,
            stop,
        }
    }

    /// Has the tokens of a text scored instead of an answer written.
    pub(super) fn score(&mut self, text: Vec<LlamaToken>) {
        self.score = Some(Score { text, log_probability: 0.0 });
    }

    /// The logarithm of the probability of the scored text, if the whole of it was evaluated.
    pub(super) fn log_probability(&self) -> Option<f64> {
        let score = self.score.as_ref()?;
        (self.finish == Some(Finish::Complete)).then_some(score.log_probability)
    }

    /// Turns on speculative decoding by lookup in `prompt` and the answer. What stands for pictures is no text to propose.
    pub(super) fn enable_speculation(&mut self, prompt: &[LlamaToken]) {
        let text: Vec<LlamaToken> = prompt.iter().copied().filter(|token| token.0 >= 0).collect();
        self.lookup = Some(PromptLookup::new(&text));
    }

    /// Proposes at most `most` tokens to evaluate after the pending ones. `alone` says that the batch would
    /// otherwise have a single token.
    pub(super) fn propose(
        &mut self,
        most: usize,
        alone: bool,
        draft: Option<&mut DraftModel<'_>>,
    ) -> Result<&[LlamaToken], ControllerError> {
        self.proposal.clear();
        self.proposed_by = None;
        if let Some(lookup) = &mut self.lookup {
            self.proposal.extend_from_slice(lookup.propose(most, alone));
            if !self.proposal.is_empty() {
                self.proposed_by = Some(Speculator::PromptLookup);
            } else if let Some(draft) = draft
                && alone
                && self.drafted
            {
                // Drafting time counts even if no token was proposed.
                self.proposed_by = Some(Speculator::DraftModel);
                self.proposal = draft.propose(lookup.text(), most)?;
            }
        }
        Ok(&self.proposal)
    }

    /// Chooses tokens by the logits after the pending tokens and, as long as the proposal is accepted, after
    /// its tokens. `row(n)` returns the logits after `n` proposed tokens. Returns true if a part was
    /// rejected; the caller must then discard the sequence from [`Self::position`] on.
    pub(super) fn verify_speculation<'a>(
        &mut self,
        row: impl Fn(usize) -> &'a [f32],
        vocabulary: &TokTrie,
    ) -> Result<bool, ControllerError> {
        let proposal = std::mem::take(&mut self.proposal);
        let mut accepted = 0;
        while self.finish.is_none() && self.pending.is_empty() {
            self.choose(row(accepted), vocabulary)?;
            let matching = common_length(&self.pending, &proposal[accepted..]);
            self.pending.drain(..matching);
            self.position += matching as i32;
            self.accepted += matching as u32;
            accepted += matching;
        }
        if let Some(lookup) = &mut self.lookup
            && self.proposed_by == Some(Speculator::PromptLookup)
        {
            lookup.note_accepted(accepted);
        }
        Ok(accepted < proposal.len())
    }

    /// Adds the forced tokens, which were evaluated with the prompt.
    pub(super) fn begin(&mut self, forced: &[LlamaToken], vocabulary: &TokTrie) {
        for &token in forced {
            self.write(token, vocabulary);
        }
        self.pending.clear();
        if self.matcher.is_stopped() && !matches!(self.finish, Some(Finish::Stopped(_))) {
            self.finish = Some(Finish::Complete);
        }
    }

    /// Samples the next token, and adds all tokens that the grammar forces after it.
    ///
    /// The grammar usually allows the sampled token, and checking one token is much cheaper than computing
    /// the mask of all allowed ones. Only a rejected token is sampled again under the mask. Plain temperature
    /// sampling keeps its distribution; `top_p` and `min_p` slightly favour tokens that survived their first
    /// cut.
    pub(super) fn choose(&mut self, logits: &[f32], vocabulary: &TokTrie) -> Result<(), ControllerError> {
        if let Some(score) = &mut self.score {
            let (token, last) = score.next(self.tokens as usize, logits)?;
            self.write(token, vocabulary);
            self.finish = last.then_some(Finish::Complete);
            return Ok(());
        }
        let no_choice =
            || ControllerError::Failed { reason: "no token can be sampled from the logits".into() };
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
            // A grammar that ends with the last allowed token makes the answer complete.
            if !dropped && !matches!(self.finish, Some(Finish::Stopped(_))) {
                self.finish = Some(Finish::Complete);
            }
        }
        Ok(())
    }

    /// The text since the last call, without what may be the beginning of a stop string or a part of a character.
    pub(super) fn take_piece(&mut self) -> Option<String> {
        let held_back = if self.finish.is_some() { 0 } else { begun_stop(&self.bytes, &self.stop) };
        let fresh = self.bytes.get(self.taken..self.bytes.len() - held_back)?;
        let whole = match std::str::from_utf8(fresh) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&fresh[..error.valid_up_to()]).unwrap_or_default(),
        };
        if whole.is_empty() {
            return None;
        }
        self.taken += whole.len();
        Some(whole.to_owned())
    }

    /// The answer so far, with its finish reason.
    pub(super) fn completion(self) -> Completion {
        let mut bytes = self.bytes;
        // The cut may split a character; incomplete bytes are dropped.
        if let Err(error) = std::str::from_utf8(&bytes)
            && error.error_len().is_none()
        {
            bytes.truncate(error.valid_up_to());
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Completion::new(text, self.tokens, self.finish.unwrap_or(Finish::Cancelled))
    }

    /// Adds a token to the answer, and ends it at a stop string or at its length limit.
    fn write(&mut self, token: LlamaToken, vocabulary: &TokTrie) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&vocabulary.decode(&[token.0.cast_unsigned()]));
        self.tokens += 1;
        self.pending.push(token);
        if let Some(lookup) = &mut self.lookup {
            lookup.note(token);
        }
        if let Some((at, stop)) = first_stop(&self.bytes, before, &self.stop) {
            self.bytes.truncate(at);
            self.finish = Some(Finish::Stopped(stop));
        } else if self.tokens >= self.max_tokens {
            self.finish = Some(Finish::Length);
        }
    }
}

/// A text whose probability is added up token by token.
struct Score {
    text: Vec<LlamaToken>,
    /// Of the tokens so far.
    log_probability: f64,
}

impl Score {
    /// Adds the token at place `at`, whose probability is in `logits`. Returns it, and whether it is the last one.
    fn next(&mut self, at: usize, logits: &[f32]) -> Result<(LlamaToken, bool), ControllerError> {
        let token = self.text.get(at).copied();
        let logit = token.and_then(|token| logits.get(usize::try_from(token.0).ok()?).copied());
        let (Some(token), Some(logit)) = (token, logit.filter(|logit| logit.is_finite())) else {
            return Err(ControllerError::Failed {
                reason: "no probability can be read from the logits".into(),
            });
        };
        self.log_probability += f64::from(logit) - log_sum_exp(logits);
        Ok((token, at + 1 == self.text.len()))
    }
}

/// The logarithm of the sum of the exponentials of `logits`: what normalises them.
fn log_sum_exp(logits: &[f32]) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - highest).exp()).sum();
    f64::from(highest) + sum.ln()
}

/// The first stop string that ends after byte `before`, and where it starts.
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

/// Length of the longest end of `bytes` that a stop string begins with, in bytes.
fn begun_stop(bytes: &[u8], stops: &[String]) -> usize {
    let begun = |stop: &String| {
        let most = stop.len().saturating_sub(1).min(bytes.len());
        (1..=most).rev().find(|&length| bytes.ends_with(&stop.as_bytes()[..length]))
    };
    stops.iter().filter_map(begun).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Constraint, Sampling};
    use llguidance::ParserFactory;
    use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv};

    /// Decodes at most `max_tokens` bytes under `constraint`, with a model that always prefers the bytes of
    /// `preferred`.
    fn write(constraint: &Constraint, preferred: &str, max_tokens: u32, stop: &[&str]) -> Completion {
        let vocabulary: TokEnv = ApproximateTokEnv::single_byte_env();
        let trie = vocabulary.tok_trie();
        let factory = ParserFactory::new(&vocabulary, InferenceCapabilities::default(), &[]).unwrap();
        let matcher = Matcher::new(factory.create_parser(constraint.grammar()));
        let stop = stop.iter().map(|&stop| stop.to_owned()).collect();
        let mut sequence =
            Sequence::new(0, 0, matcher, Sampler::new(Sampling::greedy(), 0), max_tokens, stop);
        let mut preferred = preferred.bytes().map(usize::from).cycle();
        sequence.begin(&[], trie);
        while sequence.finish.is_none() {
            let mut logits = vec![0.0; trie.vocab_size()];
            logits[preferred.next().unwrap()] = 1.0;
            sequence.pending.clear();
            sequence.choose(&logits, trie).unwrap();
        }
        sequence.completion()
    }

    #[test]
    fn grammar_overrides_the_preferred_token() {
        let grammar = Constraint::Lark("start: /[a-c]{3}/ \"!\"".into());
        let free = write(&grammar, "cab", 9, &[]);
        assert_eq!((free.text.as_str(), free.finish), ("cab!", Finish::Complete));
        let bound = write(&grammar, "xyz", 9, &[]);
        assert_eq!((bound.text.as_str(), bound.finish), ("aaa!", Finish::Complete));
    }

    #[test]
    fn answer_at_the_length_limit_is_complete_only_if_the_grammar_ends() {
        let grammar = Constraint::Lark("start: /[a-c]{3}/ \"!\"".into());
        assert_eq!(write(&grammar, "abc", 2, &[]).finish, Finish::Length);
        assert_eq!(write(&grammar, "abc", 4, &[]).finish, Finish::Complete);
        // The forced ending does not fit, so the answer must not count as complete.
        let long = Constraint::Lark("start: /[ab]/ \" and so on\"".into());
        let cut = write(&long, "a", 4, &[]);
        assert_eq!((cut.text.as_str(), cut.tokens, cut.finish), ("a an", 4, Finish::Length));
    }

    #[test]
    fn stop_string_across_tokens_ends_the_answer() {
        let grammar = Constraint::Lark("start: /[a-z]{1,20}/".into());
        let stopped = write(&grammar, "abxyz", 20, &["zz", "xy"]);
        assert_eq!((stopped.text.as_str(), stopped.finish), ("ab", Finish::Stopped("xy".into())));
    }

    #[test]
    fn a_scored_text_has_the_product_of_its_tokens_probabilities() {
        let vocabulary: TokEnv = ApproximateTokEnv::single_byte_env();
        let trie = vocabulary.tok_trie();
        let factory = ParserFactory::new(&vocabulary, InferenceCapabilities::default(), &[]).unwrap();
        let matcher = Matcher::new(factory.create_parser(Constraint::text().grammar()));
        let mut sequence = Sequence::new(0, 0, matcher, Sampler::new(Sampling::greedy(), 0), 2, Vec::new());
        sequence.score("ab".bytes().map(|byte| LlamaToken(i32::from(byte))).collect());
        sequence.begin(&[], trie);
        // A half and a quarter of what is possible; all else is as good as impossible.
        for (byte, logits) in [(b'a', [1.0, 1.0, 0.0]), (b'b', [1.0, 1.0, 2.0])] {
            assert_eq!((sequence.log_probability(), &sequence.finish), (None, &None), "{}", byte as char);
            let mut row = vec![-1e30; trie.vocab_size()];
            for (place, logit) in logits.into_iter().enumerate().filter(|(_, logit)| *logit > 0.0) {
                row[usize::from(byte) + place] = (logit as f32).ln();
            }
            sequence.pending.clear();
            sequence.choose(&row, trie).unwrap();
        }
        let expected = (1.0_f64 / 8.0).ln();
        assert!(
            (sequence.log_probability().unwrap() - expected).abs() < 1e-6,
            "{:?}",
            sequence.log_probability()
        );
        assert_eq!(sequence.completion().text, "ab");
    }

    /// The pieces of an answer, looked at after every byte, and the whole of it.
    fn pieces(constraint: &Constraint, preferred: &str, stop: &[&str]) -> (Vec<String>, String) {
        let vocabulary: TokEnv = ApproximateTokEnv::single_byte_env();
        let trie = vocabulary.tok_trie();
        let factory = ParserFactory::new(&vocabulary, InferenceCapabilities::default(), &[]).unwrap();
        let matcher = Matcher::new(factory.create_parser(constraint.grammar()));
        let stop = stop.iter().map(|&stop| stop.to_owned()).collect();
        let mut sequence = Sequence::new(0, 0, matcher, Sampler::new(Sampling::greedy(), 0), 99, stop);
        let mut pieces = Vec::new();
        for byte in preferred.bytes() {
            let mut logits = vec![0.0; trie.vocab_size()];
            logits[usize::from(byte)] = 1.0;
            sequence.pending.clear();
            sequence.choose(&logits, trie).unwrap();
            pieces.extend(sequence.take_piece());
            if sequence.finish.is_some() {
                break;
            }
        }
        (pieces, sequence.completion().text)
    }

    #[test]
    fn pieces_are_whole_characters_and_never_part_of_a_stop_string() {
        let (streamed, whole) = pieces(&Constraint::text(), "aäb", &[]);
        assert_eq!((streamed, whole.as_str()), (vec!["a".into(), "ä".into(), "b".into()], "aäb"));
        // `EN` might have become the stop string, and did not.
        let (streamed, whole) = pieces(&Constraint::text(), "xEEND!", &["ENT", "END!"]);
        assert_eq!((streamed, whole.as_str()), (vec!["x".to_owned(), "E".to_owned()], "xE"));
        let (streamed, whole) = pieces(&Constraint::text(), "xENz", &["ENT", "END!"]);
        assert_eq!((streamed, whole.as_str()), (vec!["x".to_owned(), "ENz".to_owned()], "xENz"));
    }

    #[test]
    fn split_character_is_dropped() {
        let grammar = Constraint::Lark("start: /[äb]{4}/".into());
        let cut = write(&grammar, "bä", 4, &[]);
        assert_eq!((cut.text.as_str(), cut.tokens), ("bäb", 4));
        let cut = write(&grammar, "bä", 2, &[]);
        assert_eq!((cut.text.as_str(), cut.finish), ("b", Finish::Length));
    }
}
