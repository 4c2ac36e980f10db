//! What goes wrong with a server, whether trying again may help, and how it is told without the key.

use crate::ControllerError;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// The longest piece of a server's words that goes into an error, in characters.
const MAX_REASON: usize = 300;
/// The longest wait that a server may ask for.
pub(super) const MAX_WAIT: Duration = Duration::from_mins(1);

/// Whether another try may help.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may, after the wait that the server asked for, if it did.
    Retryable(ControllerError, Option<Duration>),
    /// It will not.
    Permanent(ControllerError),
}

/// What can happen to the bytes of an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("{}", innermost(.0))]
    Transport(reqwest::Error),
    #[error("nothing more came for {} ms", .0.as_millis())]
    Silent(Duration),
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
}

/// What can happen to an answer while it is read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// Its bytes do not come.
    Bytes(BodyError),
    /// The bytes are no answer.
    Garbled(String),
    /// The server says in the answer's place what went wrong with it.
    Told(Value),
    /// It is not whole.
    Ended,
    /// Bytes come, but for so long nothing of an answer.
    Idle(Duration),
}

/// Makes errors about one endpoint.
pub(super) struct ErrorReporter {
    url: String,
    /// The key as it is and as JSON writes it. Never printed.
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

    /// No answer began.
    pub(super) fn unreachable(&self, error: Option<reqwest::Error>) -> Failure {
        let reason = match error {
            Some(error) if !error.is_timeout() => innermost(&error.without_url()),
            _ => "no answer in time".to_owned(),
        };
        let error = ControllerError::Unreachable { url: self.url.clone(), reason: self.quote(&reason) };
        Failure::Retryable(error, None)
    }

    /// The server answered with another status than success.
    pub(super) fn refused(&self, status: StatusCode, headers: &HeaderMap, text: &str) -> Failure {
        let body: Option<Value> = serde_json::from_str(text).ok();
        let told = body.as_ref().and_then(|body| message(body.get("error").unwrap_or(body)));
        let reason = told.map_or_else(|| plain(text), str::to_owned);
        self.by_status(status, &reason, asked_wait(headers, SystemTime::now()))
    }

    /// An answer began and came to nothing.
    pub(super) fn read_error(&self, read_error: ReadError) -> Failure {
        match read_error {
            ReadError::Garbled(reason) => Failure::Permanent(self.garbled(&reason)),
            ReadError::Bytes(fault @ BodyError::TooLong(_)) => {
                Failure::Permanent(self.garbled(&fault.to_string()))
            }
            ReadError::Bytes(fault) => self.broken_off(&fault.to_string()),
            ReadError::Ended => self.broken_off("the stream ended before the answer did"),
            ReadError::Idle(time) => {
                self.broken_off(&format!("no part of an answer came for {} ms", time.as_millis()))
            }
            ReadError::Told(error) => self.told(&error),
        }
    }

    pub(super) fn garbled(&self, reason: &str) -> ControllerError {
        ControllerError::InvalidResponse { url: self.url.clone(), reason: self.quote(reason) }
    }

    /// An `error` object in an answer that had begun well.
    fn told(&self, error: &Value) -> Failure {
        let reason = message(error).map_or_else(|| error.to_string(), str::to_owned);
        let code = error.get("code").and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        let status = code.and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
        match status {
            Some(status) if status.is_client_error() || status.is_server_error() => {
                self.by_status(status, &reason, None)
            }
            _ => self.broken_off(&reason),
        }
    }

    fn by_status(&self, status: StatusCode, reason: &str, asked: Option<Duration>) -> Failure {
        let (url, status_code) = (self.url.clone(), status.as_u16());
        let error = ControllerError::Refused { url, status: status_code, reason: self.quote(reason) };
        let passing = status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
            || status.is_server_error();
        if passing { Failure::Retryable(error, asked) } else { Failure::Permanent(error) }
    }

    fn broken_off(&self, reason: &str) -> Failure {
        let error = ControllerError::StreamInterrupted { url: self.url.clone(), reason: self.quote(reason) };
        Failure::Retryable(error, None)
    }

    /// The beginning of `words` without the key, which some servers repeat.
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

/// The outermost error only says that sending or reading failed; the innermost says why.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// The message in an error, which most servers write as `{"message": …}` and some as a string.
fn message(error: &Value) -> Option<&str> {
    error.get("message").unwrap_or(error).as_str()
}

/// What a page is called, for servers behind something that answers with pages.
fn plain(text: &str) -> String {
    let text = text.trim();
    if !text.starts_with('<') {
        return text.to_owned();
    }
    // Lower case in ASCII leaves every byte where it is.
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + "<title>".len()).and_then(|from| {
        let to = from + lower.get(from..)?.find("</title>")?;
        Some(text.get(from..to)?.trim())
    });
    match title {
        Some(title) => format!("a page: {title}"),
        None => "a page".to_owned(),
    }
}

/// How long `Retry-After` says to wait: so many seconds, or until a date.
fn asked_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        // What no duration can hold is longer than anybody waits.
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
    fn a_wait_is_seconds_or_a_date_and_never_long() {
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
    fn an_error_in_an_answer_is_judged_by_its_code() {
        let errors = ErrorReporter::new("http://host", None);
        let passing = |error: Value| matches!(errors.told(&error), Failure::Retryable(..));
        assert!(passing(json!({"message": "busy", "code": 503})));
        assert!(passing(json!({"message": "busy", "code": "429"})));
        assert!(passing(json!("the worker died")));
        assert!(passing(json!({"message": "odd", "code": 12})));
        assert!(!passing(json!({"message": "no such model", "code": 404})));
    }

    #[test]
    fn the_key_is_in_no_quotation_however_it_is_written() {
        let errors = ErrorReporter::new("http://host", Some("se\"cret"));
        assert_eq!(
            errors.quote(r#"bad key se"cret, {"key": "se\"cret"}"#),
            r#"bad key [key], {"key": "[key]"}"#
        );
        assert_eq!(errors.quote(&"é".repeat(400)).chars().count(), MAX_REASON + 1);
    }

    #[test]
    fn of_a_page_its_title_is_told() {
        assert_eq!(plain("<HTML><Title> 502 Bad Gateway </title>…"), "a page: 502 Bad Gateway");
        assert_eq!(plain("<html>é<title>"), "a page");
        assert_eq!(plain(" down "), "down");
    }
}
