//! HTML of bounded depth and size, made of HTML of any, and text escaped for HTML.
//!
//! Parsers take time that grows with the square of the depth, and renderers recurse. The tags are therefore read one by one
//! and written again: well nested, no deeper than a parser can bear, and without what has no text. Text is never lost to the
//! bound on depth, only structure. The tokenizer compares each attribute of a tag with those before it, so attributes beyond a
//! limit are left out before it sees them: the time grows with the length alone.

use super::offload::GiveUp;
use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::{Rawtext, Rcdata, ScriptData};
use html5ever::tokenizer::{
    BufferQueue, CharacterTokens, EndTag, StartTag, Tag, TagToken, Token, TokenSink, TokenSinkResult,
    Tokenizer, TokenizerOpts,
};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Limit on the depth of elements.
const MAX_DEPTH: usize = 128;
/// Limit on the depth of elements that indent their text, and of tables.
const MAX_INDENTS: usize = 10;
const MAX_TABLES: usize = 3;
/// Limit on the number of elements.
const MAX_ELEMENTS: usize = 50_000;
/// Limit on the attributes of one tag.
const MAX_ATTRIBUTES: usize = 200;
/// Limit on the length of an attribute, in bytes.
const MAX_ATTRIBUTE_BYTES: usize = 2000;
/// Limit on the columns and rows that a cell spans.
const MAX_SPAN: usize = 100;
/// Bytes that are read between two looks at whether the result is still wanted.
const PIECE_BYTES: usize = 16 << 10;

/// HTML that any parser can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundedHtml {
    /// Well nested HTML.
    pub html: String,
    /// Whether the page goes on after the limit on its text.
    pub is_cut: bool,
}

/// `text` as the content of an element or of a quoted attribute, in HTML and in XML. Control characters are left out.
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' | '\t' => html.push(character),
            '\u{fffe}' | '\u{ffff}' => {}
            other if other.is_control() => {}
            other => push_escaped(&mut html, other),
        }
    }
    html
}

fn push_escaped(html: &mut String, character: char) {
    match character {
        '&' => html.push_str("&amp;"),
        '<' => html.push_str("&lt;"),
        '>' => html.push_str("&gt;"),
        '\0' => {}
        other => html.push(other),
    }
}

/// Reads `html` and writes it again within the bounds. It ends after `max_chars` characters of text, spaces not counted, or as
/// soon as `wanted` says that its caller has given up.
pub fn bounded(html: &str, max_chars: usize, wanted: &GiveUp) -> BoundedHtml {
    let sink = Writer(RefCell::new(State { max_chars, ..State::default() }));
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let queue = BufferQueue::default();
    let html = with_few_attributes(html, wanted);
    let mut rest = html.as_ref();
    while !rest.is_empty() && !wanted.is_asked() && !tokenizer.sink.0.borrow().is_cut {
        let mut end = rest.len().min(PIECE_BYTES);
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        queue.push_back(StrTendril::from(&rest[..end]));
        rest = &rest[end..];
        // A script or an encoding that the page declares interrupts the tokenizer.
        while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
    }
    if rest.is_empty() {
        tokenizer.end();
    }
    let mut state = tokenizer.sink.0.into_inner();
    state.close_to(0);
    BoundedHtml { html: state.html, is_cut: state.is_cut }
}

/// The page without the attributes of each tag beyond [`MAX_ATTRIBUTES`].
fn with_few_attributes<'h>(html: &'h str, wanted: &GiveUp) -> Cow<'h, str> {
    let bytes = html.as_bytes();
    let mut kept = String::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(start) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'<')) {
        at += start + 1;
        if wanted.is_asked() {
            break;
        }
        if !bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
            continue;
        }
        let (end, surplus) = tag_end(bytes, at);
        if let Some(surplus) = surplus {
            kept.push_str(&html[copied..surplus]);
            copied = end;
        }
        at = raw_text_end(bytes, at, end);
    }
    if copied == 0 { Cow::Borrowed(html) } else { Cow::Owned(kept + &html[copied..]) }
}

