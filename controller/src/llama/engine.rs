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

/// The most tokens of prompts that are read at once while more urgent answers are being written, which wait for the whole
/// batch. Answers that are no more urgent gain nothing by small batches: reading the prompt takes its time all the same.
const BESIDE: usize = 64;
/// The kernels of llama.cpp take so many tokens together: fewer take as long, but for a single one.
const TOGETHER: usize = 4;
/// How many jobs are looked at before they are begun; the others wait in their channel.
const LOOKAHEAD: usize = 64;
/// A prompt that has so many more tokens in common with one being read than with all that were read waits for it.
const WORTH_WAITING: usize = 32;

/// Where in the last batch a choice is to be made.
#[derive(Debug, Clone, Copy)]
enum Row {
    /// The next token of this sequence of this job, and from `guess` on what comes after each token of its guess.
    Sequence { job: usize, sequence: usize, row: i32, guess: i32 },
    /// The first token after the prompt of this job.
    Prompt { job: usize, row: i32 },
}

/// The work of the thread that owns a model.
///
/// Each round begins what waits, as far as there is room, and then lets the model read one batch: the next token of
/// every answer at hand, and as much as fits of the prompts that are being read.
pub(super) struct Engine<'model> {
    loaded: &'model LoadedModel,
    options: LlamaOptions,
    memory: KvCache<'model>,
    /// A smaller model that guesses what this one says, if there is one.
    draft: Option<DraftModel<'model>>,
    batch: LlamaBatch<'static>,
    rows: Vec<Row>,
    vocabulary: TokEnv,
    /// Sequences for answers that are not in use.
    free: Vec<i32>,
    waiting: Queue<Job>,
    running: Vec<Running>,
    /// Watches the speed, where the numbers of threads are ours to choose.
    slowdown: Option<SlowdownDetector>,
    /// Whether the numbers of threads are to be measured again as soon as nothing is under way.
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
    /// An engine with `options` that are settled, for which the model `small` may guess; `tuned` says that the numbers of threads were measured.
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

    /// How many tokens the jobs at work may come to together.
    fn promised(&self) -> u32 {
        self.running.iter().map(|running| running.job.cells).sum()
    }

    /// The next job to begin, if there is one for which there are sequences and memory.
    fn next_job(&mut self) -> Option<Job> {
        if self.tune {
            return None;
        }
        let used = self.promised();
        // Each job at work has promised sequences to all its answers, even while its prompt is being read.
        let promised: usize = (self.running.iter())
            .filter(|running| matches!(running.phase, Phase::Prefill { .. }))
            .map(|running| running.job.candidates as usize)
            .sum();
        let free = self.free.len().saturating_sub(promised);
        let (capacity, memory, running) = (self.options.context_tokens, &self.memory, &self.running);
        self.waiting.next(Instant::now(), |job| {
            if job.candidates as usize > free || used.saturating_add(job.cells) > capacity {
                Admission::Block
            } else if is_read_by_another(job, running, memory) {
                Admission::Defer
            } else {
                Admission::Start
            }
        })
    }

    /// Finds a place for the prompt of `job`, and has what is known of it put there.
    fn begin(&mut self, job: Job) {
        let now = Instant::now();
        let timing = Timing { queue_ms: since(job.queued), ..Timing::default() };
        let mut usage = Usage { prompt_tokens: job.prompt.len() as u32, ..Usage::default() };
        let used = self.promised();
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
                tracing::error!(%error, "a prompt has no place");
                let _ = job.reply.send(Err(error));
            }
        }
    }

    /// Starts the answers of a job whose prompt was read.
    fn open_sequences(&mut self, running: &mut Running) {
        running.timing.prefill_ms = since(running.since);
        running.since = Instant::now();
        let job = &running.job;
        let trie = self.vocabulary.tok_trie();
        let mut sequences = Vec::with_capacity(job.candidates as usize);
        for index in 0..job.candidates {
            let Some(sequence) = self.free.pop() else {
                running.fault = Some(failed("there is no free sequence for an answer"));
                break;
            };
            let mut sequence = Sequence::new(
                sequence,
                job.prompt.len(),
                job.matcher.clone(),
                Sampler::new(job.sampling, index),
                job.max_tokens,
                job.stop.clone(),
            );
            let shared = self.memory.share(running.slot, sequence);
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

    /// Has the model read one batch, and makes the choices that follow from it.
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
            tracing::warn!("the model has become much slower; its numbers of threads are measured again");
            self.tune = true;
        }
        for (at, upto) in read {
            let running = &mut self.running[at];
            if let Phase::Prefill { next } = &mut running.phase {
                self.memory.extend(running.slot, &running.job.prompt[*next..upto]);
                *next = upto;
            }
        }
        let alone = if writing == tokens { self.alone().map(|sequence| sequence.position) } else { None };
        self.choose();
        self.note_draft_speed(alone, took);
        Ok(())
    }

    /// The answer that the last batch was for, if it was for a single one and for no more than its next token.
    fn alone(&self) -> Option<&Sequence> {
        let &[Row::Sequence { job, sequence, row: 0, .. }] = &self.rows[..] else { return None };
        self.running.get(job)?.sequences().get(sequence)
    }

    /// Takes note of what the last batch brought to the answer that it was for `alone`, if there is somebody to draft.
    fn note_draft_speed(&mut self, alone: Option<i32>, took: Duration) {
        let (Some(before), Some(sequence)) = (alone, self.alone()) else { return };
        let (guesser, right) = (sequence.speculated_by, sequence.position - before);
        if let Some(draft) = &mut self.draft
            && guesser != Some(Speculator::PromptLookup)
        {
            draft.speeds().note(
                guesser == Some(Speculator::DraftModel),
                1 + right.unsigned_abs() as usize,
                took,
            );
        }
    }

    /// Puts the pending tokens of all answers into the batch.
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
                    self.batch.add(token, sequence.position, &[sequence.sequence], choice).map_err(batch)?;
                    sequence.position += 1;
                }
                if rest.is_empty() {
                    let row = self.batch.n_tokens() - 1;
                    self.rows.push(Row::Sequence { job, sequence: number, row, guess: row + 1 });
                }
                sequence.pending = rest;
            }
        }
        Ok(())
    }

    /// Fills the places of the batch that cost nothing or little with guesses of what the answers say next.
    fn add_speculation(&mut self) -> Result<(), ControllerError> {
        let writing = self.batch.n_tokens() as usize;
        let used = self.promised();
        if writing.is_multiple_of(TOGETHER) || used + TOGETHER as u32 > self.options.context_tokens {
            return Ok(());
        }
        let mut room = TOGETHER - writing % TOGETHER;
        for row in &mut self.rows {
            let Row::Sequence { job, sequence, guess, .. } = row else { continue };
            let Phase::Decode(sequences) = &mut self.running[*job].phase else { continue };
            let sequence = &mut sequences[*sequence];
            *guess = self.batch.n_tokens();
            let (sequence, position) = (sequence.sequence, sequence.position);
            let made = sequence.guess(room, writing == 1, self.draft.as_mut())?;
            for (position, &token) in (position..).zip(made) {
                self.batch.add(token, position, &[sequence], true).map_err(batch)?;
            }
            room -= made.len();
            if room == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Puts as much of the prompts into the batch as there is room for, what matters most first; says up to where each
    /// job's prompt is read by it.
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
                room = room.min(BESIDE);
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

    /// Makes the choices that the last batch led to.
    fn choose(&mut self) {
        // Sequences first: opening new ones does not touch the logits, but it takes the engine as a whole.
        for &row in &self.rows {
            let Row::Sequence { job, sequence, row, guess } = row else { continue };
            let running = &mut self.running[job];
            let Phase::Decode(sequences) = &mut running.phase else { continue };
            let sequence = &mut sequences[sequence];
            let start = Instant::now();
            let (memory, trie) = (&self.memory, self.vocabulary.tok_trie());
            let after = |guessed: usize| match guessed {
                0 => memory.row(row),
                _ => memory.row(guess + guessed as i32 - 1),
            };
            let chosen = sequence.verify_speculation(after, trie);
            let chosen = chosen.and_then(|wrong| {
                if wrong { self.memory.cut(sequence.sequence, sequence.position) } else { Ok(()) }
            });
            running.choosing += start.elapsed();
            // A grammar that fails is the fault of one request, not of those beside it.
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

    /// Answers the jobs that failed or have nothing left to do.
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
                // Nobody may be waiting any more.
                (Some(error), _) => drop(job.reply.send(Err(error))),
                (None, Phase::Decode(sequences)) => job.answer(sequences, &Finish::Cancelled, usage, timing),
                (None, Phase::Cut(cut)) => job.answer(Vec::new(), &cut, usage, timing),
                (None, Phase::Prefill { .. }) => {}
            }
        }
    }

    /// Gives back what `running` holds.
    fn close(&mut self, running: &Running) {
        for sequence in running.sequences() {
            // A whole sequence can always be removed.
            let _ = self.memory.remove(sequence.sequence);
            self.free.push(sequence.sequence);
        }
        if let Phase::Prefill { .. } = running.phase {
            self.memory.end_prefill(running.slot);
        }
        self.memory.release(running.slot);
    }

    /// Tells all running jobs that the model failed, and starts afresh.
    fn fail_all(&mut self, error: &ControllerError) {
        tracing::error!(%error, "the model failed");
        for running in std::mem::take(&mut self.running) {
            self.close(&running);
            let _ = running.job.reply.send(Err(failed(error)));
        }
        self.memory.clear();
    }

    /// Measures the numbers of threads again when that is due, which needs the model for itself.
    fn tune_if_due(&mut self) {
        let Some(slowdown) = &self.slowdown else { return };
        if !self.running.is_empty() || !(self.tune || slowdown.is_stale(Instant::now())) {
            return;
        }
        self.tune = false;
        match threads::fastest(self.loaded) {
            Ok(fastest) => self.use_threads(fastest),
            Err(error) => tracing::warn!(%error, "the numbers of threads could not be measured"),
        }
        let slow = self.options.threads != Some(threads::cores());
        if let Some(slowdown) = &mut self.slowdown {
            slowdown.restart(Instant::now(), slow);
        }
    }

    /// Goes on with other numbers of threads.
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
                tracing::info!(single, several, "the numbers of threads were changed");
                self.options = options;
            }
            Err(error) => tracing::warn!(%error, "the numbers of threads could not be changed"),
        }
    }
}

/// Whether the beginning of `job`'s prompt is just being read for another job, so that it need not be read twice.
fn is_read_by_another(job: &Job, running: &[Running], memory: &KvCache<'_>) -> bool {
    let known = memory.longest(&job.prompt);
    running.iter().any(|other| match other.phase {
        Phase::Prefill { next } => {
            let common = common_length(&other.job.prompt, &job.prompt);
            next < common && common >= known + WORTH_WAITING
        }
        Phase::Decode(_) | Phase::Cut(_) => false,
    })
}

fn batch(error: impl std::fmt::Display) -> ControllerError {
    failed(format!("its batch: {error}"))
}
