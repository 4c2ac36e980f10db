//! Text with its encodings undone, so that a secret is found in it however it is written.

use super::dumps::dumps;

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
                | 0xef
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

fn starts_with(text: &[Byte], at: usize, bytes: &[u8]) -> bool {
    text.len() >= at + bytes.len() && bytes.iter().zip(&text[at..]).all(|(byte, (other, ..))| byte == other)
}

/// The bytes of the line break here: line feed, carriage return, line and paragraph separator.
fn break_length(text: &[Byte], at: usize) -> Option<usize> {
    if matches!(text[at].0, b'\n' | b'\r') {
        return Some(1);
    }
    [[0xe2, 0x80, 0xa8], [0xe2, 0x80, 0xa9]].iter().find(|bytes| starts_with(text, at, *bytes)).map(|_| 3)
}

/// The bytes of the invisible character here: soft hyphen, zero-width space and joiners, marks of direction, word joiner and
/// invisible operators, variation selectors, byte order mark, and the replacement of what is no UTF-8.
fn invisible_length(text: &[Byte], at: usize) -> Option<usize> {
    let byte = |at: usize| text.get(at).map(|(byte, ..)| *byte);
    match (byte(at)?, byte(at + 1)?, byte(at + 2)) {
        (0xc2, 0xad, _) | (0xcd, 0x8f, _) | (0xd8, 0x9c, _) => Some(2),
        (0xe1, 0xa0, Some(0x8e))
        | (0xe2, 0x80, Some(0x8b..=0x8f | 0xaa..=0xae))
        | (0xe2, 0x81, Some(0xa0..=0xaf))
        | (0xef, 0xb8, Some(0x80..=0x8f))
        | (0xef, 0xbb, Some(0xbf))
        | (0xef, 0xbf, Some(0xbd)) => Some(3),
        _ => None,
    }
}

/// With each percent-encoding, escape of JSON and character reference of markup replaced by the character that it encodes.
fn unescaped(text: &[Byte]) -> Vec<Byte> {
    let mut out: Vec<Byte> = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let decoded = match text[at].0 {
            b'%' => percent(text, at),
            b'\\' => backslash(text, at),
            b'&' => reference(text, at),
            _ => None,
        };
        if let Some((bytes, length)) = decoded {
            let (start, end) = (text[at].1, text[at + length - 1].2);
            out.extend(bytes.into_iter().map(|byte| (byte, start, end)));
            at += length;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// The number in the `digits` hexadecimal digits from `at`.
fn hex(text: &[Byte], at: usize, digits: usize) -> Option<u32> {
    let digits = text.get(at..at + digits)?;
    digits.iter().try_fold(0, |number, (byte, ..)| Some(number * 16 + char::from(*byte).to_digit(16)?))
}

fn utf8(number: u32) -> Option<Vec<u8>> {
    Some(char::from_u32(number)?.to_string().into_bytes())
}

/// `%41`
fn percent(text: &[Byte], at: usize) -> Option<(Vec<u8>, usize)> {
    Some((vec![u8::try_from(hex(text, at + 1, 2)?).ok()?], 3))
}

/// `\"`, `\n`, `\e`, `\101`, `\x41`, `\u0041`, `\u{41}`, and pairs of surrogates.
fn backslash(text: &[Byte], at: usize) -> Option<(Vec<u8>, usize)> {
    match text.get(at + 1)?.0 {
        byte @ (b'"' | b'\'' | b'\\' | b'/') => Some((vec![byte], 2)),
        b'n' => Some((vec![b'\n'], 2)),
        b'r' => Some((vec![b'\r'], 2)),
        b't' => Some((vec![b'\t'], 2)),
        b'e' => Some((vec![0x1b], 2)),
        b'b' => Some((vec![0x08], 2)),
        b'f' => Some((vec![0x0c], 2)),
        b'0'..=b'7' => octal(text, at + 1).map(|(byte, digits)| (vec![byte], digits + 1)),
        b'x' => Some((vec![u8::try_from(hex(text, at + 2, 2)?).ok()?], 4)),
        b'u' if text.get(at + 2)?.0 == b'{' => {
            let length = text[at + 3..].iter().take(7).position(|(byte, ..)| *byte == b'}')?;
            Some((utf8(hex(text, at + 3, length)?)?, length + 4))
        }
        b'u' => {
            let number = hex(text, at + 2, 4)?;
            if !(0xd800..0xdc00).contains(&number) {
                return Some((utf8(number)?, 6));
            }
            let low = hex(text, at + 8, 4).filter(|low| (0xdc00..0xe000).contains(low))?;
            starts_with(text, at + 6, b"\\u").then_some(())?;
            Some((utf8(0x1_0000 + ((number - 0xd800) << 10) + (low - 0xdc00))?, 12))
        }
        _ => None,
    }
}

/// The byte in at most three octal digits from `at`, and their number.
fn octal(text: &[Byte], at: usize) -> Option<(u8, usize)> {
    let digits = text[at..].iter().take(3).take_while(|(byte, ..)| matches!(byte, b'0'..=b'7')).count();
    let number =
        text[at..at + digits].iter().fold(0_u16, |number, (byte, ..)| number * 8 + u16::from(byte - b'0'));
    Some((u8::try_from(number).ok()?, digits))
}

/// `&amp;`, `&#65;`, `&#x41;`
fn reference(text: &[Byte], at: usize) -> Option<(Vec<u8>, usize)> {
    let name: Vec<u8> = text[at + 1..].iter().take(9).map(|(byte, ..)| *byte).collect();
    let name = &name[..name.iter().position(|byte| *byte == b';')?];
    let length = name.len() + 2;
    let bytes = match name {
        b"amp" => vec![b'&'],
        b"lt" => vec![b'<'],
        b"gt" => vec![b'>'],
        b"quot" => vec![b'"'],
        b"apos" => vec![b'\''],
        _ => {
            let digits = std::str::from_utf8(name.strip_prefix(b"#")?).ok()?;
            let number = match digits.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            utf8(number.ok()?)?
        }
    };
    Some((bytes, length))
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
            ("\\", "\\"),
            (r"\ud83d", r"\ud83d"),
        ] {
            let all = all(text);
            assert!(all.iter().any(|reading| reading == plain), "{text}: {all:?}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_has_an_origin_in_the_text(text in r#"[a%\\u&#;{}0-9n" >\n\u{200b}é=\x1b\x08\[m|x^]{0,40}"#) {
            for reading in readings(&text) {
                for at in 0..reading.bytes.len() {
                    let (start, end) = reading.origin(at, at + 1);
                    prop_assert!(start < end && end <= text.len(), "{text:?}: {start}..{end}");
                }
            }
        }
    }
}
