use super::sequence::Sequence;
use crate::{Cancel, Completion, ControllerError, Finish, Priority, Reply, Sampling, Timing, Usage};
use llama_cpp_2::token::LlamaToken;
use llguidance::Matcher;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

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
    pub priority: Priority,
    /// How many tokens prompt and answers may have together.
    pub cells: u32,
    /// What the parts of the prompt came to, for the reply.
    pub parts: PromptParts,
    pub queued: Instant,
    pub deadline: Option<Instant>,
    pub cancel: Cancel,
    pub reply: oneshot::Sender<Result<Reply, ControllerError>>,
}

/// The lengths of a prompt's parts, in tokens, and which of them were left out.
#[derive(Debug, Default)]
pub(super) struct PromptParts {
    /// By message and part.
    pub part_tokens: Vec<Vec<u32>>,
    /// Message and part, in the order in which they were given up.
    pub dropped_parts: Vec<(u32, u32)>,
}

impl Job {
    /// Why the job is not worth going on with, if it is not.
    pub(super) fn cut(&self) -> Option<Finish> {
        if self.cancel.is_cancelled() || self.reply.is_closed() {
            Some(Finish::Cancelled)
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Some(Finish::Deadline)
        } else {
            None
        }
    }

    /// Answers with `sequences`, or with empty answers where none was begun.
    pub(super) fn answer(self, sequences: Vec<Sequence>, cut: &Finish, usage: Usage, timing: Timing) {
        let accepted_draft_tokens = sequences.iter().map(|sequence| sequence.guessed).sum();
        let mut candidates: Vec<Completion> = sequences.into_iter().map(Sequence::completion).collect();
        let empty = Completion { text: String::new(), tokens: 0, finish: cut.clone() };
        candidates.resize(self.candidates as usize, empty);
        let completion_tokens = candidates.iter().map(|candidate| candidate.tokens).sum();
        let usage = Usage { completion_tokens, accepted_draft_tokens, ..usage };
        let PromptParts { part_tokens, dropped_parts } = self.parts;
        // Nobody may be waiting any more.
        let _ = self.reply.send(Ok(Reply {
            part_tokens,
            dropped_parts,
            ..Reply::new(candidates, usage, timing)
        }));
    }
}

/// A job that the model is at work on.
pub(super) struct Running {
    pub job: Job,
    /// Where its prompt is, or was when the answers began.
    pub slot: usize,
    pub phase: Phase,
    pub usage: Usage,
    pub timing: Timing,
    /// When this phase began.
    pub since: Instant,
    /// Of the time of writing, what went into choosing tokens.
    pub choosing: Duration,
    /// Why it cannot be answered, if it cannot.
    pub fault: Option<ControllerError>,
}

/// How far a job has come.
pub(super) enum Phase {
    /// Its prompt is being read, up to the token `next`.
    Prefill { next: usize },
    /// Its answers are being written.
    Decode(Vec<Sequence>),
    /// Its reading was cut off.
    Cut(Finish),
}

impl Running {
    /// Whether there is nothing left to do but to answer.
    pub(super) fn is_done(&self) -> bool {
        self.fault.is_some()
            || match &self.phase {
                Phase::Prefill { .. } => false,
                Phase::Decode(sequences) => sequences.iter().all(|sequence| sequence.finish.is_some()),
                Phase::Cut(_) => true,
            }
    }

    /// The answers so far.
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
