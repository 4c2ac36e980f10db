//! Stopping a run by Ctrl-C, by `kill`, by closing its terminal, or from another process.

use crate::error::{Failure, Kind};
use anyhow::Result;
use rustix::process::{Pid, kill_process};
use sojourn_controller::Cancel;
use sojourn_memory::{RunId, Store};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long a process may take to stop in order. The log then has all but its last unfinished group of records.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Signals within this time after the first are the same request: `timeout` and terminals signal a whole group of processes,
/// so this process gets a signal from them and from its supervisor.
pub const SAME_REQUEST: Duration = Duration::from_secs(1);

/// How long what an interrupted run used may take to end. A local model first reads a batch of tokens to its end.
const DROP_TIMEOUT: Duration = Duration::from_secs(2);

/// Drops what an interrupted run used. Ends the process where that takes longer than [`DROP_TIMEOUT`].
pub async fn drop_soon(used: impl Send + 'static) {
    let dropped = tokio::task::spawn_blocking(move || drop(used));
    if tokio::time::timeout(DROP_TIMEOUT, dropped).await.is_err() {
        exit_at_once();
    }
}

/// Cancels `cancel` at the first Ctrl-C or `kill`, or when the terminal is closed. Ends the process at the second Ctrl-C or
/// `kill`, if that comes [`SAME_REQUEST`] later, or after [`STOP_TIMEOUT`]. Signals have a thread of their own, because all
/// others may be busy.
pub fn stop_on_ctrl_c(cancel: Cancel) {
    stop_saying(cancel, "stopping after the step under way; press Ctrl-C again to stop at once");
}

/// As [`stop_on_ctrl_c`], for a server, which has no steps.
pub fn stop_server_on_ctrl_c(cancel: Cancel) {
    stop_saying(cancel, "stopping; press Ctrl-C again to stop at once");
}

fn stop_saying(cancel: Cancel, note: &'static str) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let signals = {
        let _entered = runtime.enter();
        Signals::listen()
    };
    let Ok(mut signals) = signals else { return };
    let watch = move || {
        runtime.block_on(async {
            signals.recv().await;
            crate::output::note(note);
            cancel.cancel();
            let again = async {
                tokio::time::sleep(SAME_REQUEST).await;
                signals.forget();
                signals.again().await;
            };
            let _ = tokio::time::timeout(STOP_TIMEOUT, again).await;
            exit_at_once();
        });
    };
    let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(watch);
}

/// Asks the process that writes a run to stop, as `kill` and Ctrl-C do.
///
/// # Errors
/// When no process writes the run, or it may not be signalled.
pub fn ask_to_stop(store: &Store, run: &RunId) -> Result<()> {
    let writer = store.writer_process(run)?.filter(|writer| *writer != std::process::id());
    let Some(process) = writer.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else {
        return Err(Failure::new(Kind::NotFound, format!("no process runs `{run}` at the moment")).into());
    };
    kill_process(process, rustix::process::Signal::TERM).map_err(|error| {
        Failure::new(Kind::Failure, format!("cannot stop process {process} of run `{run}`: {error}")).into()
    })
}

/// The signals that ask a process to stop.
pub struct Signals {
    interrupts: Signal,
    terminations: Signal,
    /// `None` where SIGHUP is ignored, as by `nohup`.
    hangups: Option<Signal>,
    /// What a supervisor sends instead of SIGINT.
    passed_on: Signal,
}

/// A request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT: Ctrl-C reaches all processes of the terminal.
    Interrupt,
    /// SIGTERM, to this process.
    Terminate,
    /// SIGHUP: the terminal was closed.
    HangUp,
    /// SIGUSR1: the supervisor got a SIGINT, which may have come to this process too.
    PassedOn,
}

impl Signals {
    /// Listens from now on. Needs a runtime.
    ///
    /// # Errors
    /// When the system refuses to report a signal.
    pub fn listen() -> std::io::Result<Self> {
        let hangups = (!ignores_hangups()).then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self {
            interrupts: signal(SignalKind::interrupt())?,
            terminations: signal(SignalKind::terminate())?,
            hangups,
            passed_on: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next request to stop. Dropping the future loses none.
    pub async fn recv(&mut self) -> StopSignal {
        let Self { interrupts, terminations, hangups, passed_on } = self;
        let hung_up = async {
            match hangups {
                Some(hangups) => hangups.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupts.recv() => StopSignal::Interrupt,
            _ = terminations.recv() => StopSignal::Terminate,
            _ = hung_up => StopSignal::HangUp,
            _ = passed_on.recv() => StopSignal::PassedOn,
        }
    }

    /// Forgets the requests that have come.
    pub fn forget(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let Self { interrupts, terminations, hangups, passed_on } = self;
        for signal in
            [Some(interrupts), Some(terminations), hangups.as_mut(), Some(passed_on)].into_iter().flatten()
        {
            while signal.poll_recv(&mut context).is_ready() {}
        }
    }

    /// The next request by a person. A closed terminal and a supervisor may both report the same hang-up, and a supervisor
    /// passes on the Ctrl-C that came to this process too.
    async fn again(&mut self) {
        while matches!(self.recv().await, StopSignal::HangUp | StopSignal::PassedOn) {}
    }
}

/// Whether this process was started with SIGHUP ignored. A handler would undo that.
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

#[allow(clippy::exit, reason = "the user asked twice, and the log loses at most its last unfinished group")]
fn exit_at_once() -> ! {
    std::process::exit(Kind::Interrupted as i32)
}
