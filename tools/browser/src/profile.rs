//! Temporary profiles of browsers. A profile never outlives its browser, nor its browser the process that started it.
//!
//! The owner of a profile holds a lock on a file in it. A profile whose lock is free has lost its owner: its processes are
//! killed and it is deleted, at the latest when the next browser starts.

use crate::flags::preferences;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// Beginning of the name of each profile's directory.
const PREFIX: &str = "sojourn-browser-";
/// Name of the file that the owner has locked.
const LOCK: &str = "sojourn.lock";
/// Name of the directory of [`DESKTOP`] programs that do nothing.
const NO_DESKTOP: &str = "no-desktop";
/// Programs that open an address with another program of the person's desktop. A page may start them: Chromium opens `mailto:` by
/// `xdg-email` without a question, past the interceptor and the proxy.
const DESKTOP: [&str; 18] = [
    "xdg-open",
    "xdg-email",
    "xdg-settings",
    "xdg-mime",
    "xdg-desktop-menu",
    "xdg-desktop-icon",
    "xdg-icon-resource",
    "xdg-screensaver",
    "gio",
    "gio-launch-desktop",
    "gnome-open",
    "gvfs-open",
    "kde-open",
    "kde-open5",
    "kfmclient",
    "exo-open",
    "sensible-browser",
    "x-www-browser",
];
/// Age from which a profile without a lock file is deleted. A younger one may be about to get its file.
const ABANDONED_AFTER: Duration = Duration::from_hours(1);
/// Time limit for killed processes to end. They end at once, unless the kernel waits for a disk.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// Number of times a look at the running processes is repeated because one has yet to get its arguments.
const LOOKS: usize = 50;
/// Pause between two looks at processes.
const PAUSE: Duration = Duration::from_millis(5);

/// The profile of one browser. Dropping it kills every process that uses it, and deletes it.
pub(crate) struct Profile {
    directory: TempDir,
    /// Locked for as long as the profile has an owner.
    _lock: File,
}

impl Profile {
    /// Creates a profile, and deletes those that have lost their owner.
    pub fn create() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        // Cookies, and the way to drive the browser, are its owner's alone.
        let private = Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(&parent)?;
        // The file gets its name once it is locked, so that no sweep finds it unlocked.
        let draft = directory.path().join("sojourn.lock.new");
        let lock = File::create(&draft)?;
        lock.lock()?;
        fs::rename(&draft, directory.path().join(LOCK))?;
        for (file, content) in preferences() {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap_or(directory.path()))?;
            fs::write(path, content.to_string())?;
        }
        if directory.path().as_os_str().as_bytes().contains(&b':') {
            return Err(io::Error::other(
                "the directory for temporary files (TMPDIR) has a colon in its name",
            ));
        }
        let nothing = sojourn_subprocess::find("false".as_ref(), Path::new(""))
            .map_err(|_| io::Error::other("the program `false` is not installed"))?;
        let stand_ins = directory.path().join(NO_DESKTOP);
        fs::create_dir(&stand_ins)?;
        for name in DESKTOP {
            // A link, because the directory may be on a disk whose files cannot be started.
            symlink(&nothing, stand_ins.join(name))?;
        }
        Ok(Self { directory, _lock: lock })
    }

    /// `PATH` of the browser: what pages could start of the desktop does nothing.
    pub fn search_path(&self) -> OsString {
        let mut path = self.path().join(NO_DESKTOP).into_os_string();
        path.push(":");
        path.push(sojourn_subprocess::search_path());
        path
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        delete(self.directory.path());
    }
}

/// Deletes the profiles below `parent` that have lost their owner.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        // Other users' directories, and links to somewhere else, are not ours to delete.
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if !about.is_dir() || about.uid() != geteuid().as_raw() {
            continue;
        }
        match File::open(path.join(LOCK)) {
            Ok(lock) if lock.try_lock().is_ok() => delete(&path),
            Ok(_) => {}
            Err(_) => {
                let age = about.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
                if age.is_some_and(|age| age > ABANDONED_AFTER) && processes_of(&path).is_empty() {
                    delete(&path);
                }
            }
        }
    }
}

/// Kills the processes of a profile, and deletes it.
fn delete(profile: &Path) {
    let begun = Instant::now();
    loop {
        let running = processes_of(profile);
        for process in &running {
            // It may have ended since.
            let _ = kill_process(*process, Signal::KILL);
        }
        let deleted = running.is_empty() && {
            let _ = fs::remove_dir_all(profile);
            !profile.exists()
        };
        if deleted || begun.elapsed() > KILL_TIMEOUT {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The running processes that have the path of `profile` among their arguments.
pub(crate) fn processes_of(profile: &Path) -> Vec<Pid> {
    let mut found = look(profile);
    for _ in 1..LOOKS {
        if !found.starting {
            break;
        }
        std::thread::sleep(PAUSE);
        found = look(profile);
    }
    found.processes
}

/// What one look at the running processes found.
#[derive(Default)]
struct Look {
    processes: Vec<Pid>,
    /// Whether a process has started its program and not got its arguments yet, so that it is unknown which profile it uses.
    starting: bool,
}

fn look(profile: &Path) -> Look {
    let mut look = Look::default();
    let wanted = profile.as_os_str().as_bytes();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = process.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
        let Some(id) = id else { continue };
        let Ok(arguments) = fs::read(process.path().join("cmdline")) else { continue };
        if arguments.windows(wanted.len()).any(|window| window == wanted) {
            look.processes.push(id);
        }
        // Threads of the kernel and processes that have ended have no arguments and no program; other users' programs
        // cannot be read.
        look.starting |= arguments.is_empty() && fs::read_link(process.path().join("exe")).is_ok();
    }
    look
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_profile_is_its_owners_alone() {
        let profile = Profile::create().unwrap();
        assert_eq!(fs::metadata(profile.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn profiles_without_an_owner_are_swept_and_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            let lock = File::create(path.join(LOCK)).unwrap();
            (path, lock)
        };
        let (orphan, _) = make("sojourn-browser-orphan");
        // A program that still uses it, as a browser would whose owner was killed.
        let script = "trap '' HUP TERM; while :; do sleep 1; done";
        let argument = format!("--user-data-dir={}", orphan.display());
        let mut left = Command::new("sh").args(["-c", script, &argument]).spawn().unwrap();
        let (owned, lock) = make("sojourn-browser-owned");
        lock.lock().unwrap();
        let (other, _) = make("another-program");
        let young = parent.path().join("sojourn-browser-young");
        fs::create_dir(&young).unwrap();
        let target = parent.path().join("target");
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, parent.path().join("sojourn-browser-link")).unwrap();
        sweep(parent.path());
        let ended = (0..1000).find_map(|_| {
            std::thread::sleep(PAUSE);
            left.try_wait().unwrap()
        });
        if ended.is_none() {
            left.kill().unwrap();
        }
        assert!(ended.is_some_and(|status| !status.success()), "the program was killed");
        assert!(!orphan.exists() && owned.exists() && other.exists() && young.exists() && target.exists());
        drop(lock);
        sweep(parent.path());
        assert!(!owned.exists());
    }
}
