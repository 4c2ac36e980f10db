//! An HTTP endpoint with retries.

use super::failure::{ErrorReporter, Failure, MAX_WAIT, ReadError};
use super::rate_limit::RateLimiter;
use super::response::PendingResponse;
use super::stream::Shape;
use super::wire::{Answer, Manners, SchemaForm, Streaming};
use super::{Dialect, OpenAiOptions, stream};
use crate::ControllerError;
use crate::client::api_key;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, Url};
use serde_json::Value;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// The chat completions endpoint of a server.
pub(super) struct Endpoint {
    client: Client,
    /// URL of the chat completions.
    url: Url,
    /// The `Authorization` header. Never logged.
    authorization: Option<HeaderValue>,
    errors: ErrorReporter,
    rate_limiter: RateLimiter,
    /// What the server was found to support.
    manners: Mutex<Manners>,
    /// Longest pause without data from the server.
    silence: Duration,
    max_attempts: u32,
    backoff: Duration,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(super) fn new(options: &OpenAiOptions) -> Result<Self, ControllerError> {
        let bad = |reason: String| ControllerError::BadEndpoint { reason };
        options.check()?;
        let url = address(&options.base_url).map_err(bad)?;
        let key = api_key(options.api_key_env.as_deref())?;
        let authorization = match &key {
            None => None,
            Some(key) => {
                let mut header = HeaderValue::from_str(&format!("Bearer {key}"))
                    .map_err(|_| bad("the API key has characters that are not allowed in a header".into()))?;
                header.set_sensitive(true);
                Some(header)
            }
        };
        let client = Client::builder()
            // A redirect could send the key to another host.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| bad(error.without_url().to_string()))?;
        Ok(Self {
            client,
            errors: ErrorReporter::new(url.as_str(), key.as_deref()),
            url,
            authorization,
            rate_limiter: RateLimiter::new(options),
            manners: Mutex::new(Manners {
                streaming: if options.stream { Streaming::Counted } else { Streaming::Off },
                schema: SchemaForm::Enforced,
                reasons: options.dialect == Dialect::OpenAiReasoning,
            }),
            silence: Duration::from_millis(options.timeout_ms),
            max_attempts: options.max_attempts.max(1),
            backoff: Duration::from_millis(options.backoff_ms),
        })
    }

    pub(super) fn errors(&self) -> &ErrorReporter {
        &self.errors
    }

    /// Asks for `request` in the form that the server supports, and reads the answer into `pending`. `body` writes the
    /// request. Retries while the server is busy or failing.
    ///
    /// If the future is dropped, `pending` keeps what the last attempt received.
    pub(super) async fn ask(
        &self,
        body: impl Fn(Manners) -> Value,
        pending: &mut PendingResponse<'_>,
    ) -> Result<(), ControllerError> {
        let mut wait = self.backoff;
        let mut tried = 0;
        loop {
            let manners = self.manners();
            let failure = match self.try_once(&body(manners), manners.streaming, pending).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if self.reduce(manners, &failure) {
                continue;
            }
            tried += 1;
            match failure {
                Failure::Permanent(error) => return Err(error),
                Failure::Retryable(error, _) if tried >= self.max_attempts => return Err(error),
                Failure::Retryable(error, asked) => {
                    tracing::warn!(%error, tried, "the endpoint is busy or failing; retrying");
                    tokio::time::sleep(asked.unwrap_or(wait).min(MAX_WAIT)).await;
                    wait = wait.saturating_mul(2);
                }
            }
        }
    }

