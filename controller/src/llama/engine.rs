use super::draft_model::DraftModel;
use super::job::{Job, Phase, Running, since};
use super::kv_cache::{BATCH, KvCache, failed};
use super::load::LoadedModel;
use super::options::LlamaOptions;
use super::prompt_slots::{Placement, common_length};
use super::queue::{Admission, Queue, QueueEntry};
use super::sampler::Sampler;
use super::sequence::{Sequence, Speculator};
use super::slowdown::{SlowdownDetector, Speed};
use super::threads::{self, Threads};
use crate::{ControllerError, Finish, Priority, Timing, Usage};
use llama_cpp_2::llama_batch::LlamaBatch;
use llguidance::toktrie::TokEnv;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Largest number of prompt tokens per batch while more urgent answers are decoded, as these wait for the
/// whole batch. Answers of equal or lower priority gain nothing from small batches: the prefill takes the
/// same time in total.
const MAX_BACKGROUND_PREFILL: usize = 64;
/// llama.cpp's kernels process this many tokens at once. A batch of fewer takes as long, except for a single
/// token.
const KERNEL_BATCH: usize = 4;
/// Number of jobs in the scheduling queue; further ones wait in their channel.
const LOOKAHEAD: usize = 64;
/// A job is deferred if a prompt in prefill shares this many more tokens with it than any cached prompt.
const MIN_SHARED_TO_DEFER: usize = 32;

/// A row of the last batch whose logits determine the next token.
#[derive(Debug, Clone, Copy)]
enum Row {
    /// The next token of a sequence. Rows from `proposal` on follow the proposed tokens.
    Sequence { job: usize, sequence: usize, row: i32, proposal: i32 },
    /// The first token after a job's prompt.
    Prompt { job: usize, row: i32 },
}

/// The scheduler of one model (continuous batching), run by the thread that owns the model.
///
/// Each round starts queued jobs as far as context and sequences allow. It then evaluates one batch: the next
/// token of every active answer, and pieces of the prompts in prefill.
pub(super) struct Engine<'model> {
    loaded: &'model LoadedModel,
    options: LlamaOptions,
    memory: KvCache<'model>,
    /// The draft model for speculative decoding, if configured.
    draft: Option<DraftModel<'model>>,
    batch: LlamaBatch<'static>,
    rows: Vec<Row>,
    vocabulary: TokEnv,
    /// Ids of unused llama.cpp sequences for answers.
    free: Vec<i32>,
    waiting: Queue<Job>,
    running: Vec<Running>,
    /// Present if the numbers of threads were chosen by measurement.
    slowdown: Option<SlowdownDetector>,
    /// Whether to measure the numbers of threads again once no job is active.
    tune: bool,
}

impl QueueEntry for Job {
    fn priority(&self) -> Priority {
        self.priority
    }

    fn since(&self) -> Instant {
        self.queued
    }
}

impl<'model> Engine<'model> {
    /// Creates an engine. `options` are settled, `small` is the draft model, and `tuned` says that the
    /// numbers of threads were measured.
    pub(super) fn new(
        loaded: &'model LoadedModel,
        small: Option<&'model LoadedModel>,
        options: &LlamaOptions,
        tuned: bool,
        vocabulary: TokEnv,
    ) -> Result<Self, ControllerError> {
        let memory = KvCache::new(loaded, options)?;
        let first = memory.first_free();
        Ok(Self {
            loaded,
            options: options.clone(),
            memory,
            draft: small.map(|small| DraftModel::new(small, options)).transpose()?,
            batch: LlamaBatch::new(BATCH, 1),
            rows: Vec::new(),
            vocabulary,
            free: (first..first + options.max_candidates as i32).rev().collect(),
            waiting: Queue::new(),
            running: Vec::new(),
            slowdown: tuned.then(|| SlowdownDetector::new(Instant::now())),
            tune: false,
        })
    }

