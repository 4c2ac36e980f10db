use crate::{LimitKind, StopCause, diagnosis};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Result of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallReport {
    /// Return value of the entry as JSON (`undefined` becomes `null`), or the error.
    pub result: Result<Value, CallError>,
    /// Log lines, up to [`Limits::log_lines`](crate::Limits::log_lines).
    pub logs: Vec<LogLine>,
    /// Number of further log lines.
    pub logs_dropped: u32,
    /// Number of host calls.
    pub host_calls: u32,
    /// Approximate number of WebAssembly instructions. Equal for equal calls with equal answers.
    pub fuel_used: u64,
}

/// One log line of a skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The `console` function that wrote it.
    pub level: LogLevel,
    /// The logged values, separated by spaces, with objects as JSON.
    pub text: String,
}

/// The `console` function of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// `console.debug`
    Debug,
    /// `console.log`
    Log,
    /// `console.info`
    Info,
    /// `console.warn`
    Warn,
    /// `console.error`
    Error,
}

impl LogLevel {
    pub(crate) fn from_engine(level: u32) -> Self {
        match level {
            0 => Self::Debug,
            1 => Self::Log,
            2 => Self::Info,
            3 => Self::Warn,
            _ => Self::Error,
        }
    }
}

/// Why a call has no result. Its `Display` text is for the author of the skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum CallError {
    /// The skill threw an exception that nothing caught.
    Exception {
        /// Class name such as `TypeError`.
        name: String,
        /// Message, with the nearest existing name if one was misspelt.
        message: String,
        /// Line of the skill's source, from 1; 0 if unknown.
        line: u32,
        /// Column of that line, from 1; 0 if unknown.
        column: u32,
        /// Text of that line.
        source_line: String,
    },
    /// The host ended the call ([`HostError::Stop`](crate::HostError::Stop)).
    Stopped {
        /// The cause, for programs.
        cause: StopCause,
        /// The host's reason, for people.
        reason: String,
    },
    /// The call reached a limit.
    Limit {
        /// The limit.
        which: LimitKind,
        /// Explanation.
        message: String,
        /// Line of the skill's source where the limit was reached, or where the running function starts; 0 if
        /// unknown.
        line: u32,
    },
    /// The engine trapped: stack overflow or damaged memory.
    Trap {
        /// Explanation.
        message: String,
    },
}

impl CallError {
    /// The name that the author probably meant, if the message lists the existing names: of a binding
    /// accessed through `tools` or `skills`, or of a property of a live view.
    pub fn nearest_name(&self) -> Option<&str> {
        let Self::Exception { message, .. } = self else { return None };
        let (unknown, there_are) = ["does not exist", "is not defined"]
            .iter()
            .find_map(|says| message.split_once(&format!(" {says}; there are: ")))?;
        let (_, unknown) = unknown.rsplit_once('.')?;
        diagnosis::nearest(unknown, there_are.split(", "))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exception { name, message, line, column, source_line } => {
                write!(f, "{name}: {message}")?;
                match line {
                    0 => Ok(()),
                    _ => write!(f, "\n  at line {line}:{column}: {}", source_line.trim()),
                }
            }
            Self::Stopped { reason, .. } => write!(f, "stopped: {reason}"),
            Self::Limit { message, line: 0, .. } | Self::Trap { message } => f.write_str(message),
            Self::Limit { message, line, .. } => write!(f, "{message}\n  near line {line}"),
        }
    }
}