/// Where the text of an element ends that has no tags in it, such as a script; otherwise the end of its tag.
fn raw_text_end(bytes: &[u8], name: usize, tag_end: usize) -> usize {
    let is_named = |raw: &&str| {
        bytes[name..tag_end].get(..raw.len()).is_some_and(|found| found.eq_ignore_ascii_case(raw.as_bytes()))
    };
    let Some(raw) = ["script", "style", "textarea", "title"].into_iter().find(is_named) else {
        return tag_end;
    };
    let closes = |rest: &[u8]| {
        rest.starts_with(b"</")
            && rest.get(2..2 + raw.len()).is_some_and(|name| name.eq_ignore_ascii_case(raw.as_bytes()))
    };
    (tag_end..bytes.len()).find(|at| closes(&bytes[*at..])).unwrap_or(bytes.len())
}

/// The end of a tag whose name begins at `at`: the position of its `>`, or the end of the page. Also the beginning of the first
/// attribute that is one too many.
fn tag_end(bytes: &[u8], mut at: usize) -> (usize, Option<usize>) {
    let is_space = |byte: u8| byte.is_ascii_whitespace() || byte == b'/';
    let skip = |at: usize, stop: &dyn Fn(u8) -> bool| {
        bytes[at..].iter().position(|byte| stop(*byte)).map_or(bytes.len(), |length| at + length)
    };
    at = skip(at, &|byte| is_space(byte) || byte == b'>');
    let (mut count, mut surplus) = (0, None);
    loop {
        at = skip(at, &|byte| !is_space(byte));
        match bytes.get(at) {
            None => return (bytes.len(), surplus),
            Some(b'>') => return (at, surplus),
            Some(_) => {}
        }
        count += 1;
        if count > MAX_ATTRIBUTES && surplus.is_none() {
            surplus = Some(at);
        }
        // A name may begin with `=`.
        at = skip(at + 1, &|byte| is_space(byte) || matches!(byte, b'>' | b'='));
        let value = skip(at, &|byte| !byte.is_ascii_whitespace());
        if bytes.get(value) != Some(&b'=') {
            continue;
        }
        at = skip(value + 1, &|byte| !byte.is_ascii_whitespace());
        at = match bytes.get(at) {
            Some(quote @ (b'"' | b'\'')) => (skip(at + 1, &|byte| byte == *quote) + 1).min(bytes.len()),
            _ => skip(at, &|byte| byte.is_ascii_whitespace() || byte == b'>'),
        };
    }
}

/// Writes the tokens again.
struct Writer(RefCell<State>);

#[derive(Default)]
struct State {
    html: String,
    /// Names of the open elements.
    open: Vec<String>,
    /// Start tags that were left out, by name; their end tags are left out too.
    left_out: HashMap<String, usize>,
    elements: usize,
    chars: usize,
    max_chars: usize,
    /// The element whose text is not shown, while it is open.
    silent: Option<String>,
    is_cut: bool,
}

impl TokenSink for Writer {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            CharacterTokens(text) => state.text(&text),
            TagToken(tag) if tag.kind == StartTag => return state.start(&tag),
            TagToken(tag) if tag.kind == EndTag => state.end(&tag.name),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl State {
    fn text(&mut self, text: &str) {
        if self.silent.is_some() || self.is_cut {
            return;
        }
        for character in text.chars() {
            if !character.is_whitespace() {
                self.chars += 1;
                if self.chars > self.max_chars {
                    self.is_cut = true;
                    return;
                }
            }
            push_escaped(&mut self.html, character);
        }
    }

    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        let next = match name {
            "script" => TokenSinkResult::RawData(ScriptData),
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(Rawtext),
            "title" | "textarea" => TokenSinkResult::RawData(Rcdata),
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        };
        if self.silent.is_some() || self.is_cut {
            return next;
        }
        match name {
            "script" | "style" | "iframe" | "noembed" | "noframes" | "template" => {
                self.silent = Some(name.to_owned());
            }
            // With scripts off, its content is a part of the page.
            "noscript" | "plaintext" => {}
            _ => self.open(tag, name),
        }
        next
    }

