//! The `sojourn` command: its environments, and the library that does the rest.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    sojourn_cli::main(sojourn::environments())
}
