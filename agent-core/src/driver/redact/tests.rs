//! Secrets are found in every form, records stay readable, and values that cannot be redacted are refused.

use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

fn one(value: &str) -> Redactor {
    Redactor::new([("S".to_owned(), value.to_owned())])
}

#[test]
fn a_value_is_replaced_by_its_name_wherever_it_stands() {
    let redactor = Redactor::new([
        ("KEY".to_owned(), "sk-123456".to_owned()),
        ("LONG".to_owned(), "sk-123456-and-more".to_owned()),
        ("SHORT".to_owned(), "abc".to_owned()),
    ]);
    let mut value = json!({"sk-123456": ["x sk-123456-and-more y", {"abc": "abc sk-123456"}]});
    redactor.value(&mut value);
    assert_eq!(value, json!({"[secret KEY]": ["x [secret LONG] y", {"abc": "abc [secret KEY]"}]}));
    assert_eq!(format!("{redactor:?}"), r#"Redactor(["LONG", "KEY", "SHORT"])"#);
}

#[test]
fn markers_stay_among_any_number_of_secrets() {
    let redactor = Redactor::new([
        ("S".to_owned(), "hunter2secret".to_owned()),
        // Its name has a secret within it, and a marker.
        ("hunter2secret".to_owned(), "correct horse".to_owned()),
        ("a [secret S]".to_owned(), "battery staple".to_owned()),
    ]);
    let times = 100_000;
    let text = "[secret S]hunter2secret ".repeat(times);
    assert_eq!(redactor.text(&text), "[secret S][secret S] ".repeat(times));
    for (text, expected) in [
        ("[secret hunter2secret] hunter2secret", "[secret hunter2secret] [secret S]"),
        ("[secret a [secret S]] hunter2secret", "[secret a [secret S]] [secret S]"),
        ("[secret hunter2secret [secret S]", "[secret [secret S] [secret S]"),
    ] {
        assert_eq!(redactor.text(text), expected);
    }
}

#[test]
fn an_encoded_secret_is_found() {
    let redactor = one("p/a ss\"wörd?");
    for text in [
        "p/a ss\"wörd?",
        "p%2Fa%20ss%22w%C3%B6rd%3F",
        "p%2fa%20ss%22w%c3%b6rd%3f",
        "p%252Fa%2520ss%2522w%25C3%25B6rd%253F",
        r#"p/a ss\"wörd?"#,
        r#"p\/a ss\\\"w\\u00f6rd?"#,
        "p&#x2f;a ss&quot;w&#246;rd?",
        // A name in a JSON pointer.
        "/inventory/p~1a ss\"wörd?",
        "p/a ss\"w\n  örd?",
        "p/a ss\"w\r\n> örd?",
        "p/\u{200b}a ss\"wö\u{ad}rd?",
        // base64 of the secret after 0, 1 and 2 bytes, and broken over lines; hexadecimal.
        "cC9hIHNzInfDtnJkPw==",
        "eHAvYSBzcyJ3w7ZyZD8",
        "eHhwL2Egc3Mid8O2cmQ/",
        "eHhwL2Egc3Mid8O2cmQ_",
        "cC9hIHNz\nInfDtnJkPw==",
        "702f6120737322 77c3b672643f",
    ] {
        assert!(redactor.text(text).contains("[secret S]"), "{text}");
    }
    assert_eq!(redactor.text("702f61207373227"), "702f61207373227");
    assert!(redactor.text("702f612073732277c3b672643f").contains("[secret S]"));
    assert!(redactor.text("702F612073732277C3B672643F").contains("[secret S]"));
}

#[test]
fn a_secret_among_what_a_terminal_does_not_show_or_in_a_dump_is_found() {
    let redactor = one("hunter2-Correct!");
    let utf_16 = |text: &str| text.chars().flat_map(|c| [c, '\0']).collect::<String>();
    for text in [
        "hun\u{1b}[1;31mter2\u{1b}[0m-Cor\u{1b}[Krect!",
        "hunter2\\u001b[0m-Correct!",
        r"hunter2\033[0m-Correct!",
        "hunter2^[[0m-Correct!",
        "hunter2\u{9b}1m-Correct!",
        "h\u{8}hu\u{8}unter2-Correct!",
        &utf_16("hunter2-Correct!"),
        "hunter2\u{7}\u{202e}-\u{fe0f}Correct!",
        "aHVudGVyMi1Db3JyZWN0IQ==",
        "aAB1AG4AdABlAHIAMgAtAEMAbwByAHIAZQBjAHQAIQA=",
        "680075006e0074006500720032002d0043006f0072007200650063007400210000",
        "68756E746572322d436f727265637421",
        "68 75 6e 74 65 72 32 2d 43 6f 72 72 65 63 74 21",
        "68:75:6e:74:65:72:32:2d:43:6f:72:72:65:63:74:21",
        "[0x68, 0x75, 0x6e, 0x74, 0x65, 0x72, 0x32, 0x2d, 0x43, 0x6f, 0x72, 0x72, 0x65, 0x63, 0x74, 0x21]",
        "00000000: 6b65 793d 6875 6e74 6572 322d 436f 7272  key=hunter2-Corr\n00000010: 6563 7421 0a  ect!.",
        "00000000  78 78 78 78 78 68 75 6e  74 65 72 32 2d 43 6f 72  |xxxxxhunter2-Cor|\n00000010  72 65 63 74 21 |rect!|",
        "0000000 7568 746e 7265 2d32 6f43 7272 6365 2174\n",
        "0000000 150 165 156 164 145 162 062 055 103 157 162 162 145 143 164 041\n",
        "104 117 110 116 101 114 50 45 67 111 114 114 101 99 116 33",
        "0000000   h   u   n   t   e   r   2   -   C   o   r   r   e   c   t   !\n",
        r"\150\165\156\164\145\162\062\055\103\157\162\162\145\143\164\041",
        "hunter2=2DCorr=\r\nect=21",
    ] {
        assert!(redactor.text(text).contains("[secret S]"), "{text:?}: {}", redactor.text(text));
        let inside = Value::from(text).to_string();
        assert!(redactor.text(&inside).contains("[secret S]"), "{inside}");
    }
    for text in
        ["a b c d e f", "2026-11-29 10:20:30", "deadbeef", "1, 2, 3, 4, 5", "\u{1b}[1mhunter\u{1b}[0m"]
    {
        assert_eq!(redactor.text(text), text);
    }
}

#[test]
fn a_secret_in_any_escape_of_c_and_html_is_found() {
    let redactor = one("hunter2/Correct!@_b\\x");
    for text in [
        r"hunter2\U0000002FCorrect!@_b\x",
        r"\U00000068unter2/Correct\U00000021@_b\\x",
        r"hunter2\x{2f}Correct!@_b\\x",
        "hunter2&#47Correct!@_b\\x",
        "&#104&#117&#110&#116&#101&#114&#50&#47&#67&#111&#114&#114&#101&#99&#116&#33&#64&#95&#98&#92&#120",
        "&#x68unter2&#x00002f;Correct&#x21@_b\\x",
        "hunter2&sol;Correct&excl;&commat;&lowbar;b&bsol;x",
        "hunter2&amp;sol;Correct!@&UnderBar;b\\x",
        "hunt\\\ner2/Cor\\\r\nrect!@_b\\x",
        "hunter\\\n    2/Correct!@_b\\x",
        "hunter2`\n/Correct!^\n@_b\\x",
        "hunter\u{1b}]8;;https://example.org/a?b=c\u{1b}\\2/Correct!\u{1b}]8;;\u{1b}\\@_b\\x",
        "hunter\u{1b}]8;id=1;https://example.org\u{7}2/Corr\u{1b}]8;;\u{7}ect!@_b\\x",
        "hunter2/\u{9d}8;;https://example.org\u{9c}Correct!@_b\\x",
        "hunter2/\u{1b}_an application's command\u{1b}\\Correct!\u{1b}Pdevice\u{1b}\\@_b\\x",
        r"hunter2/\033]8;;https://example.org\aCorrect!@_b\\x",
        "hunter2/^[]8;;https://example.org^GCorrect!@_b\\x",
    ] {
        assert!(redactor.text(text).contains("[secret S]"), "{text:?}: {}", redactor.text(text));
        let inside = Value::from(text).to_string();
        assert!(redactor.text(&inside).contains("[secret S]"), "{inside}");
    }
    // A secret in the address of a link.
    let text = "\u{1b}]8;;https://example.org/hunter2%2FCorrect!@_b%5Cx\u{7}here\u{1b}]8;;\u{7}";
    assert!(redactor.text(text).contains("[secret S]"), "{}", redactor.text(text));
    for text in [
        "\u{1b}]8;;https://example.org\u{7}hunter2\u{1b}]8;;\u{7}",
        "a&sol;b &#47 c\\\nd",
        "&sol",
        "&#",
        "\u{1b}]",
    ] {
        assert_eq!(redactor.text(text), text);
    }
}

#[test]
fn a_secret_is_found_at_every_place_of_a_long_text() {
    let redactor = one("hunter2-Correct!");
    for before in [MAX_PART - 20, MAX_PART - 1100, MAX_PART - 550, 2 * MAX_PART, 0] {
        let text = format!("{}hunter2%2dCorrect!{}", "é ".repeat(before / 3), "x\n".repeat(MAX_PART));
        let redacted = redactor.text(&text);
        assert_eq!(redacted.matches("[secret S]").count(), 1, "{before}");
        assert_eq!(redacted.len(), text.len() - "hunter2%2dCorrect!".len() + "[secret S]".len());
    }
}

#[test]
fn a_secret_that_is_a_number_is_found() {
    let redactor = one("0049123456");
    let value = |mut value: Value| {
        redactor.value(&mut value);
        value
    };
    assert_eq!(
        value(json!([49_123_456, -49_123_456, 49_123_456.0, "0049123456", 49_123_457, 5])),
        json!(["[secret S]", "[secret S]", "[secret S]", "[secret S]", 49_123_457, 5])
    );
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Message {
    Greeting { message: String, count: u64, more: serde_json::Map<String, Value> },
}

fn greeting(message: &str, count: u64) -> Message {
    let more = [(message.to_owned(), Value::from(message))];
    Message::Greeting { message: message.to_owned(), count, more: more.into_iter().collect() }
}

#[test]
fn a_secret_that_is_the_name_of_a_field_leaves_the_record_readable() {
    for secret in ["message", "greeting", "count12345"] {
        let redacted = one(secret).any(greeting(secret, 3)).unwrap();
        let Message::Greeting { message, count, more } = redacted;
        assert_eq!((message.as_str(), count), ("[secret S]", 3), "{secret}");
        assert_eq!(Value::Object(more), json!({"[secret S]": "[secret S]"}));
    }
}

/// A text that must begin with `id-`.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.starts_with("id-") { Ok(Self(text)) } else { Err(serde::de::Error::custom("no id")) }
    }
}

