//! A chat answer as server-sent events, while it is written.

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use sojourn_controller::chat_api::{ApiError, ChatAnswer};
use sojourn_controller::{Cancel, Controller, ControllerError, Piece, Reply, Request};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long the response's head waits for the first words, so that a request that cannot be answered gets its status.
const HEAD_WAITS: Duration = Duration::from_secs(2);
/// Time without output after which a comment is sent, which keeps proxies from closing the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// An answer that is being written. Dropping it cancels the request.
struct Writing {
    reply: BoxFuture<'static, Result<Reply, ControllerError>>,
    pieces: UnboundedReceiver<Piece>,
    /// The reply, while pieces that came before it are left.
    ended: Option<Result<Reply, ControllerError>>,
}

/// What comes next of an answer.
enum Next {
    Piece(Piece),
    End(Result<Reply, ControllerError>),
}

impl Writing {
    fn begin(controller: Arc<dyn Controller>, request: Request) -> Self {
        let (sender, pieces) = unbounded_channel();
        let reply = async move { controller.complete_in_pieces(&request, &Cancel::new(), sender).await };
        Self { reply: Box::pin(reply), pieces, ended: None }
    }

    /// Loses nothing if it is dropped. Must not be called after the end.
    async fn next(&mut self) -> Next {
        if self.ended.is_none() {
            tokio::select! {
                biased;
                Some(piece) = self.pieces.recv() => return Next::Piece(piece),
                reply = &mut self.reply => self.ended = Some(reply),
            }
        }
        match self.pieces.try_recv() {
            Ok(piece) => Next::Piece(piece),
            Err(_) => Next::End(self.ended.take().unwrap_or(Err(ControllerError::Stopped))),
        }
    }
}

/// Answers `request` by a stream of chunks.
///
/// # Errors
/// The controller refuses the request at once. What fails later is an event of the stream.
pub(super) async fn answer(
    controller: Arc<dyn Controller>,
    request: Request,
    answer: ChatAnswer,
) -> Result<Response, ApiError> {
    let mut writing = Writing::begin(controller, request);
    let first = match tokio::time::timeout(HEAD_WAITS, writing.next()).await {
        Ok(Next::End(Err(error))) => return Err(error.into()),
        Ok(next) => Some(next),
        Err(_) => None,
    };
    let opening = answer.opening();
    let rest = stream::unfold(Some((writing, answer, first)), |state| async move {
        let (mut writing, mut answer, first) = state?;
        let next = match first {
            Some(next) => next,
            None => writing.next().await,
        };
        Some(match next {
            Next::Piece(piece) => {
                let chunks: Vec<Value> = answer.piece(&piece).into_iter().collect();
                (data(chunks), Some((writing, answer, None)))
            }
            Next::End(Ok(reply)) => {
                let mut events = data(answer.closing(&reply));
                events.push(Event::default().data("[DONE]"));
                (events, None)
            }
            Next::End(Err(error)) => (data(vec![ApiError::from(error).body()]), None),
        })
    });
    let events = stream::once(async { data(opening) }).chain(rest).flat_map(stream::iter);
    let events = events.map(Ok::<_, Infallible>);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn data(chunks: Vec<Value>) -> Vec<Event> {
    chunks.into_iter().map(|chunk| Event::default().data(chunk.to_string())).collect()
}
