use super::cache::{KEPT, Placement, PromptCache, common_length};
use super::job::{Job, Running, Stage, since};
use super::lane::Lane;
use super::load::Loaded;
use super::options::LlamaOptions;
use super::pace::{Pace, Verdict};
use super::prefixes::Prefixes;
use super::queue::{May, Queue, Waits};
use super::sampler::Sampler;
use super::threads::{self, Threads};
use crate::{ControllerError, Finish, Priority, Timing, Usage};
use llama_cpp_2::DecodeError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::context::session::LlamaStateSeqFlags;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use llguidance::toktrie::TokEnv;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The most tokens the model reads at once. Between two batches, some seconds apart on a small machine, it
/// looks whether the work is still wanted.
const BATCH: usize = 256;
/// The most of them that are of prompts while answers are being written, which wait for the whole batch.
const BESIDE: usize = 64;
/// How many jobs are looked at before they are begun; the others wait in their channel.
const LOOKAHEAD: usize = 64;
/// How much of the memory idle prompts may take, as one part of so many. Every token at work looks at all memory in
/// use, whoever's it is, so what is kept for later costs all who work now; what is forgotten is still on the disk.
const IDLE_SHARE: usize = 2;
/// A prompt that has so many more tokens in common with one being read than with all that were read waits for it.
const WORTH_WAITING: usize = 32;
/// A saved prefix is loaded where it spares reading so many tokens.
const WORTH_LOADING: usize = 64;
/// A prefix that a second prompt begins with is saved if it is so long.
const WORTH_SAVING: usize = 256;

/// Where in the last batch a choice is to be made.
#[derive(Debug, Clone, Copy)]
enum Row {
    /// The next token of this lane of this job.
    Lane { job: usize, lane: usize, row: i32 },
    /// The first token after the prompt of this job.
    Prompt { job: usize, row: i32 },
}

/// The work of the thread that owns a model.
///
/// Each round begins what waits, as far as there is room, and then lets the model read one batch: the next token of
/// every answer at hand, and as much as fits of the prompts that are being read.
pub(super) struct Engine<'model> {
    loaded: &'model Loaded,
    options: LlamaOptions,
    context: LlamaContext<'model>,
    batch: LlamaBatch<'static>,
    rows: Vec<Row>,
    prompts: PromptCache,
    /// What earlier processes have read.
    prefixes: Option<Prefixes>,
    vocabulary: TokEnv,
    /// Sequences for answers that are not in use.
    free: Vec<i32>,
    waiting: Queue<Job>,
    running: Vec<Running>,
    /// Watches the speed, where the numbers of threads are ours to choose.
    pace: Option<Pace>,
    /// Whether the numbers of threads are to be measured again as soon as nothing is under way.
    tune: bool,
}

impl Waits for Job {
    fn priority(&self) -> Priority {
        self.priority
    }

    fn since(&self) -> Instant {
        self.queued
    }
}

impl<'model> Engine<'model> {
    /// An engine with `options` that are settled; `tuned` says that the numbers of threads were measured.
    pub(super) fn new(
        loaded: &'model Loaded,
        options: &LlamaOptions,
        tuned: bool,
        vocabulary: TokEnv,
    ) -> Result<Self, ControllerError> {
        let divisible = !loaded.model.is_recurrent() && !loaded.model.is_hybrid();
        let prompts = PromptCache::new(options.max_candidates as usize, divisible);
        let first = prompts.slots() as i32;
        Ok(Self {
            loaded,
            options: options.clone(),
            context: context(loaded, options)?,
            batch: LlamaBatch::new(BATCH, 1),
            rows: Vec::new(),
            prompts,
            prefixes: options.prefixes.as_ref().map(|root| Prefixes::open(root, loaded, divisible)),
            vocabulary,
            free: (first..first + options.max_candidates as i32).rev().collect(),
            waiting: Queue::new(),
            running: Vec::new(),
            pace: tuned.then(|| Pace::new(Instant::now())),
            tune: false,
        })
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        loop {
            if self.waiting.is_empty() && self.running.is_empty() {
                match inbox.blocking_recv() {
                    Some(job) => self.waiting.push(job),
                    None => return,
                }
            }
            while self.waiting.len() < LOOKAHEAD
                && let Ok(job) = inbox.try_recv()
            {
                self.waiting.push(job);
            }
            self.drop_unwanted();
            self.tune_if_due();
            while let Some(job) = self.next_job() {
                self.begin(job);
            }
            if let Err(error) = self.round() {
                self.fail_all(&error);
            }
            self.finish();
        }
    }

