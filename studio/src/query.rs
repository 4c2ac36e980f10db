//! The query of an address.

use crate::StudioError;
use sojourn_logbook::{Filter, flag};

/// Names and values, in order.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of a request.
    pub fn of(uri: &axum::http::Uri) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The value of a name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A number, or `default` where the name is absent.
    ///
    /// # Errors
    /// When it is no number from 0.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, StudioError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        text.parse()
            .map_err(|_| StudioError::Bad(format!("`{name}` must be a whole number from 0, not `{text}`")))
    }

    /// The number of things that are wanted: `default` where that is not said, and at most `most`.
    ///
    /// # Errors
    /// As [`number`](Self::number).
    pub fn limit(&self, default: usize, most: usize) -> Result<usize, StudioError> {
        let limit = self.number("limit", default as u64)?;
        Ok(usize::try_from(limit).unwrap_or(most).min(most))
    }

    /// The filter in `kinds` (names of kinds) and `only` (what a record is), each separated by commas.
    ///
    /// # Errors
    /// When `only` has a word that says nothing about records.
    pub fn filter(&self) -> Result<Filter, StudioError> {
        let words = |name: &str| {
            let text = self.text(name).unwrap_or_default();
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect::<Vec<_>>()
        };
        let mut filter = Filter::default();
        let kinds = words("kinds");
        if !kinds.is_empty() {
            filter = filter.kinds(kinds);
        }
        for word in words("only") {
            let known = FLAGS.iter().find(|(name, _)| *name == word);
            let Some((_, flag)) = known else {
                let names: Vec<&str> = FLAGS.iter().map(|(name, _)| *name).collect();
                return Err(StudioError::Bad(format!("`only` has no `{word}`; it has {}", names.join(", "))));
            };
            filter = filter.flags(*flag);
        }
        Ok(filter)
    }
}

/// The words of `only`.
pub const FLAGS: [(&str, u8); 8] = [
    ("failures", flag::FAILURE),
    ("achievements", flag::ACHIEVEMENT),
    ("deaths", flag::DEATH),
    ("lessons", flag::LESSON),
    ("skills", flag::SKILL),
    ("reflexes", flag::REFLEX),
    ("damaged", flag::DAMAGED),
    ("tries", flag::TRY),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_bounded() {
        let query = Query::of(&"/x?q=a%20b%26c&limit=9999&only=failures,deaths&kinds=act".parse().unwrap());
        assert_eq!(query.text("q"), Some("a b&c"));
        assert_eq!(query.limit(10, 500).unwrap(), 500);
        let expected = Filter::default().flags(flag::FAILURE | flag::DEATH).kinds(["act"]);
        assert_eq!(query.filter().unwrap(), expected);
        assert!(Query::of(&"/x?only=thoughts".parse().unwrap()).filter().is_err());
        assert!(Query::of(&"/x?from=-1".parse().unwrap()).number("from", 1).is_err());
    }
}
