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

/// Prints one line of the result; on a terminal, folded between its words where it is wider, its other lines indented.
///
/// # Errors
/// As [`line`].
pub fn folding_line(text: &str, indent: usize) -> io::Result<()> {
    if is_terminal() { line(folded(text, indent)) } else { line(text) }
}

/// A text in lines that the terminal has room for, all but the first indented by so many columns. Without a terminal, and
/// in one too narrow for that, the text as it is.
pub fn folded(text: &str, indent: usize) -> String {
    let width = crossterm::terminal::size().map_or(0, |(columns, _)| usize::from(columns));
    if width < indent + 20 { text.to_owned() } else { fold(text, indent, width) }
}

fn fold(text: &str, indent: usize, width: usize) -> String {
    let mut folded = String::new();
    let mut used = 0;
    for piece in text.split_inclusive(' ') {
        let length = piece.trim_end().chars().count();
        if used > indent && used + length > width && indent + length <= width {
            folded.truncate(folded.trim_end().len());
            folded.push('\n');
            folded.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        }
        folded.push_str(piece);
        used += piece.chars().count();
    }
    folded
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

/// Asks the person at the terminal; the answer is read by the caller.
pub fn ask(text: &str) {
    let _ = write!(io::stderr(), "{}", terminal::escaped(&redacted(text)));
    let _ = io::stderr().flush();
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

/// A word of a command line as a shell takes it: in quotation marks where it has characters that mean something there, such as the `?`
/// of an address.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{fold, shell_word};

    #[test]
    fn a_word_that_means_something_to_a_shell_stands_in_quotation_marks() {
        for (word, written) in [
            ("agent.toml", "agent.toml"),
            ("minecraft?server=a:1", "'minecraft?server=a:1'"),
            ("it's here", r"'it'\''s here'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), written);
        }
    }

    #[test]
    fn a_long_line_is_folded_between_words_below_its_text() {
        let line = "00:00:28 learned collect_stone: verified in 5 of 5 worlds, 14 steps, after 1 round";
        let folded = fold(line, 9, 40);
        assert_eq!(
            folded,
            "00:00:28 learned collect_stone: verified\n         in 5 of 5 worlds, 14 steps,\n         after 1 round"
        );
        assert_eq!(fold("short", 9, 40), "short");
        let address = format!("see {}", "x".repeat(60));
        assert_eq!(fold(&address, 9, 40), address, "what has no room anywhere is left to the terminal");
    }
}
