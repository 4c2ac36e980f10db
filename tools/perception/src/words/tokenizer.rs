//! Texts as tokens, by the `tokenizer.json` that is published with a model: byte-pair encoding as CLIP and Gemma have it, word pieces
//! as BERT has them, and unigrams as `SentencePiece` has them.

use super::pieces::{Pieces, Vocabulary};
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use unicode_normalization::UnicodeNormalization as _;

/// A tokenizer.
#[derive(Debug)]
pub(super) struct Tokenizer {
    normalizers: Vec<Normalizer>,
    splitters: Vec<Splitter>,
    pieces: Pieces,
    /// Tokens before and after every text.
    before: Vec<i32>,
    after: Vec<i32>,
}

#[derive(Debug)]
enum Normalizer {
    Nfc,
    Nfd,
    Nfkc,
    Lowercase,
    /// Without accents: after [`Nfd`](Self::Nfd).
    NoAccents,
    /// As BERT cleans texts: controls are left out, all white space is alike, Chinese characters stand alone.
    Bert,
    Replace(Regex, String),
}

#[derive(Debug)]
enum Splitter {
    /// The parts that match.
    Matches(Regex),
    /// The parts that end with a match, and what is left.
    Until(Regex),
    /// Each byte as a printable character.
    Bytes,
    /// Words and punctuation.
    Bert,
    /// Words, each after this character.
    Meta(char),
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    normalizer: Option<Value>,
    #[serde(default)]
    pre_tokenizer: Option<Value>,
    #[serde(default)]
    post_processor: Option<Value>,
    model: Value,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// What the file has that is not supported, or lacks.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let (mut normalizers, mut splitters) = (Vec::new(), Vec::new());
        each(file.normalizer.as_ref(), "normalizers", &mut |part| normalizer(part, &mut normalizers))?;
        each(file.pre_tokenizer.as_ref(), "pretokenizers", &mut |part| splitter(part, &mut splitters))?;
        let pieces = Pieces::read(&file.model)?;
        let (before, after) = ends(file.post_processor.as_ref(), pieces.vocabulary())?;
        Ok(Self { normalizers, splitters, pieces, before, after })
    }

    /// The tokens of a text, at most `most` of them, those at its ends among them.
    pub(super) fn tokens(&self, text: &str, most: usize) -> Vec<i32> {
        let mut text = text.to_owned();
        for normalizer in &self.normalizers {
            text = normalizer.apply(&text);
        }
        let mut words = vec![text];
        for splitter in &self.splitters {
            words = words.iter().flat_map(|word| splitter.apply(word)).collect();
        }
        let mut tokens: Vec<i32> = self.before.clone();
        let room = most.saturating_sub(self.before.len() + self.after.len());
        tokens.extend(words.iter().flat_map(|word| self.pieces.of(word)).take(room));
        tokens.extend(&self.after);
        tokens
    }

    /// The token of a text that stands in the vocabulary as it is.
    pub(super) fn token(&self, text: &str) -> Option<i32> {
        self.pieces.vocabulary().get(text)
    }
}

/// Calls `read` for each part of a `Sequence`, or for the only one.
fn each(
    part: Option<&Value>,
    list: &str,
    read: &mut dyn FnMut(&Value) -> Result<(), String>,
) -> Result<(), String> {
    let Some(part) = part.filter(|part| !part.is_null()) else { return Ok(()) };
    if part["type"] != "Sequence" {
        return read(part);
    }
    part[list].as_array().into_iter().flatten().try_for_each(|part| each(Some(part), list, read))
}

fn normalizer(part: &Value, all: &mut Vec<Normalizer>) -> Result<(), String> {
    match part["type"].as_str().unwrap_or_default() {
        "NFC" => all.push(Normalizer::Nfc),
        "NFD" => all.push(Normalizer::Nfd),
        // SentencePiece's own table of characters is NFKC with small exceptions.
        "NFKC" | "Precompiled" => all.push(Normalizer::Nfkc),
        "Lowercase" => all.push(Normalizer::Lowercase),
        "StripAccents" => all.push(Normalizer::NoAccents),
        "Replace" => {
            let content = part["content"].as_str().unwrap_or_default().to_owned();
            all.push(Normalizer::Replace(pattern(&part["pattern"])?, content));
        }
        "BertNormalizer" => {
            all.push(Normalizer::Bert);
            let lower = part["lowercase"] != false;
            if part["strip_accents"].as_bool().unwrap_or(lower) {
                all.extend([Normalizer::Nfd, Normalizer::NoAccents]);
            }
            if lower {
                all.push(Normalizer::Lowercase);
            }
        }
        other => return Err(format!("its tokenizer normalises by `{other}`, which is not supported")),
    }
    Ok(())
}

