//! Text with NUL characters, which `PostgreSQL` does not store.
//!
//! A text that has one begins with U+10FFFF, which is no character, and has `U+10FFFF 0` for each NUL and `U+10FFFF 1` for each U+10FFFF.
//! So has a text that begins with U+10FFFF anyway. All other texts are stored as they are.

use std::borrow::Cow;

const MARK: char = '\u{10ffff}';

/// The text as it is stored.
pub(crate) fn stored(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains('\0') && !text.starts_with(MARK) {
        return text;
    }
    let mut stored = String::from(MARK);
    for c in text.chars() {
        match c {
            '\0' => stored.extend([MARK, '0']),
            MARK => stored.extend([MARK, '1']),
            c => stored.push(c),
        }
    }
    Cow::Owned(stored)
}

/// The text that was stored.
pub(crate) fn original(stored: String) -> String {
    let Some(rest) = stored.strip_prefix(MARK) else { return stored };
    let mut text = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            MARK => text.push(if chars.next() == Some('0') { '\0' } else { MARK }),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back() {
        for text in ["", "plain", "a\0b", "\0", "\u{10ffff}", "\u{10ffff}0", "a\u{10ffff}1", "\0\u{10ffff}\0"]
        {
            let stored = stored(text.into());
            assert!(!stored.contains('\0'), "{text:?}");
            assert_eq!(original(stored.clone().into_owned()), text);
        }
        assert_eq!(stored("plain\u{10ffff}".into()), "plain\u{10ffff}", "other texts are stored as they are");
    }
}
