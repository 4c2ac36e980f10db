//! Heads of HTTP/1.1 requests, as the browser sends them to its proxy.

use sojourn_tools::outside::url::CanonicalUrl;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Size limit of a request head, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A request head: its first line, and its fields without the empty line.
#[derive(Debug)]
pub struct RequestHead {
    line: String,
    fields: String,
}

/// What the browser asks its proxy for.
#[derive(Debug, PartialEq, Eq)]
pub enum ProxyRequest {
    /// A connection to a host.
    Tunnel {
        /// Name or address of the host.
        host: String,
        /// Port of the host.
        port: u16,
    },
    /// One plain request.
    Plain(PlainRequest),
}

/// A plain request of the browser.
#[derive(Debug, PartialEq, Eq)]
pub struct PlainRequest {
    /// The method, which is case-sensitive.
    pub method: String,
    /// Canonical URL, for comparisons.
    pub url: CanonicalUrl,
    /// Path and query as the browser wrote them.
    pub target: String,
}

impl RequestHead {
    /// Reads a head from the beginning of a stream. Returns it with the bytes that were read after it; `None` if it is too
    /// long, not text, or incomplete. `read` are bytes that were read from the stream before.
    pub async fn read(
        stream: &mut (impl AsyncRead + Unpin),
        mut read: Vec<u8>,
    ) -> io::Result<Option<(Self, Vec<u8>)>> {
        let mut searched = 0;
        loop {
            if let Some(end) = read[searched..].windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = read.split_off(searched + end + 4);
                read.truncate(searched + end);
                let Ok(head) = String::from_utf8(read) else { return Ok(None) };
                let (line, fields) = head.split_once("\r\n").unwrap_or((head.as_str(), ""));
                let head = Self { line: line.to_owned(), fields: fields.to_owned() };
                return Ok(head.is_well_formed().then_some((head, rest)));
            }
            searched = read.len().saturating_sub(3);
            if read.len() > MAX_HEAD_BYTES || stream.read_buf(&mut read).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Line ends other than CRLF, and folded lines, are read differently by different servers.
    fn is_well_formed(&self) -> bool {
        let is_field = |field: &str| {
            let name = field.split(':').next().unwrap_or_default();
            field.contains(':') && !name.is_empty() && !name.contains([' ', '\t'])
        };
        let lines = self.line.chars().chain(self.fields.replace("\r\n", "").chars()).collect::<String>();
        !lines.contains(['\r', '\n', '\0'])
            && (self.fields.is_empty() || self.fields.split("\r\n").all(is_field))
    }

    fn words(&self) -> Option<(&str, &str)> {
        let mut words = self.line.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        (words.next().is_none() && version == "HTTP/1.1").then_some((method, target))
    }

    /// The request to a proxy: `CONNECT host:port`, or a method with an absolute URL.
    pub fn proxy_request(&self) -> Option<ProxyRequest> {
        let (method, target) = self.words()?;
        if method == "CONNECT" {
            // A URL parser reads the host and port, so that it means the same here and where it is compared.
            let url = CanonicalUrl::parse(&format!("https://{target}/"))?;
            let has_host_only = !target.contains(['/', '@', '?', '#', '\\']);
            return has_host_only
                .then(|| ProxyRequest::Tunnel { host: url.host().to_owned(), port: url.port() });
        }
        let (scheme, rest) = target.split_once("://")?;
        let url = CanonicalUrl::parse(target).filter(|_| matches!(scheme, "http" | "ws"))?;
        let end = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
        let path = &rest[end..];
        let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(ProxyRequest::Plain(PlainRequest { method: method.to_owned(), url, target }))
    }

    /// The URL of a request that opens a WebSocket in a tunnel to `host`; `None` for any other request.
    pub fn web_socket(&self, host: &str, port: u16) -> Option<CanonicalUrl> {
        let (method, target) = self.words()?;
        let upgrades = self.values("upgrade").any(|value| value.eq_ignore_ascii_case("websocket"));
        if method != "GET" || !target.starts_with('/') || !upgrades {
            return None;
        }
        CanonicalUrl::parse(&format!("ws://{host}:{port}{target}"))
    }

    /// Values of the fields with this name, which is in lower case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.fields.split("\r\n").filter_map(|field| field.split_once(':'));
        fields.filter(move |(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Number of bytes of the body; `None` if it cannot be known from the head.
    pub fn body_bytes(&self) -> Option<u64> {
        if self.values("transfer-encoding").next().is_some() {
            return None;
        }
        let mut lengths = self.values("content-length");
        let Some(length) = lengths.next() else { return Some(0) };
        if lengths.next().is_some() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        length.parse().ok()
    }

    /// The head to send to the host: of a request that is the only one of its connection.
    pub fn forwarded(&self, request: &PlainRequest) -> String {
        let mut sent = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
        for field in self.fields.split("\r\n") {
            let name = field.split(':').next().unwrap_or_default().to_ascii_lowercase();
            if !field.is_empty() && !matches!(name.as_str(), "proxy-connection" | "connection" | "upgrade") {
                sent.extend([field, "\r\n"]);
            }
        }
        sent.push_str("Connection: close\r\n\r\n");
        sent
    }

    /// The head as it was read.
    pub fn unchanged(&self) -> String {
        let Self { line, fields } = self;
        if fields.is_empty() { format!("{line}\r\n\r\n") } else { format!("{line}\r\n{fields}\r\n\r\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Option<RequestHead> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let text = format!("{text}\r\n\r\n");
        runtime.block_on(RequestHead::read(&mut text.as_bytes(), Vec::new())).unwrap().map(|(head, _)| head)
    }

    #[test]
    fn proxy_request_lines_are_parsed() {
        let read = |line: &str| match head(line)?.proxy_request()? {
            ProxyRequest::Tunnel { host, port } => Some((host, port, String::new())),
            ProxyRequest::Plain(request) => {
                Some((request.url.host().to_owned(), request.url.port(), request.target))
            }
        };
        assert_eq!(read("CONNECT a.example:443 HTTP/1.1"), Some(("a.example".into(), 443, String::new())));
        assert_eq!(read("CONNECT A.example.:8 HTTP/1.1"), Some(("a.example".into(), 8, String::new())));
        assert_eq!(
            read("GET http://a.example:8/p?q=1 HTTP/1.1"),
            Some(("a.example".into(), 8, "/p?q=1".into()))
        );
        assert_eq!(read("GET http://a.example?q HTTP/1.1"), Some(("a.example".into(), 80, "/?q".into())));
        // The part before `@` is not the host.
        assert_eq!(
            read("GET http://good.example@evil.example HTTP/1.1"),
            Some(("evil.example".into(), 80, "/".into()))
        );
        for line in [
            "GET /p HTTP/1.1",
            "GET ftp://a.example/ HTTP/1.1",
            "GET https://a.example/ HTTP/1.1",
            "GET http://a.example/ x HTTP/1.1",
            "GET http://a.example/ HTTP/2",
            "CONNECT a.example/x@b.example:443 HTTP/1.1",
            "nonsense",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn a_head_that_servers_may_read_differently_is_refused() {
        let line = "POST http://a.example/ HTTP/1.1";
        for fields in ["a: b\nc: d", "a: b\r\n c: d", "a : b", "nothing", ": x", "a: b\0"] {
            assert!(head(&format!("{line}\r\n{fields}")).is_none(), "{fields:?}");
        }
        let length = |fields: &str| head(&format!("{line}\r\n{fields}")).unwrap().body_bytes();
        assert_eq!(length("A: b"), Some(0));
        assert_eq!(length("Content-Length: 7"), Some(7));
        for fields in
            ["Content-Length: 7\r\ncontent-length: 8", "Content-Length: +7", "Transfer-Encoding: chunked"]
        {
            assert_eq!(length(fields), None, "{fields}");
        }
    }

    #[test]
    fn a_forwarded_request_is_the_last_of_its_connection() {
        let head =
            head("GET http://a.example/x HTTP/1.1\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\nA: b")
                .unwrap();
        let Some(ProxyRequest::Plain(request)) = head.proxy_request() else { panic!("{head:?}") };
        assert_eq!(head.forwarded(&request), "GET /x HTTP/1.1\r\nA: b\r\nConnection: close\r\n\r\n");
    }
}
