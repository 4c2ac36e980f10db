//! JSON from outside: how deep it may nest, how it is read line by line, and how it is kept apart from the log's own notation.

use serde_json::Value;
use std::borrow::Cow;
use std::io::{self, BufRead, Read as _};

/// Deepest nesting of arrays and objects that is accepted in one value. The log accepts 120 levels, and wraps such a value in
/// its own objects.
pub const MAX_DEPTH: usize = 96;

/// Names that mean something to the log where they follow a `$` and are the only member of an object.
const NOTATION: [&str; 2] = ["blob", "forgotten"];

/// Stands for what is nested too deep.
const TOO_DEEP: &str = "[nested too deep]";

/// Replaces every array and object that stands deeper than `levels` by a short text. Returns whether there was one.
pub fn limit_depth(value: &mut Value, levels: usize) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => {
            *value = Value::from(TOO_DEEP);
            true
        }
        Value::Array(items) => {
            items.iter_mut().fold(false, |found, item| limit_depth(item, levels - 1) | found)
        }
        Value::Object(fields) => {
            fields.values_mut().fold(false, |found, field| limit_depth(field, levels - 1) | found)
        }
        _ => false,
    }
}

/// The name under which the log stores the only member of an object from outside.
///
/// The log marks its own notation by objects with one member, such as `{"$blob": "…"}`. An object from outside that looks like
/// one gets another `$`, so that no value from outside reads as the log's notation, and [`unescaped_name`] gives the original.
pub fn escaped_name(name: &str) -> Cow<'_, str> {
    if is_notation(name) { Cow::Owned(format!("${name}")) } else { Cow::Borrowed(name) }
}

/// The inverse of [`escaped_name`]; `None` if the name is not an escaped one.
pub fn unescaped_name(name: &str) -> Option<&str> {
    name.strip_prefix('$').filter(|rest| is_notation(rest))
}

/// Whether the name is one of the log's notation, or an escaped one.
fn is_notation(name: &str) -> bool {
    let bare = name.trim_start_matches('$');
    bare.len() < name.len() && NOTATION.contains(&bare)
}

/// Reads lines of bounded length. A byte order mark before the first line and a carriage return at an end are left out.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    /// Longest accepted line, in bytes.
    limit: usize,
    /// Number of lines read.
    number: u64,
    line: Vec<u8>,
}

/// Why a line cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The input failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The line is longer than the limit.
    #[error("line {line} is longer than {limit} bytes")]
    TooLong {
        /// Line number, from 1.
        line: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The line is not UTF-8.
    #[error("line {line} is not UTF-8 text")]
    NotUtf8 {
        /// Line number, from 1.
        line: u64,
    },
    /// The input begins with the byte order mark of UTF-16, which PowerShell writes with `>`.
    #[error("it is UTF-16 text; convert it to UTF-8")]
    Utf16,
}

impl<R: BufRead> Lines<R> {
    /// Reads lines of at most `limit` bytes.
    pub fn new(input: R, limit: usize) -> Self {
        Self { input, limit, number: 0, line: Vec::new() }
    }

    /// Number of lines read so far: after [`next`](Self::next) that of its line, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its end, or `None` after the last.
    ///
    /// # Errors
    /// See [`LineError`]. A line that is too long is not read to its end.
    #[allow(clippy::should_implement_trait, reason = "the line is borrowed from the reader")]
    pub fn next(&mut self) -> Result<Option<&str>, LineError> {
        self.line.clear();
        let longest = u64::try_from(self.limit).unwrap_or(u64::MAX).saturating_add(1);
        if self.input.by_ref().take(longest).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mut line = self.line.as_slice();
        let limit = self.limit;
        if line.len() > limit && !line.ends_with(b"\n") {
            return Err(LineError::TooLong { line: self.number, limit });
        }
        if self.number == 1 {
            if line.starts_with(&[0xff, 0xfe]) || line.starts_with(&[0xfe, 0xff]) {
                return Err(LineError::Utf16);
            }
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        line = line.strip_suffix(b"\n").unwrap_or(line);
        line = line.strip_suffix(b"\r").unwrap_or(line);
        std::str::from_utf8(line).map(Some).map_err(|_| LineError::NotUtf8 { line: self.number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_the_logs_notation_are_escaped_and_restored() {
        for (name, stored) in [
            ("$blob", "$$blob"),
            ("$$blob", "$$$blob"),
            ("$forgotten", "$$forgotten"),
            ("blob", "blob"),
            ("$ref", "$ref"),
            ("$", "$"),
            ("$blobs", "$blobs"),
        ] {
            assert_eq!(escaped_name(name), stored);
            assert_eq!(unescaped_name(stored), (name != stored).then_some(name), "{stored}");
        }
        assert_eq!(unescaped_name("$blob"), None);
    }

    #[test]
    fn what_is_nested_too_deep_is_replaced() {
        let mut value = json!({"a": [1, [2]], "b": [], "c": {"d": {"e": 1}}});
        assert!(!limit_depth(&mut value.clone(), 3));
        assert!(limit_depth(&mut value, 2));
        assert_eq!(value, json!({"a": [1, TOO_DEEP], "b": [], "c": {"d": TOO_DEEP}}));
    }

    #[test]
    fn a_byte_order_mark_and_line_ends_are_left_out() {
        let mut lines = Lines::new(&b"\xef\xbb\xbf{}\r\n\n[\xef\xbb\xbf]"[..], 8);
        assert_eq!(lines.next().unwrap(), Some("{}"));
        assert_eq!(lines.next().unwrap(), Some(""));
        assert_eq!(lines.next().unwrap(), Some("[\u{feff}]"));
        assert_eq!(lines.next().unwrap(), None);
        assert_eq!(lines.number(), 3);
    }

    #[test]
    fn lines_that_cannot_be_read_are_told_by_their_number() {
        let told = |bytes: &[u8]| {
            let mut lines = Lines::new(bytes, 4);
            loop {
                match lines.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => return String::new(),
                    Err(error) => return error.to_string(),
                }
            }
        };
        assert_eq!(told(b"1234\n12345\n"), "line 2 is longer than 4 bytes");
        assert_eq!(told(b"1234\n1234"), "");
        assert_eq!(told(b"\xef\xbb\xbf123"), "line 1 is longer than 4 bytes");
        assert_eq!(told(b"\n\xff\n"), "line 2 is not UTF-8 text");
        assert_eq!(told(b"\xff\xfe{\0"), "it is UTF-16 text; convert it to UTF-8");
    }
}