    /// Answers the waiting jobs that were cut, and ends running ones.
    fn drop_unwanted(&mut self) {
        for job in self.waiting.take_if(|job| job.cut().is_some()) {
            let cut = job.cut().unwrap_or(Finish::Cancelled);
            let timing = Timing { queue_ms: since(job.queued), ..Timing::default() };
            job.answer(Vec::new(), &cut, Usage::default(), timing);
        }
        for running in &mut self.running {
            let Some(cut) = running.job.cut() else { continue };
            match &mut running.stage {
                Stage::Reading { slot, .. } => {
                    // What was read of it stays of use to others.
                    self.prompts.release(*slot);
                    running.timing.prefill_ms = since(running.since);
                    running.stage = Stage::Cut(cut);
                }
                Stage::Writing(lanes) => {
                    for lane in lanes.iter_mut().filter(|lane| lane.finish.is_none()) {
                        lane.finish = Some(cut.clone());
                    }
                }
                Stage::Cut(_) => {}
            }
        }
    }

    /// The next job to begin, if there is one for which there are sequences and memory.
    fn next_job(&mut self) -> Option<Job> {
        if self.tune {
            return None;
        }
        let used: u32 = self.running.iter().map(|running| running.job.cells).sum();
        // Each job at work has promised sequences to all its answers, even while its prompt is being read.
        let promised: usize = (self.running.iter())
            .filter(|running| matches!(running.stage, Stage::Reading { .. }))
            .map(|running| running.job.candidates as usize)
            .sum();
        let free = self.free.len().saturating_sub(promised);
        let (capacity, prompts, running) = (self.options.context_tokens, &self.prompts, &self.running);
        self.waiting.next(Instant::now(), |job| {
            if job.candidates as usize > free || used.saturating_add(job.cells) > capacity {
                May::NotYet
            } else if is_read_by_another(job, running, prompts) {
                May::Later
            } else {
                May::Begin
            }
        })
    }

    /// Finds a place for the prompt of `job`, and has what is known of it put there.
    fn begin(&mut self, job: Job) {
        let now = Instant::now();
        let timing = Timing { queue_ms: since(job.queued), ..Timing::default() };
        let mut usage = Usage { prompt_tokens: job.prompt.len() as u32, ..Usage::default() };
        match self.place(&job) {
            Ok(place) => {
                usage.cached_tokens = place.shared as u32;
                let stage = Stage::Reading { slot: place.slot, next: place.shared };
                let choosing = Duration::ZERO;
                let mut running = Running { job, stage, usage, timing, since: now, choosing, fault: None };
                if place.ready {
                    self.open_lanes(place.slot, &mut running);
                }
                self.running.push(running);
            }
            Err(error) => {
                tracing::error!(%error, "a prompt has no place");
                let _ = job.reply.send(Err(error));
            }
        }
    }

    /// Gives the prompt of `job` a slot and moves its beginning there from where it is known: another slot or the disk.
    fn place(&mut self, job: &Job) -> Result<Placement, ControllerError> {
        let none = || failed("there is no free place for a prompt");
        let mut place = self.prompts.place(&job.prompt).ok_or_else(none)?;
        if place.ready {
            return Ok(place);
        }
        let moved = self.move_prefix(&place);
        let known = moved.and_then(|()| self.use_saved(&job.prompt, &mut place));
        if let Err(error) = known {
            // Whatever went wrong, the slot can be emptied and the prompt read from its start.
            tracing::warn!(%error, "a known prefix could not be used");
            let emptied = self.context.kv_cache_seq_rm(place.slot as i32, None, None).map_err(memory);
            self.prompts.hold(place.slot, &[]);
            place.shared = 0;
            if let Err(error) = emptied {
                self.prompts.release(place.slot);
                return Err(error);
            }
        }
        Ok(place)
    }

    fn move_prefix(&mut self, place: &Placement) -> Result<(), ControllerError> {
        let (slot, source, shared) = (place.slot as i32, place.source as i32, place.shared as u32);
        if slot == source {
            self.context.kv_cache_seq_rm(slot, Some(shared), None).map_err(memory)?;
        } else {
            self.context.kv_cache_seq_rm(slot, None, None).map_err(memory)?;
            self.context.kv_cache_seq_cp(source, slot, Some(0), Some(shared)).map_err(memory)?;
        }
        Ok(())
    }

