//! A limit on the memory of a browser: a page may take what it likes, and other programs of the machine would pay for it.

use rustix::process::{Pid, Signal, kill_process_group};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often memory is measured. A page takes some gigabytes a second at most.
const INTERVAL: Duration = Duration::from_millis(250);

/// Ends the process group `leader` when its memory exceeds `most` MiB, and sets `exceeded` before.
pub(crate) async fn watch(leader: u32, most: u64, exceeded: Arc<AtomicBool>) {
    let Some(group) = Pid::from_raw(leader.cast_signed()) else { return };
    let most_kib = most.saturating_mul(1024);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let measuring = tokio::task::spawn_blocking(move || {
            let proc = Path::new("/proc");
            let processes = group_of(proc, leader)?;
            // The sum counts what processes share once for each of them; the exact number takes much longer.
            let is_over = sum(&processes, "status", &["RssAnon:", "RssShmem:"]) > most_kib
                && sum(&processes, "smaps_rollup", &["Pss_Anon:", "Pss_Shmem:"]) > most_kib;
            Some(is_over)
        });
        match measuring.await {
            Ok(Some(false)) => {}
            Ok(Some(true)) => {
                exceeded.store(true, Ordering::Release);
                // It may have ended meanwhile.
                let _ = kill_process_group(group, Signal::KILL);
                return;
            }
            Ok(None) | Err(_) => return,
        }
    }
}

/// The directories of the processes of the group `leader`; `None` where the system has none or the group's first process has ended.
fn group_of(proc: &Path, leader: u32) -> Option<Vec<PathBuf>> {
    if !proc.join(leader.to_string()).join("stat").exists() {
        return None;
    }
    let all = std::fs::read_dir(proc).ok()?.flatten().map(|entry| entry.path());
    Some(all.filter(|process| group(process) == Some(leader)).collect())
}

/// The group of a process (`proc_pid_stat(5)`). Its name stands in parentheses and may have any characters.
fn group(process: &Path) -> Option<u32> {
    let number = process.file_name()?.to_str()?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let stat = std::fs::read(process.join("stat")).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    // State and parent come before it.
    fields.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// The sum of these fields of a file of all processes, in KiB. A process may end while it is looked at.
fn sum(processes: &[PathBuf], file: &str, fields: &[&str]) -> u64 {
    let texts = processes.iter().filter_map(|process| std::fs::read_to_string(process.join(file)).ok());
    texts.map(|text| text.lines().filter_map(|line| kibibytes(line, fields)).sum::<u64>()).sum()
}

/// The number in a line such as `RssAnon:    1234 kB`.
fn kibibytes(line: &str, fields: &[&str]) -> Option<u64> {
    let mut words = line.split_ascii_whitespace();
    fields.contains(&words.next()?).then_some(())?;
    words.next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_group_is_found() {
        let own = rustix::process::getpgrp().as_raw_pid().cast_unsigned();
        let Some(processes) = group_of(Path::new("/proc"), own) else { return };
        assert!(processes.contains(&PathBuf::from(format!("/proc/{}", std::process::id()))), "{processes:?}");
        let before = sum(&processes, "status", &["RssAnon:", "RssShmem:"]);
        assert!(before > 0 && sum(&processes, "smaps_rollup", &["Pss_Anon:", "Pss_Shmem:"]) > 0);
        assert_eq!(group_of(Path::new("/proc"), u32::MAX), None);
        assert_eq!(kibibytes("RssAnon:\t    1234 kB", &["RssAnon:"]), Some(1234));
        assert_eq!(kibibytes("RssFile:\t    1234 kB", &["RssAnon:"]), None);
    }
}
