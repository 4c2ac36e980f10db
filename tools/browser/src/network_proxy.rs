//! The browser's only way to the network: an HTTP proxy on loopback that connects to allowed hosts only.
//! Pages, scripts, images, sockets and redirects all pass through it.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Size limit of a request head, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Time limit for reading a request head, and for connecting to a host.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Limit on the refused hosts that are recorded.
const MAX_REFUSALS: usize = 500;

/// A host pattern: `example.org`, `*.example.org`, `127.0.0.1:8700`. Without a port it matches every port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    name: String,
    port: Option<u16>,
}

impl HostPattern {
    /// Parses a pattern from an agent file.
    pub fn new(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        // An IPv6 address with a port is written in brackets.
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
                Ok(port) => (name, Some(port)),
                Err(_) => (text.as_str(), None),
            },
            _ => (text.as_str(), None),
        };
        Self { name: name.trim_matches(['[', ']']).to_owned(), port }
    }

    /// Whether the pattern matches `host` at `port`.
    pub fn allows(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        match self.name.strip_prefix("*.") {
            Some(parent) => {
                host.strip_suffix(parent).is_some_and(|child| child.ends_with('.') && child.len() > 1)
            }
            None => self.name == "*" || self.name == host,
        }
    }
}

/// The running proxy. Dropping it closes it and all of its connections.
pub(crate) struct NetworkProxy {
    address: SocketAddr,
    refused: Arc<Mutex<BTreeSet<String>>>,
    task: JoinHandle<()>,
}

impl NetworkProxy {
    /// Listens on a free loopback port.
    pub async fn open(allowed: Vec<HostPattern>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let refused = Arc::new(Mutex::new(BTreeSet::new()));
        let server = ProxyServer { allowed: allowed.into(), refused: Arc::clone(&refused) };
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let server = server.clone();
                        // A broken connection affects only the page that made it.
                        connections.spawn(async move { server.serve(stream).await.ok() });
                    }
                    // Too many open files: wait until some are closed.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, refused, task })
    }

    /// Address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a connection to this `host:port` was refused.
    pub fn has_refused(&self, host: &str) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(host)
    }
}

impl Drop for NetworkProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct ProxyServer {
    allowed: Arc<[HostPattern]>,
    refused: Arc<Mutex<BTreeSet<String>>>,
}

/// A parsed request line.
struct ProxyRequest {
    host: String,
    port: u16,
    /// The request line to forward; `None` for a tunnel.
    line: Option<String>,
}

impl ProxyServer {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let read = tokio::time::timeout(TIMEOUT, head(&mut client)).await;
        let Some((head, rest)) = read.map_err(|_| io::ErrorKind::TimedOut)?? else {
            return answer(&mut client, "400 Bad Request", "malformed request").await;
        };
        let (line, fields) = head.split_once("\r\n").unwrap_or((head.as_str(), ""));
        let Some(request) = parse_request(line) else {
            return answer(&mut client, "400 Bad Request", "not a proxy request").await;
        };
        if !self.allowed.iter().any(|host| host.allows(&request.host, request.port)) {
            self.record_refusal(&request);
            let why =
                format!("{}:{} is not among the hosts that the agent may visit", request.host, request.port);
            return answer(&mut client, "403 Forbidden", &why).await;
        }
        let name = request.host.trim_matches(['[', ']']);
        let connected = tokio::time::timeout(TIMEOUT, TcpStream::connect((name, request.port))).await;
        let mut server = match connected {
            Ok(Ok(server)) => server,
            Ok(Err(error)) => return answer(&mut client, "502 Bad Gateway", &error.to_string()).await,
            Err(_) => return answer(&mut client, "504 Gateway Timeout", "the host does not answer").await,
        };
        match request.line {
            None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?,
            Some(line) => {
                // Each connection serves one request, because the next one may be for another host.
                let kept = fields.split("\r\n").filter(|field| {
                    let name = field.split(':').next().unwrap_or_default().to_ascii_lowercase();
                    !field.is_empty() && !matches!(name.as_str(), "proxy-connection" | "connection")
                });
                let upgrades = fields.to_ascii_lowercase().contains("\r\nupgrade:");
                let connection = if upgrades { "Upgrade" } else { "close" };
                let mut sent = format!("{line}\r\n");
                kept.for_each(|field| sent.extend([field, "\r\n"]));
                sent.extend(["Connection: ", connection, "\r\n\r\n"]);
                server.write_all(sent.as_bytes()).await?;
            }
        }
        server.write_all(&rest).await?;
        copy_bidirectional(&mut client, &mut server).await?;
        Ok(())
    }

    fn record_refusal(&self, request: &ProxyRequest) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let host = format!("{}:{}", request.host, request.port);
        if refused.len() < MAX_REFUSALS {
            refused.insert(host);
        }
    }
}

