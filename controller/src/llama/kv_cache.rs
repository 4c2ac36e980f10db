use super::disk_cache::DiskCache;
use super::host_kv_cache::{HostKvCache, StoredPrompt};
use super::load::LoadedModel;
use super::options::LlamaOptions;
use super::prompt_slots::{KEPT, Placement, PromptSlots};
use crate::ControllerError;
use llama_cpp_2::DecodeError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::context::session::{LlamaStateSeqFlags, SeqState};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use std::num::NonZeroU32;
use std::sync::Arc;

/// The most tokens the model reads at once. Between two batches, some seconds apart on a small machine, it
/// looks whether the work is still wanted. It reads up to a twentieth slower in smaller ones.
pub(super) const BATCH: usize = 512;
/// A prompt that was set aside or saved is brought back where it spares reading so many tokens.
const MIN_RESTORE: usize = 64;
/// A prefix that a second prompt begins with is saved if it is so long.
const MIN_SAVE: usize = 256;
/// Idle prompts stay where they are while they are this short together: llama.cpp looks at its memory in such pieces.
const MIN_OFFLOAD: usize = 256;

/// What a model has read and still knows.
///
/// Prompts at work are in llama.cpp's own memory, where the beginning of one is shared with others. Every token at work
/// looks at all of that memory that is in use, whoever's it is; so when other work begins, idle prompts are set aside in
/// ordinary memory, and brought back when they are asked for. Beginnings that several prompts had are also on the disk.
pub(super) struct KvCache<'model> {
    loaded: &'model LoadedModel,
    context: LlamaContext<'model>,
    prompts: PromptSlots,
    host: HostKvCache<SeqState>,
    /// What earlier processes have read.
    prefixes: Option<DiskCache>,
    truncatable: bool,
}

impl<'model> KvCache<'model> {
    pub(super) fn new(loaded: &'model LoadedModel, options: &LlamaOptions) -> Result<Self, ControllerError> {
        let truncatable = !loaded.model.is_recurrent() && !loaded.model.is_hybrid();
        Ok(Self {
            loaded,
            context: context(loaded, options)?,
            prompts: PromptSlots::new(options.max_candidates as usize, truncatable),
            host: HostKvCache::new((options.host_cache_mib as usize) << 20, truncatable),
            prefixes: options.prefix_dir.as_ref().map(|root| DiskCache::open(root, loaded, truncatable)),
            truncatable,
        })
    }

    /// The first sequence that is not one of the prompts'.
    pub(super) fn first_free(&self) -> i32 {
        self.prompts.slots() as i32
    }

    /// Whether the end of a sequence can be forgotten without the rest. Recurrent models cannot do that.
    pub(super) fn supports_truncation(&self) -> bool {
        self.truncatable
    }

    /// How much of the beginning of `prompt` is known without the disk, in tokens.
    pub(super) fn longest(&self, prompt: &[LlamaToken]) -> usize {
        let aside = self.host.longest(prompt, usize::MAX).map_or(0, |(_, common)| common);
        self.prompts.longest(prompt).max(aside)
    }

    /// Gives `prompt` a slot and moves its beginning there from where it is known. `room` is how many tokens are not
    /// promised to the work at hand. Whoever was given the slot has to [`Self::release`] it.
    pub(super) fn place(&mut self, prompt: &[LlamaToken], room: usize) -> Result<Placement, ControllerError> {
        let none = || failed("there is no free place for a prompt");
        let mut place = self.prompts.place(prompt).ok_or_else(none)?;
        let known = self.use_known(prompt, room, &mut place);
        if let Err(error) = known {
            // Whatever went wrong, the slot can be emptied and the prompt read from its start.
            tracing::warn!(%error, "a known prefix could not be used");
            let emptied = self.remove(place.slot as i32);
            self.prompts.restart_prefill(place.slot);
            (place.shared, place.ready) = (0, false);
            if let Err(error) = emptied {
                self.prompts.end_prefill(place.slot);
                self.prompts.release(place.slot);
                return Err(error);
            }
        }
        Ok(place)
    }

    fn use_known(
        &mut self,
        prompt: &[LlamaToken],
        room: usize,
        place: &mut Placement,
    ) -> Result<(), ControllerError> {
        if !place.ready {
            self.move_prefix(place)?;
        }
        // Found before others are set aside, for which it might have to go.
        let aside = self.host.longest(prompt, room);
        if self.prompts.idle_tokens() >= MIN_OFFLOAD {
            self.offload()?;
        }
        if place.ready {
            return Ok(());
        }
        if let Some((stored, common)) = aside
            && common >= place.shared + MIN_RESTORE
        {
            self.restore(prompt, &stored, common, place)?;
        }
        if place.ready { Ok(()) } else { self.use_saved(prompt, room, place) }
    }

