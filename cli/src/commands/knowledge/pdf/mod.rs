//! The text of a PDF.
//!
//! `pdf-extract` knows few of the ways in which fonts map their codes to characters, and panics at the others. Fonts are
//! therefore rewritten first: composite fonts get codes of their own with the characters they stand for ([`composite`]), and
//! invalid entries of simple fonts are repaired or removed ([`simple`]).

mod composite;
mod simple;

use super::extract::Extracted;
use super::parser_process::panic_message;
use lopdf::{Dictionary, Document, Object};
use pdf_extract::{OutputError, PlainTextOutput, output_doc, output_doc_page};
use std::panic::{AssertUnwindSafe, catch_unwind};
use unicode_normalization::UnicodeNormalization as _;

/// Inherited attributes are searched in this many levels of the page tree.
const PAGE_LEVELS: usize = 64;

/// Reads the text of all pages. A page that cannot be read is a note, as long as another can.
///
/// # Errors
/// The fault of the document, for a person.
pub(super) fn text(bytes: &[u8]) -> Result<Extracted, String> {
    let mut document = Document::load_mem(bytes).map_err(|error| damaged(&error.to_string()))?;
    if document.is_encrypted() {
        document.decrypt("").map_err(|error| match error {
            lopdf::Error::Decryption(lopdf::encryption::DecryptionError::IncorrectPassword) => {
                "it is protected by a password: save a copy without one".to_owned()
            }
            error => format!("it is encrypted in a way that cannot be read: {error}"),
        })?;
    }
    let mut notes = Vec::new();
    let mut unknown = 0;
    let described = guarded(|| {
        simple::repair(&mut document);
        unknown = composite::describe(&mut document);
    });
    if let Err(reason) = described {
        notes.push(format!("some fonts could not be read ({reason})"));
    }
    let mut text = String::new();
    let whole = guarded(|| output_doc(&document, &mut PlainTextOutput::new(&mut text)));
    if !matches!(whole, Ok(Ok(()))) {
        text = by_page(&mut document, &mut notes)?;
    }
    let text = spelled_out(&text);
    if unknown > 0 {
        if text.trim().is_empty() {
            return Err("the encoding of its fonts is not known: they do not say which characters they show"
                .to_owned());
        }
        notes.push(format!("{unknown} characters in fonts of unknown encoding were left out"));
    }
    Ok(Extracted { text, notes })
}

fn by_page(document: &mut Document, notes: &mut Vec<String>) -> Result<String, String> {
    let (mut text, mut failed) = (String::new(), Vec::new());
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    for page in &pages {
        let read = page_text(document, *page).or_else(|_| {
            // Embedded font programs are what fails most, and are needed least.
            simple::strip_font_programs(document);
            page_text(document, *page)
        });
        match read {
            Ok(page) => {
                text.push_str(&page);
                text.push_str("\n\n");
            }
            Err(reason) => failed.push(format!("page {page}: {reason}")),
        }
    }
    let Some(first) = failed.first() else { return Ok(text) };
    if failed.len() == pages.len() {
        return Err(damaged(first));
    }
    notes.push(format!("{} of {} pages could not be read ({first})", failed.len(), pages.len()));
    Ok(text)
}

fn page_text(document: &Document, page: u32) -> Result<String, String> {
    let mut text = String::new();
    match guarded(|| output_doc_page(document, &mut PlainTextOutput::new(&mut text), page)) {
        Ok(Ok(())) => Ok(text),
        Ok(Err(error)) => Err(output_error(&error)),
        Err(reason) => Err(reason),
    }
}

fn output_error(error: &OutputError) -> String {
    match error {
        OutputError::PdfError(error) => error.to_string(),
        error => error.to_string(),
    }
}

fn damaged(reason: &str) -> String {
    format!("it is damaged, or no PDF: {reason}")
}

/// Runs a piece of a library that panics on odd input. The reader's process prints no message of it.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|cause| {
        let message = panic_message(&*cause).unwrap_or("it is not understood");
        sojourn_tools::outside::text::cut(message, 120)
    })
}

/// Replaces glyphs that stand for letters: ligatures, Arabic letter forms, radicals in place of characters, spaces by their
/// width. Selectors of a glyph's variant are left out.
fn spelled_out(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{fb00}'..='\u{fb17}'
            | '\u{fb50}'..='\u{fdff}'
            | '\u{fe70}'..='\u{fefc}'
            | '\u{2f00}'..='\u{2fd5}' => {
                spelled.extend(c.nfkc());
            }
            '\u{2000}'..='\u{200a}' => spelled.push(' '),
            '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {}
            c => spelled.push(c),
        }
    }
    spelled
}

/// What an object is, behind any references.
fn resolved<'a>(document: &'a Document, object: &'a Object) -> &'a Object {
    document.dereference(object).map_or(&Object::Null, |(_, object)| object)
}

/// An entry of a dictionary, behind any references.
fn entry<'a>(document: &'a Document, dictionary: &'a Dictionary, key: &[u8]) -> Option<&'a Object> {
    dictionary.get(key).ok().map(|object| resolved(document, object)).filter(|object| !object.is_null())
}

/// An attribute of a page that it may inherit.
fn inherited<'a>(document: &'a Document, page: &'a Dictionary, key: &[u8]) -> Option<&'a Object> {
    let mut node = page;
    for _ in 0..PAGE_LEVELS {
        if let Some(object) = entry(document, node, key) {
            return Some(object);
        }
        node = entry(document, node, b"Parent")?.as_dict().ok()?;
    }
    None
}

/// The decoded content of a stream.
fn content(stream: &lopdf::Stream) -> Vec<u8> {
    if stream.filters().is_ok() {
        stream.decompressed_content().unwrap_or_else(|_| stream.content.clone())
    } else {
        stream.content.clone()
    }
}

/// A number, of either kind.
fn number(object: &Object) -> Option<f64> {
    match object {
        Object::Integer(number) => Some(*number as f64),
        Object::Real(number) => Some(f64::from(*number)),
        _ => None,
    }
}

/// A `ToUnicode` map of these codes of `digits` hexadecimal digits.
fn to_unicode(codes: impl Iterator<Item = (u32, String)>, digits: usize) -> lopdf::Stream {
    use std::fmt::Write as _;
    let largest = if digits == 2 { "ff" } else { "ffff" };
    let mut map = format!("1 begincodespacerange\n<{}> <{largest}>\nendcodespacerange\n", "0".repeat(digits));
    let codes: Vec<(u32, String)> = codes.filter(|(_, text)| !text.is_empty()).collect();
    for block in codes.chunks(100) {
        let _ = writeln!(map, "{} beginbfchar", block.len());
        for (code, text) in block {
            let _ = write!(map, "<{code:0digits$x}> <");
            for unit in text.encode_utf16() {
                let _ = write!(map, "{unit:04x}");
            }
            map.push_str(">\n");
        }
        map.push_str("endbfchar\n");
    }
    lopdf::Stream::new(Dictionary::new(), map.into_bytes())
}
