//! Words as pieces of a vocabulary.

use super::tokenizer::numbered;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Longest word of unigrams and of word pieces, in characters; a longer one is unknown. It bounds the time of a text without spaces.
const MAX_WORD: usize = 200;

/// Numbers of tokens by their texts.
#[derive(Debug)]
pub(super) struct Vocabulary(BTreeMap<String, i32>);

impl Vocabulary {
    pub(super) fn get(&self, text: &str) -> Option<i32> {
        self.0.get(text).copied()
    }
}

/// How a word becomes pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    vocabulary: Vocabulary,
    unknown: Option<i32>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Byte-pair encoding (Sennrich et al. 2016): pairs of neighbours are merged, those of the lowest rank first.
    Pairs {
        ranks: HashMap<(String, String), usize>,
        end: String,
        /// Tokens of the 256 bytes, for characters that are no piece.
        bytes: Option<Vec<i32>>,
    },
    /// The longest piece first, and pieces after the first with a prefix (Schuster & Nakajima 2012).
    Longest { prefix: String },
    /// The most probable pieces (Kudo 2018), by the logarithms of their probabilities.
    Probable { scores: HashMap<String, f64>, longest: usize, unknown: f64 },
}

impl Pieces {
    pub(super) fn read(model: &Value) -> Result<Self, String> {
        let text = |name: &str| model[name].as_str().unwrap_or_default().to_owned();
        if model["type"] == "Unigram" {
            return Self::unigrams(model);
        }
        let vocabulary = || Ok::<_, String>(Vocabulary(numbered(&model["vocab"])?));
        let (kind, vocabulary) = match model["type"].as_str().unwrap_or_default() {
            "BPE" => {
                let (vocabulary, ranks) = (vocabulary()?, ranks(&model["merges"])?);
                let bytes = if model["byte_fallback"] == true { Some(bytes(&vocabulary)?) } else { None };
                (Kind::Pairs { ranks, end: text("end_of_word_suffix"), bytes }, vocabulary)
            }
            "WordPiece" => (Kind::Longest { prefix: text("continuing_subword_prefix") }, vocabulary()?),
            other => return Err(format!("its tokenizer is a `{other}`, which is not supported")),
        };
        let unknown = vocabulary.get(&text("unk_token"));
        Ok(Self { vocabulary, unknown, kind })
    }

    fn unigrams(model: &Value) -> Result<Self, String> {
        let wrong = || "its vocabulary is damaged".to_owned();
        let (mut numbers, mut scores) = (BTreeMap::new(), HashMap::new());
        for (number, entry) in (0..).zip(model["vocab"].as_array().ok_or_else(wrong)?) {
            let text = entry[0].as_str().ok_or_else(wrong)?;
            numbers.insert(text.to_owned(), number);
            scores.insert(
                text.to_owned(),
                entry[1].as_f64().filter(|score| score.is_finite()).ok_or_else(wrong)?,
            );
        }
        let longest = scores.keys().map(|text| text.chars().count()).max().unwrap_or(1);
        // SentencePiece: what is unknown counts as 10 less than the least probable piece.
        let unknown = scores.values().copied().fold(0.0, f64::min) - 10.0;
        let number = model["unk_id"].as_i64().and_then(|number| i32::try_from(number).ok());
        let kind = Kind::Probable { scores, longest, unknown };
        Ok(Self { vocabulary: Vocabulary(numbers), unknown: number, kind })
    }

    pub(super) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The tokens of a word.
    pub(super) fn of(&self, word: &str) -> Vec<i32> {
        match &self.kind {
            Kind::Pairs { ranks, end, bytes } => {
                let mut tokens = Vec::new();
                for piece in merged(word, ranks, end) {
                    match (self.vocabulary.get(&piece), bytes) {
                        (Some(token), _) => tokens.push(token),
                        (None, Some(known)) => {
                            tokens.extend(piece.bytes().map(|byte| known[usize::from(byte)]));
                        }
                        (None, None) => tokens.extend(self.unknown),
                    }
                }
                tokens
            }
            _ if word.chars().count() > MAX_WORD => self.unknown.into_iter().collect(),
            Kind::Longest { prefix } => match self.longest(word, prefix) {
                Some(tokens) => tokens,
                None => self.unknown.into_iter().collect(),
            },
            Kind::Probable { scores, longest, unknown } => {
                let pieces = probable(word, scores, *longest, *unknown);
                let mut tokens: Vec<i32> = Vec::new();
                for piece in pieces {
                    let known = self.vocabulary.get(&piece);
                    // Unknown characters beside each other are one token.
                    if known.is_some() || tokens.last().copied() != self.unknown {
                        tokens.extend(known.or(self.unknown));
                    }
                }
                tokens
            }
        }
    }

    /// `None` where a part of the word is in no piece: then the whole word is unknown.
    fn longest(&self, word: &str, prefix: &str) -> Option<Vec<i32>> {
        let (mut tokens, mut start) = (Vec::new(), 0);
        while start < word.len() {
            let ends = word[start..].char_indices().map(|(at, c)| start + at + c.len_utf8());
            let found = ends.rev().find_map(|end| {
                let piece = &word[start..end];
                let token = if start == 0 {
                    self.vocabulary.get(piece)
                } else {
                    self.vocabulary.get(&format!("{prefix}{piece}"))
                };
                Some((token?, end))
            });
            let (token, end) = found?;
            tokens.push(token);
            start = end;
        }
        Some(tokens)
    }
}

