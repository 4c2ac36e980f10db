//! Converts the stored text of a payload to its canonical text without parsing it into values.
//!
//! Both texts spell values alike and differ only in the order of object members, so the converter moves
//! members as byte ranges. Text that this crate did not write keeps its spelling and therefore fails its
//! hash.

use crate::MAX_DEPTH;
use std::borrow::Cow;
use std::ops::Range;

/// Sorts object members by name. The buffers are reused between calls.
#[derive(Debug, Default)]
pub(super) struct Reorderer {
    out: Vec<u8>,
    /// Members of all open objects, innermost object last.
    members: Vec<Member>,
    sorted: Vec<u8>,
}

#[derive(Debug)]
struct Member {
    /// Name in the input, as spelt there, without quotes.
    name: Range<usize>,
    /// The whole member in the output, without the comma.
    span: Range<usize>,
}

impl Reorderer {
    /// Returns the text with sorted members; `None` if the input is not JSON without white space.
    pub(super) fn canonical(&mut self, text: &[u8]) -> Option<&[u8]> {
        self.out.clear();
        self.members.clear();
        self.out.reserve(text.len());
        let end = self.value(text, 0, 0)?;
        (end == text.len()).then_some(self.out.as_slice())
    }

    /// Copies the value that starts at `at`; returns the index after its end.
    fn value(&mut self, text: &[u8], at: usize, depth: usize) -> Option<usize> {
        if depth > MAX_DEPTH {
            return None;
        }
        match *text.get(at)? {
            b'{' => self.object(text, at, depth),
            b'[' => self.array(text, at, depth),
            b'"' => {
                let end = string(text, at)?;
                self.out.extend_from_slice(&text[at..end]);
                Some(end)
            }
            _ => {
                let scalar = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                let length = text[at..].iter().take_while(|byte| scalar(byte)).count();
                self.out.extend_from_slice(&text[at..at + length]);
                (length > 0).then_some(at + length)
            }
        }
    }

    fn array(&mut self, text: &[u8], at: usize, depth: usize) -> Option<usize> {
        self.out.push(b'[');
        let mut at = at + 1;
        if text.get(at) == Some(&b']') {
            self.out.push(b']');
            return Some(at + 1);
        }
        loop {
            at = self.value(text, at, depth + 1)?;
            let next = *text.get(at)?;
            self.out.push(next);
            at += 1;
            match next {
                b',' => {}
                b']' => return Some(at),
                _ => return None,
            }
        }
    }

    fn object(&mut self, text: &[u8], at: usize, depth: usize) -> Option<usize> {
        self.out.push(b'{');
        let (begin, first) = (self.out.len(), self.members.len());
        let mut at = at + 1;
        if text.get(at) == Some(&b'}') {
            self.out.push(b'}');
            return Some(at + 1);
        }
        loop {
            let end = string(text, at)?;
            if text.get(end) != Some(&b':') {
                return None;
            }
            let (name, span) = (at + 1..end - 1, self.out.len());
            self.out.extend_from_slice(&text[at..=end]);
            at = self.value(text, end + 1, depth + 1)?;
            self.members.push(Member { name, span: span..self.out.len() });
            match *text.get(at)? {
                b',' => self.out.push(b','),
                b'}' => break,
                _ => return None,
            }
            at += 1;
        }
        let members = &mut self.members[first..];
        let name = |member: &Member| &text[member.name.clone()];
        if !members.is_sorted_by(|a, b| unescaped(name(a)) <= unescaped(name(b))) {
            members.sort_by(|a, b| unescaped(name(a)).cmp(&unescaped(name(b))));
            self.sorted.clear();
            for (index, member) in members.iter().enumerate() {
                if index > 0 {
                    self.sorted.push(b',');
                }
                self.sorted.extend_from_slice(&self.out[member.span.clone()]);
            }
            self.out.truncate(begin);
            self.out.extend_from_slice(&self.sorted);
        }
        self.members.truncate(first);
        self.out.push(b'}');
        Some(at + 1)
    }
}

/// Returns the index after the end of the string that starts at `at`.
fn string(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += text.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        match text[at] {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// Resolves the escape sequences that this crate writes.
fn unescaped(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'\\') {
        return Cow::Borrowed(name);
    }
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        match tail.first() {
            Some(b'u') => {
                let digits = tail.get(1..5).and_then(|digits| std::str::from_utf8(digits).ok());
                plain.push(digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(b'?'));
                rest = tail.get(5..).unwrap_or_default();
            }
            Some(&quoted) => {
                plain.push(quoted);
                rest = &tail[1..];
            }
            None => {}
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::{arbitrary, stored_json};
    use crate::canonical_json;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn text_in_another_spelling_is_rejected() {
        for bad in ["", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "[1 ]", " 1", "1 ", "\"a", "{\"a\":1}}", "\"\\"]
        {
            assert_eq!(Reorderer::default().canonical(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn stored_text_becomes_canonical_text(values in prop::collection::vec(arbitrary::value(), 1..4)) {
            let mut reorderer = Reorderer::default();
            for value in values {
                let value = json!({"z": value, "\"": 1, "\u{1}": 2, "é": [3], "!": {}, "\\": []});
                let stored = stored_json(&value).unwrap();
                let expected = canonical_json(&value).unwrap();
                prop_assert_eq!(reorderer.canonical(stored.as_bytes()), Some(expected.as_bytes()));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(text in any::<Vec<u8>>()) {
            Reorderer::default().canonical(&text);
        }
    }
}
