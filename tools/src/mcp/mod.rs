//! Tools from servers that speak the Model Context Protocol (MCP), over stdio or streamable HTTP.
//!
//! The client tries the stateless protocol 2026-07-28 first and falls back to older versions. It lists the
//! server's tools again after every change notification. A server that dies is restarted with exponential
//! backoff; meanwhile its tools are withdrawn.

mod connection;
mod events;
mod handler;
mod http;
mod lenient;
mod listing;
mod oauth;
mod progress;
#[cfg(feature = "serve")]
pub mod serve;
mod session;
mod stdout;
mod tool;

pub use oauth::{Algorithm, EnterpriseSettings, Grant, OAuthSettings};

use crate::Effects;
use crate::builtin::Person;
use crate::supervision::{Supervised, Supervisor};
use connection::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::DropGuard;

/// `[tools.NAME]` with `kind = "mcp"`: how to reach an MCP server, and what to grant it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct McpSettings {
    /// Program and arguments of a server that is started as a child process and reached over stdio.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// URL of a server that is reached over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Ranges of addresses that are not public and that the names of `url` and of its authorization server may resolve to:
    /// `10.0.0.0/8`. `localhost` or an address in `url` needs none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub private_ranges: Vec<String>,
    /// Environment variables that the child process sees, besides PATH, HOME, LANG and TMPDIR.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Environment variable with the bearer token for `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// OAuth settings for `url`. Without them the client never signs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuthSettings>,
    /// Effects of the server's tools, by the server's names. Of other tools the worst is assumed: they write, use the
    /// network, and cannot be undone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub effects: BTreeMap<String, Effects>,
    /// Believes the server's annotations (`readOnlyHint`, `destructiveHint`, …) for tools that `effects` does not name. A
    /// server that lies in them gets past a policy that decides by effects. Default: false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trust_annotations: bool,
    /// Answer to the server's elicitation requests. `{ accept = { name = "Ada" } }` fills in these fields and
    /// the form's defaults for the others.
    pub elicitation: Elicitation,
    /// Time limit of one call, in milliseconds. Default: one minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// How to answer when a server asks the user for input (elicitation).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Elicitation {
    /// The user declines to answer.
    #[default]
    Decline,
    /// The user cancels the request.
    Cancel,
    /// These fields are submitted, with the form's defaults for the others.
    Accept(Map<String, Value>),
}

/// Why MCP settings are unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum McpSettingsError {
    /// Neither `command` nor `url` is set, or both are.
    #[error("the MCP server `{name}` needs either `command` or `url`")]
    Where {
        /// Name of the source in the agent file.
        name: String,
    },
    /// `url` or `private_ranges` is not valid.
    #[error("the MCP server `{name}`: {reason}")]
    Address {
        /// Name of the source in the agent file.
        name: String,
        /// Why the setting is refused, in lower case, for the end of the message.
        reason: String,
    },
    /// The OAuth settings contradict each other or are incomplete.
    #[error("the MCP server `{name}`: oauth: {reason}")]
    SignIn {
        /// Name of the source in the agent file.
        name: String,
        /// Why the setting is refused, in lower case, for the end of the message.
        reason: String,
    },
}

/// What interactive sign-in needs: a user, and a place to store tokens between runs.
#[derive(Clone, Default)]
pub struct SignIn {
    /// The user who completes the sign-in.
    pub person: Option<Arc<dyn Person>>,
    /// Private directory for stored tokens; without one they last as long as the process.
    pub tokens: Option<PathBuf>,
}

impl McpSettings {
    /// Environment variables whose values must not appear in a log.
    pub fn secrets(&self) -> Vec<&str> {
        self.token_env
            .as_deref()
            .into_iter()
            .chain(self.oauth.iter().flat_map(OAuthSettings::secrets))
            .collect()
    }
}

/// The tools of one MCP server. The connection runs in a background task, which ends when the value is
/// dropped.
pub struct McpSource {
    connection: Arc<Connection>,
    _lease: DropGuard,
}

impl McpSource {
    /// Starts to connect, without interactive sign-in. A relative program path is resolved against
    /// `directory`.
    ///
    /// # Errors
    /// The settings name neither or both of `command` and `url`.
    pub fn open(name: &str, settings: McpSettings, directory: &Path) -> Result<Self, McpSettingsError> {
        Self::open_for(name, settings, directory, SignIn::default())
    }

    /// As [`open`](Self::open), with `sign_in` for servers that demand it.
    ///
    /// # Errors
    /// As [`open`](Self::open), or the OAuth settings are inconsistent.
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
        if let Some(url) = &settings.url {
            http::hosts(url, &settings.private_ranges)
                .map_err(|reason| McpSettingsError::Address { name: name_of(), reason })?;
        }
        if let Some(oauth) = &settings.oauth {
            let bad = |reason: &str| McpSettingsError::SignIn { name: name_of(), reason: reason.to_owned() };
            if settings.url.is_none() {
                return Err(bad("OAuth needs a `url`"));
            }
            if settings.token_env.is_some() {
                return Err(bad("`token_env` and `oauth` exclude each other"));
            }
            oauth.check().map_err(bad)?;
        }
        let connection = Connection::begin(name, settings, directory, sign_in);
        Ok(Self { _lease: connection.supervisor.lease(), connection })
    }

    /// The tool that the server calls `name`, whatever it is called here.
    pub fn tool(&self, name: &str) -> Option<Arc<dyn crate::Tool>> {
        self.connection.tool(name)
    }
}

impl Supervised for McpSource {
    fn supervisor(&self) -> &Supervisor {
        &self.connection.supervisor
    }
}
