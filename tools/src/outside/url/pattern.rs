//! Patterns of URLs, as an agent file has them.

use super::{
    CanonicalUrl, canonical_host, decoded, decoded_path, default_port, loose_path, loose_readings,
    normal_escapes, push_escape, resolve_dots, without_dots_and_parameters, without_parameters,
};
use reqwest::Url;

/// A URL pattern of an agent file: `https://*.example.org/orders/*`, `*/logout`, `https://example.org/do?action=delete`.
///
/// `*` stands for any text; in the host it stands for any text within the host. Every other character stands for itself.
/// A pattern that begins with `*/` matches on every host. A query matches where the URL has each of its parameters, in any
/// order, among others; a pattern without a query matches every query. A pattern without a path means the whole host where it
/// forbids, and the path `/` where it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPattern {
    scheme: String,
    host: String,
    /// `None` for every port.
    port: Option<u16>,
    path: Option<String>,
    parameters: Vec<String>,
}

impl UrlPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The pattern has neither a scheme nor a leading `*`, or no URL can match it. The message quotes the pattern.
    pub fn new(text: &str) -> Result<Self, String> {
        let invalid = |why: &str| format!("the pattern `{text}` is not valid: {why}");
        let trimmed = text.trim();
        let (address, query) = match trimmed.split('#').next().unwrap_or_default().split_once('?') {
            Some((address, query)) => (address, Some(query)),
            None => (trimmed.split('#').next().unwrap_or_default(), None),
        };
        let parameters = query.map(|query| parameters(query, &['&'])).unwrap_or_default();
        let any = |path: String| Self {
            scheme: "*".to_owned(),
            host: "*".to_owned(),
            port: None,
            path: Some(path),
            parameters: parameters.clone(),
        };
        let Some((scheme, rest)) = address.split_once("://") else {
            // `*/logout` is any host; `*.example.org/logout` is any scheme.
            let (authority, path) = match address.split_once('/') {
                Some((authority, path)) => (authority, format!("/{path}")),
                None if address.starts_with('*') => return Ok(any(pattern_path(address))),
                None => return Err(invalid("write a URL such as `https://example.org/path`, or `*/path`")),
            };
            if !authority.starts_with('*') {
                return Err(invalid("it begins with neither a scheme, such as `https://`, nor `*`"));
            }
            if authority.chars().all(|character| character == '*') {
                return Ok(any(format!("*{}", pattern_path(&path))));
            }
            let (host, port) =
                authority_of(authority, "*").ok_or_else(|| invalid("its host is not valid"))?;
            return Ok(Self { host, port, ..any(pattern_path(&path)) });
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => "http",
            "https" | "wss" => "https",
            "*" | "http*" => "*",
            _ => return Err(invalid("its scheme must be `http`, `https` or `*`")),
        };
        // Browsers read a backslash as a slash.
        let rest = rest.replace('\\', "/");
        let (authority, path) = match rest.find('/') {
            Some(slash) => (&rest[..slash], Some(pattern_path(&rest[slash..]))),
            None if rest == "*" => ("*", Some("/*".to_owned())),
            None => (rest.as_str(), None),
        };
        let (host, port) = authority_of(authority, scheme).ok_or_else(|| invalid("its host is not valid"))?;
        Ok(Self { scheme: scheme.to_owned(), host, port, path, parameters })
    }

    /// Whether *some* server may take `url` for a resource that the pattern names. Use it to forbid.
    ///
    /// A pattern with `http` or `https` and the default port forbids both, because sites answer on both.
    pub fn touches(&self, url: &CanonicalUrl) -> bool {
        let given = parameters(url.query().unwrap_or_default(), &['&', ';']);
        let whole = parameters(url.query().unwrap_or_default(), &['&']);
        let has = |wanted: &String| {
            let (exact, loose) = (wanted.to_lowercase(), loose_parameter(wanted));
            let mut all = given.iter().chain(&whole);
            all.any(|one| wildcard(&exact, &one.to_lowercase()) || wildcard(&loose, &loose_parameter(one)))
        };
        if !self.is_on_site_of(url) || !self.parameters.iter().all(has) {
            return false;
        }
        let Some(path) = &self.path else { return true };
        let loose = loose_path(path).to_lowercase();
        let mut readings = vec![url.path().to_owned()];
        readings.extend(loose_readings(url.path()));
        if let Some(query) = url.query() {
            // A pattern may name a part of the query without a question mark: `*delete*`.
            readings.push(format!("{}?{query}", url.path()));
            readings.push(format!("{}?{}", loose_path(url.path()), decoded(query)));
        }
        readings.iter().any(|reading| wildcard(path, reading) || wildcard(&loose, &reading.to_lowercase()))
    }

    /// Whether *every* server takes `url` for a resource that the pattern names. Use it to allow.
    pub fn covers(&self, url: &CanonicalUrl) -> bool {
        let query = url.query().unwrap_or_default();
        // Of a parameter that is given twice, some servers take the first and some the last; some divide at `;` too.
        let has = |separators: &[char], wanted: &String| {
            let given = parameters(query, separators);
            let mut same = given.iter().filter(|one| is_same_name(one, wanted)).peekable();
            same.peek().is_some() && same.all(|one| wildcard(wanted, one))
        };
        let path = self.path.as_deref().unwrap_or("/");
        let loose = loose_path(path);
        self.is_on_host_of(url)
            && self.parameters.iter().all(|wanted| has(&['&'], wanted) && has(&['&', ';'], wanted))
            && wildcard(path, url.path())
            && wildcard(&loose, &decoded_path(url.path()))
            && wildcard(&without_parameters(&loose), &without_dots_and_parameters(url.path()))
    }

    /// As [`is_on_host_of`](Self::is_on_host_of), or on the default port of the other scheme.
    fn is_on_site_of(&self, url: &CanonicalUrl) -> bool {
        let is_default = |scheme: &str, port: u16| port == default_port(scheme);
        let other = self.scheme != "*"
            && self.port.is_none_or(|port| is_default(&self.scheme, port))
            && is_default(url.scheme(), url.port())
            && wildcard(&self.host, url.host());
        other || self.is_on_host_of(url)
    }

    /// Whether the pattern names a resource with the scheme, host and port of `url`.
    pub fn is_on_host_of(&self, url: &CanonicalUrl) -> bool {
        (self.scheme == "*" || self.scheme == url.scheme())
            && self.port.is_none_or(|port| port == url.port())
            && wildcard(&self.host, url.host())
    }
}

