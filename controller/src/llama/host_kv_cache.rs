use super::prompt_slots::common_length;
use llama_cpp_2::token::LlamaToken;
use std::sync::Arc;

/// Idle prompts with what the model made of them, set aside in ordinary memory, where they cost nobody's attention.
///
/// A prompt comes back in milliseconds, as it is only copied; reading it again would take seconds.
#[derive(Debug)]
pub(super) struct HostKvCache<S> {
    /// The one used last is last.
    prompts: Vec<Arc<StoredPrompt<S>>>,
    /// How many bytes they may take together.
    budget: usize,
    /// Whether a part of a prompt is of use.
    truncatable: bool,
}

/// A prompt that was set aside.
#[derive(Debug)]
pub(super) struct StoredPrompt<S> {
    pub tokens: Vec<LlamaToken>,
    /// What comes after it; empty if its end was not read.
    pub logits: Vec<f32>,
    /// llama.cpp's copy of its sequence.
    pub state: S,
    /// The length of that.
    pub state_bytes: usize,
}

impl<S> HostKvCache<S> {
    pub(super) fn new(budget: usize, truncatable: bool) -> Self {
        Self { prompts: Vec::new(), budget, truncatable }
    }

    /// Whether there is room for a state of so many bytes, if others go for it.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        bytes <= self.budget
    }

    /// Whether `tokens` are the beginning of a prompt that is here. It counts as used then.
    pub(super) fn holds(&mut self, tokens: &[LlamaToken]) -> bool {
        let at = self.prompts.iter().position(|prompt| {
            prompt.tokens.starts_with(tokens) && (self.truncatable || prompt.tokens.len() == tokens.len())
        });
        let Some(at) = at else { return false };
        let prompt = self.prompts.remove(at);
        self.prompts.push(prompt);
        true
    }

    /// Puts a prompt here; those used longest ago go, as many as have to.
    pub(super) fn put(&mut self, prompt: StoredPrompt<S>) {
        if self.truncatable {
            self.prompts.retain(|other| !prompt.tokens.starts_with(&other.tokens));
        }
        self.prompts.push(Arc::new(prompt));
        let mut bytes: usize = self.prompts.iter().map(|prompt| prompt.bytes()).sum();
        while bytes > self.budget && !self.prompts.is_empty() {
            bytes -= self.prompts.remove(0).bytes();
        }
    }

    /// The prompt of at most `room` tokens that has most in common with `prompt`, and how many tokens that is.
    pub(super) fn longest(
        &self,
        prompt: &[LlamaToken],
        room: usize,
    ) -> Option<(Arc<StoredPrompt<S>>, usize)> {
        let fitting = self.prompts.iter().filter(|other| other.tokens.len() <= room);
        let commons = fitting.map(|other| {
            let common = common_length(&other.tokens, prompt);
            (other, if self.truncatable || common == other.tokens.len() { common } else { 0 })
        });
        let (found, common) = commons.max_by_key(|&(_, common)| common)?;
        (common > 0).then(|| (Arc::clone(found), common))
    }

    /// Takes a prompt away, if it is still here.
    pub(super) fn remove(&mut self, prompt: &Arc<StoredPrompt<S>>) {
        self.prompts.retain(|other| !Arc::ptr_eq(other, prompt));
    }
}

impl<S> StoredPrompt<S> {
    fn bytes(&self) -> usize {
        self.state_bytes + size_of_val(self.logits.as_slice()) + size_of_val(self.tokens.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prompt(text: &str) -> Vec<LlamaToken> {
        text.bytes().map(|byte| LlamaToken(i32::from(byte))).collect()
    }

    fn stored(text: &str) -> StoredPrompt<()> {
        StoredPrompt { tokens: prompt(text), logits: Vec::new(), state: (), state_bytes: 100 }
    }

    /// How much of `text` is known.
    fn known(host: &HostKvCache<()>, text: &str, room: usize) -> usize {
        host.longest(&prompt(text), room).map_or(0, |(_, common)| common)
    }

    #[test]
    fn what_shares_most_and_fits_is_found() {
        let mut host = HostKvCache::new(10_000, true);
        host.put(stored("rules: eat"));
        host.put(stored("rules: eat and drink, and sleep"));
        assert_eq!(known(&host, "rules: eat and run", 100), "rules: eat and ".len());
        assert_eq!(known(&host, "rules: eat and run", 20), 0);
        assert_eq!(known(&host, "other", 100), 0);
        let mut whole = HostKvCache::new(10_000, false);
        whole.put(stored("rules: eat"));
        whole.put(stored("rules: eat and drink"));
        assert_eq!(known(&whole, "rules: eat and run", 100), "rules: eat".len());
    }

    #[test]
    fn a_longer_prompt_takes_the_place_of_its_beginning() {
        let mut host = HostKvCache::new(10_000, true);
        host.put(stored("rules"));
        host.put(stored("rules: eat"));
        assert_eq!(host.prompts.len(), 1);
        assert!(host.holds(&prompt("rules")));
        assert!(!host.holds(&prompt("rules: sleep")));
        let (found, _) = host.longest(&prompt("rules"), 100).unwrap();
        host.remove(&found);
        assert!(!host.holds(&prompt("rules")));
    }

    proptest! {
        /// The budget is kept, and what was put or used last is there if it fits at all.
        #[test]
        fn the_budget_is_kept(budget in 0usize..800, texts in proptest::collection::vec("[ab]{1,6}", 1..30)) {
            let mut host = HostKvCache::new(budget, true);
            for text in &texts {
                let prompt = stored(text);
                let (bytes, tokens) = (prompt.bytes(), prompt.tokens.clone());
                if !host.holds(&tokens) {
                    host.put(prompt);
                }
                prop_assert!(host.prompts.iter().map(|prompt| prompt.bytes()).sum::<usize>() <= budget);
                prop_assert_eq!(host.holds(&tokens), bytes <= budget);
            }
        }
    }
}
