//! Bytes from outside as text: which encoding they have, and where a long text is cut.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How much of a long text the detection of its encoding looks at, in bytes.
const DETECTED_BYTES: usize = 1 << 20;
/// How much of an HTML page is searched for a declaration of its encoding, in bytes; browsers search as much.
const DECLARATION_BYTES: usize = 1024;
/// A text has at most one control character among this many characters.
const CHARACTERS_PER_CONTROL: usize = 100;
/// Mostly valid UTF-8 is read as such, with at most one invalid sequence among this many characters outside of ASCII.
const VALID_PER_INVALID: usize = 10;

/// A text that was read from bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The text, without a byte order mark.
    pub text: String,
    /// Name of the encoding, as the WHATWG's Encoding Standard spells it; also `UTF-32`.
    pub encoding: &'static str,
    /// Whether the encoding was guessed from the bytes, and neither declared nor marked.
    pub guessed: bool,
    /// Number of sequences that the encoding does not define; U+FFFD stands for each.
    pub replaced: usize,
}

/// Why bytes are no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// The bytes have control characters as no text has them.
    #[error("it is not a text file: byte {at} is {byte:#04x}")]
    Control {
        /// Position of the first such byte.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// No encoding fits.
    #[error("its encoding is not known: it is neither UTF-8 nor {tried}")]
    Encoding {
        /// The likeliest encoding, in which some bytes mean nothing.
        tried: &'static str,
    },
}

/// Reads bytes as text: by their byte order mark, as UTF-8 if they are valid, by the encoding that `declared` names (a label
/// such as `gb2312`), or by the likeliest legacy encoding.
///
/// # Errors
/// [`NotText`].
pub fn decode(bytes: &[u8], declared: Option<&str>) -> Result<Decoded, NotText> {
    if let Some(text) = utf_32(bytes) {
        return Ok(Decoded { text, encoding: "UTF-32", guessed: false, replaced: 0 });
    }
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return checked(decoded(encoding, &bytes[mark..], false), bytes);
    }
    // Zero bytes say more than a label: no text has them but UTF-16.
    if bytes.contains(&0) {
        let Some(encoding) = utf_16_without_mark(bytes) else { return Err(control(bytes)) };
        return checked(decoded(encoding, bytes, true), bytes);
    }
    let named = declared.and_then(|label| Encoding::for_label(label.trim().as_bytes()));
    // An encoding with escape sequences is valid UTF-8 and means something else.
    let shifting = named
        .filter(|encoding| !encoding.is_ascii_compatible() && *encoding != UTF_16LE && *encoding != UTF_16BE);
    if shifting.is_none() && !bytes.contains(&0x1b) && std::str::from_utf8(bytes).is_ok() {
        return checked(decoded(UTF_8, bytes, false), bytes);
    }
    if let Some(encoding) = named.filter(|encoding| *encoding != UTF_8) {
        return checked(decoded(encoding, bytes, false), bytes);
    }
    if is_mostly_utf_8(bytes) {
        return checked(decoded(UTF_8, bytes, true), bytes);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(&bytes[..bytes.len().min(DETECTED_BYTES)], true);
    let encoding = detector.guess(None, Utf8Detection::Allow);
    let decoded = decoded(encoding, bytes, true);
    // A guess that leaves gaps is no better than none.
    if decoded.replaced > 0 {
        return Err(NotText::Encoding { tried: encoding.name() });
    }
    checked(decoded, bytes)
}

/// Reads bytes as [`decode`] does, and what is no text as UTF-8 with U+FFFD for each fault: for answers of servers that are
/// shown or quoted whatever they are.
pub fn decode_lossy(bytes: &[u8], declared: Option<&str>) -> String {
    match decode(bytes, declared) {
        Ok(decoded) => decoded.text,
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The encoding that a content type names, such as `text/html; charset=gb2312`.
pub fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}

/// The encoding that the beginning of an HTML or XML document declares.
pub fn declared_in_markup(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION_BYTES)]).to_ascii_lowercase();
    for name in ["charset", "encoding"] {
        let Some((_, after)) = head.split_once(name) else { continue };
        let Some(value) = after.trim_start().strip_prefix('=') else { continue };
        let value = value.trim_start().trim_start_matches(['"', '\'']);
        let end =
            value.find(|c: char| !c.is_ascii_alphanumeric() && !"-_:.".contains(c)).unwrap_or(value.len());
        if end > 0 {
            return Some(value[..end].to_owned());
        }
    }
    None
}

