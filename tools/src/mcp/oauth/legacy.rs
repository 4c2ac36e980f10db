//! Servers of 2025-03-26, which were their own authorization servers and published nothing about themselves as resources.
//!
//! Some of them name an issuer with a path at the well-known place of one without. RFC 8414 (3.3) forbids to use that, and
//! where metadata of the resource names an authorization server it is not used. Without such metadata everything stays on the
//! server's own origin, and nobody else could be meant by it.

use reqwest::Url;
use reqwest::redirect::Policy;
use rmcp::transport::auth::{AuthorizationMetadata, WWWAuthenticateParams};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a document.
const MOST: usize = 64 * 1024;
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const SERVER: &str = "/.well-known/oauth-authorization-server";

/// What the server at `url` publishes of itself as its own authorization server, if it is such an old one.
pub async fn metadata(url: &str, challenge: Option<&str>) -> Option<AuthorizationMetadata> {
    let url = Url::parse(url).ok()?;
    if challenge
        .is_some_and(|words| WWWAuthenticateParams::parse(words, &url).resource_metadata_url.is_some())
    {
        return None;
    }
    let http = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE).build().ok()?;
    for path in [format!("{RESOURCE}{}", url.path()), RESOURCE.to_owned()] {
        // Only a plain "there is none" says that it is an old one.
        if http.get(url.join(&path).ok()?).send().await.ok()?.status() != reqwest::StatusCode::NOT_FOUND {
            return None;
        }
    }
    let mut answer = http.get(url.join(SERVER).ok()?).send().await.ok()?.error_for_status().ok()?;
    let mut document = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        document.extend_from_slice(&chunk);
        (document.len() <= MOST).then_some(())?;
    }
    let metadata: AuthorizationMetadata = serde_json::from_slice(&document).ok()?;
    own(&metadata, &url).then_some(metadata)
}

/// Whether all that it names is at the origin of `url`.
fn own(metadata: &AuthorizationMetadata, url: &Url) -> bool {
    let named = [&metadata.authorization_endpoint, &metadata.token_endpoint];
    let named = named.into_iter().chain(&metadata.issuer).chain(&metadata.registration_endpoint);
    named.into_iter().all(|named| Url::parse(named).is_ok_and(|named| named.origin() == url.origin()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_of_another_origin_is_believed() {
        let url = Url::parse("https://mcp.example/mcp").unwrap();
        let metadata = |issuer: &str, token: &str| -> AuthorizationMetadata {
            let authorize = "https://mcp.example/authorize";
            serde_json::from_value(
                json!({"issuer": issuer, "authorization_endpoint": authorize, "token_endpoint": token}),
            )
            .unwrap()
        };
        let here = "https://mcp.example/oauth/token";
        assert!(own(&metadata("https://mcp.example/oauth", here), &url));
        assert!(!own(&metadata("https://evil.example/oauth", here), &url));
        assert!(!own(&metadata("https://mcp.example", "https://mcp.example:8443/token"), &url));
        assert!(!own(&metadata("https://mcp.example", "http://mcp.example/token"), &url));
    }
}
