//! The content of a tunnel through the proxy, as far as its first bytes show it.
//!
//! Browsers open tunnels for pages and for sockets of scripts: TLS that offers HTTP, or a plain request for a WebSocket. WebRTC opens them for
//! anything (TURN over TCP).

use crate::proxy_head::RequestHead;
use sojourn_tools::outside::url::CanonicalUrl;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Number of bytes that are read at once, in which most first messages fit.
const READ_BYTES: usize = 4096;
/// Size limit of the first TLS message, in bytes (RFC 8446, section 5.1).
const MAX_HELLO_BYTES: usize = 1 << 14;

/// What a tunnel carries.
#[derive(Debug, PartialEq, Eq)]
pub enum TunnelContent {
    /// TLS.
    Encrypted(Offer),
    /// A WebSocket that is not encrypted, by its URL.
    WebSocket(CanonicalUrl),
    /// Anything else.
    Unknown,
}

/// What a client offers to speak over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/2, perhaps among others.
    Http2,
    /// HTTP/1.1 and not HTTP/2.
    Http1,
    /// Neither.
    Other,
}

impl TunnelContent {
    /// Reads the beginning of a tunnel to `host`. Returns what it carries, and the bytes that were read.
    pub async fn read(
        stream: &mut (impl AsyncRead + Unpin),
        host: &str,
        port: u16,
    ) -> io::Result<(Self, Vec<u8>)> {
        let mut read = Vec::with_capacity(READ_BYTES);
        while read.is_empty() {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok((Self::Unknown, read));
            }
        }
        if read[0] != HANDSHAKE_RECORD && !read[0].is_ascii_uppercase() {
            return Ok((Self::Unknown, read));
        }
        if read[0] != HANDSHAKE_RECORD {
            let Some((head, rest)) = RequestHead::read(stream, read).await? else {
                return Ok((Self::Unknown, Vec::new()));
            };
            let content = head.web_socket(host, port).map_or(Self::Unknown, Self::WebSocket);
            let mut bytes = head.unchanged().into_bytes();
            bytes.extend(rest);
            return Ok((content, bytes));
        }
        let content = loop {
            if let [_, 3, _, high, low, record @ ..] = read.as_slice() {
                let length = usize::from(*high) << 8 | usize::from(*low);
                if length > MAX_HELLO_BYTES {
                    break Self::Unknown;
                }
                if let Some(record) = record.get(..length) {
                    break offer(record).map_or(Self::Unknown, Self::Encrypted);
                }
            } else if read.len() >= 5 {
                break Self::Unknown;
            }
            if stream.read_buf(&mut read).await? == 0 {
                break Self::Unknown;
            }
        };
        Ok((content, read))
    }
}

/// Content type of a TLS record with a handshake message (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// Type of the handshake message `ClientHello`.
const CLIENT_HELLO: u8 = 1;
/// Number of the extension that lists protocols (RFC 7301).
const ALPN: u16 = 16;

/// What a `ClientHello` offers; `None` if the bytes are none.
fn offer(record: &[u8]) -> Option<Offer> {
    let mut message = Reader(record);
    if message.take(1)? != [CLIENT_HELLO] {
        return None;
    }
    let length = message.number(3)?;
    let mut hello = Reader(message.take(length)?);
    // Version and random bytes, then session id, cipher suites and compression methods.
    hello.take(2 + 32)?;
    for size in [1, 2, 1] {
        let length = hello.number(size)?;
        hello.take(length)?;
    }
    let length = hello.number(2)?;
    let mut extensions = Reader(hello.take(length)?);
    let mut offered = Offer::Other;
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let length = extensions.number(2)?;
        let content = extensions.take(length)?;
        if kind != usize::from(ALPN) {
            continue;
        }
        let mut list = Reader(content);
        let length = list.number(2)?;
        let mut names = Reader(list.take(length)?);
        while !names.0.is_empty() {
            let length = names.number(1)?;
            match names.take(length)? {
                b"h2" => return Some(Offer::Http2),
                b"http/1.1" => offered = Offer::Http1,
                _ => {}
            }
        }
    }
    Some(offered)
}

/// Bytes that are taken from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of `size` bytes, the highest first.
    fn number(&mut self, size: usize) -> Option<usize> {
        Some(self.take(size)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A `ClientHello` record that offers these protocols.
    pub fn hello(protocols: &[&str]) -> Vec<u8> {
        let prefixed = |size: usize, content: Vec<u8>| {
            let mut bytes = content.len().to_be_bytes()[8 - size..].to_vec();
            bytes.extend(content);
            bytes
        };
        let names = protocols.iter().flat_map(|name| prefixed(1, name.as_bytes().to_vec())).collect();
        let mut extensions = vec![0, 10];
        extensions.extend(prefixed(2, vec![0, 2, 0, 29]));
        if !protocols.is_empty() {
            extensions.extend([0, 16]);
            extensions.extend(prefixed(2, prefixed(2, names)));
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend(prefixed(1, vec![1; 32]));
        body.extend(prefixed(2, vec![0x13, 1]));
        body.extend(prefixed(1, vec![0]));
        body.extend(prefixed(2, extensions));
        let mut message = vec![CLIENT_HELLO];
        message.extend(prefixed(3, body));
        let mut record = vec![HANDSHAKE_RECORD, 3, 1];
        record.extend(prefixed(2, message));
        record
    }

    fn content(bytes: &[u8]) -> TunnelContent {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (content, read) = runtime.block_on(TunnelContent::read(&mut &*bytes, "a.example", 443)).unwrap();
        if content != TunnelContent::Unknown {
            assert!(bytes.starts_with(&read) && !read.is_empty());
        }
        content
    }

    #[test]
    fn what_a_tunnel_carries_shows_at_its_beginning() {
        for (protocols, offer) in [
            (&["h2", "http/1.1"][..], Offer::Http2),
            (&["http/1.1", "h2"], Offer::Http2),
            (&["http/1.1"], Offer::Http1),
            (&["stun.turn"], Offer::Other),
            (&[], Offer::Other),
        ] {
            assert_eq!(content(&hello(protocols)), TunnelContent::Encrypted(offer), "{protocols:?}");
        }
        let socket = b"GET /live?x HTTP/1.1\r\nHost: a.example\r\nUpgrade: WebSocket\r\n\r\nmore";
        let url = CanonicalUrl::parse("ws://a.example:443/live?x").unwrap();
        assert_eq!(content(socket), TunnelContent::WebSocket(url));
        for other in [
            &b""[..],
            b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
            b"POST / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            // A STUN request.
            b"\0\x03\0\0\x21\x12\xa4\x42abcdefghijkl",
            b"\x16\x03\x01\xff\xff",
            b"\x16\x02\x01\0\x01\x01",
        ] {
            assert_eq!(content(other), TunnelContent::Unknown, "{other:?}");
        }
        let whole = hello(&["h2"]);
        for cut in 0..whole.len() {
            assert_eq!(content(&whole[..cut]), TunnelContent::Unknown, "{cut}");
        }
        // Any byte may be another one.
        for at in 5..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            content(&damaged);
        }
    }
}
