use crate::{Cancel, Controller, ControllerError, ModelInfo, Reply, Request};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// One answered request as a log keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// [`Request::digest`] of the request.
    pub request: String,
    /// What was answered, or why nothing was.
    pub answer: Result<Reply, String>,
}

/// A controller that answers what was answered before, in the same order, and refuses any other request.
///
/// It makes a run repeatable: replay feeds it the replies of the log, tests the replies of a script.
#[derive(Debug)]
pub struct RecordedController {
    model: ModelInfo,
    playback: Mutex<Playback>,
}

#[derive(Debug)]
struct Playback {
    /// Number of the recording at the front.
    position: usize,
    /// Recordings still to be played.
    rest: VecDeque<Recording>,
}

impl RecordedController {
    /// Plays `recordings` as `model`.
    pub fn new(model: ModelInfo, recordings: impl IntoIterator<Item = Recording>) -> Self {
        let playback = Playback { position: 0, rest: recordings.into_iter().collect() };
        Self { model, playback: Mutex::new(playback) }
    }

    /// How many recordings have not been asked for.
    pub fn remaining(&self) -> usize {
        self.playback.lock().unwrap_or_else(PoisonError::into_inner).rest.len()
    }
}

#[async_trait]
impl Controller for RecordedController {
    fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// Fails with [`ControllerError::Diverged`], and stays where it is, when `request` is not the next one; with
    /// [`ControllerError::Recorded`] where there was no answer.
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
        let completion = Completion { text: answer.into(), tokens: 1, finish: Finish::Complete };
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
        }
    }

    #[tokio::test]
    async fn it_plays_in_order_and_refuses_what_was_not_recorded() {
        let cancel = Cancel::new();
        let failure = Recording { request: ask("e").digest(), answer: Err("it was away".into()) };
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
        assert_eq!(failure.to_string(), "it was away");
        let error = controller.complete(&ask("b"), &cancel).await.unwrap_err();
        assert!(matches!(error, ControllerError::Diverged { position: 3, expected: None, .. }), "{error}");
    }
}
