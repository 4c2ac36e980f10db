//! Crash-only: a run is carried out by a worker process, and taken up again when the worker dies.
//!
//! A worker that ends by itself, well or with an error that it can tell, is not started again. One that is killed, runs
//! out of memory or aborts in native code is: after a pause that grows, from what the log has. When it dies three
//! times at the same record the run is left as it is, with a report.

use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::output;
use anyhow::{Context as _, Result};
use sojourn_memory::{RunId, Store};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Deaths at the same record after which a run is left.
const DEATHS: u32 = 3;
/// The pauses before a worker is started again grow from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The exit code of a Rust program that panicked.
const PANICKED: i32 = 101;

/// What a worker is started with.
pub struct Work {
    /// The run that it begins or goes on with.
    pub run: RunId,
    /// Its command line.
    pub args: Vec<String>,
    /// Only for its first start: what must not be said twice.
    pub once: Vec<String>,
}

/// Starts a worker and waits until it ends by itself.
///
/// # Errors
/// When the worker cannot be started, or dies again and again at the same record.
pub async fn supervise(home: &Home, work: Work) -> Result<ExitCode> {
    // From here on Ctrl-C is the worker's, which is in the same process group; a `kill` is passed on.
    let (mut interrupts, mut terminations) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let first_seq = last_seq(home, &work.run).await;
    let (mut died_at, mut deaths, mut pause) = (None, 0, FIRST_PAUSE);
    loop {
        // The run's log begins with what was to be said once.
        let begun = last_seq(home, &work.run).await > first_seq;
        let mut child = start(home, &work, begun)?;
        let (status, stopping) = wait(&mut child, &mut interrupts, &mut terminations).await?;
        let Some(cause) = death(status) else {
            return Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)));
        };
        if stopping {
            output::note(format!("the worker {cause}; the run is as its log has it"));
            return Ok(ExitCode::from(Kind::Interrupted as u8));
        }
        let seq = last_seq(home, &work.run).await;
        deaths = if died_at == Some(seq) { deaths + 1 } else { 1 };
        if died_at != Some(seq) {
            pause = FIRST_PAUSE;
        }
        died_at = Some(seq);
        if deaths >= DEATHS {
            return Err(report(&work.run, seq, &cause).into());
        }
        output::note(format!(
            "the worker {cause} after record {seq}; going on from the log in {:.1} s",
            pause.as_secs_f64()
        ));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = interrupts.recv() => return Ok(ExitCode::from(Kind::Interrupted as u8)),
            _ = terminations.recv() => return Ok(ExitCode::from(Kind::Interrupted as u8)),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn report(run: &RunId, seq: u64, cause: &str) -> Failure {
    Failure::new(
        Kind::Failure,
        format!("run `{run}` was given up: its worker died {DEATHS} times after record {seq}; the last time it {cause}"),
    )
    .hint(format!(
        "nothing recorded is lost: `sojourn log show {run} {seq}` shows where it is, `sojourn fork {run} --at {}` goes another way",
        seq.saturating_sub(1).max(1)
    ))
}

fn start(home: &Home, work: &Work, begun: bool) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.arg("--home").arg(home.path()).args(&work.args).arg("--worker").arg(work.run.as_str());
    if !begun {
        command.args(&work.once);
    }
    command.kill_on_drop(true).spawn().context("cannot start the worker process")
}

/// Waits for the worker; says how it ended, and whether somebody had asked it to stop.
async fn wait(
    child: &mut Child,
    interrupts: &mut Signal,
    terminations: &mut Signal,
) -> Result<(ExitStatus, bool)> {
    let mut stopping = false;
    loop {
        tokio::select! {
            status = child.wait() => return Ok((status?, stopping)),
            _ = interrupts.recv() => stopping = true,
            _ = terminations.recv() => {
                stopping = true;
                terminate(child);
            }
        }
    }
}

fn terminate(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::TERM)
    {
        tracing::warn!(%error, "the worker could not be told to stop");
    }
}

/// How a worker died; `None` if it ended by itself.
fn death(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(PANICKED), _) => Some("panicked".to_owned()),
        (Some(_), _) => None,
        (None, Some(6)) => Some("aborted".to_owned()),
        (None, Some(9)) => Some("was killed (by somebody, or because memory ran out)".to_owned()),
        (None, Some(11)) => Some("crashed in native code".to_owned()),
        (None, signal) => Some(format!("was ended by signal {}", signal.unwrap_or(0))),
    }
}

/// The last durable record of a run; 0 where there is none.
async fn last_seq(home: &Home, run: &RunId) -> u64 {
    let info = async { anyhow::Ok(Store::open(home.path()).await?.run(run.as_str()).await?) };
    info.await.map_or(0, |info| info.last_seq.0)
}

/// In a worker: ask to be stopped when the supervisor is gone, so that no run goes on that nobody watches.
pub fn follow_supervisor() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
    {
        tracing::debug!(%error, "the worker will not notice when its supervisor dies");
    }
}
