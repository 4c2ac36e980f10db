//! HTTP restricted to an allow-list of hosts, and to addresses that are public or granted.

use crate::outside::address::{AddressGrants, allowed, is_localhost};
use globset::{Glob, GlobSet, GlobSetBuilder};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Response, Url, redirect};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Limit on redirects of one request.
const MAX_REDIRECTS: usize = 5;

/// An allow-list of hosts, and the addresses that they may have.
#[derive(Clone)]
pub struct AllowedHosts(Arc<Rules>);

struct Rules {
    /// Patterns of names, and of names with a port.
    names: GlobSet,
    /// Addresses and `localhost`. Who lists one of them grants it.
    local: Vec<(Local, Port)>,
    grants: AddressGrants,
}

/// A host that names its address itself.
#[derive(Debug, Clone, PartialEq)]
enum Local {
    Address(IpAddr),
    /// `localhost` or a name below it.
    Name(String),
}

/// The port of a pattern.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Port {
    /// The default of the request's scheme.
    Default,
    Number(u16),
    Any,
}

impl Local {
    fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?.trim_matches(['[', ']']);
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        is_localhost(host).then(|| Self::Name(host.trim_end_matches('.').to_ascii_lowercase()))
    }

    /// The host and port of a pattern, if the pattern is an address or `localhost`.
    fn of_pattern(pattern: &str) -> Option<(Self, Port)> {
        if let Ok(address) = pattern.parse::<Ipv6Addr>() {
            return Some((Self::Address(IpAddr::from(address).to_canonical()), Port::Default));
        }
        let (host, any) = match pattern.strip_suffix(":*") {
            Some(host) => (host, true),
            None => (pattern, false),
        };
        let url = Url::parse(&format!("http://{host}/")).ok().filter(|url| url.path() == "/")?;
        let port = match url.port() {
            _ if any => Port::Any,
            Some(port) => Port::Number(port),
            // The parser drops the default port.
            None if host.ends_with(":80") => Port::Number(80),
            None => Port::Default,
        };
        Some((Self::of(&url)?, port))
    }
}

impl Port {
    fn allows(self, url: &Url) -> bool {
        match self {
            Self::Any => true,
            Self::Default => url.port().is_none(),
            Self::Number(port) => url.port_or_known_default() == Some(port),
        }
    }
}

