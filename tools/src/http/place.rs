//! What a value may hold at its place in a URL, and how it is encoded there.
//!
//! Servers and the proxies before them decode a path once, twice, or in ways of their own before they resolve `..`. A value is
//! therefore judged in every form that one of them could make of it.

use crate::outside::url::{MAX_DECODINGS, decode_once};
use std::fmt::Write as _;

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A part of a label of the host.
    Host,
    /// A part of a segment of the path.
    Segment,
    /// A part of a value of the query.
    QueryValue,
}

/// `value` as it stands in the URL: every separator is percent-encoded.
///
/// # Errors
/// A host label would hold more than letters, digits and `-`. The reason follows the name of the argument.
pub fn encode(value: &str, place: Place) -> Result<String, String> {
    if place == Place::Host {
        let label =
            !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !label || value.to_ascii_lowercase().starts_with("xn--") {
            return Err("cannot stand in a host: only letters, digits and `-` can".to_owned());
        }
        return Ok(value.to_owned());
    }
    let mut encoded = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Ok(encoded)
}

/// Checks a segment whose arguments are filled in but not encoded.
///
/// # Errors
/// The segment is empty or blank, holds control characters, or has a part that is `.` or `..`, in any of its decoded forms;
/// or it has more forms than a server could make of it, which would take time that grows with the square of its length.
pub fn check_segment(segment: &str) -> Result<(), String> {
    let mut form = segment.as_bytes().to_vec();
    for _ in 0..MAX_DECODINGS {
        let text = canonical(&form);
        if text.iter().any(u8::is_ascii_control) {
            return Err("it holds a line break or another control character".to_owned());
        }
        if text.trim_ascii().is_empty() {
            return Err("it is empty".to_owned());
        }
        if text.split(|byte| matches!(byte, b'/' | b'?' | b'#')).any(is_dots) {
            return Err("it holds a segment `.` or `..`".to_owned());
        }
        let decoded = decode_once(&form);
        if decoded == form {
            return Ok(());
        }
        form = decoded;
    }
    Err(format!("it is percent-encoded {MAX_DECODINGS} times or more"))
}

/// Whether a literal segment of a template is `.` or `..`, also percent-encoded.
pub fn is_dot_segment(segment: &str) -> bool {
    is_dots(&decode_once(segment.as_bytes()))
}

/// Whether two names mean one query parameter to some server: case, spaces and PHP's brackets do not count.
pub fn is_same_parameter(one: &str, other: &str) -> bool {
    let name = |text: &str| {
        let decoded = decode_once(text.replace('+', " ").as_bytes());
        let decoded = String::from_utf8_lossy(&decoded).trim().to_lowercase();
        decoded.split('[').next().unwrap_or_default().replace(['.', ' '], "_")
    };
    name(one) == name(other)
}

/// Spellings of a dot or a slash that some servers take for one: other characters, and overlong UTF-8.
const SPELLINGS: [(&[u8], &[u8]); 12] = [
    (b"\\", b"/"),
    ("\u{ff0e}".as_bytes(), b"."),
    ("\u{fe52}".as_bytes(), b"."),
    ("\u{2024}".as_bytes(), b"."),
    ("\u{2025}".as_bytes(), b".."),
    ("\u{ff0f}".as_bytes(), b"/"),
    ("\u{ff3c}".as_bytes(), b"/"),
    ("\u{2215}".as_bytes(), b"/"),
    (b"\xc0\xae", b"."),
    (b"\xe0\x80\xae", b"."),
    (b"\xc0\xaf", b"/"),
    (b"\xc1\x9c", b"/"),
];

/// `bytes` with every [spelling](SPELLINGS) of a dot or a slash as itself.
fn canonical(bytes: &[u8]) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        if let Some((spelling, meaning)) = SPELLINGS.iter().find(|(spelling, _)| rest.starts_with(spelling)) {
            canonical.extend_from_slice(meaning);
            rest = &rest[spelling.len()..];
        } else {
            canonical.push(first);
            rest = after;
        }
    }
    canonical
}

/// Whether a segment is `.` or `..`, also with spaces around it or with parameters after a `;`.
fn is_dots(segment: &[u8]) -> bool {
    let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
    matches!(name.trim_ascii(), b"." | b"..")
}
