//! Secrets that are typed on pages by their names, so that no program, log or observation has their values.
//!
//! An agent types `${NAME}`; the value is put in between the driver and the browser, and only where the site's owner said: in a
//! field for passwords (or one of the fields listed), on the page itself and not in a frame, at the site's own address. A page that
//! asks for the secret in another place gets nothing.

use crate::site::host;
use serde::Deserialize;
use sojourn_tools::secrets;
use std::collections::BTreeMap;

/// `[environment.secrets.NAME]`: an environment variable whose value may be typed, as `${NAME}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebSecret {
    /// Host on whose pages it may be typed: `accounts.example.org:443`. Default: the hosts of the start pages.
    #[serde(default)]
    pub host: Option<String>,
    /// Names of fields, besides those for passwords, in which it may be typed.
    #[serde(default)]
    pub fields: Vec<String>,
}

/// The secrets that may be typed on a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretTexts {
    /// The secrets by the names of their environment variables.
    pub secrets: BTreeMap<String, WebSecret>,
    /// The hosts of the start pages, each as `host:port`.
    pub hosts: Vec<String>,
}

/// The field that a text is about to be typed into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub name: &'a str,
    pub is_password: bool,
    /// Whether it is in the page itself, and in none of its frames.
    pub is_top: bool,
    /// The address of the page.
    pub url: &'a str,
}

/// The text by which a secret is typed: `${NAME}`.
pub fn secret_named(name: &str) -> String {
    format!("${{{name}}}")
}

impl SecretTexts {
    /// The value to type for `text`; `None` where it is no secret's name. The error says why the secret is not typed here.
    pub(crate) fn value(&self, text: &str, field: Field<'_>) -> Result<Option<String>, String> {
        let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let Some((name, secret)) = name.and_then(|name| self.secrets.get_key_value(name)) else {
            return Ok(None);
        };
        let own = host(field.url);
        let is_own = match &secret.host {
            Some(wanted) => own.as_deref() == Some(wanted),
            None => own.is_some_and(|own| self.hosts.contains(&own)),
        };
        if !is_own || !field.is_top {
            return Err(format!("the secret {name} is not typed on this page: it is for another host"));
        }
        if !field.is_password && !secret.fields.iter().any(|known| known == field.name) {
            return Err(format!("the secret {name} is not typed into this field, which shows what is typed"));
        }
        // An agent file is read before its secrets may be known to this process.
        let known =
            || secrets::learned().secrets.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        match std::env::var(name).ok().filter(|value| !value.is_empty()).or_else(known) {
            Some(value) => Ok(Some(value)),
            None => Err(format!("the secret {name} is not known: set the environment variable {name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Field<'static> =
        Field { name: "Password", is_password: true, is_top: true, url: "http://127.0.0.1:8700/login" };

    fn texts() -> SecretTexts {
        secrets::learn("SECRET_TEXT_KEY", "hunter2hunter2");
        let secret = WebSecret { host: None, fields: vec!["API key".to_owned()] };
        let there = WebSecret { host: Some("id.example.org:443".to_owned()), fields: Vec::new() };
        SecretTexts {
            secrets: [("SECRET_TEXT_KEY".to_owned(), secret), ("SECRET_TEXT_UNSET".to_owned(), there)].into(),
            hosts: vec!["127.0.0.1:8700".to_owned()],
        }
    }

    #[test]
    fn a_secret_is_typed_only_where_its_owner_said() {
        let texts = texts();
        let named = "${SECRET_TEXT_KEY}";
        assert_eq!(texts.value(named, HERE), Ok(Some("hunter2hunter2".to_owned())));
        let shown = Field { is_password: false, name: "API key", ..HERE };
        assert_eq!(texts.value(named, shown), Ok(Some("hunter2hunter2".to_owned())));
        for elsewhere in [
            Field { is_password: false, name: "Comment", ..HERE },
            Field { is_top: false, ..HERE },
            Field { url: "http://127.0.0.1:8701/login", ..HERE },
            Field { url: "https://evil.example/?http://127.0.0.1:8700/", ..HERE },
            Field { url: "about:blank", ..HERE },
        ] {
            let refused = texts.value(named, elsewhere).unwrap_err();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn other_texts_are_typed_as_they_are() {
        for text in ["", "${", "${OTHER}", "x${SECRET_TEXT_KEY}", "${SECRET_TEXT_KEY} "] {
            assert_eq!(texts().value(text, HERE), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_secret_without_a_value_is_an_error_that_says_what_to_do() {
        let there = Field { url: "https://id.example.org/", ..HERE };
        let unset = texts().value("${SECRET_TEXT_UNSET}", there).unwrap_err();
        assert!(unset.contains("set the environment variable SECRET_TEXT_UNSET"), "{unset}");
        assert!(texts().value("${SECRET_TEXT_UNSET}", HERE).unwrap_err().contains("another host"));
    }
}