    fn open(&mut self, tag: &Tag, name: &str) {
        self.close_implied(name);
        let count = |names: &[&str]| self.open.iter().filter(|open| names.contains(&open.as_str())).count();
        let is_void = VOID.contains(&name);
        let fits = self.open.len() < MAX_DEPTH
            && self.elements < MAX_ELEMENTS
            && (!INDENTS.contains(&name) || count(&INDENTS) < MAX_INDENTS)
            && (name != "table" || count(&["table"]) < MAX_TABLES);
        // Names of other characters would not be read as one tag again.
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !fits || !is_plain {
            if !is_void {
                *self.left_out.entry(name.to_owned()).or_default() += 1;
            }
            return;
        }
        self.elements += 1;
        self.html.push('<');
        self.html.push_str(name);
        for attribute in &tag.attrs {
            self.attribute(&attribute.name.local, &attribute.value);
        }
        self.html.push('>');
        if !is_void {
            self.open.push(name.to_owned());
        }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let span;
        let value = match name {
            "href" | "src" | "alt" if value.len() <= MAX_ATTRIBUTE_BYTES => value,
            "colspan" | "rowspan" => {
                span = value.trim().parse::<usize>().unwrap_or(1).clamp(1, MAX_SPAN).to_string();
                &span
            }
            "start" if value.trim().parse::<i32>().is_ok() => value,
            _ => return,
        };
        let _ = write!(self.html, " {name}=\"");
        for character in value.chars() {
            match character {
                '&' => self.html.push_str("&amp;"),
                '"' => self.html.push_str("&quot;"),
                '\0' => {}
                other => self.html.push(other),
            }
        }
        self.html.push('"');
    }

    fn end(&mut self, name: &str) {
        if self.is_cut {
            return;
        }
        if let Some(silent) = &self.silent {
            if silent == name {
                self.silent = None;
            }
            return;
        }
        if let Some(count) = self.left_out.get_mut(name).filter(|count| **count > 0) {
            *count -= 1;
            return;
        }
        // The end tag of a cell's element does not close what is around its table.
        let crosses = TABLE_PARTS.contains(&name);
        for (at, open) in self.open.iter().enumerate().rev() {
            if open == name {
                self.close_to(at);
                return;
            }
            if !crosses && matches!(open.as_str(), "td" | "th" | "caption" | "table") {
                return;
            }
        }
    }

    /// Closes what the start of `name` ends without a tag of its own.
    fn close_implied(&mut self, name: &str) {
        let (ends, within): (&[&str], &[&str]) = match name {
            "li" => (&["li"], &["ul", "ol", "menu", "td", "th"]),
            "dt" | "dd" => (&["dt", "dd"], &["dl", "td", "th"]),
            "td" | "th" => (&["td", "th"], &["tr", "table"]),
            "tr" => (&["tr"], &["table"]),
            "thead" | "tbody" | "tfoot" => (&["thead", "tbody", "tfoot"], &["table"]),
            "option" | "optgroup" => (&["option"], &["select"]),
            _ if BLOCKS.contains(&name) => (&["p"], &["td", "th", "button"]),
            _ => return,
        };
        for (at, open) in self.open.iter().enumerate().rev() {
            if ends.contains(&open.as_str()) {
                self.close_to(at);
                return;
            }
            if within.contains(&open.as_str()) {
                return;
            }
        }
    }

    /// Closes open elements until `depth` are left.
    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            if let Some(name) = self.open.pop() {
                let _ = write!(self.html, "</{name}>");
            }
        }
    }
}

