use crate::{LimitKind, StopCause, diagnosis};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallReport {
    /// What the entry returned, as JSON (`undefined` is `null`), or why it did not.
    pub result: Result<Value, CallError>,
    /// What it logged, as far as [`Limits::log_lines`](crate::Limits::log_lines) goes.
    pub logs: Vec<LogLine>,
    /// How many lines more it logged.
    pub logs_dropped: u32,
    /// How many answers it asked of the host.
    pub host_calls: u32,
    /// WebAssembly instructions it took, roughly; the same for the same call with the same answers.
    pub fuel_used: u64,
}

/// One line that a skill logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// By which function of `console`.
    pub level: LogLevel,
    /// The values, separated by spaces; objects are shown as JSON.
    pub text: String,
}

/// The function of `console` that logged a line.
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

/// Why a call gave no result. Displayed, it is what the skill's author should read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum CallError {
    /// The skill threw and nothing caught it.
    Exception {
        /// The error's name: `TypeError`.
        name: String,
        /// Its message, with the nearest name that exists where one was misspelt.
        message: String,
        /// The line of the skill's source, from 1; 0 when unknown.
        line: u32,
        /// The column in it, from 1; 0 when unknown.
        column: u32,
        /// That line's text.
        source_line: String,
    },
    /// The host ended it ([`HostError::Stop`](crate::HostError::Stop)).
    Stopped {
        /// The cause, for programs.
        cause: StopCause,
        /// The host's reason, for people.
        reason: String,
    },
    /// It ran into a limit.
    Limit {
        /// Which one.
        which: LimitKind,
        /// A plain sentence.
        message: String,
        /// The line of the skill's source where it was, or where the function begins that it was in; 0 when unknown.
        line: u32,
    },
    /// The engine itself gave up: its stack overflowed, its memory was damaged.
    Trap {
        /// A plain sentence.
        message: String,
    },
}

impl CallError {
    /// The name that was probably meant, where the message lists those that there are: of a binding that was asked for
    /// through `tools` or `skills`, or of a property of what a live binding shows.
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
