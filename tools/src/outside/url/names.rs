//! The names of a resource: a rule about an argument judges a text, and another text may name the same file or page.

use super::{
    CanonicalUrl, decoded_path, default_port, loose_path, loose_readings, without_dots_and_parameters,
};
use reqwest::Url;
use std::collections::HashSet;

/// What separates the segments of a path: on Unix a backslash is a letter of a name, for browsers and on Windows it is not.
const SEPARATORS: [&[char]; 2] = [&['/'], &['/', '\\']];

/// All texts by which a program or a server may take `text` for the same file or page, `text` first. Of a URL these are the
/// canonical form and what servers may read its path as; of a path, the one without dot segments and empty ones, and what it is as the
/// path of a URL, which a tool may put behind a host of its own. A text that can be read as a URL can be a path too: `http://x/../../a`
/// is `a`.
pub fn names(text: &str) -> Vec<String> {
    let mut names = vec![text.to_owned()];
    let clean = cleaned(text);
    if clean != text {
        names.extend(self::names(&clean));
    }
    if let Some(url) = CanonicalUrl::parse(text) {
        let readings = loose_readings(url.path());
        names.push(url.to_string());
        names.extend(readings.iter().map(|path| with_path(&url, path)));
        // Where the tool's own host is meant, the path alone says as much.
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        names.extend(readings.iter().map(|path| format!("{path}{query}")));
        // With a page's scheme and no host it leads on from that page: `https:/path`.
        let rest = text.split_once(':').map_or("", |(_, rest)| rest);
        if !rest.replace('\\', "/").starts_with("//") {
            names.extend(self::names(rest));
        }
    } else {
        names.extend(other_scheme(text));
        names.extend(without_host(text, loose_readings));
        names.extend(with_host_alone(text).iter().flat_map(|url| self::names(url)));
        // Behind a host a path begins with a slash, whether the text does or not.
        let other = |name: &String| match name.strip_prefix('/') {
            Some(rest) => rest.to_owned(),
            None => format!("/{name}"),
        };
        names.extend(names.iter().map(other).collect::<Vec<_>>());
    }
    for separators in SEPARATORS.into_iter().filter(|separators| text.contains(*separators)) {
        names.push(resolved(text, separators));
    }
    names
}

/// The text as the parser of URLs begins to read it: without tabs and line breaks, and without blanks and control characters at its ends.
fn cleaned(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    kept.trim_matches(|c: char| c <= ' ').to_owned()
}

/// The texts that a rule which allows `text` must match besides it: where it is spelled so that it leads elsewhere than it
/// begins, what it leads to. Empty for a text that is straightforward.
pub fn destinations(text: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    all_destinations(text).into_iter().filter(|one| seen.insert(one.clone())).collect()
}

fn all_destinations(text: &str) -> Vec<String> {
    let Some(url) = CanonicalUrl::parse(text) else {
        let clean = cleaned(text);
        let mut all = Vec::new();
        for text in [text, &clean] {
            let leads_up = |separators: &&[char]| text.split(*separators).any(|segment| segment == "..");
            all.extend(SEPARATORS.into_iter().filter(leads_up).map(|separators| resolved(text, separators)));
        }
        let path = clean.split(['?', '#']).next().unwrap_or_default();
        if segments(path).iter().any(|segment| segment == "..") {
            all.extend(without_host(&clean, |path| {
                vec![decoded_path(path), without_dots_and_parameters(path)]
            }));
        }
        all.extend(with_host_alone(&clean));
        return all;
    };
    // As a path it is below a directory that is named like the scheme, unless it leads out of it.
    let out = SEPARATORS.into_iter().filter(|separators| leads_out(text, separators));
    let as_path: Vec<String> = out.map(|separators| resolved(text, separators)).collect();
    if is_straight(text) {
        return as_path;
    }
    let path = raw_path(text).unwrap_or_else(|| url.path().to_owned());
    let readings = [decoded_path(&path), without_dots_and_parameters(&path)];
    let mut all = vec![url.to_string()];
    all.extend(readings.iter().map(|path| with_path(&url, path)));
    all.extend(as_path);
    all
}

/// A URL of another scheme than a browser's as its parser writes it, and with its path decoded.
fn other_scheme(text: &str) -> Vec<String> {
    let Ok(url) = Url::parse(text) else { return Vec::new() };
    let before = url.as_str().find(url.path()).map_or("", |at| &url.as_str()[..at]);
    let decoded = loose_readings(url.path()).into_iter().map(|path| format!("{before}{path}"));
    std::iter::once(url.to_string()).chain(decoded).collect()
}

/// What servers may take a path for that follows a host of theirs, by `readings` of the path. Empty for a text that has one reading.
fn without_host(text: &str, readings: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    if text.chars().all(|c| c.is_ascii() && !matches!(c, '%' | ';' | '?' | '#' | '\\')) {
        return Vec::new();
    }
    let slash = if text.starts_with('/') { "" } else { "/" };
    let Some(url) = CanonicalUrl::parse(&format!("http://host{slash}{text}")) else { return Vec::new() };
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let all = readings(&format!("{slash}{path}")).into_iter();
    all.map(|path| format!("{}{query}", path.strip_prefix(slash).unwrap_or(&path))).collect()
}

/// The URLs of a text that has a host and no scheme, which leads to that host from any page: `//host/path`.
fn with_host_alone(text: &str) -> Vec<String> {
    let mut signs = text.trim_start().chars();
    let is_slash = |sign: Option<char>| matches!(sign, Some('/' | '\\'));
    if !(is_slash(signs.next()) && is_slash(signs.next())) {
        return Vec::new();
    }
    let schemes = ["http:", "https:"].into_iter();
    schemes
        .filter_map(|scheme| CanonicalUrl::parse(&format!("{scheme}{}", text.trim_start())))
        .map(|url| url.to_string())
        .collect()
}

