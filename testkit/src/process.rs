//! Programs that tests start, and tests in processes of their own.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::ffi::OsStr;
use std::ops::{Deref, DerefMut};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

/// Replaces itself by the program in the arguments, and leaves a watcher behind. The watcher ends the program's process group within
/// a second after the parent died, even by SIGKILL. It is detached and holds no pipe open. It sets its own search path, because a
/// test may remove the program's.
const LAUNCHER: &str = r#"
followed() {
    if [ -r "/proc/$$/status" ]; then grep -q "^PPid:.$PPID\$" "/proc/$$/status"; else kill -0 "$PPID" && kill -0 "$$"; fi
}
( (PATH=/usr/local/bin:/usr/bin:/bin; while followed; do sleep 1; done; kill -s KILL -- "-$$") </dev/null >/dev/null 2>&1 & )
exec "$0" "$@""#;

/// A program that does not outlive this process: it leads a process group that is killed when this process is gone, in
/// whatever way. Arguments, variables and streams are added as to any [`Command`].
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(LAUNCHER).arg(program).process_group(0);
    command
}

/// A process made by [`command`], killed with its whole group when dropped.
pub struct Running(Child);

impl Running {
    /// Starts the process.
    ///
    /// # Panics
    /// When the process cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process and its group may have ended already.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

fn pid(process: u32) -> Pid {
    Pid::from_raw(process.cast_signed()).expect("0 is no process")
}

/// Sends a signal to one process, which must be there.
pub fn send_signal(process: u32, signal: Signal) {
    kill_process(pid(process), signal).unwrap_or_else(|error| panic!("process {process}: {error}"));
}

/// Whether a process is there and has not ended.
pub fn is_alive(process: u32) -> bool {
    let listed = Command::new("ps").args(["-o", "stat=", "-p", &process.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// The calling test program, limited to the test with this path (`module::name`). It dies with this process.
pub fn again(test: &str) -> Command {
    let mut command = command(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--include-ignored", "--nocapture"]);
    command
}

/// Set for a test that was started by [`in_own_process`].
const ALONE: &str = "SOJOURN_TEST_ALONE";

/// Runs `test` in a process in which no other test runs: here where a runner gives each test a process, otherwise by
/// starting the program again. `path` is the test's path with its crate. Prefer [`alone!`](crate::alone!).
pub fn in_own_process(path: &str, test: impl FnOnce()) {
    let (_, name) = path.split_once("::").expect("a path has a crate");
    if std::env::var_os(ALONE).is_some() || std::env::var_os("NEXTEST").is_some() {
        return test();
    }
    let output = again(name).env(ALONE, "1").output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    assert!(words.contains("1 passed"), "there is no test `{name}`: {words}");
}

/// `alone!("name_of_this_test", || …)`: the test in a process of its own, for what is one for a whole process (memory in
/// use, variables, children).
#[macro_export]
macro_rules! alone {
    ($name:literal, $test:expr) => {
        $crate::in_own_process(concat!(module_path!(), "::", $name), $test)
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::until;
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    const PARENT: &str = "SOJOURN_TEST_PARENT";

    /// Of [`children_die_with_a_test_that_is_killed`]: a test that is killed while its child and grandchild run.
    #[test]
    fn parent() {
        if std::env::var_os(PARENT).is_none() {
            return;
        }
        let script = "trap '' TERM HUP INT; sleep 600 & echo started $$ $!; wait";
        let _running = Running::start(command("sh").args(["-c", script]));
        std::thread::sleep(crate::PATIENCE);
    }

    #[test]
    fn children_die_with_a_test_that_is_killed() {
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["process::tests::parent", "--exact", "--nocapture"])
            .env(PARENT, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines().map(Result::unwrap);
        // The test runner may print before it on the same line.
        let started = lines.find(|line| line.contains("started ")).expect("the parent started nothing");
        let (_, pids) = started.split_once("started ").unwrap();
        let pids: Vec<u32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(pids.len(), 2);
        assert!(pids.iter().all(|&pid| is_alive(pid)));
        parent.kill().unwrap();
        parent.wait().unwrap();
        until("the child and the grandchild are gone", || pids.iter().all(|&pid| !is_alive(pid)));
    }

    #[test]
    fn a_dropped_process_is_killed_with_its_group() {
        let script = "sleep 600 & echo $$ $!; wait";
        let mut running = Running::start(command("sh").args(["-c", script]).stdout(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pids: Vec<u32> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(pids[0], running.id(), "the program has the launcher's process");
        drop(running);
        until("both are gone", || pids.iter().all(|&pid| !is_alive(pid)));
    }

    #[test]
    fn a_command_is_what_it_would_be_without_the_launcher() {
        let output = command("printf").args(["%s|", "a b", "", "$HOME"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a b||$HOME|");
        assert_eq!(command("sh").args(["-c", "exit 7"]).status().unwrap().code(), Some(7));
    }

    #[test]
    fn a_test_can_run_alone() {
        let before = std::env::var_os(ALONE).is_some() || std::env::var_os("NEXTEST").is_some();
        let mut here = false;
        alone!("a_test_can_run_alone", || here = true);
        assert_eq!(here, before, "it runs in the other process where this one is shared");
    }
}
