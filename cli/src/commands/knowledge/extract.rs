//! The text of a document's bytes, by its format.

use super::passages::Markup;
use super::{html, pdf};
use serde::{Deserialize, Serialize};
use sojourn_tools::outside::text::{Decoded, declared_in_markup, decode};
use std::path::Path;

/// The formats, for hints.
pub const FORMATS: &str = "Markdown (.md), HTML (.html), text (.txt) and PDF (.pdf) can be added";

/// The format of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Markdown,
    Html,
    Plain,
    Pdf,
}

/// The text of a document, with notes for the person who added it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// The whole text.
    pub text: String,
    /// Guesses and omissions, a clause each.
    pub notes: Vec<String>,
}

impl Format {
    /// The format that a file's extension stands for.
    pub fn of(path: &Path) -> Option<Self> {
        Self::named(&path.extension()?.to_str()?.to_ascii_lowercase())
    }

    /// The format of a name, in lower case and without a dot.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "md" | "markdown" => Self::Markdown,
            "html" | "htm" | "xhtml" => Self::Html,
            "txt" | "text" | "rst" => Self::Plain,
            "pdf" => Self::Pdf,
            _ => return None,
        })
    }

    /// A name that [`named`](Self::named) knows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Plain => "txt",
            Self::Pdf => "pdf",
        }
    }

    /// How headings are marked in the text.
    pub fn markup(self) -> Markup {
        match self {
            Self::Markdown => Markup::Markdown,
            // The reader of HTML writes headings as Markdown does, and no fences around code.
            Self::Html => Markup::Headings,
            Self::Plain | Self::Pdf => Markup::Plain,
        }
    }

    /// Whether the format is read by a parser that odd input can stop, in a process of its own.
    pub fn is_parsed(self) -> bool {
        matches!(self, Self::Html | Self::Pdf)
    }
}

/// Reads the text. `declared` is the encoding that a server names.
///
/// # Errors
/// Why the bytes are no document of this format.
pub fn extract(bytes: &[u8], format: Format, declared: Option<&str>) -> Result<Extracted, String> {
    match format {
        Format::Pdf => pdf::text(bytes),
        Format::Markdown | Format::Plain => {
            let decoded = decode(bytes, declared).map_err(|error| error.to_string())?;
            let notes = encoding_notes(&decoded);
            Ok(Extracted { text: decoded.text, notes })
        }
        Format::Html => {
            let own = declared_in_markup(bytes);
            let decoded = decode(bytes, declared.or(own.as_deref())).map_err(|error| error.to_string())?;
            let notes = encoding_notes(&decoded);
            Ok(Extracted { text: html::text(&decoded.text)?, notes })
        }
    }
}

fn encoding_notes(decoded: &Decoded) -> Vec<String> {
    let mut notes = Vec::new();
    if decoded.guessed && decoded.encoding != "UTF-8" {
        notes.push(format!(
            "read as {}, which was guessed: check it, or save the file as UTF-8",
            decoded.encoding
        ));
    }
    if decoded.replaced > 0 {
        notes.push(format!("{} places are not valid {}", decoded.replaced, decoded.encoding));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], format: Format) -> Result<String, String> {
        extract(bytes, format, None).map(|extracted| extracted.text)
    }

    #[test]
    fn text_is_read_out_of_its_formats() {
        let html = b"<html><head><title>t</title><style>x{}</style></head><body><h1>Wood</h1><p>Hit a <b>tree</b>.</p></body>";
        let text = read(html, Format::Html).unwrap();
        assert!(text.contains("Wood") && text.contains("Hit a tree.") && !text.contains("x{}"), "{text}");
        assert_eq!(read("\u{feff}ä".as_bytes(), Format::Plain).unwrap(), "ä");
    }

    #[test]
    fn a_page_in_a_legacy_encoding_is_read() {
        let page = b"<meta charset=windows-1251><p>\xca\xeb\xfe\xf7</p>";
        assert_eq!(read(page, Format::Html).unwrap().trim(), "Ключ");
        let read = extract(b"<p>\xca\xeb\xfe\xf7</p>", Format::Html, Some("windows-1251")).unwrap();
        assert_eq!((read.text.trim(), read.notes.len()), ("Ключ", 0));
    }

    #[test]
    fn what_is_not_what_it_says_is_an_error() {
        for (bytes, format) in [
            (&b"a\0b"[..], Format::Markdown),
            (b"not a pdf", Format::Pdf),
            (b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog", Format::Pdf),
            (b"", Format::Pdf),
        ] {
            assert!(read(bytes, format).is_err());
        }
        for nested in ["<div>", "<div/>", "<p><span></p>", "<li><UL>", "<table><td>", "<br></br><b>"] {
            let error = read(nested.repeat(200_000).as_bytes(), Format::Html).unwrap_err();
            assert!(error.contains("deep"), "{nested}: {error}");
        }
    }

    #[test]
    fn a_long_page_is_not_a_deep_one() {
        for flat in ["word<br>", "<p>word", "<LI>word", "<img src=x>word<hr/>", "<b>word</b> "] {
            let text = read(flat.repeat(30_000).as_bytes(), Format::Html).unwrap();
            assert_eq!(text.matches("word").count(), 30_000, "{flat}");
        }
    }
}