    /// Runs until the channel is closed and all jobs are answered.
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
            self.end_cancelled();
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

    /// Answers queued jobs that were cancelled or timed out, and ends active ones.
    fn end_cancelled(&mut self) {
        for job in self.waiting.take_if(|job| job.cut().is_some()) {
            let cut = job.cut().unwrap_or(Finish::Cancelled);
            let timing = Timing { queue_ms: since(job.queued), ..Timing::default() };
            job.answer(Vec::new(), &cut, Usage::default(), timing);
        }
        for running in &mut self.running {
            let Some(cut) = running.job.cut() else { continue };
            match &mut running.phase {
                Phase::Prefill { .. } => {
                    self.memory.end_prefill(running.slot);
                    running.timing.prefill_ms = since(running.since);
                    running.phase = Phase::Cut(cut);
                }
                Phase::Decode(sequences) => {
                    for sequence in sequences.iter_mut().filter(|sequence| sequence.finish.is_none()) {
                        sequence.finish = Some(cut.clone());
                    }
                }
                Phase::Cut(_) => {}
            }
        }
    }

    /// Number of context tokens that active jobs may use at most.
    fn reserved(&self) -> u32 {
        self.running.iter().map(|running| running.job.cells).sum()
    }

    /// Takes the next job that fits into the remaining sequences and context.
    fn next_job(&mut self) -> Option<Job> {
        if self.tune {
            return None;
        }
        let used = self.reserved();
        // Jobs in prefill have reserved sequences that they do not hold yet.
        let reserved: usize = (self.running.iter())
            .filter(|running| matches!(running.phase, Phase::Prefill { .. }))
            .map(|running| running.job.candidates as usize)
            .sum();
        let free = self.free.len().saturating_sub(reserved);
        let (capacity, memory, running) = (self.options.context_tokens, &self.memory, &self.running);
        self.waiting.next(Instant::now(), |job| {
            if job.candidates as usize > free || used.saturating_add(job.cells) > capacity {
                Admission::Block
            } else if shares_running_prefill(job, running, memory) {
                Admission::Defer
            } else {
                Admission::Start
            }
        })
    }

    /// Assigns a slot to the job's prompt, with its cached prefix.
    fn begin(&mut self, job: Job) {
        let now = Instant::now();
        let timing = Timing { queue_ms: since(job.queued), ..Timing::default() };
        let mut usage = Usage { prompt_tokens: job.prompt.len() as u32, ..Usage::default() };
        let used = self.reserved();
        let room = self.options.context_tokens.saturating_sub(used) as usize;
        match self.memory.place(&job.prompt, room) {
            Ok(Placement { slot, shared, ready, .. }) => {
                usage.cached_tokens = shared as u32;
                let phase = Phase::Prefill { next: shared };
                let choosing = Duration::ZERO;
                let mut running =
                    Running { job, slot, phase, usage, timing, since: now, choosing, fault: None };
                if ready {
                    self.open_sequences(&mut running);
                }
                self.running.push(running);
            }
            Err(error) => {
                tracing::error!(%error, "cannot place a prompt in the KV cache");
                let _ = job.reply.send(Err(error));
            }
        }
    }

    /// Starts the answers of a job after its prefill.
    fn open_sequences(&mut self, running: &mut Running) {
        running.timing.prefill_ms = since(running.since);
        running.since = Instant::now();
        let job = &running.job;
        let trie = self.vocabulary.tok_trie();
        let mut sequences = Vec::with_capacity(job.candidates as usize);
        for index in 0..job.candidates {
            let Some(id) = self.free.pop() else {
                running.fault = Some(failed("no llama.cpp sequence is free for an answer"));
                break;
            };
            let mut sequence = Sequence::new(
                id,
                job.prompt.len(),
                job.matcher.clone(),
                Sampler::new(job.sampling, index),
                job.max_tokens,
                job.stop.clone(),
            );
            let shared = self.memory.share(running.slot, id);
            if self.options.speculate && self.memory.supports_truncation() {
                sequence.enable_speculation(&job.prompt[..job.prompt.len() - job.forced.len()]);
                sequence.drafted =
                    job.candidates == 1 && self.draft.as_mut().is_some_and(|draft| draft.speeds().choose());
            }
            sequence.begin(&job.forced, trie);
            let chosen = shared.and_then(|()| match sequence.finish {
                None => sequence.choose(self.memory.logits(running.slot), trie),
                Some(_) => Ok(()),
            });
            sequences.push(sequence);
            if let Err(error) = chosen {
                running.fault = Some(error);
                break;
            }
        }
        running.phase = Phase::Decode(sequences);
    }

