//! Documents as people have them: of all encodings, damaged, linked, moved, in PDFs of all kinds.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::support::place;
use serde_json::{Value, json};
use sojourn_testkit::Place;
use std::fmt::Write as _;

/// The file names of all known documents.
fn known(place: &Place) -> Vec<String> {
    let listed = place.json(&["knowledge", "list"]);
    let name = |document: &Value| {
        let uri = document["uri"].as_str().unwrap();
        uri.rsplit('/').next().unwrap().to_owned()
    };
    listed.as_array().unwrap().iter().map(name).collect()
}

/// The text of the passage that answers best.
fn best(place: &Place, question: &str) -> String {
    let found = place.json(&["knowledge", "search", question]);
    found["memories"][0]["memory"]["text"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn one_unreadable_file_does_not_end_the_batch() {
    let place = place();
    place.write("docs/a-first.md", "# Apples\nApples are kept in the cellar.\n");
    place.write("docs/b-broken.pdf", b"%PDF-1.4 broken");
    place.write("docs/c-binary.txt", b"x\0y\n");
    place.write("docs/d-deep.html", "<div>".repeat(100_000));
    place.write("docs/e-latin.txt", b"Le caf\xe9 est ferm\xe9 \xe0 midi.\n");
    place.write(
        "docs/f-wide.txt",
        "\u{feff}Keys hang there.".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
    );
    place.write("docs/g-gbk.txt", b"\xc3\xdc\xc2\xeb\xd4\xda\xb1\xa3\xcf\xd5\xcf\xe4\xc0\xef\xa1\xa3\n");
    place.write("docs/z-last.md", "# Zinc\nZinc is in the third drawer.\n");
    let answer = place.run(&["knowledge", "add", "docs"]);
    assert_eq!(answer.code, 1, "{answer}");
    assert_eq!(known(&place), ["a-first.md", "e-latin.txt", "f-wide.txt", "g-gbk.txt", "z-last.md"]);
    for said in [
        "b-broken.pdf",
        "c-binary.txt",
        "not a text file",
        "d-deep.html",
        "deep",
        "windows-1252",
        "3 of 8 could not be read",
    ] {
        assert!(answer.stderr.contains(said), "{said}: {answer}");
    }
    assert!(
        answer.stdout.contains("8 documents: 5 added or changed, 0 unchanged, 3 could not be read"),
        "{answer}"
    );
    assert!(!answer.stderr.contains("panicked"), "{answer}");
    assert!(best(&place, "café").contains("Le café est fermé"));
    assert!(best(&place, "保险箱").contains("密码在保险箱里"));
    assert!(!place.json(&["memory", "search", "fermé"])["memories"].to_string().contains('\u{fffd}'));

    let answer = place.run(&["knowledge", "add", "docs", "--json"]);
    assert_eq!((answer.code, answer.json()["failed"].as_array().unwrap().len()), (1, 3), "{answer}");
}

#[test]
fn one_file_by_two_paths_is_one_document() {
    let place = place();
    place.write("notes/keys.md", "# Keys\nThe key hangs behind the door.\n");
    place.write("sub/other.txt", "Other things.");
    std::os::unix::fs::symlink(place.path().join("notes"), place.path().join("linked")).unwrap();
    std::fs::hard_link(place.path().join("notes/keys.md"), place.path().join("sub/same.md")).unwrap();
    for name in ["notes/keys.md", "sub/../notes/./keys.md", "linked/keys.md", "notes", "linked", "sub"] {
        place.text(&["knowledge", "add", name]);
    }
    assert_eq!(known(&place), ["keys.md", "other.txt"]);
    let removed = place.json(&["knowledge", "remove", "sub/../linked/keys.md"]);
    assert_eq!(removed["removed"], 1);
    assert_eq!(known(&place), ["other.txt"]);
    // A directory stands for the documents in it, also when it is gone.
    std::fs::remove_dir_all(place.path().join("sub")).unwrap();
    let answer = place.run(&["knowledge", "add", "sub"]);
    assert!(answer.code == 3 && answer.stderr.contains("1 document of it still known"), "{answer}");
    assert_eq!(place.json(&["knowledge", "remove", "sub"])["removed"], 1);
    assert_eq!(known(&place), [""; 0]);
}

#[test]
fn links_and_unknown_kinds_are_said() {
    let place = place();
    place.write("vault/keys.md", "The key hangs behind the door.");
    place.write("vault/a.docx", b"PK");
    place.write("elsewhere/secret.md", "Not in the vault.");
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(place.path().join(target), place.path().join(name)).unwrap();
    };
    link("elsewhere/secret.md", "vault/secret.md");
    link("vault", "vault/again");
    let answer = place.run(&["knowledge", "add", "vault"]);
    assert_eq!(answer.code, 0, "{answer}");
    for said in ["left out: .docx files", "a.docx", "left out: links", "secret.md", "again"] {
        assert!(answer.stderr.contains(said), "{said}: {answer}");
    }
    assert!(answer.stdout.contains("3 left out"), "{answer}");
    assert_eq!(known(&place), ["keys.md"]);

    place.write("empty/a.docx", b"PK");
    let answer = place.run(&["knowledge", "add", "empty"]);
    assert!(answer.code == 3 && answer.stderr.contains("no document in `empty`"), "{answer}");
    assert!(answer.stderr.contains("docx"), "{answer}");
}

#[test]
fn a_file_that_is_gone_no_longer_answers() {
    let place = place();
    place.write("docs/old.txt", "The old price is 54 crowns.");
    place.write("docs/new.txt", "The new price is 110 crowns.");
    place.write("docs/emptied.txt", "The emptied price is 7 crowns.");
    place.write("docs.txt", "The price beside is 3 crowns.");
    place.text(&["knowledge", "add", "docs", "docs.txt"]);
    std::fs::remove_file(place.path().join("docs/old.txt")).unwrap();
    place.write("docs/renamed.txt", "The renamed price is 99 crowns.");
    place.write("docs/emptied.txt", "\n");
    std::fs::remove_file(place.path().join("docs.txt")).unwrap();
    let answer = place.run(&["knowledge", "add", "docs"]);
    assert!(answer.is_ok() && answer.stdout.contains("old.txt: gone, 1 passage removed"), "{answer}");
    // Documents outside of the directory stay, though their files are gone.
    assert_eq!(known(&place), ["docs.txt", "new.txt", "renamed.txt"]);
    let found = place.text(&["knowledge", "search", "price", "--json"]);
    assert!(
        !found.contains("54 crowns") && !found.contains("7 crowns") && found.contains("110 crowns"),
        "{found}"
    );
}

/// A PDF of one page that shows these bytes in this font; `more` are the objects from 6 on.
fn pdf(font: &str, shown: &[u8], more: &[&str]) -> Vec<u8> {
    let digits = shown.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    });
    let content = format!("BT /F1 14 Tf 40 120 Td <{digits}> Tj ET");
    let page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 200] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>";
    let stream = format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len());
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        page,
        &stream,
        font,
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut places = Vec::new();
    for (number, body) in objects.iter().chain(more).enumerate() {
        places.push(file.len());
        let _ = write!(file, "{} 0 obj\n{body}\nendobj\n", number + 1);
    }
    let start = file.len();
    let _ = write!(file, "xref\n0 {}\n0000000000 65535 f \n", places.len() + 1);
    for place in &places {
        let _ = writeln!(file, "{place:010} 00000 n ");
    }
    let _ =
        write!(file, "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", places.len() + 1);
    file.into_bytes()
}

