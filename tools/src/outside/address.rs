//! Network addresses that belong to the public internet, and those that need a grant of their own.
//!
//! A name that the agent file lists may resolve to any address, and to another one a second later. So the check is made
//! on the addresses of the one lookup whose result is connected to: [`resolve`] looks up and filters, and a caller
//! connects to what it returns and looks nothing up again.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::TcpStream;

/// Whether `address` can belong to a host of the public internet.
///
/// Not public are the blocks that the IANA registries of special-purpose addresses (RFC 6890) do not mark as globally
/// reachable: private, shared (carrier-grade NAT), loopback, link-local, unspecified, documentation, benchmarking,
/// multicast and reserved ones. An IPv6 address that embeds an IPv4 address (mapped, 6to4, NAT64) is judged by that.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [100, second, ..] => second & 0xc0 == 64,
        [172, second, ..] => second & 0xf0 == 16,
        [198, second, ..] if second & 0xfe == 18 => true,
        [0 | 10 | 127 | 224..=255, ..] | [169, 254, ..] | [192, 168, ..]
        // Protocol assignments, which cloud providers use for metadata; documentation; the former 6to4 relays.
        | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _]
        // Registered as public, but inside one provider's machines it is the host that owns the machine.
        | [168, 63, 129, 16] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // NAT64 with the well-known prefix 64:ff9b::/96; 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // Protocol assignments, among them Teredo; documentation.
        [0x2001, 0..0x200 | 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        // Only 2000::/3 is assigned as global unicast.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

/// Address ranges that are not public and that the agent file grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressGrants(Vec<Network>);

/// A block of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    /// Number of leading bits that all addresses of the block share.
    prefix: u32,
}

impl AddressGrants {
    /// Reads ranges in CIDR notation: `10.0.0.0/8`, `fd00::/8`; a single address is a range of one.
    ///
    /// # Errors
    /// A text is not an address or a range.
    pub fn new<T: AsRef<str>>(ranges: &[T]) -> Result<Self, String> {
        let read = |text: &T| {
            let text = text.as_ref();
            Network::read(text).ok_or_else(|| {
                format!("`{text}` is not a range of addresses: write `10.0.0.0/8`, `fd00::/8` or `127.0.0.1`")
            })
        };
        ranges.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The loopback addresses.
    pub fn loopback() -> Self {
        let v4 = Network { first: Ipv4Addr::new(127, 0, 0, 0).into(), prefix: 8 };
        Self(vec![v4, Network { first: Ipv6Addr::LOCALHOST.into(), prefix: 128 }])
    }

    /// These grants, and `others`.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// Whether `address` is public or granted.
    pub fn allow(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.0.iter().any(|network| network.contains(address))
    }

    /// Checks the address that a connection to `host` is made to.
    ///
    /// # Errors
    /// The address is neither public nor granted. The message names both and the setting.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), String> {
        if self.allow(address) {
            return Ok(());
        }
        let address = address.to_canonical();
        Err(format!(
            "`{host}` is at {address}, which is not a public address; to allow it, list it in `private_ranges`"
        ))
    }
}