fn splitter(part: &Value, all: &mut Vec<Splitter>) -> Result<(), String> {
    match part["type"].as_str().unwrap_or_default() {
        "Split" if part["invert"] == true => all.push(Splitter::Matches(pattern(&part["pattern"])?)),
        "Split" if part["behavior"] == "MergedWithPrevious" => {
            all.push(Splitter::Until(pattern(&part["pattern"])?));
        }
        "ByteLevel" => all.push(Splitter::Bytes),
        "BertPreTokenizer" => all.push(Splitter::Bert),
        "Metaspace" => {
            let mark = part["replacement"].as_str().and_then(|mark| mark.chars().next());
            all.push(Splitter::Meta(mark.unwrap_or('▁')));
        }
        other => return Err(format!("its tokenizer splits by `{other}`, which is not supported")),
    }
    Ok(())
}

fn pattern(pattern: &Value) -> Result<Regex, String> {
    let text = match (pattern["Regex"].as_str(), pattern["String"].as_str()) {
        (Some(regex), _) => regex.to_owned(),
        (None, Some(text)) => regex::escape(text),
        (None, None) => return Err("its tokenizer has a pattern of an unknown kind".to_owned()),
    };
    Regex::new(&text).map_err(|_| format!("its tokenizer has the pattern `{text}`, which is not supported"))
}

/// The tokens before and after every text.
fn ends(part: Option<&Value>, vocabulary: &Vocabulary) -> Result<(Vec<i32>, Vec<i32>), String> {
    let Some(part) = part.filter(|part| !part.is_null()) else { return Ok((Vec::new(), Vec::new())) };
    let number = |value: &Value| value.as_i64().and_then(|number| i32::try_from(number).ok());
    match part["type"].as_str().unwrap_or_default() {
        "RobertaProcessing" | "BertProcessing" => {
            let end = |name: &str| number(&part[name][1]).ok_or(format!("its tokenizer lacks `{name}`"));
            Ok((vec![end("cls")?], vec![end("sep")?]))
        }
        "TemplateProcessing" => {
            let (mut before, mut after, mut text) = (Vec::new(), Vec::new(), false);
            for item in part["single"].as_array().into_iter().flatten() {
                if item.get("Sequence").is_some() {
                    text = true;
                    continue;
                }
                let name = item["SpecialToken"]["id"].as_str().unwrap_or_default();
                let known = number(&part["special_tokens"][name]["ids"][0]).or_else(|| vocabulary.get(name));
                let token = known.ok_or_else(|| format!("its tokenizer has no token `{name}`"))?;
                if text { after.push(token) } else { before.push(token) }
            }
            Ok((before, after))
        }
        "ByteLevel" => Ok((Vec::new(), Vec::new())),
        other => Err(format!("its tokenizer ends texts by `{other}`, which is not supported")),
    }
}

impl Normalizer {
    fn apply(&self, text: &str) -> String {
        match self {
            Self::Nfc => text.nfc().collect(),
            Self::Nfd => text.nfd().collect(),
            Self::Nfkc => text.nfkc().collect(),
            Self::Lowercase => text.to_lowercase(),
            Self::NoAccents => {
                text.chars().filter(|c| !unicode_normalization::char::is_combining_mark(*c)).collect()
            }
            Self::Replace(pattern, content) => pattern.replace_all(text, content.as_str()).into_owned(),
            Self::Bert => {
                let mut cleaned = String::with_capacity(text.len());
                for c in text.chars() {
                    if c.is_whitespace() {
                        cleaned.push(' ');
                    } else if is_chinese(c) {
                        cleaned.extend([' ', c, ' ']);
                    } else if !c.is_control() && c != '\u{fffd}' {
                        cleaned.push(c);
                    }
                }
                cleaned
            }
        }
    }
}

