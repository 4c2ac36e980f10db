//! Printing: results to stdout, everything else to stderr. No other module prints.
//!
//! Any text may hold names and words from outside, so nothing that a terminal would act on is printed as it is.

use serde::Serialize;
use serde_json::Value;
use sojourn_core::Redactor;
use sojourn_tools::outside::terminal;
use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{PoisonError, RwLock};

/// What replaces the secrets of the agent files that were read.
static REDACTORS: RwLock<Vec<Redactor>> = RwLock::new(Vec::new());

/// From now on, the secrets of `redactor` are replaced in everything that is printed.
pub fn hide(redactor: Redactor) {
    if !redactor.is_empty() {
        REDACTORS.write().unwrap_or_else(PoisonError::into_inner).push(redactor);
    }
}

fn redacted(text: &str) -> Cow<'_, str> {
    let redactors = REDACTORS.read().unwrap_or_else(PoisonError::into_inner);
    redactors.iter().fold(Cow::Borrowed(text), |text, redactor| Cow::Owned(redactor.text(&text)))
}

fn redacted_value(value: &impl Serialize) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(value)?;
    for redactor in REDACTORS.read().unwrap_or_else(PoisonError::into_inner).iter() {
        redactor.value(&mut value);
    }
    Ok(value)
}

/// Prints one line of the result, or several. Control characters are spelt out.
///
/// # Errors
/// When stdout cannot be written; [`io::ErrorKind::BrokenPipe`] when its reader has gone.
pub fn line(text: impl AsRef<str>) -> io::Result<()> {
    writeln!(io::stdout(), "{}", terminal::escaped(&redacted(text.as_ref())))
}

/// Prints this program's own text, byte by byte.
///
/// # Errors
/// As [`line`].
pub fn verbatim(text: &str) -> io::Result<()> {
    binary(text.as_bytes())
}

/// Prints the bytes of a picture or a sound. The caller makes sure that stdout is no terminal.
///
/// # Errors
/// As [`line`].
pub fn binary(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// A value as one line of JSON that a terminal shows as it is.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn to_json_line(value: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(&redacted_value(value)?)?;
    Ok(terminal::escaped_json(&json).into_owned())
}

/// Prints a value as an indented JSON document.
///
/// # Errors
/// As [`line`].
pub fn json(value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string_pretty(&redacted_value(value)?)?;
    writeln!(io::stdout(), "{}", terminal::escaped_json(&json))
}

/// Prints a value as one line of JSON.
///
/// # Errors
/// As [`line`].
pub fn json_line(value: &impl Serialize) -> io::Result<()> {
    writeln!(io::stdout(), "{}", to_json_line(value)?)
}

/// Prints a line for the person at the terminal. A closed stderr is no error.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", terminal::escaped(&redacted(text.as_ref())));
}

/// Whether stderr is a terminal.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Whether stdout is a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

pub use sojourn_logbook::counted;

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
