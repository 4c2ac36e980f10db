//! The browser's only way to the network: an HTTP proxy on loopback that connects to allowed hosts only.
//! Pages, scripts, images, sockets and redirects all pass through it, and so does what the browser requests by itself.
//! It has two listeners: the browser sends `WebSocket`s to one and everything else to the other, so the proxy knows
//! the purpose of an encrypted connection without reading it.
//!
//! It compares every plain request with the [`RequestGrants`] once more, because the
//! [interceptor](crate::interceptor) learns of requests only where Chromium tells it.

use crate::host_pattern::HostPattern;
use crate::proxy_head::{PlainRequest, ProxyRequest, RequestHead};
use crate::request_grants::RequestGrants;
use crate::tunnel::{Offer, TunnelContent};
use sojourn_tools::outside::address::{self, AddressGrants};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Time limit for reading a request head, and for connecting to a host.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Number of bytes that are read at once, in which most request heads fit.
const READ_BYTES: usize = 4096;
/// Limit on the refused hosts that are recorded.
const MAX_REFUSALS: usize = 500;
/// Limit on the messages about refused requests that wait to be read.
const MAX_MESSAGES: usize = 20;

/// What the proxy lets through.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProxyRules {
    /// Hosts that may be connected to.
    pub hosts: Vec<HostPattern>,
    /// Ranges of addresses that are not public, to which a host's name may resolve.
    pub ranges: AddressGrants,
    /// Allowed requests; `None` allows all.
    pub grants: Option<RequestGrants>,
}

/// Where the proxy listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProxyAddresses {
    /// For pages and what the browser requests by itself.
    pub pages: SocketAddr,
    /// For sockets of scripts.
    pub sockets: SocketAddr,
}

/// What the browser uses a listener for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Pages,
    Sockets,
}

/// The running proxy. Dropping it closes it and all of its connections.
pub(crate) struct NetworkProxy {
    addresses: ProxyAddresses,
    state: Arc<ProxyState>,
    _tasks: JoinSet<()>,
}

/// What the connections of a proxy share.
#[derive(Default)]
struct ProxyState {
    rules: ProxyRules,
    /// Why connections were refused, by `host:port`.
    refused: Mutex<BTreeMap<String, String>>,
    /// Messages about other refusals, until they are reported.
    messages: Mutex<VecDeque<String>>,
    /// Addresses of the browser's own servers, which no page may connect to: this proxy.
    own: OnceLock<Vec<SocketAddr>>,
}

