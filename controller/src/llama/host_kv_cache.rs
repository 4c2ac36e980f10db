use super::prompt_slots::common_length;
use llama_cpp_2::token::LlamaToken;
use std::sync::Arc;

/// KV states of idle prompts in host memory.
///
/// Attention cost grows with llama.cpp's occupied context, so idle prompts are moved out of it. Restoring one
/// is a copy of milliseconds; evaluating it again would take seconds.
#[derive(Debug)]
pub(super) struct HostKvCache<S> {
    /// Ordered by last use, most recent last.
    prompts: Vec<Arc<StoredPrompt<S>>>,
    /// Memory budget in bytes.
    budget: usize,
    /// Whether a part of a prompt can be used; see [`super::kv_cache::KvCache::supports_truncation`].
    truncatable: bool,
}

/// An offloaded prompt.
#[derive(Debug)]
pub(super) struct StoredPrompt<S> {
    pub tokens: Vec<LlamaToken>,
    /// Logits after the last token; empty if the prefill did not reach the end.
    pub logits: Vec<f32>,
    /// llama.cpp's state of the sequence.
    pub state: S,
    /// Size of `state`.
    pub state_bytes: usize,
}

impl<S> HostKvCache<S> {
    pub(super) fn new(budget: usize, truncatable: bool) -> Self {
        Self { prompts: Vec::new(), budget, truncatable }
    }

    /// Whether a state of this size fits the budget at all.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        bytes <= self.budget
    }

    /// Whether a stored prompt starts with `tokens`. If so, it counts as used.
    pub(super) fn holds(&mut self, tokens: &[LlamaToken]) -> bool {
        let at = self.prompts.iter().position(|prompt| {
            prompt.tokens.starts_with(tokens) && (self.truncatable || prompt.tokens.len() == tokens.len())
        });
        let Some(at) = at else { return false };
        let prompt = self.prompts.remove(at);
        self.prompts.push(prompt);
        true
    }

    /// Stores a prompt, and evicts the least recently used ones to stay within the budget.
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

    /// Finds the prompt of at most `room` tokens with the longest common prefix. Returns it with the length
    /// of that prefix, in tokens.
    pub(super) fn longest_prefix(
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

    /// Removes a prompt if it is still stored.
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

    /// Length of the longest common prefix of `text`.
    fn known(host: &HostKvCache<()>, text: &str, room: usize) -> usize {
        host.longest_prefix(&prompt(text), room).map_or(0, |(_, common)| common)
    }

    #[test]
    fn longest_common_prefix_that_fits_is_found() {
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
    fn longer_prompt_replaces_its_prefix() {
        let mut host = HostKvCache::new(10_000, true);
        host.put(stored("rules"));
        host.put(stored("rules: eat"));
        assert_eq!(host.prompts.len(), 1);
        assert!(host.holds(&prompt("rules")));
        assert!(!host.holds(&prompt("rules: sleep")));
        let (found, _) = host.longest_prefix(&prompt("rules"), 100).unwrap();
        host.remove(&found);
        assert!(!host.holds(&prompt("rules")));
    }

    proptest! {
        /// The budget is never exceeded, and the most recently used prompt is present if it fits.
        #[test]
        fn budget_is_never_exceeded(budget in 0usize..800, texts in proptest::collection::vec("[ab]{1,6}", 1..30)) {
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
