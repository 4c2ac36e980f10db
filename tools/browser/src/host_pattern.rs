//! Patterns of the hosts that the browser may connect to.

use sojourn_tools::outside::address::{AddressGrants, is_localhost};
use sojourn_tools::outside::url::canonical_host;
use std::net::IpAddr;

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
        Self { name: canonical_host(name), port }
    }

    /// Whether the pattern matches `host` at `port`.
    pub fn allows(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        let host = canonical_host(host);
        match self.name.strip_prefix("*.") {
            Some(parent) => {
                host.strip_suffix(parent).is_some_and(|child| child.ends_with('.') && child.len() > 1)
            }
            None => self.name == "*" || self.name == host,
        }
    }

    /// The addresses that are not public and that the pattern names: an address itself, or `localhost`. A name that resolves
    /// to such an address does not name it, because its owner may change that at any time.
    pub(crate) fn named_addresses(&self) -> AddressGrants {
        if is_localhost(&self.name) {
            return AddressGrants::loopback();
        }
        let name = self.name.trim_start_matches('[').trim_end_matches(']');
        let address = name.parse::<IpAddr>().ok().map(|address| address.to_string());
        AddressGrants::new(address.as_slice()).unwrap_or_default()
    }
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
        assert!(port.allows("[::ffff:127.0.0.1]", 8700));
        assert!(
            HostPattern::new("[::1]:80").allows("[::1]", 80) && HostPattern::new("::1").allows("[::1]", 9)
        );
    }

    #[test]
    fn only_an_address_or_localhost_names_a_private_address() {
        let names = |pattern: &str, address: &str| {
            HostPattern::new(pattern).named_addresses().allow(address.parse().unwrap())
        };
        assert!(
            names("127.0.0.1:8700", "127.0.0.1")
                && names("[::1]:80", "::1")
                && names("localhost", "127.0.0.1")
        );
        assert!(names("10.1.2.3", "10.1.2.3") && !names("10.1.2.3", "10.1.2.4"));
        for pattern in ["*", "example.org", "*.localhost.example", "127.0.0.1.example.org"] {
            assert!(!names(pattern, "127.0.0.1"), "{pattern}");
        }
    }
}
