//! Bytes that are written as numbers or one by one, as `xxd`, `hexdump`, `od` and debuggers print them.

use super::decoding::Byte;

/// The digits of a number at the beginning of a line that is the line's offset.
const OFFSET_DIGITS: std::ops::RangeInclusive<usize> = 7..=8;
/// The characters of a column at the end of a line that repeats the bytes as text: `|hunter2.|`.
const MAX_COLUMN: usize = 18;
/// The digits of the longest hexadecimal number that is read as bytes.
const MAX_HEX: usize = 1 << 20;

/// The readings of a text as hexadecimal numbers, as pairs of swapped bytes, as octal and decimal numbers, and as characters that
/// stand apart. Whatever stands between them is left out.
pub(super) fn dumps(text: &[Byte]) -> Vec<Vec<Byte>> {
    let [mut hex, mut swapped, mut octal, mut decimal, mut letters] =
        [Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    let mut is_swapped = false;
    for token in tokens(text) {
        if let Some(bytes) = hex_bytes(token) {
            is_swapped |= bytes.len() == 2;
            if let [first, second] = bytes.as_slice() {
                swapped.extend([*second, *first].map(|byte| whole_of(byte.0, token)));
            } else {
                swapped.extend(bytes.iter().copied());
            }
            hex.extend(bytes);
        }
        let octal_byte = (token.len() == 3).then(|| number(token, 8)).flatten();
        octal.extend(octal_byte.map(|byte| whole_of(byte, token)));
        decimal.extend(number(token, 10).map(|byte| whole_of(byte, token)));
    }
    let blank = |(byte, ..): &Byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    letters.extend(text.split(blank).filter(|word| word.len() == 1).map(|word| word[0]));
    if !is_swapped {
        swapped.clear();
    }
    [hex, swapped, octal, decimal, letters].into_iter().filter(|reading| reading.len() > 3).collect()
}

fn whole_of(byte: u8, token: &[Byte]) -> Byte {
    (byte, token[0].1, token[token.len() - 1].2)
}

/// The words of the text: numbers, letters and marks between blanks and the separators of lists. Offsets of lines and columns
/// of text are left out.
fn tokens(text: &[Byte]) -> impl Iterator<Item = &[Byte]> {
    text.split(|(byte, ..)| matches!(byte, b'\n' | b'\r')).flat_map(|line| {
        let line = without_column(line);
        let mut words =
            line.split(|(byte, ..)| is_separator(*byte)).filter(|word| !word.is_empty()).peekable();
        let is_offset = |word: &&[Byte]| {
            OFFSET_DIGITS.contains(&word.len())
                && word.iter().all(|(byte, ..)| byte.is_ascii_hexdigit())
                && word.len() < line.len()
        };
        words.next_if(is_offset);
        words.map(|word| match word {
            [(b'0', ..), (b'x' | b'X', ..), digits @ ..] if !digits.is_empty() => digits,
            word => word,
        })
    })
}

fn is_separator(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b',' | b';' | b':' | b'-' | b'[' | b']' | b'{' | b'}' | b'(' | b')' | b'"' | b'\''
    )
}

fn without_column(line: &[Byte]) -> &[Byte] {
    let Some(((b'|', ..), rest)) = line.split_last() else { return line };
    match rest.iter().rposition(|(byte, ..)| *byte == b'|') {
        Some(start) if rest.len() - start <= MAX_COLUMN => &rest[..start],
        _ => line,
    }
}

fn hex_bytes(token: &[Byte]) -> Option<Vec<Byte>> {
    if !token.len().is_multiple_of(2) || token.len() > MAX_HEX {
        return None;
    }
    token
        .chunks_exact(2)
        .map(|pair| Some((u8::try_from(digits(pair, 16)?).ok()?, pair[0].1, pair[1].2)))
        .collect()
}

fn number(token: &[Byte], radix: u32) -> Option<u8> {
    (token.len() <= 3).then(|| digits(token, radix)).flatten().and_then(|number| u8::try_from(number).ok())
}

fn digits(token: &[Byte], radix: u32) -> Option<u32> {
    token.iter().try_fold(0_u32, |number, (byte, ..)| {
        number.checked_mul(radix)?.checked_add(char::from(*byte).to_digit(radix)?)
    })
}
