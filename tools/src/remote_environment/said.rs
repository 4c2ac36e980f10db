//! Fields of a text, for a world that only talks: skills and conditions read fields, and a search for programs branches on them.
//!
//! Each line and sentence is a fixed part and what varies, as log parsers see it (Drain, ICWS 2017). Parsers learn the fixed part
//! from many lines. Here it is a rule, so that one text gives the same fields in every episode and every run: a name before a
//! colon, or else the first two words. What follows is numbers with the words that they count, or a list.

use serde_json::{Map, Number, Value};

/// Limit on the fields of one text.
const FIELDS: usize = 64;
/// Limit on the items of a field.
const ITEMS: usize = 64;
/// Limit on an item, in characters.
const ITEM: usize = 80;
/// Limit on the words of a name before a colon.
const NAME_WORDS: usize = 5;
/// Words of a sentence that name its field.
const HEAD: usize = 2;
/// The field of sentences that are all head.
const SHORT: &str = "says";
/// What a number counts where no word follows it, in a sentence with several.
const NUMBER: &str = "number";
/// What may stand around a sentence: bullets, quotation marks, spaces.
const BEFORE: [char; 9] = [' ', '\t', '*', '>', '#', '=', '"', '\'', '“'];
const AFTER: [char; 7] = [' ', '\t', '*', '=', '"', '\'', '”'];
const ARTICLES: [&str; 3] = ["a ", "an ", "the "];

/// The fields of a text. "My health is at 90. You have 3 coins. Exits: north, east" is
/// `{"my_health": 90, "you_have": {"coins": 3}, "exits": ["north", "east"]}`.
///
/// A field keeps the kind of value that it has first in the text; sentences with another kind are left out.
pub(super) fn fields(text: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    for sentence in text.lines().flat_map(sentences) {
        if let Some((name, value)) = field(sentence) {
            add(&mut fields, name, value);
        }
    }
    fields
}

/// The sentences of a line. A full stop within a word or number ends none.
fn sentences(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut begin = 0;
    let mut ends = line.char_indices().peekable();
    while let Some((at, c)) = ends.next() {
        let wide = matches!(c, '。' | '！' | '？');
        let ended = matches!(c, '.' | '!' | '?')
            && ends.peek().is_none_or(|(_, next)| next.is_whitespace() || matches!(next, '"' | '\'' | ')'));
        if wide || ended {
            found.push(&line[begin..at]);
            begin = at + c.len_utf8();
        }
    }
    found.push(&line[begin..]);
    found.retain(|one| one.contains(char::is_alphanumeric));
    for one in &mut found {
        *one = one.trim_start_matches(BEFORE).trim_end_matches(AFTER);
    }
    found
}

fn field(sentence: &str) -> Option<(String, Value)> {
    if let Some((name, rest)) = sentence.split_once([':', '：'])
        && (1..=NAME_WORDS).contains(&name.split_whitespace().count())
    {
        let name = identifier(name.split_whitespace())?;
        let rest = rest.trim();
        return Some((name, number(rest).map_or_else(|| list(rest), Value::Number)));
    }
    let words: Vec<&str> = sentence.split_whitespace().collect();
    if words.iter().any(|word| number(word).is_some()) {
        return Some(counts(&words));
    }
    let Some(head) = words.get(..HEAD).filter(|_| words.len() > HEAD) else {
        return Some((SHORT.to_owned(), list(sentence)));
    };
    let name = identifier(head.iter().copied())?;
    Some((name, list(&words[HEAD..].join(" "))))
}

/// A sentence with numbers: one number, or each with the word after it.
fn counts(words: &[&str]) -> (String, Value) {
    let named = words.iter().copied().filter(|word| number(word).is_none());
    let name = identifier(named.take(HEAD)).unwrap_or_else(|| SHORT.to_owned());
    let mut counted = Map::new();
    for (at, word) in words.iter().enumerate() {
        let Some(number) = number(word) else { continue };
        let unit = words
            .get(at + 1)
            .filter(|next| word.ends_with(char::is_alphanumeric) && self::number(next).is_none());
        let unit = unit.and_then(|unit| identifier(std::iter::once(*unit)));
        counted.entry(unit.unwrap_or_else(|| NUMBER.to_owned())).or_insert(Value::Number(number));
    }
    let alone = if counted.len() == 1 { counted.get(NUMBER).cloned() } else { None };
    (name, alone.unwrap_or(Value::Object(counted)))
}