const VOID: [&str; 16] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr", "keygen", "frame",
];
const INDENTS: [&str; 7] = ["blockquote", "ul", "ol", "dl", "dd", "menu", "dir"];
const TABLE_PARTS: [&str; 8] = ["table", "tr", "td", "th", "thead", "tbody", "tfoot", "caption"];
const BLOCKS: [&str; 28] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "details",
    "div",
    "dl",
    "fieldset",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "ul",
    "menu",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn written(html: &str) -> String {
        bounded(html, 1_000_000, &GiveUp::default()).html
    }

    #[test]
    fn escaped_text_opens_no_tag_and_ends_no_attribute() {
        assert_eq!(escaped("<a b=\"c\">'&\u{1b}[0m\n é"), "&lt;a b=&quot;c&quot;&gt;&#39;&amp;[0m\n é");
    }

    #[test]
    fn attributes_beyond_a_limit_are_left_out_and_nothing_else() {
        let many =
            |count: usize| (0..count).map(|n| format!(" a{n}='>{n}' b{n}")).collect::<Vec<_>>().concat();
        let html =
            format!("<p href='x'{0}>one</p><a href=\"y\"{0}>two</a> 1 < 2 <b{1}", many(100_000), many(300));
        let begun = std::time::Instant::now();
        let kept = with_few_attributes(&html, &GiveUp::default());
        assert!(kept.len() < 10_000 && kept.ends_with(" b99 "), "{kept}");
        assert_eq!(written(&html), "<p href=\"x\">one</p><a href=\"y\">two</a> 1 &lt; 2 ");
        // Compared in pairs, these attributes take minutes.
        assert!(begun.elapsed() < std::time::Duration::from_secs(20));
        for ordinary in ["<a href = 'x y' alt=z / b>t</a>", "<a ='>t", "<", "a <b", "<a b='c", "<a =x=y>"] {
            assert!(
                matches!(with_few_attributes(ordinary, &GiveUp::default()), Cow::Borrowed(_)),
                "{ordinary}"
            );
        }
    }

    #[test]
    fn a_page_of_ordinary_depth_keeps_its_structure() {
        for (html, expected) in [
            ("<p>one<p>two", "<p>one</p><p>two</p>"),
            ("<ul><li>a<li>b</ul>c", "<ul><li>a</li><li>b</li></ul>c"),
            (
                "<table><tr><td>1<td>2<tr><td>3</table>",
                "<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>",
            ),
            ("<b>x<i>y</b>z", "<b>x<i>y</i></b>z"),
            ("a &lt;b&gt; &amp; c", "a &lt;b&gt; &amp; c"),
            ("<script>if (a<b) '</div>'</script>after", "after"),
            ("<style>p{}</style><template><b>x</b></template>y", "y"),
            ("<a href='/x?a=1&amp;b=\"' onclick=y>l</a>", "<a href=\"/x?a=1&amp;b=&quot;\">l</a>"),
            ("<td colspan=1000000000>x", "<td colspan=\"100\">x</td>"),
            ("<!-- <div> --><p title='>'>x", "<p>x</p>"),
            ("<img src=a alt='b'>", "<img src=\"a\" alt=\"b\">"),
        ] {
            assert_eq!(written(html), expected, "{html}");
        }
    }

    #[test]
    fn depth_and_number_of_elements_are_bounded_and_no_text_is_lost() {
        let deep = format!("{}text{}after", "<div>".repeat(100_000), "</div>".repeat(100_000));
        let flat = written(&deep);
        assert_eq!(flat.matches("<div>").count(), MAX_DEPTH);
        assert!(flat.contains("text") && flat.ends_with("after"), "{}", &flat[flat.len() - 100..]);
        for name in ["b", "blockquote", "table", "ul", "x-y", "a", "p", "svg", "select"] {
            let flat = written(&format!("{}text", format!("<{name}>").repeat(20_000)));
            let depth = flat.split("text").next().unwrap();
            let open =
                depth.matches(&format!("<{name}>")).count() - depth.matches(&format!("</{name}>")).count();
            assert!(open <= MAX_DEPTH && flat.contains("text"), "{name}: {open}");
        }
        let many = written(&"<i>x</i>".repeat(MAX_ELEMENTS + 10));
        assert_eq!(many.matches("<i>").count(), MAX_ELEMENTS);
        assert_eq!(many.matches('x').count(), MAX_ELEMENTS + 10);
    }

    #[test]
    fn a_page_ends_at_the_limit_of_its_text_or_when_nobody_waits() {
        let page = "<p>abc def</p>".repeat(10);
        let cut = bounded(&page, 8, &GiveUp::default());
        assert_eq!((cut.html.as_str(), cut.is_cut), ("<p>abc def</p><p>ab</p>", true));
    }
}
