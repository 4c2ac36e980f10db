//! The `sojourn` command: the environments that it is built with, and the library that does the rest.
//!
//! To add a world by name, add its provider here.

#![forbid(unsafe_code)]

use sojourn_crafter::CrafterProvider;
use sojourn_miniwob::MiniWobProvider;
use sojourn_tools::{EnvironmentRegistry, Gymnasium};
use std::process::ExitCode;

fn main() -> ExitCode {
    // A process that a browser was asked for becomes it here.
    if let Err(error) = sojourn_browser::helper_main() {
        return sojourn_cli::error::report(&error.into());
    }
    let environments = EnvironmentRegistry::new().with(CrafterProvider).with(MiniWobProvider).with(Gymnasium);
    sojourn_cli::main(environments)
}