impl AllowedHosts {
    /// Compiles host patterns, with `*` as a wildcard: `docs.rs`, `*.example.org`, `localhost:8080`. Names may resolve to
    /// public addresses and to `private_ranges`. An address that is not public, and `localhost`, are allowed if a pattern
    /// is exactly that host, or if `private_ranges` has them.
    ///
    /// # Errors
    /// `patterns` is empty, or a pattern or a range is not valid.
    pub fn new(patterns: &[String], private_ranges: &[String]) -> Result<Self, String> {
        if patterns.is_empty() {
            return Err("`hosts` is empty: list the hosts that may be contacted".to_owned());
        }
        let mut set = GlobSetBuilder::new();
        let mut local = Vec::new();
        for pattern in patterns {
            let pattern = pattern.trim().to_ascii_lowercase();
            // An IPv6 address in brackets would be read as a class of characters.
            if let Some(host) = Local::of_pattern(&pattern) {
                local.push(host);
                continue;
            }
            let glob =
                Glob::new(&pattern).map_err(|error| format!("`{pattern}` is not a pattern: {error}"))?;
            set.add(glob);
        }
        let names = set.build().map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(Rules { names, local, grants: AddressGrants::new(private_ranges)? })))
    }

    /// Any public host, the host of `url`, and `private_ranges`: for a server that the agent file names and that names
    /// further hosts itself.
    ///
    /// # Errors
    /// A range is not valid.
    pub fn of_server(url: &Url, private_ranges: &[String]) -> Result<Self, String> {
        let names = GlobSetBuilder::new().add(Glob::new("*").map_err(|error| error.to_string())?).build();
        let mut grants = AddressGrants::new(private_ranges)?;
        // A server on this machine or at a literal address may send the client to other ports of the same address.
        let local = Local::of(url);
        match &local {
            Some(Local::Name(_)) => grants = grants.and(&AddressGrants::loopback()),
            Some(Local::Address(address)) => {
                grants = grants.and(&AddressGrants::new(&[address.to_string()])?);
            }
            None => {}
        }
        Ok(Self(Arc::new(Rules {
            names: names.map_err(|error| error.to_string())?,
            local: Vec::new(),
            grants,
        })))
    }

    /// Ok if the list allows `url`; otherwise the reason why not. The addresses of a name are checked when a connection is
    /// made.
    ///
    /// # Errors
    /// The scheme is not HTTP, the host is not listed, or it is an address that is neither public nor granted.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("the scheme `{}` is not allowed: only http and https are", url.scheme()));
        }
        let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let known_port = url.port_or_known_default();
        let local = Local::of(url);
        if let Some(local) = &local
            && self.0.local.iter().any(|(one, port)| one == local && port.allows(url))
        {
            return Ok(());
        }
        let with_port = known_port.map(|port| format!("{host}:{port}"));
        let listed = with_port.is_some_and(|host| self.0.names.is_match(host))
            || (url.port().is_none() && self.0.names.is_match(&host));
        if !listed {
            return Err(format!("`{host}` is not in `hosts`, the list of hosts that may be contacted"));
        }
        match local {
            Some(Local::Address(address)) => self.0.grants.check(&host, address),
            Some(Local::Name(_)) => {
                let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
                let mut checks = loopback.into_iter().map(|address| self.0.grants.check(&host, address));
                checks.find(Result::is_ok).unwrap_or_else(|| self.0.grants.check(&host, loopback[0]))
            }
            None => Ok(()),
        }
    }

    /// The addresses of `found` that a connection to the host `name` may be made to.
    fn filter(&self, name: &str, found: Vec<SocketAddr>) -> std::io::Result<Vec<SocketAddr>> {
        // Whoever lists `localhost` means this machine, whatever else a resolver says.
        let listed = |(one, _): &(Local, Port)| matches!(one, Local::Name(own) if own == name);
        if is_localhost(name) && self.0.local.iter().any(listed) {
            return allowed(name, found, &AddressGrants::loopback().and(&self.0.grants));
        }
        allowed(name, found, &self.0.grants)
    }

    /// A builder of clients that connect to allowed addresses only, looked up once per connection. No proxy is used: it
    /// would look names up itself. Whoever sends a request or follows a redirect calls [`check`](Self::check) first,
    /// because a literal address is never looked up.
    pub fn builder(&self) -> ClientBuilder {
        let user_agent = concat!("sojourn/", env!("CARGO_PKG_VERSION"));
        Client::builder().user_agent(user_agent).no_proxy().dns_resolver(Arc::new(self.clone()))
    }

    /// The hosts with a client that follows no redirects and has no time limit.
    ///
    /// # Errors
    /// TLS cannot be initialised.
    #[cfg(feature = "wasm")]
    pub fn with_client(self) -> Result<(Self, Client), String> {
        let client = self.builder().redirect(redirect::Policy::none()).build();
        client.map(|client| (self, client)).map_err(|error| error.to_string())
    }

    /// An HTTP client that follows redirects to allowed hosts only. With `secret`, redirects stay on the
    /// origin of the request.
    ///
    /// # Errors
    /// TLS cannot be initialised.
    pub fn client(&self, timeout: Duration, secret: bool) -> Result<Client, String> {
        let hosts = self.clone();
        let policy = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() >= MAX_REDIRECTS {
                return attempt.error(format!("more than {MAX_REDIRECTS} redirects"));
            }
            // Headers with secrets are sent along with a redirect.
            let origin = attempt.previous().first().map(Url::origin);
            if secret && origin.is_some_and(|origin| origin != attempt.url().origin()) {
                return attempt.error("a request with a secret follows no redirect to another origin");
            }
            match hosts.check(attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(reason) => attempt.error(reason),
            }
        });
        self.builder().timeout(timeout).redirect(policy).build().map_err(|error| error.to_string())
    }
}

