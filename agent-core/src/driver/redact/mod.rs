//! Removes declared secrets from the log, from prompts and from errors.
//!
//! Everything from outside is redacted before the core sees it and before it is recorded. So nothing that is derived from
//! it, now or in a replay, can contain a secret.
//!
//! A secret is found as it is, as a number, in base64, in hexadecimal, percent-encoded, with the escapes of JSON, of C and of markup,
//! quoted-printable, in UTF-16, broken over lines, among colour codes, links of a terminal, zero bytes and invisible characters, and as
//! a dump of its bytes in numbers or letters that stand apart. A secret that is cut into several values, compressed, or encoded in another way, is not
//! found. Where a type allows no
//! marker, a text that is nothing but a secret stays: it is a word of this program, such as the name of a variant.

mod decoding;
mod dumps;
mod escapes;
mod needles;
mod pass;

use aho_corasick::AhoCorasick;
use decoding::readings;
use needles::{LONG, Needle, SHORTEST, needles};
use pass::{Pass, Redacting, is_address};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sojourn_tools::secrets;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Most places of one value that may need to keep their type. A value with more is refused.
const MOST_TYPED: usize = 64;
/// Hashes and modules have digits by chance; shorter forms of secrets are not looked for in them, and these only as whole bytes.
const SHORTEST_IN_ADDRESS: usize = 12;
/// Forms of this length are looked for anywhere in them.
const LONG_IN_ADDRESS: usize = 16;

/// Size of the parts in which a long text is searched, in bytes. The readings of a part take about a hundred times as much.
const MAX_PART: usize = 1 << 18;
/// The bytes of a text that may stand for one byte of a secret: `\\u0041`, a line of a dump, a colour code.
const MAX_EXPANSION: usize = 32;

/// A search, and the generation of the obtained tokens that it knows.
type CountedMatcher = (u64, Arc<Matcher>);

/// The secret values, each with the name that replaces it.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Pairs of name and value.
    secrets: Arc<Vec<(String, String)>>,
    /// The search for them and for the tokens that this process has obtained since.
    matcher: Arc<RwLock<Option<CountedMatcher>>>,
    /// The secrets that no world is given.
    unpictured: BTreeSet<String>,
}

/// A secret stands where the value's type allows no other: the value can neither be recorded nor used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a value contains the secret {names} where nothing else can stand, so it was dropped")]
pub struct Unredactable {
    /// The names of all secrets, at least one of which the value contains.
    names: String,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.secrets.iter().map(|(name, _)| name.as_str()).collect();
        formatter.debug_tuple("Redactor").field(&names).finish()
    }
}

