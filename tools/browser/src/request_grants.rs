//! The requests that pages may make, by method and URL.

use sojourn_tools::outside::url::{CanonicalUrl, UrlPattern};

/// Safe methods (RFC 9110, section 9.2.1).
const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
/// Limit on a URL in a message, in characters.
const MAX_SHOWN: usize = 120;

/// URL patterns that pages may request: `https://example.org/orders/*`. [`UrlPattern`] says what they match.
#[derive(Debug, Clone)]
pub struct RequestGrants {
    send: Vec<UrlPattern>,
    never: Vec<UrlPattern>,
}

impl RequestGrants {
    /// Allows requests with side effects (any unsafe method) to `send`, and forbids all requests to `never`.
    ///
    /// # Errors
    /// A pattern is invalid.
    pub fn new(send: &[String], never: &[String]) -> Result<Self, String> {
        let patterns =
            |texts: &[String]| texts.iter().map(|text| UrlPattern::new(text)).collect::<Result<_, _>>();
        Ok(Self { send: patterns(send)?, never: patterns(never)? })
    }

    /// Why a request is refused, or `None` if it is allowed.
    pub fn refusal(&self, method: &str, url: &str) -> Option<String> {
        match CanonicalUrl::parse(url) {
            Some(url) => self.refusal_of(method, &url),
            // Other schemes, such as `data:`, send nothing to the network.
            None if !url.trim_start().to_ascii_lowercase().starts_with("http") => None,
            None => Some(format!("{} is not a valid URL", shown(url))),
        }
    }

    /// [`refusal`](Self::refusal) of a parsed URL.
    pub(crate) fn refusal_of(&self, method: &str, url: &CanonicalUrl) -> Option<String> {
        if self.never.iter().any(|pattern| pattern.touches(url)) {
            let address = shown(&url.address());
            return Some(format!("{address} may not be visited: the agent's settings forbid it"));
        }
        // A page controls the query, so it must not influence whether a pattern without one matches.
        let is_safe = SAFE_METHODS.contains(&method);
        (!is_safe && !self.send.iter().any(|pattern| pattern.covers(url))).then(|| not_granted(url))
    }

    /// Why a socket that carries messages in both directions is refused. It sends whatever the page wants, so it needs a grant.
    pub(crate) fn socket_refusal(&self, url: &CanonicalUrl) -> Option<String> {
        self.refusal_of("CONNECT", url)
    }

    /// The same for an encrypted socket, of which only the host is known.
    pub(crate) fn encrypted_socket_refusal(&self, host: &str, port: u16) -> Option<String> {
        let url = CanonicalUrl::parse(&format!("https://{host}:{port}/"))?;
        (!self.send.iter().any(|pattern| pattern.is_on_host_of(&url))).then(|| not_granted(&url))
    }
}

fn not_granted(url: &CanonicalUrl) -> String {
    format!("nothing may be sent to {}: the agent's settings do not grant it", shown(&url.address()))
}

fn shown(url: &str) -> String {
    url.chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn unsafe_requests_need_a_grant_and_forbidden_urls_cannot_be_read() {
        let send = texts(&["http://a.example/login", "http://a.example/orders/*"]);
        let grants = RequestGrants::new(&send, &texts(&["*/logout"])).unwrap();
        let granted = |method: &str, url: &str| grants.refusal(method, url).is_none();
        assert!(granted("GET", "http://a.example/anything?x=1"));
        assert!(granted("POST", "http://a.example/login"));
        assert!(granted("POST", "http://a.example/login?next=%2F#top"));
        assert!(granted("PUT", "http://a.example/orders/7"));
        assert!(!granted("POST", "http://a.example/account/delete"));
        assert!(!granted("DELETE", "http://a.example/"));
        assert!(!granted("POST", "http://a.example/account/delete?http://a.example/login"));
        assert!(!granted("POST", "http://a.example/account/delete#http://a.example/login"));
        assert!(!granted("POST", "https://evil.example/http://a.example/login"));
        assert!(!granted("GET", "http://a.example/logout"));
        assert!(!granted("GET", "http://a.example/logout?now"));
        // These schemes send nothing to the network.
        assert!(granted("GET", "data:text/html,x") && granted("POST", "blob:null/1"));
        assert!(!granted("GET", "http://") && !granted("get", "http://a.example/"));
        assert!(RequestGrants::new(&texts(&["[z-a]"]), &[]).unwrap_err().contains("[z-a]"));
    }

    #[test]
    fn requests_are_compared_in_canonical_form() {
        let grants = RequestGrants::new(
            &texts(&["http://a.example/granted", "http://a.example/granted/*"]),
            &texts(&["*/logout", "http://a.example/secret/*"]),
        )
        .unwrap();
        for path in
            ["/%6Cogout", "/logout/", "/logout;x", "/LOGOUT", "//logout", "/a/..%2flogout", "/%73ecret/x"]
        {
            let url = format!("http://a.example{path}?enc");
            assert!(grants.refusal("GET", &url).is_some(), "{url}");
        }
        for (path, granted) in [
            ("/granted", true),
            ("/%67ranted?x=1", true),
            ("/granted/..%2fdelete", false),
            ("/granted/%2e%2e%2fdelete", false),
            ("/granted/../delete", false),
        ] {
            assert_eq!(
                grants.refusal("POST", &format!("http://a.example{path}")).is_none(),
                granted,
                "{path}"
            );
        }
    }

    #[test]
    fn a_socket_needs_a_grant_to_send() {
        let grants = RequestGrants::new(&texts(&["https://a.example/live"]), &[]).unwrap();
        let url = |text: &str| CanonicalUrl::parse(text).unwrap();
        assert!(grants.socket_refusal(&url("wss://a.example/live")).is_none());
        assert!(grants.socket_refusal(&url("wss://a.example/other")).is_some());
        assert!(grants.encrypted_socket_refusal("a.example", 443).is_none());
        assert!(grants.encrypted_socket_refusal("b.example", 443).is_some());
        assert!(grants.encrypted_socket_refusal("a.example", 8443).is_some());
    }
}
