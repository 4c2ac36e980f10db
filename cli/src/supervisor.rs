//! Crash-only: a worker process carries out a run or serves a model, and the supervisor restarts it when it dies.
//!
//! The supervisor does not restart a worker that exits, with success or with an error. It restarts a worker that is killed,
//! runs out of memory or aborts in native code, after a pause that grows; a run then resumes from its log. After three
//! deaths without progress the supervisor gives up with a report.

use crate::error::{Failure, Kind};
use crate::home::{Home, OWNER};
use crate::output;
use crate::session::{SAME_REQUEST, Signals, StopSignal};
use anyhow::{Context as _, Result};
use sojourn_memory::RunId;
use std::process::{ExitCode, ExitStatus};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// The number of deaths without progress after which the supervisor gives up.
const DEATHS: u32 = 3;
/// The pause before a restart doubles from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// By then, a Ctrl-C has come to the worker too.
const CTRL_C_DELAY: Duration = Duration::from_millis(500);
/// The exit code of a Rust program that panicked.
const PANICKED: i32 = 101;

/// How a worker is started.
pub struct Work {
    /// Arguments of every start.
    pub args: Vec<String>,
    /// Arguments of the first start only: a resumed run has them in its log.
    pub once: Vec<String>,
    /// Environment variables besides those of this process.
    pub variables: Vec<(String, String)>,
    /// The task, which defines progress.
    pub task: Task,
}

/// The task of a worker.
pub enum Task {
    /// A run and the home of its log. Its progress is its last durable record.
    Run(Home, RunId),
    /// A service that started at this time. Its progress is the number of minutes that it has run.
    Service(Instant),
}

/// Starts a worker and waits until it exits.
///
/// # Errors
/// When the worker cannot be started, or dies repeatedly without progress.
pub async fn supervise(work: Work) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let first = work.task.progress().await;
    let (mut died_at, mut deaths, mut pause) = (None, 0, FIRST_PAUSE);
    loop {
        // The run's first record has the arguments of the first start.
        let begun = work.task.progress().await > first;
        let mut child = start(&work, begun)?;
        let (status, stopping) = wait(&mut child, &mut signals).await?;
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
            work.task.restarting(progress),
            pause.as_secs_f64()
        ));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = signals.recv() => return Ok(ExitCode::from(Kind::Interrupted as u8)),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Task {
    /// The progress: a number that grows.
    async fn progress(&self) -> u64 {
        match self {
            Self::Run(home, run) => last_seq(home, run).await,
            Self::Service(since) => since.elapsed().as_secs() / 60,
        }
    }

    /// The end of the message about a worker that died while it was stopping.
    fn left(&self) -> &'static str {
        match self {
            Self::Run(..) => "; the log has the run up to its last record",
            Self::Service(_) => "",
        }
    }

    /// The middle of the message about a restart, before the pause.
    fn restarting(&self, progress: u64) -> String {
        match self {
            Self::Run(..) => format!(" after record {progress}; resuming from the log"),
            Self::Service(_) => "; restarting it".to_owned(),
        }
    }

    fn given_up(&self, progress: u64, cause: &str) -> Failure {
        match self {
            Self::Run(_, run) => Failure::new(
                Kind::Failure,
                format!("gave up run `{run}`: its worker died {DEATHS} times after record {progress}; the last time it {cause}"),
            )
            .hint(format!(
                "nothing recorded is lost: `sojourn log show {run} {progress}` shows the last record, `sojourn fork {run} --at {}` continues before it",
                progress.saturating_sub(1).max(1)
            )),
            Self::Service(_) => Failure::new(
                Kind::Failure,
                format!("the worker died {DEATHS} times within a minute; the last time it {cause}"),
            )
            .hint("`sojourn doctor` reports whether the model fits into memory"),
        }
    }
}

