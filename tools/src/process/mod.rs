//! Tools of a child process that exchanges JSON lines over its standard streams. [PROCESS.md](../PROCESS.md)
//! specifies the protocol.

mod client;
mod connection;
mod serve;
mod tool;
mod wire;

pub use serve::{serve, serve_on};

#[cfg(feature = "wasm")]
pub(crate) use tool::outcome_of;
#[cfg(feature = "wasm")]
pub(crate) use wire::{Description, Offer};

pub(crate) use client::{ProcessClient, RequestError};

use crate::Effects;
use crate::supervision::{Supervised, Supervisor};
use connection::Connection;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::DropGuard;

/// `[tools.NAME]` with `kind = "process"`: how to start a program, and what to grant it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessSettings {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment variables that the program sees, besides PATH, HOME, LANG and TMPDIR.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Effects of the program's tools, by the program's names. Other tools use the effects that the program
    /// declares; without a declaration the worst is assumed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub effects: BTreeMap<String, Effects>,
    /// Time limit of one call of a tool that declares none, in milliseconds. Default: one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// The settings have no `command`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the process `{name}` needs a `command`")]
pub struct ProcessSettingsError {
    /// Name of the source in the agent file.
    pub name: String,
}

/// The tools of one program. It runs in the background and ends when the value is dropped.
pub struct ProcessSource {
    connection: Arc<Connection>,
    _lease: DropGuard,
}

impl ProcessSource {
    /// Starts the program in `directory`.
    ///
    /// # Errors
    /// `command` is empty.
    pub fn open(
        name: &str,
        settings: ProcessSettings,
        directory: &Path,
    ) -> Result<Self, ProcessSettingsError> {
        if settings.command.is_empty() {
            return Err(ProcessSettingsError { name: name.to_owned() });
        }
        let connection = Connection::begin(name, settings, directory);
        Ok(Self { _lease: connection.supervisor.lease(), connection })
    }
}

impl Supervised for ProcessSource {
    fn supervisor(&self) -> &Supervisor {
        &self.connection.supervisor
    }
}

/// Reads a line of a process as a message with a description or an outcome, for the fuzzer.
pub(crate) fn read_message(line: &[u8]) {
    let Ok(message) = serde_json::from_slice::<wire::Incoming>(line) else { return };
    if let Some(Ok(result)) = message.response() {
        let _ = serde_json::from_value::<wire::Description>(result.clone());
        if let Ok(outcome) = serde_json::from_value::<crate::ToolOutcome>(result) {
            let _ = outcome.bounded(1000).to_text();
        }
    }
}
