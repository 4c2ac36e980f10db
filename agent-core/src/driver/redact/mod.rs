//! Removes declared secrets from the log, from prompts and from errors.
//!
//! Everything from outside is redacted before the core sees it and before it is recorded. So nothing that is derived from
//! it, now or in a replay, can contain a secret.

use serde_json::Value;
use std::sync::Arc;

/// The shortest value that is redacted, in bytes: shorter ones would be found everywhere.
const SHORTEST: usize = 6;

/// The secret values, each with the name that replaces it.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Pairs of value and name, the longest value first, so that a value that contains another is replaced whole.
    secrets: Arc<Vec<(String, String)>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.secrets.iter().map(|(_, name)| name.as_str()).collect();
        formatter.debug_tuple("Redactor").field(&names).finish()
    }
}

impl Redactor {
    /// Replaces every value by `[secret NAME]`. The pairs are `(name, value)`; values under six bytes are left out.
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut values: Vec<(String, String)> = Vec::new();
        for (name, value) in secrets {
            let value = value.trim().to_owned();
            if value.len() < SHORTEST {
                continue;
            }
            // Inside JSON text, such as a skill's arguments, a value is escaped.
            let escaped = Value::String(value.clone()).to_string();
            let escaped = escaped[1..escaped.len() - 1].to_owned();
            if escaped != value {
                values.push((escaped, name.clone()));
            }
            values.push((value, name));
        }
        values.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        Self { secrets: Arc::new(values) }
    }

    /// Whether there are no secrets.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, name) in self.secrets.iter() {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), &format!("[secret {name}]"));
            }
        }
        text
    }

    /// Redacts every string of `value`, keys included.
    pub fn value(&self, value: &mut Value) {
        if self.is_empty() {
            return;
        }
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                let taken = std::mem::take(fields);
                for (key, mut field) in taken {
                    self.value(&mut field);
                    fields.insert(self.text(&key), field);
                }
            }
            _ => {}
        }
    }

    /// Redacts any value that can be written as JSON; another value stays as it is.
    pub fn any<T: serde::Serialize + serde::de::DeserializeOwned>(&self, what: T) -> T {
        if self.is_empty() {
            return what;
        }
        let Ok(mut value) = serde_json::to_value(&what) else { return what };
        self.value(&mut value);
        serde_json::from_value(value).unwrap_or(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_value_is_replaced_by_its_name_wherever_it_stands() {
        let redactor = Redactor::new([
            ("KEY".to_owned(), "sk-123456".to_owned()),
            ("LONG".to_owned(), "sk-123456-and-more".to_owned()),
            ("SHORT".to_owned(), "abc".to_owned()),
        ]);
        let mut value = json!({"sk-123456": ["x sk-123456-and-more y", {"abc": "abc sk-123456"}]});
        redactor.value(&mut value);
        assert_eq!(value, json!({"[secret KEY]": ["x [secret LONG] y", {"abc": "abc [secret KEY]"}]}));
        assert_eq!(format!("{redactor:?}"), r#"Redactor(["LONG", "KEY"])"#);
    }

    proptest! {
        #[test]
        fn no_secret_is_left(secret in "[ -~]{6,20}", before in ".{0,30}", after in ".{0,30}") {
            let redactor = Redactor::new([("S".to_owned(), secret.clone())]);
            let secret = secret.trim();
            prop_assume!(secret.len() >= 6 && !"[secret S]".contains(secret));
            let text = format!("{before}{secret}{after}");
            let out = redactor.text(&text);
            let pieces: String = out.split("[secret S]").collect::<Vec<_>>().join("\u{0}");
            prop_assert!(!pieces.contains(secret), "{}", out);
            let mut nested = json!({"a": [json!({"b": text}).to_string()]});
            redactor.value(&mut nested);
            prop_assert!(out != text);
            prop_assert!(!nested["a"][0].as_str().unwrap().contains(secret));
        }
    }
}
