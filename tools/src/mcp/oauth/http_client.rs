//! The HTTP client of sign-ins. A server names the URLs of its authorization, so each is checked like the server's own.

use crate::allowed_hosts::AllowedHosts;
use reqwest::redirect::Policy;
use rmcp::transport::auth::{
    OAuthHttpClient, OAuthHttpClientError, OAuthHttpClientFuture, OAuthHttpRedirectPolicy, OAuthHttpRequest,
};
use std::time::Duration;

/// Time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Limit on the size of a response body, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Sends the requests of a sign-in, to allowed addresses only.
pub struct SignInClient {
    hosts: AllowedHosts,
    follow: reqwest::Client,
    stop: reqwest::Client,
}

impl SignInClient {
    /// A client that contacts `hosts` only.
    ///
    /// # Errors
    /// TLS cannot be initialised.
    pub fn new(hosts: AllowedHosts) -> Result<Self, String> {
        let stop = hosts.builder().timeout(TIMEOUT).redirect(Policy::none()).build();
        let follow = hosts.client(TIMEOUT, false)?;
        Ok(Self { follow, stop: stop.map_err(|error| error.to_string())?, hosts })
    }
}

impl OAuthHttpClient for SignInClient {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let client = match request.redirect_policy {
                OAuthHttpRedirectPolicy::Follow => &self.follow,
                _ => &self.stop,
            };
            let request = reqwest::Request::try_from(request.request)?;
            self.hosts.check(request.url())?;
            let mut response = client.execute(request).await?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if body.len() + chunk.len() > MAX_BODY_BYTES {
                    return Err(OAuthHttpClientError::from(format!(
                        "the response has more than {MAX_BODY_BYTES} bytes"
                    )));
                }
                body.extend_from_slice(&chunk);
            }
            let mut answer = http::Response::new(body);
            *answer.status_mut() = response.status();
            *answer.version_mut() = response.version();
            *answer.headers_mut() = response.headers().clone();
            Ok(answer)
        })
    }
}
