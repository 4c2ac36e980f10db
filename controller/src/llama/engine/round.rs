//! One round of the engine: composing a batch, evaluating it, and choosing tokens.

use super::{Engine, Row};
use crate::ControllerError;
use crate::llama::job::{Phase, Running};
use crate::llama::kv_cache::{BATCH, failed};
use crate::llama::sequence::{Sequence, Speculator};
use crate::llama::slowdown::Speed;
use std::time::{Duration, Instant};

/// Largest number of prompt tokens per batch while more urgent answers are decoded, as these wait for the
/// whole batch. Answers of equal or lower priority gain nothing from small batches: the prefill takes the
/// same time in total.
const MAX_BACKGROUND_PREFILL: usize = 64;
/// llama.cpp's kernels process this many tokens at once. A batch of fewer takes as long, except for a single
/// token.
const KERNEL_BATCH: usize = 4;
impl Engine<'_> {
    /// Evaluates one batch and chooses the tokens that follow from it.
    pub(super) fn round(&mut self) -> Result<(), ControllerError> {
        self.batch.clear();
        self.rows.clear();
        self.show_picture();
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
        self.running.iter_mut().for_each(Running::send_pieces);
        self.note_draft_speed(single, took);
        Ok(())
    }

    /// Evaluates the next picture of a prompt, of the highest priority: one a round, because all answers wait for it.
    fn show_picture(&mut self) {
        let due = |running: &Running| {
            let Phase::Prefill { next } = running.phase else { return None };
            running.job.pictures.at(next).map(|_| next)
        };
        let found = (0..self.running.len()).filter_map(|at| Some((at, due(&self.running[at])?)));
        let Some((at, next)) =
            found.max_by_key(|(at, _)| (self.running[*at].job.priority, std::cmp::Reverse(*at)))
        else {
            return;
        };
        let running = &mut self.running[at];
        let (Some(picture), Some(sight)) = (running.job.pictures.at(next), &self.sight) else { return };
        let position = running.job.pictures.position(next);
        match self.memory.show(sight, picture, position, running.slot) {
            Ok(()) => running.phase = Phase::Prefill { next: picture.end() },
            Err(error) => running.fault = Some(error),
        }
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
            if running.fault.is_some() {
                continue;
            }
            if writers.is_some_and(|writer| writer > running.job.priority) {
                room = room.min(MAX_BACKGROUND_PREFILL);
            }
            let prompt = &running.job.prompt;
            let pictures = &running.job.pictures;
            let upto = pictures.text_until(next, prompt.len()).min(next + room);
            if upto == next {
                continue;
            }
            let begin = pictures.position(next);
            for (index, &token) in prompt.iter().enumerate().take(upto).skip(next) {
                let last = index + 1 == prompt.len();
                let position = begin + (index - next) as i32;
                self.batch.add(token, position, &[running.slot as i32], last).map_err(batch)?;
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
}

fn batch(error: impl std::fmt::Display) -> ControllerError {
    failed(format!("llama.cpp rejected a batch: {error}"))
}
