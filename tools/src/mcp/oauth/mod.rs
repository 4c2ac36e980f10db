//! OAuth 2.1 sign-in as the Model Context Protocol specifies it.
//!
//! Nothing happens until a server rejects a request. Its metadata then names the authorization server, where
//! a token is obtained: by the user in a browser, or with the agent's own credentials. rmcp implements
//! discovery, issuer and resource checks, PKCE, client registration and token requests. This module decides
//! when to run them, for which client and scopes, and stores the result.

mod credential_store;
mod error;
mod http_client;
mod legacy;
mod loopback;
mod token_manager;
mod transport;
mod unattended;

pub use error::SignInError;
pub use loopback::SIGN_IN_TIMEOUT;
pub use token_manager::TokenManager;
pub use transport::Authorized;

use rmcp::transport::JwtSigningAlgorithm;
use serde::{Deserialize, Serialize};

/// How to sign in at a server that demands it. Secrets are referenced by environment variable, never written
/// in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OAuthSettings {
    /// Kind of sign-in: the user in a browser, the agent by itself, or the agent for a user of a company's
    /// identity provider.
    pub grant: Grant,
    /// Environment variable with the id of a registered client. Without it the client registers itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id_env: Option<String>,
    /// Environment variable with the client secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_env: Option<String>,
    /// Environment variable with the client's private key in PEM format, for authentication by a signed JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key_env: Option<String>,
    /// Signature algorithm of the private key.
    pub algorithm: Algorithm,
    /// Issuer that the client is registered with. Its credentials are sent to no other. Without it, a secret is sent only to the
    /// origin of the server itself; `"*"` lets the server name any authorization server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// HTTPS URL of a client metadata document, for servers that use one instead of registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_metadata_url: Option<String>,
    /// Scopes to request. Default: the scopes that the server demands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Loopback port of the redirect URI, for clients that are registered with a fixed one. Default: any free
    /// port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_port: Option<u16>,
    /// The identity provider, for `grant = "enterprise"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enterprise: Option<EnterpriseSettings>,
}

/// Kinds of sign-in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// Authorization code: the user signs in with a browser.
    #[default]
    AuthorizationCode,
    /// Client credentials: the agent signs in by itself.
    ClientCredentials,
    /// Enterprise-managed authorization: the agent signs in for a user of a company's identity provider.
    Enterprise,
}

/// JWT signature algorithms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[allow(missing_docs, reason = "the variants have the names of RFC 7518")]
pub enum Algorithm {
    #[default]
    ES256,
    ES384,
    RS256,
    RS384,
    RS512,
}

impl From<Algorithm> for JwtSigningAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::ES256 => Self::ES256,
            Algorithm::ES384 => Self::ES384,
            Algorithm::RS256 => Self::RS256,
            Algorithm::RS384 => Self::RS384,
            Algorithm::RS512 => Self::RS512,
        }
    }
}

/// A company's identity provider, which vouches for a user at the server's authorization server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnterpriseSettings {
    /// Issuer identifier.
    pub issuer: String,
    /// Token endpoint for the token exchange.
    pub token_endpoint: String,
    /// Environment variable with the id of this client at the provider.
    pub client_id_env: String,
    /// Environment variable with the client's secret at the provider, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_env: Option<String>,
    /// Environment variable with the user's ID token.
    pub id_token_env: String,
}

impl OAuthSettings {
    /// Environment variables whose values must not appear in a log.
    pub fn secrets(&self) -> Vec<&str> {
        let mut names: Vec<&str> = [&self.client_secret_env, &self.private_key_env]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        if let Some(enterprise) = &self.enterprise {
            names.extend(enterprise.client_secret_env.as_deref());
            names.push(&enterprise.id_token_env);
        }
        names
    }

    /// Checks the settings for contradictions and missing keys.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let proof = self.client_secret_env.is_some() || self.private_key_env.is_some();
        match self.grant {
            _ if proof && self.client_id_env.is_none() => Err("a client secret or key needs `client_id_env`"),
            Grant::ClientCredentials if !proof => {
                Err("`client_credentials` need `client_id_env` and `client_secret_env`, or `private_key_env`")
            }
            Grant::Enterprise if self.enterprise.is_none() || self.client_id_env.is_none() => {
                Err("`enterprise` needs `client_id_env` and a table `enterprise`")
            }
            Grant::AuthorizationCode if self.private_key_env.is_some() => {
                Err("`private_key_env` is for `grant = \"client_credentials\"`")
            }
            _ => Ok(()),
        }
    }
}

/// Value of an environment variable that the settings name.
fn variable(name: &str) -> Result<String, SignInError> {
    std::env::var(name).map_err(|_| SignInError::Variable { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<OAuthSettings, String> {
        let settings: OAuthSettings = serde_json::from_str(text).map_err(|error| error.to_string())?;
        settings.check().map_err(str::to_owned)?;
        Ok(settings)
    }

    #[test]
    fn inconsistent_settings_are_rejected() {
        assert!(settings("{}").is_ok());
        for (text, word) in [
            (r#"{"client_secret_env": "S"}"#, "client_id_env"),
            (r#"{"grant": "client_credentials"}"#, "client_secret_env"),
            (r#"{"grant": "enterprise", "client_id_env": "I"}"#, "enterprise"),
            (r#"{"client_id_env": "I", "private_key_env": "K"}"#, "client_credentials"),
            (r#"{"client_secret": "in the open"}"#, "unknown field"),
        ] {
            let error = settings(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn every_secret_variable_is_listed() {
        let company = r#"{"issuer": "i", "token_endpoint": "t", "client_id_env": "A", "client_secret_env": "B", "id_token_env": "C"}"#;
        let text = format!(
            r#"{{"grant": "enterprise", "client_id_env": "I", "client_secret_env": "S", "enterprise": {company}}}"#
        );
        assert_eq!(settings(&text).unwrap().secrets(), ["S", "B", "C"]);
    }
}
