//! Text with its encodings undone, so that a secret is found in it however it is written.

use super::dumps::dumps;
use super::escapes::{hex, unescaped};
use std::ops::RangeInclusive;

/// A byte with the range of the original text that it stands for.
pub(super) type Byte = (u8, u32, u32);

/// How often encodings are undone: JSON inside JSON, percent signs that are percent-encoded.
const PASSES: usize = 3;

/// A reading of a text: its bytes, and where each one comes from.
#[derive(Debug)]
pub(super) struct Reading {
    pub bytes: Vec<u8>,
    /// `None` where the bytes are the text itself.
    origins: Option<Vec<(u32, u32)>>,
}

impl Reading {
    /// The range of the original text that these bytes stand for.
    pub fn origin(&self, start: usize, end: usize) -> (usize, usize) {
        match &self.origins {
            None => (start, end),
            Some(origins) => (origins[start].0 as usize, origins[end - 1].1 as usize),
        }
    }

    fn of(decoded: &[Byte]) -> Self {
        Self {
            bytes: decoded.iter().map(|(byte, ..)| *byte).collect(),
            origins: Some(decoded.iter().map(|(_, start, end)| (*start, *end)).collect()),
        }
    }
}

/// The text as it stands, without what a terminal does not show, and with its encodings undone, as far as these differ.
///
/// The text has less than 4 GiB.
pub(super) fn readings(text: &str) -> Vec<Reading> {
    let mut readings = vec![Reading { bytes: text.as_bytes().to_vec(), origins: None }];
    if !may_be_encoded(text) {
        return readings;
    }
    let whole: Vec<Byte> =
        text.bytes().zip(0_u32..).map(|(byte, position)| (byte, position, position + 1)).collect();
    push_unfolded(&mut readings, &whole);
    push_joined(&mut readings, &whole);
    // A dump may itself stand in a string of JSON, with `\n` at the end of its lines.
    let visible = visible(&whole);
    let unescaped = unescaped(&visible);
    let is_escaped = unescaped.len() != visible.len();
    for text in std::iter::once(&visible).chain(is_escaped.then_some(&unescaped)) {
        readings.extend(dumps(text).iter().map(|bytes| Reading::of(bytes)));
        let decoded = quoted_printable(text);
        if decoded.len() != text.len() {
            readings.push(Reading::of(&decoded));
            push_unfolded(&mut readings, &decoded);
        }
    }
    readings
}

/// Adds the text without strings for the terminal, and without the marks of lines that go on: as it stands, and with its encodings
/// undone before.
fn push_joined(readings: &mut Vec<Reading>, text: &[Byte]) {
    let mut now = text.to_vec();
    for _ in 0..=PASSES {
        // A line goes on after its break (C, shells), or after the blanks of the next one too (YAML, Rust).
        for joined in [without_strings(&now), continued(&now, true), continued(&now, false)] {
            if joined.len() != now.len() {
                let shown = unfolded(&joined);
                if shown.len() != joined.len() {
                    readings.push(Reading::of(&shown));
                }
                readings.push(Reading::of(&joined));
            }
        }
        let next = unescaped(&now);
        if next.len() == now.len() {
            break;
        }
        now = next;
    }
}

/// Adds the text without its line breaks, and then with its encodings undone one after the other.
fn push_unfolded(readings: &mut Vec<Reading>, text: &[Byte]) {
    let mut now = unfolded(text);
    if now.len() != text.len() {
        readings.push(Reading::of(&now));
    }
    for _ in 0..PASSES {
        let next = unfolded(&unescaped(&now));
        if next.len() == now.len() {
            break;
        }
        readings.push(Reading::of(&next));
        now = next;
    }
}

fn may_be_encoded(text: &str) -> bool {
    let is_sign = |byte| {
        matches!(
            byte,
            0..0x20
                | 0x7f
                | b' '
                | b','
                | b':'
                | b'-'
                | b'%'
                | b'='
                | b'^'
                | b'\\'
                | b'&'
                | 0xc2
                | 0xcd
                | 0xd8
                | 0xe1
                | 0xe2
                | 0xe3
                | 0xef
                | 0xf0
                | 0xf3
        )
    };
    // Hexadecimal digits of one case are looked for as they are.
    let is_mixed = |digits: &[u8]| {
        digits.iter().any(u8::is_ascii_lowercase) && digits.iter().any(u8::is_ascii_uppercase)
    };
    text.bytes().any(is_sign)
        || text
            .as_bytes()
            .split(|byte| !byte.is_ascii_hexdigit())
            .any(|digits| digits.len() >= 8 && is_mixed(digits))
}

