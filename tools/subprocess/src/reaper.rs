//! Two small processes between Sojourn and each program that it starts. They end the program, and everything that the program
//! started, when Sojourn is gone: by SIGKILL, by a closed terminal, or in any other way.
//!
//! ```text
//! sojourn ── reaper ── reaper ── program ── its children
//!                         └───── grandchildren whose parents have ended, in whatever session or process group
//! ```
//!
//! A reaper is this program itself, started again with [`STAGE`] set; [`enter`] is the first call of its `main`. On Linux a
//! reaper is a child subreaper: a process below it that loses its parent becomes the reaper's child, so `setsid` and double forks
//! do not hide it. The outer reaper waits on a handle of Sojourn's process, the inner one on a handle of the outer one. The
//! program itself asks the kernel for SIGKILL when its reaper dies. On other systems there is one reaper, which ends the program's
//! process group.
//!
//! A program runs as the same user as its reapers, so it can kill them. Where it kills one, the other ends everything. Where it
//! kills both, Sojourn ends the processes that carry the [mark](MARK) of this tree in their environment.
//!
//! A program whose `main` does not call [`enter`], such as a test, starts programs without a reaper; dropping a
//! [`ProcessTree`](crate::ProcessTree) then kills the process group.

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

/// Environment variable: `reap PARENT` for the outer reaper, `inner PARENT` for the inner one, `exec PARENT` for the process that
/// becomes the program.
const STAGE: &str = "SOJOURN_REAPER";
/// Environment variable with the program's path; its arguments are in `SOJOURN_REAPER_ARG_0` and so on, so that a list of
/// processes shows the program once.
const PROGRAM: &str = "SOJOURN_REAPER_PROGRAM";
const ARGUMENT: &str = "SOJOURN_REAPER_ARG_";
/// Environment variable of a program and of all that it starts: the outer reaper's process id and the time of its start.
#[cfg(target_os = "linux")]
pub(crate) const MARK: &str = "SOJOURN_TREE";
/// Name of the reaper in a list of processes.
const NAME: &str = "reaper";
/// How often the parent is looked for where the kernel does not report its end.
const POLL: Duration = Duration::from_millis(200);
/// How long the reaper tries to end processes that do not end, such as those of another user.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// Exit code of a shell for a program that could not be executed.
const NOT_EXECUTABLE: u8 = 126;

/// This program's file, once it has called [`enter`].
static OWN_PROGRAM: OnceLock<OsString> = OnceLock::new();

/// The first call of `main`. If this process was started as a reaper, it does that work and returns the exit code. Otherwise
/// programs are started under reapers from now on.
pub fn enter() -> Option<ExitCode> {
    if let Some(program) = find_own_program() {
        let _ = OWN_PROGRAM.set(program);
    }
    let stage = std::env::var_os(STAGE)?;
    let stage = stage.to_string_lossy().into_owned();
    let parent = |pid: &str| pid.parse().ok().and_then(Pid::from_raw);
    Some(match stage.split_once(' ').map(|(stage, pid)| (stage, parent(pid))) {
        Some(("reap", Some(owner))) => reap(owner, if cfg!(target_os = "linux") { "inner" } else { "exec" }),
        Some(("inner", Some(outer))) => reap(outer, "exec"),
        Some(("exec", Some(reaper))) => become_program(reaper),
        _ => complain(&format!("{STAGE} is set to `{stage}`; unset it")),
    })
}

/// Whether programs are started under reapers.
pub fn is_available() -> bool {
    OWN_PROGRAM.get().is_some()
}

/// A command for `program`, under a reaper if one [is available](is_available). It has no environment variables but those that
/// are added, and leads its own process group.
pub fn wrap(program: &Path, arguments: Vec<OsString>) -> tokio::process::Command {
    let Some(own) = own_program() else {
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).env_clear().process_group(0).kill_on_drop(true);
        return command;
    };
    let mut command = tokio::process::Command::new(own);
    command.arg0(NAME).env_clear().process_group(0);
    command.envs(variables(program));
    for (number, argument) in arguments.into_iter().enumerate() {
        command.env(format!("{ARGUMENT}{number}"), argument);
    }
    command
}

/// This program's file, if programs are started under reapers.
pub fn own_program() -> Option<&'static OsStr> {
    OWN_PROGRAM.get().map(OsString::as_os_str)
}

/// On Linux also after the file was replaced by an update.
fn find_own_program() -> Option<OsString> {
    let link = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && link.exists() {
        return Some(link.into());
    }
    std::env::current_exe().ok().map(Into::into)
}