#[test]
fn redaction_fails_closed_where_the_type_demands_a_number() {
    let Message::Greeting { count, message, .. } =
        one("123456789").any(greeting("hello", 123_456_789)).unwrap();
    assert_eq!((count, message.as_str()), (0, "hello"));
    let Message::Greeting { count, .. } = one("1234").any(greeting("hello", 1234)).unwrap();
    assert_eq!(count, 1234, "a count of this program");

    let error = one("id-hunter2").any(Id("id-hunter2 and more".into())).unwrap_err();
    assert!(error.to_string().contains("the secret S"), "{error}");
    assert_eq!(one("hunter2").any(Id("id-hunter2".into())), Ok(Id("id-[secret S]".into())));
}

#[test]
fn short_secrets_are_found_as_words_and_reported() {
    let redactor = Redactor::new([
        ("PIN".to_owned(), "4711".to_owned()),
        ("BIT".to_owned(), "on".to_owned()),
        ("LONG".to_owned(), "hunter2".to_owned()),
    ]);
    assert_eq!(redactor.text("pin=4711, 47110, NDcxMQ=="), "pin=[secret PIN], 47110, [secret PIN]==");
    let names: Vec<&str> = redactor.uncovered().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["PIN", "BIT"]);
}

#[test]
fn redacting_twice_changes_nothing() {
    let redactor = one("secret");
    let once = redactor.text("the secret is secret");
    assert_eq!(once, "the [secret S] is [secret S]");
    assert_eq!(redactor.text(&once), once);
}

