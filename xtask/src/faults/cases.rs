//! The cases: each runs the program under one fault, and checks the invariants.

use super::place::{PATIENCE, Place, Shim, finish, says, until, wait};
use anyhow::{Context as _, Result, ensure};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A short run of the scripted model.
const RUN: [&str; 8] = ["run", "agent.toml", "--seed", "1", "--steps", "40", "--time", "4m"];
/// After how many writes the disk fails: while the home is made, and later and later in the run.
const AFTER: [&str; 7] = ["0", "5", "20", "60", "120", "250", "500"];
/// Words of which one must be in the message of a run whose disk failed, in lower case.
const DISK_WORDS: [&str; 6] = ["disk", "i/o", "space", "full", "input/output", "database"];

/// Runs under a fault, and checks everything afterwards. Returns whether the run failed.
fn under(shim: &Shim, what: &str, variables: &[(&str, &str)]) -> Result<bool> {
    let check = || -> Result<bool> {
        let place = Place::new(&sojourn_testkit::endpoint())?;
        let output = finish(place.faulty(shim, &RUN, variables))?;
        says(&output, &DISK_WORDS)?;
        place.holds()?;
        Ok(!output.status.success())
    };
    check().with_context(|| what.to_owned())
}

/// From some write on, the disk is full.
pub fn disk_full(shim: &Shim) -> Result<()> {
    for after in AFTER {
        let variables = [("FAULT_PATH", "sojourn.db"), ("FAULT_ERRNO", "28"), ("FAULT_AFTER", after)];
        let failed = under(shim, &format!("no space after {after} writes"), &variables)?;
        ensure!(failed || after != "0", "a run on a full disk succeeded: the fault has no effect");
    }
    Ok(())
}

/// From some write on, the disk fails.
pub fn input_output_errors(shim: &Shim) -> Result<()> {
    for after in AFTER {
        let variables = [("FAULT_PATH", "sojourn.db"), ("FAULT_ERRNO", "5"), ("FAULT_AFTER", after)];
        let failed = under(shim, &format!("an error of the disk after {after} writes"), &variables)?;
        ensure!(failed || after != "0", "a run on a failing disk succeeded: the fault has no effect");
    }
    Ok(())
}

/// One write or sync fails, all others succeed.
pub fn one_lost_write(shim: &Shim) -> Result<()> {
    for after in AFTER {
        let variables = [
            ("FAULT_PATH", "sojourn.db"),
            ("FAULT_ERRNO", "5"),
            ("FAULT_AFTER", after),
            ("FAULT_TIMES", "1"),
        ];
        under(shim, &format!("one error of the disk after {after} writes"), &variables)?;
    }
    Ok(())
}

/// The wall clock jumps while the run is under way. Its time limit is far, so it takes all its steps whatever the clock says.
pub fn clock_jumps(shim: &Shim) -> Result<()> {
    for seconds in ["-3600", "3600", "-864000000", "315360000"] {
        let check = || -> Result<()> {
            let place = Place::new(&sojourn_testkit::endpoint())?;
            let variables = [("CLOCK_JUMP_S", seconds), ("CLOCK_JUMP_AFTER_MS", "700")];
            let output = finish(place.faulty(shim, &RUN, &variables))?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.success(), "the run failed: {said}");
            let recorded = place.recorded()?.context("no run")?;
            let acted = recorded.records.iter().filter(|record| record["kind"] == "acted").count();
            ensure!(acted > 0, "it did nothing: {said}");
            place.holds()
        };
        check().with_context(|| format!("the clock jumps by {seconds} s"))?;
    }
    Ok(())
}

/// The process is stopped, as by a suspended machine, and continues. Others can read the home meanwhile.
pub fn stopped_process(_: &Shim) -> Result<()> {
    let place = Place::new(&sojourn_testkit::endpoint())?;
    let args = ["run", "agent.toml", "--seed", "1", "--steps", "200", "--time", "4m"];
    let mut command = place.command(&args);
    let run = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let group = format!("-{}", run.id());
    until("something was recorded", || place.count() > 40)?;
    signal("-STOP", &group)?;
    let stopped = place.count();
    std::thread::sleep(Duration::from_secs(3));
    let readable = place.recorded();
    let unchanged = place.count();
    signal("-CONT", &group)?;
    let output = wait(run)?;
    readable.context("while the run was stopped")?;
    ensure!(stopped == unchanged, "a stopped run continued");
    ensure!(output.status.success(), "it failed: {}", String::from_utf8_lossy(&output.stderr));
    place.holds()
}

/// The model's server answers byte by byte, not at all, or closes the connection in the middle. The run ends, and one that fails
/// names the server.
pub fn slow_peers(_: &Shim) -> Result<()> {
    for (what, answer) in [("drips", drip as fn(TcpStream)), ("is silent", silent), ("closes", close)] {
        let check = || -> Result<()> {
            let place = Place::new(&format!("http://{}/v1", serve(answer)?))?;
            let output = finish(place.command(&RUN))?;
            says(&output, &["model", "server", "127.0.0.1"])?;
            if let Some(recorded) = place.recorded()? {
                place.text(&["log", "verify", &recorded.run])?;
            }
            Ok(())
        };
        check().with_context(|| format!("a server that {what}"))?;
    }
    Ok(())
}

fn signal(name: &str, group: &str) -> Result<()> {
    let sent = Command::new("kill").args([name, "--", group]).status()?;
    ensure!(sent.success(), "`kill {name} {group}` failed");
    Ok(())
}

/// A server that treats every connection alike.
fn serve(answer: fn(TcpStream)) -> Result<std::net::SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

fn drip(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
    while stream.write_all(b":").is_ok() {
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn silent(stream: TcpStream) {
    std::thread::sleep(PATIENCE);
    drop(stream);
}

fn close(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\ncontent-type: application/json\r\n\r\n{\"choices\": [",
    );
}