/// Without what a terminal does not show: colour codes, control characters other than blanks and line breaks, invisible
/// characters, and what a backspace takes away.
fn visible(text: &[Byte]) -> Vec<Byte> {
    let mut out: Vec<Byte> = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let byte = text[at].0;
        if byte == 0x08 {
            out.pop();
            at += 1;
        } else if let Some(length) = hidden_length(text, at) {
            at += length;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// The bytes here that a terminal does not show.
fn hidden_length(text: &[Byte], at: usize) -> Option<usize> {
    escape_length(text, at).or_else(|| invisible_length(text, at)).or_else(|| match text[at].0 {
        b'\t' | b'\n' | b'\r' => None,
        0..0x20 | 0x7f => Some(1),
        // U+0080 to U+009F.
        0xc2 => matches!(text.get(at + 1), Some((0x80..=0x9f, ..))).then_some(2),
        _ => None,
    })
}

/// The bytes of the escape sequence here: `ESC [ … m`, `ESC ] … BEL`, `ESC ( B`; also as `^[` and with the one character CSI.
fn escape_length(text: &[Byte], at: usize) -> Option<usize> {
    let byte = |at: usize| text.get(at).map(|(byte, ..)| *byte);
    let start = match (byte(at)?, byte(at + 1)) {
        (0x1b, _) => at + 1,
        (b'^', Some(b'[')) if byte(at + 2) == Some(b'[') => at + 2,
        (0xc2, Some(0x9b)) => return Some(csi_end(text, at + 2) - at),
        _ => return None,
    };
    let end = match byte(start) {
        Some(b'[') => csi_end(text, start + 1),
        Some(b'(' | b')' | b'*' | b'+' | b'#' | b'%') => (start + 2).min(text.len()),
        // Also the beginning of a string (`ESC ]`): the text in it is not shown, but a secret may stand there.
        Some(0x20..0x7f) => start + 1,
        _ => start,
    };
    Some(end - at)
}

/// The end of a control sequence whose parameters begin here.
fn csi_end(text: &[Byte], start: usize) -> usize {
    let parameters = text[start..].iter().take_while(|(byte, ..)| matches!(byte, 0x20..=0x3f)).count();
    let end = start + parameters;
    if matches!(text.get(end), Some((0x40..=0x7e, ..))) { end + 1 } else { end }
}

/// Without the strings that a terminal reads and does not show, such as the address of a link (`ESC ] 8 ; ; … ESC \`): operating
/// system and device commands, privacy messages, application commands. A secret may stand around one as well as in it.
fn without_strings(text: &[Byte]) -> Vec<Byte> {
    let mut out: Vec<Byte> = Vec::with_capacity(text.len());
    let mut at = 0;
    // Whether a string that begins from here on has an end.
    let mut ends = true;
    while at < text.len() {
        let end = string_start(text, at).filter(|_| ends).map(|start| string_end(text, start));
        match end {
            Some(Some(end)) => at = end,
            Some(None) => ends = false,
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

/// Where the content begins of the string for the terminal that begins here.
fn string_start(text: &[Byte], at: usize) -> Option<usize> {
    let byte = |at: usize| text.get(at).map(|(byte, ..)| *byte);
    let kind = match (byte(at)?, byte(at + 1)?) {
        (0xc2, 0x90 | 0x98 | 0x9d..=0x9f) => return Some(at + 2),
        (0x1b, _) => at + 1,
        (b'^', b'[') => at + 2,
        _ => return None,
    };
    matches!(byte(kind)?, b']' | b'P' | b'X' | b'^' | b'_').then_some(kind + 1)
}

/// Where the text goes on after the string for the terminal whose content begins at `start`: after a bell or a string terminator, or
/// at another escape sequence, which cancels the string. `None` where it has no end.
fn string_end(text: &[Byte], start: usize) -> Option<usize> {
    (start..text.len()).find_map(|at| match text[at].0 {
        0x07 => Some(at + 1),
        0x1b if starts_with(text, at + 1, b"\\") => Some(at + 2),
        0x1b => Some(at),
        0xc2 if starts_with(text, at + 1, &[0x9c]) => Some(at + 2),
        b'^' if starts_with(text, at + 1, b"G") => Some(at + 2),
        b'^' if starts_with(text, at + 1, b"[\\") => Some(at + 3),
        b'^' if starts_with(text, at + 1, b"[") => Some(at),
        _ => None,
    })
}

/// Without the marks at the ends of lines that go on: `\`, the caret of `cmd`, the backtick of PowerShell; and without the breaks
/// after them, if `whole`.
fn continued(text: &[Byte], whole: bool) -> Vec<Byte> {
    let mut out: Vec<Byte> = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let is_mark = matches!(text[at].0, b'\\' | b'^' | b'`');
        let broken = is_mark && matches!(text.get(at + 1), Some((b'\n' | b'\r', ..)));
        if !broken {
            out.push(text[at]);
            at += 1;
        } else if whole {
            at += if starts_with(text, at + 1, b"\r\n") { 3 } else { 2 };
        } else {
            at += 1;
        }
    }
    out
}

/// Quoted-printable (RFC 2045, section 6.7): without soft line breaks, and with the byte for `=41`.
fn quoted_printable(text: &[Byte]) -> Vec<Byte> {
    let mut out: Vec<Byte> = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let soft_break = [3, 2]
            .into_iter()
            .find(|&length| starts_with(text, at, if length == 3 { b"=\r\n" } else { b"=\n" }));
        let encoded = if text[at].0 == b'=' { hex(text, at + 1, 2) } else { None };
        if let Some(length) = soft_break {
            at += length;
        } else if let Some(byte) = encoded.and_then(|byte| u8::try_from(byte).ok()) {
            out.push((byte, text[at].1, text[at + 2].2));
            at += 3;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// Without line breaks, the blanks and quotation marks of mail (`> `) around them, and what a terminal does not show.
fn unfolded(text: &[Byte]) -> Vec<Byte> {
    let mut out: Vec<Byte> = Vec::with_capacity(text.len());
    let mut at = 0;
    let mut after_break = false;
    while at < text.len() {
        let byte = text[at].0;
        if let Some(length) = break_length(text, at) {
            while out.last().is_some_and(|(last, ..)| is_blank(*last)) {
                out.pop();
            }
            (at, after_break) = (at + length, true);
            continue;
        }
        if byte == 0x08 {
            out.pop();
            at += 1;
            continue;
        }
        if let Some(length) = hidden_length(text, at) {
            at += length;
            continue;
        }
        if after_break && (is_blank(byte) || byte == b'>') {
            at += 1;
            continue;
        }
        after_break = false;
        out.push(text[at]);
        at += 1;
    }
    out
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

pub(super) fn starts_with(text: &[Byte], at: usize, bytes: &[u8]) -> bool {
    text.len() >= at + bytes.len() && bytes.iter().zip(&text[at..]).all(|(byte, (other, ..))| byte == other)
}

/// The bytes of the line break here: line feed, carriage return, line and paragraph separator.
fn break_length(text: &[Byte], at: usize) -> Option<usize> {
    if matches!(text[at].0, b'\n' | b'\r') {
        return Some(1);
    }
    [[0xe2, 0x80, 0xa8], [0xe2, 0x80, 0xa9]].iter().find(|bytes| starts_with(text, at, *bytes)).map(|_| 3)
}

/// Characters that are not shown: `Default_Ignorable_Code_Point` of Unicode 16 (`DerivedCoreProperties.txt`), and the marks around
/// annotations and the replacement of what is no UTF-8.
const INVISIBLE: [RangeInclusive<char>; 18] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{fffd}'..='\u{fffd}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// The number of bytes of the invisible character here.
fn invisible_length(text: &[Byte], at: usize) -> Option<usize> {
    let first = text.get(at)?.0;
    let length = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let mut bytes = [0; 4];
    for (byte, (given, ..)) in bytes.iter_mut().zip(text.get(at..at + length)?) {
        *byte = *given;
    }
    let character = std::str::from_utf8(&bytes[..length]).ok()?.chars().next()?;
    INVISIBLE.iter().any(|range| range.contains(&character)).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Vec<String> {
        readings(text).iter().map(|reading| String::from_utf8_lossy(&reading.bytes).into_owned()).collect()
    }

    #[test]
    fn encodings_are_undone() {
        for (text, plain) in [
            ("plain", "plain"),
            ("a%2Fb%2fc%", "a/b/c%"),
            ("%2541", "A"),
            (r#"\"a\\b\u0041\x42\u{43}\ud83d\ude00"#, "\"a\\bABC😀"),
            ("&lt;&#65;&#x42;&amp;&no;", "<AB&&no;"),
            ("ab\r\n  > cd\u{200b}e\u{ad}f\u{2028}g \n h", "abcdefgh"),
            (r"ab\ncd", "abcd"),
            (r"\101\60\e[1mb", "A0b"),
            ("a=\n=62c=", "abc="),
            ("a\u{1b}[1;31mb\u{1b}]0;c\u{7}\u{9b}md^[[0me\u{8}f", "ab0;cdf"),
            (
                "a\u{e0100}b\u{e007f}c\u{1d173}d\u{180b}e\u{115f}f\u{3164}g\u{ffa0}h\u{fffb}i\u{17b4}j",
                "abcdefghij",
            ),
            ("\\", "\\"),
            (r"\ud83d", r"\ud83d"),
            (r"\U00000041\x{42}\a\?", "AB?"),
            (
                "&#65&#x0042;&#67 &amp&Tab;&lt;&num;&sol;&commat;&dash;&UnderBar;&no;&#;&#x;&",
                "ABC &\t<#/@-_&no;&#;&#x;&",
            ),
            ("a\\\nb^\r\n  c`\nd\\", "ab  cd\\"),
            ("a\\\n  b", "ab"),
            ("a\u{1b}]8;;http://x.y/?z\u{1b}\\b\u{1b}]8;;\u{7}c\u{9d}x\u{9c}d^[Px^[\\e", "abcde"),
            ("a\u{1b}]0;x\u{1b}[1mb\u{1b}]y", "aby"),
        ] {
            let all = all(text);
            assert!(all.iter().any(|reading| reading == plain), "{text}: {all:?}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_has_an_origin_in_the_text(text in r#"[a%\\uU&#;{}0-9n" >\n\u{200b}é=\x1b\x08\x07\[\]m|x^`]{0,40}"#) {
            for reading in readings(&text) {
                for at in 0..reading.bytes.len() {
                    let (start, end) = reading.origin(at, at + 1);
                    prop_assert!(start < end && end <= text.len(), "{text:?}: {start}..{end}");
                }
            }
        }
    }
}
