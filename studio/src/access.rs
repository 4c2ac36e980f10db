//! Who may ask: only a browser that was handed the token, on a name of this machine, from the studio's own page.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use sojourn_tools::http_server::{self, Connection};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Headers of every answer: no script but the studio's own, no request to elsewhere, nothing told to other pages.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// The query that hands the token over.
const TOKEN: &str = "token";

/// Who may reach the studio.
pub struct Access {
    /// SHA-256 of the token. Comparing digests leaks nothing about a partially correct guess.
    token: [u8; 32],
    /// The name of the cookie: cookies of one machine are shared by all its ports.
    cookie: String,
    /// What the cookie must hold: it is derived from the token, which stays in no browser.
    session: String,
    address: SocketAddr,
    /// Names of this machine, besides the loopback ones, that requests may be addressed to.
    hosts: Vec<String>,
}

impl Access {
    /// Access with this token to a server at `address`, also by these host names.
    pub fn new(token: &str, address: SocketAddr, hosts: Vec<String>) -> Self {
        let digest = |text: String| -> [u8; 32] { Sha256::digest(text).into() };
        Self {
            token: digest(token.to_owned()),
            cookie: format!("sojourn_studio_{}", address.port()),
            session: hex::encode(digest(format!("sojourn studio session\0{token}"))),
            address,
            hosts,
        }
    }

    /// The address to open in a browser: it hands the token over once.
    pub fn link(token: &str, address: SocketAddr) -> String {
        format!("http://{address}/?{TOKEN}={token}")
    }

    fn is_token(&self, given: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(given).into();
        digest == self.token
    }

    /// Whether the `Host` of a request is this server. Another name means that a page was told that its own name is this machine's.
    fn is_own_host(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
            _ => (host, Some(80)),
        };
        // A server in front of this one has its own port.
        if self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return true;
        }
        if port != Some(self.address.port()) {
            return false;
        }
        let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        match literal.parse::<IpAddr>() {
            Ok(ip) => ip == self.address.ip() || self.address.ip().is_unspecified() || ip.is_loopback(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Whether the request carries the token: in its cookie, as a bearer token, or in the address that hands it over.
    fn knows_token(&self, headers: &HeaderMap, uri: &Uri) -> Knows {
        let bearer = text(headers, &header::AUTHORIZATION).and_then(|value| value.split_once(' '));
        if let Some((scheme, token)) = bearer
            && scheme.eq_ignore_ascii_case("bearer")
            && self.is_token(token.trim())
        {
            return Knows::Token;
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let expected: [u8; 32] = Sha256::digest(&self.session).into();
        if pairs.any(|(name, value)| {
            let digest: [u8; 32] = Sha256::digest(value).into();
            name == self.cookie && digest == expected
        }) {
            return Knows::Token;
        }
        let query = uri.query().unwrap_or_default();
        let handed = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == TOKEN);
        match handed {
            Some((_, token)) if uri.path() == "/" && self.is_token(&token) => Knows::HandedOver,
            _ => Knows::Nothing,
        }
    }
}

enum Knows {
    Nothing,
    Token,
    /// The token stands in the address: the answer sets the cookie.
    HandedOver,
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Refuses requests that are not for this server, not from its own page, or without the token; adds the headers to all answers.
pub(crate) async fn check(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&access, &request) {
        Err((status, reason)) => (status, format!("{reason}\n")).into_response(),
        Ok(knows) => {
            if let Some(connection) = request.extensions().get::<Arc<Connection>>() {
                connection.trust();
            }
            let mut response = next.run(request.map(http_server::timed)).await;
            if let Knows::HandedOver = knows {
                let cookie =
                    format!("{}={}; HttpOnly; SameSite=Strict; Path=/", access.cookie, access.session);
                if let Ok(value) = HeaderValue::from_str(&cookie) {
                    response.headers_mut().append(header::SET_COOKIE, value);
                }
            }
            response
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if !response.headers().contains_key(header::CACHE_CONTROL) {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn refusal(access: &Access, request: &Request) -> Result<Knows, (StatusCode, &'static str)> {
    let headers = request.headers();
    let host = text(headers, &header::HOST).unwrap_or_default();
    if !access.is_own_host(host) {
        return Err((
            StatusCode::MISDIRECTED_REQUEST,
            "this server does not answer to that host name; `sojourn studio --allow-host NAME` adds one",
        ));
    }
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    match text(headers, &header::ORIGIN) {
        Some(origin) if !matches!(origin.split_once("://"), Some(("http" | "https", of)) if of == host) => {
            return Err((StatusCode::FORBIDDEN, "requests from other pages are refused"));
        }
        None if !reads && text(headers, &header::AUTHORIZATION).is_none() => {
            return Err((StatusCode::FORBIDDEN, "an action needs the origin that it comes from"));
        }
        _ => {}
    }
    // A link on another page may open the studio, but nothing else there may ask it for anything.
    let site = text(headers, &HeaderName::from_static("sec-fetch-site")).unwrap_or("none");
    let is_opened = text(headers, &HeaderName::from_static("sec-fetch-mode")) == Some("navigate")
        && request.uri().path() == "/";
    if !matches!(site, "none" | "same-origin") && !is_opened {
        return Err((StatusCode::FORBIDDEN, "requests from other pages are refused"));
    }
    match access.knows_token(headers, request.uri()) {
        Knows::Nothing => Err((
            StatusCode::UNAUTHORIZED,
            "the token is missing or wrong: open the address that `sojourn studio` printed when it started",
        )),
        knows => Ok(knows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_hosts() {
        let local =
            Access::new("secret", "127.0.0.1:8810".parse().unwrap(), vec!["studio.example".to_owned()]);
        for host in [
            "127.0.0.1:8810",
            "localhost:8810",
            "[::1]:8810",
            "LOCALHOST:8810",
            "studio.example:8810",
            "studio.example",
            "studio.example:443",
        ] {
            assert!(local.is_own_host(host), "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "127.0.0.1:80",
            "evil.example:8810",
            "localhost.evil.example:8810",
            "10.0.0.1:8810",
        ] {
            assert!(!local.is_own_host(host), "{host}");
        }
        let open = Access::new("secret", "0.0.0.0:80".parse().unwrap(), Vec::new());
        assert!(open.is_own_host("192.168.1.7") && !open.is_own_host("evil.example"));
    }

    #[test]
    fn the_cookie_does_not_hold_the_token() {
        let access = Access::new("a-secret-of-the-user", "127.0.0.1:1".parse().unwrap(), Vec::new());
        assert!(!access.session.contains("secret"));
        let mut headers = HeaderMap::new();
        let root: Uri = "/".parse().unwrap();
        assert!(matches!(access.knows_token(&headers, &root), Knows::Nothing));
        let cookie = format!("other=1; {}={}", access.cookie, access.session);
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        assert!(matches!(access.knows_token(&headers, &root), Knows::Token));
        let handed: Uri = "/?token=a-secret-of-the-user".parse().unwrap();
        assert!(matches!(access.knows_token(&HeaderMap::new(), &handed), Knows::HandedOver));
        let elsewhere: Uri = "/api/runs?token=a-secret-of-the-user".parse().unwrap();
        assert!(matches!(access.knows_token(&HeaderMap::new(), &elsewhere), Knows::Nothing));
    }
}
