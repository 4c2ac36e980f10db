//! Reads the text of a document: a file or a web page.

use super::extract::{Extracted, FORMATS, Format, extract};
use super::parser_process;
use super::passages::Markup;
use super::sources::Source;
use super::title::title;
use crate::error::{Failure, Kind};
use anyhow::{Context as _, Result};
use sojourn_tools::outside::text::charset;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// The largest document, in bytes.
pub const LARGEST: u64 = 64 << 20;
/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A document's text.
#[derive(Debug)]
pub struct Text {
    /// The title, if the document has one.
    pub title: Option<String>,
    /// The whole text.
    pub content: String,
    /// How headings are marked.
    pub markup: Markup,
    /// Guesses and omissions of the reading, a clause each.
    pub notes: Vec<String>,
}

/// Reads a document.
///
/// # Errors
/// When the document cannot be read, is too large, or does not have the format of its extension or content type.
pub async fn read(source: &Source, hosts: &[String]) -> Result<Text> {
    match source {
        Source::File(path) => file(path).await,
        Source::Page(url) => page(url, hosts).await,
    }
}

async fn file(path: &Path) -> Result<Text> {
    let uri = path.display().to_string();
    let unreadable = || format!("cannot read `{uri}`");
    let file = tokio::fs::File::open(path).await.with_context(unreadable)?;
    let metadata = file.metadata().await.with_context(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable_because(&uri, "it is not a regular file").into());
    }
    too_large(&uri, metadata.len())?;
    let mut bytes = Vec::new();
    // The file may grow while it is read.
    file.take(LARGEST + 1).read_to_end(&mut bytes).await.with_context(unreadable)?;
    too_large(&uri, bytes.len() as u64)?;
    let format = Format::of(path).unwrap_or(Format::Plain);
    text(uri, bytes, format, None).await
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
    // A listed name that resolves to a private address is not connected to.
    let addresses =
        sojourn_tools::AllowedHosts::new(hosts, &[]).map_err(|reason| Failure::new(Kind::Usage, reason))?;
    let client = addresses.builder().redirect(policy).timeout(PATIENCE).build()?;
    let answer = client.get(parsed).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.with_context(|| format!("cannot fetch `{url}`"))?;
    let kind = answer
        .headers()
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("text/html")
        .to_ascii_lowercase();
    let declared = charset(&kind).map(str::to_owned);
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
    text(url.to_owned(), bytes, format, declared.as_deref()).await
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

async fn text(uri: String, bytes: Vec<u8>, format: Format, declared: Option<&str>) -> Result<Text> {
    let extracted: Result<Extracted, String> = if format.is_parsed() {
        parser_process::read(&bytes, format, declared).await?
    } else {
        extract(&bytes, format, declared)
    };
    let Extracted { text, notes } = extracted.map_err(|what| unreadable_because(&uri, &what))?;
    let markup = format.markup();
    let title = title(&text, markup);
    Ok(Text { title, content: text, markup, notes })
}

fn unreadable_because(uri: &str, what: &str) -> Failure {
    Failure::new(Kind::Failure, format!("cannot read `{uri}`: {what}")).hint(FORMATS)
}

#[cfg(test)]
mod tests {
    use super::*;

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
