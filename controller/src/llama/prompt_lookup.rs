use super::prompt_slots::common_length;
use llama_cpp_2::token::LlamaToken;

/// Lengths of the token n-grams that are looked up, longest first.
const NGRAM_LENGTHS: [usize; 2] = [3, 2];
/// Least mean number of accepted tokens for which proposals pay off. A batch of four tokens takes about a third
/// longer than a batch of one.
const MIN_ACCEPTED: f32 = 0.4;
/// Weight of the latest proposal in that average.
const WEIGHT: f32 = 0.15;
/// One proposal in this many is made even if proposals do not pay off, to measure again.
const PROBE: u32 = 16;

/// Speculative decoding by prompt lookup (after Apoorv Saxena, 2023): proposes the tokens that followed the
/// last n-gram when it occurred earlier in the prompt or the answer.
///
/// The model evaluates the proposal in one batch and accepts it up to the first difference. Answers come sooner,
/// and their distribution does not change.
#[derive(Debug)]
pub(super) struct PromptLookup {
    /// Tokens of the prompt and the answer so far.
    text: Vec<LlamaToken>,
    /// Moving average of accepted tokens per proposal.
    mean_accepted: f32,
    /// Number of skipped proposals.
    skipped: u32,
}

impl PromptLookup {
    pub(super) fn new(prompt: &[LlamaToken]) -> Self {
        Self { text: prompt.to_vec(), mean_accepted: 1.0, skipped: 0 }
    }

    /// Appends a token of the answer.
    pub(super) fn note(&mut self, token: LlamaToken) {
        self.text.push(token);
    }

    /// Tokens of the prompt and the answer so far.
    pub(super) fn text(&self) -> &[LlamaToken] {
        &self.text
    }

    /// Proposes at most `most` tokens. `alone` says that the batch would otherwise have a single token.
    pub(super) fn propose(&mut self, most: usize, alone: bool) -> &[LlamaToken] {
        if alone && self.mean_accepted < MIN_ACCEPTED {
            self.skipped += 1;
            if !self.skipped.is_multiple_of(PROBE) {
                return &[];
            }
        }
        let found = NGRAM_LENGTHS.iter().find_map(|&length| self.after_earlier_occurrence(length));
        found.map_or(&[], |from| &self.text[from..self.text.len().min(from + most)])
    }

    /// Records how many tokens of a proposal were accepted.
    pub(super) fn note_accepted(&mut self, accepted: usize) {
        self.mean_accepted += WEIGHT * (accepted as f32 - self.mean_accepted);
    }

    /// Index after the latest earlier occurrence of the last `length` tokens.
    fn after_earlier_occurrence(&self, length: usize) -> Option<usize> {
        let (before, last) = self.text.split_at_checked(self.text.len().checked_sub(length)?)?;
        // Occurrences may overlap, as in a row of equal tokens.
        (0..before.len())
            .rev()
            .find(|&at| common_length(&self.text[at..], last) == length)
            .map(|at| at + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &str) -> Vec<LlamaToken> {
        text.bytes().map(|byte| LlamaToken(i32::from(byte))).collect()
    }

    fn propose(text: &str, most: usize) -> String {
        let mut lookup = PromptLookup::new(&tokens(text));
        lookup.propose(most, true).iter().map(|token| char::from(token.0 as u8)).collect()
    }

    #[test]
    fn proposal_is_what_followed_last_time() {
        assert_eq!(propose("collect wood, collect stone; coll", 3), "ect");
        assert_eq!(propose("abcX abcY abc", 9), "Y abc");
        assert_eq!(propose("aaaa", 2), "a");
        // A bigram is used if no trigram occurs.
        assert_eq!(propose("xab1 yab", 2), "1 ");
        for new in ["", "a", "ab", "abcd"] {
            assert_eq!(propose(new, 3), "");
        }
    }

    #[test]
    fn rejected_proposals_make_proposals_rare() {
        let mut lookup = PromptLookup::new(&tokens("abc abc ab"));
        let made = (0..320).filter(|_| {
            let made = !lookup.propose(3, true).is_empty();
            if made {
                lookup.note_accepted(0);
            }
            made
        });
        let made = made.count();
        assert!((20..40).contains(&made), "{made}");
        assert!(!lookup.propose(3, false).is_empty());
        for _ in 0..10 {
            lookup.note_accepted(3);
        }
        assert!(!lookup.propose(3, true).is_empty());
    }

    proptest! {
        /// A proposal occurs in the text, after the tokens that the text ends with.
        #[test]
        fn proposals_occur_in_the_text(text in "[abc]{0,40}", most in 0usize..6) {
            let proposal = propose(&text, most);
            prop_assert!(proposal.len() <= most);
            if !proposal.is_empty() {
                let end = &text[text.len() - 2..];
                let said = text.contains(&format!("{end}{proposal}"));
                prop_assert!(said);
            }
        }
    }
}
