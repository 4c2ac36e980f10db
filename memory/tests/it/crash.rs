//! Durability guarantees hold after SIGKILL, on a full disk and in a read-only directory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::{home, run_id};
use serde_json::json;
use sojourn_memory::{Durability, Error, EventSeq, NewRun, RecordQuery, Store};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Passes the home directory to a copy of this test that will be killed.
const CHILD: &str = "SOJOURN_MEMORY_CHILD";

/// Body of the child process: appends records and prints each sequence number once the record is durable. It
/// does nothing when no parent started it.
#[tokio::test]
async fn child() {
    let Some(home) = std::env::var_os(CHILD) else { return };
    let store = Store::open(home).await.unwrap();
    let mut writer = match store.run(run_id().as_str()).await {
        Ok(_) => store.resume_run(&run_id()).await.unwrap(),
        Err(_) => store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap(),
    };
    println!("resumed {}", writer.last_seq());
    for n in 0.. {
        let frame = writer.put_blob(format!("frame {n}").repeat(100).as_bytes()).await.unwrap();
        writer.append("intent", n, json!({"n": n}), vec![]).await.unwrap();
        let record = writer.append("result", n, json!({"n": n}), vec![frame]).await.unwrap();
        writer.commit(Durability::Effect).await.unwrap();
        println!("durable {}", record.seq);
    }
}

#[tokio::test]
async fn durable_records_survive_kill_9() {
    let home = home();
    let mut promised = 0;
    for round in 0..6_u64 {
        let lines = 1 + (round * 7) % 12;
        let told = kill_after(home.path(), lines, Duration::from_micros(round * 1931 % 7000));
        let store = Store::open(home.path()).await.unwrap();
        promised = promised.max(told);
        let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
        assert!(report.is_intact(), "round {round}: {report:?}");
        assert!(
            report.records >= promised,
            "round {round}: only {} of {promised} durable records are left",
            report.records
        );
        // The lock of the killed writer is released.
        drop(store.resume_run(&run_id()).await.unwrap());
        promised = report.records;
        store.close().await;
    }
    assert!(promised > 6);
}

/// Lets the child report `lines` durable records, waits `longer`, kills it, and returns the last reported
/// number.
fn kill_after(home: &Path, lines: u64, longer: Duration) -> u64 {
    let mut child = sojourn_testkit::again("crash::child")
        .env(CHILD, home)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let durable = |line: &String| line.rsplit_once("durable ").and_then(|(_, seq)| seq.parse::<u64>().ok());
    let mut last = 0;
    for _ in 0..lines {
        last = output.by_ref().find_map(|line| durable(&line)).expect("the child process exited early");
    }
    std::thread::sleep(longer);
    child.kill().unwrap();
    child.wait().unwrap();
    output.filter_map(|line| durable(&line)).last().unwrap_or(last)
}

/// A small file system, unmounted on drop.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` if this user is not allowed to mount.
    fn mount(directory: PathBuf, size: &str) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&directory)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn full_disk_is_an_error_and_loses_nothing() {
    let home = home();
    let Some(disk) = SmallDisk::mount(home.path().to_owned(), "2m") else {
        println!("skipped: mounting a small file system needs root");
        return;
    };
    let store = Store::open(&disk.0).await.unwrap();
    let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    let mut durable = EventSeq(0);
    let error = loop {
        let noise: Vec<u8> = (0..512_u64)
            .flat_map(|n| {
                *sojourn_memory::Hash::of(&(writer.last_seq().0 * 1000 + n).to_le_bytes()).as_bytes()
            })
            .collect();
        let frame = writer.put_blob(&noise).await.unwrap();
        writer.append("step", 0, json!({}), vec![frame]).await.unwrap();
        match writer.commit(Durability::Effect).await {
            Ok(()) => durable = writer.last_seq(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::DiskFull), "{error:?}");
    assert!(durable > EventSeq(3));
    assert!(matches!(writer.commit(Durability::Effect).await, Err(Error::DiskFull)));
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    assert!(report.is_intact() && report.records == durable.0, "{report:?}");

    // After the disk has free space again, the same writer continues with its buffer.
    let resized = Command::new("mount").args(["-o", "remount,size=16m"]).arg(&disk.0).status().unwrap();
    assert!(resized.success());
    writer.commit(Durability::Effect).await.unwrap();
    assert_eq!(writer.last_seq(), durable.next());
    drop(writer);
    store.close().await;
    let store = Store::open(&disk.0).await.unwrap();
    let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
    assert!(report.is_intact() && report.records == durable.next().0, "{report:?}");
    assert_eq!(store.records(&run_id(), &RecordQuery::all()).await.unwrap().len() as u64, durable.next().0);
    store.close().await;
}

#[tokio::test]
async fn read_only_directory_is_an_error_and_loses_nothing() {
    let home = home();
    let Some(disk) = SmallDisk::mount(home.path().to_owned(), "4m") else {
        println!("skipped: mounting a small file system needs root");
        return;
    };
    let remount = |how: &str| {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&disk.0).status();
        assert!(status.unwrap().success());
    };
    let store = Store::open(&disk.0).await.unwrap();
    let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    writer.append("step", 0, json!({}), vec![]).await.unwrap();
    writer.commit(Durability::Effect).await.unwrap();
    drop(writer);
    store.close().await;
    remount("ro");
    let refused = Store::open(&disk.0).await;
    assert!(matches!(refused, Err(Error::Io { .. } | Error::ReadOnly)), "{refused:?}");
    remount("rw");
    let store = Store::open(&disk.0).await.unwrap();
    assert_eq!(store.resume_run(&run_id()).await.unwrap().last_seq(), EventSeq(1));
    store.close().await;
}
