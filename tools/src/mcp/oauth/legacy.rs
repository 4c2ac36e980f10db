//! Authorization for servers of protocol 2025-03-26, which were their own authorization servers and published
//! no resource metadata.
//!
//! Some of them publish an issuer with a path at the well-known location of an issuer without one. RFC 8414,
//! section 3.3, forbids clients to accept that, and they are not accepted if resource metadata names an
//! authorization server. Without resource metadata every endpoint must be on the server's own origin, so no
//! other issuer can be impersonated.

use crate::allowed_hosts::AllowedHosts;
use reqwest::Url;
use reqwest::redirect::Policy;
use rmcp::transport::auth::{AuthorizationMetadata, WWWAuthenticateParams};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Size limit of a metadata document, in bytes.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const SERVER: &str = "/.well-known/oauth-authorization-server";

/// Metadata of the server at `url` as its own authorization server, or `None` if it is not such a server.
pub async fn metadata(
    url: &str,
    challenge: Option<&str>,
    hosts: &AllowedHosts,
) -> Option<AuthorizationMetadata> {
    let url = Url::parse(url).ok()?;
    hosts.check(&url).ok()?;
    if challenge
        .is_some_and(|words| WWWAuthenticateParams::parse(words, &url).resource_metadata_url.is_some())
    {
        return None;
    }
    let http = hosts.builder().redirect(Policy::none()).timeout(TIMEOUT).build().ok()?;
    for path in [format!("{RESOURCE}{}", url.path()), RESOURCE.to_owned()] {
        // Only status 404 shows that the server has no resource metadata.
        if http.get(url.join(&path).ok()?).send().await.ok()?.status() != reqwest::StatusCode::NOT_FOUND {
            return None;
        }
    }
    let mut answer = http.get(url.join(SERVER).ok()?).send().await.ok()?.error_for_status().ok()?;
    let mut document = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        document.extend_from_slice(&chunk);
        (document.len() <= MAX_DOCUMENT_BYTES).then_some(())?;
    }
    let metadata: AuthorizationMetadata = serde_json::from_slice(&document).ok()?;
    is_same_origin(&metadata, &url).then_some(metadata)
}

/// Whether every endpoint in `metadata` has the origin of `url`.
fn is_same_origin(metadata: &AuthorizationMetadata, url: &Url) -> bool {
    let named = [&metadata.authorization_endpoint, &metadata.token_endpoint];
    let named = named.into_iter().chain(&metadata.issuer).chain(&metadata.registration_endpoint);
    named.into_iter().all(|named| Url::parse(named).is_ok_and(|named| named.origin() == url.origin()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metadata_of_another_origin_is_rejected() {
        let url = Url::parse("https://mcp.example/mcp").unwrap();
        let metadata = |issuer: &str, token: &str| -> AuthorizationMetadata {
            let authorize = "https://mcp.example/authorize";
            serde_json::from_value(
                json!({"issuer": issuer, "authorization_endpoint": authorize, "token_endpoint": token}),
            )
            .unwrap()
        };
        let here = "https://mcp.example/oauth/token";
        assert!(is_same_origin(&metadata("https://mcp.example/oauth", here), &url));
        assert!(!is_same_origin(&metadata("https://evil.example/oauth", here), &url));
        assert!(!is_same_origin(&metadata("https://mcp.example", "https://mcp.example:8443/token"), &url));
        assert!(!is_same_origin(&metadata("https://mcp.example", "http://mcp.example/token"), &url));
    }
}
