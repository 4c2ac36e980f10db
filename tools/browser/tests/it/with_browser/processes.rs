//! A browser's processes and profile end with their owner, however it ends.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use crate::support::sockets::processes_with;
use crate::support::{Server, browser, chromium};
use rustix::process::Signal;
use sojourn_browser::{Chromium, Launcher, Settings};
use sojourn_testkit::{again, eventually, send_signal, until};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Set for [`owner`]: how long it lives.
const OWNER: &str = "SOJOURN_TEST_BROWSER_OWNER";
/// Set for [`visitor`].
const VISITOR: &str = "SOJOURN_TEST_BROWSER_VISITOR";

/// Of the other tests: a process that starts a browser and waits to be killed.
#[test]
fn owner() {
    if std::env::var_os(OWNER).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _browser = Chromium::start(&Settings::default()).await.unwrap();
        println!("started");
        tokio::time::sleep(sojourn_testkit::PATIENCE).await;
    });
}

fn profiles(parent: &Path) -> Vec<String> {
    let names = std::fs::read_dir(parent).unwrap().flatten().map(|entry| entry.path().display().to_string());
    names.filter(|name| name.contains("/sojourn-browser-")).collect()
}

#[test]
fn no_process_and_no_profile_outlives_a_killed_owner() {
    if chromium().is_none() {
        return;
    }
    for (signal, started) in [(Signal::KILL, true), (Signal::HUP, true), (Signal::KILL, false)] {
        let parent = tempfile::tempdir().unwrap();
        let text = format!("{}/sojourn-browser-", parent.path().display());
        let mut command = again("with_browser::processes::owner");
        command.env(OWNER, "1").env("TMPDIR", parent.path());
        let mut owner = sojourn_testkit::Running::start(&mut command);
        // The owner dies while the browser runs, or while it starts.
        until("the browser runs", || {
            let count = processes_with(&text).len();
            if started { count >= 4 } else { count >= 1 }
        });
        assert_eq!(profiles(parent.path()).len(), 1);
        // Only the owner gets the signal: not the group, as from a supervisor.
        send_signal(owner.id(), signal);
        owner.wait().unwrap();
        until("the browser and its profile are gone", || {
            processes_with(&text).is_empty() && profiles(parent.path()).is_empty()
        });
    }
}

#[test]
fn a_profile_whose_watchdog_died_with_its_owner_is_swept_by_the_next_browser() {
    if chromium().is_none() {
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    let text = format!("{}/sojourn-browser-", parent.path().display());
    let mut command = again("with_browser::processes::owner");
    command.env(OWNER, "1").env("TMPDIR", parent.path());
    let mut owner = sojourn_testkit::Running::start(&mut command);
    until("the browser runs", || processes_with(&text).len() >= 4);
    let left = profiles(parent.path());
    let mut list = std::process::Command::new("ps");
    let listed = list.args(["--ppid", &owner.id().to_string(), "-o", "pid=,args="]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let watchdog = listed.lines().find(|line| line.contains("sojourn-browser-watchdog")).unwrap();
    send_signal(watchdog.split_whitespace().next().unwrap().parse().unwrap(), Signal::KILL);
    send_signal(owner.id(), Signal::KILL);
    owner.wait().unwrap();
    assert!(!processes_with(&left[0]).is_empty(), "no watchdog was left to kill it");
    let mut next = sojourn_testkit::Running::start(&mut command);
    until("the first profile is swept", || {
        processes_with(&left[0]).is_empty() && !Path::new(&left[0]).exists()
    });
    until("the next browser runs", || processes_with(&text).len() >= 4);
    send_signal(next.id(), Signal::KILL);
    next.wait().unwrap();
    until("the browser and its profile are gone", || {
        processes_with(&text).is_empty() && profiles(parent.path()).is_empty()
    });
}

/// Of the next test: a process whose page asks for programs of the desktop.
#[test]
fn visitor() {
    if std::env::var_os(VISITOR).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (server, browser) = browser().await.unwrap();
        let mut page = browser.page().await.unwrap();
        for address in ["mailto:x@evil.example?subject=secret", "news:evil", "tel:1", "ssh://evil.example"] {
            page.open(&server.url("/form")).await.unwrap();
            let asked = format!(
                "(async () => {{ const frame = document.createElement('iframe'); frame.src = '{address}'; \
                 document.body.append(frame); window.open('{address}'); location = '{address}'; \
                 await new Promise((go) => setTimeout(go, 300)); return 1; }})()"
            );
            // Where it leads nowhere the page stays.
            let _ = page.evaluate(&asked).await;
        }
    });
    println!("visited");
}

#[test]
fn a_page_starts_no_program_of_the_desktop() {
    if chromium().is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (desktop, started) = (place.path().join("bin"), place.path().join("started"));
    std::fs::create_dir(&desktop).unwrap();
    for name in ["xdg-open", "xdg-email", "xdg-settings", "gio"] {
        let script = format!("#!/bin/sh\necho \"{name} $*\" >> '{}'\n", started.display());
        std::fs::write(desktop.join(name), script).unwrap();
        std::fs::set_permissions(desktop.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", desktop.display(), std::env::var("PATH").unwrap());
    let mut command = again("with_browser::processes::visitor");
    let visited = command.env(VISITOR, "1").env("PATH", path).output().unwrap();
    assert!(String::from_utf8_lossy(&visited.stdout).contains("visited"), "{visited:?}");
    assert_eq!(std::fs::read_to_string(&started).unwrap_or_default(), "");
}

#[tokio::test]
async fn a_dropped_browser_has_left_nothing_behind() {
    let Some((_, browser)) = browser().await else { return };
    let profile = crate::support::sockets::argument(browser.process().unwrap(), "--user-data-dir=");
    assert!(Path::new(&profile).is_dir());
    drop(browser);
    assert!(!Path::new(&profile).exists(), "{profile} is deleted");
    assert_eq!(processes_with(&profile), Vec::<u32>::new());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_page_that_takes_too_much_memory_ends_its_browser_alone() {
    let Some(program) = chromium() else { return };
    let server = Server::start().await;
    let hosts = vec![server.host()];
    let settings = Settings { program: Some(program), hosts, memory_mib: 900, ..Settings::default() };
    let launcher = Launcher::new(settings);
    let browser = launcher.browser().await.unwrap();
    let mut page = browser.page().await.unwrap();
    page.open(&server.url("/form")).await.unwrap();
    // 2.5 GB, if nobody ends it.
    let greedy = "(async () => { const kept = []; for (let part = 0; part < 40; part += 1) { \
                  kept.push(new Uint8Array(1 << 26).fill(part + 1)); await new Promise((go) => setTimeout(go, 50)); } \
                  return kept.length; })()";
    let error = page.evaluate(greedy).await.unwrap_err();
    assert!(error.is_gone() && error.to_string().contains("more memory than `memory_mib` allows"), "{error}");
    eventually("the browser is gone", async || browser.is_gone().then_some(())).await;
    let next = launcher.browser().await.unwrap();
    next.page().await.unwrap().open(&server.url("/form")).await.unwrap();
}
