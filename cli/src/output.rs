//! The one place that writes: results to stdout, all else to stderr.

use serde::Serialize;
use std::io::{self, IsTerminal as _, Write as _};

/// A line of the result.
///
/// # Errors
/// When stdout cannot be written; a reader that went away is told apart by [`io::ErrorKind::BrokenPipe`].
pub fn line(text: impl AsRef<str>) -> io::Result<()> {
    writeln!(io::stdout(), "{}", text.as_ref())
}

/// A value as an indented JSON document.
///
/// # Errors
/// As [`line`].
pub fn json(value: &impl Serialize) -> io::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// A value as one line of JSON.
///
/// # Errors
/// As [`line`].
pub fn json_line(value: &impl Serialize) -> io::Result<()> {
    line(serde_json::to_string(value)?)
}

/// A line for the person who watches. That nobody reads it is no error.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}

/// Whether somebody watches stderr.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Whether stdout is a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// `1.1 GB`, `25 MB`: decimal units, as disks and downloads are measured.
pub fn bytes(count: u64) -> String {
    let count = count as f64;
    match count {
        ..1e3 => format!("{count} B"),
        ..1e6 => format!("{:.0} kB", count / 1e3),
        ..1e9 => format!("{:.0} MB", count / 1e6),
        _ => format!("{:.1} GB", count / 1e9),
    }
}
