//! Child processes: their standard error captured. `sojourn-subprocess` finds, starts and ends them.

pub(crate) use sojourn_subprocess::{ProcessTree, command};

use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::ChildStderr;

/// Limit on the captured standard error, and on one line of it, in bytes.
const STDERR_BYTES: usize = 2000;

/// The end of what a process wrote to standard error, and the reason it was disconnected, if it was.
#[derive(Clone, Default)]
pub struct StderrLog(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    text: String,
    abandoned: Option<String>,
}

impl StderrLog {
    /// Spawns a task that captures `stderr` until it is closed.
    pub fn listen(&self, stderr: ChildStderr) {
        let kept = self.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            // A line longer than the limit is read in chunks.
            while let Ok(1..) = (&mut reader).take(STDERR_BYTES as u64).read_until(b'\n', &mut line).await {
                kept.add(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
    }

    /// Appends text and drops the oldest lines beyond the limit.
    pub fn add(&self, piece: &str) {
        let text = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).text;
        text.push_str(piece);
        while text.len() > STDERR_BYTES {
            let first = text.find('\n').map_or(text.len(), |end| end + 1);
            text.drain(..first);
        }
    }

    /// Records why the connection to the process was given up. The first reason wins;
    /// [`explain`](Self::explain) reports it instead of later ones.
    pub fn abandon(&self, reason: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).abandoned.get_or_insert(reason);
    }

    /// `reason`, or the recorded reason for giving up, followed by the last lines of standard error.
    pub fn explain(&self, reason: &str) -> String {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = inner.abandoned.as_deref().unwrap_or(reason);
        let mut last: Vec<&str> = inner.text.lines().rev().take(3).collect();
        if last.is_empty() {
            return reason.to_owned();
        }
        last.reverse();
        format!("{reason}; its standard error ends with: {}", last.join(" / "))
    }
}
