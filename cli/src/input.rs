//! Files that a command reads line by line.

use crate::error::{Failure, Kind};
use anyhow::Result;
use sojourn_tools::outside::json::LineError;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Opens a file; `-` is stdin.
///
/// # Errors
/// When it cannot be opened.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(BufReader::new(file))),
        Err(error) => {
            let kind = if error.kind() == io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Failure };
            Err(Failure::new(kind, format!("cannot read `{}`: {error}", path.display())).into())
        }
    }
}

/// The failure of an import from a file of which a line cannot be read.
pub fn unreadable(path: &Path, error: &LineError) -> anyhow::Error {
    Failure::new(Kind::Failure, format!("cannot read `{}`: {error}", path.display()))
        .hint("nothing was imported")
        .into()
}