/// Parses `CONNECT host:port …` or `GET http://host:port/path …`.
fn parse_request(line: &str) -> Option<ProxyRequest> {
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let authority = |text: &str, port: u16| {
        // User names and passwords in a URL must not reach the log.
        let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
        match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                Some((host.to_owned(), port.parse().ok()?))
            }
            _ => Some((text.to_owned(), port)),
        }
    };
    if method == "CONNECT" {
        let (host, port) = authority(target, 443)?;
        return Some(ProxyRequest { host, port, line: None });
    }
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("ws://"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, port) = authority(&rest[..end], 80)?;
    let path =
        if rest[end..].starts_with('/') { rest[end..].to_owned() } else { format!("/{}", &rest[end..]) };
    Some(ProxyRequest { host, port, line: Some(format!("{method} {path} {version}")) })
}

/// Reads a request head. Returns it without the empty line, and the bytes after it; `None` if it is too long.
async fn head(stream: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            bytes.truncate(end);
            return Ok(String::from_utf8(bytes).ok().map(|head| (head, rest)));
        }
        if bytes.len() > MAX_HEAD_BYTES || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

async fn answer(stream: &mut TcpStream, status: &str, why: &str) -> io::Result<()> {
    let length = why.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{why}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_does_not_match_similar_hosts() {
        let exact = HostPattern::new("example.org");
        assert!(exact.allows("example.org", 443) && exact.allows("Example.ORG.", 80));
        assert!(!exact.allows("evil-example.org", 443) && !exact.allows("example.org.evil.net", 443));
        assert!(!exact.allows("www.example.org", 443));
        let below = HostPattern::new("*.example.org");
        assert!(below.allows("www.example.org", 443) && below.allows("a.b.example.org", 443));
        assert!(!below.allows("example.org", 443) && !below.allows("badexample.org", 443));
        let port = HostPattern::new("127.0.0.1:8700");
        assert!(port.allows("127.0.0.1", 8700) && !port.allows("127.0.0.1", 8701));
        assert!(
            HostPattern::new("[::1]:80").allows("[::1]", 80) && HostPattern::new("::1").allows("[::1]", 9)
        );
    }

    #[test]
    fn proxy_request_lines_are_parsed() {
        let read = |line: &str| parse_request(line).map(|request| (request.host, request.port, request.line));
        assert_eq!(read("CONNECT a.example:443 HTTP/1.1"), Some(("a.example".into(), 443, None)));
        let line = Some("GET /p?q=1 HTTP/1.1".to_owned());
        assert_eq!(read("GET http://a.example:8/p?q=1 HTTP/1.1"), Some(("a.example".into(), 8, line)));
        // The part before `@` is not the host.
        let line = Some("GET / HTTP/1.1".to_owned());
        assert_eq!(
            read("GET http://good.example@evil.example HTTP/1.1"),
            Some(("evil.example".into(), 80, line))
        );
        assert_eq!(read("GET /p HTTP/1.1"), None);
        assert_eq!(read("GET ftp://a.example/ HTTP/1.1"), None);
        assert_eq!(read("nonsense"), None);
    }
}
