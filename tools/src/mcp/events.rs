//! Event streams with bounded events.

use super::http::{refusal, repair_answer, too_long};
use crate::framing::{self, NoiseBudget};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use rmcp::model::RequestId;
use rmcp::transport::streamable_http_client::SseError;
use serde_json::{Map, Value};
use sse_stream::{Sse, SseStream};

type Events = BoxStream<'static, Result<Sse, SseError>>;

/// An event is larger than the limit.
#[derive(Debug, thiserror::Error)]
#[error("an event exceeds the maximum size")]
struct EventTooLarge;

/// The events in `bytes`, each of at most `most` bytes.
pub fn bounded_events<B, E>(bytes: impl Stream<Item = Result<B, E>> + Send + 'static, most: usize) -> Events
where
    B: AsRef<[u8]> + bytes::Buf + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut size = EventSize::default();
    let bounded = bytes.map(move |piece| match piece {
        Ok(piece) if size.add(piece.as_ref()) > most => Err(Box::new(EventTooLarge) as BoxError),
        Ok(piece) => Ok(piece),
        Err(error) => Err(Box::new(error) as BoxError),
    });
    SseStream::from_bytes_stream(bounded.map(|piece| piece.map_err(Failed))).boxed()
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A boxed error as an error of its own.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failed(BoxError);

/// The size of the event that is being received.
#[derive(Default)]
struct EventSize {
    bytes: usize,
    line: usize,
    after_return: bool,
}

impl EventSize {
    /// Counts a piece. Returns the largest size that an event has had in it so far.
    fn add(&mut self, piece: &[u8]) -> usize {
        let mut largest = self.bytes;
        for &byte in piece {
            let second_half = byte == b'\n' && std::mem::take(&mut self.after_return);
            self.after_return = byte == b'\r';
            self.bytes += 1;
            largest = largest.max(self.bytes);
            match byte {
                _ if second_half => {}
                b'\n' | b'\r' => {
                    // An empty line ends the event.
                    if self.line == 0 {
                        self.bytes = 0;
                    }
                    self.line = 0;
                }
                _ => self.line += 1,
            }
        }
        largest
    }
}

/// The response events for the request `id` of `method`. Its answer is repaired. An oversized event, or too much noise, becomes
/// an error response.
pub fn with_limits(events: Events, id: RequestId, method: String) -> Events {
    let state = Some((events, NoiseBudget::default(), id, method));
    let limited = stream::unfold(state, |state| async move {
        let (mut events, mut noise, id, method) = state?;
        let reason = match events.next().await? {
            Ok(event) if has_too_many_values(&event) => framing::TOO_MANY_VALUES.to_owned(),
            Ok(mut event) if is_message(&event) => {
                noise.message();
                repair(&mut event, &method, &id);
                return Some((Ok(event), Some((events, noise, id, method))));
            }
            Ok(event) => match noise.add(size(&event)) {
                Ok(()) => return Some((Ok(event), Some((events, noise, id, method)))),
                Err(reason) => reason,
            },
            Err(error) if is_too_large(&error) => too_long(),
            Err(error) => return Some((Err(error), Some((events, noise, id, method)))),
        };
        let data = serde_json::to_string(&refusal(reason, id)).ok()?;
        Some((Ok(Sse { data: Some(data), ..Sse::default() }), None))
    });
    limited.boxed()
}

/// The events of a stream that belongs to no request. An event with too many values is left out.
pub fn without_many_values(events: Events) -> Events {
    let is_kept = |event: &Result<Sse, SseError>| !matches!(event, Ok(event) if has_too_many_values(event));
    events.filter(move |event| std::future::ready(is_kept(event))).boxed()
}

fn repair(event: &mut Sse, method: &str, id: &RequestId) {
    let Some(data) = &event.data else { return };
    let Ok(mut message) = serde_json::from_str::<Map<String, Value>>(data) else { return };
    if repair_answer(&mut message, method, id) {
        event.data = serde_json::to_string(&message).ok();
    }
}

fn is_message(event: &Sse) -> bool {
    let ours = matches!(event.event.as_deref(), None | Some("" | "message"));
    ours && event.data.as_ref().is_some_and(|data| framing::is_message(data.as_bytes()))
}

fn has_too_many_values(event: &Sse) -> bool {
    event.data.as_ref().is_some_and(|data| framing::has_too_many_values(data.as_bytes()))
}

/// Approximate size of an event, in bytes.
fn size(event: &Sse) -> u64 {
    let parts = [&event.event, &event.data, &event.id];
    parts.into_iter().flatten().map(|part| part.len() as u64 + 1).sum()
}

fn is_too_large(error: &SseError) -> bool {
    let SseError::Body(error) = error else { return false };
    matches!(error.downcast_ref::<Failed>(), Some(Failed(cause)) if cause.is::<EventTooLarge>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_an_event_ends_with_an_empty_line() {
        for (text, largest) in [
            ("data: 1\n\ndata: 22\n\n", 10),
            ("data: 1\r\n\r\ndata: 1\r\n\r\n", 12),
            ("data: 1\rdata: 2\r\r", 17),
            ("data: 1\ndata: 2", 15),
        ] {
            for length in 1..text.len() {
                let mut size = EventSize::default();
                let found = text.as_bytes().chunks(length).map(|piece| size.add(piece)).max();
                assert!(found.is_some_and(|found| found.abs_diff(largest) <= 1), "{text:?}: {found:?}");
            }
        }
    }
}
