use llama_cpp_2::token::LlamaToken;

/// Number of cached prompts besides those in prefill. A run uses a handful of prompt kinds, each with a
/// stable prefix.
pub(super) const KEPT: usize = 8;

/// Records which prompts are in llama.cpp's context. Slot `n` is llama.cpp's sequence `n`.
///
/// This is bookkeeping only: [`super::kv_cache`] applies every [`Placement`] to the context.
#[derive(Debug)]
pub(super) struct PromptSlots {
    slots: Vec<Slot>,
    /// Counts uses, for LRU order.
    clock: u64,
    /// Whether a sequence can be truncated or copied in part. Recurrent models do not support that.
    truncatable: bool,
}

/// The state of one sequence.
#[derive(Debug, Default)]
struct Slot {
    /// Evaluated tokens.
    tokens: Vec<LlamaToken>,
    /// Logits after the last token; empty unless a prompt ends there.
    logits: Vec<f32>,
    /// Value of `clock` at the last use.
    used: u64,
    /// Whether a prefill is running. Such a slot is never reassigned.
    prefilling: bool,
    /// Number of jobs that use the slot.
    users: u32,
}

/// Where a prompt goes, and how much of it is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placement {
    /// Slot of the prompt.
    pub slot: usize,
    /// Slot that holds the prefix. If it differs from `slot`, the prefix must be copied.
    pub source: usize,
    /// Length of the prefix in tokens. Everything after it in `slot` must be discarded.
    pub shared: usize,
    /// Whether `slot` holds the whole prompt with its logits, so that no prefill is needed.
    pub ready: bool,
}

