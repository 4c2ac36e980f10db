//! URL templates with arguments, and header templates with secrets.

use crate::content::plain;
use reqwest::Url;
use serde_json::{Map, Value};

/// Expands the placeholders of a URL template. Returns the URL and the arguments that the template did not
/// use. An argument cannot change the structure of the URL, because every separator in it is percent-encoded.
pub fn expand_url(template: &str, args: &Map<String, Value>) -> Result<(Url, Map<String, Value>), String> {
    let mut rest = args.clone();
    let mut text = String::new();
    let mut open = template;
    while let Some((before, after)) = open.split_once('{') {
        let (name, after) =
            after.split_once('}').ok_or_else(|| format!("`{template}` has a `{{` without a closing `}}`"))?;
        let value = args.get(name).ok_or_else(|| format!("the URL needs the argument `{name}`"))?;
        text.push_str(before);
        text.push_str(&percent_encode(&plain(value)));
        rest.remove(name);
        open = after;
    }
    text.push_str(open);
    let url = Url::parse(&text).map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    Ok((url, rest))
}

fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Names of the `${NAME}` placeholders in `text`.
pub fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

/// `text` with every `${NAME}` replaced by the value of the environment variable.
pub fn expand_variables(text: &str) -> Result<String, String> {
    let mut expanded = text.to_owned();
    for name in variables(text) {
        let value =
            std::env::var(name).map_err(|_| format!("the environment variable `{name}` is not set"))?;
        expanded = expanded.replace(&format!("${{{name}}}"), &value);
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_argument_cannot_change_the_structure_of_a_url() {
        let args = json!({"city": "../admin?x=1#y@evil.example/", "days": 3, "unit": "C"});
        let (url, rest) =
            expand_url("https://api.example/{city}/forecast/{days}", args.as_object().unwrap()).unwrap();
        assert_eq!(url.host_str(), Some("api.example"));
        assert_eq!(url.path(), "/%2E%2E%2Fadmin%3Fx%3D1%23y%40evil%2Eexample%2F/forecast/3");
        assert_eq!(Value::Object(rest), json!({"unit": "C"}));
    }

    #[test]
    fn errors_name_the_missing_argument_or_variable() {
        assert_eq!(expand_url("http://h/{a}", &Map::new()).unwrap_err(), "the URL needs the argument `a`");
        assert_eq!(variables("Bearer ${TOKEN}${X}").collect::<Vec<_>>(), ["TOKEN", "X"]);
        assert_eq!(
            expand_variables("${NO_SUCH_VARIABLE}").unwrap_err(),
            "the environment variable `NO_SUCH_VARIABLE` is not set"
        );
    }
}