/// The environment variables with which [`own_program`] becomes a reaper of `program`, for a program that somebody else's code
/// starts: the arguments of that start become the program's.
pub fn variables(program: &Path) -> [(&'static str, OsString); 2] {
    [(STAGE, format!("reap {}", getpid().as_raw_nonzero()).into()), (PROGRAM, program.into())]
}

/// Starts the next stage, waits for its end, for that of `owner` or for a signal, and ends everything that is left.
fn reap(owner: Pid, next: &str) -> ExitCode {
    #[cfg(target_os = "linux")]
    let subreaper = rustix::process::set_child_subreaper(Some(getpid()));
    #[cfg(target_os = "linux")]
    if let Err(error) = subreaper {
        return complain(&format!("cannot adopt the program's processes: {error}"));
    }
    // A signal to all processes of Sojourn's name must leave the reapers.
    let _ = std::fs::write("/proc/self/comm", NAME);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(watch(owner, next)),
        Err(error) => complain(&format!("cannot start: {error}")),
    }
}

async fn watch(owner: Pid, next: &str) -> ExitCode {
    let signals = (|| {
        let terminate = signal(SignalKind::terminate())?;
        // Signals that are not for the reaper must not end it.
        let others = [SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()];
        let ignored: Vec<SignalStream> = others.into_iter().map(signal).collect::<Result<_, _>>()?;
        Ok::<_, std::io::Error>((signal(SignalKind::child())?, terminate, ignored))
    })();
    let (mut children, mut terminate, _ignored) = match signals {
        Ok(signals) => signals,
        Err(error) => return complain(&format!("cannot wait for signals: {error}")),
    };
    let program = match start(next) {
        Ok(program) => program,
        Err(error) => return complain(&format!("cannot start the program: {error}")),
    };
    close_standard_streams();
    let ended = tokio::select! {
        status = program_end(program, &mut children) => Some(status),
        _ = terminate.recv() => None,
        () = end_of(owner) => None,
    };
    kill_descendants(program);
    match ended {
        Some(status) => end_like(status),
        None => ExitCode::from(128 + 9),
    }
}

/// Starts the process that becomes the program or the inner reaper.
fn start(next: &str) -> std::io::Result<Pid> {
    let own = own_program().ok_or_else(|| std::io::Error::other("this program's file is unknown"))?;
    let mut command = Command::new(own);
    command.arg0(NAME).args(std::env::args_os().skip(1));
    command.env(STAGE, format!("{next} {}", getpid().as_raw_nonzero())).process_group(0);
    #[cfg(target_os = "linux")]
    if next == "inner"
        && let Some(mark) = mark_of(getpid())
    {
        command.env(MARK, mark);
    }
    Ok(Pid::from_child(&command.spawn()?))
}

/// Replaces this process by the program.
fn become_program(reaper: Pid) -> ExitCode {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    if getppid() != Some(reaper) {
        // The reaper has died before the kernel was asked.
        return ExitCode::from(NOT_EXECUTABLE);
    }
    let program = std::env::var_os(PROGRAM).unwrap_or_default();
    let mut command = Command::new(&program);
    for name in (0_u32..).map(|number| format!("{ARGUMENT}{number}")) {
        let Some(argument) = std::env::var_os(&name) else { break };
        command.arg(argument).env_remove(name);
    }
    command.args(std::env::args_os().skip(1)).env_remove(STAGE).env_remove(PROGRAM);
    let error = command.exec();
    complain(&format!("cannot start `{}`: {error}", Path::new(&program).display()))
}

/// The reaper must not hold the pipes between Sojourn and the program open.
fn close_standard_streams() {
    let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null") else { return };
    let _ = rustix::stdio::dup2_stdin(&null);
    let _ = rustix::stdio::dup2_stdout(&null);
    let _ = rustix::stdio::dup2_stderr(&null);
}

/// Waits for the program. Processes that the reaper inherited are waited for on the way, so that none stays a zombie.
async fn program_end(program: Pid, children: &mut SignalStream) -> Option<WaitStatus> {
    loop {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == program && (status.exited() || status.signaled()) {
                return Some(status);
            }
        }
        children.recv().await?;
    }
}

/// Waits until the process `owner`, this process's parent, has ended.
async fn end_of(owner: Pid) {
    #[cfg(target_os = "linux")]
    if let Ok(handle) = rustix::process::pidfd_open(owner, rustix::process::PidfdFlags::empty())
        && getppid() == Some(owner)
    {
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut watched = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
            while rustix::event::poll(&mut watched, None) == Err(rustix::io::Errno::INTR) {}
            let _ = ended.send(());
        });
        if end.await.is_ok() {
            return;
        }
    }
    while getppid() == Some(owner) {
        tokio::time::sleep(POLL).await;
    }
}

