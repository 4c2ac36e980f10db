use super::sequence::Sequence;
use super::sight::PlacedPictures;
use crate::{
    Cancel, Completion, ControllerError, Finish, Piece, Pieces, Priority, Reply, Sampling, Timing, Usage,
};
use llama_cpp_2::token::LlamaToken;
use llguidance::Matcher;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A request, prepared for the engine.
pub(super) struct Job {
    /// Tokens of the conversation, the prefill and `forced`.
    pub prompt: Vec<LlamaToken>,
    /// The pictures among those tokens.
    pub pictures: PlacedPictures,
    /// Tokens with which every answer must start.
    pub forced: Vec<LlamaToken>,
    /// The grammar's matcher after `forced`.
    pub matcher: Matcher,
    pub candidates: u32,
    /// Texts to be scored, one per candidate; empty if answers are to be written.
    pub scored: Vec<Vec<LlamaToken>>,
    pub sampling: Sampling,
    pub max_tokens: u32,
    pub stop: Vec<String>,
    pub priority: Priority,
    /// Context tokens to reserve: the prompt and the longest answers.
    pub cells: u32,
    /// Accounting of the prompt's parts, for the reply.
    pub parts: PromptParts,
    pub queued: Instant,
    pub deadline: Option<Instant>,
    pub cancel: Cancel,
    /// Where pieces of the answers go while they are written.
    pub pieces: Option<Pieces>,
    pub reply: oneshot::Sender<Result<Reply, ControllerError>>,
}

/// Lengths of a prompt's parts, and the parts that were dropped.
#[derive(Debug, Default)]
pub(super) struct PromptParts {
    /// Length in tokens, by message and part.
    pub part_tokens: Vec<Vec<u32>>,
    /// Message and part, in the order of dropping.
    pub dropped_parts: Vec<(u32, u32)>,
}

impl Job {
    /// Why the job should end early; `None` if it should continue.
    pub(super) fn cut(&self) -> Option<Finish> {
        if self.cancel.is_cancelled() || self.reply.is_closed() {
            Some(Finish::Cancelled)
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Some(Finish::Deadline)
        } else {
            None
        }
    }

    /// Sends the reply. Candidates without a sequence get an empty answer that ends with `cut`.
    pub(super) fn answer(self, sequences: Vec<Sequence>, cut: &Finish, usage: Usage, timing: Timing) {
        if !self.scored.is_empty() {
            return self.score(&sequences, usage, timing);
        }
        let accepted_draft_tokens = sequences.iter().map(|sequence| sequence.accepted).sum();
        let mut candidates: Vec<Completion> = sequences.into_iter().map(Sequence::completion).collect();
        let empty = Completion::new(String::new(), 0, cut.clone());
        candidates.resize(self.candidates as usize, empty);
        let completion_tokens = candidates.iter().map(|candidate| candidate.tokens).sum();
        let usage = Usage { completion_tokens, accepted_draft_tokens, ..usage };
        let PromptParts { part_tokens, dropped_parts } = self.parts;
        // The caller may have stopped waiting.
        let _ = self.reply.send(Ok(Reply {
            part_tokens,
            dropped_parts,
            ..Reply::new(candidates, usage, timing)
        }));
    }

    /// Sends the scores, if every text has one.
    fn score(self, sequences: &[Sequence], usage: Usage, timing: Timing) {
        let scores = sequences.iter().map(Sequence::log_probability);
        let scores: Option<Vec<f64>> = scores.collect();
        let log_probabilities = scores.filter(|scores| scores.len() == self.scored.len()).unwrap_or_default();
        let PromptParts { part_tokens, dropped_parts } = self.parts;
        // The caller may have stopped waiting.
        let _ = self.reply.send(Ok(Reply {
            part_tokens,
            dropped_parts,
            log_probabilities,
            ..Reply::new(Vec::new(), usage, timing)
        }));
    }
}

/// A job that the engine is working on.
pub(super) struct Running {
    pub job: Job,
    /// The slot of its prompt.
    pub slot: usize,
    pub phase: Phase,
    pub usage: Usage,
    pub timing: Timing,
    /// Start of the present phase.
    pub since: Instant,
    /// The part of the decode time that was spent on choosing tokens.
    pub choosing: Duration,
    /// Why the job failed, if it did.
    pub fault: Option<ControllerError>,
}

/// Processing phases of a job.
pub(super) enum Phase {
    /// The prompt is being evaluated; `next` is the first token that is not.
    Prefill { next: usize },
    /// The answers are being decoded.
    Decode(Vec<Sequence>),
    /// The prefill was cut off for this reason.
    Cut(Finish),
}

impl Running {
    /// Whether the job can be answered now.
    pub(super) fn is_done(&self) -> bool {
        self.fault.is_some()
            || match &self.phase {
                Phase::Prefill { .. } => false,
                Phase::Decode(sequences) => sequences.iter().all(|sequence| sequence.finish.is_some()),
                Phase::Cut(_) => true,
            }
    }

    /// Sends what was written since the last call to whoever reads along.
    pub(super) fn send_pieces(&mut self) {
        let (Some(pieces), Phase::Decode(sequences)) = (&self.job.pieces, &mut self.phase) else { return };
        for (candidate, sequence) in (0..).zip(sequences) {
            if let Some(text) = sequence.take_piece() {
                // The reader may be gone; the job is cancelled then.
                let _ = pieces.send(Piece { candidate, text });
            }
        }
    }

    /// The answers; empty before the decode phase.
    pub(super) fn sequences(&self) -> &[Sequence] {
        match &self.phase {
            Phase::Decode(sequences) => sequences,
            Phase::Prefill { .. } | Phase::Cut(_) => &[],
        }
    }
}

/// Milliseconds since `start`.
pub(super) fn since(start: Instant) -> u64 {
    start.elapsed().as_millis() as u64
}