fn start(work: &Work, begun: bool) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    // The worker prints commands that the user can copy.
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    match &work.task {
        Task::Run(home, run) => {
            if std::env::args().any(|word| word == "--home" || word.starts_with("--home=")) {
                command.arg("--home").arg(home.path());
            } else {
                command.env(HOME, home.path());
            }
            // Its processes succeed each other without waiting for the lease of the one that died.
            command.envs(home.variables()).env(OWNER, owner());
            command.args(&work.args).arg("--worker").arg(run.as_str())
        }
        Task::Service(_) => command.args(&work.args).arg("--worker"),
    };
    if !begun {
        command.args(&work.once);
    }
    command.envs(work.variables.iter().cloned()).env(SUPERVISOR, std::process::id().to_string());
    command.kill_on_drop(true).spawn().context("cannot start the worker process")
}

/// The name of this supervisor and of all its workers, among those of all machines; the one that it was given, if it was.
fn owner() -> String {
    static OWN: LazyLock<String> = LazyLock::new(|| {
        std::env::var(OWNER).unwrap_or_else(|_| sojourn_memory::Owner::alone().name().to_owned())
    });
    OWN.clone()
}

/// Waits for the worker. Returns its exit status, and whether a signal had asked it to stop. Signals are passed on, except for
/// Ctrl-C, which the worker, in the same process group, gets itself.
async fn wait(child: &mut Child, signals: &mut Signals) -> Result<(ExitStatus, bool)> {
    let mut stopping: Option<Instant> = None;
    loop {
        let asked = tokio::select! {
            status = child.wait() => return Ok((status?, stopping.is_some())),
            asked = signals.recv() => asked,
        };
        if stopping.is_some_and(|first| first.elapsed() < SAME_REQUEST) {
            continue;
        }
        stopping.get_or_insert_with(Instant::now);
        match asked {
            StopSignal::Interrupt | StopSignal::PassedOn => {
                // SIGINT may have come to this process alone. A worker that stops already ignores SIGUSR1.
                tokio::time::sleep(CTRL_C_DELAY).await;
                pass_on(child, rustix::process::Signal::USR1);
            }
            StopSignal::Terminate => pass_on(child, rustix::process::Signal::TERM),
            StopSignal::HangUp => pass_on(child, rustix::process::Signal::HUP),
        }
    }
}

fn pass_on(child: &Child, signal: rustix::process::Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = rustix::process::kill_process(pid, signal)
    {
        tracing::warn!(%error, "cannot pass a signal on to the worker");
    }
}

/// How a worker died; `None` if it exited.
fn death(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(PANICKED), _) => Some("panicked".to_owned()),
        (Some(_), _) => None,
        (None, Some(6)) => Some("aborted".to_owned()),
        (None, Some(9)) => Some("was killed (by a user, or because memory ran out)".to_owned()),
        (None, Some(11)) => Some("crashed in native code".to_owned()),
        (None, signal) => Some(format!("was ended by signal {}", signal.unwrap_or(0))),
    }
}

/// The last durable record of a run; 0 if it has none.
async fn last_seq(home: &Home, run: &RunId) -> u64 {
    let info = async { anyhow::Ok(home.store().await?.run(run.as_str()).await?) };
    info.await.map_or(0, |info| info.last_seq.0)
}

/// Environment variable with the home, as `--home`.
const HOME: &str = "SOJOURN_HOME";

/// Environment variable of a worker with its supervisor's process id.
pub const SUPERVISOR: &str = "SOJOURN_SUPERVISOR";

/// In a worker: asks the kernel for SIGTERM when the supervisor dies, so that no worker is left behind.
pub fn follow_supervisor() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
    {
        tracing::debug!(%error, "this worker does not stop when its supervisor dies");
    }
    let supervisor: Option<u32> = std::env::var(SUPERVISOR).ok().and_then(|id| id.parse().ok());
    if supervisor.is_some_and(|supervisor| supervisor != std::os::unix::process::parent_id()) {
        // The supervisor died before the kernel was asked.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
    }
}