impl PromptSlots {
    /// Creates slots for `prefills` concurrent prefills, and [`KEPT`] more.
    pub(super) fn new(prefills: usize, truncatable: bool) -> Self {
        let slots = (0..prefills + KEPT).map(|_| Slot::default()).collect();
        Self { slots, clock: 0, truncatable }
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Length of the longest prefix of `prompt` in any slot, in tokens.
    pub(super) fn longest_prefix(&self, prompt: &[LlamaToken]) -> usize {
        self.slots.iter().map(|slot| common_length(&slot.tokens, prompt)).max().unwrap_or(0)
    }

    /// Evaluated tokens in `slot`.
    pub(super) fn tokens(&self, slot: usize) -> &[LlamaToken] {
        &self.slots[slot].tokens
    }

    /// Slots that hold a prompt and have no users, most recently used first.
    pub(super) fn idle(&self) -> Vec<usize> {
        let mut held: Vec<usize> = (0..self.slots.len()).filter(|&slot| self.is_idle(slot)).collect();
        held.sort_by_key(|&slot| std::cmp::Reverse(self.slots[slot].used));
        held
    }

    /// Assigns a slot to `prompt`, and records that it holds the shared prefix. The slot is not reassigned
    /// until [`Self::set_logits`] or [`Self::end_prefill`], and not idle until [`Self::release`].
    ///
    /// The slot with the longest shared prefix is reused if it loses less than it keeps: the ends of similar prompts
    /// are rarely requested again. Otherwise the prefix is copied to the least recently used
    /// slot.
    pub(super) fn place(&mut self, prompt: &[LlamaToken]) -> Option<Placement> {
        self.clock += 1;
        let (source, common) = (0..self.slots.len())
            .map(|slot| (slot, common_length(&self.slots[slot].tokens, prompt)))
            .max_by_key(|&(slot, common)| (common, self.slots[slot].used))?;
        let held = self.slots[source].tokens.len();
        if common == prompt.len() && held == common && !self.slots[source].logits.is_empty() {
            self.slots[source].used = self.clock;
            self.slots[source].users += 1;
            return Some(Placement { slot: source, source, shared: common, ready: true });
        }
        // The last token is always evaluated, for its logits.
        let mut shared = common.min(prompt.len().saturating_sub(1));
        if !self.truncatable && (shared < held || self.slots[source].prefilling) {
            shared = 0;
        }
        let again = shared > 0 && held - shared <= shared && !self.slots[source].prefilling;
        let slot = if again { source } else { self.oldest()? };
        let tokens = prompt[..shared].to_vec();
        // Answers that continue from the previous prompt have their own sequences, and release the slot
        // later.
        let users = self.slots[slot].users + 1;
        self.slots[slot] = Slot { tokens, logits: Vec::new(), used: self.clock, prefilling: true, users };
        Some(Placement { slot, source: if shared == 0 { slot } else { source }, shared, ready: false })
    }

    /// Records that `slot` holds exactly `tokens`.
    pub(super) fn hold(&mut self, slot: usize, tokens: &[LlamaToken]) {
        self.slots[slot].tokens = tokens.to_vec();
    }

    /// Records that `slot` holds a complete prompt, with the logits after it.
    pub(super) fn restore(&mut self, slot: usize, tokens: &[LlamaToken], logits: &[f32]) {
        self.hold(slot, tokens);
        self.set_logits(slot, logits);
    }

    /// Records that `tokens` were evaluated after the present content of `slot`.
    pub(super) fn extend(&mut self, slot: usize, tokens: &[LlamaToken]) {
        self.slots[slot].tokens.extend_from_slice(tokens);
    }

    /// Records that the prefill of `slot` is complete, with the logits after it.
    pub(super) fn set_logits(&mut self, slot: usize, logits: &[f32]) {
        self.slots[slot].logits = logits.to_vec();
        self.slots[slot].prefilling = false;
    }

    /// Logits after the prompt in `slot`.
    pub(super) fn logits(&self, slot: usize) -> &[f32] {
        &self.slots[slot].logits
    }

    /// Records that `slot` is empty and its prefill starts again.
    pub(super) fn restart_prefill(&mut self, slot: usize) {
        let Slot { used, users, .. } = self.slots[slot];
        self.slots[slot] = Slot { used, users, prefilling: true, ..Slot::default() };
    }

    /// Records that the prefill of `slot` has stopped.
    pub(super) fn end_prefill(&mut self, slot: usize) {
        self.slots[slot].prefilling = false;
    }

    /// Records that a job no longer uses `slot`.
    pub(super) fn release(&mut self, slot: usize) {
        self.slots[slot].users = self.slots[slot].users.saturating_sub(1);
    }

    /// Records that `slot` is empty.
    pub(super) fn forget(&mut self, slot: usize) {
        let users = self.slots[slot].users;
        self.slots[slot] = Slot { users, ..Slot::default() };
    }

    /// Records that all slots are empty.
    pub(super) fn clear(&mut self) {
        self.slots.fill_with(Slot::default);
    }

    /// Number of context cells that idle prompts occupy. Shared prefixes count once.
    pub(super) fn idle_tokens(&self) -> usize {
        let idle = self.idle();
        let own = idle.iter().enumerate().map(|(at, &slot)| {
            let tokens = &self.slots[slot].tokens;
            let before = idle[..at].iter().map(|&other| common_length(&self.slots[other].tokens, tokens));
            tokens.len() - before.max().unwrap_or(0)
        });
        own.sum()
    }

    fn is_idle(&self, slot: usize) -> bool {
        !self.slots[slot].tokens.is_empty() && !self.slots[slot].prefilling && self.slots[slot].users == 0
    }

    /// The least recently used slot without a prefill; unused slots come first.
    fn oldest(&self) -> Option<usize> {
        let free = (0..self.slots.len()).filter(|&slot| !self.slots[slot].prefilling);
        free.min_by_key(|&slot| (self.slots[slot].users > 0, self.slots[slot].used))
    }
}

/// Length of the common prefix.
pub(super) fn common_length(one: &[LlamaToken], other: &[LlamaToken]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prompt with one token per byte.
    fn prompt(text: &str) -> Vec<LlamaToken> {
        text.bytes().map(|byte| LlamaToken(i32::from(byte))).collect()
    }

    /// Places `text` and completes its prefill.
    fn read(cache: &mut PromptSlots, text: &str) -> Placement {
        let placement = cache.place(&prompt(text)).unwrap();
        if !placement.ready {
            cache.extend(placement.slot, &prompt(text)[placement.shared..]);
            cache.set_logits(placement.slot, &[0.0]);
        }
        cache.release(placement.slot);
        placement
    }

    #[test]
    fn similar_prompts_share_a_slot_and_others_keep_theirs() {
        let mut cache = PromptSlots::new(0, true);
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
    fn short_shared_prefix_is_copied_to_another_slot() {
        let mut cache = PromptSlots::new(0, true);
        let long = read(&mut cache, "abcdefghijklmnop");
        let branch = read(&mut cache, "abcXYZ");
        assert_eq!((branch.source, branch.shared), (long.slot, 3));
        assert_ne!(branch.slot, long.slot);
        assert!(read(&mut cache, "abcdefghijklmnop").ready);
    }

    #[test]
    fn prefix_of_a_cached_prompt_evaluates_its_last_token() {
        let mut cache = PromptSlots::new(0, true);
        read(&mut cache, "abcdef");
        let shorter = read(&mut cache, "abcde");
        assert_eq!((shorter.shared, shorter.ready), (4, false));
    }

    #[test]
    fn recurrent_sequence_is_only_extended() {
        let mut cache = PromptSlots::new(0, false);
        let first = read(&mut cache, "abc");
        let longer = read(&mut cache, "abcdef");
        assert_eq!((longer.slot, longer.shared), (first.slot, 3));
        assert_eq!(read(&mut cache, "abcdeX").shared, 0);
    }

    #[test]
    fn idle_slots_are_sorted_by_last_use_without_prefills() {
        let mut cache = PromptSlots::new(0, true);
        let slots: Vec<usize> =
            ["aaaa", "bbbb", "cccc"].iter().map(|text| read(&mut cache, text).slot).collect();
        read(&mut cache, "aaaa");
        let reading = cache.place(&prompt("bbbbbbb")).unwrap();
        assert_eq!((reading.slot, reading.shared), (slots[1], 4));
        assert_eq!(cache.idle(), [slots[0], slots[2]]);
        cache.forget(slots[2]);
        cache.forget(slots[0]);
        cache.end_prefill(reading.slot);
        assert!(cache.idle().is_empty());
        cache.release(reading.slot);
        assert_eq!(cache.idle(), [slots[1]]);
    }

    #[test]
    fn prompt_in_use_is_not_idle_but_its_slot_can_be_reused() {
        let mut cache = PromptSlots::new(0, true);
        let first = cache.place(&prompt("rules of the game: find wood")).unwrap();
        cache.extend(first.slot, &prompt("rules of the game: find wood"));
        cache.set_logits(first.slot, &[0.0]);
        assert_eq!((cache.idle(), cache.idle_tokens()), (Vec::new(), 0));
        let second = cache.place(&prompt("rules of the game: eat")).unwrap();
        assert_eq!(second.slot, first.slot);
        cache.release(first.slot);
        cache.end_prefill(second.slot);
        assert!(cache.idle().is_empty());
        cache.release(second.slot);
        assert_eq!(cache.idle(), [second.slot]);
    }

    #[test]
    fn shared_prefix_of_idle_prompts_counts_once() {
        let mut cache = PromptSlots::new(0, true);
        read(&mut cache, "abcdefgh");
        read(&mut cache, "abcXYZWV");
        assert_eq!(cache.idle_tokens(), 8 + 5);
        read(&mut cache, "other");
        assert_eq!(cache.idle_tokens(), 8 + 5 + 5);
    }

    #[test]
    fn prompt_in_prefill_shares_its_prefix_but_keeps_its_slot() {
        let mut cache = PromptSlots::new(1, true);
        let first = cache.place(&prompt("rules, and a task")).unwrap();
        cache.extend(first.slot, &prompt("rules, and"));
        let second = cache.place(&prompt("rules, and another")).unwrap();
        assert_eq!((second.source, second.shared), (first.slot, "rules, and".len()));
        assert_ne!(second.slot, first.slot);
    }
}
