//! Tools of a program that speaks lines of JSON over its standard input and output: [the protocol on one page](../PROCESS.md).

mod connection;
mod conversation;
mod serve;
mod tool;
mod wire;

pub use serve::{serve, serve_on};
#[cfg(feature = "wasm")]
pub(crate) use tool::outcome_of;
#[cfg(feature = "wasm")]
pub(crate) use wire::{Description, Offer};

pub(crate) use conversation::{Conversation, Fault};

use crate::{Effects, Tool, ToolSource};
use async_trait::async_trait;
use connection::Connection;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::DropGuard;

/// How a program is started, and what is let through to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessSettings {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Names of the environment variables that it may see, besides PATH, HOME, LANG and TMPDIR.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// What its tools may do, by the program's names for them. For the others what the program says counts, and if it says
    /// nothing the worst is assumed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub effects: BTreeMap<String, Effects>,
    /// Milliseconds that a call may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Why a program cannot be used as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the program `{name}` needs a `command`")]
pub struct ProcessSettingsError {
    /// The name that the agent file gives it.
    pub name: String,
}

/// A program's tools. It is started in the background.
pub struct ProcessSource {
    connection: Arc<Connection>,
    _lease: DropGuard,
}

impl ProcessSource {
    /// Begins to start the program, in `directory`.
    ///
    /// # Errors
    /// When there is no command.
    pub fn open(
        name: &str,
        settings: ProcessSettings,
        directory: &Path,
    ) -> Result<Self, ProcessSettingsError> {
        if settings.command.is_empty() {
            return Err(ProcessSettingsError { name: name.to_owned() });
        }
        let connection = Connection::begin(name, settings, directory);
        Ok(Self { _lease: connection.standing.lease(), connection })
    }
}

#[async_trait]
impl ToolSource for ProcessSource {
    fn name(&self) -> &str {
        self.connection.standing.name()
    }

    fn tools(&self) -> Vec<Arc<dyn Tool>> {
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
