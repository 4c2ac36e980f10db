use crate::{Cancel, Controller, ControllerError, ModelInfo, Reply, Request};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// A request with its outcome, as the log stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// [`Request::digest`] of the request.
    pub request: String,
    /// The reply, or the error message.
    pub answer: Result<Reply, String>,
}

/// Returns recorded replies in order, and rejects any request that was not recorded next.
///
/// Replay uses it with the replies of the log, tests with scripted replies.
#[derive(Debug)]
pub struct RecordedController {
    model: ModelInfo,
    playback: Mutex<Playback>,
}

#[derive(Debug)]
struct Playback {
    /// Index of the next recording.
    position: usize,
    /// Recordings that were not requested yet.
    rest: VecDeque<Recording>,
}

impl RecordedController {
    /// Replays `recordings` under the name of `model`.
    pub fn new(model: ModelInfo, recordings: impl IntoIterator<Item = Recording>) -> Self {
        let playback = Playback { position: 0, rest: recordings.into_iter().collect() };
        Self { model, playback: Mutex::new(playback) }
    }

    /// Number of recordings that were not requested yet.
    pub fn remaining(&self) -> usize {
        self.playback.lock().unwrap_or_else(PoisonError::into_inner).rest.len()
    }
}

#[async_trait]
impl Controller for RecordedController {
    fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// The recorded answers of a teacher are among the others.
    fn teacher(&self) -> Option<&ModelInfo> {
        Some(&self.model)
    }

    /// # Errors
    /// [`ControllerError::Diverged`] if `request` is not the next recorded one; the position is kept.
    /// [`ControllerError::Recorded`] if the recording is an error.
    async fn complete(&self, request: &Request, _cancel: &Cancel) -> Result<Reply, ControllerError> {
        let got = request.digest();
        let mut playback = self.playback.lock().unwrap_or_else(PoisonError::into_inner);
        match playback.rest.pop_front() {
            Some(next) if next.request == got => {
                playback.position += 1;
                next.answer.map_err(|reason| ControllerError::Recorded { reason })
            }
            other => {
                let expected = other.as_ref().map(|next| next.request.clone());
                if let Some(next) = other {
                    playback.rest.push_front(next);
                }
                Err(ControllerError::Diverged { position: playback.position, expected, got })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Completion, Constraint, Finish, Message, Timing, Usage};

    fn ask(text: &str) -> Request {
        Request::new(vec![Message::user(text)], Constraint::line(10), 4)
    }

    fn recording(question: &str, answer: &str) -> Recording {
        let completion = Completion::new(answer.into(), 1, Finish::Complete);
        let reply = Reply::new(vec![completion], Usage::default(), Timing::default());
        Recording { request: ask(question).digest(), answer: Ok(reply) }
    }

    fn model() -> ModelInfo {
        ModelInfo {
            name: "recorded".into(),
            source: "test".into(),
            quantisation: None,
            parameters: None,
            context_tokens: None,
            sha256: None,
            sees: false,
        }
    }

    #[tokio::test]
    async fn recordings_replay_in_order_and_other_requests_are_rejected() {
        let cancel = Cancel::new();
        let failure = Recording { request: ask("e").digest(), answer: Err("connection refused".into()) };
        let controller =
            RecordedController::new(model(), [recording("a", "1"), recording("b", "2"), failure]);
        assert_eq!(controller.complete(&ask("a"), &cancel).await.unwrap().candidates[0].text, "1");

        let error = controller.complete(&ask("c"), &cancel).await.unwrap_err();
        let ControllerError::Diverged { position: 1, expected: Some(expected), got } = error else {
            panic!("{error}");
        };
        assert_eq!((expected, got), (ask("b").digest(), ask("c").digest()));

        assert_eq!(controller.complete(&ask("b"), &cancel).await.unwrap().candidates[0].text, "2");
        assert_eq!(controller.remaining(), 1);
        let failure = controller.complete(&ask("e"), &cancel).await.unwrap_err();
        assert_eq!(failure.to_string(), "connection refused");
        let error = controller.complete(&ask("b"), &cancel).await.unwrap_err();
        assert!(matches!(error, ControllerError::Diverged { position: 3, expected: None, .. }), "{error}");
    }
}
