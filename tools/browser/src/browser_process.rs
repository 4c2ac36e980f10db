//! The processes of a browser. They end with their owner, in whatever way it ends.

use crate::BrowserError;
use crate::devtools::Devtools;
use crate::profile::Profile;
use rustix::process::{Pid, Signal, kill_process_group};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};

/// Time limit for the browser to start, also on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// Time limit to read what a browser said before it ended.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);
/// Starts the program of its arguments with the pipes of its standard input and output as descriptors 3 and 4, over which Chromium
/// takes commands and answers.
const HAND_OVER: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
/// Limit on the lines of standard error that are read until the browser has opened its DevTools, and on their length.
const MAX_LINES: usize = 1000;
const MAX_LINE_BYTES: u64 = 4096;
/// Environment variables that the browser sees: no secrets of its owner.
const VISIBLE: [&str; 11] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "USER",
    "DISPLAY",
    "XAUTHORITY",
    "WAYLAND_DISPLAY",
    "XDG_RUNTIME_DIR",
    "FONTCONFIG_FILE",
];
/// Waits until its standard input is closed, which the kernel does when the owner has ended in any way. Then it kills every
/// process of the profile, whose path is the first line of the input, and deletes the profile. The path is no argument, so
/// that the script does not find itself. Ordinary signals do not end it.
const WATCHDOG: &str = r#"
trap '' HUP INT QUIT TERM PIPE
IFS= read -r profile || exit 0
[ -n "$profile" ] || exit 0
while read -r _; do :; done
users() {
    if [ -r /proc/self/cmdline ]; then
        printf '%s\n' "$profile" | grep -lF -f - /proc/[0-9]*/cmdline 2>/dev/null | while IFS=/ read -r _ _ pid _; do echo "$pid"; done
    else
        ps -axo pid=,args= | while read -r pid args; do case $args in *"$profile"*) echo "$pid" ;; esac; done
    fi
}
rounds=0
while [ "$rounds" -lt 100 ]; do
    rounds=$((rounds + 1))
    found=$(users)
    if [ -n "$found" ]; then
        for pid in $found; do kill -s KILL "$pid" 2>/dev/null; done
    else
        rm -rf -- "$profile" 2>/dev/null
        # A browser that was about to start may still do so.
        [ ! -e "$profile" ] && [ "$rounds" -gt 3 ] && exit 0
    fi
    sleep 0.1
done"#;

/// A running browser. Dropping it kills all of its processes and deletes its profile.
pub(crate) struct BrowserProcess {
    child: Child,
    id: Option<u32>,
    /// The pipes of its DevTools, and its standard error, until they are used.
    devtools: Option<(Devtools, ChildStderr)>,
    profile: Option<Profile>,
    /// Kills the browser if this process is killed. `None` where there is no shell.
    watchdog: Option<Child>,
}