/// The blocks of Chinese characters that BERT separates.
fn is_chinese(c: char) -> bool {
    matches!(u32::from(c), 0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x2_0000..=0x2_ceaf | 0xf900..=0xfaff | 0x2_f800..=0x2_fa1f)
}

/// Punctuation as BERT counts it: every ASCII character that is no letter, digit or space, and general punctuation.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(u32::from(c), 0xa1 | 0xa7 | 0xab | 0xb6 | 0xb7 | 0xbb | 0xbf | 0x2010..=0x2027 | 0x2030..=0x205e | 0x3001..=0x3003 | 0x3008..=0x3011)
}

impl Splitter {
    fn apply(&self, word: &str) -> Vec<String> {
        match self {
            Self::Matches(pattern) => {
                pattern.find_iter(word).map(|found| found.as_str().to_owned()).collect()
            }
            Self::Until(pattern) => {
                let mut from = 0;
                let ends = pattern.find_iter(word).map(|found| found.end()).chain([word.len()]);
                let parts = ends.map(|end| &word[std::mem::replace(&mut from, end)..end]);
                parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
            }
            Self::Bytes => vec![word.bytes().map(printable).collect()],
            Self::Bert => {
                let mut words = vec![String::new()];
                for c in word.chars() {
                    if c.is_whitespace() {
                        words.push(String::new());
                    } else if is_punctuation(c) {
                        words.extend([c.to_string(), String::new()]);
                    } else if let Some(last) = words.last_mut() {
                        last.push(c);
                    }
                }
                words.retain(|word| !word.is_empty());
                words
            }
            Self::Meta(mark) => {
                let words = word.split(' ').filter(|word| !word.is_empty());
                words.map(|word| format!("{mark}{word}")).collect()
            }
        }
    }
}

/// The character that stands for a byte in byte-level vocabularies: itself where it is printable, another one otherwise.
fn printable(byte: u8) -> char {
    let shown = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if shown(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|other| !shown(*other)).count() as u32;
    char::from_u32(256 + before).unwrap_or(' ')
}

/// Numbers of tokens by their texts, as several kinds of models list them.
pub(super) fn numbered(vocabulary: &Value) -> Result<BTreeMap<String, i32>, String> {
    let wrong = || "its vocabulary is damaged".to_owned();
    let entries = vocabulary.as_object().ok_or_else(wrong)?;
    entries
        .iter()
        .map(|(text, number)| {
            let number = number.as_i64().and_then(|number| i32::try_from(number).ok());
            Ok((text.clone(), number.ok_or_else(wrong)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_is_named() {
        let model = r#"{"type": "WordPiece", "unk_token": "a", "vocab": {"a": 0}}"#;
        for (parts, expected) in [
            (r#""normalizer": {"type": "Magic"}"#, "normalises by `Magic`"),
            (r#""pre_tokenizer": {"type": "Digits"}"#, "splits by `Digits`"),
            (
                r#""pre_tokenizer": {"type": "Split", "invert": true, "pattern": {"Regex": "(?=a)"}}"#,
                "`(?=a)`",
            ),
            (r#""post_processor": {"type": "Late"}"#, "ends texts by `Late`"),
        ] {
            let error = Tokenizer::read(&format!("{{{parts}, \"model\": {model}}}")).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Tokenizer::read(r#"{"model": {"type": "Words"}}"#).unwrap_err().contains("`Words`"));
        assert!(Tokenizer::read("not JSON").is_err());
    }

    #[test]
    fn a_text_without_words_has_the_tokens_of_the_reference() {
        #[derive(Deserialize)]
        struct Reference {
            texts: Vec<String>,
            tokens: Vec<Vec<i32>>,
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/siglip2");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let tokenizer = Tokenizer::read(&read("tokenizer.json")).unwrap();
        let reference: Reference = serde_json::from_str(&read("reference.json")).unwrap();
        assert_eq!(reference.texts.len(), 7);
        for (text, expected) in reference.texts.iter().zip(reference.tokens) {
            assert_eq!(tokenizer.tokens(text, 1000), expected, "`{text}`");
        }
    }

    #[test]
    fn bytes_become_printable_characters_each_its_own() {
        let all: std::collections::BTreeSet<char> = (0..=255).map(printable).collect();
        assert_eq!(all.len(), 256);
        assert_eq!((printable(b'a'), printable(b' '), printable(0)), ('a', 'Ġ', 'Ā'));
    }
}
