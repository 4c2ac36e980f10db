//! Canonical URLs, and patterns that are compared with them.
//!
//! Two texts can name one resource: `/logout`, `/%6Cogout`, `/./logout`, `//logout`, `/logout;x`. A comparison of texts is
//! therefore no bound. [`CanonicalUrl`] parses a URL as browsers do (WHATWG URL standard) and gives each *reading* of its
//! path that some server may have. A rule that forbids applies where any reading matches ([`UrlPattern::touches`]), a rule
//! that allows where every reading does ([`UrlPattern::covers`]).

mod names;
mod pattern;

pub use names::{destinations, names};
pub use pattern::UrlPattern;

use reqwest::Url;
use std::net::Ipv6Addr;

/// Limit on rounds of percent-decoding. No server decodes as often.
pub(crate) const MAX_DECODINGS: usize = 8;

/// An `http` or `https` URL in canonical form. The form of `ws` and `wss` URLs is that of the request that opens the
/// socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CanonicalUrl {
    scheme: String,
    host: String,
    port: u16,
    path: String,
    query: Option<String>,
}

impl CanonicalUrl {
    /// Parses an absolute URL; `None` if it is none, or has another scheme.
    ///
    /// User name, password and fragment are dropped, because they select no resource. The host is in lower case, IDNA
    /// encoded, without a final dot; an IP address has its usual notation. The port is explicit. Percent-encoding is
    /// removed from unreserved characters (RFC 3986, section 2.3) and in upper case elsewhere, and dot segments are
    /// resolved.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(&Url::parse(text).ok()?)
    }

    /// The canonical form of a parsed URL; `None` if its scheme is another.
    pub fn of(url: &Url) -> Option<Self> {
        let scheme = match url.scheme() {
            "http" | "ws" => "http",
            "https" | "wss" => "https",
            _ => return None,
        };
        let host = canonical_host(url.host_str()?);
        if host.is_empty() || Url::parse(&format!("{scheme}://{host}/")).is_err() {
            return None;
        }
        Some(Self {
            scheme: scheme.to_owned(),
            host,
            port: url.port_or_known_default()?,
            path: resolve_dots(&normal_escapes(url.path())),
            // An empty query selects nothing.
            query: url.query().filter(|query| !query.is_empty()).map(normal_escapes),
        })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also where it is the scheme's default.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path, which begins with a slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The URL without its query. A default port is left out.
    pub fn address(&self) -> String {
        let Self { scheme, host, port, path, .. } = self;
        if *port == default_port(scheme) {
            format!("{scheme}://{host}{path}")
        } else {
            format!("{scheme}://{host}:{port}{path}")
        }
    }
}

impl std::fmt::Display for CanonicalUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address())?;
        self.query.as_ref().map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

/// A host name or address in canonical form: lower case, no final dot, an IPv4 address never written as IPv6.
pub fn canonical_host(host: &str) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return address
            .to_ipv4_mapped()
            .map_or_else(|| format!("[{address}]"), |address| address.to_string());
    }
    // Without its final dots a name may be an address: `0x7f.1..` is none to a browser, `0x7f.1` is 127.0.0.1.
    let parsed = Url::parse(&format!("http://{host}/")).ok();
    parsed.as_ref().and_then(Url::host_str).map_or(host, str::to_owned)
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "http" { 80 } else { 443 }
}

/// Decodes the escapes of unreserved characters, and writes the others in upper case. A percent sign that begins no escape is
/// escaped itself, so that the result is a fixed point.
fn normal_escapes(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        normal.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(byte) = escape(rest.as_bytes()) else {
            push_escape(&mut normal, b'%');
            rest = &rest[1..];
            continue;
        };
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            normal.push(char::from(byte));
        } else {
            push_escape(&mut normal, byte);
        }
        rest = &rest[3..];
    }
    normal.push_str(rest);
    normal
}

/// The byte of an escape at the beginning of `bytes`.
fn escape(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((digit(*high)? << 4 | digit(*low)?) as u8)
        }
        _ => None,
    }
}