    fn move_prefix(&mut self, place: &Placement) -> Result<(), ControllerError> {
        let (slot, source, shared) = (place.slot as i32, place.source as i32, place.shared as u32);
        if slot == source {
            self.context.kv_cache_seq_rm(slot, Some(shared), None).map_err(memory)?;
        } else {
            self.remove(slot)?;
            self.context.kv_cache_seq_cp(source, slot, Some(0), Some(shared)).map_err(memory)?;
        }
        Ok(())
    }

    /// Copies all idle prompts out of llama.cpp's memory; says how many there were.
    fn offload(&mut self) -> Result<usize, ControllerError> {
        let mut idle = self.prompts.idle();
        // The one used last has to be the last to go.
        idle.reverse();
        for &slot in &idle {
            let tokens = self.prompts.tokens(slot);
            let flags = LlamaStateSeqFlags::empty();
            if !self.host.holds(tokens)
                && self.host.has_room(self.context.state_seq_get_size_ext(slot as i32, flags))
                && let Ok(state) = self.context.state_seq_get(slot as i32, flags)
            {
                let logits = self.prompts.logits(slot).to_vec();
                let state_bytes = state.byte_len();
                self.host.put(StoredPrompt { tokens: tokens.to_vec(), logits, state, state_bytes });
            }
            self.prompts.forget(slot);
            self.remove(slot as i32)?;
        }
        Ok(idle.len())
    }

    /// Puts a prompt that was set aside into `place`, of which `common` tokens are the beginning of `prompt`.
    fn restore(
        &mut self,
        prompt: &[LlamaToken],
        stored: &Arc<StoredPrompt<SeqState>>,
        common: usize,
        place: &mut Placement,
    ) -> Result<(), ControllerError> {
        let (slot, held) = (place.slot as i32, stored.tokens.len());
        self.make_room(held)?;
        self.remove(slot)?;
        self.prompts.hold(place.slot, &[]);
        place.shared = 0;
        self.context.state_seq_set(&stored.state, slot).map_err(memory)?;
        if common == prompt.len() && held == common && !stored.logits.is_empty() {
            self.prompts.restore(place.slot, prompt, &stored.logits);
            (place.shared, place.ready) = (common, true);
        } else {
            self.keep_beginning(prompt, common, held, place)?;
        }
        // What is lost of it is seldom asked for again, unless it is most of it.
        if held - place.shared <= place.shared {
            self.host.remove(stored);
        }
        Ok(())
    }

    /// Loads from the disk what earlier processes knew of `prompt`, if that is more than what is in `place`; and saves
    /// what is there if it has shown to be the beginning of several prompts.
    fn use_saved(
        &mut self,
        prompt: &[LlamaToken],
        room: usize,
        place: &mut Placement,
    ) -> Result<(), ControllerError> {
        let Some(prefixes) = &mut self.prefixes else { return Ok(()) };
        let slot = place.slot as i32;
        let saved = prefixes.longest(prompt, room);
        if let Some((entry, common)) = saved
            && common >= place.shared + MIN_RESTORE
        {
            let length = prefixes.length(entry);
            self.make_room(length)?;
            self.remove(slot)?;
            self.prompts.hold(place.slot, &[]);
            place.shared = 0;
            let Some(prefixes) = &mut self.prefixes else { return Ok(()) };
            if prefixes.load(entry, &mut self.context, slot) {
                self.keep_beginning(prompt, common, length, place)?;
            } else {
                self.remove(slot)?;
            }
        } else if place.shared >= MIN_SAVE
            && saved.is_none_or(|(_, common)| place.shared >= common + MIN_SAVE)
        {
            prefixes.save(&self.context, slot, &prompt[..place.shared]);
        }
        Ok(())
    }

    /// Forgets all but the first `common` tokens of the `held` ones in `place`.
    fn keep_beginning(
        &mut self,
        prompt: &[LlamaToken],
        common: usize,
        held: usize,
        place: &mut Placement,
    ) -> Result<(), ControllerError> {
        // The last token is always read, for its logits.
        let shared = common.min(prompt.len().saturating_sub(1));
        if shared < held {
            self.context.kv_cache_seq_rm(place.slot as i32, Some(shared as u32), None).map_err(memory)?;
        }
        self.prompts.hold(place.slot, &prompt[..shared]);
        place.shared = shared;
        Ok(())
    }

