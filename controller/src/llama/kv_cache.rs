use super::disk_cache::DiskCache;
use super::host_kv_cache::{HostKvCache, StoredPrompt};
use super::load::LoadedModel;
use super::options::LlamaOptions;
use super::prompt_slots::{KEPT, Placement, PromptSlots};
use super::sight::{PlacedPicture, PlacedPictures, Sight};
use crate::ControllerError;
use llama_cpp_2::DecodeError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::context::session::{LlamaStateSeqFlags, SeqState};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Largest batch, in tokens. Cancellation is checked between batches, which can take seconds on a small
/// machine. Prefill is up to 5 % slower with smaller batches.
pub(super) const BATCH: usize = 512;
/// A stored prefix is restored if that saves evaluating this many tokens.
const MIN_RESTORE: usize = 64;
/// A prefix that a second prompt shares is saved to disk from this length on, in tokens.
const MIN_SAVE: usize = 256;
/// Idle prompts are offloaded from this total length on: llama.cpp processes its context in pieces of this
/// size.
const MIN_OFFLOAD: usize = 256;

/// The KV cache of a model: which prompt prefixes need no evaluation.
///
/// There are three tiers. Active prompts are in llama.cpp's context, where sequences share prefixes. Every
/// token attends over the whole occupied context, so idle prompts are offloaded to host memory
/// ([`HostKvCache`]) when other work starts, and restored on demand. Prefixes that several prompts share are
/// saved to disk ([`DiskCache`]).
pub(super) struct KvCache<'model> {
    loaded: &'model LoadedModel,
    context: LlamaContext<'model>,
    prompts: PromptSlots,
    host: HostKvCache<SeqState>,
    /// The disk tier, if configured.
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
            prefixes: options.prefix_cache.as_ref().map(|root| DiskCache::open(root, loaded, truncatable)),
            truncatable,
        })
    }

    /// The first sequence id that no prompt slot uses.
    pub(super) fn first_free(&self) -> i32 {
        self.prompts.slots() as i32
    }

    /// Whether the end of a sequence can be discarded. Recurrent models do not support that.
    pub(super) fn supports_truncation(&self) -> bool {
        self.truncatable
    }

    /// Length of the longest prefix of `prompt` in context or host memory, in tokens.
    pub(super) fn longest_prefix(&self, prompt: &[LlamaToken]) -> usize {
        let offloaded = self.host.longest_prefix(prompt, usize::MAX).map_or(0, |(_, common)| common);
        self.prompts.longest_prefix(prompt).max(offloaded)
    }

    /// Assigns a slot to `prompt` and moves the longest cached prefix into it. `room` is the number of
    /// context tokens that no active job has reserved. The caller must [`Self::release`] the slot.
    pub(super) fn place(
        &mut self,
        prompt: &[LlamaToken],
        pictures: &PlacedPictures,
        room: usize,
    ) -> Result<Placement, ControllerError> {
        let none = || failed("no prompt slot is free");
        let mut place = self.prompts.place(prompt).ok_or_else(none)?;
        let known = self.use_known(prompt, pictures, room, &mut place);
        if let Err(error) = known {
            // After any failure, the slot can be cleared and the prompt evaluated from its start.
            tracing::warn!(%error, "cannot use a cached prefix");
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
        pictures: &PlacedPictures,
        room: usize,
        place: &mut Placement,
    ) -> Result<(), ControllerError> {
        if !place.ready {
            self.move_prefix(place, pictures)?;
        }
        // Looked up before offloading, which may evict it.
        let offloaded = self.host.longest_prefix(prompt, room);
        if self.prompts.idle_tokens() >= MIN_OFFLOAD {
            self.offload()?;
        }
        if place.ready {
            return Ok(());
        }
        if let Some((stored, common)) = offloaded
            && common >= place.shared + MIN_RESTORE
        {
            self.restore(prompt, pictures, &stored, common, place)?;
        }
        if place.ready { Ok(()) } else { self.use_saved(prompt, pictures, room, place) }
    }

    fn move_prefix(&mut self, place: &Placement, pictures: &PlacedPictures) -> Result<(), ControllerError> {
        let (slot, source) = (place.slot as i32, place.source as i32);
        let shared = pictures.position(place.shared).unsigned_abs();
        if slot == source {
            self.context.kv_cache_seq_rm(slot, Some(shared), None).map_err(cache_error)?;
        } else {
            self.remove(slot)?;
            self.context.kv_cache_seq_cp(source, slot, Some(0), Some(shared)).map_err(cache_error)?;
        }
        Ok(())
    }

    /// Moves all idle prompts to host memory. Returns their number.
    fn offload(&mut self) -> Result<usize, ControllerError> {
        let mut idle = self.prompts.idle();
        // Eviction order: the most recently used prompt must be stored last.
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

    /// Copies an offloaded prompt into `place`. Its first `common` tokens are a prefix of `prompt`.
    fn restore(
        &mut self,
        prompt: &[LlamaToken],
        pictures: &PlacedPictures,
        stored: &Arc<StoredPrompt<SeqState>>,
        common: usize,
        place: &mut Placement,
    ) -> Result<(), ControllerError> {
        let (slot, held) = (place.slot as i32, stored.tokens.len());
        self.make_room(held)?;
        self.remove(slot)?;
        self.prompts.hold(place.slot, &[]);
        place.shared = 0;
        self.context.state_seq_set(&stored.state, slot).map_err(cache_error)?;
        if common == prompt.len() && held == common && !stored.logits.is_empty() {
            self.prompts.restore(place.slot, prompt, &stored.logits);
            (place.shared, place.ready) = (common, true);
        } else {
            self.keep_prefix(prompt, pictures, common, held, place)?;
        }
        // The rest of the stored prompt is rarely requested again, so the copy is dropped unless most of it
        // is lost.
        if held - place.shared <= place.shared {
            self.host.remove(stored);
        }
        Ok(())
    }

    /// Loads a longer prefix from disk, or saves the present one if several prompts have shared it.
    fn use_saved(
        &mut self,
        prompt: &[LlamaToken],
        pictures: &PlacedPictures,
        room: usize,
        place: &mut Placement,
    ) -> Result<(), ControllerError> {
        let Some(prefixes) = &mut self.prefixes else { return Ok(()) };
        let slot = place.slot as i32;
        let saved = prefixes.longest_prefix(prompt, room);
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
                self.keep_prefix(prompt, pictures, common, length, place)?;
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

    /// Discards all but the first `common` of the `held` tokens in `place`.
    fn keep_prefix(
        &mut self,
        prompt: &[LlamaToken],
        pictures: &PlacedPictures,
        common: usize,
        held: usize,
        place: &mut Placement,
    ) -> Result<(), ControllerError> {
        // The last token is always evaluated, for its logits.
        let shared = common.min(prompt.len().saturating_sub(1));
        if shared < held {
            self.cut(place.slot as i32, pictures.position(shared))?;
        }
        self.prompts.hold(place.slot, &prompt[..shared]);
        place.shared = shared;
        Ok(())
    }

    /// Offloads idle prompts if restoring `tokens` would otherwise exceed half the context.
    fn make_room(&mut self, tokens: usize) -> Result<(), ControllerError> {
        if self.prompts.idle_tokens() + tokens > self.context.n_ctx() as usize / 2 {
            self.offload()?;
        }
        Ok(())
    }

    /// Evaluates a batch. If the context is full, idle prompts are offloaded first.
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

    /// Evaluates a picture of the prompt in `slot`, at its `position`. If the context is full, idle prompts are offloaded first.
    pub(super) fn show(
        &mut self,
        sight: &Sight,
        picture: &PlacedPicture,
        position: i32,
        slot: usize,
    ) -> Result<(), ControllerError> {
        loop {
            let Err(error) = sight.show(&picture.shown, &mut self.context, position, slot as i32) else {
                self.prompts.extend(slot, &picture.shown.tokens);
                return Ok(());
            };
            self.cut(slot as i32, position)?;
            if self.offload()? == 0 {
                return Err(error);
            }
        }
    }

    /// Logits in this row of the last batch.
    pub(super) fn row(&self, row: i32) -> &[f32] {
        self.context.get_logits_ith(row)
    }

    /// Records that `tokens` of the prompt in `slot` were evaluated.
    pub(super) fn extend(&mut self, slot: usize, tokens: &[LlamaToken]) {
        self.prompts.extend(slot, tokens);
    }

    /// Records that the prompt in `slot` ends at this row of the last batch.
    pub(super) fn end(&mut self, slot: usize, row: i32) {
        self.prompts.set_logits(slot, self.context.get_logits_ith(row));
    }

    /// Logits after the prompt in `slot`.
    pub(super) fn logits(&self, slot: usize) -> &[f32] {
        self.prompts.logits(slot)
    }

    /// Records that the prefill of `slot` has stopped. The evaluated part stays usable.
    pub(super) fn end_prefill(&mut self, slot: usize) {
        self.prompts.end_prefill(slot);
    }

    /// Records that a job no longer uses `slot`.
    pub(super) fn release(&mut self, slot: usize) {
        self.prompts.release(slot);
    }

    /// Starts an answer in `sequence` after the prompt in `slot`, sharing its cells.
    pub(super) fn share(&mut self, slot: usize, sequence: i32) -> Result<(), ControllerError> {
        self.context.kv_cache_seq_cp(slot as i32, sequence, None, None).map_err(cache_error)
    }

    pub(super) fn remove(&mut self, sequence: i32) -> Result<(), ControllerError> {
        self.context.kv_cache_seq_rm(sequence, None, None).map_err(cache_error)
    }

    /// Discards the tokens of `sequence` from `position` on.
    pub(super) fn cut(&mut self, sequence: i32, position: i32) -> Result<(), ControllerError> {
        let from = u32::try_from(position).map_err(cache_error)?;
        self.context.kv_cache_seq_rm(sequence, Some(from), None).map_err(cache_error)
    }

    /// Discards all tiers except host memory and disk.
    pub(super) fn clear(&mut self) {
        self.prompts.clear();
        self.context.clear_kv_cache();
    }

    /// Replaces the context for other options. No job may be active.
    pub(super) fn renew(&mut self, options: &LlamaOptions) -> Result<(), ControllerError> {
        let fresh = context(self.loaded, options)?;
        self.offload()?;
        self.context = fresh;
        self.prompts.clear();
        Ok(())
    }
}

/// Creates the llama.cpp context.
fn context<'model>(
    loaded: &'model LoadedModel,
    options: &LlamaOptions,
) -> Result<LlamaContext<'model>, ControllerError> {
    // Prompt slots, and a sequence for each answer.
    let sequences = KEPT as u32 + 2 * options.max_candidates;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(options.context_tokens))
        .with_n_batch(BATCH as u32)
        .with_n_ubatch(BATCH as u32)
        .with_n_seq_max(sequences)
        // A unified KV cache, so that sequences share the cells of a prompt.
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

/// Wraps an error of llama.cpp.
pub(super) fn failed(error: impl std::fmt::Display) -> ControllerError {
    ControllerError::Failed { reason: error.to_string() }
}

fn cache_error(error: impl std::fmt::Display) -> ControllerError {
    failed(format!("KV cache: {error}"))
}
