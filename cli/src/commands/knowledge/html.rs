//! The text of an HTML page.

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

/// Reads the text of a page, with headings as in Markdown.
///
/// # Errors
/// When the page is nested too deeply, or cannot be laid out.
pub(super) fn text(html: &str) -> Result<String, String> {
    if depth(html.as_bytes()) > DEEPEST {
        return Err(format!("its elements are nested more than {DEEPEST} deep"));
    }
    html2text::config::plain_no_decorate()
        .no_link_wrapping()
        .string_from_read(html.as_bytes(), 10_000)
        .map_err(|error| error.to_string())
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
