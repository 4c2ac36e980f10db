//! Programs that offer tools: started with few powers, listened to when they complain, and ended with all that they started.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStderr, Command};

/// What a program may see of the environment without asking.
const VISIBLE: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];
/// Bytes of a program's complaints that are kept, and of one line of them.
const COMPLAINTS: usize = 2000;

/// `line` as a command in `directory`, which may see the variables `env` and those that every program needs. It leads a
/// process group of its own. A program that is named by a path is looked for from `directory`.
pub fn command(line: &[String], env: &[String], directory: &Path) -> Command {
    let program = Path::new(line.first().map_or("", String::as_str));
    let is_path = program.components().count() > 1 && program.is_relative();
    let mut command = if is_path { Command::new(directory.join(program)) } else { Command::new(program) };
    command.args(line.iter().skip(1)).env_clear().process_group(0).kill_on_drop(true);
    if directory.is_dir() {
        command.current_dir(directory);
    }
    for name in VISIBLE.into_iter().chain(env.iter().map(String::as_str)) {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// A program and all that it started, which end when this is dropped.
pub struct Group(Option<rustix::process::Pid>);

impl Group {
    /// The group that the process `id` leads.
    pub fn of(id: Option<u32>) -> Self {
        Self(id.and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// The last of what a program wrote on its standard error, and why it was given up, if it was.
#[derive(Clone, Default)]
pub struct Complaints(Arc<Mutex<Said>>);

#[derive(Default)]
struct Said {
    text: String,
    verdict: Option<String>,
}

impl Complaints {
    /// Keeps the last lines until there are no more.
    pub fn listen(&self, stderr: ChildStderr) {
        let kept = self.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            // A line without an end is taken in pieces.
            while let Ok(1..) = (&mut reader).take(COMPLAINTS as u64).read_until(b'\n', &mut line).await {
                kept.add(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
    }

    /// Adds to it.
    pub fn add(&self, piece: &str) {
        let text = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).text;
        text.push_str(piece);
        while text.len() > COMPLAINTS {
            let first = text.find('\n').map_or(text.len(), |end| end + 1);
            text.drain(..first);
        }
    }

    /// The program is given up: what follows from that is said to have this reason.
    pub fn give_up(&self, verdict: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).verdict.get_or_insert(verdict);
    }

    /// `reason`, or why the program was given up; and what the program said before.
    pub fn after(&self, reason: &str) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = said.verdict.as_deref().unwrap_or(reason);
        let mut last: Vec<&str> = said.text.lines().rev().take(3).collect();
        if last.is_empty() {
            return reason.to_owned();
        }
        last.reverse();
        format!("{reason}; it said: {}", last.join(" / "))
    }
}