    /// Loads from the disk what earlier processes knew of `prompt`, if that is more than what is in `place`; and saves
    /// what is there if it has shown to be the beginning of several prompts.
    fn use_saved(&mut self, prompt: &[LlamaToken], place: &mut Placement) -> Result<(), ControllerError> {
        let Some(prefixes) = &mut self.prefixes else { return Ok(()) };
        let slot = place.slot as i32;
        let used: u32 = self.running.iter().map(|running| running.job.cells).sum();
        let room = self.options.context_tokens.saturating_sub(used) as usize;
        let saved = prefixes.longest(prompt, room);
        if let Some((entry, common)) = saved
            && common >= place.shared + WORTH_LOADING
        {
            self.context.kv_cache_seq_rm(slot, None, None).map_err(memory)?;
            self.prompts.hold(place.slot, &[]);
            place.shared = 0;
            let length = prefixes.length(entry);
            // The cells that the file asks for are made free first: loading does not do it.
            while self.prompts.idle_tokens() + length > room
                && let Some(old) = self.prompts.evict()
            {
                self.context.kv_cache_seq_rm(old as i32, None, None).map_err(memory)?;
            }
            if prefixes.load(entry, &mut self.context, slot) {
                // The last token is always read, for its logits.
                let shared = common.min(prompt.len().saturating_sub(1));
                if shared < length {
                    self.context.kv_cache_seq_rm(slot, Some(shared as u32), None).map_err(memory)?;
                }
                self.prompts.hold(place.slot, &prompt[..shared]);
                place.shared = shared;
            } else {
                self.context.kv_cache_seq_rm(slot, None, None).map_err(memory)?;
            }
        } else if place.shared >= WORTH_SAVING
            && saved.is_none_or(|(_, common)| place.shared >= common + WORTH_SAVING)
        {
            prefixes.save(&self.context, slot, &prompt[..place.shared]);
        }
        Ok(())
    }

    /// Starts the answers of a job whose prompt is in `slot`.
    fn open_lanes(&mut self, slot: usize, running: &mut Running) {
        running.timing.prefill_ms = since(running.since);
        running.since = Instant::now();
        let job = &running.job;
        let trie = self.vocabulary.tok_trie();
        let mut lanes = Vec::with_capacity(job.candidates as usize);
        for index in 0..job.candidates {
            let Some(sequence) = self.free.pop() else {
                running.fault = Some(failed("there is no free sequence for an answer"));
                break;
            };
            let mut lane = Lane::new(
                sequence,
                job.prompt.len(),
                job.matcher.clone(),
                Sampler::new(job.sampling, index),
                job.max_tokens,
                job.stop.clone(),
            );
            let copied = self.context.kv_cache_seq_cp(slot as i32, sequence, None, None).map_err(memory);
            lane.begin(&job.forced, trie);
            let chosen = copied.and_then(|()| match lane.finish {
                None => lane.choose(self.prompts.logits(slot), trie),
                Some(_) => Ok(()),
            });
            lanes.push(lane);
            if let Err(error) = chosen {
                running.fault = Some(error);
                break;
            }
        }
        running.stage = Stage::Writing(lanes);
    }

    /// Has the model read one batch, and makes the choices that follow from it.
    fn round(&mut self) -> Result<(), ControllerError> {
        self.batch.clear();
        self.rows.clear();
        self.add_lanes()?;
        let writing = self.batch.n_tokens() as usize;
        let read = self.add_prompts()?;
        let tokens = self.batch.n_tokens() as usize;
        if tokens == 0 {
            return Ok(());
        }
        let start = Instant::now();
        self.decode()?;
        if let Some(pace) = &mut self.pace
            && writing == tokens
            && pace.note(tokens, start.elapsed(), Instant::now()) == Verdict::Collapsed
        {
            tracing::warn!("the model has become much slower; its numbers of threads are measured again");
            self.tune = true;
        }
        for (at, upto) in read {
            let running = &mut self.running[at];
            if let Stage::Reading { slot, next } = &mut running.stage {
                self.prompts.extend(*slot, &running.job.prompt[*next..upto]);
                *next = upto;
            }
        }
        self.choose();
        Ok(())
    }

