//! The way out of the browser: a proxy that knows where the agent may go. Pages, scripts, pictures, sockets and redirects
//! all come through here; what is not allowed is not connected.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The longest head of a request, in bytes.
const HEAD: usize = 64 * 1024;
/// How long a request's head, or a connection to a host, may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Refused hosts that are remembered.
const REFUSALS: usize = 500;

/// Where the agent may go: `example.org`, `*.example.org`, `127.0.0.1:8700`. Without a port every port is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

impl Host {
    /// Reads one as it stands in an agent file.
    pub fn new(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        // An address of version 6 stands in brackets where it has a port.
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
                Ok(port) => (name, Some(port)),
                Err(_) => (text.as_str(), None),
            },
            _ => (text.as_str(), None),
        };
        Self { name: name.trim_matches(['[', ']']).to_owned(), port }
    }

    /// Whether `host` at `port` is meant.
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

/// The proxy. Dropping it closes it, and every connection through it.
pub(crate) struct Gate {
    address: SocketAddr,
    refused: Arc<Mutex<BTreeSet<String>>>,
    task: JoinHandle<()>,
}

impl Gate {
    /// Opens one on this machine only.
    pub async fn open(allowed: Vec<Host>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let refused = Arc::new(Mutex::new(BTreeSet::new()));
        let keeper = Keeper { allowed: allowed.into(), refused: Arc::clone(&refused) };
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let keeper = keeper.clone();
                        // A connection that breaks is the page's affair.
                        connections.spawn(async move { keeper.serve(stream).await.ok() });
                    }
                    // Too many open files: some will be closed.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, refused, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a connection to this `host:port` was refused.
    pub fn has_refused(&self, host: &str) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(host)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Keeper {
    allowed: Arc<[Host]>,
    refused: Arc<Mutex<BTreeSet<String>>>,
}

/// What the first line of a request asks for.
struct Wish {
    host: String,
    port: u16,
    /// What is sent on in place of the line; nothing for a tunnel.
    line: Option<String>,
}

impl Keeper {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let read = tokio::time::timeout(PATIENCE, head(&mut client)).await;
        let Some((head, rest)) = read.map_err(|_| io::ErrorKind::TimedOut)?? else {
            return answer(&mut client, "400 Bad Request", "this is no request").await;
        };
        let (line, fields) = head.split_once("\r\n").unwrap_or((head.as_str(), ""));
        let Some(wish) = wish(line) else {
            return answer(&mut client, "400 Bad Request", "this is no request for a proxy").await;
        };
        if !self.allowed.iter().any(|host| host.allows(&wish.host, wish.port)) {
            self.note(&wish);
            let why = format!("{}:{} is not among the hosts that the agent may visit", wish.host, wish.port);
            return answer(&mut client, "403 Forbidden", &why).await;
        }
        let name = wish.host.trim_matches(['[', ']']);
        let connected = tokio::time::timeout(PATIENCE, TcpStream::connect((name, wish.port))).await;
        let mut server = match connected {
            Ok(Ok(server)) => server,
            Ok(Err(error)) => return answer(&mut client, "502 Bad Gateway", &error.to_string()).await,
            Err(_) => return answer(&mut client, "504 Gateway Timeout", "the host does not answer").await,
        };
        match wish.line {
            None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?,
            Some(line) => {
                // One request, one connection: the next one may be for another host.
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

    fn note(&self, wish: &Wish) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let host = format!("{}:{}", wish.host, wish.port);
        if refused.len() < REFUSALS {
            refused.insert(host);
        }
    }
}

/// `CONNECT host:port …` or `GET http://host:port/path …`.
fn wish(line: &str) -> Option<Wish> {
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let authority = |text: &str, port: u16| {
        // Names and passwords within an address are not for the log.
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
        return Some(Wish { host, port, line: None });
    }
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("ws://"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, port) = authority(&rest[..end], 80)?;
    let path =
        if rest[end..].starts_with('/') { rest[end..].to_owned() } else { format!("/{}", &rest[end..]) };
    Some(Wish { host, port, line: Some(format!("{method} {path} {version}")) })
}

/// A request's head without its empty line, and what came after it; `None` if it has no end.
async fn head(stream: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            bytes.truncate(end);
            return Ok(String::from_utf8(bytes).ok().map(|head| (head, rest)));
        }
        if bytes.len() > HEAD || stream.read_buf(&mut bytes).await? == 0 {
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
    fn a_host_means_itself_and_nothing_that_looks_like_it() {
        let exact = Host::new("example.org");
        assert!(exact.allows("example.org", 443) && exact.allows("Example.ORG.", 80));
        assert!(!exact.allows("evil-example.org", 443) && !exact.allows("example.org.evil.net", 443));
        assert!(!exact.allows("www.example.org", 443));
        let below = Host::new("*.example.org");
        assert!(below.allows("www.example.org", 443) && below.allows("a.b.example.org", 443));
        assert!(!below.allows("example.org", 443) && !below.allows("badexample.org", 443));
        let port = Host::new("127.0.0.1:8700");
        assert!(port.allows("127.0.0.1", 8700) && !port.allows("127.0.0.1", 8701));
        assert!(Host::new("[::1]:80").allows("[::1]", 80) && Host::new("::1").allows("[::1]", 9));
    }

    #[test]
    fn requests_are_read_as_a_proxy_reads_them() {
        let read = |line: &str| wish(line).map(|wish| (wish.host, wish.port, wish.line));
        assert_eq!(read("CONNECT a.example:443 HTTP/1.1"), Some(("a.example".into(), 443, None)));
        let line = Some("GET /p?q=1 HTTP/1.1".to_owned());
        assert_eq!(read("GET http://a.example:8/p?q=1 HTTP/1.1"), Some(("a.example".into(), 8, line)));
        // What stands before an @ is not the host.
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
