//! Fetching one file over HTTP, going on where it was cut off.

use super::ModelError;
use super::disk::{length, remove_file, sibling, write_whole};
use crate::Cancel;
use reqwest::header::{CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode, Url};
use std::error::Error;
use std::path::Path;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// A server that cannot be reached in this time is given up, so that the next source gets its turn.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that sends nothing for this long is asked anew.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a server is asked anew when it gives nothing more.
const RETRIES: u32 = 3;
/// The pause before the first time, doubled each time after.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// When this much came, the retries count from zero again.
const WORTH_A_RETRY: u64 = 1 << 20;

/// A file to be fetched.
pub struct Download<'a> {
    /// Where from.
    pub url: Url,
    /// How long it is, where that is known.
    pub bytes: Option<u64>,
    /// Whether its hash is known, so that a mixture of two versions of it would be noticed.
    pub hash_is_known: bool,
    /// Where to.
    pub part: &'a Path,
}

/// A client for downloads.
pub fn client() -> Result<Client, ModelError> {
    Client::builder()
        .user_agent(concat!("sojourn/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .map_err(|error| ModelError::Http { host: "HTTPS".to_owned(), reason: reason(&error) })
}

/// Why one try failed.
enum Failure {
    /// Trying again may help.
    Retryable(ModelError),
    /// It will not.
    Permanent(ModelError),
}

impl Download<'_> {
    /// Brings [`Download::part`] to its full length; what it holds already is taken for the file's beginning.
    ///
    /// `advance` is told how long the part has become.
    pub async fn run(
        &self,
        client: &Client,
        cancel: &Cancel,
        advance: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), ModelError> {
        let (mut retries, mut pause) = (0, FIRST_PAUSE);
        loop {
            let before = length(self.part);
            let error = match self.try_once(client, cancel, advance).await {
                Ok(()) => return Ok(()),
                Err(Failure::Permanent(error)) => return Err(error),
                Err(Failure::Retryable(error)) => error,
            };
            if length(self.part) >= before.saturating_add(WORTH_A_RETRY) {
                (retries, pause) = (0, FIRST_PAUSE);
            }
            if retries == RETRIES {
                return Err(error);
            }
            tracing::debug!(url = %self.url, %error, "trying again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => return Err(ModelError::Cancelled),
            }
            retries += 1;
            pause *= 2;
        }
    }

    async fn try_once(
        &self,
        client: &Client,
        cancel: &Cancel,
        advance: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), Failure> {
        let io = |error| Failure::Permanent(ModelError::io(self.part, error));
        let start = self.kept();
        if self.bytes == Some(start) {
            return Ok(());
        }
        let mut request = client.get(self.url.clone());
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
            if let Some(etag) = self.etag() {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = tokio::select! {
            response = request.send() => response.map_err(|error| self.unanswered(&error))?,
            () = cancel.cancelled() => return Err(Failure::Permanent(ModelError::Cancelled)),
        };
        let (start, total) = self.accept(&response, start)?;

        let mut file =
            File::options().create(true).truncate(false).write(true).open(self.part).await.map_err(io)?;
        file.set_len(start).await.map_err(io)?;
        file.seek(std::io::SeekFrom::Start(start)).await.map_err(io)?;
        advance(start);
        let received = self.receive(response, &mut file, start, total, cancel, advance).await;
        // Also what came before a fault is kept, and no write may be under way once this returns.
        file.flush().await.map_err(io)?;
        received
    }

    /// How much of the part can be built upon.
    fn kept(&self) -> u64 {
        let kept = length(self.part);
        let trusted = self.hash_is_known || self.etag().is_some();
        if trusted && self.bytes.is_none_or(|bytes| kept <= bytes) { kept } else { 0 }
    }

    /// Looks at an answer before its body: from where on it brings the file, and how long that is in all.
    fn accept(&self, response: &Response, asked: u64) -> Result<(u64, u64), Failure> {
        let (start, total) = match response.status() {
            StatusCode::PARTIAL_CONTENT => content_range(response)
                .filter(|(start, _)| *start == asked)
                .ok_or_else(|| Failure::Permanent(self.fault("it sends another range than was asked for")))?,
            // Not every server can begin in the middle.
            StatusCode::OK => {
                let total = response
                    .content_length()
                    .ok_or_else(|| Failure::Permanent(self.fault("it does not say how long the file is")))?;
                (0, total)
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                remove_file(self.part).map_err(Failure::Permanent)?;
                return Err(Failure::Retryable(self.fault("it has less than there is here already")));
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failure::Retryable(self.fault(format!("it answers `{status}`"))));
            }
            status => return Err(Failure::Permanent(self.fault(format!("it answers `{status}`")))),
        };
        if let Some(expected) = self.bytes.filter(|expected| *expected != total) {
            let what = self.url.path_segments().and_then(Iterator::last).unwrap_or_default().to_owned();
            return Err(Failure::Permanent(ModelError::Size { what, expected, got: total }));
        }
        if start == 0 && !self.hash_is_known {
            self.keep_etag(response).map_err(Failure::Permanent)?;
        }
        Ok((start, total))
    }

    async fn receive(
        &self,
        mut response: Response,
        file: &mut File,
        start: u64,
        total: u64,
        cancel: &Cancel,
        advance: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), Failure> {
        let mut position = start;
        loop {
            let chunk = tokio::select! {
                chunk = response.chunk() => chunk.map_err(|error| Failure::Retryable(self.fault(reason(&error))))?,
                () = cancel.cancelled() => return Err(Failure::Permanent(ModelError::Cancelled)),
            };
            let Some(chunk) = chunk else { break };
            position += chunk.len() as u64;
            if position > total {
                return Err(Failure::Permanent(self.fault("it sends more than it said")));
            }
            file.write_all(&chunk)
                .await
                .map_err(|error| Failure::Permanent(ModelError::io(self.part, error)))?;
            advance(position);
        }
        if position < total {
            let missing = total - position;
            return Err(Failure::Retryable(self.fault(format!("it stopped with {missing} bytes to go"))));
        }
        Ok(())
    }

    /// The version of the file that the part is of, as the server named it.
    fn etag(&self) -> Option<String> {
        std::fs::read_to_string(sibling(self.part, "etag")).ok().filter(|etag| !etag.is_empty())
    }

    /// Keeps the version of the file that is about to come; without one, a later pull begins anew.
    fn keep_etag(&self, response: &Response) -> Result<(), ModelError> {
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let path = sibling(self.part, "etag");
        match etag.filter(|etag| !etag.starts_with("W/")) {
            Some(etag) => write_whole(&path, etag.as_bytes()),
            None => remove_file(&path),
        }
    }

    fn unanswered(&self, error: &reqwest::Error) -> Failure {
        let fault = self.fault(reason(error));
        if error.is_connect() { Failure::Permanent(fault) } else { Failure::Retryable(fault) }
    }

    fn fault(&self, reason: impl Into<String>) -> ModelError {
        let host = self.url.host_str().unwrap_or_default().to_owned();
        ModelError::Http { host, reason: reason.into() }
    }
}

/// The first byte and the total length in a header like `bytes 5-9/10`.
fn content_range(response: &Response) -> Option<(u64, u64)> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()?))
}

/// What reqwest says, with what it keeps to itself: the cause at the bottom.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() && error.is_connect() {
        return "it cannot be reached: no answer".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_connect() { format!("it cannot be reached: {cause}") } else { cause.to_string() }
}
