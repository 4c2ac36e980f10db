mod round;
mod tuning;

use super::draft_model::DraftModel;
use super::job::{Job, Phase, Running, since};
use super::kv_cache::{BATCH, KvCache, failed};
use super::load::LoadedModel;
use super::options::LlamaOptions;
use super::prompt_slots::{Placement, common_length};
use super::queue::{Admission, Queue, QueueEntry};
use super::sampler::Sampler;
use super::sequence::Sequence;
use super::sight::Sight;
use super::slowdown::SlowdownDetector;
use crate::{ControllerError, Finish, PictureTokens, Priority, Timing, Usage};
use llama_cpp_2::llama_batch::LlamaBatch;
use llguidance::toktrie::TokEnv;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

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
    /// The model's projector, if it sees.
    sight: Option<Arc<Sight>>,
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
        sight: Option<Arc<Sight>>,
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
            sight,
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
        let pictures = (!job.pictures.0.is_empty()).then(|| PictureTokens::Counted(job.pictures.tokens()));
        let mut usage = Usage { prompt_tokens: job.prompt.len() as u32, pictures, ..Usage::default() };
        let used = self.reserved();
        let room = self.options.context_tokens.saturating_sub(used) as usize;
        match self.memory.place(&job.prompt, &job.pictures, room) {
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
                job.pictures.position(job.prompt.len()),
                job.matcher.clone(),
                Sampler::new(job.sampling, index),
                job.max_tokens,
                job.stop.clone(),
            );
            let shared = self.memory.share(running.slot, id);
            if let Some(text) = job.scored.get(index as usize) {
                sequence.score(text.clone());
            } else if self.options.speculate && self.memory.supports_truncation() {
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
