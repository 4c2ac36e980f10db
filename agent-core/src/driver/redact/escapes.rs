//! The escapes of URLs, of JSON and C, and of markup, undone.

use super::decoding::{Byte, starts_with};

/// With each percent-encoding, escape of JSON and character reference of markup replaced by the character that it encodes.
pub(super) fn unescaped(text: &[Byte]) -> Vec<Byte> {
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
pub(super) fn hex(text: &[Byte], at: usize, digits: usize) -> Option<u32> {
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

/// `\"`, `\n`, `\e`, `\101`, `\x41`, `\x{41}`, `\u0041`, `\u{41}`, `\U00000041`, and pairs of surrogates.
fn backslash(text: &[Byte], at: usize) -> Option<(Vec<u8>, usize)> {
    match text.get(at + 1)?.0 {
        byte @ (b'"' | b'\'' | b'\\' | b'/' | b'?') => Some((vec![byte], 2)),
        b'a' => Some((vec![0x07], 2)),
        b'v' => Some((vec![0x0b], 2)),
        b'n' => Some((vec![b'\n'], 2)),
        b'r' => Some((vec![b'\r'], 2)),
        b't' => Some((vec![b'\t'], 2)),
        b'e' => Some((vec![0x1b], 2)),
        b'b' => Some((vec![0x08], 2)),
        b'f' => Some((vec![0x0c], 2)),
        b'0'..=b'7' => octal(text, at + 1).map(|(byte, digits)| (vec![byte], digits + 1)),
        b'U' => Some((utf8(hex(text, at + 2, 8)?)?, 10)),
        b'x' | b'u' if text.get(at + 2)?.0 == b'{' => {
            let length = text[at + 3..].iter().take(7).position(|(byte, ..)| *byte == b'}')?;
            Some((utf8(hex(text, at + 3, length)?)?, length + 4))
        }
        b'x' => Some((vec![u8::try_from(hex(text, at + 2, 2)?).ok()?], 4)),
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

/// Digits that the number of a reference may have, with zeros before it.
const MAX_DIGITS: usize = 16;
/// The longest name of a reference to a character of ASCII.
const MAX_NAME: usize = "DiacriticalGrave".len();

/// `&amp;`, `&#65;`, `&#x41;`, and what browsers read without the semicolon too: `&amp`, `&#65`, `&#x41`.
fn reference(text: &[Byte], at: usize) -> Option<(Vec<u8>, usize)> {
    let byte = |at: usize| text.get(at).map(|(byte, ..)| *byte);
    let ends_at = |end: usize| if byte(end) == Some(b';') { end + 1 - at } else { end - at };
    if byte(at + 1)? == b'#' {
        let is_hex = matches!(byte(at + 2)?, b'x' | b'X');
        let (start, radix) = if is_hex { (at + 3, 16) } else { (at + 2, 10) };
        let digits: Vec<u32> = text[start..]
            .iter()
            .take(MAX_DIGITS)
            .map_while(|(byte, ..)| char::from(*byte).to_digit(radix))
            .collect();
        let (first, others) = digits.split_first()?;
        let number =
            others.iter().try_fold(*first, |number, digit| number.checked_mul(radix)?.checked_add(*digit))?;
        return Some((utf8(number)?, ends_at(start + digits.len())));
    }
    let name: Vec<u8> = text[at + 1..]
        .iter()
        .take(MAX_NAME)
        .map(|(byte, ..)| *byte)
        .take_while(u8::is_ascii_alphanumeric)
        .collect();
    if byte(at + 1 + name.len()) == Some(b';')
        && let Some(named) = named(&name)
    {
        return Some((vec![named], name.len() + 2));
    }
    let old: [&[u8]; 8] = [b"amp", b"AMP", b"lt", b"LT", b"gt", b"GT", b"quot", b"QUOT"];
    let known = old.into_iter().find(|known| name.starts_with(known))?;
    Some((vec![named(known)?], known.len() + 1))
}

/// The character of ASCII that a named reference stands for. Its hyphens are other characters, and are read as that of ASCII.
fn named(name: &[u8]) -> Option<u8> {
    Some(match name {
        b"Tab" => b'\t',
        b"NewLine" => b'\n',
        b"nbsp" | b"NonBreakingSpace" => b' ',
        b"excl" => b'!',
        b"quot" | b"QUOT" => b'"',
        b"num" => b'#',
        b"dollar" => b'$',
        b"percnt" => b'%',
        b"amp" | b"AMP" => b'&',
        b"apos" => b'\'',
        b"lpar" => b'(',
        b"rpar" => b')',
        b"ast" | b"midast" => b'*',
        b"plus" => b'+',
        b"comma" => b',',
        b"hyphen" | b"dash" | b"minus" => b'-',
        b"period" => b'.',
        b"sol" => b'/',
        b"colon" => b':',
        b"semi" => b';',
        b"lt" | b"LT" => b'<',
        b"equals" => b'=',
        b"gt" | b"GT" => b'>',
        b"quest" => b'?',
        b"commat" => b'@',
        b"lsqb" | b"lbrack" => b'[',
        b"bsol" => b'\\',
        b"rsqb" | b"rbrack" => b']',
        b"Hat" => b'^',
        b"lowbar" | b"UnderBar" => b'_',
        b"grave" | b"DiacriticalGrave" => b'`',
        b"lcub" | b"lbrace" => b'{',
        b"verbar" | b"vert" | b"VerticalLine" => b'|',
        b"rcub" | b"rbrace" => b'}',
        _ => return None,
    })
}
