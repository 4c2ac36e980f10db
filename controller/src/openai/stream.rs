//! Reads response bodies within limits, and parses streamed events.

use super::failure::{BodyError, ReadError};
use super::response::PendingResponse;
use super::wire::Answer;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use reqwest::Response;
use sse_stream::SseStream;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Longest accepted response, in bytes.
const MAX_ANSWER: usize = 16 << 20;
/// Longest part of an error response that is read, in bytes.
const MAX_REFUSAL: usize = 64 << 10;
/// Data without part of an answer is accepted for this many times the limit of silence.
const KEEPALIVE_FACTOR: u32 = 5;
/// A streamed answer may take this many times the limit of silence.
const TOTAL_FACTOR: u32 = 100;
/// How long to wait for the token usage after the last answer has ended.
const USAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for the end of a stream, after which its connection can be reused.
const END_TIMEOUT: Duration = Duration::from_millis(50);

/// The bytes of a body; each chunk must arrive within `silence`.
pub(super) type Body = BoxStream<'static, Result<Bytes, BodyError>>;

/// The body of `response`, up to a limit.
pub(super) fn body(response: Response, silence: Duration) -> Body {
    stream::try_unfold((response, MAX_ANSWER), move |(mut response, left)| async move {
        let chunk = timeout(silence, response.chunk()).await.map_err(|_| BodyError::Silent(silence))?;
        let Some(chunk) = chunk.map_err(|error| BodyError::Transport(error.without_url()))? else {
            return Ok(None);
        };
        let left = left.checked_sub(chunk.len()).ok_or(BodyError::TooLong(MAX_ANSWER))?;
        Ok(Some((chunk, (response, left))))
    })
    .boxed()
}

/// The format of a body, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// It begins as an event stream does.
    Events,
    /// It begins as JSON does.
    Json,
    Other,
}

impl Shape {
    /// The shape of a body that begins with `head`; `None` if more is needed. Servers and proxies name the type of
    /// their streams wrongly, and the two shapes have no beginning in common.
    fn of(head: &[u8]) -> Option<Self> {
        const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        if text.is_empty() || b"\xef\xbb\xbf".starts_with(text) {
            return None;
        }
        if text.starts_with(b"{") || text.starts_with(b"[") {
            return Some(Self::Json);
        }
        if FIELDS.iter().any(|field| text.starts_with(field)) {
            return Some(Self::Events);
        }
        if FIELDS.iter().any(|field| field.starts_with(text)) {
            return None;
        }
        Some(Self::Other)
    }
}

/// The shape of a body, and the body with the bytes that show it.
pub(super) async fn shape(mut body: Body, silence: Duration) -> Result<(Shape, Body), ReadError> {
    let idle_limit = silence.saturating_mul(KEEPALIVE_FACTOR);
    let mut head = Vec::new();
    let read = async {
        loop {
            if let Some(shape) = Shape::of(&head) {
                return Ok(shape);
            }
            match body.next().await {
                Some(chunk) => head.extend_from_slice(&chunk.map_err(ReadError::Bytes)?),
                None => return Ok(Shape::Other),
            }
        }
    };
    let shape = timeout(idle_limit, read).await.unwrap_or(Err(ReadError::Idle(idle_limit)))?;
    Ok((shape, stream::iter([Ok(Bytes::from(head))]).chain(body).boxed()))
}

/// Reads the whole body as text.
pub(super) async fn whole(mut body: Body, silence: Duration) -> Result<String, ReadError> {
    let idle_limit = silence.saturating_mul(KEEPALIVE_FACTOR);
    let read = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(ReadError::Bytes)?);
        }
        String::from_utf8(bytes).map_err(|error| ReadError::Invalid(error.utf8_error().to_string()))
    };
    timeout(idle_limit, read).await.unwrap_or(Err(ReadError::Idle(idle_limit)))
}

/// Reads the start of a body for an error message, as far as it arrives in time.
pub(super) async fn beginning(mut body: Body, silence: Duration) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while let Some(Ok(chunk)) = body.next().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() >= MAX_REFUSAL {
                break;
            }
        }
    };
    // After a timeout, the part that was read is used.
    let _ = timeout(silence, read).await;
    bytes.truncate(MAX_REFUSAL);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads streamed events into `pending` until the answers are complete.
pub(super) async fn events(
    body: Body,
    pending: &mut PendingResponse<'_>,
    silence: Duration,
) -> Result<(), ReadError> {
    let total = silence.saturating_mul(TOTAL_FACTOR);
    let read = timeout(total, read_events(body, pending, silence.saturating_mul(KEEPALIVE_FACTOR))).await;
    match read.unwrap_or(Err(ReadError::Endless(total))) {
        // An error after the last answer does not invalidate it.
        Err(read_error) if !pending.is_finished() => Err(read_error),
        _ => pending.have_choices().map_err(ReadError::Invalid),
    }
}

