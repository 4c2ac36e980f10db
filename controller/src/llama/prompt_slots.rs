use llama_cpp_2::token::LlamaToken;

/// How many prompts are kept besides those being read; a run asks a handful of kinds of question, each with its own
/// stable beginning.
pub(super) const KEPT: usize = 8;

/// Which prompts the model has read and still holds, each in the llama.cpp sequence of the same number.
///
/// This is the bookkeeping only: whoever owns the context does to it what a [`Placement`] says.
#[derive(Debug)]
pub(super) struct PromptSlots {
    slots: Vec<Slot>,
    /// Counts uses, to tell which slot was used longest ago.
    clock: u64,
    /// Whether the model can forget the end of a sequence, or copy its beginning. Recurrent ones cannot.
    truncatable: bool,
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
    /// Whether the rest of it is being read. Nothing else may be put there then.
    reading: bool,
    /// How many jobs read it or write on from it.
    users: u32,
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

impl PromptSlots {
    /// A cache that can hold `reading` prompts being read at the same time, and [`KEPT`] more.
    pub(super) fn new(reading: usize, truncatable: bool) -> Self {
        let slots = (0..reading + KEPT).map(|_| Slot::default()).collect();
        Self { slots, clock: 0, truncatable }
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// How much of the beginning of `prompt` is held by some slot, in tokens.
    pub(super) fn longest(&self, prompt: &[LlamaToken]) -> usize {
        self.slots.iter().map(|slot| common_length(&slot.tokens, prompt)).max().unwrap_or(0)
    }

    /// What `slot` holds.
    pub(super) fn tokens(&self, slot: usize) -> &[LlamaToken] {
        &self.slots[slot].tokens
    }

    /// The slots that hold something and that nobody works with, the one used last first.
    pub(super) fn idle(&self) -> Vec<usize> {
        let mut held: Vec<usize> = (0..self.slots.len()).filter(|&slot| self.is_idle(slot)).collect();
        held.sort_by_key(|&slot| std::cmp::Reverse(self.slots[slot].used));
        held
    }

    /// Finds a place for `prompt` and takes note that its shared beginning is there. The place is not given to another
    /// prompt until [`Self::set_logits`] or [`Self::end_prefill`], and not idle until [`Self::release`].
    ///
    /// The slot that shares most is used again when what it loses is shorter than what it keeps: the ends of prompts
    /// of one kind are seldom asked for again. Otherwise the beginning is copied over the slot used longest ago.
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
        // The last token is always read, for its logits.
        let mut shared = common.min(prompt.len().saturating_sub(1));
        if !self.truncatable && (shared < held || self.slots[source].reading) {
            shared = 0;
        }
        let again = shared > 0 && held - shared <= shared && !self.slots[source].reading;
        let slot = if again { source } else { self.oldest()? };
        let tokens = prompt[..shared].to_vec();
        // Who writes on from what was there before has sequences of its own, and leaves it like everybody else.
        let users = self.slots[slot].users + 1;
        self.slots[slot] = Slot { tokens, logits: Vec::new(), used: self.clock, reading: true, users };
        Some(Placement { slot, source: if shared == 0 { slot } else { source }, shared, ready: false })
    }

    /// Takes note that `slot` now holds just `tokens`.
    pub(super) fn hold(&mut self, slot: usize, tokens: &[LlamaToken]) {
        self.slots[slot].tokens = tokens.to_vec();
    }

    /// Takes note that `slot` now holds a whole prompt that was read before, and what comes after it.
    pub(super) fn restore(&mut self, slot: usize, tokens: &[LlamaToken], logits: &[f32]) {
        self.hold(slot, tokens);
        self.set_logits(slot, logits);
    }

    /// Takes note that `tokens` were read after what `slot` held.
    pub(super) fn extend(&mut self, slot: usize, tokens: &[LlamaToken]) {
        self.slots[slot].tokens.extend_from_slice(tokens);
    }

    /// Takes note that the prompt in `slot` was read to its end, and of what comes after it.
    pub(super) fn set_logits(&mut self, slot: usize, logits: &[f32]) {
        self.slots[slot].logits = logits.to_vec();
        self.slots[slot].reading = false;
    }

