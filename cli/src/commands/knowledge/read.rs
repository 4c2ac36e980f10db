//! Reads the text of a document: a file or a web page.

use super::passages::Markup;
use crate::error::{Failure, Kind};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest document, in bytes.
const LARGEST: u64 = 64 << 20;
/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(30);
const FORMATS: &str = "Markdown (.md), HTML (.html), text (.txt) and PDF (.pdf) can be added";

/// The place of a document.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// A file on this machine.
    File(PathBuf),
    /// A web page.
    Page(String),
}

/// A document's text.
#[derive(Debug)]
pub struct Text {
    /// The path or address, under which the document is stored.
    pub uri: String,
    /// The title, if the document has one.
    pub title: Option<String>,
    /// The whole text.
    pub content: String,
    /// How headings are marked.
    pub markup: Markup,
}

/// The maximum depth of nested HTML elements.
const DEEPEST: usize = 20_000;
/// Elements without content, or whose end tag is optional: they are not counted as open. Anything nested deeply in them is
/// nested as deeply in elements that are counted.
const CLOSED: [&str; 28] = [
    "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "optgroup",
    "option", "p", "param", "rp", "rt", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track",
    "wbr",
];
/// The longest of these names.
const LONGEST_NAME: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Markdown,
    Html,
    Plain,
    Pdf,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "md" | "markdown" => Self::Markdown,
            "html" | "htm" | "xhtml" => Self::Html,
            "txt" | "text" | "rst" => Self::Plain,
            "pdf" => Self::Pdf,
            _ => return None,
        })
    }
}

fn is_url(source: &str) -> bool {
    source.starts_with("https://") || source.starts_with("http://")
}

/// The documents of one argument: a file, a directory or an address.
///
/// # Errors
/// When there is no such file, or it is in no format that can be read.
pub fn sources(argument: &str) -> Result<Vec<Source>> {
    if is_url(argument) {
        return Ok(vec![Source::Page(argument.to_owned())]);
    }
    let path = Path::new(argument);
    if path.is_dir() {
        let mut found = Vec::new();
        collect(path, &mut found)?;
        found.sort();
        return Ok(found.into_iter().map(Source::File).collect());
    }
    if !path.exists() {
        return Err(Failure::new(Kind::NotFound, format!("no file `{argument}`")).into());
    }
    if Format::of(path).is_none() {
        return Err(Failure::new(Kind::Usage, format!("`{argument}` has no known format"))
            .hint(FORMATS)
            .into());
    }
    Ok(vec![Source::File(path.to_owned())])
}

/// The documents of a directory and its subdirectories, without hidden files.
fn collect(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || format!("cannot read `{}`", directory.display());
    for entry in std::fs::read_dir(directory).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let (path, kind) = (entry.path(), entry.file_type().with_context(unreadable)?);
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            collect(&path, found)?;
        } else if kind.is_file() && Format::of(&path).is_some() {
            found.push(path);
        }
    }
    Ok(())
}

/// The name under which a document is stored.
pub fn uri(source: &str) -> String {
    if is_url(source) {
        return source.to_owned();
    }
    std::path::absolute(source).map_or_else(|_| source.to_owned(), |path| path.display().to_string())
}

/// The text of a file.
///
/// # Errors
/// When the file cannot be read, is too large, or does not have the format of its extension.
pub async fn file(path: PathBuf) -> Result<Text> {
    let size = std::fs::metadata(&path).with_context(|| format!("cannot read `{}`", path.display()))?.len();
    let uri = uri(&path.to_string_lossy());
    too_large(&uri, size)?;
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read `{uri}`"))?;
    let format = Format::of(&path).unwrap_or(Format::Plain);
    text(uri, bytes, format).await
}

/// The text of a web page.
///
/// # Errors
/// When its host is not allowed, or it cannot be fetched.
pub async fn page(url: &str, hosts: &[String]) -> Result<Text> {
    let parsed: reqwest::Url = url
        .parse()
        .map_err(|error| Failure::new(Kind::Usage, format!("`{url}` is not an address: {error}")))?;
    allowed(&parsed, hosts)?;
    let list = hosts.to_vec();
    let policy = reqwest::redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > 5 {
            attempt.error("too many redirects")
        } else if allowed(attempt.url(), &list).is_err() {
            attempt.error("it redirects to a host that is not allowed")
        } else {
            attempt.follow()
        }
    });
    let client = reqwest::Client::builder().redirect(policy).timeout(PATIENCE).build()?;
    let answer = client.get(parsed).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.with_context(|| format!("cannot fetch `{url}`"))?;
    let kind = answer
        .headers()
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("text/html")
        .to_owned();
    let format = match kind.split(';').next().unwrap_or_default().trim() {
        "text/html" | "application/xhtml+xml" => Format::Html,
        "text/markdown" => Format::Markdown,
        "application/pdf" => Format::Pdf,
        kind if kind.starts_with("text/") => {
            Format::of(Path::new(answer.url().path())).unwrap_or(Format::Plain)
        }
        other => {
            return Err(Failure::new(Kind::Failure, format!("`{url}` is `{other}`")).hint(FORMATS).into());
        }
    };
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.with_context(|| format!("cannot fetch `{url}`"))? {
        bytes.extend_from_slice(&chunk);
        too_large(url, bytes.len() as u64)?;
    }
    text(url.to_owned(), bytes, format).await
}

