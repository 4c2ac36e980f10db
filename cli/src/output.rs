//! Printing: results to stdout, everything else to stderr. No other module prints.

use serde::Serialize;
use std::io::{self, IsTerminal as _, Write as _};

/// Prints one line of the result.
///
/// # Errors
/// When stdout cannot be written; [`io::ErrorKind::BrokenPipe`] when its reader has gone.
pub fn line(text: impl AsRef<str>) -> io::Result<()> {
    writeln!(io::stdout(), "{}", text.as_ref())
}

/// Prints a value as an indented JSON document.
///
/// # Errors
/// As [`line`].
pub fn json(value: &impl Serialize) -> io::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Prints a value as one line of JSON.
///
/// # Errors
/// As [`line`].
pub fn json_line(value: &impl Serialize) -> io::Result<()> {
    line(serde_json::to_string(value)?)
}

/// Prints a line for the person at the terminal. A closed stderr is no error.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}

/// Whether stderr is a terminal.
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