/// The number that a word is, with punctuation or a percent sign after it.
fn number(word: &str) -> Option<Number> {
    let digits = word.trim_end_matches(['.', ',', ';', '!', '?', '%', ')']).trim_start_matches(['(', '+']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    digits.parse::<i64>().ok().map(Number::from).or_else(|| digits.parse().ok().and_then(Number::from_f64))
}

/// The items of an enumeration, without articles.
fn list(text: &str) -> Value {
    let parts = text.split([',', ';', '，', '、']).flat_map(|part| part.split(" and "));
    let items = parts.map(|part| {
        let part = part.trim();
        let part = part.strip_prefix("and ").unwrap_or(part);
        let bare = ARTICLES.iter().find_map(|article| part.strip_prefix(article)).unwrap_or(part);
        bare.chars().take(ITEM).collect::<String>()
    });
    items.filter(|item| !item.is_empty()).take(ITEMS).map(Value::from).collect()
}

/// Words as the name of a field: `my_health`.
fn identifier<'a>(words: impl Iterator<Item = &'a str>) -> Option<String> {
    let words = words.map(|word| {
        let letters = word.chars().filter(|c| c.is_alphanumeric() || *c == '_');
        letters.flat_map(char::to_lowercase).collect::<String>()
    });
    let name: String =
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_").chars().take(ITEM).collect();
    let begins = name.chars().next()?;
    Some(if begins.is_numeric() { format!("n{name}") } else { name })
}

/// Puts a value to those of the same name: lists are joined, counts are merged.
fn add(fields: &mut Map<String, Value>, name: String, value: Value) {
    let Some(known) = fields.get_mut(&name) else {
        if fields.len() < FIELDS {
            fields.insert(name, value);
        }
        return;
    };
    match (known, value) {
        (Value::Array(known), Value::Array(more)) => {
            for item in more {
                if known.len() < ITEMS && !known.contains(&item) {
                    known.push(item);
                }
            }
        }
        (Value::Object(known), Value::Object(more)) => {
            for (unit, count) in more {
                known.entry(unit).or_insert(count);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn sentences_become_fields_of_numbers_counts_and_lists() {
        let text = "Current Location: Old Mill (cellar)\nI am holding: a lamp and an apple.\nMy health is at 90.\n\
            I see small_bag_1, a red door; the well. You have 3 coins, 12 arrows. It is dark here. You win!\nGold: 1.5\n\
            The door is locked. The door creaks loudly.\nNeighbouring areas: \n100% done";
        assert_eq!(
            Value::Object(fields(text)),
            json!({
                "current_location": ["Old Mill (cellar)"],
                "i_am_holding": ["lamp", "apple"],
                "my_health": 90,
                "i_see": ["small_bag_1", "red door", "well"],
                "you_have": {"coins": 3, "arrows": 12},
                "it_is": ["dark here"],
                "says": ["You win"],
                "gold": 1.5,
                "the_door": ["is locked", "creaks loudly"],
                "neighbouring_areas": [],
                "done": 100,
            })
        );
    }

    #[test]
    fn other_scripts_have_names_too() {
        assert_eq!(
            Value::Object(fields("出口：北、东。位置：厨房")),
            json!({"出口": ["北", "东"], "位置": ["厨房"]})
        );
    }

    #[test]
    fn one_name_has_one_kind_of_value() {
        assert_eq!(
            Value::Object(fields("You have 3 coins. You have nothing at all.")),
            json!({"you_have": {"coins": 3}})
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_bounded_fields_and_always_the_same(text in "(?s).{0,400}") {
            let found = fields(&text);
            prop_assert!(found.len() <= FIELDS);
            prop_assert_eq!(&found, &fields(&text));
            for (name, value) in found {
                prop_assert!(!name.is_empty() && !name.contains(char::is_whitespace));
                let parts = value.as_array().map_or(1, Vec::len).max(value.as_object().map_or(1, Map::len));
                prop_assert!(parts <= ITEMS, "{}", parts);
            }
        }
    }
}
