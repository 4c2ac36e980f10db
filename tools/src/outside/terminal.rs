//! Text from outside on a terminal: control characters would move the cursor, change the title, the clipboard or what a line
//! seems to say.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text for a terminal. Line feeds and tabs stay; every other control character is spelt out (`\u{1b}`), and so is every
/// character that is invisible or reorders the text around it.
pub fn escaped(text: &str) -> Cow<'_, str> {
    written(
        text,
        |c| matches!(c, '\n' | '\t'),
        |c, out| {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        },
    )
}

/// The text for one line of a terminal: as [`escaped`], with line feeds and tabs as spaces.
pub fn one_line(text: &str) -> Cow<'_, str> {
    match escaped(text) {
        plain if !plain.contains(['\n', '\t']) => plain,
        escaped => Cow::Owned(escaped.replace(['\n', '\t'], " ")),
    }
}

/// JSON text for a terminal. Its meaning stays the same: such characters stand only in strings, where `\u001b` stands for them.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    written(
        json,
        |c| matches!(c, '\n' | '\t'),
        |c, out| {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        },
    )
}

/// Whether a terminal would act on the character, or a reader would not see it as what it is.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero-width space and marks of direction; joiners (200c, 200d) are part of words and emoji.
            | '\u{200b}' | '\u{200e}' | '\u{200f}'
            // Line and paragraph separators, embeddings and overrides of direction.
            | '\u{2028}'..='\u{202e}'
            // Invisible operators, isolates and deprecated formatting.
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Letters that are blank: fillers, a joiner, inherent vowels.
            | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
            // Selectors of variants, but for those of emoji (fe0e, fe0f); invisible marks of music.
            | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0d}' | '\u{1d173}'..='\u{1d17a}'
            // Tags, invisible copies of ASCII, and further selectors, which can carry any bytes.
            | '\u{e0000}'..='\u{e0fff}')
}

fn written(text: &str, keep: fn(char) -> bool, spell: fn(char, &mut String)) -> Cow<'_, str> {
    let unsafe_at = |c: char| is_unsafe(c) && !keep(c);
    if !text.contains(unsafe_at) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if unsafe_at(c) {
            spell(c, &mut out);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn letters_and_selectors_that_are_not_seen_are_spelt_out() {
        for hidden in
            "\u{34f}\u{115f}\u{2800}\u{3164}\u{ffa0}\u{fe00}\u{1d173}\u{e0001}\u{e0100}\u{e01ef}".chars()
        {
            assert_eq!(escaped(&format!("a{hidden}")), format!("a\\u{{{:x}}}", u32::from(hidden)));
        }
        assert_eq!(escaped("❤\u{fe0f} 한 ᄀ"), "❤\u{fe0f} 한 ᄀ");
    }

    #[test]
    fn escape_sequences_are_spelt_out() {
        for (text, shown) in [
            ("plain é 日本 👩‍👧\n\tx", "plain é 日本 👩‍👧\n\tx"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}"),
            ("a\rb\u{8}\u{7f}", "a\\u{d}b\\u{8}\\u{7f}"),
            // One character in the C1 range starts a sequence too.
            ("\u{9b}31m", "\\u{9b}31m"),
            ("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(escaped(text), shown);
        }
        assert_eq!(one_line("a\nb\tc\u{1b}"), "a b c\\u{1b}");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = Value::from("\u{9b}31m \u{202e} \u{e0041} \n é");
        let json = serde_json::to_string(&value).unwrap();
        let shown = escaped_json(&json);
        assert!(!shown.contains(is_unsafe), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