/// A composite font with this encoding, of this collection of characters.
fn composite(encoding: &str, ordering: &str) -> (String, [String; 2]) {
    let font = format!(
        "<< /Type /Font /Subtype /Type0 /BaseFont /Some /Encoding /{encoding} /DescendantFonts [6 0 R] >>"
    );
    let descendant = format!(
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Some /DW 1000 /FontDescriptor 7 0 R \
         /CIDSystemInfo << /Registry (Adobe) /Ordering ({ordering}) /Supplement 2 >> >>"
    );
    let descriptor =
        "<< /Type /FontDescriptor /FontName /Some /Flags 4 /FontBBox [0 -200 1000 900] /ItalicAngle 0 >>";
    (font, [descendant, descriptor.to_owned()])
}

#[test]
fn a_pdf_of_chinese_fonts_is_read() {
    let place = place();
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let secret = b"\xc3\xdc\xc2\xeb\xd4\xda\xb1\xa3\xcf\xd5\xcf\xe4\xc0\xef";
    let cases: [(&str, &str, Vec<u8>, &str); 8] = [
        ("GBK-EUC-H", "GB1", secret.to_vec(), "密码在保险箱里"),
        ("GBK-EUC-V", "GB1", b"Key 42: \xc3\xdc\xc2\xeb".to_vec(), "Key 42: 密码"),
        ("UniGB-UCS2-H", "GB1", wide("密码在保险箱里"), "密码在保险箱里"),
        ("UniGB-UTF16-H", "GB1", wide("密码在保险箱里"), "密码在保险箱里"),
        ("ETen-B5-H", "CNS1", b"\xaa\xf7\xc6_".to_vec(), "金鑰"),
        ("90ms-RKSJ-H", "Japan1", b"\x8c\xae\x82\xcd".to_vec(), "鍵は"),
        ("UniKS-UCS2-H", "Korea1", wide("열쇠는 문 뒤에"), "열쇠는 문 뒤에"),
        // Numbers of characters in the collection, from `ABC` on.
        ("Identity-H", "GB1", b"\0\x22\0\x23\0\x24".to_vec(), "ABC"),
    ];
    for (encoding, ordering, shown, expected) in cases {
        let (font, more) = composite(encoding, ordering);
        let name = format!("{encoding}.pdf");
        place.write(&name, pdf(&font, &shown, &[&more[0], &more[1]]));
        let answer = place.run(&["knowledge", "add", &name]);
        assert!(answer.is_ok(), "{encoding}: {answer}");
        let text = best(&place, expected);
        assert_eq!(text, expected, "{encoding}");
        place.text(&["knowledge", "remove", &name]);
    }
    // A font of an unknown collection does not say what it shows.
    let (font, more) = composite("Identity-H", "Own");
    place.write("unknown.pdf", pdf(&font, b"\0\x22\0\x23", &[&more[0], &more[1]]));
    let answer = place.run(&["knowledge", "add", "unknown.pdf"]);
    assert!(answer.code == 1 && answer.stderr.contains("encoding of its fonts is not known"), "{answer}");
    assert!(!answer.stderr.contains("damaged") && !answer.stderr.contains("panicked"), "{answer}");
}

