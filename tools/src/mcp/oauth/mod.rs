//! Signing in where a server demands it: OAuth 2.1 as the Model Context Protocol wants it.
//!
//! Nothing is done before a server refuses a request. Then its metadata says who gives out tokens, and one is got there: by a
//! person in a browser, or by credentials of the agent's own. Discovery, the checks of issuers and resources, PKCE,
//! registration and the requests for tokens are rmcp's; what is here decides when to do them, for which client and scopes, and
//! keeps what came of it.

mod desk;
mod error;
mod keeper;
mod legacy;
mod loopback;
mod machine;
mod transport;

pub use desk::Desk;
pub use error::SignInError;
pub use loopback::PATIENCE as SIGNING_IN;
pub use transport::Authorized;

use rmcp::transport::JwtSigningAlgorithm;
use serde::{Deserialize, Serialize};

/// How to sign in at a server that demands it. Secrets are named by environment variable, never written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OAuthSettings {
    /// Who signs in.
    pub grant: Grant,
    /// The environment variable that holds the id of a client that the authorization server knows already. Without it the
    /// client registers itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id_env: Option<String>,
    /// The one that holds its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_env: Option<String>,
    /// The one that holds its private key in PEM, where it shows by a signature who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key_env: Option<String>,
    /// What the private key signs with.
    pub algorithm: Algorithm,
    /// The authorization server that knows the client: its credentials go to no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The HTTPS address of a document that describes this client, for servers that want no registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_metadata_url: Option<String>,
    /// What is asked for. Without any it is what the server says that it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The port on this machine that the browser is sent back to, for clients that are registered with one; any without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_port: Option<u16>,
    /// The company's identity provider, for `grant = "enterprise"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enterprise: Option<EnterpriseSettings>,
}

/// Who signs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// A person, in a browser.
    #[default]
    AuthorizationCode,
    /// The agent, by credentials of its own: nobody has to be there.
    ClientCredentials,
    /// The agent, for somebody whom a company's identity provider knows.
    Enterprise,
}

/// What a private key signs with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[allow(missing_docs, reason = "they are called what they are called")]
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

/// A company's identity provider, which vouches for somebody at the server's authorization server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnterpriseSettings {
    /// Who it is.
    pub issuer: String,
    /// Where it exchanges tokens.
    pub token_endpoint: String,
    /// The environment variable that holds the id by which it knows this client.
    pub client_id_env: String,
    /// The one that holds the client's secret there, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_env: Option<String>,
    /// The one that holds somebody's ID token.
    pub id_token_env: String,
}

impl OAuthSettings {
    /// Names of the environment variables whose values must not get into a log.
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

    /// What contradicts itself, or lacks something.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let proof = self.client_secret_env.is_some() || self.private_key_env.is_some();
        match self.grant {
            _ if proof && self.client_id_env.is_none() => {
                Err("a client's secret or key belongs to a client: add `client_id_env`")
            }
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

/// The value of an environment variable that the settings name.
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
    fn settings_that_cannot_work_are_refused() {
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
    fn all_that_is_secret_is_hidden_from_the_log() {
        let company = r#"{"issuer": "i", "token_endpoint": "t", "client_id_env": "A", "client_secret_env": "B", "id_token_env": "C"}"#;
        let text = format!(
            r#"{{"grant": "enterprise", "client_id_env": "I", "client_secret_env": "S", "enterprise": {company}}}"#
        );
        assert_eq!(settings(&text).unwrap().secrets(), ["S", "B", "C"]);
    }
}