fn allowed(url: &reqwest::Url, hosts: &[String]) -> Result<(), Failure> {
    let host = url.host_str().unwrap_or_default();
    if hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, format!("fetching from `{host}` is not allowed"))
        .hint(format!("allow it with `--allow {host}`")))
}

fn too_large(uri: &str, size: u64) -> Result<(), Failure> {
    if size <= LARGEST {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, format!("`{uri}` is larger than {} MB", LARGEST >> 20))
        .hint("split it into several documents"))
}

async fn text(uri: String, bytes: Vec<u8>, format: Format) -> Result<Text> {
    let name = uri.clone();
    // The HTML and PDF parsers recurse and may panic on malformed input: that is an error of the document.
    let read = tokio::task::spawn_blocking(move || extract(&bytes, format)).await;
    let text = match read {
        Ok(text) => text.map_err(|what| unreadable(&name, &what))?,
        Err(_) => return Err(unreadable(&name, "it is damaged").into()),
    };
    let markup =
        if format == Format::Plain || format == Format::Pdf { Markup::Plain } else { Markup::Markdown };
    let title = (markup == Markup::Markdown).then(|| title(&text)).flatten();
    Ok(Text { uri, title, content: text, markup })
}

fn unreadable(uri: &str, what: &str) -> Failure {
    Failure::new(Kind::Failure, format!("cannot read `{uri}`: {what}")).hint(FORMATS)
}

/// The first heading.
fn title(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("# "))?;
    Some(line.trim_start_matches('#').trim().chars().take(120).collect())
}

fn extract(bytes: &[u8], format: Format) -> Result<String, String> {
    match format {
        Format::Pdf => pdf_extract::extract_text_from_mem(bytes).map_err(|error| error.to_string()),
        Format::Html if depth(bytes) > DEEPEST => {
            Err(format!("its elements are nested more than {DEEPEST} deep"))
        }
        Format::Html => html2text::config::plain_no_decorate()
            .no_link_wrapping()
            .string_from_read(bytes, 10_000)
            .map_err(|error| error.to_string()),
        Format::Markdown | Format::Plain => {
            if bytes.contains(&0) {
                return Err("not a text file".to_owned());
            }
            let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
            Ok(text.trim_start_matches('\u{feff}').to_owned())
        }
    }
}

/// The maximum depth of nested elements, from the tags alone. Layout takes time that is quadratic in it. `<div/>` opens an
/// element, as in browsers.
fn depth(html: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = html;
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[at + 1..];
        let ends = rest.first() == Some(&b'/');
        rest = &rest[usize::from(ends)..];
        if !rest.first().is_some_and(u8::is_ascii_alphabetic) || is_closed(rest) {
            continue;
        }
        depth = if ends { depth.saturating_sub(1) } else { depth + 1 };
        deepest = deepest.max(depth);
    }
    deepest
}

/// Whether `tag` starts with the name of an element that is not counted as open.
fn is_closed(tag: &[u8]) -> bool {
    let length = tag.iter().take(LONGEST_NAME + 1).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let name = &tag[..length];
    CLOSED.iter().any(|closed| name.eq_ignore_ascii_case(closed.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8], format: Format) -> Result<String, String> {
        let text = text("it".to_owned(), bytes.to_vec(), format).await;
        text.map(|it| it.content).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn text_is_read_out_of_its_formats() {
        let html = b"<html><head><title>t</title><style>x{}</style></head><body><h1>Wood</h1><p>Hit a <b>tree</b>.</p></body>";
        let text = read(html, Format::Html).await.unwrap();
        assert!(text.contains("Wood") && text.contains("Hit a tree.") && !text.contains("x{}"), "{text}");
        assert_eq!(read("\u{feff}ä".as_bytes(), Format::Plain).await.unwrap(), "ä");
    }

    #[tokio::test]
    async fn what_is_not_what_it_says_is_an_error() {
        for (bytes, format) in [
            (&b"\xff\xfe"[..], Format::Plain),
            (b"a\0b", Format::Markdown),
            (b"not a pdf", Format::Pdf),
            (b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog", Format::Pdf),
            (b"", Format::Pdf),
        ] {
            let error = read(bytes, format).await.unwrap_err();
            assert!(error.starts_with("cannot read `it`"), "{error}");
        }
        for nested in ["<div>", "<div/>", "<p><span></p>", "<li><UL>", "<table><td>", "<br></br><b>"] {
            let error = read(nested.repeat(200_000).as_bytes(), Format::Html).await.unwrap_err();
            assert!(error.contains("deep"), "{nested}: {error}");
        }
    }

    #[tokio::test]
    async fn a_long_page_is_not_a_deep_one() {
        for flat in ["word<br>", "<p>word", "<LI>word", "<img src=x>word<hr/>", "<b>word</b> "] {
            let text = read(flat.repeat(30_000).as_bytes(), Format::Html).await.unwrap();
            assert_eq!(text.matches("word").count(), 30_000, "{flat}");
        }
    }

    #[test]
    fn only_allowed_hosts_are_asked() {
        let hosts = ["docs.example.org".to_owned()];
        for (url, expected) in [
            ("https://docs.example.org/a", true),
            ("https://DOCS.example.org/", true),
            ("https://evil.org/docs.example.org", false),
            ("https://docs.example.org.evil.org/", false),
            ("https://docs.example.org@evil.org/", false),
        ] {
            assert_eq!(allowed(&url.parse().unwrap(), &hosts).is_ok(), expected, "{url}");
        }
    }
}