impl BrowserProcess {
    /// Starts `command`, a browser that uses `profile`, or a helper that becomes one. It sees `PATH` and `variable` besides [`VISIBLE`].
    ///
    /// # Errors
    /// The program cannot be started.
    pub async fn spawn(
        command: Command,
        profile: Profile,
        variable: Option<(&str, PathBuf)>,
    ) -> Result<Self, BrowserError> {
        let mut command = handed_over(&command)?;
        let watchdog = watchdog(&profile).await;
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Signals of the terminal are for the owner; a group of its own can be killed as one.
        command.process_group(0).kill_on_drop(true);
        for name in VISIBLE {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // It may be a script that starts other programs.
        command.env("PATH", profile.search_path());
        command.envs(variable);
        let mut child = command.spawn().map_err(|error| BrowserError::Start(error.to_string()))?;
        let devtools = match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(commands), Some(answers), Some(stderr)) => Some((Devtools::new(commands, answers), stderr)),
            _ => None,
        };
        Ok(Self { id: child.id(), child, devtools, profile: Some(profile), watchdog })
    }

    /// The DevTools, once the browser has opened them.
    ///
    /// # Errors
    /// It ends before, or takes too long.
    pub async fn devtools(&mut self) -> Result<Devtools, BrowserError> {
        let Some((mut devtools, stderr)) = self.devtools.take() else {
            return Err(BrowserError::Start("its DevTools were opened before".to_owned()));
        };
        let mut last = String::new();
        let opened = tokio::time::timeout(START_TIMEOUT, async {
            let mut words = pin!(last_line(stderr, &mut last));
            let mut opening = pin!(devtools.opened());
            tokio::select! {
                opened = &mut opening => {
                    if opened.is_err() {
                        // What it said has its reason. A process that it has left may keep the pipe open.
                        let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, words).await;
                    }
                    opened.is_ok()
                }
                // A browser that has closed its standard error, or says more than is read, may still open its DevTools.
                () = &mut words => opening.await.is_ok(),
            }
        })
        .await;
        match opened {
            Ok(true) => Ok(devtools),
            Ok(false) if last.is_empty() => Err(BrowserError::Start("it ended at once".to_owned())),
            Ok(false) => Err(BrowserError::Start(format!("it ended; it said: {last}"))),
            Err(_) => Err(BrowserError::Start(format!(
                "it did not open its DevTools within {} s",
                START_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Waits until the main process has ended.
    pub async fn ended(&mut self) {
        // An error means that it was waited for before.
        let _ = self.child.wait().await;
    }

    /// Process id of the browser's main process.
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// Kills the browser's processes.
    pub fn kill(&self) {
        let group = self.id.and_then(|id| Pid::from_raw(id.cast_signed()));
        // While the child is not reaped, its id is not given to another process.
        if let (Some(group), Some(_)) = (group, self.child.id()) {
            // It may have ended already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for BrowserProcess {
    fn drop(&mut self) {
        self.kill();
        // A killed child is reaped by the runtime.
        let _ = self.child.try_wait();
        let Some(profile) = self.profile.take() else { return };
        let path = profile.path().to_owned();
        // This waits for the processes of the profile.
        drop(profile);
        if let (Some(watchdog), false) = (&mut self.watchdog, path.exists()) {
            // Its work is done. It may have ended already.
            let _ = watchdog.start_kill();
        }
    }
}

/// Starts the watchdog of a profile, before anything uses the profile.
async fn watchdog(profile: &Profile) -> Option<Child> {
    let mut command = Command::new(sojourn_subprocess::find("sh".as_ref(), Path::new("")).ok()?);
    command.env("PATH", sojourn_subprocess::search_path());
    command.args(["-c", WATCHDOG, "sojourn-browser-watchdog"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut watchdog = command.spawn().ok()?;
    let line = format!("{}\n", profile.path().display());
    watchdog.stdin.as_mut()?.write_all(line.as_bytes()).await.ok()?;
    Some(watchdog)
}

/// The command with its standard input and output as descriptors 3 and 4.
fn handed_over(command: &Command) -> Result<Command, BrowserError> {
    let shell = sojourn_subprocess::find("sh".as_ref(), Path::new(""))
        .map_err(|_| BrowserError::Start("the shell `sh` is not installed".to_owned()))?;
    let mut through = Command::new(shell);
    through.args(["-c", HAND_OVER]).arg(command.as_std().get_program()).args(command.as_std().get_args());
    Ok(through)
}

/// Reads standard error to its end, and leaves the beginning of its last line in `last`.
async fn last_line(stderr: ChildStderr, last: &mut String) {
    let mut lines = BufReader::new(stderr);
    for _ in 0..MAX_LINES {
        let mut line = Vec::new();
        match (&mut lines).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            _ => break,
        }
        let line = String::from_utf8_lossy(&line);
        if !line.trim().is_empty() {
            *last = line.trim().chars().take(300).collect();
        }
    }
}