/// Host and port of a pattern. An explicit port of `*`, or none with any scheme, is every port.
fn authority_of(authority: &str, scheme: &str) -> Option<(String, Option<u16>)> {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        Some("*") => None,
        Some(port) => Some(port.parse().ok()?),
        None if scheme == "*" => None,
        None => Some(default_port(scheme)),
    };
    if host.contains('*') {
        return Some((host.trim_end_matches('.').to_lowercase(), port));
    }
    // The same parser as that of URLs: decimal addresses, international names.
    let url = Url::parse(&format!("http://{host}/")).ok()?;
    Some((canonical_host(url.host_str()?), port))
}

/// The path of a pattern with canonical escapes, and without dot segments where it has no wildcard before them.
fn pattern_path(path: &str) -> String {
    let mut escaped = String::new();
    for character in path.chars() {
        if character.is_ascii_graphic() && !matches!(character, '"' | '<' | '>' | '^' | '`' | '{' | '}') {
            escaped.push(character);
        } else {
            let mut bytes = [0; 4];
            character.encode_utf8(&mut bytes).bytes().for_each(|byte| push_escape(&mut escaped, byte));
        }
    }
    let normal = normal_escapes(&escaped);
    if normal.contains('*') { normal } else { resolve_dots(&normal) }
}