    async fn try_once(
        &self,
        body: &Value,
        streaming: Streaming,
        pending: &mut PendingResponse<'_>,
    ) -> Result<(), Failure> {
        let _permit = self.rate_limiter.acquire().await;
        pending.begin(streaming != Streaming::Off);
        let mut post = self.client.post(self.url.clone()).json(body);
        if let Some(authorization) = &self.authorization {
            post = post.header(AUTHORIZATION, authorization.clone());
        }
        let response = match timeout(self.silence, post.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.errors.unreachable(Some(error))),
            Err(_) => return Err(self.errors.unreachable(None)),
        };
        if !response.status().is_success() {
            let (status, headers) = (response.status(), response.headers().clone());
            let text = stream::beginning(stream::body(response, self.silence), self.silence).await;
            return Err(self.errors.refused(status, &headers, &text));
        }
        self.read(response, pending).await.map_err(|read_error| self.errors.read_error(read_error))
    }

    /// Reads the response, streamed or not, whatever was requested and whatever the server calls it.
    async fn read(&self, response: Response, pending: &mut PendingResponse<'_>) -> Result<(), ReadError> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or("no content type").to_ascii_lowercase();
        let (shape, body) = stream::shape(stream::body(response, self.silence), self.silence).await?;
        match shape {
            Shape::Events => return stream::events(body, pending, self.silence).await,
            // A stream without events is an error of its reader.
            Shape::Other if kind.contains("event-stream") => {
                return stream::events(body, pending, self.silence).await;
            }
            Shape::Other if !kind.contains("json") => {
                let text = stream::beginning(body, self.silence).await;
                return Err(ReadError::Invalid(format!("expected JSON, got {kind}: {text}")));
            }
            Shape::Json | Shape::Other => {}
        }
        let text = stream::whole(body, self.silence).await?;
        let answer = Answer::read(text.trim_start_matches('\u{feff}')).map_err(ReadError::Invalid)?;
        if let Some(error) = answer.error {
            return Err(ReadError::ErrorObject(error));
        }
        pending.take_whole(answer).map_err(|reason| ReadError::Invalid(format!("{reason}: {text}")))
    }

    pub(super) fn manners(&self) -> Manners {
        *self.manners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.manners.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// An answer broke its schema: later requests have the schema in the prompt too.
    pub(super) fn schema_was_broken(&self) {
        self.change(|manners| manners.schema = manners.schema.max(SchemaForm::Both));
    }

    /// The length limit cut an answer in its reasoning: later requests have room for the reasoning.
    pub(super) fn reasoning_was_cut(&self) {
        self.change(|manners| manners.reasons = true);
    }

    /// Whether the server rejected an option that it need not have; if so, leaves it out of all later requests.
    fn reduce(&self, asked: Manners, failure: &Failure) -> bool {
        let (Failure::Retryable(error, _) | Failure::Permanent(error)) = failure;
        let ControllerError::Refused { status: 400 | 422 | 500 | 501, reason, .. } = error else {
            return false;
        };
        let reason = reason.to_lowercase();
        let names = |words: &[&str]| words.iter().any(|word| reason.contains(word));
        if names(&["stream_options"]) && asked.streaming == Streaming::Counted {
            self.change(|manners| manners.streaming = manners.streaming.max(Streaming::Plain));
        } else if names(&["stream"]) && asked.streaming != Streaming::Off {
            self.change(|manners| manners.streaming = Streaming::Off);
        } else if names(&["response_format", "schema", "structured output"])
            && asked.schema != SchemaForm::InWords
        {
            self.change(|manners| manners.schema = SchemaForm::InWords);
        } else {
            return false;
        }
        tracing::info!(%error, "the endpoint does not support an option; going on without it");
        true
    }
}

/// The chat completions URL below `base`, or what is wrong with it.
fn address(base: &str) -> Result<Url, String> {
    let address = format!("{}/chat/completions", base.trim_end_matches('/'));
    let url = Url::parse(&address).map_err(|error| format!("`{base}` is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{base}` must start with `http://` or `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL must not contain a password; set `controller.api_key_env` instead".into());
    }
    // URLs appear in error messages, and some servers take keys in the query.
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a URL must not have a query or fragment; set `controller.api_key_env` instead".into());
    }
    Ok(url)
}
