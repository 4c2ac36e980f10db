//! Tokenises text in any script, and scores texts with BM25.

use super::fold::fold;
use rust_stemmers::{Algorithm, Stemmer};
use std::collections::{BTreeMap, BTreeSet};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Longest part of a text that is tokenised, in bytes.
const MAX_TEXT_BYTES: usize = 64 << 10;
/// Largest number of distinct terms in a query.
const MAX_QUERY_TERMS: usize = 128;
/// Longer words are truncated.
const MAX_WORD_CHARS: usize = 64;

/// English stop words, sorted.
const FUNCTION_WORDS: [&str; 64] = [
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "i", "in", "is", "it", "its",
    "me", "my", "of", "on", "or", "our", "she", "so", "than", "that", "the", "their", "them", "then",
    "there", "they", "this", "to", "was", "we", "were", "what", "when", "where", "which", "who", "whom",
    "whose", "why", "will", "with", "would", "you", "your",
];

/// The words of a text in lower case and one spelling ([`fold`]). A word is a run of letters and digits. In scripts
/// written without spaces, every character is a word.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> + use<> {
    let text = fold(&text[..text.floor_char_boundary(MAX_TEXT_BYTES)]);
    let word = |word: &str| word.chars().take(MAX_WORD_CHARS).flat_map(char::to_lowercase).collect();
    let words: Vec<String> = text.split(|c: char| !c.is_alphanumeric()).flat_map(pieces).map(word).collect();
    words.into_iter()
}

/// The words of a text; ASCII words are stemmed (Porter 2001, "Snowball").
fn stems(text: &str) -> impl Iterator<Item = String> + use<> {
    let stemmer = Stemmer::create(Algorithm::English);
    words(text).map(move |word| if word.is_ascii() { stemmer.stem(&word).into_owned() } else { word })
}

/// The distinct stems of a query, in order. Stop words are dropped, unless the query has no other words.
pub(super) fn terms(text: &str) -> Vec<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    let stem = |word: String| if word.is_ascii() { stemmer.stem(&word).into_owned() } else { word };
    let telling = words(text).filter(|word| FUNCTION_WORDS.binary_search(&word.as_str()).is_err());
    let terms = first(telling.map(stem));
    if terms.is_empty() { first(stems(text)) } else { terms }
}

fn first(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut terms = Vec::new();
    for word in words {
        if terms.len() == MAX_QUERY_TERMS {
            break;
        }
        if !terms.contains(&word) {
            terms.push(word);
        }
    }
    terms
}

/// The distinct words of a text that is searched for.
pub(super) fn wanted(text: &str) -> Vec<String> {
    first(words(text))
}

/// The distinct words of a text as an index of words has them, sorted.
pub(super) fn indexed(text: &str) -> BTreeSet<String> {
    words(text).map(|word| plain(&word)).collect()
}

/// A word without its diacritics, as the tokeniser of `SQLite` has it: a search for "cafe" finds "café".
pub(crate) fn plain(word: &str) -> String {
    if word.is_ascii() {
        word.to_owned()
    } else {
        word.nfd().filter(|c| !is_combining_mark(*c)).nfc().collect()
    }
}

/// Number of occurrences of each stem.
pub(super) fn counted(text: &str) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for word in stems(text) {
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}

fn pieces(run: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, c) in run.char_indices() {
        if is_unspaced(c) {
            pieces.push(&run[start..at]);
            start = at + c.len_utf8();
            pieces.push(&run[at..start]);
        }
    }
    pieces.push(&run[start..]);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Thai, Lao, Myanmar, Khmer, kana, and Chinese characters.
fn is_unspaced(c: char) -> bool {
    matches!(c as u32, 0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

/// Okapi BM25 (Robertson and Zaragoza 2009, section 3.2) with k1 = 1.2 and b = 0.4.
///
/// The inverse document frequency ln(1 + (N − n + ½) / (n + ½)) is never negative. The usual b = 0.75 suits
/// documents of varied length. Memories are short, and b = 0.4 found more answers on the development
/// questions (`cargo measure locomo`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Bm25 {
    /// Number of texts.
    pub(super) texts: usize,
    /// Mean number of words in a text.
    pub(super) mean_length: f64,
}

/// One query term under [`Bm25`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    rarity: f64,
    mean_length: f64,
}

impl Bm25 {
    /// A term that occurs in `holders` texts.
    pub(super) fn word(&self, holders: usize) -> Word {
        let others = self.texts.saturating_sub(holders) as f64;
        let rarity = (1.0 + (others + 0.5) / (holders as f64 + 0.5)).ln();
        Word { rarity, mean_length: self.mean_length.max(1.0) }
    }
}

impl Word {
    /// The score that the term adds to a text of `length` words with `count` occurrences.
    #[inline]
    pub(super) fn count(self, count: u32, length: u32) -> f64 {
        const K1: f64 = 1.2;
        const B: f64 = 0.4;
        let count = f64::from(count);
        let norm = K1 * (1.0 - B + B * f64::from(length) / self.mean_length);
        self.rarity * count * (K1 + 1.0) / (count + norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_split_in_several_scripts() {
        for (text, expected) in [
            ("Collect WOOD, then\0place_table!", vec!["collect", "wood", "then", "place", "table"]),
            ("Ärger im Straßenbau", vec!["ärger", "im", "straßenbau"]),
            ("木を切る axe", vec!["木", "を", "切", "る", "axe"]),
            ("\" OR NEAR(*) -\"", vec!["or", "near"]),
            ("", vec![]),
            ("🪓 ؟ — ", vec![]),
            ("o\u{fb03}ce ｃａｆｅ\u{301} co\u{ad}op ③", vec!["office", "café", "coop", "3"]),
        ] {
            assert_eq!(words(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn query_terms_are_stemmed_without_stop_words() {
        assert!(FUNCTION_WORDS.is_sorted());
        assert_eq!(terms("When did they collect the wooden tables?"), ["collect", "wooden", "tabl"]);
        assert_eq!(terms("what is it"), ["what", "is", "it"]);
        assert_eq!(counted("Collecting, collected: collects")["collect"], 3);
    }

    #[test]
    fn huge_query_is_truncated() {
        let text = (0..200_000).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        assert!(text.len() > 1 << 20);
        assert_eq!(terms(&text).len(), MAX_QUERY_TERMS);
        assert_eq!(
            words(&"é".repeat(1 << 20)).map(|word| word.chars().count()).sum::<usize>(),
            MAX_WORD_CHARS
        );
    }

    #[test]
    fn bm25_favours_rare_words_and_short_texts() {
        let bm25 = Bm25 { texts: 100, mean_length: 10.0 };
        let term = |holders, count, length| bm25.word(holders).count(count, length);
        assert!(term(1, 1, 10) > term(50, 1, 10));
        assert!(term(5, 1, 5) > term(5, 1, 50));
        assert!(term(5, 3, 10) > term(5, 1, 10));
        assert!(term(100, 1, 10) > 0.0);
    }

    proptest! {
        #[test]
        fn words_contain_no_fts_operators(text in any::<String>()) {
            for word in words(&text) {
                prop_assert!(!word.is_empty() && !word.contains(['"', '\0', ' ', '*']), "{:?}", word);
            }
        }
    }
}
