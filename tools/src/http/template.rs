//! Addresses with arguments in them, and headers with secrets in them.

use crate::content::plain;
use reqwest::Url;
use serde_json::{Map, Value};

/// The address, and the arguments that are not in it. An argument cannot leave its place: what would separate parts of an
/// address is percent-encoded.
pub fn address(template: &str, args: &Map<String, Value>) -> Result<(Url, Map<String, Value>), String> {
    let mut rest = args.clone();
    let mut text = String::new();
    let mut open = template;
    while let Some((before, after)) = open.split_once('{') {
        let (name, after) =
            after.split_once('}').ok_or_else(|| format!("`{template}` has a `{{` without a `}}`"))?;
        let value = args.get(name).ok_or_else(|| format!("the address needs the argument `{name}`"))?;
        text.push_str(before);
        text.push_str(&encoded(&plain(value)));
        rest.remove(name);
        open = after;
    }
    text.push_str(open);
    let url = Url::parse(&text).map_err(|error| format!("`{text}` is no address: {error}"))?;
    Ok((url, rest))
}

fn encoded(text: &str) -> String {
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

/// The names between `${` and `}`.
pub fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

/// The text with the values of environment variables in it.
pub fn filled(text: &str) -> Result<String, String> {
    let mut filled = text.to_owned();
    for name in variables(text) {
        let value = std::env::var(name).map_err(|_| format!("the variable `{name}` is not set"))?;
        filled = filled.replace(&format!("${{{name}}}"), &value);
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_argument_cannot_leave_its_place() {
        let args = json!({"city": "../admin?x=1#y@evil.example/", "days": 3, "unit": "C"});
        let (url, rest) =
            address("https://api.example/{city}/forecast/{days}", args.as_object().unwrap()).unwrap();
        assert_eq!(url.host_str(), Some("api.example"));
        assert_eq!(url.path(), "/%2E%2E%2Fadmin%3Fx%3D1%23y%40evil%2Eexample%2F/forecast/3");
        assert_eq!(Value::Object(rest), json!({"unit": "C"}));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(address("http://h/{a}", &Map::new()).unwrap_err(), "the address needs the argument `a`");
        assert_eq!(variables("Bearer ${TOKEN}${X}").collect::<Vec<_>>(), ["TOKEN", "X"]);
        assert_eq!(filled("${NO_SUCH_VARIABLE}").unwrap_err(), "the variable `NO_SUCH_VARIABLE` is not set");
    }
}