    /// Evaluates one batch and chooses the tokens that follow from it.
    fn round(&mut self) -> Result<(), ControllerError> {
        self.batch.clear();
        self.rows.clear();
        let start = Instant::now();
        self.add_sequences()?;
        self.add_speculation()?;
        let writing = self.batch.n_tokens() as usize;
        let read = self.add_prompts()?;
        let tokens = self.batch.n_tokens() as usize;
        if tokens == 0 {
            return Ok(());
        }
        let reading = Instant::now();
        self.memory.decode(&mut self.batch)?;
        let took = start.elapsed();
        if let Some(slowdown) = &mut self.slowdown
            && writing == tokens
            && slowdown.note(tokens, reading.elapsed(), Instant::now()) == Speed::Collapsed
        {
            tracing::warn!("the model has become much slower; measuring the numbers of threads again");
            self.tune = true;
        }
        for (at, upto) in read {
            let running = &mut self.running[at];
            if let Phase::Prefill { next } = &mut running.phase {
                self.memory.extend(running.slot, &running.job.prompt[*next..upto]);
                *next = upto;
            }
        }
        let single = if writing == tokens { self.single().map(|sequence| sequence.position) } else { None };
        self.choose();
        self.note_draft_speed(single, took);
        Ok(())
    }

    /// The answer that was evaluated alone in the last batch, if only one was.
    fn single(&self) -> Option<&Sequence> {
        let &[Row::Sequence { job, sequence, row: 0, .. }] = &self.rows[..] else { return None };
        self.running.get(job)?.sequences().get(sequence)
    }

    /// Records the speed of an answer that was decoded alone. `single` is its position before the batch.
    fn note_draft_speed(&mut self, single: Option<i32>, took: Duration) {
        let (Some(before), Some(sequence)) = (single, self.single()) else { return };
        let (source, accepted) = (sequence.proposed_by, sequence.position - before);
        if let Some(draft) = &mut self.draft
            && source != Some(Speculator::PromptLookup)
        {
            draft.speeds().note(
                source == Some(Speculator::DraftModel),
                1 + accepted.unsigned_abs() as usize,
                took,
            );
        }
    }

    /// Adds the pending tokens of all answers to the batch.
    fn add_sequences(&mut self) -> Result<(), ControllerError> {
        for (job, running) in self.running.iter_mut().enumerate() {
            let Phase::Decode(sequences) = &mut running.phase else { continue };
            for (number, sequence) in sequences.iter_mut().enumerate() {
                let room = BATCH - self.batch.n_tokens() as usize;
                if sequence.finish.is_some() || sequence.pending.is_empty() || room == 0 {
                    continue;
                }
                let rest = sequence.pending.split_off(sequence.pending.len().min(room));
                let last = sequence.pending.len() - 1;
                for (index, token) in sequence.pending.drain(..).enumerate() {
                    let choice = rest.is_empty() && index == last;
                    self.batch.add(token, sequence.position, &[sequence.id], choice).map_err(batch)?;
                    sequence.position += 1;
                }
                if rest.is_empty() {
                    let row = self.batch.n_tokens() - 1;
                    self.rows.push(Row::Sequence { job, sequence: number, row, proposal: row + 1 });
                }
                sequence.pending = rest;
            }
        }
        Ok(())
    }

