//! Streamable HTTP: connects to allowed addresses, bounds messages while they arrive, and repairs answers before they are
//! decoded.
//!
//! Whatever a server answers to a request becomes an answer to that request, so that no caller waits for its time limit.

use super::events::{bounded_events, with_limits, without_many_values};
use super::lenient::{error_object, method_of, repair_message};
use crate::allowed_hosts::AllowedHosts;
use crate::framing::{self, MAX_MESSAGE_BYTES};
use futures_util::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use reqwest::{Response, Url, redirect};
use rmcp::model::{ClientJsonRpcMessage, ErrorData, RequestId, ServerJsonRpcMessage};
use rmcp::transport::common::http_header::{EVENT_STREAM_MIME_TYPE, HEADER_SESSION_ID, JSON_MIME_TYPE};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, HttpStatusError, InsufficientScopeError, SseError, StreamableHttpClient,
    StreamableHttpClientTransportConfig, StreamableHttpError, StreamableHttpPostResponse,
    StreamableHttpResponseLimits,
};
use serde_json::{Map, Value, json};
use sse_stream::Sse;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Limit on redirects of one request.
const MAX_REDIRECTS: usize = 10;
/// Limit on the text of an HTTP error that is shown, in characters.
const MAX_ERROR_CHARS: usize = 300;

type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<Sse, SseError>>;
type Failure = StreamableHttpError<reqwest::Error>;

/// An HTTP client for one MCP server.
#[derive(Clone)]
pub struct HttpClient {
    http: reqwest::Client,
    hosts: AllowedHosts,
}

impl HttpClient {
    /// A client for the server at `url`. Its name may resolve to public addresses and to `private_ranges`. It follows
    /// redirects only within the same origin and only with status 307 or 308, which keep method and body, because the
    /// session id must not reach another server.
    ///
    /// # Errors
    /// `url` is not a URL, a range is not valid, or TLS cannot be initialised.
    pub fn new(url: &str, private_ranges: &[String]) -> Result<Self, String> {
        let hosts = hosts(url, private_ranges)?;
        let within = redirect::Policy::custom(|attempt| {
            let previous = attempt.previous();
            let same = previous.last().is_some_and(|from| from.origin() == attempt.url().origin());
            let whole = matches!(attempt.status().as_u16(), 307 | 308);
            if same && whole && previous.len() <= MAX_REDIRECTS { attempt.follow() } else { attempt.stop() }
        });
        // A connection whose last response was not read to the end cannot be reused cheaply.
        let http = hosts.builder().pool_max_idle_per_host(0).redirect(within).build();
        Ok(Self { http: http.map_err(|error| error.to_string())?, hosts })
    }

    fn check(&self, uri: &str) -> Result<(), Failure> {
        let url = Url::parse(uri).map_err(|error| unexpected(format!("`{uri}` is not a URL: {error}")))?;
        self.hosts.check(&url).map_err(unexpected)
    }
}

/// The hosts that a client for the server at `url` may contact.
///
/// # Errors
/// `url` is not a URL, or a range is not valid.
pub fn hosts(url: &str, private_ranges: &[String]) -> Result<AllowedHosts, String> {
    let url = Url::parse(url).map_err(|error| format!("`{url}` is not a URL: {error}"))?;
    AllowedHosts::of_server(&url, private_ranges)
}

/// Transport settings for the server at `url`, with message size limits.
pub fn bounded(url: &str) -> StreamableHttpClientTransportConfig {
    StreamableHttpClientTransportConfig::with_uri(url)
        .max_sse_event_size(MAX_MESSAGE_BYTES)
        .max_json_response_size(MAX_MESSAGE_BYTES)
}

/// The failure of a request that needs a sign-in, or more rights.
fn refusal_of(status: StatusCode, headers: &HeaderMap) -> Option<Failure> {
    let challenge = headers.get(header::WWW_AUTHENTICATE).and_then(|challenge| challenge.to_str().ok());
    match (status, challenge) {
        // Some servers name no challenge; a sign-in is needed all the same.
        (StatusCode::UNAUTHORIZED, challenge) => {
            let challenge = challenge.unwrap_or_default().to_owned();
            Some(StreamableHttpError::AuthRequired(AuthRequiredError::new(challenge)))
        }
        (StatusCode::FORBIDDEN, Some(challenge)) => {
            let scope = parameter(challenge, "scope");
            let refused = InsufficientScopeError::new(challenge.to_owned(), scope);
            Some(StreamableHttpError::InsufficientScope(refused))
        }
        _ => None,
    }
}

