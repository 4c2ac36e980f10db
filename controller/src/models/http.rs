//! Downloads one file over HTTP, and resumes partial downloads.

use super::ModelError;
use super::disk::{length, remove_file, sibling, write_whole};
use crate::Cancel;
use crate::client::root_cause;
use reqwest::header::{CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode, Url};
use std::path::Path;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// Time limit for connecting, after which the next source is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest delay without data before the request is retried.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Number of retries without progress.
const RETRIES: u32 = 3;
/// Delay before the first retry; doubled for each further one.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Progress in bytes that resets the retry counter.
const PROGRESS_BYTES: u64 = 1 << 20;

/// A file to download.
pub struct Download<'a> {
    /// Source URL.
    pub url: Url,
    /// Expected length in bytes, if known.
    pub bytes: Option<u64>,
    /// Whether the hash is known. It detects a file that was assembled from two versions.
    pub hash_is_known: bool,
    /// Path of the partial file.
    pub part: &'a Path,
}

pub fn client() -> Result<Client, ModelError> {
    Client::builder()
        .user_agent(concat!("sojourn/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .map_err(|error| ModelError::Http { host: "HTTPS".to_owned(), reason: reason(&error) })
}

/// The failure of one attempt.
enum Failure {
    /// A retry may help.
    Retryable(ModelError),
    /// A retry cannot help.
    Permanent(ModelError),
}

impl Download<'_> {
    /// Downloads the missing rest of [`Download::part`]. `advance` receives the file's new length in bytes.
    pub async fn run(
        &self,
        client: &Client,
        cancel: &Cancel,
        advance: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), ModelError> {
        let (mut retries, mut delay) = (0, FIRST_DELAY);
        loop {
            let before = length(self.part);
            let error = match self.try_once(client, cancel, advance).await {
                Ok(()) => return Ok(()),
                Err(Failure::Permanent(error)) => return Err(error),
                Err(Failure::Retryable(error)) => error,
            };
            if length(self.part) >= before.saturating_add(PROGRESS_BYTES) {
                (retries, delay) = (0, FIRST_DELAY);
            }
            if retries == RETRIES {
                return Err(error);
            }
            tracing::debug!(url = %self.url, %error, "retrying");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = cancel.cancelled() => return Err(ModelError::Cancelled),
            }
            retries += 1;
            delay *= 2;
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
        // Data before a failure is kept, and no write may be pending on return.
        file.flush().await.map_err(io)?;
        received
    }

    /// Length of the usable part of the file, in bytes.
    fn kept(&self) -> u64 {
        let kept = length(self.part);
        let trusted = self.hash_is_known || self.etag().is_some();
        if trusted && self.bytes.is_none_or(|bytes| kept <= bytes) { kept } else { 0 }
    }

    /// Checks a response before its body is read. Returns the start offset and the total length, in bytes.
    fn accept(&self, response: &Response, asked: u64) -> Result<(u64, u64), Failure> {
        let (start, total) = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                content_range(response).filter(|(start, _)| *start == asked).ok_or_else(|| {
                    Failure::Permanent(self.fault("the server sent another range than requested"))
                })?
            }
            // The server does not support range requests.
            StatusCode::OK => {
                let total = response.content_length().ok_or_else(|| {
                    Failure::Permanent(self.fault("the server did not report the length of the file"))
                })?;
                (0, total)
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                remove_file(self.part).map_err(Failure::Permanent)?;
                return Err(Failure::Retryable(
                    self.fault("the server's file is shorter than the partial download"),
                ));
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failure::Retryable(self.fault(format!("the server answered `{status}`"))));
            }
            status => return Err(Failure::Permanent(self.fault(format!("the server answered `{status}`")))),
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
                return Err(Failure::Permanent(self.fault("the server sent more data than announced")));
            }
            file.write_all(&chunk)
                .await
                .map_err(|error| Failure::Permanent(ModelError::io(self.part, error)))?;
            advance(position);
        }
        if position < total {
            let missing = total - position;
            return Err(Failure::Retryable(
                self.fault(format!("the transfer stopped with {missing} bytes missing")),
            ));
        }
        Ok(())
    }

    /// The ETag of the version that the partial file belongs to.
    fn etag(&self) -> Option<String> {
        std::fs::read_to_string(sibling(self.part, "etag")).ok().filter(|etag| !etag.is_empty())
    }

    /// Stores the ETag of the response. Without a strong ETag, the next pull starts from the beginning.
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

/// The first byte and the total length in a header such as `bytes 5-9/10`.
fn content_range(response: &Response) -> Option<(u64, u64)> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()?))
}

/// Describes an error of reqwest.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() && error.is_connect() {
        return "the server is unreachable: no answer".to_owned();
    }
    let cause = root_cause(error);
    if error.is_connect() { format!("the server is unreachable: {cause}") } else { cause }
}
