//! Fault injection: one fault of the machine at a time, and the invariants that must hold after each.
//!
//! Nothing is lost: every record that was on the disk is still there, and the run can be resumed to its end. Nothing is
//! doubled: the records are numbered without gaps, and a replay of the whole run matches. The cause is named: a run that
//! fails says it, without a panic.

mod cases;
mod cluster;
mod place;
mod queued;

pub use cluster::model;

use anyhow::{Context as _, Result, bail};
use place::Shim;
use std::path::Path;

/// A fault, and whether the invariants held.
type Case = fn(&Shim) -> Result<()>;

const CASES: [(&str, Case); 8] = [
    ("disk_full", cases::disk_full),
    ("input_output_errors", cases::input_output_errors),
    ("one_lost_write", cases::one_lost_write),
    ("clock_jumps", cases::clock_jumps),
    ("stopped_process", cases::stopped_process),
    ("slow_peers", cases::slow_peers),
    ("machines_that_fail", cluster::machines_that_fail),
    ("a_thousand_queued", queued::a_thousand_queued),
];

/// Runs all cases, or those whose names are given.
///
/// # Errors
/// When a case does not exist or its invariants do not hold; all others are tried first.
pub fn run(names: &[String]) -> Result<()> {
    if let Some(name) = names.iter().find(|name| !CASES.iter().any(|(known, _)| known == name)) {
        bail!("no fault `{name}`: {}", CASES.map(|(known, _)| known).join(", "));
    }
    let built = crate::cargo::command().args(["build", "--workspace", "--bin", "sojourn"]).status();
    if !built.context("cannot start cargo")?.success() {
        bail!("the program cannot be built");
    }
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/faults");
    let shim = Shim::build(&place)?;
    let mut failed = Vec::new();
    for (name, case) in
        CASES.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name))
    {
        match case(&shim) {
            Ok(()) => say(&format!("{name}: ok")),
            Err(error) => {
                say(&format!("{name}: FAILED: {error:#}"));
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("{} did not hold", failed.join(", ")) }
}

#[allow(clippy::print_stdout, reason = "a chore says how it goes")]
fn say(line: &str) {
    println!("{line}");
}