impl Redactor {
    /// Replaces every value by `[secret NAME]`. The pairs are `(name, value)`. Values under six bytes are replaced only
    /// where they stand as words of their own, values under four bytes not at all: see [`uncovered`](Self::uncovered).
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        let secrets = secrets.into_iter().map(|(name, value)| (name, value.trim().to_owned()));
        let mut secrets: Vec<_> = secrets.filter(|(_, value)| !value.is_empty()).collect();
        secrets.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.cmp(b)));
        Self { secrets: Arc::new(secrets), matcher: Arc::default(), unpictured: BTreeSet::new() }
    }

    /// Says that the secrets `names` are given to no world, as the keys of the servers that run models, so that no picture of a world
    /// shows them.
    #[must_use]
    pub fn with_unpictured<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.unpictured = names.into_iter().map(str::to_owned).collect();
        self
    }

    /// Whether a picture of a world may show a secret.
    pub fn may_be_pictured(&self) -> bool {
        self.matcher().names.iter().any(|name| !self.unpictured.contains(name))
    }

    /// Names of the secrets that are too short to be replaced everywhere, each with a clause for people about its treatment.
    pub fn uncovered(&self) -> Vec<(&str, &'static str)> {
        let short = self.secrets.iter().filter(|(_, value)| value.len() < LONG);
        short
            .map(|(name, value)| {
                let instead = if value.len() < SHORTEST {
                    "it is too short to be removed from the log"
                } else {
                    "it is short, so it is removed from the log only where it stands as a word of its own"
                };
                (name.as_str(), instead)
            })
            .collect()
    }

    /// Whether there are no secrets.
    pub fn is_empty(&self) -> bool {
        self.matcher().names.is_empty()
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        self.matcher().text(text).into_owned()
    }

    /// Redacts every string, number and key of `value`.
    pub fn value(&self, value: &mut Value) {
        match self.any(std::mem::take(value)) {
            Ok(redacted) => *value = redacted,
            // Any JSON value can hold a marker.
            Err(error) => *value = Value::String(error.to_string()),
        }
    }

    /// Redacts any value that can be written as JSON. Names of its fields and variants stay, keys of its maps do not.
    ///
    /// # Errors
    /// A secret stands where the type allows neither its marker nor another number.
    pub fn any<T: Serialize + DeserializeOwned>(&self, what: T) -> Result<T, Unredactable> {
        let matcher = self.matcher();
        if matcher.names.is_empty() {
            return Ok(what);
        }
        let refused = || Unredactable { names: matcher.names.join(" or ") };
        let none = BTreeSet::new();
        let first = Pass::new(&matcher, &none);
        let value = serde_json::to_value(Redacting(&what, &first)).map_err(|_| refused())?;
        let found = first.found();
        if found == 0 {
            return Ok(what);
        }
        if let Ok(redacted) = serde_json::from_value(value) {
            return Ok(redacted);
        }
        if found > MOST_TYPED {
            return Err(refused());
        }
        let with = |typed: &BTreeSet<usize>| -> Option<T> {
            let value = serde_json::to_value(Redacting(&what, &Pass::new(&matcher, typed))).ok()?;
            serde_json::from_value(value).ok()
        };
        let mut typed: BTreeSet<usize> = (0..found).collect();
        let mut redacted = with(&typed).ok_or_else(refused)?;
        for place in 0..found {
            typed.remove(&place);
            match with(&typed) {
                Some(better) => redacted = better,
                None => {
                    typed.insert(place);
                }
            }
        }
        Ok(redacted)
    }

    fn matcher(&self) -> Arc<Matcher> {
        let learned = secrets::learned();
        let known = self.matcher.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some((generation, matcher)) if generation == learned.generation => matcher,
            _ => {
                let matcher = Arc::new(Matcher::new(self.secrets.iter().chain(learned.secrets.iter())));
                let mut place = self.matcher.write().unwrap_or_else(PoisonError::into_inner);
                *place = Some((learned.generation, Arc::clone(&matcher)));
                matcher
            }
        }
    }
}

/// Finds all forms of all secrets.
struct Matcher {
    names: Vec<String>,
    /// The secrets that are numbers: digits without sign and leading zeros, and the place of the name.
    numbers: Vec<(String, usize)>,
    needles: Vec<Needle>,
    search: Option<AhoCorasick>,
}

