//! Excerpts of texts that were found by their words, for an engine that cuts none.

use super::tokenize::indexed;
use std::collections::BTreeSet;
use std::ops::Range;

/// Number of words of an excerpt.
const WORDS: usize = 24;

/// An excerpt of the text around the first of the `wanted` words, with each of them between `[` and `]`.
pub(super) fn snippet(text: &str, wanted: &[String]) -> String {
    let wanted: BTreeSet<String> = wanted.iter().flat_map(|word| indexed(word)).collect();
    let words = places(text);
    let is_wanted = |place: &Range<usize>| {
        let own = indexed(&text[place.clone()]);
        !own.is_empty() && own.is_subset(&wanted)
    };
    let first = words.iter().position(is_wanted).unwrap_or(0);
    // A few words before it, unless the end of the text is near.
    let begin = first.saturating_sub(WORDS / 4).min(words.len().saturating_sub(WORDS));
    let shown = &words[begin..words.len().min(begin + WORDS)];
    let (is_cut_before, is_cut_after) = (begin > 0, begin + WORDS < words.len());
    let from = if is_cut_before { shown.first().map_or(0, |place| place.start) } else { 0 };
    let to = if is_cut_after { shown.last().map_or(text.len(), |place| place.end) } else { text.len() };
    let mut excerpt = String::from(if is_cut_before { "…" } else { "" });
    let mut at = from;
    for place in shown.iter().filter(|place| is_wanted(place)) {
        excerpt.push_str(&text[at..place.start]);
        excerpt.push('[');
        excerpt.push_str(&text[place.clone()]);
        excerpt.push(']');
        at = place.end;
    }
    excerpt.push_str(&text[at..to]);
    excerpt.push_str(if is_cut_after { "…" } else { "" });
    excerpt
}

/// Where the words of a text are: its runs of characters that are not white space or punctuation.
fn places(text: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut begin = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let is_within = c.is_alphanumeric() || begin.is_some() && !c.is_ascii() && !c.is_whitespace();
        match (begin, is_within) {
            (None, true) => begin = Some(at),
            (Some(start), false) => {
                places.push(start..at);
                begin = None;
            }
            _ => {}
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_words_are_marked_and_long_texts_cut() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            snippet("Cows eat grass; a COW gives milk.", &words("cow milk")),
            "Cows eat grass; a [COW] gives [milk]."
        );
        assert_eq!(snippet("un café, et une table", &words("cafe")), "un [café], et une table");
        let long = (0..100).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        let cut = snippet(&long, &words("w50"));
        assert!(cut.starts_with("…w44") && cut.contains(" [w50] ") && cut.ends_with("w67…"), "{cut}");
        assert_eq!(snippet("nothing of it", &words("absent")), "nothing of it");
    }
}