/// The first `max_chars` characters of a text, and `…` if that is not all of it.
pub fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn decoded(encoding: &'static Encoding, bytes: &[u8], guessed: bool) -> Decoded {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    let replaced = if had_errors { text.matches('\u{fffd}').count().max(1) } else { 0 };
    Decoded { text: text.into_owned(), encoding: encoding.name(), guessed, replaced }
}

/// Refuses what has many control characters.
fn checked(decoded: Decoded, bytes: &[u8]) -> Result<Decoded, NotText> {
    let odd = |c: &char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}' | '\u{1b}' | '\u{85}');
    let controls = decoded.text.chars().filter(odd).count();
    let zeros = decoded.text.contains('\0');
    if zeros || controls > 0 && controls * CHARACTERS_PER_CONTROL > decoded.text.chars().count() {
        return Err(control(bytes));
    }
    Ok(decoded)
}

fn control(bytes: &[u8]) -> NotText {
    let odd = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0xc | 0x1b);
    let at = bytes.iter().position(odd).or_else(|| bytes.iter().position(|byte| (0x7f..0xa0).contains(byte)));
    let at = at.unwrap_or(0);
    NotText::Control { at, byte: bytes.get(at).copied().unwrap_or(0) }
}

fn utf_32(bytes: &[u8]) -> Option<String> {
    let big = match bytes.first_chunk::<4>()? {
        [0xff, 0xfe, 0, 0] => false,
        [0, 0, 0xfe, 0xff] => true,
        _ => return None,
    };
    let (units, rest) = bytes[4..].as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    units
        .iter()
        .map(|unit| char::from_u32(if big { u32::from_be_bytes(*unit) } else { u32::from_le_bytes(*unit) }))
        .collect()
}

/// UTF-16 of mostly Latin text, by the zero halves of its units.
fn utf_16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let high_zeros = |place: usize| units.iter().filter(|unit| unit[place] == 0).count();
    let (first, second) = (high_zeros(0), high_zeros(1));
    match (first, second) {
        (0, zeros) if zeros * 4 >= units.len() * 3 => Some(UTF_16LE),
        (zeros, 0) if zeros * 4 >= units.len() * 3 => Some(UTF_16BE),
        _ => None,
    }
}

