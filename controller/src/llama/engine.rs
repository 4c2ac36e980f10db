use super::cache::{PROMPTS, PromptCache};
use super::lane::Lane;
use super::load::Loaded;
use super::options::LlamaOptions;
use super::sampler::Sampler;
use crate::{Cancel, Completion, ControllerError, Finish, Reply, Sampling, Timing, Usage};
use llama_cpp_2::DecodeError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use llguidance::Matcher;
use llguidance::toktrie::TokEnv;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// The most tokens the model reads at once. Between two batches, a second or two apart on a small machine, it
/// looks whether the work is still wanted.
const BATCH: usize = 128;
/// How many jobs are looked at before they are begun; the others wait in their queue.
const LOOKAHEAD: usize = 16;

/// A request made ready for the model.
pub(super) struct Job {
    /// The conversation, the prefill and `forced`.
    pub prompt: Vec<LlamaToken>,
    /// The tokens with which every answer begins.
    pub forced: Vec<LlamaToken>,
    /// The grammar after `forced`.
    pub matcher: Matcher,
    pub candidates: u32,
    pub sampling: Sampling,
    pub max_tokens: u32,
    pub stop: Vec<String>,
    /// How many tokens prompt and answers may have together.
    pub cells: u32,
    pub queued: Instant,
    pub deadline: Option<Instant>,
    pub cancel: Cancel,
    pub reply: oneshot::Sender<Result<Reply, ControllerError>>,
}

impl Job {
    /// Why the job is not worth going on with, if it is not.
    fn cut(&self) -> Option<Finish> {
        if self.cancel.is_cancelled() || self.reply.is_closed() {
            Some(Finish::Cancelled)
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Some(Finish::Deadline)
        } else {
            None
        }
    }

    /// Answers with `candidates`, or with empty ones that were never begun.
    fn answer(self, lanes: Vec<Lane>, cut: &Finish, usage: Usage, timing: Timing) {
        let mut candidates: Vec<Completion> = lanes.into_iter().map(Lane::completion).collect();
        let empty = Completion { text: String::new(), tokens: 0, finish: cut.clone() };
        candidates.resize(self.candidates as usize, empty);
        let completion_tokens = candidates.iter().map(|candidate| candidate.tokens).sum();
        let usage = Usage { completion_tokens, ..usage };
        // Nobody may be waiting any more.
        let _ = self.reply.send(Ok(Reply { candidates, usage, timing, cost_usd: None }));
    }
}

/// A job whose answers are being written.
struct Running {
    job: Job,
    lanes: Vec<Lane>,
    usage: Usage,
    timing: Timing,
    /// When its prompt had been read.
    begun: Instant,
    /// Of the time since then, what went into choosing tokens.
    choosing: Duration,
    /// Why it cannot be answered, if it cannot.
    fault: Option<ControllerError>,
}

/// The work of the thread that owns a model.
///
/// Each round begins what waits, as far as there is room, and then lets the model read one batch with the next
/// token of every answer at hand.
pub(super) struct Engine<'model> {
    context: LlamaContext<'model>,
    batch: LlamaBatch<'static>,
    /// Where the logits of each lane are in the last batch: job, lane, row.
    rows: Vec<(usize, usize, i32)>,
    prompts: PromptCache,
    vocabulary: TokEnv,
    /// Sequences for answers that are not in use.
    free: Vec<i32>,
    /// Tokens that can be held.
    capacity: u32,
    waiting: VecDeque<Job>,
    running: Vec<Running>,
}

