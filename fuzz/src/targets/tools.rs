//! Readers of what tools, servers and authors of skills and models send.

use super::texts;
use serde_json::{Map, Value, json};
use sojourn_tools::outside::{json as outside, terminal as shown};
use sojourn_tools::{Condition, schema};
use std::cell::OnceCell;

pub fn lines() -> Vec<Vec<u8>> {
    texts(&[
        "\u{feff}{\"a\":1}\r\n{\"b\":[2]}\n\n",
        "plain é 日本\n\u{1b}[31mred\u{1b}[0m\n",
        "\u{9b}2J\u{202e}gpj.exe\n",
    ])
}

pub fn json_lines(input: &[u8]) {
    let mut lines = outside::Lines::new(input, 100);
    let mut number = 0;
    while let Ok(Some(line)) = lines.next() {
        number += 1;
        assert!(line.len() <= 100 && !line.contains('\n'));
        if let Ok(mut value) = serde_json::from_str::<Value>(line) {
            outside::limit_depth(&mut value, 8);
        }
    }
    assert!(lines.number() >= number);
}

pub fn terminal(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    assert!(!shown::escaped(&text).contains(|c| shown::is_unsafe(c) && c != '\n' && c != '\t'));
    assert!(!shown::one_line(&text).contains(['\n', '\r', '\t']));
    let value = json!({ text.as_ref(): text });
    let json = shown::escaped_json(&value.to_string()).into_owned();
    assert!(!json.contains(shown::is_unsafe));
    assert_eq!(serde_json::from_str::<Value>(&json).ok(), Some(value));
}

pub fn messages() -> Vec<Vec<u8>> {
    texts(&[
        "{\"id\":1,\"result\":{\"tools\":[{\"name\":\"dice\",\"description\":\"d\",\"input\":{\"type\":\"object\"},\"effects\":{}}]}}\n",
        "{\"id\":2,\"result\":{\"ok\":true,\"message\":\"m\",\"value\":{\"$blob\":\"zz\"}}}\n",
        "{\"id\":3,\"error\":{\"message\":\"no\"}}\nnoise\n{\"progress\":{\"id\":3,\"done\":0.5}}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}}\n",
    ])
}

pub fn frames(input: &[u8]) {
    sojourn_tools::fuzzing::read_messages(input);
}

pub fn schemas() -> Vec<Vec<u8>> {
    texts(&[
        "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9},\"s\":{\"enum\":[\"a\",\"b\"]}},\"required\":[\"n\"]}",
        "{\"$defs\":{\"t\":{\"properties\":{\"c\":{\"$ref\":\"#/$defs/t\"}}}},\"$ref\":\"#/$defs/t\"}",
        "{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"string\",\"default\":null}],\"$schema\":\"x\",\"$id\":\"y\"}",
    ])
}

pub fn schema(input: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(input) else { return };
    for parameter in schema::parameters_of(&value) {
        let _ = serde_json::to_string(&parameter);
    }
    let _ = schema::embedded("tool", &value);
    let _ = schema::identifier("source", &value.to_string());
}

pub fn conditions() -> Vec<Vec<u8>> {
    let conditions = [
        json!({"increased": {"path": "/inventory/wood", "by": 1.0}}),
        json!({"at_least": {"path": "/n", "value": {"argument": "n"}}}),
        json!({"all": [{"equals": {"path": "/a", "value": null}}, {"not": {"any": []}}]}),
    ];
    conditions
        .map(|condition| {
            format!("{condition}\n{{\"n\":1,\"a\":null}}\n{{\"n\":2,\"inventory\":{{\"wood\":1}}}}")
                .into_bytes()
        })
        .to_vec()
}

pub fn condition(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let mut value = || serde_json::from_str::<Value>(lines.next().unwrap_or_default()).ok();
    let (Some(condition), Some(before), Some(after)) = (value(), value(), value()) else { return };
    let Ok(condition) = serde_json::from_value::<Condition>(condition) else { return };
    let args: Map<String, Value> = before.as_object().cloned().unwrap_or_default();
    let _ = condition.holds(&before, &after, &args);
    let _ = condition.paths();
}

pub fn programs() -> Vec<Vec<u8>> {
    texts(&[
        "export function run(n) { for (let i = 0; i < n; i++) { collect_wood(i); } return observe().inventory; }",
        "const f = async (x) => { /* ( */ await go(`${x}`, /\\(/g); }; // f(1)\n\"a(b)\"; f(f(1));",
    ])
}

pub fn javascript(input: &[u8]) {
    let _ = sojourn_skills::called_names(&String::from_utf8_lossy(input));
}

/// The head of a model file: magic, version, counts, and a few entries.
pub fn models() -> Vec<Vec<u8>> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut file =
        [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &0_u64.to_le_bytes(), &3_u64.to_le_bytes()].concat();
    file.extend([text("general.architecture"), 8_u32.to_le_bytes().to_vec(), text("llama")].concat());
    file.extend(
        [text("llama.context_length"), 4_u32.to_le_bytes().to_vec(), 4096_u32.to_le_bytes().to_vec()]
            .concat(),
    );
    let array = [9_u32.to_le_bytes(), 8_u32.to_le_bytes()].concat();
    file.extend(
        [text("tokenizer.tokens"), array, 2_u64.to_le_bytes().to_vec(), text("a"), text("b")].concat(),
    );
    vec![file]
}

pub fn gguf(input: &[u8]) {
    in_folder(|folder| {
        let path = folder.join("model.gguf");
        if std::fs::write(&path, input).is_ok()
            && let Ok(header) = sojourn_controller::gguf::Header::read(&path)
        {
            let _ = (
                header.name().map(str::len),
                header.architecture_integer("context_length"),
                header.quantisation(),
            );
        }
    });
}

/// The front matter and text of a skill, a line of zeros, and its manifest.
pub fn skills() -> Vec<Vec<u8>> {
    texts(&[
        "---\nname: collect-wood\ndescription: Collects wood from the nearest tree.\nlicense: MIT\nmetadata:\n  author: x\n---\nWalk to a tree.\n\0{\"format\":1,\"name\":\"collect_wood\",\"parameters\":[]}\0export function run() {}",
        "---\nname: \"a\"\ndescription: >\n  long\n  text\n---\n",
    ])
}

pub fn skill_folder(input: &[u8]) {
    in_folder(|folder| {
        let mut parts = input.splitn(3, |byte| *byte == 0);
        for name in ["SKILL.md", "sojourn.json", "scripts/skill.js"] {
            let path = folder.join(name);
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = std::fs::write(path, parts.next().unwrap_or_default());
        }
        let _ = sojourn_skills::exchange::read(folder, None);
    });
}

/// Runs `test` in a folder of this thread's own.
fn in_folder(test: impl FnOnce(&std::path::Path)) {
    thread_local! {
        static FOLDER: OnceCell<Option<tempfile::TempDir>> = const { OnceCell::new() };
    }
    FOLDER.with(|folder| {
        if let Some(folder) = folder.get_or_init(|| tempfile::tempdir().ok()) {
            test(folder.path());
        }
    });
}
