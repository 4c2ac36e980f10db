//! Text with its encodings undone, so that a secret is found in it however it is written.

/// A byte with the range of the original text that it stands for.
type Byte = (u8, u32, u32);

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

/// The text as it stands, without its line breaks, and with its encodings undone, as far as these differ.
pub(super) fn readings(text: &str) -> Vec<Reading> {
    let mut readings = vec![Reading { bytes: text.as_bytes().to_vec(), origins: None }];
    // A text of 4 GiB would have no place in a record anyway.
    if u32::try_from(text.len()).is_err() || !may_be_encoded(text) {
        return readings;
    }
    let whole: Vec<Byte> =
        text.bytes().zip(0_u32..).map(|(byte, position)| (byte, position, position + 1)).collect();
    let mut now = unfolded(&whole);
    if now.len() != whole.len() {
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
    readings
}

fn may_be_encoded(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'\n' | b'\r' | b'%' | b'\\' | b'&' | 0xc2 | 0xe2 | 0xef))
}

/// Without line breaks, the blanks and quotation marks of mail (`> `) around them, and invisible characters.
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
        if let Some(length) = invisible_length(text, at) {
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

/// The bytes of the invisible character here: soft hyphen, zero-width space and joiners, word joiner, byte order mark.
fn invisible_length(text: &[Byte], at: usize) -> Option<usize> {
    const INVISIBLE: [&[u8]; 6] = [
        &[0xc2, 0xad],
        &[0xe2, 0x80, 0x8b],
        &[0xe2, 0x80, 0x8c],
        &[0xe2, 0x80, 0x8d],
        &[0xe2, 0x81, 0xa0],
        &[0xef, 0xbb, 0xbf],
    ];
    INVISIBLE.iter().find(|bytes| starts_with(text, at, bytes)).map(|bytes| bytes.len())
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

/// `\"`, `\n`, `\x41`, `\u0041`, `\u{41}`, and pairs of surrogates.
fn backslash(text: &[Byte], at: usize) -> Option<(Vec<u8>, usize)> {
    match text.get(at + 1)?.0 {
        byte @ (b'"' | b'\'' | b'\\' | b'/') => Some((vec![byte], 2)),
        b'n' => Some((vec![b'\n'], 2)),
        b'r' => Some((vec![b'\r'], 2)),
        b't' => Some((vec![b'\t'], 2)),
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

    fn last(text: &str) -> String {
        String::from_utf8_lossy(&readings(text).pop().unwrap().bytes).into_owned()
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
            ("\\", "\\"),
            (r"\ud83d", r"\ud83d"),
        ] {
            assert_eq!(last(text), plain, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_has_an_origin_in_the_text(text in r#"[a%\\u&#;{}0-9n" >\n\u{200b}é]{0,40}"#) {
            for reading in readings(&text) {
                for at in 0..reading.bytes.len() {
                    let (start, end) = reading.origin(at, at + 1);
                    prop_assert!(start < end && end <= text.len(), "{text:?}: {start}..{end}");
                }
            }
        }
    }
}