impl NetworkProxy {
    /// Listens on free loopback ports.
    pub async fn open(rules: ProxyRules) -> io::Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        Self::serve_on([listen().await?, listen().await?], rules)
    }

    /// Serves the connections of two listeners: for pages, and for sockets of scripts.
    pub fn serve_on([pages, sockets]: [TcpListener; 2], rules: ProxyRules) -> io::Result<Self> {
        let addresses = ProxyAddresses { pages: pages.local_addr()?, sockets: sockets.local_addr()? };
        let state = Arc::new(ProxyState { rules, ..ProxyState::default() });
        let mut tasks = JoinSet::new();
        for (listener, purpose) in [(pages, Purpose::Pages), (sockets, Purpose::Sockets)] {
            tasks.spawn(accept(listener, purpose, Arc::clone(&state)));
        }
        Ok(Self { addresses, state, _tasks: tasks })
    }

    /// Addresses of the listeners.
    pub fn addresses(&self) -> ProxyAddresses {
        self.addresses
    }

    /// Closes this proxy to pages. Before the call, pages cannot connect anywhere.
    pub fn protect(&self) {
        // A second call changes nothing.
        let ProxyAddresses { pages, sockets } = self.addresses;
        let _ = self.state.own.set(vec![pages, sockets]);
    }

    /// Opens the proxy where no page can reach it anyway.
    #[cfg(target_os = "linux")]
    pub fn protect_nothing(&self) {
        let _ = self.state.own.set(Vec::new());
    }

    /// Why the last connection to this `host:port` was refused; `None` if it was not.
    pub fn refusal(&self, host: &str) -> Option<String> {
        self.state.refused().get(host).cloned()
    }

    /// Takes the messages about requests that only this proxy refused.
    pub fn take_messages(&self) -> Vec<String> {
        self.state.messages.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

/// Serves the connections of one listener.
async fn accept(listener: TcpListener, purpose: Purpose, state: Arc<ProxyState>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = Arc::clone(&state);
                // A broken connection affects only the page that made it.
                connections.spawn(async move { server.serve(stream, purpose).await.ok() });
            }
            // Too many open files: wait until some are closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

impl ProxyState {
    async fn serve(&self, mut client: TcpStream, purpose: Purpose) -> io::Result<()> {
        let read = within(RequestHead::read(&mut client, Vec::with_capacity(READ_BYTES))).await?;
        let Some((head, rest)) = read else {
            return answer(&mut client, "400 Bad Request", "malformed request").await;
        };
        match head.proxy_request() {
            Some(ProxyRequest::Tunnel { host, port }) => {
                let Some(server) = self.connect(&mut client, &host, port).await? else { return Ok(()) };
                self.tunnel(client, server, &host, port, purpose).await
            }
            Some(ProxyRequest::Plain(request)) if purpose == Purpose::Pages => {
                self.forward(client, &head, &request, rest).await
            }
            _ => answer(&mut client, "400 Bad Request", "not a proxy request").await,
        }
    }

    /// Connects to a host. If that is impossible, it tells the client, and returns `None`.
    async fn connect(&self, client: &mut TcpStream, host: &str, port: u16) -> io::Result<Option<TcpStream>> {
        let matching = || self.rules.hosts.iter().filter(|pattern| pattern.allows(host, port));
        if matching().next().is_none() {
            let why = format!("{host}:{port} is not among the hosts that the agent may visit");
            return self.refuse(client, host, port, why).await;
        }
        let ranges = matching()
            .fold(self.rules.ranges.clone(), |ranges, pattern| ranges.and(&pattern.named_addresses()));
        let addresses = match within(address::resolve(host, port, &ranges)).await {
            Ok(addresses) => addresses,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return self.refuse(client, host, port, error.to_string()).await;
            }
            Err(error) => return answer(client, "502 Bad Gateway", &error.to_string()).await.map(|()| None),
        };
        let own = self.own.get().map(Vec::as_slice);
        if own.is_none_or(|own| addresses.iter().any(|address| is_one_of(address, own))) {
            let why = format!("{host}:{port} is a server of the browser itself, which is closed to pages");
            return self.refuse(client, host, port, why).await;
        }
        self.refused().remove(&format!("{host}:{port}"));
        match within(TcpStream::connect(addresses.as_slice())).await {
            Ok(server) => Ok(Some(server)),
            Err(error) => answer(client, "502 Bad Gateway", &error.to_string()).await.map(|()| None),
        }
    }

    /// Sends one plain request to its host, and the response back.
    async fn forward(
        &self,
        mut client: TcpStream,
        head: &RequestHead,
        request: &PlainRequest,
        rest: Vec<u8>,
    ) -> io::Result<()> {
        let url = &request.url;
        let grants = self.rules.grants.as_ref();
        if let Some(why) = grants.and_then(|grants| grants.refusal_of(&request.method, url)) {
            // What Chromium requests by itself is no news for the agent; a page's requests are refused before they come here.
            if self.rules.hosts.iter().any(|pattern| pattern.allows(url.host(), url.port())) {
                self.report(why.clone());
            }
            return answer(&mut client, "403 Forbidden", &why).await;
        }
        let Some(body) = head.body_bytes() else {
            return answer(&mut client, "411 Length Required", "the length of the body is not known").await;
        };
        let Some(mut server) = self.connect(&mut client, url.host(), url.port()).await? else {
            return Ok(());
        };
        server.write_all(head.forwarded(request).as_bytes()).await?;
        // Bytes after the body would be another request, which was not compared with the grants.
        let first = usize::try_from(body).unwrap_or(usize::MAX).min(rest.len());
        server.write_all(&rest[..first]).await?;
        let (from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let mut body = from_client.take(body - first as u64);
        let upload = async {
            copy(&mut body, &mut to_server).await?;
            to_server.flush().await?;
            // A client that goes away, or sends more, ends the connection.
            let mut more = [0; 1];
            body.into_inner().read(&mut more).await
        };
        let download = async {
            copy(&mut from_server, &mut to_client).await?;
            to_client.shutdown().await
        };
        tokio::select! {
            sent = upload => sent.map(|_| ()),
            received = download => received,
        }
    }

    /// Joins a client with a host, once the first bytes show what they will exchange.
    async fn tunnel(
        &self,
        mut client: TcpStream,
        mut server: TcpStream,
        host: &str,
        port: u16,
        purpose: Purpose,
    ) -> io::Result<()> {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        let (content, read) = within(TunnelContent::read(&mut client, host, port)).await?;
        let grants = self.rules.grants.as_ref();
        let refusal = match &content {
            TunnelContent::Encrypted(Offer::Http1) if purpose == Purpose::Pages => None,
            TunnelContent::Encrypted(Offer::Http2) if grants.is_none() => None,
            // Such a connection could carry sockets beside requests.
            TunnelContent::Encrypted(Offer::Http2) => {
                Some(format!("this browser speaks HTTP/2 with {host}:{port}, which it was told not to do"))
            }
            TunnelContent::Encrypted(_) => {
                grants.and_then(|grants| grants.encrypted_socket_refusal(host, port))
            }
            TunnelContent::WebSocket(url) => grants.and_then(|grants| grants.socket_refusal(url)),
            TunnelContent::Unknown if read.is_empty() => return Ok(()),
            TunnelContent::Unknown => {
                Some(format!("a connection to {host}:{port} was neither a page's nor a WebSocket's"))
            }
        };
        if let Some(why) = refusal {
            self.report(why);
            return Ok(());
        }
        server.write_all(&read).await?;
        copy_bidirectional(&mut client, &mut server).await.map(|_| ())
    }

    /// Answers the client with the reason of a refused connection, and records it for [`NetworkProxy::refusal`].
    async fn refuse(
        &self,
        client: &mut TcpStream,
        host: &str,
        port: u16,
        why: String,
    ) -> io::Result<Option<TcpStream>> {
        self.record_refusal(format!("{host}:{port}"), &why);
        answer(client, "403 Forbidden", &why).await.map(|()| None)
    }

    fn record_refusal(&self, host: String, why: &str) {
        let mut refused = self.refused();
        if refused.len() < MAX_REFUSALS || refused.contains_key(&host) {
            refused.insert(host, why.to_owned());
        }
    }

    fn refused(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, why: String) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() < MAX_MESSAGES && !messages.contains(&why) {
            messages.push_back(why);
        }
    }
}

