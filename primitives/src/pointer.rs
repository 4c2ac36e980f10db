use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A JSON pointer (RFC 6901): empty for the whole document, otherwise `/` before each name, with `~1` for a `/` and `~0` for a
/// `~` within one.
///
/// Serialised as its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JsonPointer(String);

/// Why a text is no JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonPointerError {
    /// It does not begin with `/`.
    #[error("`{pointer}` is not a JSON pointer: it must begin with `/`")]
    NoSlash {
        /// The text, cut after 80 characters.
        pointer: String,
    },
    /// A `~` is not followed by `0` or `1`.
    #[error("`{pointer}` is not a JSON pointer: `~` is written `~0`")]
    BadEscape {
        /// The text, cut after 80 characters.
        pointer: String,
    },
}

impl JsonPointer {
    /// The pointer to what `names` lead to, the outermost name first.
    pub fn of<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        names.into_iter().fold(Self::default(), |pointer, name| pointer.join(name.as_ref()))
    }

    /// The pointer as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value in `document` that the pointer leads to; `None` if there is no such value.
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        document.pointer(&self.0)
    }

    /// The pointer to the member or element `name` of what this one leads to.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self(format!("{}/{}", self.0, name.replace('~', "~0").replace('/', "~1")))
    }

    /// The last name on the way, unescaped; `None` for the whole document.
    pub fn last(&self) -> Option<Cow<'_, str>> {
        self.names().last()
    }

    /// The names on the way from the document to the value, unescaped.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.split('/').skip(1).map(|name| {
            if name.contains('~') { name.replace("~1", "/").replace("~0", "~").into() } else { name.into() }
        })
    }
}

impl FromStr for JsonPointer {
    type Err = JsonPointerError;

    fn from_str(text: &str) -> Result<Self, JsonPointerError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for JsonPointer {
    type Error = JsonPointerError;

    fn try_from(text: String) -> Result<Self, JsonPointerError> {
        let cut = || text.chars().take(80).collect();
        if !text.is_empty() && !text.starts_with('/') {
            return Err(JsonPointerError::NoSlash { pointer: cut() });
        }
        if text.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
            return Err(JsonPointerError::BadEscape { pointer: cut() });
        }
        Ok(Self(text))
    }
}

impl From<JsonPointer> for String {
    fn from(pointer: JsonPointer) -> Self {
        pointer.0
    }
}

impl AsRef<str> for JsonPointer {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for JsonPointer {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "JsonPointer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pointer(text: &str) -> JsonPointer {
        text.parse().unwrap()
    }

    #[test]
    fn the_examples_of_the_rfc_lead_to_their_values() {
        let document = json!({"foo": ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8});
        assert_eq!(pointer("").find(&document), Some(&document));
        for (text, value) in
            [("/foo/0", json!("bar")), ("/", json!(0)), ("/a~1b", json!(1)), ("/m~0n", json!(8))]
        {
            assert_eq!(pointer(text).find(&document), Some(&value), "{text}");
        }
        assert_eq!(pointer("/foo/2").find(&document), None);
    }

    #[test]
    fn a_text_that_is_no_pointer_is_refused_and_not_taken_for_one_that_leads_nowhere() {
        let refused =
            |text: &str| serde_json::from_value::<JsonPointer>(json!(text)).unwrap_err().to_string();
        assert_eq!(refused("health"), "`health` is not a JSON pointer: it must begin with `/`");
        assert_eq!(refused("/a~b"), "`/a~b` is not a JSON pointer: `~` is written `~0`");
        assert_eq!(refused("/a~"), "`/a~` is not a JSON pointer: `~` is written `~0`");
    }

    #[test]
    fn names_are_escaped_and_unescaped_and_the_text_stays_as_it_was() {
        let deep = JsonPointer::of(["items", "a/b~1", ""]);
        assert_eq!(deep.as_str(), "/items/a~1b~01/");
        assert_eq!(deep.last().as_deref(), Some(""));
        assert_eq!(deep.names().collect::<Vec<_>>(), ["items", "a/b~1", ""]);
        assert_eq!(serde_json::to_value(&deep).unwrap(), json!("/items/a~1b~01/"));
    }
}