impl<'model> Engine<'model> {
    pub(super) fn new(
        loaded: &'model Loaded,
        options: &LlamaOptions,
        vocabulary: TokEnv,
    ) -> Result<Self, ControllerError> {
        let sequences = PROMPTS as u32 + options.max_candidates;
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(options.context_tokens))
            .with_n_batch(BATCH as u32)
            .with_n_ubatch(BATCH as u32)
            .with_n_seq_max(sequences)
            // One memory for all sequences, so that they can share the cells of a prompt.
            .with_kv_unified(true)
            .with_n_threads(options.threads.unwrap_or(1) as i32)
            .with_n_threads_batch(options.prefill_threads.unwrap_or(1) as i32);
        let context = loaded.model.new_context(loaded.backend, params).map_err(|_| {
            let tokens = options.context_tokens;
            ControllerError::Failed { reason: format!("there is no memory for a context of {tokens} tokens") }
        })?;
        let divisible = !loaded.model.is_recurrent() && !loaded.model.is_hybrid();
        Ok(Self {
            context,
            batch: LlamaBatch::new(BATCH, 1),
            rows: Vec::new(),
            prompts: PromptCache::new(divisible),
            vocabulary,
            free: (PROMPTS as i32..sequences as i32).rev().collect(),
            capacity: options.context_tokens,
            waiting: VecDeque::new(),
            running: Vec::new(),
        })
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        loop {
            if self.waiting.is_empty() && self.running.is_empty() {
                match inbox.blocking_recv() {
                    Some(job) => self.waiting.push_back(job),
                    None => return,
                }
            }
            while self.waiting.len() < LOOKAHEAD
                && let Ok(job) = inbox.try_recv()
            {
                self.waiting.push_back(job);
            }
            self.drop_unwanted();
            while let Some(job) = self.next_that_fits() {
                self.begin(job);
            }
            if let Err(error) = self.write_on() {
                self.fail_all(&error);
            }
            self.finish();
        }
    }

    /// Answers the waiting jobs that were cut, and ends the lanes of running ones.
    fn drop_unwanted(&mut self) {
        for _ in 0..self.waiting.len() {
            if let Some(job) = self.waiting.pop_front() {
                match job.cut() {
                    Some(cut) => {
                        let timing = Timing { queue_ms: since(job.queued), ..Timing::default() };
                        job.answer(Vec::new(), &cut, Usage::default(), timing);
                    }
                    None => self.waiting.push_back(job),
                }
            }
        }
        for running in &mut self.running {
            if let Some(cut) = running.job.cut() {
                for lane in running.lanes.iter_mut().filter(|lane| lane.finish.is_none()) {
                    lane.finish = Some(cut.clone());
                }
            }
        }
    }

    /// The longest-waiting job, if there are sequences and memory for it.
    fn next_that_fits(&mut self) -> Option<Job> {
        let used: u32 = self.running.iter().map(|running| running.job.cells).sum();
        let job = self.waiting.front()?;
        let fits = job.candidates as usize <= self.free.len() && used + job.cells <= self.capacity;
        if fits { self.waiting.pop_front() } else { None }
    }

    /// Reads the prompt of `job` and chooses the first token of each of its answers.
    fn begin(&mut self, job: Job) {
        let mut timing = Timing { queue_ms: since(job.queued), ..Timing::default() };
        let start = Instant::now();
        let mut usage = Usage { prompt_tokens: job.prompt.len() as u32, ..Usage::default() };
        let read = self.read_prompt(&job, &mut usage);
        timing.prefill_ms = since(start);
        match read {
            Ok(Read::Whole(slot)) => {
                let begun = Instant::now();
                let choosing = Duration::ZERO;
                let mut running =
                    Running { job, lanes: Vec::new(), usage, timing, begun, choosing, fault: None };
                running.fault = self.open_lanes(slot, &mut running).err();
                self.running.push(running);
            }
            Ok(Read::Cut(cut)) => job.answer(Vec::new(), &cut, usage, timing),
            Err(error) => {
                self.forget_everything();
                let _ = job.reply.send(Err(error));
            }
        }
    }

    /// Has the model read what it has not read of the prompt yet.
    fn read_prompt(&mut self, job: &Job, usage: &mut Usage) -> Result<Read, ControllerError> {
        let place = self.prompts.place(&job.prompt);
        usage.cached_tokens = place.shared as u32;
        if place.ready {
            return Ok(Read::Whole(place.slot));
        }
        let (slot, source, shared) = (place.slot as i32, place.source as i32, place.shared as u32);
        if slot == source {
            self.context.kv_cache_seq_rm(slot, Some(shared), None).map_err(memory)?;
        } else {
            self.context.kv_cache_seq_rm(slot, None, None).map_err(memory)?;
            self.context.kv_cache_seq_cp(source, slot, Some(0), Some(shared)).map_err(memory)?;
        }
        let mut position = place.shared;
        for tokens in job.prompt[place.shared..].chunks(BATCH) {
            if let Some(cut) = job.cut() {
                return Ok(Read::Cut(cut));
            }
            self.batch.clear();
            for &token in tokens {
                position += 1;
                let last = position == job.prompt.len();
                self.batch.add(token, position as i32 - 1, &[slot], last).map_err(batch)?;
            }
            self.decode(Some(place.slot))?;
            self.prompts.extend(place.slot, tokens);
        }
        let logits = self.context.get_logits_ith(self.batch.n_tokens() - 1);
        self.prompts.set_logits(place.slot, logits);
        Ok(Read::Whole(place.slot))
    }

    /// Starts the answers of a job whose prompt is in `slot`.
    fn open_lanes(&mut self, slot: usize, running: &mut Running) -> Result<(), ControllerError> {
        let job = &running.job;
        let trie = self.vocabulary.tok_trie();
        for index in 0..job.candidates {
            let sequence =
                self.free.pop().ok_or_else(|| failed("there is no free sequence for an answer"))?;
            let sampler = Sampler::new(job.sampling, index);
            let mut lane = Lane::new(
                sequence,
                job.prompt.len(),
                job.matcher.clone(),
                sampler,
                job.max_tokens,
                job.stop.clone(),
            );
            self.context.kv_cache_seq_cp(slot as i32, sequence, None, None).map_err(memory)?;
            lane.begin(&job.forced, trie);
            if lane.finish.is_none() {
                lane.choose(self.prompts.logits(slot), trie)?;
            }
            running.lanes.push(lane);
        }
        Ok(())
    }

    /// Has the model read the pending tokens of all answers and chooses the next ones.
    fn write_on(&mut self) -> Result<(), ControllerError> {
        self.batch.clear();
        self.rows.clear();
        for (at, running) in self.running.iter_mut().enumerate() {
            for (number, lane) in running.lanes.iter_mut().enumerate() {
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
                    self.rows.push((at, number, self.batch.n_tokens() - 1));
                }
                lane.pending = rest;
            }
        }
        if self.batch.n_tokens() == 0 {
            return Ok(());
        }
        self.decode(None)?;
        let trie = self.vocabulary.tok_trie();
        for &(at, number, row) in &self.rows {
            let running = &mut self.running[at];
            let start = Instant::now();
            let chosen = running.lanes[number].choose(self.context.get_logits_ith(row), trie);
            running.choosing += start.elapsed();
            // A grammar that fails is the fault of one request, not of those beside it.
            running.fault = running.fault.take().or(chosen.err());
        }
        Ok(())
    }

    /// Answers the jobs that failed or all of whose lanes have ended.
    fn finish(&mut self) {
        let (done, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(|running| {
                running.fault.is_some() || running.lanes.iter().all(|lane| lane.finish.is_some())
            });
        self.running = running;
        for Running { job, lanes, usage, mut timing, begun, choosing, fault } in done {
            self.close_lanes(&lanes);
            timing.decode_ms = since(begun);
            tracing::debug!(?usage, ?timing, ?choosing, "answered");
            match fault {
                // Nobody may be waiting any more.
                Some(error) => drop(job.reply.send(Err(error))),
                None => job.answer(lanes, &Finish::Cancelled, usage, timing),
            }
        }
    }

    fn close_lanes(&mut self, lanes: &[Lane]) {
        for lane in lanes {
            // A whole sequence can always be removed.
            let _ = self.context.kv_cache_seq_rm(lane.sequence, None, None);
            self.free.push(lane.sequence);
        }
    }

    /// Tells all running jobs that the model failed, and starts afresh.
    fn fail_all(&mut self, error: &ControllerError) {
        tracing::error!(%error, "the model failed");
        for running in std::mem::take(&mut self.running) {
            self.close_lanes(&running.lanes);
            let _ = running.job.reply.send(Err(failed(error)));
        }
        self.forget_everything();
    }

    /// Forgets all prompts, and everything that no answer under way needs.
    fn forget_everything(&mut self) {
        self.prompts.clear();
        if self.running.is_empty() {
            self.context.clear_kv_cache();
        } else {
            for slot in 0..PROMPTS as i32 {
                let _ = self.context.kv_cache_seq_rm(slot, None, None);
            }
        }
    }

    /// Has the model read the batch, forgetting old prompts other than the one in `keep` until there is room.
    fn decode(&mut self, keep: Option<usize>) -> Result<(), ControllerError> {
        loop {
            match self.context.decode(&mut self.batch) {
                Ok(()) => return Ok(()),
                Err(error @ DecodeError::NoKvCacheSlot) => {
                    let slot = self.prompts.evict(keep).ok_or_else(|| failed(error))?;
                    self.context.kv_cache_seq_rm(slot as i32, None, None).map_err(memory)?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// How far the reading of a prompt came.
enum Read {
    /// To its end, in this slot.
    Whole(usize),
    /// Until it was no longer wanted.
    Cut(Finish),
}

fn since(start: Instant) -> u64 {
    start.elapsed().as_millis() as u64
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