#[test]
fn odd_fonts_of_a_pdf_do_not_cost_its_text() {
    let place = place();
    let differences =
        "<< /Type /Encoding /BaseEncoding /WinAnsiEncoding /Differences [1 /ffi /fi 999 /A (odd) -5 /B] >>";
    let helvetica = "/Type /Font /Subtype /Type1 /BaseFont /Helvetica";
    for (font, shown, expected) in [
        (
            format!("<< {helvetica} /Encoding {differences} >>"),
            &b"The o\x01ce key is in the \x02rst drawer."[..],
            "The office key is in the first drawer.",
        ),
        // A list of widths that is too short, an encoding that the reader does not know, a map that is none.
        (
            format!(
                "<< {helvetica} /Encoding /StandardEncoding /FirstChar 32 /LastChar 255 /Widths [500 500] >>"
            ),
            b"Apples",
            "Apples",
        ),
        (
            format!("<< {helvetica} /Encoding /WinAnsiEncoding /ToUnicode /Adobe-Japan1-UCS2 >>"),
            b"Apples",
            "Apples",
        ),
        ("<< /Type /Font /Subtype /TrueType /Encoding /Identity-H >>".to_owned(), b"Apples", "Apples"),
    ] {
        place.write("odd.pdf", pdf(&font, shown, &[]));
        let answer = place.run(&["knowledge", "add", "odd.pdf"]);
        assert!(answer.is_ok(), "{font}: {answer}");
        assert_eq!(best(&place, expected), expected, "{font}");
    }
}

#[test]
fn a_document_that_stops_its_parser_is_one_error() {
    let place = place();
    place.write("docs/a.txt", "Apples are in the cellar.");
    place.write("docs/z.txt", "Zinc is in the drawer.");
    // No page has a size: the library panics. A million open brackets: a parser that recurses overflows its stack.
    let font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>";
    let page = String::from_utf8(pdf(font, b"Apples", &[]))
        .unwrap()
        .replace("/MediaBox [0 0 400 200]", &" ".repeat(23));
    place.write("docs/panic.pdf", page);
    let deep = format!("{}1{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    place.write("docs/deep.pdf", pdf(font, b"Apples", &[&deep]));
    let answer = place.run(&["knowledge", "add", "docs", "--json"]);
    assert!(answer.code >= 0 && !answer.stderr.contains("panicked"), "{answer}");
    let told = answer.json();
    let names = known(&place);
    assert!(names.contains(&"a.txt".to_owned()) && names.contains(&"z.txt".to_owned()), "{answer}");
    // Each of the four is in the report, as a document or as a failure.
    let reported = told["documents"].as_array().unwrap().len() + told["failed"].as_array().unwrap().len();
    assert_eq!(reported, 4, "{told}");
    assert!(told["failed"].to_string().contains("panic.pdf"), "{told}");
    assert_ne!(told["failed"], json!([]));
}

#[test]
fn words_of_documents_are_found_in_every_spelling() {
    let place = place();
    place.write("notes.md", "The o\u{fb03}ce is closed.\n\nＦｕｌｌ width.\n\nLe cafe\u{301} co\u{ad}op.\n");
    place.text(&["knowledge", "add", "notes.md"]);
    for question in ["office", "full", "café", "coop"] {
        let found = place.json(&["knowledge", "search", question]);
        let bm25 = found["memories"][0]["why"]["bm25"].as_f64().unwrap_or(0.0);
        assert!(bm25 > 0.0, "{question}: {found}");
    }
}