impl Resolve for AllowedHosts {
    fn resolve(&self, name: Name) -> Resolving {
        let hosts = self.clone();
        Box::pin(async move {
            let name = name.as_str().trim_end_matches('.').to_ascii_lowercase();
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = hosts.filter(&name, found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Reads a response body of at most `most` bytes. The client asks for no compression, so a compressed body is refused.
///
/// # Errors
/// The connection fails, or the body is longer or encoded.
pub async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, String> {
    if let Some(encoding) = response.headers().get(reqwest::header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let encoding = String::from_utf8_lossy(encoding.as_bytes());
        return Err(format!("the response is encoded as `{encoding}`, which was not asked for"));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error_chain(&error))? {
        if bytes.len() + chunk.len() > most {
            return Err(format!("the response has more than {most} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// An error with its chain of causes; the root cause is what helps the reader.
pub fn error_chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(patterns: &[&str], ranges: &[&str]) -> AllowedHosts {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        AllowedHosts::new(&own(patterns), &own(ranges)).unwrap()
    }

    fn allows(hosts: &AllowedHosts, url: &str) -> bool {
        hosts.check(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn a_private_address_is_allowed_by_its_own_name_or_range_and_by_no_wildcard() {
        let any = hosts(&["*"], &[]);
        for url in [
            "http://127.0.0.1/",
            "http://127.1:9/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://169.254.169.254/latest",
            "http://localhost/",
            "http://a.LOCALHOST./",
            "http://0.0.0.0/",
            "http://[fe80::1]/",
            "http://100.64.0.1/",
        ] {
            assert!(!allows(&any, url), "{url}");
        }
        assert!(allows(&any, "https://example.org/") && allows(&any, "http://8.8.8.8:53/"));
        let named =
            hosts(&["127.0.0.1:8080", "localhost:8081", "[::1]", "docs.rs", "*.example.org", "h:443"], &[]);
        for (url, allowed) in [
            ("http://127.0.0.1:8080/", true),
            ("http://127.0.0.1:8081/", false),
            ("http://127.0.0.1/", false),
            ("http://localhost:8081/", true),
            ("http://localhost:8080/", false),
            ("http://[::1]/", true),
            ("http://[::1]:81/", false),
            ("https://docs.rs/", true),
            ("https://docs.rs./", true),
            ("https://DOCS.rs:443/", true),
            ("https://docs.rs:8443/", false),
            ("https://a.example.org/", true),
            ("https://example.org/", false),
            ("https://h/", true),
            ("http://h/", false),
        ] {
            assert_eq!(allows(&named, url), allowed, "{url}");
        }
        let ranged = hosts(&["*"], &["10.0.0.0/8", "127.0.0.1"]);
        assert!(allows(&ranged, "http://10.1.2.3/") && allows(&ranged, "http://localhost/"));
        assert!(!allows(&ranged, "http://192.168.0.1/") && !allows(&ranged, "http://[::1]/"));
        assert!(AllowedHosts::new(&["*".to_owned()], &["lan".to_owned()]).is_err());
    }

    #[test]
    fn a_server_cannot_send_a_sign_in_to_a_private_address() {
        let of = |url: &str, ranges: &[String]| {
            AllowedHosts::of_server(&Url::parse(url).unwrap(), ranges).unwrap()
        };
        let remote = of("https://mcp.example/mcp", &[]);
        assert!(allows(&remote, "https://auth.example/token"));
        for url in [
            "http://localhost/",
            "http://127.0.0.1:8080/",
            "http://10.0.0.1/",
            "http://169.254.169.254/",
            "file:///etc/passwd",
        ] {
            assert!(!allows(&remote, url), "{url}");
        }
        let inner = vec![SocketAddr::from(([10, 0, 0, 1], 0))];
        assert!(remote.filter("auth.example", inner.clone()).is_err());
        assert!(
            of("https://mcp.example/mcp", &["10.0.0.0/8".to_owned()])
                .filter("auth.example", inner.clone())
                .is_ok()
        );
        // A server on this machine may use other ports of it, and nothing else that is not public.
        let here = of("http://localhost:8080/mcp", &[]);
        assert!(allows(&here, "http://localhost:9000/") && allows(&here, "http://127.0.0.1:9000/"));
        assert!(!allows(&here, "http://10.0.0.1/") && here.filter("auth.example", inner).is_err());
    }

    #[test]
    fn a_listed_name_that_resolves_to_a_private_address_is_not_connected_to() {
        let at = |address: &str| vec![SocketAddr::new(address.parse().unwrap(), 0)];
        let listed = hosts(&["rebound.example", "localhost:80"], &["10.0.0.0/8"]);
        assert!(listed.filter("rebound.example", at("93.184.216.34")).is_ok());
        assert!(listed.filter("rebound.example", at("10.9.9.9")).is_ok());
        for address in ["127.0.0.1", "::1", "169.254.169.254", "192.168.1.1", "::ffff:127.0.0.1"] {
            let error = listed.filter("rebound.example", at(address)).unwrap_err().to_string();
            assert!(error.contains("private_ranges"), "{error}");
        }
        assert!(listed.filter("localhost", at("127.0.0.1")).is_ok());
        assert!(listed.filter("localhost", at("192.168.1.1")).is_err());
    }
}
