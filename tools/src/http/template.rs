//! URL templates with arguments, and header templates with secrets.
//!
//! A template is split at its own separators before any argument is known, so an argument fills a place and nothing else:
//! a part of a host label, of a path segment, or of a query value. The finished URL is parsed and compared with the parts
//! that it was made of.

use super::place::{self, Place};
use crate::content::plain;
use crate::outside::url::decode_once;
use http::HeaderValue;
use reqwest::Url;
use serde_json::{Map, Value};

/// A URL with `{name}` placeholders.
#[derive(Debug, Clone, PartialEq)]
pub struct UrlTemplate {
    text: String,
    /// Everything up to the host: `https://`, with user information if there is any.
    before_host: String,
    host: Vec<Piece>,
    /// The port with its colon, or nothing.
    port: String,
    /// The path's segments; empty if the template ends after the host.
    segments: Vec<Vec<Piece>>,
    /// Names and values of the query; `None` without a `?`.
    query: Option<Vec<(String, Vec<Piece>)>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Literal(String),
    Argument(String),
}

impl UrlTemplate {
    /// Reads a template. Placeholders may stand in the host, the path and the values of the query.
    ///
    /// # Errors
    /// The template is not an HTTP URL, a placeholder is not closed or stands elsewhere, or the path has a segment `.` or
    /// `..`.
    pub fn new(text: &str) -> Result<Self, String> {
        let bad = |reason: &str| format!("the URL template `{text}` {reason}");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("does not begin with `https://`"))?;
        let (rest, fragment) = split_outside(rest, '#');
        if fragment.is_some() {
            return Err(bad("has a fragment, which is never sent; leave it out"));
        }
        let (rest, query) = split_outside(rest, '?');
        let (authority, path) = split_outside(rest, '/');
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (format!("{user}@"), host),
            None => (String::new(), authority),
        };
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, format!(":{port}")),
            _ => (host, String::new()),
        };
        if [scheme, user.as_str(), port.as_str()].iter().any(|part| part.contains('{')) {
            return Err(bad("has a placeholder in its scheme, user or port"));
        }
        let read = |part: &str| pieces(part).ok_or_else(|| bad("has a `{` without a closing `}`"));
        let segments: Vec<Vec<Piece>> = match path {
            Some(path) => split_all_outside(path, '/').into_iter().map(read).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        for segment in &segments {
            if let [Piece::Literal(literal)] = segment.as_slice()
                && place::is_dot_segment(literal)
            {
                return Err(bad("has a segment `.` or `..` in its path"));
            }
        }
        let query = query.map(|query| {
            let pairs = split_all_outside(query, '&').into_iter().map(|pair| {
                let (name, value) = split_outside(pair, '=');
                if name.contains('{') {
                    return Err(bad("has a placeholder in the name of a query parameter"));
                }
                // `?flag` and `?flag=` are kept apart.
                let value = value.map(read).transpose()?.map(|mut value| {
                    value.insert(0, Piece::Literal("=".to_owned()));
                    value
                });
                Ok((name.to_owned(), value.unwrap_or_default()))
            });
            pairs.collect::<Result<Vec<_>, String>>()
        });
        let template = Self {
            text: text.to_owned(),
            before_host: format!("{scheme}://{user}"),
            host: read(host)?,
            port,
            segments,
            query: query.transpose()?,
        };
        let sample = |_: &str, _: Place| Ok("0".to_owned());
        let sample = template.assemble(sample)?;
        let parsed = Url::parse(&sample).map_err(|error| bad(&format!("is not a URL: {error}")))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(bad("is not an HTTP URL"));
        }
        Ok(template)
    }

    /// Fills in the placeholders. Returns the URL and the arguments that the template did not use.
    ///
    /// # Errors
    /// An argument is missing, or its value would leave its place: it is empty, holds control characters, makes a segment
    /// `.` or `..` in any encoding, or, in the host, holds anything but letters, digits and `-`.
    pub fn expand(&self, args: &Map<String, Value>) -> Result<(Url, Map<String, Value>), String> {
        let mut rest = args.clone();
        for name in self.names() {
            rest.remove(name);
        }
        let value = |name: &str| match args.get(name) {
            Some(Value::Null) | None => Err(format!("the URL needs the argument `{name}`")),
            Some(value) => Ok(plain(value)),
        };
        for segment in self.segments.iter().filter(|segment| has_argument(segment)) {
            let filled = Self::raw(segment, value)?;
            place::check_segment(&filled).map_err(|reason| self.refusal(segment, &reason))?;
        }
        let text = self.assemble(|name, at| {
            let value = value(name)?;
            place::encode(&value, at).map_err(|reason| format!("the argument `{name}` {reason}"))
        })?;
        let url = Url::parse(&text).map_err(|error| format!("`{text}` is not a URL: {error}"))?;
        self.compare(&url, &text)?;
        Ok((url, rest))
    }

    /// Appends `args` to the query of `url`, which this template made.
    ///
    /// # Errors
    /// The template's own query has a parameter of that name.
    pub fn append_query(&self, url: &mut Url, args: &Map<String, Value>) -> Result<(), String> {
        for name in args.keys() {
            let own = self.query.iter().flatten().any(|(own, _)| place::is_same_parameter(own, name));
            if own {
                return Err(format!(
                    "the argument `{name}` has the name of a query parameter that the URL sets itself"
                ));
            }
        }
        if !args.is_empty() {
            let mut query = url.query_pairs_mut();
            for (name, value) in args.iter().filter(|(_, value)| !value.is_null()) {
                query.append_pair(name, &plain(value));
            }
        }
        Ok(())
    }

    /// Names of the arguments that the URL needs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let query = self.query.iter().flatten().map(|(_, value)| value);
        let parts = std::iter::once(&self.host).chain(&self.segments).chain(query);
        parts.flatten().filter_map(|piece| match piece {
            Piece::Argument(name) => Some(name.as_str()),
            Piece::Literal(_) => None,
        })
    }

    /// The text of the URL, with `fill` for each argument.
    fn assemble(&self, fill: impl Fn(&str, Place) -> Result<String, String>) -> Result<String, String> {
        let join = |pieces: &[Piece], at: Place| -> Result<String, String> {
            let filled = pieces.iter().map(|piece| match piece {
                Piece::Literal(text) => Ok(text.clone()),
                Piece::Argument(name) => fill(name, at),
            });
            filled.collect()
        };
        let mut text = format!("{}{}{}", self.before_host, join(&self.host, Place::Host)?, self.port);
        for segment in &self.segments {
            text.push('/');
            text.push_str(&join(segment, Place::Segment)?);
        }
        for (number, (name, value)) in self.query.iter().flatten().enumerate() {
            text.push(if number == 0 { '?' } else { '&' });
            text.push_str(name);
            text.push_str(&join(value, Place::QueryValue)?);
        }
        Ok(text)
    }

    /// A segment with its arguments as they are.
    fn raw(segment: &[Piece], value: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
        let filled = segment.iter().map(|piece| match piece {
            Piece::Literal(text) => Ok(text.clone()),
            Piece::Argument(name) => value(name),
        });
        filled.collect()
    }

    fn refusal(&self, segment: &[Piece], reason: &str) -> String {
        let names = segment.iter().filter_map(|piece| match piece {
            Piece::Argument(name) => Some(format!("`{name}`")),
            Piece::Literal(_) => None,
        });
        let names: Vec<String> = names.collect();
        format!("the argument {} cannot stand in `{}`: {reason}", names.join(" and "), self.text)
    }

    /// Compares the parsed URL with the parts that it was made of: parsing must have moved nothing.
    fn compare(&self, url: &Url, text: &str) -> Result<(), String> {
        let moved = || format!("the arguments change the structure of `{}`", self.text);
        let sample = self.assemble(|_, _| Ok("0".to_owned()))?;
        let sample = Url::parse(&sample).map_err(|_| moved())?;
        let same_frame = (url.scheme(), url.username(), url.password(), url.port(), url.fragment())
            == (sample.scheme(), sample.username(), sample.password(), sample.port(), sample.fragment());
        let without_query = text.split_once('?').map_or(text, |(before, _)| before);
        let after_scheme = without_query.split_once("://").map_or("", |(_, after)| after);
        let (authority, path) = after_scheme.split_once('/').unwrap_or((after_scheme, ""));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = host.strip_suffix(&self.port).unwrap_or(host);
        // A host without arguments is what the agent file says, in whatever spelling.
        let same_host = if has_argument(&self.host) {
            url.host_str().is_some_and(|parsed| parsed.eq_ignore_ascii_case(host))
        } else {
            url.host() == sample.host()
        };
        let decoded = |segment: &str| decode_once(segment.as_bytes());
        let expected: Vec<Vec<u8>> = path.split('/').map(decoded).collect();
        let found: Vec<Vec<u8>> = url.path_segments().into_iter().flatten().map(decoded).collect();
        let shape = |url: &Url| url.query_pairs().map(|(name, _)| name.into_owned()).collect::<Vec<_>>();
        if same_frame && same_host && expected == found && shape(url) == shape(&sample) {
            Ok(())
        } else {
            Err(moved())
        }
    }
}