/// A parameter of a challenge, quoted or not.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let mut at = 0;
    for part in challenge.split([',', ' ']) {
        if part.split_once('=').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name)) {
            let (_, value) = challenge[at..].split_once('=')?;
            let value = match value.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next(),
                None => value.split([',', ' ']).next(),
            };
            return value.map(str::to_owned);
        }
        at += part.len() + 1;
    }
    None
}

/// The answer to a request that got the HTTP error of `response`.
async fn failed(
    response: Response,
    method: &str,
    id: RequestId,
    in_session: bool,
    limits: StreamableHttpResponseLimits,
) -> Result<StreamableHttpPostResponse, Failure> {
    let status = response.status();
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|after| after.to_str().ok());
    let retry_after = retry_after.map(str::to_owned);
    let is_json = is_kind(response.headers(), JSON_MIME_TYPE);
    let limit = if is_json { limits.max_json_response_size } else { limits.max_error_response_size };
    let body = body(response, limit).await.ok().flatten().unwrap_or_default();
    let text: String = String::from_utf8_lossy(&body).trim().chars().take(MAX_ERROR_CHARS).collect();
    let described = if text.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {text}") };
    let fields: Option<Map<String, Value>> =
        if framing::has_too_many_values(&body) { None } else { serde_json::from_slice(&body).ok() };
    let error = fields.and_then(|fields| fields.get("error").cloned());
    // A refusal keeps its status, because it is about the connection and not about the request.
    if status == StatusCode::FORBIDDEN {
        return Err(unexpected(described));
    }
    let error = error.map(|error| error_object(&error)).and_then(|error| serde_json::from_value(error).ok());
    if let Some(error) = error {
        // The server may not have read the id, so its answer has none.
        return Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::error(error, Some(id)), None));
    }
    if method == "server/discover" && !in_session && status.is_client_error() {
        let error = ErrorData::invalid_request(format!("server/discover rejected with {described}"), None);
        return Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::error(error, Some(id)), None));
    }
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        return Err(HttpStatusError::new(status.as_u16(), retry_after).into());
    }
    Err(unexpected(described))
}

/// Decodes the JSON response to the request `id` of `method`.
fn decode(body: &[u8], method: &str, id: &RequestId) -> Result<ServerJsonRpcMessage, String> {
    let bad = |error: &dyn std::fmt::Display| format!("its response is not valid: {error}");
    if framing::has_too_many_values(body) {
        return Err(framing::TOO_MANY_VALUES.to_owned());
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| bad(&error))?;
    let is_ours = |message: &Value| message.get("id").is_some_and(|own| *own == json!(id));
    let message = match value {
        Value::Object(message) => message,
        // A batch, which one version of the protocol had.
        Value::Array(batch) => match batch.into_iter().find(is_ours) {
            Some(Value::Object(message)) => message,
            _ => return Err(bad(&"it answers another request")),
        },
        _ => return Err(bad(&"it is no object")),
    };
    decode_message(message, method, id).map_err(|error| bad(&error))
}

/// Decodes a message that came in answer to the request `id` of `method`, repaired if it is the answer.
pub fn decode_message(
    mut message: Map<String, Value>,
    method: &str,
    id: &RequestId,
) -> Result<ServerJsonRpcMessage, serde_json::Error> {
    repair_answer(&mut message, method, id);
    serde_json::from_value(Value::Object(message))
}

/// Repairs a message in place if it is the answer to the request `id` of `method`. Returns whether it has changed.
pub fn repair_answer(message: &mut Map<String, Value>, method: &str, id: &RequestId) -> bool {
    if message.contains_key("method") {
        return false;
    }
    let own = json!(id);
    let given = message.get("id").unwrap_or(&Value::Null);
    if *given == own {
        return repair_message(method, message);
    }
    // An error may come without the id, and some servers answer a number with its digits.
    let means_it = (given.is_null() && message.contains_key("error"))
        || given.as_str().is_some_and(|text| own.as_u64().is_some_and(|id| text == id.to_string()));
    if means_it {
        message.insert("id".to_owned(), own);
        repair_message(method, message);
    }
    means_it
}

