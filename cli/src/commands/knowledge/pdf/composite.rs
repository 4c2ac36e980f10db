//! Composite fonts, as Chinese, Japanese and Korean texts have them: codes of one to four bytes, by an encoding (`CMap`) that
//! is predefined or embedded (ISO 32000-1, 9.7).

use super::{content, entry, inherited, number, resolved, to_unicode};
use hayro_cmap::{BfString, CMap, CMapName, CidFamily, load_embedded};
use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Object, ObjectId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Forms within forms are followed this deep.
const DEEPEST_FORM: usize = 8;
/// A font has at most this many codes of its own.
const MAX_CODES: usize = 0xffff;

/// A composite font of the document, and the codes that the document shows with it.
struct Font {
    encoding: Option<CMap>,
    /// Whether undefined codes have two bytes even if the first one is in ASCII.
    is_wide: bool,
    to_unicode: Option<CMap>,
    /// From character identifiers to Unicode, for a known collection of characters.
    collection: Option<CMap>,
    widths: HashMap<u32, f64>,
    default_width: f64,
    /// The new code of each code and its length.
    codes: HashMap<(u32, u8), u32>,
    /// Text and width of the new codes, from 1 on.
    shown: Vec<(String, f64)>,
    /// Number of shown characters without a text.
    unknown: usize,
}

/// The new contents of pages and forms.
#[derive(Default)]
struct Rewritten {
    pages: Vec<(ObjectId, Vec<u8>)>,
    forms: BTreeMap<ObjectId, Vec<u8>>,
    visited: HashSet<ObjectId>,
}

/// Gives every composite font codes of two bytes and the characters that they stand for. Returns the number of shown
/// characters that are not known.
pub(super) fn describe(document: &mut Document) -> usize {
    let mut fonts: BTreeMap<ObjectId, Font> = BTreeMap::new();
    for (id, object) in &document.objects {
        if let Ok(dictionary) = object.as_dict()
            && dictionary.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"Type0")
        {
            fonts.insert(*id, Font::new(document, dictionary));
        }
    }
    if fonts.is_empty() {
        return 0;
    }
    let mut rewritten = Rewritten::default();
    for page in document.get_pages().into_values() {
        let Ok(dictionary) = document.get_dictionary(page) else { continue };
        let empty = Dictionary::new();
        let resources = inherited(document, dictionary, b"Resources").and_then(|it| it.as_dict().ok());
        let Ok(bytes) = document.get_page_content(page) else { continue };
        let resources = resources.unwrap_or(&empty);
        if let Some(bytes) = rewrite(document, &bytes, resources, &mut fonts, &mut rewritten, 0) {
            rewritten.pages.push((page, bytes));
        }
    }
    for (page, bytes) in rewritten.pages {
        let stream = document.add_object(lopdf::Stream::new(Dictionary::new(), bytes));
        if let Ok(page) = document.get_dictionary_mut(page) {
            page.set("Contents", stream);
        }
    }
    for (form, bytes) in rewritten.forms {
        if let Ok(stream) = document.get_object_mut(form).and_then(Object::as_stream_mut) {
            stream.set_plain_content(bytes);
        }
    }
    let unknown = fonts.values().map(|font| font.unknown).sum();
    for (id, font) in fonts {
        font.replace(document, id);
    }
    unknown
}