/// Kills all processes below this one, and those that appear meanwhile.
#[cfg(target_os = "linux")]
fn kill_descendants(program: Pid) {
    let begun = Instant::now();
    loop {
        let processes = processes();
        if processes.is_empty() {
            // `/proc` cannot be read.
            let _ = rustix::process::kill_process_group(program, Signal::KILL);
            return;
        }
        let found = descendants(getpid(), &processes);
        if found.is_empty() || begun.elapsed() > KILL_TIMEOUT {
            return;
        }
        for pid in found {
            // It may have ended already.
            let _ = kill_process(pid, Signal::KILL);
        }
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The mark of the tree below this outer reaper: its process id and the time of its start, which no later process has both.
#[cfg(target_os = "linux")]
pub(crate) fn mark_of(outer: Pid) -> Option<String> {
    let pid = outer.as_raw_nonzero();
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    // The 22nd field, of which two stand before the end of the name.
    let started = std::str::from_utf8(&stat[end + 1..]).ok()?.split_whitespace().nth(19)?;
    Some(format!("{pid}-{started}"))
}

/// Kills the processes that carry this mark, and those that appear meanwhile, after both reapers were killed.
#[cfg(target_os = "linux")]
pub(crate) fn kill_marked(mark: &str) {
    let wanted = format!("{MARK}={mark}");
    let begun = Instant::now();
    loop {
        let is_marked = |pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
        };
        let processes = processes();
        let found: Vec<Pid> =
            processes.iter().map(|(pid, _)| *pid).filter(is_marked).filter_map(Pid::from_raw).collect();
        if found.is_empty() || begun.elapsed() > KILL_TIMEOUT {
            return;
        }
        for pid in found {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills the program's process group.
#[cfg(not(target_os = "linux"))]
fn kill_descendants(program: Pid) {
    let begun = Instant::now();
    while rustix::process::kill_process_group(program, Signal::KILL).is_ok() && begun.elapsed() < KILL_TIMEOUT
    {
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// All processes of the system: id and parent.
#[cfg(target_os = "linux")]
fn processes() -> Vec<(i32, i32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let about = std::fs::read(entry.path().join("stat")).ok()?;
            Some((pid, parent_of(&about)?))
        })
        .collect()
}

/// The parent in a line of `/proc/PID/stat`. The name before it may contain anything, also parentheses.
#[cfg(target_os = "linux")]
fn parent_of(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    std::str::from_utf8(&stat[end + 1..]).ok()?.split_whitespace().nth(1)?.parse().ok()
}

/// The processes below `root`.
#[cfg(target_os = "linux")]
fn descendants(root: Pid, processes: &[(i32, i32)]) -> Vec<Pid> {
    let mut known = std::collections::BTreeSet::from([root.as_raw_nonzero().get()]);
    loop {
        let before = known.len();
        known.extend(
            processes
                .iter()
                .filter(|(_, parent)| known.contains(parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if known.len() == before {
            break;
        }
    }
    known.into_iter().filter_map(Pid::from_raw).filter(|pid| *pid != root).collect()
}

/// Ends this process as the program ended.
fn end_like(status: Option<WaitStatus>) -> ExitCode {
    let Some(status) = status else { return ExitCode::FAILURE };
    if let Some(code) = status.exit_status() {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let number = status.terminating_signal().unwrap_or(0);
    if let Some(signal) = Signal::from_named_raw(number) {
        // Signals that this process handles do not end it.
        let _ = kill_process(getpid(), signal);
    }
    ExitCode::from(128_u8.saturating_add(u8::try_from(number).unwrap_or(0)))
}

#[allow(clippy::print_stderr, reason = "the program's standard error is where its owner reads why it ended")]
fn complain(problem: &str) -> ExitCode {
    eprintln!("{problem}");
    ExitCode::from(NOT_EXECUTABLE)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_misleading_name_has_a_parent() {
        assert_eq!(parent_of(b"12 (a) S 7 (b)) S 3 12 12 0"), Some(3));
        assert_eq!(parent_of(b"12 (sh) Z 1 2"), Some(1));
        assert_eq!(parent_of(b"12 sh"), None);
    }

    #[test]
    fn descendants_are_found_through_several_parents() {
        let table = [(9, 4), (2, 1), (4, 2), (3, 1), (5, 3), (1, 0), (2, 2)];
        let pid = |raw| Pid::from_raw(raw).unwrap();
        assert_eq!(descendants(pid(2), &table), [pid(4), pid(9)]);
        assert_eq!(descendants(pid(7), &table), []);
    }

    #[test]
    fn this_process_is_a_child_of_its_parent() {
        let own = getpid();
        assert!(
            processes().contains(&(own.as_raw_nonzero().get(), getppid().unwrap().as_raw_nonzero().get()))
        );
    }
}
