//! An HTTP client that adds a bearer token and signs in when a request is rejected.

use super::{SignInError, TokenManager};
use crate::mcp::http::HttpClient;
use futures_util::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::AuthError;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    StreamableHttpResponseLimits,
};
use sse_stream::Sse;
use std::collections::HashMap;
use std::sync::Arc;

/// Limit on the attempts of one request: without a token, with one, and again with more scopes.
const ATTEMPTS: usize = 4;

type Failure = StreamableHttpError<reqwest::Error>;
type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// An HTTP client whose requests carry a token of the [`TokenManager`].
#[derive(Clone)]
pub struct Authorized {
    http: HttpClient,
    tokens: Arc<TokenManager>,
}

impl Authorized {
    /// Sends requests with `http` and authorizes them with `tokens`.
    pub fn new(http: HttpClient, tokens: Arc<TokenManager>) -> Self {
        Self { http, tokens }
    }

    /// Sends a request, and repeats it with a new token each time it is rejected, up to [`ATTEMPTS`] times.
    async fn with_token<T, F>(&self, send: impl Fn(Option<String>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut token = self.tokens.token().await.map_err(auth_error)?;
        for _ in 0..ATTEMPTS {
            let got = match send(token.clone()).await {
                Err(StreamableHttpError::AuthRequired(refused)) => {
                    self.tokens.on_unauthorized(&refused.www_authenticate_header, token.as_deref()).await
                }
                Err(StreamableHttpError::InsufficientScope(refused)) => {
                    let scope = refused.get_required_scope();
                    self.tokens.on_forbidden(&refused.www_authenticate_header, scope, token.as_deref()).await
                }
                Ok(answer) => {
                    self.tokens.on_success();
                    return Ok(answer);
                }
                Err(other) => return Err(other),
            };
            token = Some(got.map_err(auth_error)?);
        }
        Err(auth_error(SignInError::TokenRejected))
    }
}

fn auth_error(error: SignInError) -> Failure {
    StreamableHttpError::Auth(AuthError::from(error))
}

impl StreamableHttpClient for Authorized {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _token: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.with_token(|token| {
            self.http.post_message(uri.clone(), message.clone(), session.clone(), token, headers.clone())
        })
        .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _token: Option<String>,
        headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.with_token(|token| {
            let (uri, message, session) = (uri.clone(), message.clone(), session.clone());
            self.http.post_message_with_response_limits(uri, message, session, token, headers.clone(), limits)
        })
        .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _token: Option<String>,
        headers: Headers,
    ) -> Result<(), Failure> {
        // Closing a session never starts a sign-in.
        let token = self.tokens.token().await.map_err(auth_error)?;
        self.http.delete_session(uri, session, token, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        _token: Option<String>,
        headers: Headers,
    ) -> Result<Events, Failure> {
        self.with_token(|token| {
            self.http.get_stream(uri.clone(), session.clone(), last.clone(), token, headers.clone())
        })
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        _token: Option<String>,
        headers: Headers,
        size: usize,
    ) -> Result<Events, Failure> {
        self.with_token(|token| {
            let (uri, session, last) = (uri.clone(), session.clone(), last.clone());
            self.http.get_stream_with_max_sse_event_size(uri, session, last, token, headers.clone(), size)
        })
        .await
    }
}