    /// Puts the pending tokens of all answers into the batch.
    fn add_lanes(&mut self) -> Result<(), ControllerError> {
        for (job, running) in self.running.iter_mut().enumerate() {
            let Stage::Writing(lanes) = &mut running.stage else { continue };
            for (number, lane) in lanes.iter_mut().enumerate() {
                let room = BATCH - self.batch.n_tokens() as usize;
                if lane.finish.is_some() || lane.pending.is_empty() || room == 0 {
                    continue;
                }
                let rest = lane.pending.split_off(lane.pending.len().min(room));
                let last = lane.pending.len() - 1;
                for (index, token) in lane.pending.drain(..).enumerate() {
                    let choice = rest.is_empty() && index == last;
                    self.batch.add(token, lane.position, &[lane.sequence], choice).map_err(batch)?;
                    lane.position += 1;
                }
                if rest.is_empty() {
                    self.rows.push(Row::Lane { job, lane: number, row: self.batch.n_tokens() - 1 });
                }
                lane.pending = rest;
            }
        }
        Ok(())
    }

    /// Puts as much of the prompts into the batch as there is room for, what matters most first; says up to where each
    /// job's prompt is read by it.
    fn add_prompts(&mut self) -> Result<Vec<(usize, usize)>, ControllerError> {
        let writing = self.batch.n_tokens() as usize;
        let mut room = if writing == 0 { BATCH } else { BESIDE.min(BATCH - writing) };
        let mut readers: Vec<usize> = (0..self.running.len())
            .filter(|&at| matches!(self.running[at].stage, Stage::Reading { .. }))
            .collect();
        readers.sort_by_key(|&at| std::cmp::Reverse(self.running[at].job.priority));
        let mut read = Vec::new();
        for at in readers {
            let running = &self.running[at];
            let Stage::Reading { slot, next } = running.stage else { continue };
            let prompt = &running.job.prompt;
            let upto = prompt.len().min(next + room);
            for (position, &token) in prompt.iter().enumerate().take(upto).skip(next) {
                let last = position + 1 == prompt.len();
                self.batch.add(token, position as i32, &[slot as i32], last).map_err(batch)?;
            }
            if upto == prompt.len() {
                self.rows.push(Row::Prompt { job: at, row: self.batch.n_tokens() - 1 });
            }
            room -= upto - next;
            read.push((at, upto));
            if room == 0 {
                break;
            }
        }
        Ok(read)
    }

    /// Makes the choices that the last batch led to.
    fn choose(&mut self) {
        // Lanes first: opening new ones does not touch the logits, but it takes the engine as a whole.
        for &row in &self.rows {
            let Row::Lane { job, lane, row } = row else { continue };
            let running = &mut self.running[job];
            let Stage::Writing(lanes) = &mut running.stage else { continue };
            let start = Instant::now();
            let chosen = lanes[lane].choose(self.context.get_logits_ith(row), self.vocabulary.tok_trie());
            running.choosing += start.elapsed();
            // A grammar that fails is the fault of one request, not of those beside it.
            running.fault = running.fault.take().or(chosen.err());
        }
        let whole: Vec<(usize, i32)> = (self.rows.iter())
            .filter_map(|row| match *row {
                Row::Prompt { job, row } => Some((job, row)),
                Row::Lane { .. } => None,
            })
            .collect();
        for (at, row) in whole {
            let Stage::Reading { slot, .. } = self.running[at].stage else { continue };
            self.prompts.set_logits(slot, self.context.get_logits_ith(row));
            let mut running = self.running.remove(at);
            self.open_lanes(slot, &mut running);
            self.running.insert(at, running);
        }
    }

