//! Simple fonts: codes of one byte. Entries that make the reader panic are repaired or removed.

use super::{entry, number, resolved, to_unicode};
use hayro_cmap::{BfString, CMap, load_embedded};
use lopdf::{Dictionary, Document, Object, ObjectId};

/// The encodings that the reader knows by name.
const ENCODINGS: [&[u8]; 3] = [b"MacRomanEncoding", b"MacExpertEncoding", b"WinAnsiEncoding"];
const KINDS: [&[u8]; 4] = [b"Type1", b"MMType1", b"TrueType", b"Type3"];

/// Repairs all simple fonts of a document.
pub(super) fn repair(document: &mut Document) {
    let is_simple = |object: &Object| {
        let kind = object.as_dict().ok().and_then(|font| font.get(b"Subtype").ok()?.as_name().ok());
        kind.is_some_and(|kind| KINDS.contains(&kind))
            && object.as_dict().is_ok_and(|font| {
                font.has(b"BaseFont")
                    || font.has(b"Encoding")
                    || font.has(b"FontDescriptor")
                    || font.has(b"CharProcs")
            })
    };
    let fonts: Vec<ObjectId> =
        document.objects.iter().filter(|(_, object)| is_simple(object)).map(|(id, _)| *id).collect();
    for id in fonts {
        let Ok(font) = document.get_dictionary(id).cloned() else { continue };
        let map = own_map(document, &font);
        let map = map.map(|codes| document.add_object(to_unicode(codes.into_iter(), 2)));
        let repaired = repaired(document, font, map);
        document.objects.insert(id, Object::Dictionary(repaired));
    }
}

/// Removes the embedded programs of all fonts. Their text is then read by the encodings alone.
pub(super) fn strip_font_programs(document: &mut Document) {
    for object in document.objects.values_mut() {
        if let Ok(descriptor) = object.as_dict_mut()
            && descriptor.has(b"FontName")
        {
            for program in [&b"FontFile"[..], b"FontFile2", b"FontFile3"] {
                descriptor.remove(program);
            }
        }
    }
}

/// The characters of the codes, as the font's `ToUnicode` says.
fn own_map(document: &Document, font: &Dictionary) -> Option<Vec<(u32, String)>> {
    let stream = entry(document, font, b"ToUnicode")?.as_stream().ok()?;
    let map = CMap::parse(&super::content(stream), load_embedded)?;
    let text = |code: u32| match map.lookup_bf_string(code)? {
        BfString::Char(c) => Some((code, c.to_string())),
        BfString::String(text) => Some((code, text)),
    };
    Some((0..=255).filter_map(text).collect())
}

fn repaired(document: &Document, mut font: Dictionary, map: Option<ObjectId>) -> Dictionary {
    match map {
        Some(map) => font.set("ToUnicode", map),
        None => {
            font.remove(b"ToUnicode");
        }
    }
    if font.get(b"BaseFont").and_then(Object::as_name).is_err() {
        font.set("BaseFont", Object::Name(b"Unnamed".to_vec()));
    }
    let is_type_3 = font.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"Type3");
    let win_ansi = || Object::Name(b"WinAnsiEncoding".to_vec());
    match entry(document, &font, b"Encoding") {
        Some(Object::Name(name)) if ENCODINGS.contains(&name.as_slice()) => {}
        Some(Object::Dictionary(encoding)) => {
            let encoding = repaired_encoding(document, encoding.clone());
            font.set("Encoding", encoding);
        }
        // The reader needs one where the font's own map has gaps.
        None if map.is_none() && !is_type_3 => {
            font.remove(b"Encoding");
        }
        _ => font.set("Encoding", win_ansi()),
    }
    repair_widths(document, &mut font);
    font
}

fn repaired_encoding(document: &Document, mut encoding: Dictionary) -> Dictionary {
    let base = entry(document, &encoding, b"BaseEncoding").and_then(|base| base.as_name().ok());
    if base.is_none_or(|base| !ENCODINGS.contains(&base)) {
        encoding.remove(b"BaseEncoding");
    }
    let Some(differences) = entry(document, &encoding, b"Differences") else { return encoding };
    let mut kept = Vec::new();
    let mut code = 0_i64;
    for difference in differences.as_array().map(Vec::as_slice).unwrap_or_default() {
        match resolved(document, difference) {
            Object::Integer(next) => {
                code = *next;
                if (0..256).contains(&code) {
                    kept.push(Object::Integer(code));
                }
            }
            Object::Name(name) => {
                if (0..256).contains(&code) {
                    kept.push(Object::Name(name.clone()));
                }
                code = code.saturating_add(1);
            }
            _ => {}
        }
    }
    encoding.set("Differences", kept);
    encoding
}

/// Makes the range of codes fit the list of their widths.
fn repair_widths(document: &Document, font: &mut Dictionary) {
    let first = entry(document, font, b"FirstChar").and_then(number).map_or(0, |first| first as i64);
    let widths = entry(document, font, b"Widths").and_then(|widths| widths.as_array().ok());
    let Some(widths) = widths else {
        for name in [&b"FirstChar"[..], b"LastChar", b"Widths"] {
            font.remove(name);
        }
        if font.has(b"CharProcs") {
            fill_widths(font, 0, vec![Object::Integer(500); 256]);
        }
        return;
    };
    let number = |width: &Object| Object::Real(number(resolved(document, width)).unwrap_or(0.0) as f32);
    let mut widths: Vec<Object> = widths.iter().take(256).map(number).collect();
    let first = first.clamp(0, 255);
    if font.has(b"CharProcs") {
        // The reader has no width for other codes of such a font.
        let mut all = vec![Object::Integer(0); 256];
        for (place, width) in (first as usize..256).zip(widths) {
            all[place] = width;
        }
        fill_widths(font, 0, all);
        return;
    }
    if widths.is_empty() {
        widths.push(Object::Integer(0));
    }
    fill_widths(font, first, widths);
}

fn fill_widths(font: &mut Dictionary, first: i64, widths: Vec<Object>) {
    font.set("FirstChar", first);
    font.set("LastChar", first + widths.len() as i64 - 1);
    font.set("Widths", widths);
}