async fn read_events(
    body: Body,
    pending: &mut PendingResponse<'_>,
    idle_limit: Duration,
) -> Result<(), ReadError> {
    let mut events = SseStream::from_bytes_stream(body);
    let mut progressed = Instant::now();
    let mut limit = idle_limit;
    loop {
        let event = timeout(limit.saturating_sub(progressed.elapsed()), events.next()).await;
        let Some(event) = event.map_err(|_| ReadError::Idle(idle_limit))? else { break };
        let event = event.map_err(read_error)?;
        let is_error = event.event.as_deref() == Some("error");
        let Some(data) = event.data else { continue };
        match data.trim() {
            "" => continue,
            "[DONE]" => {
                let _ = timeout(END_TIMEOUT, events.next()).await;
                return Ok(());
            }
            _ => {}
        }
        let answer = Answer::read(&data);
        if is_error && answer.as_ref().map_or(true, |answer| answer.error.is_none()) {
            let error = serde_json::from_str(&data).unwrap_or_else(|_| data.into());
            return Err(ReadError::ErrorObject(error));
        }
        let answer = answer.map_err(ReadError::Invalid)?;
        if let Some(error) = answer.error {
            return Err(ReadError::ErrorObject(error));
        }
        if pending.take_piece(answer) {
            progressed = Instant::now();
        }
        if pending.is_cut() {
            return Ok(());
        }
        if pending.is_finished() {
            limit = USAGE_TIMEOUT.min(idle_limit);
        }
    }
    // Some servers end the stream without `[DONE]`.
    if pending.have_ended() { Ok(()) } else { Err(ReadError::Ended) }
}

fn read_error(error: sse_stream::Error) -> ReadError {
    match error {
        sse_stream::Error::Body(inner) => match inner.downcast::<BodyError>() {
            Ok(fault) => ReadError::Bytes(*fault),
            Err(inner) => ReadError::Invalid(inner.to_string()),
        },
        other => ReadError::Invalid(format!("it is not an event stream: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Constraint, Finish, Message, Request};

    const LIMIT: Duration = Duration::from_secs(20);

    /// Reads a stream in chunks of `size` bytes.
    async fn read(text: &[u8], size: usize, asked: u32) -> (Result<(), ReadError>, Vec<String>) {
        let request = Request::new(vec![Message::user("?")], Constraint::line(9), 9);
        let mut pending = PendingResponse::new(&request, asked);
        pending.begin(true);
        let chunks: Vec<Result<Bytes, BodyError>> =
            text.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let result = events(stream::iter(chunks).boxed(), &mut pending, LIMIT).await;
        let texts = pending.unfinished(&Finish::Cancelled).into_iter().map(|one| one.text).collect();
        (result, texts)
    }

    #[tokio::test]
    async fn stream_may_be_split_anywhere() {
        let text = "\u{feff}: hello\r\n\r\nevent: message\r\ndata: {\"choices\": [{\"index\": 1, \"delta\": \
                    {\"content\": \"é\"}}]}\r\n\r\ndata:{\"choices\": [{\"index\": 0,\ndata: \"delta\": {\"content\": \
                    \"日本\"}, \"finish_reason\": \"stop\"}]}\n\ndata: {\"choices\": null}\r\rdata: [DONE]\n\n";
        for size in 1..40 {
            let (result, texts) = read(text.as_bytes(), size, 2).await;
            assert!(result.is_ok(), "{size}: {result:?}");
            assert_eq!(texts, ["日本", "é"]);
        }
    }

    #[tokio::test]
    async fn an_answer_that_drips_for_ever_ends() {
        let piece = "data: {\"choices\": [{\"delta\": {\"content\": \"a\"}}]}\n\n";
        let drip = stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            Some((Ok::<_, BodyError>(Bytes::from_static(piece.as_bytes())), ()))
        });
        let request = Request::new(vec![Message::user("?")], Constraint::line(9), 9);
        let mut pending = PendingResponse::new(&request, 1);
        pending.begin(true);
        let result = events(drip.boxed(), &mut pending, Duration::from_millis(5)).await;
        assert!(matches!(result, Err(ReadError::Endless(_) | ReadError::Idle(_))), "{result:?}");
    }

    #[tokio::test]
    async fn stream_without_done_ends_with_its_answers() {
        let piece = |finish: &str| {
            format!(
                "data: {{\"choices\": [{{\"delta\": {{\"content\": \"a\"}}, \"finish_reason\": {finish}}}]}}\n\n"
            )
        };
        assert!(read(piece("\"stop\"").as_bytes(), 99, 1).await.0.is_ok());
        // Two answers were requested, but the only one that started has ended.
        assert!(read(piece("\"stop\"").as_bytes(), 99, 2).await.0.is_ok());
        let (result, texts) = read(piece("null").as_bytes(), 99, 1).await;
        assert!(matches!(result, Err(ReadError::Ended)), "{result:?}");
        assert_eq!(texts, ["a"]);
        // Garbage after the last answer is ignored.
        assert!(read(format!("{}garbage\n", piece("\"stop\"")).as_bytes(), 7, 1).await.0.is_ok());
    }

    #[tokio::test]
    async fn random_bytes_are_an_error() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..500 {
            let start: &[u8] = if rng.bool() { b"data: {\"choices\": [{\"delta\": " } else { b"" };
            let mut text = start.to_vec();
            text.extend((0..rng.usize(0..200)).map(|_| rng.choice(b"data: {}[]\"\n\r:,\xff\x00e1").unwrap()));
            let (result, _) = read(&text, rng.usize(1..20), 1).await;
            assert!(result.is_err(), "{:?}", String::from_utf8_lossy(&text));
        }
    }
}