/// Whether bytes are UTF-8 with a few faults, such as a cut character.
fn is_mostly_utf_8(bytes: &[u8]) -> bool {
    let (mut valid, mut invalid) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        valid += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        invalid += usize::from(!chunk.invalid().is_empty());
    }
    valid > 0 && valid >= invalid.saturating_mul(VALID_PER_INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<(String, &'static str), NotText> {
        decode(bytes, None).map(|decoded| (decoded.text, decoded.encoding))
    }

    #[test]
    fn legacy_encodings_are_detected_instead_of_replaced() {
        for (text, label, expected) in [
            ("Le café est fermé à midi.\n", "windows-1252", "windows-1252"),
            ("密码在保险箱里。\n", "gbk", "GBK"),
            ("金鑰在門後的抽屜裡，請不要告訴別人。\n", "big5", "Big5"),
            ("鍵はドアの後ろに掛かっています。\n", "shift_jis", "Shift_JIS"),
            ("鍵はドアの後ろに掛かっています。\n", "euc-jp", "EUC-JP"),
            ("鍵はドアの後ろに掛かっています。\n", "iso-2022-jp", "ISO-2022-JP"),
            ("열쇠는 문 뒤에 걸려 있습니다.\n", "euc-kr", "EUC-KR"),
            ("Ключ висит за дверью, а яблоки лежат в погребе.\n", "windows-1251", "windows-1251"),
            ("Ключ висит за дверью, а яблоки лежат в погребе.\n", "koi8-u", "KOI8-U"),
            ("Klíč visí za dveřmi, jablka leží ve sklepě.\n", "windows-1250", "windows-1250"),
        ] {
            let (bytes, _, unmappable) = Encoding::for_label(label.as_bytes()).unwrap().encode(text);
            assert!(!unmappable, "{label}");
            assert_eq!(read(&bytes), Ok((text.to_owned(), expected)), "{label}");
        }
    }

    #[test]
    fn marks_and_zero_halves_show_wide_encodings() {
        let text = "The key hangs behind the door. é";
        let wide = |big: bool, mark: bool| -> Vec<u8> {
            let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
            units.flat_map(|unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        };
        for (big, expected) in [(false, "UTF-16LE"), (true, "UTF-16BE")] {
            for mark in [false, true] {
                assert_eq!(read(&wide(big, mark)), Ok((text.to_owned(), expected)), "{expected} {mark}");
            }
        }
        let wider: Vec<u8> = "\u{feff}a🪓".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        assert_eq!(read(&wider), Ok(("a🪓".to_owned(), "UTF-32")));
        assert_eq!(read("\u{feff}ä".as_bytes()), Ok(("ä".to_owned(), "UTF-8")));
        assert_eq!(read(b""), Ok((String::new(), "UTF-8")));
    }

    #[test]
    fn a_cut_character_does_not_change_the_encoding_of_the_rest() {
        let text = "Ärger im Straßenbau über Österreich, früh und spät. ".repeat(5);
        let cut = &text.as_bytes()[1..];
        let read = decode(cut, None).unwrap();
        assert_eq!((read.encoding, read.replaced), ("UTF-8", 1));
        assert!(read.text.contains("Straßenbau"));
    }

    #[test]
    fn a_declaration_decides_between_legacy_encodings() {
        for (html, label) in [
            ("<meta charset=\"windows-1251\"><p>Да", "windows-1251"),
            ("<meta http-equiv=Content-Type content=\"text/html; charset=koi8-r\"><p>Да", "koi8-r"),
            ("<?xml version=\"1.0\" encoding='windows-1251'?><p>Да</p>", "windows-1251"),
        ] {
            let (bytes, _, _) = Encoding::for_label(label.as_bytes()).unwrap().encode(html);
            let declared = declared_in_markup(&bytes);
            assert_eq!(declared.as_deref(), Some(label));
            assert!(decode(&bytes, declared.as_deref()).unwrap().text.contains("Да"), "{html}");
        }
        // Valid UTF-8 is that, whatever a page says; an unknown label counts as none.
        for label in ["latin1", "no such encoding", "utf-8", ""] {
            assert_eq!(decode("é".as_bytes(), Some(label)).unwrap().text, "é", "{label}");
        }
        assert_eq!(declared_in_markup(b"<p>charset or encoding = unknown"), Some("unknown".to_owned()));
        assert_eq!(declared_in_markup(b"<p>none"), None);
    }

    #[test]
    fn binary_files_are_no_text() {
        let mut rng = fastrand::Rng::with_seed(7);
        let noise: Vec<u8> = (0..4000).map(|_| rng.u8(..)).collect();
        for bytes in [
            &b"x\0y\n"[..],
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            b"\x7fELF\x02\x01\x01",
            &noise,
            b"\x01\x02\x03",
        ] {
            assert!(
                matches!(read(bytes), Err(NotText::Control { .. } | NotText::Encoding { .. })),
                "{bytes:?}"
            );
        }
        let error = decode(b"ab\0c", None).unwrap_err().to_string();
        assert_eq!(error, "it is not a text file: byte 2 is 0x00");
    }

    #[test]
    fn a_content_type_names_its_encoding() {
        for (kind, expected) in [
            ("text/html; charset=gb2312", Some("gb2312")),
            ("text/html;boundary=x; Charset=\"UTF-8\"", Some("UTF-8")),
            ("text/html", None),
            ("charset=x", None),
        ] {
            assert_eq!(charset(kind), expected, "{kind}");
        }
        assert_eq!(decode_lossy(b"\xc3\xdc", charset("text/plain; charset=gbk")), "密");
        assert_eq!(decode_lossy(b"a\0\xff", None), "a\0\u{fffd}");
    }

    #[test]
    fn a_cut_text_says_so() {
        assert_eq!(
            (cut("äbc", 2), cut("äb", 2), cut("", 0)),
            ("äb…".to_owned(), "äb".to_owned(), String::new())
        );
    }
}