/// Rewrites the shown strings of a content stream. `None` if it shows none in a composite font.
fn rewrite(
    document: &Document,
    bytes: &[u8],
    resources: &Dictionary,
    fonts: &mut BTreeMap<ObjectId, Font>,
    rewritten: &mut Rewritten,
    depth: usize,
) -> Option<Vec<u8>> {
    let mut operations = Content::decode(bytes).ok()?.operations;
    let named = |kind: &[u8], name: &[u8]| -> Option<ObjectId> {
        let names = entry(document, resources, kind)?.as_dict().ok()?;
        names.get(name).ok()?.as_reference().ok()
    };
    let (mut current, mut saved, mut changed) = (None, Vec::new(), false);
    for Operation { operator, operands } in &mut operations {
        match operator.as_str() {
            "q" => saved.push(current),
            "Q" => current = saved.pop().unwrap_or(current),
            "Tf" => {
                let name = operands.first().and_then(|name| name.as_name().ok());
                current = name.and_then(|name| named(b"Font", name)).filter(|id| fonts.contains_key(id));
            }
            "Tj" | "TJ" | "'" | "\"" => {
                if let Some(font) = current.and_then(|id| fonts.get_mut(&id)) {
                    for operand in operands.iter_mut() {
                        font.recode(operand);
                    }
                    changed = true;
                }
            }
            "Do" if depth < DEEPEST_FORM => {
                let name = operands.first().and_then(|name| name.as_name().ok());
                let Some(id) = name.and_then(|name| named(b"XObject", name)) else { continue };
                let Some(form) = document.get_object(id).ok().and_then(|form| form.as_stream().ok()) else {
                    continue;
                };
                let is_form =
                    form.dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"Form");
                if !is_form || !rewritten.visited.insert(id) {
                    continue;
                }
                let own = entry(document, &form.dict, b"Resources").and_then(|it| it.as_dict().ok());
                let bytes =
                    rewrite(document, &content(form), own.unwrap_or(resources), fonts, rewritten, depth + 1);
                if let Some(bytes) = bytes {
                    rewritten.forms.insert(id, bytes);
                }
            }
            _ => {}
        }
    }
    if !changed {
        return None;
    }
    Content { operations }.encode().ok()
}

impl Font {
    fn new(document: &Document, font: &Dictionary) -> Self {
        let descendant = descendant(document, font);
        let encoding_object = entry(document, font, b"Encoding");
        let encoding = encoding_object.and_then(cmap);
        let is_identity = encoding_object
            .and_then(|object| object.as_name().ok())
            .is_none_or(|name| name == b"Identity-H" || name == b"Identity-V");
        let name = encoding_object.and_then(|object| object.as_name().ok()).unwrap_or_default();
        let in_name = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
        let family =
            descendant.and_then(|it| entry(document, it, b"CIDSystemInfo")?.as_dict().ok()).map(|info| {
                let text = |key: &[u8]| {
                    entry(document, info, key).and_then(|it| it.as_str().ok()).unwrap_or_default()
                };
                CidFamily::from_registry_ordering(text(b"Registry"), text(b"Ordering"))
            });
        // A predefined encoding has its own collection, whatever the font says.
        let own = encoding.as_ref().and_then(|map| map.metadata().character_collection.clone());
        let known = |family: &CidFamily| family.ucs2_cmap();
        let collection =
            own.as_ref().and_then(|own| known(&own.family)).or_else(|| family.as_ref().and_then(known));
        let widths = descendant.and_then(|it| entry(document, it, b"W")?.as_array().ok());
        Self {
            is_wide: is_identity || in_name(b"UCS2") || in_name(b"UTF16") || in_name(b"Identity"),
            encoding: if is_identity { Some(CMap::identity_h()) } else { encoding },
            to_unicode: entry(document, font, b"ToUnicode").and_then(cmap),
            collection: collection.and_then(embedded),
            widths: widths.map(|widths| self::widths(document, widths)).unwrap_or_default(),
            default_width: descendant.and_then(|it| number(entry(document, it, b"DW")?)).unwrap_or(1000.0),
            codes: HashMap::new(),
            shown: Vec::new(),
            unknown: 0,
        }
    }

