//! Laws of canonical URLs and URL patterns, for every spelling that a page can choose.

use proptest::prelude::*;
use sojourn_tools::outside::url::{CanonicalUrl, UrlPattern};
use std::fmt::Write as _;

/// A path of one to four segments of letters and digits.
fn path() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-z0-9]{1,6}", 1..5)
}

/// One way to write a segment, chosen by `how`.
fn spelled(segment: &str, how: &[u8]) -> String {
    let mut spelled = String::new();
    for (at, character) in segment.chars().enumerate() {
        let byte = u32::from(character);
        match how[at % how.len()] % 4 {
            0 => spelled.push(character),
            1 => write!(spelled, "%{byte:02x}").unwrap(),
            2 => write!(spelled, "%{byte:02X}").unwrap(),
            _ => write!(spelled, "%25{byte:02x}").unwrap(),
        }
    }
    spelled
}

/// What may stand before a segment without a change of its meaning, for some servers.
const NOISE: [&str; 10] =
    ["", "./", "x/../", "%2e/", "y/%2E%2e/", "/", "z/..%2f", "z/..%5c", "z;q/..;p/", "%2F"];
/// What may stand after the last segment.
const ENDS: [&str; 8] = ["", "/", "//", ";x", ";x/", "%2f", "%00", "?other=1#top"];

proptest! {
    #[test]
    fn a_canonical_url_is_its_own_canonical_form(text in "(https?|wss?)://[a-zA-Z0-9.]{1,9}(:[0-9]{1,4})?/[ -~]{0,30}") {
        if let Some(url) = CanonicalUrl::parse(&text) {
            let again = CanonicalUrl::parse(&url.to_string()).unwrap();
            prop_assert_eq!(&again, &url);
            prop_assert!(!url.path().split('/').any(|segment| segment == "." || segment == ".."));
        }
    }

    #[test]
    fn no_text_makes_a_comparison_fail(url in any::<String>(), pattern in any::<String>()) {
        let pattern = UrlPattern::new(&pattern).or_else(|_| UrlPattern::new("*/x")).unwrap();
        for url in [url.clone(), format!("http://a.example/{url}"), format!("http://{url}")] {
            if let Some(url) = CanonicalUrl::parse(&url) {
                let _ = (pattern.touches(&url), pattern.covers(&url));
            }
        }
    }

    #[test]
    fn no_spelling_escapes_a_rule_that_forbids(
        segments in path(),
        how in prop::collection::vec(any::<u8>(), 1..6),
        noise in prop::collection::vec(0..NOISE.len(), 4),
        end in 0..ENDS.len(),
    ) {
        let named = segments.join("/");
        let written: Vec<String> = (0..).zip(&segments)
            .map(|(at, segment): (usize, _)| format!("{}{}", NOISE[noise[at]], spelled(segment, &how)))
            .collect();
        let url = format!("http://A.Example:80/{}{}", written.join("/"), ENDS[end]);
        let url = CanonicalUrl::parse(&url).unwrap();
        for pattern in [format!("http://a.example/{named}"), format!("*/{named}")] {
            let pattern = UrlPattern::new(&pattern).unwrap();
            prop_assert!(pattern.touches(&url), "{} {:?}", url, pattern);
        }
    }

    #[test]
    fn no_spelling_leaves_the_folder_that_a_grant_names(
        inside in path(),
        outside in path(),
        up in prop::sample::select(vec!["..", "%2e%2e", "%252e.", "..;", "..;a=b", "..%20"]),
        slash in prop::sample::select(vec!["/", "%2f", "%2F", "%5c", "\\", "%252f"]),
    ) {
        prop_assume!(outside[0] != "granted");
        let climbs = vec![up; inside.len() + 1].join(slash);
        let url = format!("http://a.example/granted/{}{slash}{climbs}{slash}{}", inside.join(slash), outside.join("/"));
        let url = CanonicalUrl::parse(&url).unwrap();
        let grant = UrlPattern::new("http://a.example/granted/*").unwrap();
        prop_assert!(!grant.covers(&url), "{url}");
    }

    #[test]
    fn a_grant_covers_what_lies_in_its_folder(inside in path(), how in prop::collection::vec(0_u8..3, 1..6)) {
        let written: Vec<String> = inside.iter().map(|segment| spelled(segment, &how)).collect();
        let url = CanonicalUrl::parse(&format!("http://a.example/granted/{}", written.join("/"))).unwrap();
        let grant = UrlPattern::new("http://a.example/granted/*").unwrap();
        prop_assert!(grant.covers(&url) && grant.touches(&url), "{url}");
    }
}

#[test]
fn a_host_with_final_dots_is_the_address_that_it_is_without() {
    for (text, host) in
        [("http://0../", "0.0.0.0"), ("http://127.1./", "127.0.0.1"), ("http://a.example../", "a.example")]
    {
        assert_eq!(CanonicalUrl::parse(text).unwrap().host(), host);
    }
    assert_eq!(CanonicalUrl::parse("http://0.0.0.256../"), None);
}