/// The parameters of a query, fully decoded.
fn parameters(query: &str, separators: &[char]) -> Vec<String> {
    let named = query.split(separators).filter(|one| !one.is_empty());
    named.map(|one| decoded(&one.replace('+', " "))).collect()
}

/// The name of a parameter as the loosest server reads it: without case, spaces around it, brackets (`x[]`), or what follows
/// a NUL; dots and spaces are underscores.
fn loose_name(parameter: &str) -> String {
    let name = parameter.split('=').next().unwrap_or_default();
    let name = name.split(['[', '\0']).next().unwrap_or_default();
    name.trim().to_lowercase().replace(['.', ' '], "_")
}

/// A parameter with its [loose name](loose_name) and its value without case and spaces around it.
fn loose_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, value)) => format!("{}={}", loose_name(name), value.trim().to_lowercase()),
        None => loose_name(parameter),
    }
}

/// Whether some server may take two parameters for values of one.
fn is_same_name(one: &str, other: &str) -> bool {
    loose_name(one) == loose_name(other)
}

/// Matches `*` with any text, and every other character with itself. Linear in the product of the lengths at worst.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touches(pattern: &str, url: &str) -> bool {
        UrlPattern::new(pattern).unwrap().touches(&CanonicalUrl::parse(url).unwrap())
    }

    fn covers(pattern: &str, url: &str) -> bool {
        UrlPattern::new(pattern).unwrap().covers(&CanonicalUrl::parse(url).unwrap())
    }

    #[test]
    fn a_forbidden_url_is_forbidden_in_every_spelling() {
        for spelling in [
            "/logout",
            "/logout?x=1",
            "/logout#x",
            "/%6Cogout",
            "/%6cog%6Fut",
            "/%256Cogout",
            "/%25256Cogout",
            "/LOGOUT",
            "/logout/",
            "/logout//",
            "//logout",
            "/./logout",
            "/a/../logout",
            "/%2e%2e/logout",
            "/a/..%2flogout",
            "/a/..%5clogout",
            "\\logout",
            "/logout;x",
            "/logout;jsessionid=1/",
            "/logout%3Bx",
            "/a;b/..;c/logout",
            "/logout%00",
            "/logout%00.png",
            "/logout%20",
            "/log\tout",
            "/logout%2f",
            "/%2Flogout",
        ] {
            for pattern in [
                "http://a.example/logout",
                "*/logout",
                "http://*/logout",
                "*.example/logout",
                "http://A.Example:80/%6Cog%6fut",
            ] {
                let url = format!("http://a.example{spelling}");
                assert!(touches(pattern, &url), "{pattern} {url}");
            }
        }
        for other in ["/login", "/logout2", "/logout/confirm", "/x/logouts", "/?logout"] {
            assert!(!touches("http://a.example/logout", &format!("http://a.example{other}")), "{other}");
        }
        for (pattern, url) in [
            ("http://a.example/x/*", "http://a.example/x/"),
            ("http://a.example/x/*", "http://a.example/x"),
            ("http://a.example/x/*", "http://a.example/%78%2fy"),
            ("http://a.example/logout/", "http://a.example/logout"),
            ("http://a.example", "http://a.example/anything"),
            ("http://127.0.0.1:8701/x", "http://2130706433:8701/x"),
            ("http://127.0.0.1:8701/x", "ws://[::ffff:127.0.0.1]:8701/x"),
            ("http://2130706433/x", "http://0x7f.1/x"),
            ("https://a.example/x", "wss://user:word@A.EXAMPLE.:443/x"),
            ("https://bücher.example/x", "https://xn--bcher-kva.example/x"),
            ("http://a.example/é", "http://a.example/%c3%a9"),
            ("*delete*", "http://a.example/do?action=delete"),
            ("http://a.example/do?action=delete", "http://a.example/do?x=1&%61ction=Delete"),
            ("*", "http://a.example/"),
            // Other separators and names of a parameter.
            ("http://a.example/do?action=delete", "http://a.example/do?x=1;action=delete"),
            ("http://a.example/do?action=delete", "http://a.example/do?+Action[]=%64elete"),
            ("http://a.example/do?my_action=delete", "http://a.example/do?my.action=delete%20"),
            // Overlong and full-width characters, and escapes of sixteen bits.
            ("http://a.example/logout", "http://a.example/%c1%acogout"),
            ("http://a.example/logout", "http://a.example/%e0%81%acogout"),
            ("http://a.example/logout", "http://a.example/\u{ff4c}ogout"),
            ("http://a.example/logout", "http://a.example/%u006cogout"),
            ("http://a.example/logout", "http://a.example/%u006Cogout%u002f"),
            // The other scheme of one site.
            ("http://a.example/logout", "https://a.example/logout"),
            ("https://a.example/logout", "http://a.example/logout"),
        ] {
            assert!(touches(pattern, url), "{pattern} {url}");
        }
    }

    #[test]
    fn a_grant_does_not_reach_beyond_its_path() {
        for (url, covered) in [
            ("http://a.example/orders/7", true),
            ("http://A.example:80/%6Frders/7?x=1", true),
            ("http://a.example/orders/7;v=1", true),
            ("http://a.example/orders/a%2Fb", true),
            ("http://a.example/orders", false),
            ("http://a.example/orders/../delete", false),
            ("http://a.example/orders/..%2fdelete", false),
            ("http://a.example/orders/..%5Cdelete", false),
            ("http://a.example/orders/%252e%252e/delete", false),
            ("http://a.example/orders/..;/delete", false),
            ("http://a.example/orders/..;x=1/delete", false),
            ("http://a.example/delete?http://a.example/orders/7", false),
            ("http://a.example/delete#/orders/7", false),
            ("https://a.example/orders/7", false),
            ("http://a.example:81/orders/7", false),
            ("http://a.example.evil.example/orders/7", false),
            ("http://a.example@evil.example/orders/7", false),
        ] {
            assert_eq!(covers("http://a.example/orders/*", url), covered, "{url}");
        }
        for path in
            ["%c0%ae%c0%ae/delete", "%EF%BC%8E%EF%BC%8E/delete", "%u002e%u002e/delete", "%c0%ae./delete"]
        {
            assert!(
                !covers("http://a.example/orders/*", &format!("http://a.example/orders/{path}")),
                "{path}"
            );
        }
        assert!(!touches("http://a.example:81/x", "https://a.example/x"));
        // A wildcard in the host stays in the host.
        assert!(covers("https://*.example.org/login", "https://www.example.org/login"));
        assert!(!covers("https://*.example.org/login", "https://evil.example/x.example.org/login"));
        assert!(
            covers("http://a.example", "http://a.example")
                && !covers("http://a.example", "http://a.example/x")
        );
        assert!(!covers("http://a.example/login", "http://a.example/login/"));
        let action = "http://a.example/do?action=save";
        assert!(covers(action, "http://a.example/do?x=1&action=save"));
        for query in [
            "",
            "?action=delete",
            "?action=save&action=delete",
            "?action=delete&%61ction=save",
            "?action=save&x=1;action=delete",
            "?action=save&Action=delete",
            "?action=save&action[]=delete",
            "?action=save&+action=delete",
        ] {
            assert!(!covers(action, &format!("http://a.example/do{query}")), "{query}");
        }
    }

    #[test]
    fn a_pattern_that_no_url_can_match_is_refused() {
        for text in [
            "",
            "[",
            "[z-a]",
            "/logout",
            "logout",
            "a.example/logout",
            "ftp://a.example/",
            "http://",
            "http://a b/",
            "http://a.example:port/",
        ] {
            let error = UrlPattern::new(text).unwrap_err();
            assert!(error.starts_with(&format!("the pattern `{text}` is not valid: ")), "{error}");
        }
    }
}