impl Network {
    fn read(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let first: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
        let bits = if first.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { first, prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        // A shift by all bits is no shift; it means that the range is everything.
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let different = u32::from(first) ^ u32::from(address);
                different.checked_shr(32 - self.prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let different = u128::from(first) ^ u128::from(address);
                different.checked_shr(128 - self.prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Looks `host` up once and returns the addresses that may be connected to. `host` is a name or an address, an IPv6
/// address with or without brackets.
///
/// # Errors
/// The lookup fails, or every address is neither public nor granted ([`io::ErrorKind::PermissionDenied`]).
pub async fn resolve(host: &str, port: u16, grants: &AddressGrants) -> io::Result<Vec<SocketAddr>> {
    let name = host.trim_matches(['[', ']']);
    let found: Vec<SocketAddr> = tokio::net::lookup_host((name, port)).await?.collect();
    allowed(host, found, grants)
}

/// The addresses of `found` that may be connected to.
pub(crate) fn allowed(
    host: &str,
    found: Vec<SocketAddr>,
    grants: &AddressGrants,
) -> io::Result<Vec<SocketAddr>> {
    let refused = found.iter().find_map(|address| grants.check(host, address.ip()).err());
    let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| grants.allow(address.ip())).collect();
    match refused {
        _ if !allowed.is_empty() => Ok(allowed),
        Some(reason) => Err(io::Error::new(io::ErrorKind::PermissionDenied, reason)),
        None => Err(io::Error::new(io::ErrorKind::NotFound, format!("`{host}` has no address"))),
    }
}

/// Connects to `host`, at an address that is public or granted, with one lookup. The caller sets the time limit.
///
/// # Errors
/// As [`resolve`], or no address accepts the connection.
pub async fn connect(host: &str, port: u16, grants: &AddressGrants) -> io::Result<TcpStream> {
    let addresses = resolve(host, port, grants).await?;
    TcpStream::connect(addresses.as_slice()).await
}

/// The names that mean this machine on every machine (RFC 6761, section 6.3).
pub fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_public_are_known_in_every_notation() {
        let private = "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 \
            127.255.0.1 168.63.129.16 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.168.1.1 \
            192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.1.1.1 240.0.0.1 \
            255.255.255.255 :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 \
            64:ff9b::10.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1 2001:2::1 2001:10::1 2001:db8::1 \
            2002:7f00:1:: 2002:a00:1::1 2002:c0a8:101::1 3fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 \
            febf::1 fec0::1 ff02::1";
        for text in private.split_whitespace() {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        let public = "1.1.1.1 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.0.0.1 128.0.0.1 168.63.129.17 \
            169.253.0.1 172.15.0.1 172.32.0.1 192.0.1.1 192.167.0.1 198.17.0.1 198.20.0.1 223.255.255.255 \
            ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2001:200::1 2001:4860:4860::8888 2002:808:808::1 2606:4700::1111 \
            2a00:1450::1 3fff:1000::1";
        for text in public.split_whitespace() {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_grant_covers_its_range_and_nothing_beside_it() {
        let grants = AddressGrants::new(&["10.1.0.0/16", "fd00::/8", "127.0.0.1"]).unwrap();
        for (text, allowed) in [
            ("10.1.255.1", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("fdff::1", true),
            ("fe80::1", false),
            ("8.8.8.8", true),
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(grants.allow(address), allowed, "{text}");
            assert_eq!(grants.check("host", address).is_ok(), allowed, "{text}");
        }
        let all = AddressGrants::new(&["0.0.0.0/0", "::/0"]).unwrap();
        assert!(all.allow([192, 168, 0, 1].into()) && all.allow(Ipv6Addr::LOCALHOST.into()));
        assert!(AddressGrants::loopback().allow([127, 9, 9, 9].into()));
        assert!(!AddressGrants::loopback().allow([10, 0, 0, 1].into()));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "example.org", "10.0.0.0/-1", "1.2.3.4/"] {
            assert!(AddressGrants::new(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn of_a_mixed_lookup_only_the_allowed_addresses_are_left() {
        let found = || vec![SocketAddr::from(([10, 0, 0, 1], 80)), SocketAddr::from(([8, 8, 8, 8], 80))];
        let left = allowed("mixed.example", found(), &AddressGrants::default()).unwrap();
        assert_eq!(left, [SocketAddr::from(([8, 8, 8, 8], 80))]);
        let private = vec![SocketAddr::from(([10, 0, 0, 1], 80))];
        let error = allowed("inner.example", private, &AddressGrants::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("`inner.example` is at 10.0.0.1"), "{error}");
        assert!(allowed("none.example", Vec::new(), &AddressGrants::default()).is_err());
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_connected_to_only_with_a_grant() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]"] {
            let error = connect(host, port, &AddressGrants::default()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{host}: {error}");
        }
        assert!(connect("localhost", port, &AddressGrants::loopback()).await.is_ok());
        assert!(
            is_localhost("LOCALHOST.") && is_localhost("a.localhost") && !is_localhost("localhost.example")
        );
    }
}