fn is_one_of(address: &SocketAddr, own: &[SocketAddr]) -> bool {
    let is_local = address.ip().to_canonical().is_loopback() || address.ip().to_canonical().is_unspecified();
    is_local && own.iter().any(|own| own.port() == address.port())
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(TIMEOUT, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
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

    /// A proxy with these rules, open to pages, and a host behind it that answers every connection once and keeps it open.
    async fn behind(send: &[&str], never: &[&str]) -> (NetworkProxy, SocketAddr, Arc<Mutex<Vec<u8>>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let host = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    let mut answered = false;
                    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                        kept.lock().unwrap().extend(&bytes[..count]);
                        if !answered {
                            answered = true;
                            stream
                                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                                .await
                                .unwrap();
                        }
                    }
                });
            }
        });
        let texts = |words: &[&str]| {
            words.iter().map(|word| word.replace("HOST", &host.to_string())).collect::<Vec<_>>()
        };
        let rules = ProxyRules {
            hosts: vec![HostPattern::new("127.0.0.1")],
            grants: Some(RequestGrants::new(&texts(send), &texts(never)).unwrap()),
            ..ProxyRules::default()
        };
        let proxy = NetworkProxy::open(rules).await.unwrap();
        proxy.protect();
        (proxy, host, received)
    }

    /// Sends bytes to the proxy, then more once an answer has come. Returns everything that was answered.
    async fn exchange(proxy: &NetworkProxy, first: &str, then: &str) -> String {
        exchange_at(proxy.addresses().pages, first.as_bytes(), then.as_bytes()).await
    }

    async fn exchange_at(proxy: SocketAddr, first: &[u8], then: &[u8]) -> String {
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        stream.write_all(first).await.unwrap();
        let mut answer = vec![0; 4096];
        // A connection that carries more bytes than the proxy reads may be reset.
        let count = stream.read(&mut answer).await.unwrap_or(0);
        answer.truncate(count);
        // The proxy may have closed the connection already.
        let _ = stream.write_all(then).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn text(received: &Mutex<Vec<u8>>) -> String {
        String::from_utf8_lossy(&received.lock().unwrap()).into_owned()
    }

    #[tokio::test]
    async fn a_second_request_does_not_follow_the_first_unchecked() {
        let (proxy, host, received) = behind(&["http://HOST/form"], &["*/logout"]).await;
        let first =
            format!("POST http://{host}/form HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\na=b");
        let second = format!("GET http://{host}/logout HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = exchange(&proxy, &first, &second).await;
        assert!(answer.ends_with("ok"), "{answer}");
        let both = exchange(&proxy, &format!("{first}{second}"), "").await;
        assert!(both.is_empty() || both.ends_with("ok"), "{both}");
        let received = text(&received);
        assert!(
            received.starts_with("POST /form HTTP/1.1\r\n") && received.contains("\r\n\r\na=b"),
            "{received}"
        );
        assert!(!received.contains("logout"), "{received}");
    }

    #[tokio::test]
    async fn plain_requests_are_compared_with_the_grants() {
        let (proxy, host, received) = behind(&[], &["*/logout"]).await;
        for request in [
            "GET http://HOST/%6Cogout",
            "GET http://HOST/a/..%2flogout",
            "POST http://HOST/x",
            "get http://HOST/x",
        ] {
            let request = format!("{} HTTP/1.1\r\n\r\n", request.replace("HOST", &host.to_string()));
            let answer = exchange(&proxy, &request, "").await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{request}: {answer}");
        }
        let chunked = format!("GET http://{host}/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        assert!(exchange(&proxy, &chunked, "").await.starts_with("HTTP/1.1 411 "));
        assert_eq!(text(&received), "");
        // The last two have the same reason.
        assert_eq!(proxy.take_messages().len(), 3);
    }

    #[tokio::test]
    async fn a_tunnel_carries_only_what_was_granted() {
        let (proxy, host, received) = behind(&["ws://HOST/live"], &[]).await;
        let tunnel = format!("CONNECT {host} HTTP/1.1\r\n\r\n");
        let socket =
            |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n\r\n");
        for content in [
            socket("/other"),
            socket("/live/../other"),
            "\0\x01\0\0stun".to_owned(),
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
        ] {
            exchange(&proxy, &tunnel, &content).await;
            assert_eq!(text(&received), "", "{content}");
        }
        exchange(&proxy, &tunnel, &socket("/live")).await;
        assert!(text(&received).starts_with("GET /live HTTP/1.1\r\n"));
        // The proxy is closed to the pages that it serves.
        for own in [proxy.addresses().pages, proxy.addresses().sockets] {
            let own = format!("CONNECT {own} HTTP/1.1\r\n\r\n");
            assert!(exchange(&proxy, &own, "").await.starts_with("HTTP/1.1 403 "));
        }
    }

    #[tokio::test]
    async fn what_is_encrypted_is_judged_by_what_the_browser_uses_it_for() {
        use crate::tunnel::tests::hello;
        for (send, protocols, at_pages, at_sockets) in [
            (&[][..], &["http/1.1"][..], true, false),
            (&["https://HOST/live"], &["http/1.1"], true, true),
            // Without an offer of HTTP it is no page's, such as a relay of WebRTC.
            (&[], &["stun.turn"], false, false),
            (&[], &[], false, false),
            (&["https://HOST/live"], &[], true, true),
            (&["https://HOST/live"], &["h2", "http/1.1"], false, false),
        ] {
            let (proxy, host, received) = behind(send, &[]).await;
            let tunnel = format!("CONNECT {host} HTTP/1.1\r\n\r\n");
            let hello = hello(protocols);
            let ProxyAddresses { pages, sockets } = proxy.addresses();
            for (listener, passes) in [(pages, at_pages), (sockets, at_sockets)] {
                received.lock().unwrap().clear();
                exchange_at(listener, tunnel.as_bytes(), &hello).await;
                let expected: &[u8] = if passes { &hello } else { &[] };
                assert_eq!(*received.lock().unwrap(), expected, "{send:?} {protocols:?} {listener:?}");
            }
            let plain = format!("GET http://{host}/x HTTP/1.1\r\n\r\n");
            let answer = exchange_at(sockets, plain.as_bytes(), b"").await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "pages do not come here: {answer}");
        }
    }

    #[tokio::test]
    async fn what_the_browser_sends_to_hosts_of_its_vendor_is_refused_in_silence() {
        let (proxy, _, received) = behind(&[], &[]).await;
        let request = "POST http://update.invalid/service HTTP/1.1\r\nHost: update.invalid\r\nContent-Length: 0\r\n\r\n";
        assert!(exchange(&proxy, request, "").await.starts_with("HTTP/1.1 403"));
        assert_eq!(proxy.take_messages(), Vec::<String>::new());
        assert_eq!(text(&received), "");
    }
}
