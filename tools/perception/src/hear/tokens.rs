//! Whisper's tokens: pieces of text as GPT-2 writes bytes, and marks such as `<|startoftranscript|>`.

use std::collections::BTreeMap;

/// The vocabulary of a model.
pub(super) struct Tokens {
    pieces: Vec<String>,
    /// The byte of each character of a piece.
    bytes: BTreeMap<char, u8>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) transcribe: usize,
    pub(super) no_speech: Option<usize>,
    pub(super) no_timestamps: usize,
    /// Tokens of languages, where the model knows more than English.
    pub(super) languages: Vec<usize>,
}

/// Vocabularies of models that know only English are smaller than this.
const MULTILINGUAL: usize = 51_865;

impl Tokens {
    /// Reads a vocabulary: a token a line, or a JSON list.
    ///
    /// # Errors
    /// It lacks one of the marks.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let pieces: Vec<String> = match serde_json::from_str(text) {
            Ok(pieces) => pieces,
            Err(_) => text.lines().map(str::to_owned).collect(),
        };
        let find = |mark: &str| pieces.iter().rposition(|piece| piece == mark);
        let need = |mark: &str| find(mark).ok_or_else(|| format!("the vocabulary lacks `{mark}`"));
        let start = need("<|startoftranscript|>")?;
        let languages = if pieces.len() < MULTILINGUAL {
            Vec::new()
        } else {
            let is_language = |piece: &str| {
                let name = piece.strip_prefix("<|").and_then(|piece| piece.strip_suffix("|>"));
                name.is_some_and(|name| {
                    matches!(name.len(), 2 | 3) && name.bytes().all(|b| b.is_ascii_lowercase())
                })
            };
            (start + 1..pieces.len()).filter(|at| is_language(&pieces[*at])).collect()
        };
        Ok(Self {
            start,
            end: need("<|endoftext|>")?,
            transcribe: need("<|transcribe|>")?,
            no_speech: find("<|nospeech|>").or_else(|| find("<|nocaptions|>")),
            no_timestamps: need("<|notimestamps|>")?,
            languages,
            bytes: bytes(),
            pieces,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether the token is a piece of text.
    pub(super) fn is_text(&self, token: usize) -> bool {
        token < self.end.min(self.start)
    }

    /// The name of a language: "en".
    pub(super) fn language(&self, token: usize) -> &str {
        self.pieces[token].trim_matches(['<', '|', '>'])
    }

    /// The text of tokens; marks are left out.
    pub(super) fn text(&self, tokens: &[usize]) -> String {
        let pieces = tokens.iter().filter(|token| self.is_text(**token)).map(|token| &self.pieces[*token]);
        let bytes: Vec<u8> =
            pieces.flat_map(|piece| piece.chars()).filter_map(|c| self.bytes.get(&c).copied()).collect();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

/// GPT-2 writes printable bytes as themselves and the others as characters from U+0100 on.
fn bytes() -> BTreeMap<char, u8> {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 0x100..;
    (0..=255)
        .filter_map(|byte| {
            let shown = if is_printable(byte) { u32::from(byte) } else { others.next()? };
            Some((char::from_u32(shown)?, byte))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_text_and_marks_do_not() {
        let words = [
            "Ġcaf",
            "Ã©",
            "Ġ!",
            "<|endoftext|>",
            "<|startoftranscript|>",
            "<|en|>",
            "<|transcribe|>",
            "<|notimestamps|>",
        ];
        let tokens = Tokens::read(&words.join("\n")).unwrap();
        assert_eq!(tokens.text(&[4, 0, 1, 2, 3]), "café !");
        assert_eq!((tokens.start, tokens.end, tokens.no_speech), (4, 3, None));
        assert!(tokens.languages.is_empty() && tokens.len() == 8 && !tokens.is_text(3));
        let list = serde_json::to_string(&words).unwrap();
        assert_eq!(Tokens::read(&list).unwrap().text(&[0, 1]), "café");
        assert!(Tokens::read("a\nb").err().unwrap().contains("lacks `<|startoftranscript|>`"));
    }
}