impl Matcher {
    fn new<'a>(secrets: impl Iterator<Item = &'a (String, String)>) -> Self {
        let (mut names, mut numbers, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in secrets.filter(|(_, value)| value.len() >= SHORTEST) {
            let place = names.len();
            names.push(name.clone());
            all.extend(needles(value, place));
            if let Some(digits) = number(value).filter(|digits| digits.len() >= SHORTEST) {
                all.push(Needle { bytes: digits.clone().into_bytes(), secret: place, word: true });
                numbers.push((digits, place));
            }
        }
        // `None` for more needles than the automaton can hold: then no text passes, because no secret would be found.
        let search = AhoCorasick::new(all.iter().map(|needle| &needle.bytes)).ok();
        Self { names, numbers, needles: all, search }
    }

    fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.names.is_empty() {
            return Cow::Borrowed(text);
        }
        let Some(search) = &self.search else { return Cow::Owned("[too many secrets]".to_owned()) };
        let address = is_address(text);
        let mut found: Vec<(usize, usize, usize)> = Vec::new();
        let markers = self.markers(text);
        for (offset, part) in self.parts(text) {
            for reading in readings(part) {
                for hit in search.find_overlapping_iter(&reading.bytes) {
                    let needle = &self.needles[hit.pattern().as_usize()];
                    let by_chance = match needle.bytes.len() {
                        ..SHORTEST_IN_ADDRESS => true,
                        SHORTEST_IN_ADDRESS..LONG_IN_ADDRESS => !(offset + hit.start()).is_multiple_of(2),
                        _ => false,
                    };
                    if needle.word && !is_word(&reading.bytes, hit.start(), hit.end()) || address && by_chance
                    {
                        continue;
                    }
                    let (start, end) = reading.origin(hit.start(), hit.end());
                    let (start, end) = (start + offset, end + offset);
                    // Of the markers that begin before it the last is the only one that can hold it.
                    let before = markers.partition_point(|(from, _)| *from <= start);
                    if markers[..before].last().is_none_or(|(_, to)| *to < end) {
                        found.push((start, end, needle.secret));
                    }
                }
            }
        }
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        // The earliest first, of those the longest.
        found.sort_unstable_by_key(|(start, end, _)| (*start, std::cmp::Reverse(*end)));
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        let mut hits = found.into_iter().peekable();
        while let Some((start, mut end, secret)) = hits.next() {
            while let Some((_, further, _)) = hits.next_if(|(next, ..)| *next < end) {
                end = end.max(further);
            }
            let (start, end) = (text.floor_char_boundary(start).max(done), text.ceil_char_boundary(end));
            out.push_str(&text[done..start]);
            out.push_str(&marker(&self.names[secret]));
            done = end;
        }
        out.push_str(&text[done..]);
        Cow::Owned(out)
    }

    /// The text in parts of a bounded size, each with its position. They overlap, so that every form of a secret is whole in one.
    fn parts<'t>(&self, text: &'t str) -> impl Iterator<Item = (usize, &'t str)> {
        let longest = self.needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or_default();
        let overlap = longest.saturating_mul(MAX_EXPANSION).saturating_add(MAX_EXPANSION);
        let size = MAX_PART.max(overlap.saturating_mul(2));
        let mut next = Some(0_usize);
        std::iter::from_fn(move || {
            let start = next?;
            let end = text.ceil_char_boundary(start.saturating_add(size).min(text.len()));
            next = (end < text.len()).then(|| text.floor_char_boundary(end - overlap));
            Some((start, &text[start..end]))
        })
    }

    /// The marker of the secret that this number is, and whether it has many digits.
    fn number(&self, text: &str) -> Option<(String, bool)> {
        let digits = number(text)?;
        let (_, place) = self.numbers.iter().find(|(secret, _)| *secret == digits)?;
        Some((marker(&self.names[*place]), digits.len() >= LONG))
    }

    fn has_numbers(&self) -> bool {
        !self.numbers.is_empty()
    }

    fn is_marker(&self, text: &str) -> bool {
        self.names.iter().any(|name| marker(name) == text)
    }

    /// The ranges of markers in a text that was redacted before, in order. None lies within another.
    fn markers(&self, text: &str) -> Vec<(usize, usize)> {
        if !text.contains("[secret ") {
            return Vec::new();
        }
        let ranges = |name: &String| {
            let marker = marker(name);
            let places: Vec<usize> = text.match_indices(&marker).map(|(start, _)| start).collect();
            places.into_iter().map(move |start| (start, start + marker.len()))
        };
        let mut all: Vec<(usize, usize)> = self.names.iter().flat_map(ranges).collect();
        all.sort_unstable_by_key(|(start, end)| (*start, std::cmp::Reverse(*end)));
        let mut outermost: Vec<(usize, usize)> = Vec::with_capacity(all.len());
        for range in all {
            if outermost.last().is_none_or(|(_, end)| *end < range.1) {
                outermost.push(range);
            }
        }
        outermost
    }
}

fn marker(name: &str) -> String {
    format!("[secret {name}]")
}

/// A number's digits without its sign, leading zeros, and an empty fraction or exponent; `None` for any other text.
fn number(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = if unsigned.contains(['e', 'E']) {
        format!("{}", unsigned.parse::<f64>().ok()?)
    } else {
        unsigned.to_owned()
    };
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// Whether no letter, digit or underscore stands beside these bytes.
fn is_word(bytes: &[u8], start: usize, end: usize) -> bool {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
    let before = start.checked_sub(1).and_then(|before| bytes.get(before));
    !before.is_some_and(inside) && !bytes.get(end).is_some_and(inside)
}

#[cfg(test)]
mod tests;
