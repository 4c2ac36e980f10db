//! Classifies failures of a server as retryable or permanent, and removes the API key from messages.

use crate::ControllerError;
use crate::client::root_cause;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Longest quotation of a server's message, in characters.
const MAX_REASON: usize = 300;
/// Longest delay that a server can request.
pub(super) const MAX_WAIT: Duration = Duration::from_mins(1);

/// An error, with whether a retry may help.
#[derive(Debug)]
pub(super) enum Failure {
    /// A retry may help, after the delay that the server requested, if any.
    Retryable(ControllerError, Option<Duration>),
    /// A retry cannot help.
    Permanent(ControllerError),
}

/// Errors of receiving the body of a response.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("{}", root_cause(.0))]
    Transport(reqwest::Error),
    #[error("the server sent nothing for {} ms", .0.as_millis())]
    Silent(Duration),
    #[error("the response is longer than {0} bytes")]
    TooLong(usize),
}

/// Errors of reading an answer.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The body could not be received.
    Bytes(BodyError),
    /// The body is not an answer.
    Invalid(String),
    /// The body holds an error object of the server in place of the answer.
    ErrorObject(Value),
    /// The stream ended before the answer was complete.
    Ended,
    /// The server sent data for this long, but no part of an answer.
    Idle(Duration),
    /// The server sent parts of an answer for this long, without an end.
    Endless(Duration),
}

/// Creates errors about one endpoint.
pub(super) struct ErrorReporter {
    url: String,
    /// The API key, plain and in JSON spelling. Never logged.
    key: Option<[String; 2]>,
}

impl ErrorReporter {
    pub(super) fn new(url: &str, key: Option<&str>) -> Self {
        let key = key.map(|key| {
            let json = Value::from(key).to_string();
            let inside = json.get(1..json.len() - 1).unwrap_or(key).to_owned();
            [key.to_owned(), inside]
        });
        Self { url: url.to_owned(), key }
    }

    /// The request failed before a response arrived.
    pub(super) fn unreachable(&self, error: Option<reqwest::Error>) -> Failure {
        let reason = match error {
            Some(error) if !error.is_timeout() => root_cause(&error.without_url()),
            _ => "the server did not answer in time".to_owned(),
        };
        let error = ControllerError::Unreachable { url: self.url.clone(), reason: self.quote(&reason) };
        Failure::Retryable(error, None)
    }

    /// The server answered with an error status.
    pub(super) fn refused(&self, status: StatusCode, headers: &HeaderMap, text: &str) -> Failure {
        let body: Option<Value> = serde_json::from_str(text).ok();
        let reported = body.as_ref().and_then(|body| message(body.get("error").unwrap_or(body)));
        let reason = reported.map_or_else(|| plain(text), str::to_owned);
        self.by_status(status, &reason, asked_wait(headers, SystemTime::now()))
    }

    /// Reading the answer failed.
    pub(super) fn read_error(&self, read_error: ReadError) -> Failure {
        match read_error {
            ReadError::Invalid(reason) => Failure::Permanent(self.invalid(&reason)),
            ReadError::Bytes(fault @ BodyError::TooLong(_)) => {
                Failure::Permanent(self.invalid(&fault.to_string()))
            }
            ReadError::Bytes(fault) => self.interrupted(&fault.to_string()),
            ReadError::Ended => self.interrupted("the stream ended before the answer did"),
            ReadError::Idle(time) => {
                self.interrupted(&format!("no part of an answer arrived for {} ms", time.as_millis()))
            }
            ReadError::Endless(time) => {
                self.interrupted(&format!("the answer had no end after {} s", time.as_secs()))
            }
            ReadError::ErrorObject(error) => self.error_object(&error),
        }
    }

    pub(super) fn invalid(&self, reason: &str) -> ControllerError {
        ControllerError::InvalidResponse { url: self.url.clone(), reason: self.quote(reason) }
    }

    /// An `error` object in a response with a success status.
    fn error_object(&self, error: &Value) -> Failure {
        let reason = message(error).map_or_else(|| error.to_string(), str::to_owned);
        let code = error.get("code").and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        let status = code.and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
        match status {
            Some(status) if status.is_client_error() || status.is_server_error() => {
                self.by_status(status, &reason, None)
            }
            _ => self.interrupted(&reason),
        }
    }

