use super::draft_model::DraftModel;
use super::grammar::{failed, token};
use super::prompt_lookup::PromptLookup;
use super::prompt_slots::common_length;
use super::sampler::Sampler;
use crate::{Completion, ControllerError, Finish};
use llama_cpp_2::token::LlamaToken;
use llguidance::Matcher;
use llguidance::toktrie::TokTrie;

/// Who guesses what an answer says next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speculator {
    /// What was said before.
    PromptLookup,
    /// A smaller model.
    DraftModel,
}

/// One answer being written.
pub(super) struct Sequence {
    /// The llama.cpp sequence that holds it.
    pub sequence: i32,
    /// Where its next token goes in that sequence.
    pub position: i32,
    /// Tokens chosen but not yet read by the model; they end where the next choice is to be made.
    pub pending: Vec<LlamaToken>,
    /// Tokens read after those, which the answer may go on with.
    guess: Vec<LlamaToken>,
    /// Who made that guess, if there was one.
    pub speculated_by: Option<Speculator>,
    /// Whether a smaller model may guess, where there is one.
    pub drafted: bool,
    /// How many tokens of guesses were right.
    pub guessed: u32,
    /// Why it ended, once it has.
    pub finish: Option<Finish>,
    /// Where guesses come from, if any are made.
    lookup: Option<PromptLookup>,
    matcher: Matcher,
    sampler: Sampler,
    /// What was written.
    bytes: Vec<u8>,
    /// How much was written, in tokens.
    tokens: u32,
    max_tokens: u32,
    stop: Vec<String>,
}

impl Sequence {
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
            guess: Vec::new(),
            speculated_by: None,
            drafted: false,
            guessed: 0,
            finish: None,
            lookup: None,
            matcher,
            sampler,
            bytes: Vec::new(),
            tokens: 0,
            max_tokens,
            stop,
        }
    }

    /// From now on guesses are made, by what stands in `prompt` and in the answer.
    pub(super) fn enable_speculation(&mut self, prompt: &[LlamaToken]) {
        self.lookup = Some(PromptLookup::new(prompt));
    }

    /// Makes a guess of at most `most` tokens, which are to be read after the pending ones; `alone` says that without them
    /// a single token would be read, and `draft` is a smaller model that may be asked.
    pub(super) fn guess(
        &mut self,
        most: usize,
        alone: bool,
        draft: Option<&mut DraftModel<'_>>,
    ) -> Result<&[LlamaToken], ControllerError> {
        self.guess.clear();
        self.speculated_by = None;
        if let Some(lookup) = &mut self.lookup {
            self.guess.extend_from_slice(lookup.guess(most, alone));
            if !self.guess.is_empty() {
                self.speculated_by = Some(Speculator::PromptLookup);
            } else if let Some(draft) = draft
                && alone
                && self.drafted
            {
                // Its time counts where it had to read too much to guess, too.
                self.speculated_by = Some(Speculator::DraftModel);
                self.guess = draft.after(lookup.text(), most)?;
            }
        }
        Ok(&self.guess)
    }

    /// Chooses by the logits of what was read: those after the pending tokens, and as long as the guess was right those
    /// after its tokens. `row` gives the logits after so many of them. Says whether a part of the guess was wrong, which
    /// then has to be forgotten from [`Self::position`] on.
    pub(super) fn verify_speculation<'a>(
        &mut self,
        row: impl Fn(usize) -> &'a [f32],
        vocabulary: &TokTrie,
    ) -> Result<bool, ControllerError> {
        let guess = std::mem::take(&mut self.guess);
        let mut right = 0;
        while self.finish.is_none() && self.pending.is_empty() {
            self.choose(row(right), vocabulary)?;
            let alike = common_length(&self.pending, &guess[right..]);
            self.pending.drain(..alike);
            self.position += alike as i32;
            self.guessed += alike as u32;
            right += alike;
        }
        if let Some(lookup) = &mut self.lookup
            && self.speculated_by == Some(Speculator::PromptLookup)
        {
            lookup.judge(right);
        }
        Ok(right < guess.len())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Constraint, Sampling};
    use llguidance::ParserFactory;
    use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv};

    /// Writes `max_tokens` bytes at the most under `constraint`, as a model would that only ever wants `wish`.
    fn write(constraint: &Constraint, wish: &str, max_tokens: u32, stop: &[&str]) -> Completion {
        let vocabulary: TokEnv = ApproximateTokEnv::single_byte_env();
        let trie = vocabulary.tok_trie();
        let factory = ParserFactory::new(&vocabulary, InferenceCapabilities::default(), &[]).unwrap();
        let matcher = Matcher::new(factory.create_parser(constraint.grammar()));
        let stop = stop.iter().map(|&stop| stop.to_owned()).collect();
        let mut sequence =
            Sequence::new(0, 0, matcher, Sampler::new(Sampling::greedy(), 0), max_tokens, stop);
        let mut wishes = wish.bytes().map(usize::from).cycle();
        sequence.begin(&[], trie);
        while sequence.finish.is_none() {
            let mut logits = vec![0.0; trie.vocab_size()];
            logits[wishes.next().unwrap()] = 1.0;
            sequence.pending.clear();
            sequence.choose(&logits, trie).unwrap();
        }
        sequence.completion()
    }

    #[test]
    fn the_model_gets_its_wish_only_where_the_grammar_allows_it() {
        let grammar = Constraint::Lark("start: /[a-c]{3}/ \"!\"".into());
        let free = write(&grammar, "cab", 9, &[]);
        assert_eq!((free.text.as_str(), free.finish), ("cab!", Finish::Complete));
        let bound = write(&grammar, "xyz", 9, &[]);
        assert_eq!((bound.text.as_str(), bound.finish), ("aaa!", Finish::Complete));
    }

    #[test]
    fn an_answer_ends_at_its_length_unless_the_grammar_ends_there_too() {
        let grammar = Constraint::Lark("start: /[a-c]{3}/ \"!\"".into());
        assert_eq!(write(&grammar, "abc", 2, &[]).finish, Finish::Length);
        assert_eq!(write(&grammar, "abc", 4, &[]).finish, Finish::Complete);
        // The forced end does not fit: the text must not be taken for whole.
        let long = Constraint::Lark("start: /[ab]/ \" and so on\"".into());
        let cut = write(&long, "a", 4, &[]);
        assert_eq!((cut.text.as_str(), cut.tokens, cut.finish), ("a an", 4, Finish::Length));
    }

    #[test]
    fn a_stop_string_ends_the_answer_before_itself_even_across_tokens() {
        let grammar = Constraint::Lark("start: /[a-z]{1,20}/".into());
        let stopped = write(&grammar, "abxyz", 20, &["zz", "xy"]);
        assert_eq!((stopped.text.as_str(), stopped.finish), ("ab", Finish::Stopped("xy".into())));
    }

    #[test]
    fn a_character_cut_in_two_is_left_out() {
        let grammar = Constraint::Lark("start: /[äb]{4}/".into());
        let cut = write(&grammar, "bä", 4, &[]);
        assert_eq!((cut.text.as_str(), cut.tokens), ("bäb", 4));
        let cut = write(&grammar, "bä", 2, &[]);
        assert_eq!((cut.text.as_str(), cut.finish), ("b", Finish::Length));
    }
}