/// Reads a body of at most `most` bytes; `None` if it is longer.
async fn body(mut response: Response, most: usize) -> Result<Option<Vec<u8>>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(StreamableHttpError::Client)? {
        if body.len() + chunk.len() > most {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

fn is_kind(headers: &HeaderMap, kind: &str) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok());
    let essence = given.and_then(|given| given.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(kind)
}

fn unexpected(reason: impl Into<Cow<'static, str>>) -> Failure {
    StreamableHttpError::UnexpectedServerResponse(reason.into())
}

/// The response was not read to the end, so its length is unknown.
pub fn too_long() -> String {
    format!("its response exceeds the limit of {MAX_MESSAGE_BYTES} bytes")
}

/// The error response to the request `id`.
pub fn refusal(reason: String, id: RequestId) -> ServerJsonRpcMessage {
    ServerJsonRpcMessage::error(ErrorData::internal_error(reason, None), Some(id))
}

impl StreamableHttpClient for HttpClient {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
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
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.check(&uri)?;
        let mut request = self
            .http
            .post(uri.as_ref())
            .header(header::ACCEPT, [EVENT_STREAM_MIME_TYPE, JSON_MIME_TYPE].join(", "));
        if let Some(token) = &token {
            request = request.bearer_auth(token);
        }
        if let Some(session) = &session {
            request = request.header(HEADER_SESSION_ID, session.as_ref());
        }
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        let response = request.json(&message).send().await.map_err(StreamableHttpError::Client)?;
        let status = response.status();
        if let Some(refusal) = refusal_of(status, response.headers()) {
            return Err(refusal);
        }
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && session.is_some() {
            return Err(StreamableHttpError::SessionExpired);
        }
        let opened =
            response.headers().get(HEADER_SESSION_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let asked = match &message {
            ClientJsonRpcMessage::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        let Some(id) = asked else {
            // Nothing in the response to a notification is of use.
            return if status.is_success() {
                Ok(StreamableHttpPostResponse::Accepted)
            } else {
                Err(unexpected(format!("HTTP {status}")))
            };
        };
        let method = method_of(&message).unwrap_or_default().to_owned();
        if !status.is_success() {
            return failed(response, &method, id, session.is_some(), limits).await;
        }
        if is_kind(response.headers(), EVENT_STREAM_MIME_TYPE) {
            let events = bounded_events(response.bytes_stream(), limits.max_sse_event_size);
            return Ok(StreamableHttpPostResponse::Sse(with_limits(events, id, method), opened));
        }
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned());
        let is_json = is_kind(response.headers(), JSON_MIME_TYPE);
        match body(response, limits.max_json_response_size).await? {
            None => Ok(StreamableHttpPostResponse::Json(refusal(too_long(), id), opened)),
            Some(body) => match decode(&body, &method, &id) {
                Ok(message) => Ok(StreamableHttpPostResponse::Json(message, opened)),
                // Some servers send JSON under another content type.
                Err(_) if !is_json => Err(StreamableHttpError::UnexpectedContentType(kind)),
                Err(reason) => Ok(StreamableHttpPostResponse::Json(refusal(reason, id), opened)),
            },
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<(), Failure> {
        self.check(&uri)?;
        self.http.delete_session(uri, session, token, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<Events, Failure> {
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
    ) -> Result<Events, Failure> {
        self.check(&uri)?;
        let events =
            self.http.get_stream_with_max_sse_event_size(uri, session, last, token, headers, size).await?;
        Ok(without_many_values(events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_of_a_challenge_is_found() {
        for (challenge, scope) in [
            (r#"Bearer error="insufficient_scope", scope="a b", realm="x""#, Some("a b")),
            ("Bearer scope=a", Some("a")),
            ("Bearer realm=\"scope\"", None),
        ] {
            assert_eq!(parameter(challenge, "scope").as_deref(), scope, "{challenge}");
        }
    }

    #[test]
    fn an_answer_is_the_one_to_its_request_also_without_an_id() {
        let id = RequestId::Number(7);
        for answer in [
            json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no"}}),
            json!({"jsonrpc": "2.0", "error": {"code": "E1", "message": "no"}}),
            json!({"jsonrpc": "2.0", "id": "7", "error": "no"}),
            json!([{"jsonrpc": "2.0", "id": 7, "error": {"code": 1, "message": "no"}}]),
        ] {
            match decode(answer.to_string().as_bytes(), "tools/call", &id) {
                Ok(ServerJsonRpcMessage::Error(error)) => {
                    assert_eq!((error.id, error.error.message.as_ref()), (Some(id.clone()), "no"));
                }
                other => panic!("{answer}: {other:?}"),
            }
        }
        assert!(decode(b"[]", "tools/call", &id).is_err());
    }
}
