//! Tools of servers that speak the Model Context Protocol, over stdio or streamable HTTP.
//!
//! The stateless protocol of 2026-07-28 is tried first and the older ones after it. What a server offers is listed anew when it
//! says that it has changed; a server that dies is started again with growing pauses, and its tools are gone meanwhile.

mod connection;
mod handler;
mod http;
mod link;
mod oauth;
mod output;
mod progress;
#[cfg(feature = "serve")]
pub mod serve;
mod tool;

pub use oauth::{Algorithm, EnterpriseSettings, Grant, OAuthSettings};

use crate::builtin::Person;
use crate::{Effects, ToolSource};
use connection::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::DropGuard;

/// How a server is reached, and what is let through to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct McpSettings {
    /// The program and its arguments, where it is started here and spoken to over its standard input and output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Its address, where it is reached over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Names of the environment variables that the program may see, besides PATH, HOME, LANG and TMPDIR.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The environment variable that holds the bearer token for `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// How to sign in at `url`, where it demands that. Without it nobody signs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuthSettings>,
    /// What its tools may do, by the name that the server gives them. For the others the server's own hints count, and
    /// without hints the worst is assumed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub effects: BTreeMap<String, Effects>,
    /// What it is told when it asks the user something.
    pub elicitation: Elicitation,
    /// Milliseconds that a call may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// What a server is told when it asks the user something.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Elicitation {
    /// That the user does not say.
    #[default]
    Decline,
    /// That the user wants none of it.
    Cancel,
    /// These fields, and the form's own defaults for the others.
    Accept(Map<String, Value>),
}

/// Why a server cannot be used as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum McpSettingsError {
    /// It is nowhere, or in two places.
    #[error("the MCP server `{name}` needs either `command` or `url`")]
    Where {
        /// The name that the agent file gives it.
        name: String,
    },
    /// Nobody could sign in like this.
    #[error("the MCP server `{name}`: oauth: {reason}")]
    SignIn {
        /// The name that the agent file gives it.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Who signs in where a server demands it, and where the tokens are kept between runs.
#[derive(Clone, Default)]
pub struct SignIn {
    /// Who is sent to a page.
    pub person: Option<Arc<dyn Person>>,
    /// A directory of the user's own.
    pub tokens: Option<PathBuf>,
}

impl McpSettings {
    /// Names of the environment variables whose values must not get into a log.
    pub fn secrets(&self) -> Vec<&str> {
        self.token_env
            .as_deref()
            .into_iter()
            .chain(self.oauth.iter().flat_map(OAuthSettings::secrets))
            .collect()
    }
}

/// A server's tools. Connecting goes on in the background.
pub struct McpSource {
    connection: Arc<Connection>,
    _lease: DropGuard,
}

impl McpSource {
    /// Begins to connect. A relative program is looked for in `directory` when it names a path.
    ///
    /// # Errors
    /// When the settings name no server, or two.
    pub fn open(name: &str, settings: McpSettings, directory: &Path) -> Result<Self, McpSettingsError> {
        Self::open_for(name, settings, directory, SignIn::default())
    }

    /// As [`open`](Self::open); where the server demands it, somebody signs in.
    ///
    /// # Errors
    /// When the settings name no server, or two, or nobody could sign in like this.
    pub fn open_for(
        name: &str,
        settings: McpSettings,
        directory: &Path,
        sign_in: SignIn,
    ) -> Result<Self, McpSettingsError> {
        let name_of = || name.to_owned();
        if settings.command.is_empty() == settings.url.is_none() {
            return Err(McpSettingsError::Where { name: name_of() });
        }
        if let Some(oauth) = &settings.oauth {
            let bad = |reason: &str| McpSettingsError::SignIn { name: name_of(), reason: reason.to_owned() };
            if settings.url.is_none() {
                return Err(bad("only servers with a `url` let sign in"));
            }
            if settings.token_env.is_some() {
                return Err(bad("`token_env` is a token already: leave one of them out"));
            }
            oauth.check().map_err(bad)?;
        }
        let connection = Connection::begin(name, settings, directory, sign_in);
        Ok(Self { _lease: connection.standing.lease(), connection })
    }
}

#[async_trait::async_trait]
impl ToolSource for McpSource {
    fn name(&self) -> &str {
        self.connection.standing.name()
    }

    fn tools(&self) -> Vec<Arc<dyn crate::Tool>> {
        self.connection.standing.tools()
    }

    fn notices(&self) -> Vec<String> {
        self.connection.standing.take_notices()
    }

    async fn ready(&self, within: Duration) -> bool {
        self.connection.standing.ready(within).await
    }

    async fn close(&self) {
        self.connection.standing.close().await;
    }
}
