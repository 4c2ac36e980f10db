//! HTTP requests that carry a token, and sign in when they are refused.

use super::{Desk, SignInError};
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

/// Times that one request is sent: once without a token, once with one, and again with more scopes.
const ATTEMPTS: usize = 4;

type Failure = StreamableHttpError<reqwest::Error>;
type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// A client whose requests are let in.
#[derive(Clone)]
pub struct Authorized {
    http: reqwest::Client,
    desk: Arc<Desk>,
}

impl Authorized {
    /// Requests by `http`, with what `desk` has.
    pub fn new(http: reqwest::Client, desk: Arc<Desk>) -> Self {
        Self { http, desk }
    }

    /// Sends until it is let in, or there is nothing left to show.
    async fn admitted<T, F>(&self, send: impl Fn(Option<String>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut token = self.desk.token().await.map_err(told)?;
        for _ in 0..ATTEMPTS {
            let got = match send(token.clone()).await {
                Err(StreamableHttpError::AuthRequired(refused)) => {
                    self.desk.unknown(&refused.www_authenticate_header, token.as_deref()).await
                }
                Err(StreamableHttpError::InsufficientScope(refused)) => {
                    let scope = refused.get_required_scope();
                    self.desk.forbidden(&refused.www_authenticate_header, scope, token.as_deref()).await
                }
                Ok(answer) => {
                    self.desk.accepted();
                    return Ok(answer);
                }
                Err(other) => return Err(other),
            };
            token = Some(got.map_err(told)?);
        }
        Err(told(SignInError::NotAccepted))
    }
}

fn told(error: SignInError) -> Failure {
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
        self.admitted(|token| {
            self.http.post_message(uri.clone(), message.clone(), session.clone(), token, headers.clone())
        })
        .await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _token: Option<String>,
        headers: Headers,
        size: usize,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.admitted(|token| {
            let (uri, message, session) = (uri.clone(), message.clone(), session.clone());
            self.http.post_message_with_max_sse_event_size(
                uri,
                message,
                session,
                token,
                headers.clone(),
                size,
            )
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
        self.admitted(|token| {
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
        // Nobody is asked to sign in to say goodbye.
        let token = self.desk.token().await.map_err(told)?;
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
        self.admitted(|token| {
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
        self.admitted(|token| {
            let (uri, session, last) = (uri.clone(), session.clone(), last.clone());
            self.http.get_stream_with_max_sse_event_size(uri, session, last, token, headers.clone(), size)
        })
        .await
    }
}
