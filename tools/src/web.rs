//! Requests to hosts that were listed, and to no others.

use globset::{Glob, GlobSet, GlobSetBuilder};
use reqwest::{Client, Response, Url, redirect};
use std::sync::Arc;
use std::time::Duration;

/// Hops of one request.
const HOPS: usize = 5;

/// The hosts that may be spoken to.
#[derive(Clone)]
pub struct Hosts(Arc<GlobSet>);

impl Hosts {
    /// Hosts by name, with `*` for any letters: `docs.rs`, `*.example.org`, `localhost:8080`.
    pub fn new(patterns: &[String]) -> Result<Self, String> {
        if patterns.is_empty() {
            return Err("`hosts` lists no host: name those that may be spoken to".to_owned());
        }
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(Glob::new(pattern).map_err(|error| format!("`{pattern}` is not a pattern: {error}"))?);
        }
        Ok(Self(Arc::new(set.build().map_err(|error| error.to_string())?)))
    }

    /// Whether this address may be asked; why not, if not.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{}` is not asked: only http and https are", url.scheme()));
        }
        let host = url.host_str().unwrap_or_default();
        let listed = match url.port() {
            Some(port) => self.0.is_match(format!("{host}:{port}")),
            None => self.0.is_match(host),
        };
        if listed { Ok(()) } else { Err(format!("`{host}` is not among the hosts that may be spoken to")) }
    }

    /// A client that follows redirects to listed hosts only; of requests that are `secret` only to where they came from.
    pub fn client(&self, timeout: Duration, secret: bool) -> Result<Client, String> {
        let hosts = self.clone();
        let policy = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() >= HOPS {
                return attempt.error(format!("more than {HOPS} redirects"));
            }
            // A header with a secret would go along.
            let origin = attempt.previous().first().map(Url::origin);
            if secret && origin.is_some_and(|origin| origin != attempt.url().origin()) {
                return attempt.error("a redirect to somewhere else is not followed with a secret");
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

/// The body, which may have so many bytes.
pub async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| told(&error))? {
        if bytes.len() + chunk.len() > most {
            return Err(format!("the answer has more than {most} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// An error with its causes: what is at the bottom is what people need.
pub fn told(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