    /// Sees to it that so many tokens can be brought back at once: idle prompts are no longer in the way then.
    fn make_room(&mut self, tokens: usize) -> Result<(), ControllerError> {
        if self.prompts.idle_tokens() + tokens > self.context.n_ctx() as usize / 2 {
            self.offload()?;
        }
        Ok(())
    }

    /// Has the model read the batch; idle prompts are set aside if there is no room otherwise.
    pub(super) fn decode(&mut self, batch: &mut LlamaBatch<'_>) -> Result<(), ControllerError> {
        loop {
            match self.context.decode(batch) {
                Ok(()) => return Ok(()),
                Err(error @ DecodeError::NoKvCacheSlot) => {
                    if self.offload()? == 0 {
                        return Err(failed(error));
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// What the model thinks comes after the token in this row of the last batch.
    pub(super) fn row(&self, row: i32) -> &[f32] {
        self.context.get_logits_ith(row)
    }

    /// Takes note that `tokens` of the prompt in `slot` were read.
    pub(super) fn extend(&mut self, slot: usize, tokens: &[LlamaToken]) {
        self.prompts.extend(slot, tokens);
    }

    /// Takes note that the prompt in `slot` ends at this row of the last batch.
    pub(super) fn end(&mut self, slot: usize, row: i32) {
        self.prompts.set_logits(slot, self.context.get_logits_ith(row));
    }

    /// What comes after the prompt in `slot`.
    pub(super) fn logits(&self, slot: usize) -> &[f32] {
        self.prompts.logits(slot)
    }

    /// Takes note that the prompt in `slot` is not read further; what was read of it stays of use to others.
    pub(super) fn end_prefill(&mut self, slot: usize) {
        self.prompts.end_prefill(slot);
    }

    /// Takes note that a job that was given `slot` is done with it.
    pub(super) fn release(&mut self, slot: usize) {
        self.prompts.release(slot);
    }

    /// Lets an answer in `sequence` begin after the prompt in `slot`.
    pub(super) fn share(&mut self, slot: usize, sequence: i32) -> Result<(), ControllerError> {
        self.context.kv_cache_seq_cp(slot as i32, sequence, None, None).map_err(memory)
    }

    /// Forgets all that is in `sequence`.
    pub(super) fn remove(&mut self, sequence: i32) -> Result<(), ControllerError> {
        self.context.kv_cache_seq_rm(sequence, None, None).map_err(memory)
    }

    /// Forgets what is in `sequence` from `position` on.
    pub(super) fn cut(&mut self, sequence: i32, position: i32) -> Result<(), ControllerError> {
        let from = u32::try_from(position).map_err(memory)?;
        self.context.kv_cache_seq_rm(sequence, Some(from), None).map_err(memory)
    }

    /// Forgets everything that is not set aside.
    pub(super) fn clear(&mut self) {
        self.prompts.clear();
        self.context.clear_kv_cache();
    }

    /// Goes on with other `options`, which need a new context. Nothing may be at work.
    pub(super) fn renew(&mut self, options: &LlamaOptions) -> Result<(), ControllerError> {
        let fresh = context(self.loaded, options)?;
        self.offload()?;
        self.context = fresh;
        self.prompts.clear();
        Ok(())
    }
}

/// llama.cpp's memory of a model at work.
fn context<'model>(
    loaded: &'model LoadedModel,
    options: &LlamaOptions,
) -> Result<LlamaContext<'model>, ControllerError> {
    // Slots for prompts being read and kept, and a sequence for each answer.
    let sequences = KEPT as u32 + 2 * options.max_candidates;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(options.context_tokens))
        .with_n_batch(BATCH as u32)
        .with_n_ubatch(BATCH as u32)
        .with_n_seq_max(sequences)
        // One memory for all sequences, so that they can share the cells of a prompt.
        .with_kv_unified(true)
        .with_n_threads(options.threads.unwrap_or(1) as i32)
        .with_n_threads_batch(options.prefill_threads.unwrap_or(1) as i32);
    let no_memory = |_| ControllerError::NoMemory { context_tokens: options.context_tokens };
    let mut context = loaded.model.new_context(loaded.backend, params).map_err(no_memory)?;
    if let Some((adapter, lora)) = &loaded.lora {
        context.lora_adapter_set(&mut adapter.borrow_mut(), lora.scale).map_err(failed)?;
    }
    Ok(context)
}

/// An error of llama.cpp's that says no more.
pub(super) fn failed(error: impl std::fmt::Display) -> ControllerError {
    ControllerError::Failed { reason: error.to_string() }
}

fn memory(error: impl std::fmt::Display) -> ControllerError {
    failed(format!("its memory: {error}"))
}
