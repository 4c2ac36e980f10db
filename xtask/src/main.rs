//! Chores of the Sojourn repository: `cargo xtask <chore>`.

use anyhow::{Result, bail};

mod cargo;
mod conformance;
mod docs;
mod engine;
mod faults;
mod soak;
mod tidy;

const USAGE: &str = "\
usage: cargo xtask <chore>

chores:
  engine [--check]            build sandbox/engine/engine.wasm from its sources; with --check only compare
  conformance [SCENARIO...]   run the Model Context Protocol's own suite against our client and our server; needs npm
  docs [--check]              write the generated pages of the book and check all pages; with --check only check
  faults [NAME...]            run the program on full and failing disks, with jumping clocks, stopped, with slow servers; needs cc
  soak [--home HOME] [--run RUN] [--cases N] [--executions N] [--minutes N]
                              fuzz every reader of outside data (10 million executions), kill a run after every record, test the
                              log's properties with many cases, and run all faults; takes an hour, or with --minutes that long for
                              the fuzzing and fewer kills and cases
  tidy                        check that no test and no snapshot was forgotten";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["engine"] => engine::run(engine::Mode::Write),
        ["engine", "--check"] => engine::run(engine::Mode::Check),
        ["conformance", ..] => conformance::run(&arguments[1..]),
        ["docs"] => docs::run(docs::Mode::Write),
        ["docs", "--check"] => docs::run(docs::Mode::Check),
        ["faults", "model", port] => faults::model(port),
        ["faults", ..] => faults::run(&arguments[1..]),
        ["soak", ..] => soak::run(&arguments[1..]),
        ["tidy"] => tidy::run(),
        _ => bail!("{USAGE}"),
    }
}