    /// Replaces the strings of an operand of a text-showing operator.
    fn recode(&mut self, operand: &mut Object) {
        match operand {
            Object::String(bytes, _) => {
                let mut recoded = Vec::with_capacity(bytes.len());
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (code, length) = self.next(rest);
                    rest = &rest[length..];
                    let code = self.code(code, length as u8) as u16;
                    recoded.extend_from_slice(&code.to_be_bytes());
                }
                *bytes = recoded;
            }
            Object::Array(parts) => parts.iter_mut().for_each(|part| self.recode(part)),
            _ => {}
        }
    }

    /// The first code of `bytes`, which are not empty, and its length.
    fn next(&self, bytes: &[u8]) -> (u32, usize) {
        let value =
            |length: usize| bytes[..length].iter().fold(0_u32, |code, byte| code << 8 | u32::from(*byte));
        let longest = bytes.len().min(4);
        if let Some(map) = &self.encoding
            && let Some(length) =
                (1..=longest).find(|length| map.lookup_cid_code(value(*length), *length as u8).is_some())
        {
            return (value(length), length);
        }
        let length = if self.is_wide || bytes[0] >= 0x80 { 2.min(longest) } else { 1 };
        (value(length), length)
    }

    /// The new code for a code.
    fn code(&mut self, code: u32, length: u8) -> u32 {
        if let Some(known) = self.codes.get(&(code, length)) {
            let empty = self.shown.get(*known as usize - 1).is_none_or(|(text, _)| text.is_empty());
            self.unknown += usize::from(empty);
            return *known;
        }
        let cid = self.encoding.as_ref().and_then(|map| map.lookup_cid_code(code, length));
        let text = self.text(code, cid);
        self.unknown += usize::from(text.is_none());
        if self.shown.len() < MAX_CODES {
            let width = cid.and_then(|cid| self.widths.get(&cid)).copied().unwrap_or(self.default_width);
            self.shown.push((text.unwrap_or_default(), width));
        }
        let new = self.shown.len() as u32;
        self.codes.insert((code, length), new);
        new
    }

    /// The characters of a code: by the font's own map, else by the collection of its character.
    fn text(&self, code: u32, cid: Option<u32>) -> Option<String> {
        let own = self.to_unicode.as_ref().and_then(|map| map.lookup_bf_string(code));
        let text = own.or_else(|| self.collection.as_ref()?.lookup_bf_string(cid?))?;
        let text = match text {
            BfString::Char(c) => c.to_string(),
            BfString::String(text) => text,
        };
        Some(text).filter(|text| !text.is_empty() && text != "\u{fffd}" && text != "\0")
    }

    /// Writes the font with its new codes.
    fn replace(self, document: &mut Document, id: ObjectId) {
        let texts = self.shown.iter().zip(1..).map(|((text, _), code)| (code, text.clone()));
        let map = document.add_object(to_unicode(texts, 4));
        let widths: Vec<Object> = vec![
            Object::Integer(1),
            Object::Array(self.shown.iter().map(|(_, width)| Object::Real(*width as f32)).collect()),
        ];
        let old = document.get_dictionary(id).ok().and_then(|font| descendant(document, font)).cloned();
        let mut descendant = old.unwrap_or_default();
        descendant.set("W", widths);
        descendant.set("DW", 1000);
        if entry(document, &descendant, b"FontDescriptor").is_none_or(|it| it.as_dict().is_err()) {
            descendant.set("FontDescriptor", Dictionary::new());
        }
        let descendant = document.add_object(descendant);
        if let Ok(font) = document.get_dictionary_mut(id) {
            font.set("Encoding", Object::Name(b"Identity-H".to_vec()));
            font.set("ToUnicode", map);
            font.set("DescendantFonts", vec![Object::Reference(descendant)]);
            if font.get(b"BaseFont").and_then(Object::as_name).is_err() {
                font.set("BaseFont", Object::Name(b"Unnamed".to_vec()));
            }
        }
    }
}

fn descendant<'a>(document: &'a Document, font: &'a Dictionary) -> Option<&'a Dictionary> {
    let descendants = entry(document, font, b"DescendantFonts")?;
    let first = match descendants {
        Object::Array(all) => resolved(document, all.first()?),
        other => other,
    };
    first.as_dict().ok()
}

/// A map by its name or as a stream.
fn cmap(object: &Object) -> Option<CMap> {
    match object {
        Object::Name(name) => embedded(CMapName::from_bytes(name)),
        Object::Stream(stream) => CMap::parse(&content(stream), load_embedded),
        _ => None,
    }
}

fn embedded(name: CMapName<'_>) -> Option<CMap> {
    match name.to_bytes() {
        b"Identity-H" | b"Identity-V" => Some(CMap::identity_h()),
        _ => CMap::parse(load_embedded(name)?, load_embedded),
    }
}

/// Widths by character identifier: `c [w …]` and `first last w` (ISO 32000-1, 9.7.4.3).
fn widths(document: &Document, entries: &[Object]) -> HashMap<u32, f64> {
    let mut widths = HashMap::new();
    let whole =
        |object: &Object| number(object).filter(|cid| (0.0..65536.0).contains(cid)).map(|cid| cid as u32);
    let mut rest = entries.iter().map(|object| resolved(document, object));
    while let Some(first) = rest.next().and_then(whole) {
        match rest.next() {
            Some(Object::Array(list)) => {
                let list = list.iter().filter_map(|width| number(resolved(document, width)));
                widths.extend((first..).zip(list));
            }
            Some(last) => {
                let (Some(last), Some(width)) = (whole(last), rest.next().and_then(number)) else { break };
                widths.extend((first..=last).map(|cid| (cid, width)));
            }
            None => break,
        }
    }
    widths
}