    /// Answers the jobs that failed or have nothing left to do.
    fn finish(&mut self) {
        let (done, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(Running::is_done);
        self.running = running;
        if !done.is_empty()
            && let Err(error) = self.trim()
        {
            tracing::warn!(%error, "idle prompts could not be forgotten");
        }
        for mut running in done {
            self.close(&running);
            if matches!(running.stage, Stage::Writing(_)) {
                running.timing.decode_ms = since(running.since);
            }
            let Running { job, stage, usage, timing, choosing, fault, .. } = running;
            tracing::debug!(?usage, ?timing, ?choosing, "answered");
            match (fault, stage) {
                // Nobody may be waiting any more.
                (Some(error), _) => drop(job.reply.send(Err(error))),
                (None, Stage::Writing(lanes)) => job.answer(lanes, &Finish::Cancelled, usage, timing),
                (None, Stage::Cut(cut)) => job.answer(Vec::new(), &cut, usage, timing),
                (None, Stage::Reading { .. }) => {}
            }
        }
    }

    /// Forgets the prompts used longest ago as long as idle ones take more than their share.
    fn trim(&mut self) -> Result<(), ControllerError> {
        let share = self.options.context_tokens as usize / IDLE_SHARE;
        while self.prompts.idle_tokens() > share
            && let Some(slot) = self.prompts.evict()
        {
            self.context.kv_cache_seq_rm(slot as i32, None, None).map_err(memory)?;
        }
        Ok(())
    }

    /// Gives back what `running` holds.
    fn close(&mut self, running: &Running) {
        for lane in running.lanes() {
            // A whole sequence can always be removed.
            let _ = self.context.kv_cache_seq_rm(lane.sequence, None, None);
            self.free.push(lane.sequence);
        }
        if let Stage::Reading { slot, .. } = running.stage {
            self.prompts.release(slot);
        }
    }

    /// Tells all running jobs that the model failed, and starts afresh.
    fn fail_all(&mut self, error: &ControllerError) {
        tracing::error!(%error, "the model failed");
        for running in std::mem::take(&mut self.running) {
            self.close(&running);
            let _ = running.job.reply.send(Err(failed(error)));
        }
        self.prompts.clear();
        self.context.clear_kv_cache();
    }

    /// Has the model read the batch, forgetting old prompts until there is room.
    fn decode(&mut self) -> Result<(), ControllerError> {
        loop {
            match self.context.decode(&mut self.batch) {
                Ok(()) => return Ok(()),
                Err(error @ DecodeError::NoKvCacheSlot) => {
                    let slot = self.prompts.evict().ok_or_else(|| failed(error))?;
                    self.context.kv_cache_seq_rm(slot as i32, None, None).map_err(memory)?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Measures the numbers of threads again when that is due, which needs the model for itself.
    fn tune_if_due(&mut self) {
        let Some(pace) = &self.pace else { return };
        if !self.running.is_empty() || !(self.tune || pace.is_stale(Instant::now())) {
            return;
        }
        self.tune = false;
        match threads::fastest(self.loaded) {
            Ok(fastest) => self.use_threads(fastest),
            Err(error) => tracing::warn!(%error, "the numbers of threads could not be measured"),
        }
        let slow = self.options.threads != Some(threads::cores());
        if let Some(pace) = &mut self.pace {
            pace.restart(Instant::now(), slow);
        }
    }

    /// Goes on with other numbers of threads: in a new context, as an old one keeps its own, which is given
    /// the prompts used last.
    fn use_threads(&mut self, fastest: Threads) {
        let Threads { single, several } = fastest;
        if (self.options.threads, self.options.prefill_threads) == (Some(single), Some(several)) {
            return;
        }
        let options =
            LlamaOptions { threads: Some(single), prefill_threads: Some(several), ..self.options.clone() };
        let Ok(mut fresh) = context(self.loaded, &options) else { return };
        tracing::info!(single, several, "the numbers of threads were changed");
        let mut room = options.context_tokens as usize / 2;
        for slot in self.prompts.by_use() {
            let length = self.prompts.tokens(slot).len();
            let state = (length <= room)
                .then(|| self.context.state_seq_get(slot as i32, LlamaStateSeqFlags::empty()).ok())
                .flatten();
            if state.is_some_and(|state| fresh.state_seq_set(&state, slot as i32).is_ok()) {
                room -= length;
            } else {
                let _ = fresh.kv_cache_seq_rm(slot as i32, None, None);
                self.prompts.forget(slot);
            }
        }
        self.context = fresh;
        self.options = options;
    }
}

/// Whether the beginning of `job`'s prompt is just being read for another job, so that it need not be read twice.
fn is_read_by_another(job: &Job, running: &[Running], prompts: &PromptCache) -> bool {
    let known = prompts.longest(&job.prompt);
    running.iter().any(|other| match other.stage {
        Stage::Reading { next, .. } => {
            let common = common_length(&other.job.prompt, &job.prompt);
            next < common && common >= known + WORTH_WAITING
        }
        Stage::Writing(_) | Stage::Cut(_) => false,
    })
}

/// The memory of a model at work.
fn context<'model>(
    loaded: &'model Loaded,
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

fn failed(error: impl std::fmt::Display) -> ControllerError {
    ControllerError::Failed { reason: error.to_string() }
}

fn memory(error: impl std::fmt::Display) -> ControllerError {
    failed(format!("its memory: {error}"))
}

fn batch(error: impl std::fmt::Display) -> ControllerError {
    failed(format!("its batch: {error}"))
}
