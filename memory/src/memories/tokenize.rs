//! Words of any text in any script, and how well a text answers them.

use rust_stemmers::{Algorithm, Stemmer};
use std::collections::BTreeMap;

/// How much of a text is looked at, in bytes.
const MAX_TEXT_BYTES: usize = 64 << 10;
/// How many different words of a query count.
const MAX_QUERY_TERMS: usize = 128;
/// Longer words are cut.
const MAX_WORD_CHARS: usize = 64;

/// English words of grammar, sorted.
const FUNCTION_WORDS: [&str; 64] = [
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "i", "in", "is", "it", "its",
    "me", "my", "of", "on", "or", "our", "she", "so", "than", "that", "the", "their", "them", "then",
    "there", "they", "this", "to", "was", "we", "were", "what", "when", "where", "which", "who", "whom",
    "whose", "why", "will", "with", "would", "you", "your",
];

/// The words of a text in lower case. A word is a run of letters and digits; in scripts written without
/// spaces every character is one.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    let end = (0..=MAX_TEXT_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end]
        .split(|c: char| !c.is_alphanumeric())
        .flat_map(pieces)
        .map(|word| word.chars().take(MAX_WORD_CHARS).flat_map(char::to_lowercase).collect())
}

/// The words of a text, the English ones by their stems (Porter 2001, "Snowball").
fn stems(text: &str) -> impl Iterator<Item = String> {
    let stemmer = Stemmer::create(Algorithm::English);
    words(text).map(move |word| if word.is_ascii() { stemmer.stem(&word).into_owned() } else { word })
}

/// The different stems of a query, in their order. Words that a question has whatever it is about are left out,
/// unless there are no others.
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

/// An FTS5 query for texts with all of these words. Every word is quoted, so nothing in it is an operator.
pub(super) fn match_all(text: &str) -> Option<String> {
    let quoted: Vec<_> = first(words(text)).iter().map(|term| format!("\"{term}\"")).collect();
    (!quoted.is_empty()).then(|| quoted.join(" "))
}

/// How often each stem occurs.
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

/// Thai to Khmer, kana, and Chinese characters.
fn is_unspaced(c: char) -> bool {
    matches!(c as u32, 0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

/// Okapi BM25 (Robertson and Zaragoza 2009, section 3.2) with the inverse document frequency that is never negative,
/// ln(1 + (N − n + ½) / (n + ½)), and k1 = 1.2. The usual b = 0.75 is for documents of any length; memories are short,
/// and b = 0.4 found more of what was asked for (README, "Memory").
#[derive(Debug, Clone, Copy)]
pub(super) struct Bm25 {
    /// Texts in all.
    pub(super) texts: usize,
    /// Words in a text on average.
    pub(super) mean_length: f64,
}

/// One word of a query under [`Bm25`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    rarity: f64,
    mean_length: f64,
}

impl Bm25 {
    /// A word that occurs in so many of the texts.
    pub(super) fn word(&self, holders: usize) -> Word {
        let others = self.texts.saturating_sub(holders) as f64;
        let rarity = (1.0 + (others + 0.5) / (holders as f64 + 0.5)).ln();
        Word { rarity, mean_length: self.mean_length.max(1.0) }
    }
}

impl Word {
    /// What it adds for a text of `length` words in which it occurs `count` times.
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
    fn words_of_several_scripts() {
        for (text, expected) in [
            ("Collect WOOD, then\0place_table!", vec!["collect", "wood", "then", "place", "table"]),
            ("Ärger im Straßenbau", vec!["ärger", "im", "straßenbau"]),
            ("木を切る axe", vec!["木", "を", "切", "る", "axe"]),
            ("\" OR NEAR(*) -\"", vec!["or", "near"]),
            ("", vec![]),
            ("🪓 ؟ — ", vec![]),
        ] {
            assert_eq!(words(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_question_is_reduced_to_what_it_is_about() {
        assert!(FUNCTION_WORDS.is_sorted());
        assert_eq!(terms("When did they collect the wooden tables?"), ["collect", "wooden", "tabl"]);
        assert_eq!(terms("what is it"), ["what", "is", "it"]);
        assert_eq!(counted("Collecting, collected: collects")["collect"], 3);
    }

    #[test]
    fn a_huge_query_is_cut() {
        let text = (0..200_000).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        assert!(text.len() > 1 << 20);
        assert_eq!(terms(&text).len(), MAX_QUERY_TERMS);
        assert_eq!(
            words(&"é".repeat(1 << 20)).map(|word| word.chars().count()).sum::<usize>(),
            MAX_WORD_CHARS
        );
    }

    #[test]
    fn rarer_words_and_shorter_texts_count_more() {
        let bm25 = Bm25 { texts: 100, mean_length: 10.0 };
        let term = |holders, count, length| bm25.word(holders).count(count, length);
        assert!(term(1, 1, 10) > term(50, 1, 10));
        assert!(term(5, 1, 5) > term(5, 1, 50));
        assert!(term(5, 3, 10) > term(5, 1, 10));
        assert!(term(100, 1, 10) > 0.0);
    }

    proptest! {
        #[test]
        fn words_hold_no_operators(text in any::<String>()) {
            for word in words(&text) {
                prop_assert!(!word.is_empty() && !word.contains(['"', '\0', ' ', '*']), "{:?}", word);
            }
        }
    }
}
