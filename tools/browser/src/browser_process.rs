//! The processes of a browser. They end with their owner, in whatever way it ends.

use crate::BrowserError;
use crate::profile::Profile;
use rustix::process::{Pid, Signal, kill_process_group};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};

/// Time limit for the browser to start, also on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// Limit on the lines of standard error that are read before the browser says where its DevTools are, and on their length.
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
    /// Standard error, until it is read.
    stderr: Option<ChildStderr>,
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
        mut command: Command,
        profile: Profile,
        variable: Option<(&str, PathBuf)>,
    ) -> Result<Self, BrowserError> {
        let watchdog = watchdog(&profile).await;
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Signals of the terminal are for the owner; a group of its own can be killed as one.
        command.process_group(0).kill_on_drop(true);
        for name in VISIBLE {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // It may be a script that starts other programs.
        command.env("PATH", sojourn_subprocess::search_path());
        command.envs(variable);
        let mut child = command.spawn().map_err(|error| BrowserError::Start(error.to_string()))?;
        let stderr = child.stderr.take();
        Ok(Self { id: child.id(), child, stderr, profile: Some(profile), watchdog })
    }

    /// URL of the DevTools, once the browser has opened them.
    ///
    /// # Errors
    /// It ends before, or takes too long.
    pub async fn devtools(&mut self) -> Result<String, BrowserError> {
        let Some(stderr) = self.stderr.take() else {
            return Err(BrowserError::Start("its standard error was read before".to_owned()));
        };
        match tokio::time::timeout(START_TIMEOUT, devtools_url(stderr)).await {
            Ok(url) => url.map_err(BrowserError::Start),
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

/// Reads the URL of the DevTools from standard error. Fails with the last line if it ends before.
async fn devtools_url(stderr: ChildStderr) -> Result<String, String> {
    let mut lines = BufReader::new(stderr);
    let mut last = String::new();
    for _ in 0..MAX_LINES {
        let mut line = Vec::new();
        match (&mut lines).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            _ => break,
        }
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if let Some((_, url)) = line.rsplit_once("DevTools listening on ")
            && url.starts_with("ws://")
        {
            return Ok(url.to_owned());
        }
        if !line.is_empty() {
            last = line;
        }
    }
    let last: String = last.chars().take(300).collect();
    Err(if last.is_empty() { "it ended at once".to_owned() } else { format!("it ended; it said: {last}") })
}