fn ranks(merges: &Value) -> Result<HashMap<(String, String), usize>, String> {
    let wrong = || "its merges are damaged".to_owned();
    let mut ranks = HashMap::new();
    for (rank, merge) in merges.as_array().ok_or_else(wrong)?.iter().enumerate() {
        // "a b", or ["a", "b"] in newer files.
        let pair = match merge.as_str() {
            Some(text) => text.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())),
            None => merge[0].as_str().zip(merge[1].as_str()).map(|(a, b)| (a.to_owned(), b.to_owned())),
        };
        ranks.insert(pair.ok_or_else(wrong)?, rank);
    }
    Ok(ranks)
}

/// The tokens of all bytes: `<0x00>` to `<0xFF>`.
fn bytes(vocabulary: &Vocabulary) -> Result<Vec<i32>, String> {
    let token = |byte: u8| {
        let name = format!("<0x{byte:02X}>");
        vocabulary.get(&name).ok_or_else(|| format!("its tokenizer has no token `{name}`"))
    };
    (0..=255).map(token).collect()
}

fn merged(word: &str, ranks: &HashMap<(String, String), usize>, end: &str) -> Vec<String> {
    let mut pieces: Vec<String> = word.chars().map(String::from).collect();
    if let Some(last) = pieces.last_mut() {
        last.push_str(end);
    }
    let rank = |pieces: &[String], at: usize| {
        let next = pieces.get(at + 1)?;
        ranks.get(&(pieces[at].clone(), next.clone())).copied()
    };
    // The rank of each piece with the next one. A merge changes two of them, so a text without spaces takes no longer than one with.
    let mut known: Vec<Option<usize>> = (0..pieces.len()).map(|at| rank(&pieces, at)).collect();
    loop {
        let best = known.iter().enumerate().filter_map(|(at, rank)| Some(((*rank)?, at))).min();
        let Some((_, at)) = best else { return pieces };
        let joined = pieces.remove(at + 1);
        known.remove(at + 1);
        pieces[at].push_str(&joined);
        let before = at.saturating_sub(1);
        for (changed, known) in (before..).zip(&mut known[before..=at]) {
            *known = rank(&pieces, changed);
        }
    }
}

/// The most probable pieces by dynamic programming (Viterbi).
fn probable(word: &str, scores: &HashMap<String, f64>, longest: usize, unknown: f64) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    // The score of the best pieces up to each character, and where the last of them begins.
    let mut best: Vec<(f64, usize)> = vec![(0.0, 0)];
    for end in 1..=characters.len() {
        let mut found = (f64::NEG_INFINITY, end - 1);
        for start in end.saturating_sub(longest)..end {
            let piece: String = characters[start..end].iter().collect();
            let score = match scores.get(&piece) {
                Some(score) => *score,
                None if end - start == 1 => unknown,
                None => continue,
            };
            if best[start].0 + score > found.0 {
                found = (best[start].0 + score, start);
            }
        }
        best.push(found);
    }
    let (mut pieces, mut end) = (Vec::new(), characters.len());
    while end > 0 {
        let start = best[end].1;
        pieces.push(characters[start..end].iter().collect());
        end = start;
    }
    pieces.reverse();
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_cuts_a_word_by_its_own_rule() {
        let vocab = json!({"a": 0, "b": 1, "c</w>": 2, "ab": 3, "bc</w>": 4, "?": 5});
        let pairs = json!({"type": "BPE", "unk_token": "?", "end_of_word_suffix": "</w>", "vocab": vocab,
            "merges": ["b c</w>", ["a", "b"]]});
        let pieces = Pieces::read(&pairs).unwrap();
        assert_eq!((pieces.of("abc"), pieces.of("abxc")), (vec![0, 4], vec![3, 5, 2]));
        let longest = json!({"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##",
            "vocab": {"?": 0, "un": 1, "u": 2, "##n": 3, "##do": 4}});
        let pieces = Pieces::read(&longest).unwrap();
        assert_eq!((pieces.of("undo"), pieces.of("unx")), (vec![1, 4], vec![0]));
        let probable = json!({"type": "Unigram", "unk_id": 0,
            "vocab": [["?", 0.0], ["a", -3.0], ["b", -3.0], ["ab", -5.0], ["aba", -20.0]]});
        let pieces = Pieces::read(&probable).unwrap();
        assert_eq!((pieces.of("aba"), pieces.of("xyb")), (vec![3, 1], vec![0, 2]));
        assert_eq!(pieces.of(&"a".repeat(201)), [0], "a word without end is unknown");
    }

    #[test]
    fn what_is_in_no_piece_is_its_bytes_where_the_model_has_them() {
        let mut vocab: serde_json::Map<String, Value> =
            (0..256).map(|byte| (format!("<0x{byte:02X}>"), json!(byte))).collect();
        vocab.insert("a".to_owned(), json!(256));
        let model = |vocab: &serde_json::Map<String, Value>| json!({"type": "BPE", "byte_fallback": true, "unk_token": "a", "vocab": vocab, "merges": []});
        assert_eq!(Pieces::read(&model(&vocab)).unwrap().of("aé"), [256, 0xc3, 0xa9]);
        vocab.remove("<0x7F>");
        assert!(Pieces::read(&model(&vocab)).unwrap_err().contains("no token `<0x7F>`"));
    }
}