/// The segments of a path as a server may read them that decodes it and removes parameters.
fn segments(path: &str) -> Vec<String> {
    let plain = |segment: &str| segment.split(';').next().unwrap_or_default().trim_end().to_owned();
    loose_path(path).split('/').map(plain).collect()
}

/// Whether a path leads out of the directory that it begins with.
fn leads_out(path: &str, separators: &[char]) -> bool {
    let mut depth = 0_usize;
    path.split(separators).filter(|segment| !matches!(*segment, "" | ".")).any(|segment| {
        depth = if segment == ".." { depth.saturating_sub(1) } else { depth + 1 };
        depth == 0
    })
}

/// Whether a URL begins with its host as it is, and its path has no dot segment in any reading.
fn is_straight(text: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && c != '\\';
    let Some(path) = raw_path(text).filter(|_| text.chars().all(is_plain)) else { return false };
    !segments(&path).iter().any(|segment| matches!(segment.as_str(), "." | ".."))
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

/// A path without `.`, `..` and empty segments, with slashes for its separators.
fn resolved(path: &str, separators: &[char]) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split(separators) {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let root = if path.starts_with(separators) { "/" } else { "" };
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
        assert!(names(&long).iter().any(|name| name == "secret"), "no length hides what a path leads to");
        assert_eq!(destinations("public/../secret/a"), ["secret/a"]);
        // A backslash is a letter of a name, or it is not.
        let either = r"public/../secret/c\..\..\public\d/../a";
        assert_eq!(destinations(either), ["secret/a", "public/a"]);
        assert!(names(r"./secret/c\..\../../a").iter().any(|name| name == "secret/a"));
        assert_eq!(names("a..b"), ["a..b", "/a..b"]);
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

    #[test]
    fn a_path_behind_another_host_has_the_names_that_servers_read_in_it() {
        for text in [
            "/%61dmin/x",
            "/x/%2e%2e/admin/x",
            "/x/..;/admin/x",
            "/admin;v=1/x",
            "/admin/x#top",
            "/admin/x?",
            "/admin%2fx",
            r"\x\..\admin\x",
            "/%2561dmin/x",
            "/ad\tmin/x",
            " /admin/x",
            "/ad\nmin/x\r\n",
            "admin/x",
            "https://some.example/admin/x",
            "//some.example/admin/x",
            "https:/admin/x",
        ] {
            assert!(names(text).iter().any(|name| name == "/admin/x"), "{text}: {:?}", names(text));
        }
        assert!(names("%61dmin/x").iter().any(|name| name == "admin/x"));
        assert!(names("/a%62?c=/admin").iter().any(|name| name == "/ab?c=/admin"), "the query stays");
        for text in
            ["FILE:///srv/secret", "file:/srv/secret", "file://localhost/srv/secret", "file:///srv/%73ecret"]
        {
            assert!(names(text).iter().any(|name| name == "file:///srv/secret"), "{text}: {:?}", names(text));
        }
        assert!(names("FTP://h/secret").iter().any(|name| name == "ftp://h/secret"));
        for text in [
            "/public/.\t./admin",
            " /public/../admin",
            "/public/%2e%2e/admin",
            "/public/.%2e/admin",
            "/public/..;/admin",
            "/public%2f..%2fadmin",
        ] {
            assert!(
                destinations(text).iter().any(|name| name == "/admin"),
                "{text}: {:?}",
                destinations(text)
            );
        }
        for text in ["//evil.example/a", "/\t/evil.example/a", r"/\evil.example/a", r"\\evil.example\a"] {
            assert!(destinations(text).iter().any(|name| name == "https://evil.example/a"), "{text}");
            assert!(names(text).iter().any(|name| name == "https://evil.example/a"), "{text}");
        }
        for straight in
            ["100% sure; or not?", "/search?q=a%2Fb", "ls; cat x/y", "/a/b;c=1", "/ä/ö", "grep -r 'a.*b' ."]
        {
            assert_eq!(destinations(straight), Vec::<String>::new(), "{straight}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_names(text in any::<String>(), path in "(https?://[a-z@:.]{0,9})?[/\\\\.%2eF;a\u{e4}?#]{0,24}") {
            for text in [text, path] {
                prop_assert_eq!(&names(&text)[0], &text);
                destinations(&text);
                for separators in SEPARATORS {
                    if text.contains(separators) {
                        prop_assert!(names(&text).contains(&resolved(&text, separators)), "a file may be meant");
                    }
                }
            }
        }

        #[cfg(unix)]
        #[test]
        fn what_this_system_opens_is_among_the_names(path in r"(/|\\|\.{1,2}|[ac]){1,16}") {
            use std::path::{Component, Path, PathBuf};
            let mut opened = PathBuf::new();
            for component in Path::new(&path).components() {
                match component {
                    Component::ParentDir => drop(opened.pop()),
                    Component::CurDir => {}
                    other => opened.push(other),
                }
            }
            let opened = opened.to_str().unwrap().to_owned();
            let differs = path.split('/').any(|segment| segment == "..");
            if path.contains('/') {
                prop_assert!(names(&path).contains(&opened), "{path}: {:?}", names(&path));
            }
            prop_assert!(!differs || destinations(&path).contains(&opened), "{path}: {:?}", destinations(&path));
        }
    }
}