    /// What comes after the prompt in `slot`.
    pub(super) fn logits(&self, slot: usize) -> &[f32] {
        &self.slots[slot].logits
    }

    /// Takes note that nothing of the prompt in `slot` is there, and that it is being read.
    pub(super) fn restart_prefill(&mut self, slot: usize) {
        let Slot { used, users, .. } = self.slots[slot];
        self.slots[slot] = Slot { used, users, reading: true, ..Slot::default() };
    }

    /// Takes note that the prompt in `slot` is not read further.
    pub(super) fn end_prefill(&mut self, slot: usize) {
        self.slots[slot].reading = false;
    }

    /// Takes note that a job that was given `slot` is done with it.
    pub(super) fn release(&mut self, slot: usize) {
        self.slots[slot].users = self.slots[slot].users.saturating_sub(1);
    }

    /// Forgets what `slot` held.
    pub(super) fn forget(&mut self, slot: usize) {
        let users = self.slots[slot].users;
        self.slots[slot] = Slot { users, ..Slot::default() };
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.slots.fill_with(Slot::default);
    }

    /// How many tokens are held by idle prompts; what several of them begin with counts once.
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
        !self.slots[slot].tokens.is_empty() && !self.slots[slot].reading && self.slots[slot].users == 0
    }

    /// The slot used longest ago of those that are not being read, one that nobody works with if there is any.
    fn oldest(&self) -> Option<usize> {
        let free = (0..self.slots.len()).filter(|&slot| !self.slots[slot].reading);
        free.min_by_key(|&slot| (self.slots[slot].users > 0, self.slots[slot].used))
    }
}

/// How many tokens `one` and `other` have in common at their beginning.
pub(super) fn common_length(one: &[LlamaToken], other: &[LlamaToken]) -> usize {
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
    fn prompts_of_one_kind_share_a_slot_and_other_kinds_keep_theirs() {
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
    fn a_short_shared_beginning_is_copied_and_its_source_stays() {
        let mut cache = PromptSlots::new(0, true);
        let long = read(&mut cache, "abcdefghijklmnop");
        let branch = read(&mut cache, "abcXYZ");
        assert_eq!((branch.source, branch.shared), (long.slot, 3));
        assert_ne!(branch.slot, long.slot);
        assert!(read(&mut cache, "abcdefghijklmnop").ready);
    }

    #[test]
    fn a_prompt_that_is_a_beginning_of_another_reads_its_last_token_for_the_logits() {
        let mut cache = PromptSlots::new(0, true);
        read(&mut cache, "abcdef");
        let shorter = read(&mut cache, "abcde");
        assert_eq!((shorter.shared, shorter.ready), (4, false));
    }

    #[test]
    fn an_indivisible_sequence_is_only_continued() {
        let mut cache = PromptSlots::new(0, false);
        let first = read(&mut cache, "abc");
        let longer = read(&mut cache, "abcdef");
        assert_eq!((longer.slot, longer.shared), (first.slot, 3));
        assert_eq!(read(&mut cache, "abcdeX").shared, 0);
    }

    #[test]
    fn what_is_idle_is_told_by_its_last_use_and_what_is_being_read_never_is() {
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
    fn a_prompt_that_is_written_on_from_is_not_idle_and_may_give_its_place_all_the_same() {
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
    fn what_idle_prompts_have_in_common_counts_once() {
        let mut cache = PromptSlots::new(0, true);
        read(&mut cache, "abcdefgh");
        read(&mut cache, "abcXYZWV");
        assert_eq!(cache.idle_tokens(), 8 + 5);
        read(&mut cache, "other");
        assert_eq!(cache.idle_tokens(), 8 + 5 + 5);
    }

    #[test]
    fn a_prompt_being_read_lends_its_beginning_but_not_its_place() {
        let mut cache = PromptSlots::new(1, true);
        let first = cache.place(&prompt("rules, and a task")).unwrap();
        cache.extend(first.slot, &prompt("rules, and"));
        let second = cache.place(&prompt("rules, and another")).unwrap();
        assert_eq!((second.source, second.shared), (first.slot, "rules, and".len()));
        assert_ne!(second.slot, first.slot);
    }
}