/// The character of an escape of sixteen bits, such as `%u002e`, at the beginning of `bytes`.
fn wide_escape(bytes: &[u8]) -> Option<char> {
    match bytes {
        [b'%', b'u' | b'U', digits @ ..] => {
            let unit = digits
                .get(..4)?
                .iter()
                .try_fold(0, |unit, byte| Some(unit << 4 | char::from(*byte).to_digit(16)?))?;
            char::from_u32(unit)
        }
        _ => None,
    }
}

fn push_escape(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |at: u8| char::from(DIGITS[usize::from(at & 15)]);
    text.extend(['%', digit(byte >> 4), digit(byte)]);
}

/// Removes `.` and `..` segments (RFC 3986, section 5.2.4).
fn resolve_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// `bytes` with each percent-encoded byte decoded, and each `%u002e`, which some servers read as a character.
pub(crate) fn decode_once(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, others @ ..] = rest {
        if let Some(byte) = escape(rest) {
            decoded.push(byte);
            rest = &rest[3..];
        } else if let Some(character) = wide_escape(rest) {
            decoded.extend(character.encode_utf8(&mut [0; 4]).bytes());
            rest = &rest[6..];
        } else {
            decoded.push(*first);
            rest = others;
        }
    }
    decoded
}

/// Removes every escape, also escaped escapes.
fn decoded(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..MAX_DECODINGS {
        let once = decode_once(&bytes);
        if once == bytes {
            break;
        }
        bytes = once;
    }
    plain_spelling(&String::from_utf8_lossy(&without_overlong(&bytes)))
}

/// ASCII characters that are written with two bytes of invalid UTF-8, which some servers read, as themselves.
fn without_overlong(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, others @ ..] = rest {
        match rest {
            [0xc0 | 0xc1, low @ 0x80..=0xbf, after @ ..] => {
                plain.push((first & 1) << 6 | (low & 0x3f));
                rest = after;
            }
            [0xe0, middle @ (0x80 | 0x81), low @ 0x80..=0xbf, after @ ..] => {
                plain.push((middle & 1) << 6 | (low & 0x3f));
                rest = after;
            }
            _ => {
                plain.push(*first);
                rest = others;
            }
        }
    }
    plain
}

/// The text with ASCII for full-width characters and their like, which some servers read so.
fn plain_spelling(text: &str) -> String {
    let plain = text.chars().map(|character| match character {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character),
        '\u{2024}' | '\u{fe52}' => '.',
        '\u{2215}' => '/',
        other => other,
    });
    plain.collect()
}

/// The path without escapes, with slashes for backslashes, without empty segments, up to a NUL.
fn loose_path(path: &str) -> String {
    let plain = decoded(path).replace('\\', "/");
    let plain = plain.split('\0').next().unwrap_or_default();
    let mut merged = String::with_capacity(plain.len());
    for character in plain.chars() {
        if !(character == '/' && merged.ends_with('/')) {
            merged.push(character);
        }
    }
    merged
}

/// The reading of a server that decodes a path before it resolves dot segments.
fn decoded_path(path: &str) -> String {
    resolve_dots(&loose_path(path))
}

/// Removes parameters (`;x`) from each segment.
fn without_parameters(path: &str) -> String {
    let bare = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default().trim_end());
    bare.collect::<Vec<_>>().join("/")
}

/// The reading of a server that also removes parameters first, so that `..;` is `..`.
fn without_dots_and_parameters(path: &str) -> String {
    loose_path(&resolve_dots(&without_parameters(&loose_path(path))))
}

/// What servers may take a path for, from the strictest to the loosest, each with and without a trailing slash.
fn loose_readings(path: &str) -> Vec<String> {
    let mut readings = Vec::new();
    for reading in [loose_path(path), decoded_path(path), without_dots_and_parameters(path)] {
        let bare = reading.trim_end_matches('/');
        for reading in [reading.clone(), bare.to_owned(), format!("{bare}/")] {
            if !readings.contains(&reading) {
                readings.push(reading);
            }
        }
    }
    readings
}
