//! Streamable HTTP with bounded messages: an oversized response is rejected while it arrives.

use crate::framing::{self, MAX_MESSAGE_BYTES, NoiseBudget};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::{HeaderName, HeaderValue};
use reqwest::redirect;
use rmcp::model::{ClientJsonRpcMessage, ErrorData, RequestId, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse, StreamableHttpResponseLimits,
};
use sse_stream::Sse;
use std::collections::HashMap;
use std::sync::Arc;

/// Limit on redirects of one request.
const MAX_REDIRECTS: usize = 10;

type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// An HTTP client that follows redirects only within the same origin and only with status 307 or 308, which
/// keep method and body. The session id must not reach another server.
///
/// # Errors
/// TLS cannot be initialised.
pub fn client() -> reqwest::Result<reqwest::Client> {
    let within = redirect::Policy::custom(|attempt| {
        let previous = attempt.previous();
        let same = previous.last().is_some_and(|from| from.origin() == attempt.url().origin());
        let whole = matches!(attempt.status().as_u16(), 307 | 308);
        if same && whole && previous.len() <= MAX_REDIRECTS { attempt.follow() } else { attempt.stop() }
    });
    // A connection whose last response was not read to the end cannot be reused cheaply.
    reqwest::Client::builder().pool_max_idle_per_host(0).redirect(within).build()
}

/// Transport settings for the server at `url`, with message size limits.
pub fn bounded(url: &str) -> StreamableHttpClientTransportConfig {
    StreamableHttpClientTransportConfig::with_uri(url)
        .max_sse_event_size(MAX_MESSAGE_BYTES)
        .max_json_response_size(MAX_MESSAGE_BYTES)
}

/// A client that turns an oversized or noisy response into a JSON-RPC error, so that the caller does not wait
/// until its timeout.
#[derive(Clone)]
pub struct Bounded<C>(pub C);

impl<C: StreamableHttpClient + Sync> StreamableHttpClient for Bounded<C> {
    type Error = C::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, StreamableHttpError<C::Error>> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session, token, headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, StreamableHttpError<C::Error>> {
        let asked = match &message {
            ClientJsonRpcMessage::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        let answer =
            self.0.post_message_with_response_limits(uri, message, session, token, headers, limits).await;
        let Some(id) = asked else { return answer };
        match answer {
            Err(StreamableHttpError::ResponseBodyTooLarge { .. }) => {
                Ok(StreamableHttpPostResponse::Json(refusal(too_long(), id), None))
            }
            Ok(StreamableHttpPostResponse::Sse(events, session)) => {
                Ok(StreamableHttpPostResponse::Sse(with_limits(events, id), session))
            }
            answer => answer,
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<(), StreamableHttpError<C::Error>> {
        self.0.delete_session(uri, session, token, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<Events, StreamableHttpError<C::Error>> {
        self.get_stream_with_max_sse_event_size(uri, session, last, token, headers, MAX_MESSAGE_BYTES).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        token: Option<String>,
        headers: Headers,
        size: usize,
    ) -> Result<Events, StreamableHttpError<C::Error>> {
        self.0.get_stream_with_max_sse_event_size(uri, session, last, token, headers, size).await
    }
}

/// The response events for the request `id`. An oversized event, or too much noise, becomes an error
/// response.
fn with_limits(events: Events, id: RequestId) -> Events {
    let limited = stream::unfold(Some((events, NoiseBudget::default(), id)), |state| async move {
        let (mut events, mut noise, id) = state?;
        let reason = match events.next().await? {
            Ok(event) if is_message(&event) => {
                noise.message();
                return Some((Ok(event), Some((events, noise, id))));
            }
            Ok(event) => match noise.add(size(&event)) {
                Ok(()) => return Some((Ok(event), Some((events, noise, id)))),
                Err(reason) => reason,
            },
            Err(error) if is_too_long(&error) => too_long(),
            Err(error) => return Some((Err(error), Some((events, noise, id)))),
        };
        let data = serde_json::to_string(&refusal(reason, id)).ok()?;
        Some((Ok(Sse { data: Some(data), ..Sse::default() }), None))
    });
    limited.boxed()
}

fn is_message(event: &Sse) -> bool {
    let ours = matches!(event.event.as_deref(), None | Some("" | "message"));
    ours && event.data.as_ref().is_some_and(|data| framing::is_message(data.as_bytes()))
}

/// Approximate size of an event, in bytes.
fn size(event: &Sse) -> u64 {
    let parts = [&event.event, &event.data, &event.id];
    parts.into_iter().flatten().map(|part| part.len() as u64 + 1).sum()
}

/// rmcp keeps this error type private, so only its text identifies it.
fn is_too_long(error: &SseError) -> bool {
    matches!(error, SseError::Body(cause) if cause.to_string().contains("exceeded the maximum size"))
}

/// The response was not read to the end, so its length is unknown.
fn too_long() -> String {
    format!("its response exceeds the limit of {MAX_MESSAGE_BYTES} bytes")
}

fn refusal(reason: String, id: RequestId) -> ServerJsonRpcMessage {
    ServerJsonRpcMessage::error(ErrorData::internal_error(reason, None), Some(id))
}
