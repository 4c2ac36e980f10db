use super::prompt_slots::common_length;
use llama_cpp_2::token::LlamaToken;

/// So many tokens have to be the same before what followed them is taken for what follows now.
const ALIKE: [usize; 2] = [3, 2];
/// How many right tokens a guess must bring, on average, to be worth its place in a batch of its own: one of four tokens
/// takes about a third longer than one of a single token.
const WORTH: f32 = 0.4;
/// How much the last guess weighs in that average.
const WEIGHT: f32 = 0.15;
/// Where guesses are not worth it, one in so many is made to see whether that is still so.
const PROBE: u32 = 16;

/// Guesses what an answer says next by what followed the same tokens before, in its prompt or in itself (prompt lookup
/// decoding, after Apoorv Saxena, 2023). The model reads the guess with the token before it, and what it would have said
/// otherwise is kept up to the first difference: a guess makes an answer come sooner and never changes its odds.
#[derive(Debug)]
pub(super) struct PromptLookup {
    /// The prompt, and the answer so far.
    text: Vec<LlamaToken>,
    /// How many tokens of a guess are right, on average of late.
    right: f32,
    /// How often no guess was made because they are not worth it.
    skipped: u32,
}

impl PromptLookup {
    pub(super) fn new(prompt: &[LlamaToken]) -> Self {
        Self { text: prompt.to_vec(), right: 1.0, skipped: 0 }
    }

    /// Takes note of the next token of the answer.
    pub(super) fn note(&mut self, token: LlamaToken) {
        self.text.push(token);
    }

    /// The prompt, and the answer so far.
    pub(super) fn text(&self) -> &[LlamaToken] {
        &self.text
    }

    /// At most `most` tokens that may come next; `alone` says that without them the batch would have a single token.
    pub(super) fn guess(&mut self, most: usize, alone: bool) -> &[LlamaToken] {
        if alone && self.right < WORTH {
            self.skipped += 1;
            if !self.skipped.is_multiple_of(PROBE) {
                return &[];
            }
        }
        let found = ALIKE.iter().find_map(|&alike| self.after_last(alike));
        found.map_or(&[], |from| &self.text[from..self.text.len().min(from + most)])
    }

    /// Takes note of how many tokens of a guess were right.
    pub(super) fn judge(&mut self, right: usize) {
        self.right += WEIGHT * (right as f32 - self.right);
    }

    /// What followed the last `alike` tokens when they stood in the text before; the last time counts.
    fn after_last(&self, alike: usize) -> Option<usize> {
        let (before, last) = self.text.split_at_checked(self.text.len().checked_sub(alike)?)?;
        // They may overlap with themselves, as in a row of equal tokens.
        (0..before.len())
            .rev()
            .find(|&at| common_length(&self.text[at..], last) == alike)
            .map(|at| at + alike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &str) -> Vec<LlamaToken> {
        text.bytes().map(|byte| LlamaToken(i32::from(byte))).collect()
    }

    fn guess(text: &str, most: usize) -> String {
        let mut lookup = PromptLookup::new(&tokens(text));
        lookup.guess(most, true).iter().map(|token| char::from(token.0 as u8)).collect()
    }

    #[test]
    fn what_followed_last_time_is_guessed() {
        assert_eq!(guess("collect wood, collect stone; coll", 3), "ect");
        assert_eq!(guess("abcX abcY abc", 9), "Y abc");
        assert_eq!(guess("aaaa", 2), "a");
        // Two alike tokens will do where three are not found.
        assert_eq!(guess("xab1 yab", 2), "1 ");
        for new in ["", "a", "ab", "abcd"] {
            assert_eq!(guess(new, 3), "");
        }
    }

    #[test]
    fn where_guesses_are_wrong_few_are_made() {
        let mut lookup = PromptLookup::new(&tokens("abc abc ab"));
        let made = (0..320).filter(|_| {
            let made = !lookup.guess(3, true).is_empty();
            if made {
                lookup.judge(0);
            }
            made
        });
        let made = made.count();
        assert!((20..40).contains(&made), "{made}");
        assert!(!lookup.guess(3, false).is_empty());
        for _ in 0..10 {
            lookup.judge(3);
        }
        assert!(!lookup.guess(3, true).is_empty());
    }

    proptest! {
        /// A guess stands in the text, after the tokens that the text ends with.
        #[test]
        fn a_guess_was_said_before(text in "[abc]{0,40}", most in 0usize..6) {
            let guess = guess(&text, most);
            prop_assert!(guess.len() <= most);
            if !guess.is_empty() {
                let end = &text[text.len() - 2..];
                let said = text.contains(&format!("{end}{guess}"));
                prop_assert!(said);
            }
        }
    }
}
