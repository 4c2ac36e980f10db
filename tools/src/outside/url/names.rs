//! The names of a resource: a rule about an argument judges a text, and another text may name the same file or page.

use super::{
    CanonicalUrl, decoded_path, default_port, loose_path, loose_readings, without_dots_and_parameters,
};
use reqwest::Url;

/// All texts by which a program or a server may take `text` for the same file or page, `text` first. Of a URL these are the
/// canonical form and what servers may read its path as; of a path, the one without dot segments and empty ones. A text that can
/// be read as a URL can be a path too: `http://x/../../a` is `a`.
pub fn names(text: &str) -> Vec<String> {
    let mut names = vec![text.to_owned()];
    if let Some(url) = CanonicalUrl::parse(text) {
        names.push(url.to_string());
        names.extend(loose_readings(url.path()).iter().map(|path| with_path(&url, path)));
    }
    if text.contains(['/', '\\']) {
        names.push(resolved(text));
    }
    names
}

/// The texts that a rule which allows `text` must match besides it: where it is spelled so that it leads elsewhere than it
/// begins, what it leads to. Empty for a text that is straightforward.
pub fn destinations(text: &str) -> Vec<String> {
    let Some(url) = CanonicalUrl::parse(text) else {
        let leads_up = text.split(['/', '\\']).any(|segment| segment == "..");
        return if leads_up { vec![resolved(text)] } else { Vec::new() };
    };
    // As a path it is below a directory that is named like the scheme, unless it leads out of it.
    let as_path = leads_out(text).then(|| resolved(text));
    if is_straight(text) {
        return as_path.into_iter().collect();
    }
    let path = raw_path(text).unwrap_or_else(|| url.path().to_owned());
    let readings = [decoded_path(&path), without_dots_and_parameters(&path)];
    let mut all = vec![url.to_string()];
    all.extend(readings.iter().map(|path| with_path(&url, path)));
    all.extend(as_path);
    all
}

/// Whether a path leads out of the directory that it begins with.
fn leads_out(path: &str) -> bool {
    let mut depth = 0_usize;
    path.split(['/', '\\']).filter(|segment| !matches!(*segment, "" | ".")).any(|segment| {
        depth = if segment == ".." { depth.saturating_sub(1) } else { depth + 1 };
        depth == 0
    })
}

/// Whether a URL begins with its host as it is, and its path has no dot segment in any reading.
fn is_straight(text: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && c != '\\';
    let Some(path) = raw_path(text).filter(|_| text.chars().all(is_plain)) else { return false };
    let is_dots =
        |segment: &str| matches!(segment.split(';').next().unwrap_or_default().trim_end(), "." | "..");
    !loose_path(&path).split('/').any(is_dots)
}

/// The path of a URL as the text has it; `None` where the text does not begin with scheme, host and port.
fn raw_path(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let authority = url.port().map_or_else(
        || url.host_str().map(str::to_owned),
        |port| url.host_str().map(|host| format!("{host}:{port}")),
    )?;
    let begin = format!("{}://{authority}", url.scheme());
    let rest = text
        .get(..begin.len())
        .filter(|given| given.eq_ignore_ascii_case(&begin))
        .map(|_| &text[begin.len()..])?;
    let rest = match url.port_or_known_default() {
        Some(port) if url.port().is_none() => rest.strip_prefix(&format!(":{port}")).unwrap_or(rest),
        _ => rest,
    };
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    (path.is_empty() || path.starts_with('/')).then(|| path.to_owned())
}

fn with_path(url: &CanonicalUrl, path: &str) -> String {
    let (scheme, host) = (url.scheme(), url.host());
    let port = if url.port() == default_port(scheme) { String::new() } else { format!(":{}", url.port()) };
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{path}{query}")
}

/// A path without `.`, `..` and empty segments, with slashes.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split(['/', '\\']) {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let root = if path.starts_with(['/', '\\']) { "/" } else { "" };
    format!("{root}{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_has_the_name_of_what_it_leads_to() {
        for (text, resolved) in [
            ("./secret/a", "secret/a"),
            ("secret//a", "secret/a"),
            ("public/../secret/a", "secret/a"),
            ("/srv/./a", "/srv/a"),
            (r"public\..\secret", "secret"),
            ("../../a", "a"),
        ] {
            assert!(names(text).iter().any(|name| name == resolved), "{text}: {:?}", names(text));
        }
        // As a browser reads it, and as a program does that opens files.
        for text in ["http://x/../../secret/a", "ws:x/../secret/a", r"https:\\x\..\..\secret\a"] {
            assert!(names(text).iter().any(|name| name == "secret/a"), "{text}: {:?}", names(text));
            assert!(destinations(text).iter().any(|name| name == "secret/a"), "{text}");
        }
        let long = format!("{}secret", "./".repeat(100_000));
        assert_eq!(names(&long)[1], "secret", "no length hides what a path leads to");
        assert_eq!(destinations("public/../secret/a"), ["secret/a"]);
        assert_eq!(names("a..b"), ["a..b"]);
        for straight in
            ["./build.sh", "a//b", "src/a..b", "git diff HEAD~2..HEAD", "https://docs.rs/ä?q=a/../b"]
        {
            assert_eq!(destinations(straight), Vec::<String>::new(), "{straight}");
        }
    }

    #[test]
    fn a_url_has_the_names_that_servers_read_in_it() {
        for text in [
            "https://x.example/%61dmin",
            "https://x.example/public/../admin",
            "https://x.example/public/%2e%2E/admin",
            "https://x.example/public/..;/admin",
            "https://x.example//admin",
            "HTTPS://X.example:443/admin",
            "https://someone@x.example/admin",
            "https://x.example/admin?",
            "https:\\\\x.example\\admin",
            " https://x.example/ad\tmin",
        ] {
            assert!(
                names(text).iter().any(|name| name == "https://x.example/admin"),
                "{text}: {:?}",
                names(text)
            );
        }
        for text in [
            "https://x.example/public/../admin",
            "https://x.example/public/%2e%2e/admin",
            "https://x.example/public/..;/admin",
            "https://x.example/public%2f..%2fadmin",
            "https://x.example/public\\..\\admin",
        ] {
            let found = destinations(text);
            assert!(found.iter().any(|name| name == "https://x.example/admin"), "{text}: {found:?}");
        }
        let found = destinations("https://x.example@evil.example/public/");
        assert!(found.iter().any(|name| name == "https://evil.example/public/"), "{found:?}");
    }

    proptest! {
        #[test]
        fn any_text_has_names(text in any::<String>(), path in "(https?://[a-z@:.]{0,9})?[/\\\\.%2eF;a\u{e4}?#]{0,24}") {
            for text in [text, path] {
                prop_assert_eq!(&names(&text)[0], &text);
                destinations(&text);
                if text.contains(['/', '\\']) {
                    prop_assert!(names(&text).contains(&resolved(&text)), "a file may be meant");
                }
            }
        }
    }
}
