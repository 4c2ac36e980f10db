//! The forms of a secret: as it is, in base64 and in hexadecimal, also of its UTF-16.

use super::decoding::readings;

/// The shortest secret, in bytes, that is looked for.
pub(super) const SHORTEST: usize = 4;
/// The shortest secret, in bytes, that is replaced inside words too.
pub(super) const LONG: usize = 6;
/// The shortest line of a secret of several lines, in bytes, that is a secret of its own.
const LONG_LINE: usize = 16;

/// A form of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needle {
    pub bytes: Vec<u8>,
    /// The place of the secret's name.
    pub secret: usize,
    /// Whether it is replaced only where it stands as a word of its own.
    pub word: bool,
}

/// The forms of the secret at this place, which has at least [`SHORTEST`] bytes.
pub(super) fn needles(value: &str, secret: usize) -> Vec<Needle> {
    let word = value.len() < LONG;
    let mut forms: Vec<Vec<u8>> = readings(value).into_iter().map(|reading| reading.bytes).collect();
    forms.push(value.replace(' ', "+").into_bytes());
    // A name in a JSON pointer (RFC 6901), as conditions and changes of state have it.
    forms.push(value.replace('~', "~0").replace('/', "~1").into_bytes());
    for line in value.lines().map(str::trim).filter(|line| line.len() >= LONG_LINE) {
        forms.push(line.as_bytes().to_vec());
    }
    let utf_16 = |bytes: fn(u16) -> [u8; 2]| value.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let utf_16 = [utf_16(u16::to_le_bytes), utf_16(u16::to_be_bytes)];
    // Texts whose zero bytes are left out are found as they are; others are not.
    forms.extend(utf_16.iter().cloned());
    for bytes in [value.as_bytes(), &utf_16[0], &utf_16[1]] {
        forms.push(hex::encode(bytes).into_bytes());
        forms.push(hex::encode_upper(bytes).into_bytes());
        for alphabet in [STANDARD, URL_SAFE] {
            if word {
                forms.push(base64(bytes, alphabet));
            } else {
                forms.extend((0..3).map(|shift| base64_inside(bytes, shift, alphabet)));
            }
        }
    }
    forms.sort_unstable();
    forms.dedup();
    forms.retain(|form| form.len() >= SHORTEST);
    forms.into_iter().map(|bytes| Needle { bytes, secret, word }).collect()
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 without padding (RFC 4648, section 4).
fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 4 / 3 + 3);
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0_usize, |number, byte| (number << 8) | usize::from(*byte));
        let number = number << (8 * (3 - group.len()));
        out.extend((0..=group.len()).map(|place| alphabet[(number >> (18 - 6 * place)) & 63]));
    }
    out
}

/// The characters of base64 that the bytes alone decide where `shift` bytes stand before them in their group.
fn base64_inside(bytes: &[u8], shift: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let shifted: Vec<u8> = std::iter::repeat_n(0, shift).chain(bytes.iter().copied()).collect();
    let (first, last) = ((8 * shift).div_ceil(6), 8 * shifted.len() / 6);
    base64(&shifted, alphabet)[first..last].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes(), STANDARD), encoded.as_bytes());
        }
    }

    #[test]
    fn base64_is_found_at_every_alignment() {
        let secret = b"hunter2 and more";
        for before in 0..7 {
            for after in 0..4 {
                let whole = [vec![0xfb; before], secret.to_vec(), vec![0x9f; after]].concat();
                for alphabet in [STANDARD, URL_SAFE] {
                    let encoded = base64(&whole, alphabet);
                    let inside = base64_inside(secret, before % 3, alphabet);
                    assert!(inside.len() >= 20 && encoded.windows(inside.len()).any(|part| part == inside));
                }
            }
        }
    }
}