    fn by_status(&self, status: StatusCode, reason: &str, asked: Option<Duration>) -> Failure {
        let (url, status_code) = (self.url.clone(), status.as_u16());
        let error = ControllerError::Refused { url, status: status_code, reason: self.quote(reason) };
        let retryable = status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
            || status.is_server_error();
        if retryable { Failure::Retryable(error, asked) } else { Failure::Permanent(error) }
    }

    fn interrupted(&self, reason: &str) -> Failure {
        let error = ControllerError::StreamInterrupted { url: self.url.clone(), reason: self.quote(reason) };
        Failure::Retryable(error, None)
    }

    /// Quotes the start of a server's message, with the API key replaced.
    pub(super) fn quote(&self, words: &str) -> String {
        let mut words = words.to_owned();
        for key in self.key.iter().flatten() {
            words = words.replace(key.as_str(), "[key]");
        }
        let mut quoted: String = words.chars().take(MAX_REASON).collect();
        if quoted.len() < words.len() {
            quoted.push('…');
        }
        quoted
    }
}

/// The message in an error object: `{"message": …}` on most servers, a plain string on some.
fn message(error: &Value) -> Option<&str> {
    error.get("message").unwrap_or(error).as_str()
}

/// Shortens an HTML error page to its title.
fn plain(text: &str) -> String {
    let text = text.trim();
    if !text.starts_with('<') {
        return text.to_owned();
    }
    // ASCII lower case keeps all byte positions.
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + "<title>".len()).and_then(|from| {
        let to = from + lower.get(from..)?.find("</title>")?;
        Some(text.get(from..to)?.trim())
    });
    match title {
        Some(title) => format!("an HTML page: {title}"),
        None => "an HTML page".to_owned(),
    }
}

/// The delay in `Retry-After`: a number of seconds, or a date.
fn asked_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        // A value that no duration can hold counts as the longest delay.
        let wait = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(MAX_WAIT);
        return Some(wait.min(MAX_WAIT));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(now).unwrap_or_default().min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;
    use serde_json::json;

    #[test]
    fn retry_after_is_seconds_or_a_date_up_to_a_limit() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let date = |ahead: u64| httpdate::fmt_http_date(now + Duration::from_secs(ahead));
        let past = httpdate::fmt_http_date(now - Duration::from_secs(100));
        for (value, seconds) in [
            ("7", Some(7.0)),
            (" 1.5 ", Some(1.5)),
            ("-3", Some(0.0)),
            ("86400", Some(60.0)),
            ("1e300", Some(60.0)),
            ("NaN", Some(0.0)),
            (date(9).as_str(), Some(9.0)),
            (date(100_000).as_str(), Some(60.0)),
            (past.as_str(), Some(0.0)),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
            assert_eq!(asked_wait(&headers, now), seconds.map(Duration::from_secs_f64), "{value}");
        }
    }

    #[test]
    fn error_objects_are_classified_by_code() {
        let errors = ErrorReporter::new("http://host", None);
        let retryable = |error: Value| matches!(errors.error_object(&error), Failure::Retryable(..));
        assert!(retryable(json!({"message": "busy", "code": 503})));
        assert!(retryable(json!({"message": "busy", "code": "429"})));
        assert!(retryable(json!("the worker died")));
        assert!(retryable(json!({"message": "odd", "code": 12})));
        assert!(!retryable(json!({"message": "no such model", "code": 404})));
    }

    #[test]
    fn quotations_never_contain_the_key() {
        let errors = ErrorReporter::new("http://host", Some("se\"cret"));
        assert_eq!(
            errors.quote(r#"bad key se"cret, {"key": "se\"cret"}"#),
            r#"bad key [key], {"key": "[key]"}"#
        );
        assert_eq!(errors.quote(&"é".repeat(400)).chars().count(), MAX_REASON + 1);
    }

    #[test]
    fn html_page_is_shortened_to_its_title() {
        assert_eq!(plain("<HTML><Title> 502 Bad Gateway </title>…"), "an HTML page: 502 Bad Gateway");
        assert_eq!(plain("<html>é<title>"), "an HTML page");
        assert_eq!(plain(" down "), "down");
    }
}
