use llama_cpp_2::token::LlamaToken;

/// How many prompts are kept; a run asks a handful of kinds of question, each with its own stable beginning.
pub(super) const PROMPTS: usize = 4;

/// Which prompts the model has read and still holds, each in the llama.cpp sequence of the same number.
///
/// This is the bookkeeping only: whoever owns the context does to it what a [`Placement`] says.
#[derive(Debug)]
pub(super) struct PromptCache {
    slots: [Slot; PROMPTS],
    /// Counts uses, to tell which slot was used longest ago.
    clock: u64,
    /// Whether the model can forget the end of a sequence, or copy its beginning. Recurrent ones cannot.
    divisible: bool,
}

/// One prompt.
#[derive(Debug, Default)]
struct Slot {
    /// What has been read.
    tokens: Vec<LlamaToken>,
    /// What the model thinks comes next; empty unless a prompt ended here.
    logits: Vec<f32>,
    /// When it was used last.
    used: u64,
}

/// Where a prompt goes and how much of it is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placement {
    /// Its slot.
    pub slot: usize,
    /// The slot that holds its beginning; another one than `slot` has to be copied there.
    pub source: usize,
    /// The length of that beginning, in tokens. All after it in `slot` has to be forgotten.
    pub shared: usize,
    /// Whether `slot` holds the whole prompt and its logits, so that there is nothing to read.
    pub ready: bool,
}

impl PromptCache {
    pub(super) fn new(divisible: bool) -> Self {
        Self { slots: Default::default(), clock: 0, divisible }
    }

    /// Finds a place for `prompt` and takes note that its shared beginning is there.
    ///
    /// The slot that shares most is used again when what it loses is shorter than what it keeps: the ends of prompts
    /// of one kind are seldom asked for again. Otherwise the beginning is copied over the slot used longest ago.
    pub(super) fn place(&mut self, prompt: &[LlamaToken]) -> Placement {
        self.clock += 1;
        let (source, common) = (0..PROMPTS)
            .map(|slot| (slot, common_length(&self.slots[slot].tokens, prompt)))
            .max_by_key(|&(slot, common)| (common, self.slots[slot].used))
            .unwrap_or((0, 0));
        let held = self.slots[source].tokens.len();
        if common == prompt.len() && held == common && !self.slots[source].logits.is_empty() {
            self.slots[source].used = self.clock;
            return Placement { slot: source, source, shared: common, ready: true };
        }
        // The last token is always read, for its logits.
        let mut shared = common.min(prompt.len().saturating_sub(1));
        if !self.divisible && shared < held {
            shared = 0;
        }
        let lost = held - shared;
        let slot = if shared > 0 && lost <= shared { source } else { self.oldest() };
        let beginning = prompt[..shared].to_vec();
        self.slots[slot] = Slot { tokens: beginning, logits: Vec::new(), used: self.clock };
        Placement { slot, source: if shared == 0 { slot } else { source }, shared, ready: false }
    }

    /// Takes note that `tokens` were read after what `slot` held.
    pub(super) fn extend(&mut self, slot: usize, tokens: &[LlamaToken]) {
        self.slots[slot].tokens.extend_from_slice(tokens);
    }

    /// Takes note of what comes after the prompt in `slot`.
    pub(super) fn set_logits(&mut self, slot: usize, logits: &[f32]) {
        self.slots[slot].logits = logits.to_vec();
    }

    /// What comes after the prompt in `slot`.
    pub(super) fn logits(&self, slot: usize) -> &[f32] {
        &self.slots[slot].logits
    }

    /// Forgets the prompt used longest ago, except the one in `keep`, and returns its slot, if there is one.
    pub(super) fn evict(&mut self, keep: Option<usize>) -> Option<usize> {
        let slot = (0..PROMPTS)
            .filter(|&slot| Some(slot) != keep && !self.slots[slot].tokens.is_empty())
            .min_by_key(|&slot| self.slots[slot].used)?;
        self.slots[slot] = Slot::default();
        Some(slot)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.slots = Default::default();
    }

    fn oldest(&self) -> usize {
        (0..PROMPTS).min_by_key(|&slot| self.slots[slot].used).unwrap_or(0)
    }
}

fn common_length(one: &[LlamaToken], other: &[LlamaToken]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prompt with one token for each byte.
    fn prompt(text: &str) -> Vec<LlamaToken> {
        text.bytes().map(|byte| LlamaToken(i32::from(byte))).collect()
    }

    /// Places `text` and reads it to its end.
    fn read(cache: &mut PromptCache, text: &str) -> Placement {
        let placement = cache.place(&prompt(text));
        if !placement.ready {
            cache.extend(placement.slot, &prompt(text)[placement.shared..]);
            cache.set_logits(placement.slot, &[0.0]);
        }
        placement
    }

    #[test]
    fn prompts_of_one_kind_share_a_slot_and_other_kinds_keep_theirs() {
        let mut cache = PromptCache::new(true);
        let first = read(&mut cache, "rules of the game: find wood");
        assert_eq!((first.shared, first.ready), (0, false));
        let other = read(&mut cache, "judge this");
        assert_ne!(other.slot, first.slot);
        for task in ["rules of the game: find stone", "rules of the game: eat", "rules of the game: sleep"] {
            let placement = read(&mut cache, task);
            assert_eq!((placement.slot, placement.source), (first.slot, first.slot));
            assert_eq!(
                placement.shared,
                "rules of the game: ".len() + usize::from(task.contains("stone")) * 5
            );
        }
        assert!(read(&mut cache, "judge this").ready);
    }

    #[test]
    fn a_short_shared_beginning_is_copied_and_its_source_stays() {
        let mut cache = PromptCache::new(true);
        let long = read(&mut cache, "abcdefghijklmnop");
        let branch = read(&mut cache, "abcXYZ");
        assert_eq!((branch.source, branch.shared), (long.slot, 3));
        assert_ne!(branch.slot, long.slot);
        assert!(read(&mut cache, "abcdefghijklmnop").ready);
    }

    #[test]
    fn a_prompt_that_is_a_beginning_of_another_reads_its_last_token_for_the_logits() {
        let mut cache = PromptCache::new(true);
        read(&mut cache, "abcdef");
        let shorter = read(&mut cache, "abcde");
        assert_eq!((shorter.shared, shorter.ready), (4, false));
    }

    #[test]
    fn an_indivisible_sequence_is_only_continued() {
        let mut cache = PromptCache::new(false);
        let first = read(&mut cache, "abc");
        let longer = read(&mut cache, "abcdef");
        assert_eq!((longer.slot, longer.shared), (first.slot, 3));
        assert_eq!(read(&mut cache, "abcdeX").shared, 0);
    }

    #[test]
    fn the_oldest_goes_first_and_the_kept_one_never() {
        let mut cache = PromptCache::new(true);
        let slots: Vec<usize> =
            ["aaaa", "bbbb", "cccc"].iter().map(|text| read(&mut cache, text).slot).collect();
        read(&mut cache, "aaaa");
        assert_eq!(cache.evict(Some(slots[1])), Some(slots[2]));
        assert_eq!(cache.evict(Some(slots[1])), Some(slots[0]));
        assert_eq!(cache.evict(Some(slots[1])), None);
    }
}