fn has_argument(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Argument(_)))
}

/// The literals and placeholders of `text`; `None` if a placeholder is not closed.
fn pieces(text: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut open = text;
    while let Some((before, after)) = open.split_once('{') {
        let (name, after) = after.split_once('}')?;
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.to_owned()));
        }
        pieces.push(Piece::Argument(name.to_owned()));
        open = after;
    }
    if !open.is_empty() {
        pieces.push(Piece::Literal(open.to_owned()));
    }
    Some(pieces)
}

/// `text` before and after the first `separator` that is not in a placeholder.
fn split_outside(text: &str, separator: char) -> (&str, Option<&str>) {
    let mut inside = false;
    for (at, character) in text.char_indices() {
        match character {
            '{' => inside = true,
            '}' => inside = false,
            _ if character == separator && !inside => {
                return (&text[..at], Some(&text[at + separator.len_utf8()..]));
            }
            _ => {}
        }
    }
    (text, None)
}

fn split_all_outside(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut open = Some(text);
    while let Some(text) = open {
        let (part, rest) = split_outside(text, separator);
        parts.push(part);
        open = rest;
    }
    parts
}

/// Names of the `${NAME}` placeholders in `text`.
pub fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

/// The value of the header `header`: `text` with every `${NAME}` replaced by the value of the environment variable.
///
/// # Errors
/// A variable is not set, or the value holds a line break or another control character. The message does not show it.
pub fn header_value(header: &str, text: &str) -> Result<HeaderValue, String> {
    let mut expanded = String::new();
    let mut open = text;
    while let Some((before, after)) = open.split_once("${") {
        let Some((name, after)) = after.split_once('}') else { break };
        let value =
            std::env::var(name).map_err(|_| format!("the environment variable `{name}` is not set"))?;
        expanded.push_str(before);
        expanded.push_str(&value);
        open = after;
    }
    expanded.push_str(open);
    let mut value = HeaderValue::from_str(&expanded).map_err(|_| {
        format!(
            "the header `{header}` would hold a line break or another control character; check its variables"
        )
    })?;
    value.set_sensitive(expanded != text);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn expand(template: &str, args: &Value) -> Result<(Url, Map<String, Value>), String> {
        UrlTemplate::new(template)?.expand(args.as_object().unwrap())
    }

    #[test]
    fn an_argument_cannot_leave_its_place_in_a_url() {
        let url = "https://api.example/v1/p/items/{item}?tag={tag}&all";
        let outside = [
            ".",
            "..",
            "%2e",
            "%2E%2e",
            ".%2e",
            "%252e%252e",
            "%u002e%u002e",
            "x%u002f..",
            "%25252e.",
            "../admin",
            "a/../..",
            "..\\..",
            "a\\..",
            "..%2f..",
            "..%5cx",
            "a%2f%2e%2e%2fb",
            "..;/x",
            "..;a=b",
            "./x",
            " .. ",
            "..%00",
            "a\r\nb",
            "a\nb",
            "\u{0}",
            "%0d%0ax",
            "",
            " ",
            "\u{ff0e}\u{ff0e}",
            "\u{2025}",
            "%c0%ae%c0%ae",
            "..\u{ff0f}x",
            "%ef%bc%8e.",
            "..?x",
            "..#x",
        ];
        for value in outside {
            let got = expand(url, &json!({"item": value, "tag": "t"}));
            assert!(got.is_err(), "{value:?}: {:?}", got.map(|(url, _)| url.to_string()));
        }
        let endless = format!("%{}2e", "25".repeat(100_000));
        assert!(expand(url, &json!({"item": endless, "tag": "t"})).unwrap_err().contains("percent-encoded"));
        assert!(expand("https://api.example/{a}{b}/x", &json!({"a": ".", "b": "."})).is_err());
        assert!(expand("https://api.example/{a}./x", &json!({"a": "."})).is_err());
        assert!(expand("https://api.example/.{a}", &json!({"a": "%2e"})).is_err());
        for (value, path) in [
            ("a/b", "/v1/p/items/a%2Fb"),
            ("x?y=1#z@evil.example:8", "/v1/p/items/x%3Fy%3D1%23z%40evil%2Eexample%3A8"),
            ("a..b", "/v1/p/items/a%2E%2Eb"),
            ("...", "/v1/p/items/%2E%2E%2E"),
            ("50%", "/v1/p/items/50%25"),
            ("ä b", "/v1/p/items/%C3%A4%20b"),
            ("v1.2", "/v1/p/items/v1%2E2"),
        ] {
            let (url, rest) = expand(url, &json!({"item": value, "tag": "a&all=1", "n": 1})).unwrap();
            assert_eq!(url.path(), path);
            assert_eq!(url.query(), Some("tag=a%26all%3D1&all"));
            assert_eq!(Value::Object(rest), json!({"n": 1}));
        }
    }

    #[test]
    fn an_argument_in_a_host_is_part_of_one_label() {
        let url = "https://{tenant}.example.com:8443/";
        let (named, _) = expand(url, &json!({"tenant": "acme-1"})).unwrap();
        assert_eq!(named.as_str(), "https://acme-1.example.com:8443/");
        for value in
            ["a.b", "a/b", "a@b", "a:1", "", "a%2eb", "ä", "evil.org/", "a\\b", "a b", "xn--a", "{x}"]
        {
            assert!(expand(url, &json!({"tenant": value})).is_err(), "{value}");
        }
        // A name that is read as an address is another host.
        for value in ["2130706433", "0x7f000001", "017700000001"] {
            assert!(expand("http://{host}/", &json!({"host": value})).is_err(), "{value}");
        }
    }

    #[test]
    fn placeholders_stand_only_where_they_cannot_change_the_structure() {
        for (template, part) in [
            ("{scheme}://h/", "in its scheme"),
            ("http://h:{port}/", "port"),
            ("http://{user}@h/", "user"),
            ("http://h/?{name}=1", "name of a query parameter"),
            ("http://h/{a", "without a closing"),
            ("http://h/a/../{b}", "segment `.` or `..`"),
            ("http://h/%2e%2E/{b}", "segment `.` or `..`"),
            ("http://h/#{a}", "fragment"),
            ("ftp://h/{a}", "not an HTTP URL"),
            ("nonsense", "does not begin"),
        ] {
            let error = UrlTemplate::new(template).unwrap_err();
            assert!(error.contains(part), "{template}: {error}");
        }
        for template in ["http://[::1]:80/{a}", "http://h", "http://u:p@h/x//{a}/", "http://h/{a}?x=&y&z={a}"]
        {
            assert!(expand(template, &json!({"a": "1"})).is_ok(), "{template}");
        }
    }

    #[test]
    fn an_argument_cannot_set_a_query_parameter_a_second_time() {
        let template = UrlTemplate::new("http://h/?tenant=me&q={q}").unwrap();
        let (mut url, _) = template.expand(json!({"q": "x"}).as_object().unwrap()).unwrap();
        for name in ["tenant", "TENANT", "tenant[]", "tenant[0]", "q", " tenant"] {
            let error =
                template.append_query(&mut url, json!({name: "other"}).as_object().unwrap()).unwrap_err();
            assert!(error.contains("the URL sets itself"), "{error}");
        }
        template.append_query(&mut url, json!({"n": 1, "none": null}).as_object().unwrap()).unwrap();
        assert_eq!(url.query(), Some("tenant=me&q=x&n=1"));
    }

    #[test]
    fn errors_name_the_missing_argument_or_variable() {
        assert_eq!(expand("http://h/{a}", &json!({})).unwrap_err(), "the URL needs the argument `a`");
        assert_eq!(
            expand("http://h/{a}", &json!({"a": null})).unwrap_err(),
            "the URL needs the argument `a`"
        );
        assert_eq!(variables("Bearer ${TOKEN}${X}").collect::<Vec<_>>(), ["TOKEN", "X"]);
        assert_eq!(
            header_value("x", "${NO_SUCH_VARIABLE}").unwrap_err(),
            "the environment variable `NO_SUCH_VARIABLE` is not set"
        );
        assert!(header_value("x", "a\r\nb: c").unwrap_err().contains("the header `x`"));
        assert_eq!(header_value("x", "k ${CARGO_PKG_NAME}!").unwrap(), "k sojourn-tools!");
    }
}