    /// Fills the batch up to the kernel size with proposed tokens.
    fn add_speculation(&mut self) -> Result<(), ControllerError> {
        let writing = self.batch.n_tokens() as usize;
        let used = self.reserved();
        if writing.is_multiple_of(KERNEL_BATCH) || used + KERNEL_BATCH as u32 > self.options.context_tokens {
            return Ok(());
        }
        let mut room = KERNEL_BATCH - writing % KERNEL_BATCH;
        for row in &mut self.rows {
            let Row::Sequence { job, sequence, proposal, .. } = row else { continue };
            let Phase::Decode(sequences) = &mut self.running[*job].phase else { continue };
            let sequence = &mut sequences[*sequence];
            *proposal = self.batch.n_tokens();
            let (id, position) = (sequence.id, sequence.position);
            let proposal = sequence.propose(room, writing == 1, self.draft.as_mut())?;
            for (position, &token) in (position..).zip(proposal) {
                self.batch.add(token, position, &[id], true).map_err(batch)?;
            }
            room -= proposal.len();
            if room == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Adds prompt tokens to the batch, highest priority first. Returns the active jobs affected, each with
    /// the new end of its prefill.
    fn add_prompts(&mut self) -> Result<Vec<(usize, usize)>, ControllerError> {
        let writing = self.batch.n_tokens() as usize;
        let writers = (self.running.iter())
            .filter(|running| matches!(running.phase, Phase::Decode(_)))
            .map(|running| running.job.priority)
            .max();
        let mut room = BATCH - writing;
        let mut readers: Vec<usize> = (0..self.running.len())
            .filter(|&at| matches!(self.running[at].phase, Phase::Prefill { .. }))
            .collect();
        readers.sort_by_key(|&at| std::cmp::Reverse(self.running[at].job.priority));
        let mut read = Vec::new();
        for at in readers {
            let running = &self.running[at];
            let Phase::Prefill { next } = running.phase else { continue };
            if writers.is_some_and(|writer| writer > running.job.priority) {
                room = room.min(MAX_BACKGROUND_PREFILL);
            }
            let prompt = &running.job.prompt;
            let upto = prompt.len().min(next + room);
            for (position, &token) in prompt.iter().enumerate().take(upto).skip(next) {
                let last = position + 1 == prompt.len();
                self.batch.add(token, position as i32, &[running.slot as i32], last).map_err(batch)?;
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

    /// Chooses tokens by the logits of the last batch.
    fn choose(&mut self) {
        // Existing sequences first: opening new ones needs the whole engine mutably.
        for &row in &self.rows {
            let Row::Sequence { job, sequence, row, proposal } = row else { continue };
            let running = &mut self.running[job];
            let Phase::Decode(sequences) = &mut running.phase else { continue };
            let sequence = &mut sequences[sequence];
            let start = Instant::now();
            let (memory, trie) = (&self.memory, self.vocabulary.tok_trie());
            let after = |accepted: usize| match accepted {
                0 => memory.row(row),
                _ => memory.row(proposal + accepted as i32 - 1),
            };
            let chosen = sequence.verify_speculation(after, trie);
            let chosen =
                chosen.and_then(
                    |wrong| {
                        if wrong { self.memory.cut(sequence.id, sequence.position) } else { Ok(()) }
                    },
                );
            running.choosing += start.elapsed();
            // A grammar error fails only the request it belongs to.
            running.fault = running.fault.take().or(chosen.err());
        }
        let whole: Vec<(usize, i32)> = (self.rows.iter())
            .filter_map(|row| match *row {
                Row::Prompt { job, row } => Some((job, row)),
                Row::Sequence { .. } => None,
            })
            .collect();
        for (at, row) in whole {
            if !matches!(self.running[at].phase, Phase::Prefill { .. }) {
                continue;
            }
            let mut running = self.running.remove(at);
            self.memory.end(running.slot, row);
            self.open_sequences(&mut running);
            self.running.insert(at, running);
        }
    }

    /// Answers the jobs that are done or failed.
    fn finish(&mut self) {
        let (done, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(Running::is_done);
        self.running = running;
        for mut running in done {
            self.close(&running);
            if matches!(running.phase, Phase::Decode(_)) {
                running.timing.decode_ms = since(running.since);
            }
            let Running { job, phase, usage, timing, choosing, fault, .. } = running;
            tracing::debug!(?usage, ?timing, ?choosing, "answered");
            match (fault, phase) {
                // The caller may have stopped waiting.
                (Some(error), _) => drop(job.reply.send(Err(error))),
                (None, Phase::Decode(sequences)) => job.answer(sequences, &Finish::Cancelled, usage, timing),
                (None, Phase::Cut(cut)) => job.answer(Vec::new(), &cut, usage, timing),
                (None, Phase::Prefill { .. }) => {}
            }
        }
    }

    /// Releases the sequences and the slot of an active job.
    fn close(&mut self, running: &Running) {
        for sequence in running.sequences() {
            // Removing a whole sequence always succeeds.
            let _ = self.memory.remove(sequence.id);
            self.free.push(sequence.id);
        }
        if let Phase::Prefill { .. } = running.phase {
            self.memory.end_prefill(running.slot);
        }
        self.memory.release(running.slot);
    }

    /// Fails all active jobs and clears the KV cache.
    fn fail_all(&mut self, error: &ControllerError) {
        tracing::error!(%error, "the model failed");
        for running in std::mem::take(&mut self.running) {
            self.close(&running);
            let _ = running.job.reply.send(Err(failed(error)));
        }
        self.memory.clear();
    }

    /// Measures the numbers of threads again when due. The model must be idle.
    fn tune_if_due(&mut self) {
        let Some(slowdown) = &self.slowdown else { return };
        if !self.running.is_empty() || !(self.tune || slowdown.is_stale(Instant::now())) {
            return;
        }
        self.tune = false;
        match threads::fastest(self.loaded) {
            Ok(fastest) => self.use_threads(fastest),
            Err(error) => tracing::warn!(%error, "cannot measure the numbers of threads"),
        }
        let slow = self.options.threads != Some(threads::cores());
        if let Some(slowdown) = &mut self.slowdown {
            slowdown.restart(Instant::now(), slow);
        }
    }

    /// Creates new contexts with other numbers of threads.
    fn use_threads(&mut self, fastest: Threads) {
        let Threads { single, several } = fastest;
        if (self.options.threads, self.options.prefill_threads) == (Some(single), Some(several)) {
            return;
        }
        let options =
            LlamaOptions { threads: Some(single), prefill_threads: Some(several), ..self.options.clone() };
        let drafting = self.draft.as_mut().map(|draft| draft.renew(&options)).transpose();
        match drafting.and_then(|_| self.memory.renew(&options)) {
            Ok(()) => {
                tracing::info!(single, several, "changed the numbers of threads");
                self.options = options;
            }
            Err(error) => tracing::warn!(%error, "cannot change the numbers of threads"),
        }
    }
}

/// Whether another job's prefill is computing a prefix that this job's prompt shares.
fn shares_running_prefill(job: &Job, running: &[Running], memory: &KvCache<'_>) -> bool {
    let known = memory.longest_prefix(&job.prompt);
    running.iter().any(|other| match other.phase {
        Phase::Prefill { next } => {
            let common = common_length(&other.job.prompt, &job.prompt);
            next < common && common >= known + MIN_SHARED_TO_DEFER
        }
        Phase::Decode(_) | Phase::Cut(_) => false,
    })
}

fn batch(error: impl std::fmt::Display) -> ControllerError {
    failed(format!("llama.cpp rejected a batch: {error}"))
}
