//! The processes of runs, for whoever keeps them alive.

use crate::Host;
use sojourn_memory::{Arguments, RunId};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

/// Limit on one line of a run's process, in bytes; longer ones are passed on in parts.
const LONGEST_LINE: u64 = 4096;
/// How long the last words of a process that has ended are waited for. What it started may keep its stderr open.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Lines of a process that are kept to explain its end.
const LAST_LINES: usize = 4;

/// What a process is started with.
pub(crate) struct Start<'a> {
    pub program: &'a Path,
    pub home: &'a Path,
    pub agent: &'a str,
    pub arguments: &'a Arguments,
    pub run: &'a RunId,
    /// Whether the run has a log already.
    pub begun: bool,
    /// What the process's lines are labelled with: the schedule, or the run.
    pub name: &'a str,
    /// Variables besides those of this process.
    pub variables: &'a [(&'static str, String)],
}

/// The processes, by the number of their job.
pub(crate) struct Children {
    host: Arc<dyn Host>,
    running: BTreeMap<i64, Running>,
}

struct Running {
    child: Child,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    /// Reads what it says, to the end. `None` where it says nothing.
    reader: Option<JoinHandle<()>>,
    /// When it was first seen to have ended.
    ended: Option<Instant>,
    /// Whether it was asked to stop.
    stopping: bool,
    name: String,
    run: RunId,
    /// The time of its last report, and when this process saw it first. The clock stands while the computer sleeps.
    reported: (Option<i64>, Instant),
}

/// A process that has ended.
pub(crate) struct Exited {
    pub job: i64,
    pub status: ExitStatus,
    /// Whether the daemon asked it to stop.
    pub stopping: bool,
    /// What it said last.
    pub last_words: String,
}

impl Children {
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self { host, running: BTreeMap::new() }
    }

    pub fn len(&self) -> usize {
        self.running.len()
    }

    pub fn has(&self, job: i64) -> bool {
        self.running.contains_key(&job)
    }

    /// Whether one of the processes writes this run.
    pub fn writes(&self, run: &RunId) -> bool {
        self.running.values().any(|running| running.run == *run)
    }

    /// Starts the process of a job. The process leads its own session, so a Ctrl-C at the terminal reaches only the daemon.
    pub fn start(&mut self, job: i64, start: &Start<'_>) -> io::Result<()> {
        let mut command = Command::new(start.program);
        command.arg("--home").arg(start.home).arg("run").arg(start.agent).args(&start.arguments.always);
        if !start.begun {
            command.args(&start.arguments.first);
        }
        command
            .arg("--scheduled")
            .arg(start.run.as_str())
            .envs(start.variables.iter().map(|(name, value)| (name, value)))
            .env("SOJOURN_SUPERVISOR", std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let last_lines = Arc::default();
        let reader = child.stderr.take().map(|stderr| {
            let lines = Arc::clone(&last_lines);
            tokio::spawn(pass_on(stderr, start.name.to_owned(), Arc::clone(&self.host), lines))
        });
        let (name, run) = (start.name.to_owned(), start.run.clone());
        let reported = (None, Instant::now());
        let running =
            Running { child, last_lines, reader, ended: None, stopping: false, name, run, reported };
        self.running.insert(job, running);
        Ok(())
    }

    /// Asks every process to stop after its step. Asking twice would stop it at once, so each is asked once.
    pub fn terminate(&mut self) {
        for running in self.running.values_mut().filter(|running| !running.stopping) {
            running.stopping = true;
            let id = running.child.id().and_then(|id| i32::try_from(id).ok());
            if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
                // It may have ended by itself.
                let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            }
        }
    }

    /// Kills the process of a job, and forgets it.
    pub async fn kill_one(&mut self, job: i64) {
        if let Some(mut running) = self.running.remove(&job) {
            let _ = running.child.kill().await;
        }
    }

    /// Kills the processes whose last report, by `beat`, has not changed for `hung_after`. Returns their labels and runs.
    pub fn kill_silent(
        &mut self,
        hung_after: Duration,
        beat: impl Fn(&RunId) -> Option<i64>,
    ) -> Vec<(String, RunId)> {
        let mut killed = Vec::new();
        for running in self.running.values_mut() {
            let last = beat(&running.run);
            if last != running.reported.0 {
                running.reported = (last, Instant::now());
            }
            if running.reported.1.elapsed() >= hung_after {
                // It may have ended by itself.
                let _ = running.child.start_kill();
                running.reported.1 = Instant::now();
                killed.push((running.name.clone(), running.run.clone()));
            }
        }
        killed
    }

    /// Kills the processes that are left.
    pub async fn kill(&mut self) {
        for running in self.running.values_mut() {
            let _ = running.child.kill().await;
        }
        self.running.clear();
    }

    /// The processes that have ended since the last call, and whose last words are read.
    pub fn exited(&mut self) -> Vec<Exited> {
        let mut exited = Vec::new();
        self.running.retain(|job, running| match running.child.try_wait() {
            Ok(Some(status)) => {
                let ended = *running.ended.get_or_insert_with(Instant::now);
                let has_said_all = running.reader.as_ref().is_none_or(JoinHandle::is_finished);
                if !has_said_all && ended.elapsed() < LAST_WORDS {
                    return true;
                }
                let lines = running.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
                let last_words = lines.iter().map(String::as_str).collect::<Vec<_>>().join("; ");
                exited.push(Exited { job: *job, status, stopping: running.stopping, last_words });
                false
            }
            _ => true,
        });
        exited
    }

    pub fn forget_exited(&mut self) {
        self.exited();
    }
}

/// Passes the lines of a process on, and keeps the last ones.
async fn pass_on(
    stderr: ChildStderr,
    name: String,
    host: Arc<dyn Host>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
) {
    let mut reader = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        host.say(&format!("[{name}] {line}"));
        let mut kept = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == LAST_LINES {
            kept.pop_front();
        }
        kept.push_back(line.to_owned());
    }
}
