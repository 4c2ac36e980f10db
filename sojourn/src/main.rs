//! The `sojourn` command: its environments, and the library that does the rest.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    // A process that a browser was asked for becomes it here.
    if let Err(error) = sojourn_browser::helper_main() {
        return sojourn_cli::error::report(&error.into());
    }
    sojourn_cli::main(sojourn::environments())
}