#[test]
fn every_line_of_a_key_is_a_secret() {
    let redactor = one("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\n-----END KEY-----");
    assert_eq!(redactor.text("it has 9w0BAQEFAASCBKcwggSj"), "it has [secret S]");
}

#[test]
fn a_token_that_was_obtained_later_is_a_secret_too() {
    let redactor = Redactor::default();
    let text = "Bearer obtained-later-5b1f";
    assert_eq!(redactor.text(text), text);
    secrets::learn("notes", "obtained-later-5b1f");
    assert_eq!(redactor.text(text), "Bearer [secret notes]");
}

#[test]
fn a_short_secret_is_found_in_a_long_text_of_hexadecimal_digits() {
    let text = hex::encode("the config says password=hunt3rX and that is all of it");
    assert!(text.len() >= 64);
    let shown = one("hunt3rX").text(&text);
    assert!(!shown.contains(&hex::encode("hunt3rX")), "{shown}");
    let shifted = format!("a{text}b");
    assert_eq!(one("hunt3rX").text(&shifted), shifted, "between bytes it stands by chance");
}

#[test]
fn the_address_of_a_module_is_not_cut_by_chance() {
    let address = format!("{}123456{}", "a".repeat(29), "b".repeat(29));
    assert_eq!(one("123456").text(&address), address);
}

proptest! {
    #[test]
    fn no_secret_is_left(secret in "[ -~]{6,20}", before in ".{0,30}", after in ".{0,30}") {
        let redactor = one(&secret);
        let secret = secret.trim();
        prop_assume!(secret.len() >= 6 && !"[secret S]".contains(secret));
        let text = format!("{before}{secret}{after}");
        let out = redactor.text(&text);
        let pieces: String = out.split("[secret S]").collect::<Vec<_>>().join("\u{0}");
        prop_assert!(!pieces.contains(secret), "{}", out);
        let mut nested = json!({"a": [json!({"b": text}).to_string()]});
        redactor.value(&mut nested);
        prop_assert!(out != text);
        prop_assert!(!nested["a"][0].as_str().unwrap().contains(secret));
    }
}
