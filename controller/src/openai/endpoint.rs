use super::OpenAiOptions;
use crate::ControllerError;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 16 << 20;
/// The longest piece of a server's words that goes into an error, in characters.
const MAX_REASON: usize = 300;
/// The longest wait that a server may ask for.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// An address to post to, with the key to show there.
pub(super) struct Endpoint {
    client: Client,
    /// Of the chat completions.
    url: Url,
    /// What to show there. Never printed.
    key: Option<String>,
    tries: u32,
    backoff: Duration,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// Whether another try may help.
enum Failure {
    /// It may, after the wait that the server asked for, if it did.
    Passing(ControllerError, Option<Duration>),
    /// It will not.
    Lasting(ControllerError),
}

impl Endpoint {
    pub(super) fn new(options: &OpenAiOptions) -> Result<Self, ControllerError> {
        let bad = |reason: String| ControllerError::BadEndpoint { reason };
        let address = format!("{}/chat/completions", options.base_url.trim_end_matches('/'));
        let url = Url::parse(&address)
            .map_err(|error| bad(format!("`{}` is not an address: {error}", options.base_url)))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(format!("`{}` is neither http nor https", options.base_url)));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("an address must not hold a password; name the key's variable instead".into()));
        }
        let key = match &options.key_variable {
            None => None,
            Some(variable) => match std::env::var(variable) {
                Ok(key) if !key.trim().is_empty() => Some(key.trim().to_owned()),
                _ => return Err(ControllerError::NoKey { variable: variable.clone() }),
            },
        };
        if let Some(key) = &key
            && HeaderValue::from_str(key).is_err()
        {
            return Err(bad("the key has characters that no header can hold".into()));
        }
        let client = Client::builder()
            .timeout(Duration::from_millis(options.timeout_ms))
            // A redirect could carry the key elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| bad(error.without_url().to_string()))?;
        let backoff = Duration::from_millis(options.backoff_ms);
        Ok(Self { client, url, key, tries: options.tries.max(1), backoff })
    }

    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Posts `body` and returns the JSON of the answer, trying again while the server is busy or failing.
    pub(super) async fn post(&self, body: &Value) -> Result<Value, ControllerError> {
        let mut wait = self.backoff;
        let mut tried = 0;
        loop {
            tried += 1;
            match self.try_once(body).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(error, asked)) => {
                    if tried >= self.tries {
                        return Err(error);
                    }
                    tracing::warn!(%error, tried, "the endpoint is busy or failing; trying again");
                    tokio::time::sleep(asked.unwrap_or(wait).min(MAX_WAIT)).await;
                    wait *= 2;
                }
            }
        }
    }

    async fn try_once(&self, body: &Value) -> Result<Value, Failure> {
        let mut post = self.client.post(self.url.clone()).json(body);
        if let Some(key) = &self.key {
            post = post.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        let response = post.send().await.map_err(|error| Failure::Passing(self.unreachable(error), None))?;
        let status = response.status();
        let asked = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json = kind.is_some_and(|kind| kind.contains("json"));
        let kind = kind.unwrap_or("no content type").to_owned();
        let text = self.read(response).await?;
        if !status.is_success() {
            let error = ControllerError::Refused {
                url: self.url().to_owned(),
                status: status.as_u16(),
                reason: self.quote(&refusal(&text)),
            };
            let passing = status == StatusCode::TOO_MANY_REQUESTS
                || status == StatusCode::REQUEST_TIMEOUT
                || status.is_server_error();
            return Err(if passing { Failure::Passing(error, asked) } else { Failure::Lasting(error) });
        }
        if !is_json {
            return Err(self.garbled(&format!("expected JSON, got {kind}: {text}")));
        }
        serde_json::from_str(&text).map_err(|error| self.garbled(&format!("{error}: {text}")))
    }

    /// The body of `response`, unless it is absurdly long.
    async fn read(&self, mut response: Response) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| Failure::Passing(self.unreachable(error), None))?
        {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(self.garbled(&format!("it is longer than {MAX_ANSWER} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn unreachable(&self, error: reqwest::Error) -> ControllerError {
        let mut reason = if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
        if reason.is_empty() {
            // The outermost error only says that sending failed; the innermost says why.
            let error = error.without_url();
            let mut cause: &dyn std::error::Error = &error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            reason = cause.to_string();
        }
        ControllerError::Unreachable { url: self.url().to_owned(), reason: self.quote(&reason) }
    }

    fn garbled(&self, reason: &str) -> Failure {
        Failure::Lasting(ControllerError::Garbled { url: self.url().to_owned(), reason: self.quote(reason) })
    }

    /// The beginning of `words` without the key, which some servers repeat.
    fn quote(&self, words: &str) -> String {
        let words = match &self.key {
            Some(key) => words.replace(key.as_str(), "[key]"),
            None => words.to_owned(),
        };
        let mut quoted: String = words.chars().take(MAX_REASON).collect();
        if quoted.len() < words.len() {
            quoted.push('…');
        }
        quoted
    }
}

/// The message in a refusal, which most servers wrap as `{"error": {"message": …}}`.
fn refusal(text: &str) -> String {
    let body: Option<Value> = serde_json::from_str(text).ok();
    let message = body.as_ref().and_then(|body| {
        let error = body.get("error").unwrap_or(body);
        error.get("message").unwrap_or(error).as_str()
    });
    message.unwrap_or(text.trim()).to_owned()
}
