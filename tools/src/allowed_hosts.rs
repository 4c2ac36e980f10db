//! HTTP restricted to an allow-list of hosts.

use globset::{Glob, GlobSet, GlobSetBuilder};
use reqwest::{Client, Response, Url, redirect};
use std::sync::Arc;
use std::time::Duration;

/// Limit on redirects of one request.
const MAX_REDIRECTS: usize = 5;

/// An allow-list of hosts.
#[derive(Clone)]
pub struct AllowedHosts(Arc<GlobSet>);

impl AllowedHosts {
    /// Compiles host patterns, with `*` as a wildcard: `docs.rs`, `*.example.org`, `localhost:8080`.
    pub fn new(patterns: &[String]) -> Result<Self, String> {
        if patterns.is_empty() {
            return Err("`hosts` is empty: list the hosts that may be contacted".to_owned());
        }
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(Glob::new(pattern).map_err(|error| format!("`{pattern}` is not a pattern: {error}"))?);
        }
        Ok(Self(Arc::new(set.build().map_err(|error| error.to_string())?)))
    }

    /// Ok if the list allows `url`; otherwise the reason why not.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("the scheme `{}` is not allowed: only http and https are", url.scheme()));
        }
        let host = url.host_str().unwrap_or_default();
        let listed = match url.port() {
            Some(port) => self.0.is_match(format!("{host}:{port}")),
            None => self.0.is_match(host),
        };
        if listed {
            Ok(())
        } else {
            Err(format!("`{host}` is not in `hosts`, the list of hosts that may be contacted"))
        }
    }

    /// An HTTP client that follows redirects to allowed hosts only. With `secret`, redirects stay on the
    /// origin of the request.
    pub fn client(&self, timeout: Duration, secret: bool) -> Result<Client, String> {
        let hosts = self.clone();
        let policy = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() >= MAX_REDIRECTS {
                return attempt.error(format!("more than {MAX_REDIRECTS} redirects"));
            }
            // Headers with secrets are sent along with a redirect.
            let origin = attempt.previous().first().map(Url::origin);
            if secret && origin.is_some_and(|origin| origin != attempt.url().origin()) {
                return attempt.error("a request with a secret follows no redirect to another origin");
            }
            match hosts.check(attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(reason) => attempt.error(reason),
            }
        });
        Client::builder()
            .timeout(timeout)
            .redirect(policy)
            .user_agent(concat!("sojourn/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())
    }
}

/// Reads a response body of at most `most` bytes.
pub async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error_chain(&error))? {
        if bytes.len() + chunk.len() > most {
            return Err(format!("the response has more than {most} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// An error with its chain of causes; the root cause is what helps the reader.
pub fn error_chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
