//! Crash-only: a run is carried out, or a model served, by a worker process that is started again when it dies.
//!
//! A worker that ends by itself, well or with an error that it can tell, is not started again. One that is killed, runs
//! out of memory or aborts in native code is, after a pause that grows: a run goes on from what its log has. When a worker
//! dies three times without having come further it is given up, with a report.

use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::output;
use anyhow::{Context as _, Result};
use sojourn_memory::{RunId, Store};
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Deaths without progress after which a worker is given up.
const DEATHS: u32 = 3;
/// The pauses before a worker is started again grow from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The exit code of a Rust program that panicked.
const PANICKED: i32 = 101;

/// What a worker is started with.
pub struct Work {
    /// Its command line.
    pub args: Vec<String>,
    /// Only for its first start: what must not be said twice.
    pub once: Vec<String>,
    /// Variables of its environment besides ours.
    pub variables: Vec<(String, String)>,
    /// What it is to get on with.
    pub task: Task,
}

/// What a worker gets on with.
pub enum Task {
    /// A run, in the home where its log is. It has come as far as its last durable record.
    Run(Home, RunId),
    /// Answering whoever asks, since then. It has come further with every minute that it lived.
    Service(Instant),
}

/// Starts a worker and waits until it ends by itself.
///
/// # Errors
/// When the worker cannot be started, or dies again and again without having come further.
pub async fn supervise(work: Work) -> Result<ExitCode> {
    // From here on Ctrl-C is the worker's, which is in the same process group; a `kill` is passed on.
    let (mut interrupts, mut terminations) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let first = work.task.progress().await;
    let (mut died_at, mut deaths, mut pause) = (None, 0, FIRST_PAUSE);
    loop {
        // A run's log begins with what was to be said once.
        let begun = work.task.progress().await > first;
        let mut child = start(&work, begun)?;
        let (status, stopping) = wait(&mut child, &mut interrupts, &mut terminations).await?;
        let Some(cause) = death(status) else {
            return Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)));
        };
        if stopping {
            output::note(format!("the worker {cause}{}", work.task.left()));
            return Ok(ExitCode::from(Kind::Interrupted as u8));
        }
        let progress = work.task.progress().await;
        deaths = if died_at == Some(progress) { deaths + 1 } else { 1 };
        if died_at != Some(progress) {
            pause = FIRST_PAUSE;
        }
        died_at = Some(progress);
        if deaths >= DEATHS {
            return Err(work.task.given_up(progress, &cause).into());
        }
        output::note(format!(
            "the worker {cause}{} in {:.1} s",
            work.task.going_on(progress),
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

impl Task {
    /// How far it has come: a number that grows.
    async fn progress(&self) -> u64 {
        match self {
            Self::Run(home, run) => last_seq(home, run).await,
            Self::Service(since) => since.elapsed().as_secs() / 60,
        }
    }

    /// What is left where somebody asked the worker to stop and it died.
    fn left(&self) -> &'static str {
        match self {
            Self::Run(..) => "; the run is as its log has it",
            Self::Service(_) => "",
        }
    }

    /// How it goes on after a death.
    fn going_on(&self, progress: u64) -> String {
        match self {
            Self::Run(..) => format!(" after record {progress}; going on from the log"),
            Self::Service(_) => "; starting it again".to_owned(),
        }
    }

    fn given_up(&self, progress: u64, cause: &str) -> Failure {
        match self {
            Self::Run(_, run) => Failure::new(
                Kind::Failure,
                format!("run `{run}` was given up: its worker died {DEATHS} times after record {progress}; the last time it {cause}"),
            )
            .hint(format!(
                "nothing recorded is lost: `sojourn log show {run} {progress}` shows where it is, `sojourn fork {run} --at {}` goes another way",
                progress.saturating_sub(1).max(1)
            )),
            Self::Service(_) => Failure::new(
                Kind::Failure,
                format!("the worker died {DEATHS} times within a minute; the last time it {cause}"),
            )
            .hint("`sojourn doctor` tells whether the model fits into memory"),
        }
    }
}

fn start(work: &Work, begun: bool) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    match &work.task {
        Task::Run(home, run) => {
            command.arg("--home").arg(home.path()).args(&work.args).arg("--worker").arg(run.as_str())
        }
        Task::Service(_) => command.args(&work.args).arg("--worker"),
    };
    if !begun {
        command.args(&work.once);
    }
    command.envs(work.variables.iter().cloned());
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

/// In a worker: ask to be stopped when the supervisor is gone, so that nothing goes on that nobody watches.
pub fn follow_supervisor() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
    {
        tracing::debug!(%error, "the worker will not notice when its supervisor dies");
    }
}
